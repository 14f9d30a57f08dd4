//! What was typed.

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
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make keys, store, ledger and log identity.
    Init,
    /// Make an enclave with an invented city, ask three questions, and say what to try next.
    Demo(Demo),
    /// Publish and show data formats.
    Contract(Contract),
    /// Take records in: validate, pseudonymise, encrypt; all or nothing.
    Ingest(Ingest),
    /// Install and list rule sets.
    Rules(Rules),
    /// Sign, show and end memoranda.
    Memorandum(Memorandum),
    /// Ask one question.
    Ask(Ask),
    /// Show allotment, charged, balance, and the pool.
    Budget(Budget),
    /// Show, export and verify the disclosure log.
    Log(Log),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// Stop after the questions. (This version has nothing to serve yet, and always stops.)
    #[arg(long)]
    pub(crate) no_serve: bool,
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
    /// Sign a memorandum (TOML); it is in force between its dates.
    Sign {
        /// The memorandum.
        file: PathBuf,
    },
    /// List memoranda.
    List,
    /// Print a memorandum.
    Show {
        /// Id of the memorandum.
        id: String,
    },
    /// End a memorandum before its date.
    End {
        /// Id of the memorandum.
        id: String,
    },
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
    /// Who asks; may be left out where the memorandum names one researcher.
    #[arg(long = "as", value_name = "PERSON")]
    pub(crate) person: Option<String>,
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
    /// Form of the answer.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: AnswerFormat,
    /// The question; `-` or nothing reads it from standard input.
    #[arg(value_name = "SQL")]
    pub(crate) sql: Option<String>,
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
    /// Verify this enclave's log, or an exported folder with nothing but a public key.
    Verify {
        /// The exported folder.
        dir: Option<PathBuf>,
        /// File with the public key that `init` printed; else the key in the folder is believed.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}
