//! What was typed after `enclave init` and `enclave keys`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use vault::RootSource;

use super::ListFormat;

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// What guards the root key: `file[:PATH]` (not in the home), `passphrase`, `credential:NAME`, or
    /// `pkcs11:MODULE?token=LABEL&object=LABEL`.
    #[arg(long, value_name = "SOURCE", default_value = "file")]
    pub(crate) root_key: RootSource,
    /// Where the encrypted files lie: `s3://bucket/prefix` or `az://container/prefix`, with address and credentials
    /// in the variables AWS_… or AZURE_… [default: the home].
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Keys {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List key-encryption keys, their versions, and how many files each protects.
    List {
        /// Form of the listing.
        #[arg(long, value_enum, default_value = "table")]
        format: ListFormat,
    },
    /// Make new keys, while questions go on.
    Rotate {
        /// `root`, `key-encryption`, `data`, the name of one key-encryption key, or `all`.
        #[arg(value_name = "KEYS", default_value = "all")]
        what: String,
        /// With `root`: what guards it from now on (another passphrase, a credential, a token).
        #[arg(long, value_name = "SOURCE")]
        root_key: Option<RootSource>,
    },
    /// Destroy the keys of names and numbers, so that nobody can read these any more. Attributes stay.
    Destroy {
        /// One cohort, as in `city/2031`.
        #[arg(long, value_name = "CONTRACT/COHORT", required_unless_present = "contract")]
        cohort: Option<String>,
        /// All cohorts of a contract.
        #[arg(long, value_name = "CONTRACT", conflicts_with = "cohort")]
        contract: Option<String>,
    },
    /// Keep the root key with several people.
    Escrow {
        #[command(subcommand)]
        command: EscrowCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EscrowCommand {
    /// Deal the root key in shares, one file for each.
    Split {
        /// How many shares.
        #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
        shares: u8,
        /// How many of them give the key back.
        #[arg(short = 'm', long, value_name = "M", default_value_t = 2)]
        needed: u8,
        /// A folder that does not exist, or is empty; not in the home.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Give the home its root key back.
    Recover {
        /// Files of shares.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// What guards the root key from now on, if that is to change.
        #[arg(long, value_name = "SOURCE")]
        root_key: Option<RootSource>,
    },
}
