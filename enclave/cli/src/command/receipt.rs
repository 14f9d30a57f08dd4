//! `enclave receipt verify`

use std::path::Path;

use gate::receipt::{self, Found};
use ledger::{PublicKey, VerifiedReceipt};
use serde_json::Value;

use crate::args::receipt::{Receipt, ReceiptCommand};
use crate::command::read;
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(args: &Receipt) -> Done {
    let ReceiptCommand::Verify { file, key, result } = &args.command;
    verify(file, key.as_deref(), result.as_deref())
}

fn verify(file: &Path, key: Option<&Path>, result: Option<&Path>) -> Done {
    let not_verified = |file: &Path, problem: String| {
        Outcome::Invalid(format!("not verified: `{}`: {problem}", file.display()))
    };
    let found = found(file)?;
    let Some(receipt) = found.receipt else {
        let message = "it brings no receipt along; name the receipt, and this file with `--result`";
        return Err(not_verified(file, message.to_owned()));
    };
    let key = match key {
        Some(file) => public_key(file)?,
        None => {
            say(
                "note: no `--key`: the key in the receipt is believed. Whoever made it all up is not found out",
            );
            receipt.key().map_err(|error| not_verified(file, error.to_string()))?
        }
    };
    let verified = receipt.verify(&key).map_err(|error| not_verified(file, error.to_string()))?;
    let beside = result.map(self::found).transpose()?;
    let tables =
        [(file, found.table_sha256), (result.unwrap_or(file), beside.and_then(|of| of.table_sha256))];
    let mut compared = false;
    for (file, digest) in tables {
        let Some(digest) = digest else { continue };
        match verified.table_sha256() {
            None => {
                let message = "the release was recorded without a digest that a file can be compared with";
                return Err(not_verified(file, message.to_owned()));
            }
            Some(stated) if stated != digest => {
                return Err(not_verified(file, "the table is not the one that was released".to_owned()));
            }
            Some(_) => compared = true,
        }
    }
    if result.is_some() && !compared {
        return Err(Outcome::Invalid("not verified: `--result` has no table in it".to_owned()));
    }
    put(told(&verified, compared).as_bytes())
}

fn found(file: &Path) -> Result<Found, Outcome> {
    receipt::read(file).map_err(|error| Outcome::Invalid(format!("`{}`: {error}", file.display())))
}

/// A verifier key, as `init` prints it.
pub(crate) fn public_key(file: &Path) -> Result<PublicKey, Outcome> {
    let text = read(file)?;
    let parsed = text.trim().parse();
    parsed.map_err(|error: ledger::KeyError| Outcome::Invalid(format!("`{}`: {error}", file.display())))
}

fn told(verified: &VerifiedReceipt, compared: bool) -> String {
    let VerifiedReceipt { origin, index, size, release, question } = verified;
    let text = |of: &Value, name: &str| of[name].as_str().unwrap_or("-").to_owned();
    let mut told = format!(
        "verified: release {index} of {size} leaves of `{origin}`, {}\nmemorandum {}, contract {}, snapshot {}\n",
        text(release, "at"),
        text(release, "memorandum"),
        text(release, "contract"),
        text(release, "snapshot"),
    );
    if let Some(question) = question {
        let rho = question["rho_micro"].as_u64().unwrap_or_default() as f64 / 1e6;
        told += &format!(
            "asked by {} for {}, price rho {rho}, rules {}\nquestion: {}\n",
            text(question, "person"),
            text(question, "purpose"),
            text(question, "rules"),
            text(question, "sql"),
        );
    }
    told += if compared {
        "the table is the one that was released; names of columns are the asker's own\n"
    } else {
        "no table was compared: name the answer with `--result FILE`\n"
    };
    told
}
