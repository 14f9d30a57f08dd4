//! What was typed: `log review`, `register`, `collusion`.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::ListFormat;

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Review {
    #[command(subcommand)]
    pub(crate) command: Option<ReviewCommand>,
    /// A month in Japan, as in `2026-11`; this month where nothing is named.
    #[arg(long, value_name = "MONTH", conflicts_with = "from")]
    pub(crate) month: Option<String>,
    /// The first day, in place of a month.
    #[arg(long, value_name = "DATE", requires = "to")]
    pub(crate) from: Option<NaiveDate>,
    /// The last day.
    #[arg(long, value_name = "DATE", requires = "from")]
    pub(crate) to: Option<NaiveDate>,
    /// Form of the review; `html` is one page in Japanese and English, to read and to print.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ReviewFormat,
    /// File to write, which must not exist; standard output where it is left out.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// Note something on a month, for everybody to read. `--as` says which member does.
    Note {
        /// The month, as in `2026-11`.
        #[arg(long, value_name = "MONTH")]
        month: String,
        /// What.
        #[arg(long, value_name = "TEXT")]
        text: String,
    },
    /// Sign a month off. `--as` says which member does.
    Sign {
        /// The month, as in `2026-11`.
        #[arg(long, value_name = "MONTH")]
        month: String,
    },
}

/// Forms of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReviewFormat {
    Text,
    Json,
    Html,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Register {
    #[command(subcommand)]
    pub(crate) command: RegisterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegisterCommand {
    /// Write the public register, a static site, out of the log.
    Build {
        /// A folder that is empty, does not exist, or holds a register.
        dir: PathBuf,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Collusion {
    /// Name of the contract.
    pub(crate) contract: String,
    /// Form of the listing.
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: ListFormat,
}
