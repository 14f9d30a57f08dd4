//! What was typed after `enclave receipt`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, ClapArgs)]
pub(crate) struct Receipt {
    #[command(subcommand)]
    pub(crate) command: ReceiptCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptCommand {
    /// Verify a receipt, or an answer that brings one along, offline and without any enclave.
    Verify {
        /// A receipt, or an answer as JSON, Arrow or Parquet.
        file: PathBuf,
        /// File with the public key that `init` printed; else the key in the receipt is believed.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// The answer that the receipt has to be of: JSON, CSV, Arrow or Parquet.
        #[arg(long, value_name = "FILE")]
        result: Option<PathBuf>,
    },
}
