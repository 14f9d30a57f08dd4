//! What was typed: `log witness`, `log prove`, `log prune`.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(crate) struct Witness {
    #[command(subcommand)]
    pub(crate) command: WitnessCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Make a key for a member of the board: the member keeps FILE, and gives what is printed to the steward.
    Keygen {
        /// File to write, which must not exist.
        file: PathBuf,
        /// Name of the witness, such as `board.example/sato`; the name of FILE where it is left out.
        #[arg(long)]
        name: Option<String>,
    },
    /// Check an exported folder, and cosign its checkpoint. Needs no enclave.
    Sign {
        /// The exported folder.
        dir: PathBuf,
        /// The member's key. What was signed last is kept beside it, in FILE.last.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// File with the log's public key; needed the first time, else the key in the folder is believed.
        #[arg(long, value_name = "FILE")]
        log_key: Option<PathBuf>,
        /// One more checkpoint that the log must continue.
        #[arg(long, value_name = "CHECKPOINT")]
        last: Option<PathBuf>,
        /// File to write; standard output where it is left out.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take a cosigned checkpoint into the log.
    Add {
        /// What `witness sign` wrote.
        file: PathBuf,
    },
    /// Make somebody a witness, or give a witness another key.
    Register {
        /// Name of the witness.
        name: String,
        /// What `witness keygen` printed, or a file that holds it.
        key: String,
    },
    /// End that somebody is a witness.
    Remove {
        /// Name of the witness.
        name: String,
    },
    /// List who is a witness, with the newest checkpoint that each cosigned.
    List,
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Prove {
    /// Number of a leaf that is in the log.
    pub(crate) leaf: Option<u64>,
    /// A checkpoint that the log continues.
    #[arg(long, value_name = "CHECKPOINT")]
    pub(crate) since: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Prune {
    /// The first day that is kept whole; five years ago where it is left out.
    #[arg(long, value_name = "DATE")]
    pub(crate) before: Option<NaiveDate>,
    /// The written policy, which becomes part of the log.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
}
