//! What was typed.

pub(crate) mod board;
pub(crate) mod keys;
pub(crate) mod receipt;
pub(crate) mod records;
pub(crate) mod serve;
pub(crate) mod witness;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// A research data enclave: pupils' records stay inside; noisy, suppressed, logged answers come out.
#[derive(Debug, Parser)]
#[command(
    name = "enclave",
    version,
    after_help = "Exit codes: 0 done, 1 internal error, 2 usage or invalid input, 3 refused, 4 balance exhausted, 5 waiting for the board."
)]
pub(crate) struct Args {
    /// Folder of the enclave.
    #[arg(long, env = "ENCLAVE_HOME", default_value = "./enclave-home", global = true, value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Who acts: somebody of the register of people, or MEMORANDUM/PERSON.
    #[arg(long = "as", env = "ENCLAVE_PERSON", global = true, value_name = "PERSON")]
    pub(crate) person: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make keys, store, ledger and log identity.
    Init(keys::Init),
    /// Make an enclave with an invented city, ask three questions, then serve it.
    Demo(Demo),
    /// Serve the enclave: HTTP and Arrow Flight SQL.
    Serve(serve::Serve),
    /// Copy what the enclave wrote in its home, all but the root key, into a new folder, while it is used.
    Backup {
        /// A folder that is empty, or not there yet.
        dir: PathBuf,
    },
    /// Make a home out of a backup, and prove that its log goes on from what was signed.
    Restore(serve::Restore),
    /// Check permissions, clock, disk, keys, log, store and certificate, and say what to do.
    Doctor(serve::Doctor),
    /// Publish and show data formats.
    Contract(Contract),
    /// Take records in: validate, pseudonymise, encrypt; all or nothing.
    Ingest(Ingest),
    /// Install and list rule sets.
    Rules(Rules),
    /// Draft, check, sign, amend, show, review and end memoranda.
    Memorandum(Memorandum),
    /// Register people and what they may do; enrol second factors.
    People(People),
    /// Show a second factor, for questions about items that want one.
    StepUp(StepUp),
    /// Ask one question.
    Ask(Ask),
    /// What waits for the board: list, show, vote, answer.
    Approvals(Approvals),
    /// Show allotment, charged, balance, and the pool.
    Budget(Budget),
    /// List, rotate, destroy, and keep keys with several people.
    Keys(keys::Keys),
    /// A pupil's records: find, correct, delete, keep, export, dispose.
    Records(records::Records),
    /// The states of a contract's records: list, expire.
    Snapshots(records::Snapshots),
    /// The store: check, repair, compact.
    Vault(records::Vault),
    /// Show, export, verify and review the disclosure log.
    Log(Log),
    /// Build the public register.
    Register(board::Register),
    /// What all releases on a contract tell together.
    Collusion(board::Collusion),
    /// Verify what is kept beside an answer.
    Receipt(receipt::Receipt),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Stop after the questions.
    #[arg(long)]
    pub(crate) no_serve: bool,
    /// Port of HTTP; Flight SQL is on the next one. 0 lets the system choose both.
    #[arg(long, default_value_t = 8443)]
    pub(crate) port: u16,
    /// Seed of the invented city.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Contract {
    #[command(subcommand)]
    pub(crate) command: ContractCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContractCommand {
    /// Register a version (Data Package v2). An incompatible change needs a new major version.
    Publish {
        /// `datapackage.json`
        file: PathBuf,
    },
    /// List contracts and their versions.
    List,
    /// Print the newest version.
    Show {
        /// Name of the contract.
        name: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ingest {
    /// Name of the contract.
    pub(crate) contract: String,
    /// What happens to the rows that a table has.
    #[arg(long, value_enum, default_value = "replace")]
    pub(crate) mode: records::IngestMode,
    /// Files, as in `results=star.csv`: CSV or Parquet.
    #[arg(required = true, value_name = "TABLE=FILE")]
    pub(crate) files: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Rules {
    #[command(subcommand)]
    pub(crate) command: RulesCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Install a version of a rule set (TOML).
    Install {
        /// The rule set.
        file: PathBuf,
    },
    /// List rule sets and their versions.
    List,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Memorandum {
    #[command(subcommand)]
    pub(crate) command: MemorandumCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemorandumCommand {
    /// Write a template, filled from a contract.
    Draft {
        /// Name of the contract.
        #[arg(long, value_name = "NAME")]
        contract: String,
        /// Id of the memorandum.
        #[arg(long, default_value = "new-memorandum")]
        id: String,
        /// File to write, which must not exist; standard output where it is left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List every mistake; sign nothing.
    Check {
        /// The memorandum.
        file: PathBuf,
    },
    /// Sign a memorandum (TOML); it is in force between its dates.
    Sign {
        /// The memorandum.
        file: PathBuf,
    },
    /// Sign a later version of a memorandum; it is in force at once.
    Amend {
        /// The whole memorandum, with a higher `version`.
        file: PathBuf,
    },
    /// List memoranda.
    List,
    /// Print a memorandum.
    Show {
        /// Id of the memorandum.
        id: String,
        /// A version; the newest where it is left out.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
    },
    /// What one version changed in another.
    Diff {
        /// Id of the memorandum.
        id: String,
        /// The earlier version; the one before the later where it is left out.
        #[arg(long, value_name = "N")]
        from: Option<u32>,
        /// The later version; the newest where it is left out.
        #[arg(long, value_name = "M")]
        to: Option<u32>,
    },
    /// All versions with what each changed, and the end.
    History {
        /// Id of the memorandum.
        id: String,
    },
    /// What can be asked about: tables and columns with their types and titles.
    Items {
        /// Id of the memorandum.
        id: String,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Columns that no question has used lately, so that they can be dropped.
    Review {
        /// Id of the memorandum.
        id: String,
        /// How many days back.
        #[arg(long, value_name = "N", default_value_t = 90)]
        days: u32,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// End a memorandum before its date.
    End {
        /// Id of the memorandum.
        id: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct People {
    #[command(subcommand)]
    pub(crate) command: PeopleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PeopleCommand {
    /// Register somebody. The first steward ends the founding.
    Add {
        /// Short identifier, as in `--as ID`.
        id: String,
        /// Name for the log.
        #[arg(long)]
        name: String,
        /// What the person may do; may be repeated.
        #[arg(long = "role", value_enum, required = true, value_name = "ROLE")]
        roles: Vec<PeopleRole>,
    },
    /// Give somebody other roles.
    Role {
        /// Who.
        id: String,
        /// All roles from now on.
        #[arg(long = "role", value_enum, required = true, value_name = "ROLE")]
        roles: Vec<PeopleRole>,
    },
    /// Remove somebody.
    Remove {
        /// Who.
        id: String,
    },
    /// Let somebody in again who was not seen for long.
    Renew {
        /// Who: of the register, or MEMORANDUM/PERSON.
        id: String,
    },
    /// Invite somebody to log in: prints a link that is good once.
    Invite {
        /// Who: of the register, or MEMORANDUM/PERSON.
        id: String,
        /// How people reach the server, where it is not the default port of this machine.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// End every session and token of somebody.
    LogOut {
        /// Who: of the register, or MEMORANDUM/PERSON.
        id: String,
    },
    /// List who is registered.
    List {
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Show or set when people lose access.
    Policy {
        /// Days without being seen.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
        dormant_days: Option<u32>,
    },
    /// Print who may do what.
    Permissions {
        /// As the page `docs/permissions.md`.
        #[arg(long)]
        markdown: bool,
    },
    /// Second factors: time-based codes (TOTP).
    Factor {
        #[command(subcommand)]
        command: FactorCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FactorCommand {
    /// Make a secret, and print the URI for an authenticator, once.
    Enrol {
        /// Who: of the register, or MEMORANDUM/PERSON.
        id: String,
    },
    /// Show that the secret arrived.
    Confirm {
        /// Who.
        id: String,
        /// A code of the authenticator.
        code: String,
    },
}

/// Roles, as they are typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeopleRole {
    Steward,
    Custodian,
    Researcher,
    Board,
    Practitioner,
    Public,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StepUp {
    /// The memorandum that the questions are under.
    #[arg(short = 'm', long = "memorandum", value_name = "ID")]
    pub(crate) memorandum: Option<String>,
    /// A code of the authenticator.
    #[arg(long)]
    pub(crate) code: String,
}

/// Forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerFormat {
    Table,
    Json,
    Csv,
    Arrow,
    Parquet,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Ask {
    /// Id of the memorandum.
    #[arg(short = 'm', long = "memorandum", value_name = "ID")]
    pub(crate) memorandum: String,
    /// What the question is for: a use case of the memorandum; may be left out where it has one.
    #[arg(long, value_name = "USE_CASE")]
    pub(crate) purpose: Option<String>,
    /// Price in rho.
    #[arg(long, value_name = "R", group = "price", allow_negative_numbers = true)]
    pub(crate) rho: Option<f64>,
    /// Price in epsilon at the memorandum's delta.
    #[arg(long, value_name = "E", group = "price", allow_negative_numbers = true)]
    pub(crate) epsilon: Option<f64>,
    /// The least price that gives every measure a half-width of at most W (means: in cells of 100 pupils or more).
    #[arg(long, value_name = "W", group = "price", allow_negative_numbers = true)]
    pub(crate) within: Option<f64>,
    /// Confidence of the half-width after --within, and of those that --preview tells [default: 0.95].
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub(crate) confidence: Option<f64>,
    /// Rows of one pupil that count.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rows_per_unit: Option<u64>,
    /// Groups that one pupil counts in.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) groups_per_unit: Option<u64>,
    /// Draw and charge anew where the answer is on record.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Charge and read nothing; say what would be charged, and how accurate it would be.
    #[arg(long)]
    pub(crate) preview: bool,
    /// Where to write the receipt, which `enclave receipt verify` checks offline.
    #[arg(long, value_name = "FILE", conflicts_with = "preview")]
    pub(crate) receipt: Option<PathBuf>,
    /// Why the question is needed, for the board where it decides.
    #[arg(long, value_name = "TEXT")]
    pub(crate) justification: Option<String>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: AnswerFormat,
    /// The question; `-` or nothing reads it from standard input.
    #[arg(value_name = "SQL")]
    pub(crate) sql: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Approvals {
    #[command(subcommand)]
    pub(crate) command: ApprovalsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// One line per case, the undecided first.
    List {
        /// Also those that are decided.
        #[arg(long)]
        all: bool,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// One case, as the board reads it. First votes are blind where two are needed.
    Show {
        /// Number of the case.
        id: u64,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Vote on a case, as a member of the board.
    Vote {
        /// Number of the case.
        id: u64,
        /// What.
        #[arg(value_enum)]
        vote: BoardVote,
        /// Why; needed unless it is approved.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Answer what a member asked back.
    Answer {
        /// Number of the case.
        id: u64,
        /// The answer.
        text: String,
    },
}

/// What a member of the board says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BoardVote {
    Approve,
    Reject,
    AskBack,
}

/// Forms of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Budget {
    /// Id of the memorandum; all where it is left out.
    #[arg(short = 'm', long = "memorandum", value_name = "ID")]
    pub(crate) memorandum: Option<String>,
    /// Also every charge with the balance after it, the largest price of a question, and how long the balance lasts.
    #[arg(long, requires = "memorandum")]
    pub(crate) statement: bool,
    /// Form of the listing.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Log {
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// One line per leaf.
    List,
    /// One leaf, whole.
    Show {
        /// Number of the leaf.
        index: u64,
    },
    /// Write the log to a folder that verifies on its own.
    Export {
        /// A folder that does not exist, or is empty.
        dir: PathBuf,
    },
    /// Add up every balance and the pool from the log alone, and compare.
    Audit {
        /// The exported folder; without one, this enclave's own log and accounts.
        dir: Option<PathBuf>,
        /// File with the public key that `init` printed; else the key in the folder is believed.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// What `budget --format json` told, to be compared with what the folder adds up to.
        #[arg(long, value_name = "FILE", requires = "dir")]
        budget: Option<PathBuf>,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Verify this enclave's log, or an exported folder with nothing but a public key.
    Verify {
        /// The exported folder.
        dir: Option<PathBuf>,
        /// File with the public key that `init` printed; else the key in the folder is believed.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// An earlier checkpoint, which the log must continue: shows a log that was rolled back or rewritten.
        #[arg(long, value_name = "CHECKPOINT")]
        since: Option<PathBuf>,
    },
    /// Print the proof that a leaf is in the log, or that the log continues an earlier checkpoint.
    Prove(witness::Prove),
    /// Members of the board check and cosign the log.
    Witness(witness::Witness),
    /// Remove the words of old questions and answers, under a written policy; proofs and balances stay.
    Prune(witness::Prune),
    /// What the board needs each month; notes and sign-offs of its members.
    Review(board::Review),
}

#[cfg(test)]
mod tests;
