//! What was typed after `enclave records`, `enclave snapshots` and `enclave vault`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::ListFormat;

/// What happens to the rows that a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IngestMode {
    /// The file takes their place.
    Replace,
    /// The file's rows come to them; a key that is there already is a mistake.
    Append,
    /// The file's rows come to them, or take the place of those with the same primary key.
    Upsert,
}

/// Whose records.
#[derive(Debug, ClapArgs)]
pub(crate) struct Pupil {
    /// Name of the contract.
    pub(crate) contract: String,
    /// The pupil's number; `-` reads it from standard input, so that no shell keeps it.
    #[arg(long, value_name = "NUMBER|-", allow_hyphen_values = true)]
    pub(crate) pupil: String,
    /// Reference of the request, for the log; never a name or a number of a pupil.
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) request: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Records {
    #[command(subcommand)]
    pub(crate) command: RecordsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecordsCommand {
    /// Show all that is held on one pupil.
    Find {
        #[command(flatten)]
        pupil: Pupil,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Put rows in the place of those with the same primary key; what was there before is gone.
    Correct {
        /// Name of the contract.
        contract: String,
        /// Reference of the request, for the log.
        #[arg(long, value_name = "REFERENCE")]
        request: Option<String>,
        /// Files, as in `results=corrected.csv`: CSV or Parquet.
        #[arg(required = true, value_name = "TABLE=FILE")]
        files: Vec<String>,
    },
    /// Delete one pupil's rows in all tables, in every snapshot.
    Delete {
        #[command(flatten)]
        pupil: Pupil,
    },
    /// Write all that is held on one pupil to CSV files, one a table.
    Export {
        #[command(flatten)]
        pupil: Pupil,
        /// A folder that does not exist, or is empty; not in the home.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Keep one pupil's records when their time is over.
    Keep {
        #[command(flatten)]
        pupil: Pupil,
        /// No longer.
        #[arg(long)]
        undo: bool,
    },
    /// Delete the rows whose time is over, as `enclave:retentionYears` and `enclave:cohort` say.
    Dispose {
        /// Name of the contract.
        contract: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Snapshots {
    #[command(subcommand)]
    pub(crate) command: SnapshotsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// One line per snapshot, the oldest first.
    List {
        /// Name of the contract.
        contract: String,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Forget older snapshots. Those that a question reads at the moment stay.
    Expire {
        /// Name of the contract.
        contract: String,
        /// How many of the newest stay [default: 3].
        #[arg(long, value_name = "N", conflicts_with = "older_than", value_parser = clap::value_parser!(u64).range(1..))]
        keep: Option<u64>,
        /// Instead: those that were followed by another more than so many days ago.
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u32>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Vault {
    #[command(subcommand)]
    pub(crate) command: VaultCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Check digests, signatures, keys, order, constraints and references of all that is stored.
    Check {
        /// Name of the contract; all where it is left out.
        contract: Option<String>,
        /// Mend what needs no backup.
        #[arg(long)]
        repair: bool,
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Cut the tables into as many parts as suit their rows.
    Compact {
        /// Name of the contract.
        contract: String,
    },
}
