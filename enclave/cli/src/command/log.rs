//! `enclave log list|show|export|verify`; the rest of `log` is in modules of its own

use std::path::Path;

use gate::Action;
use ledger::{PublicKey, exported_key, verify_export_since};

use crate::args::{Log, LogCommand};
use crate::command::{audit, log_witness, open_for, read, review};
use crate::outcome::{Done, Outcome, put, say};

/// Leaves that are read at once.
const PAGE: u64 = 1_000;

pub(crate) fn run(home: &Path, args: &Log) -> Done {
    match &args.command {
        LogCommand::Review(review) => review::run(home, review),
        LogCommand::List => list(home),
        LogCommand::Show { index } => show(home, *index),
        LogCommand::Export { dir } => {
            let enclave = open_for(home, Action::ExportLog)?;
            let exported =
                enclave.ledger().export(dir).map_err(|error| Outcome::Invalid(error.to_string()))?;
            put(format!("exported {} leaves to `{}`\n", exported.size, dir.display()).as_bytes())?;
            say(&format!(
                "verify with `enclave log verify {} --key FILE`, where FILE holds: {}",
                dir.display(),
                enclave.public_key()
            ));
            Ok(())
        }
        LogCommand::Audit { dir, key, budget, format } => {
            audit::run(home, dir.as_deref(), key.as_deref(), budget.as_deref(), *format)
        }
        LogCommand::Verify { dir: Some(dir), key, since } => {
            verify_folder(dir, key.as_deref(), since.as_deref())
        }
        LogCommand::Verify { dir: None, key, since } => verify_own(home, key.as_deref(), since.as_deref()),
        LogCommand::Prove(prove) => log_witness::prove(home, prove),
        LogCommand::Witness(witness) => log_witness::run(home, witness),
        LogCommand::Prune(prune) => log_witness::prune(home, prune),
    }
}

fn list(home: &Path) -> Done {
    let enclave = open_for(home, Action::ReadLog)?;
    let mut from = 0;
    loop {
        let leaves = enclave.ledger().leaves(from, PAGE)?;
        let Some(last) = leaves.last() else { return Ok(()) };
        from = last.index + 1;
        let lines: String = leaves
            .iter()
            .map(|leaf| {
                format!(
                    "{}\t{}\t{}\t{}\n",
                    leaf.index,
                    leaf.at.format("%Y-%m-%d %H:%M:%S"),
                    leaf.kind,
                    summary(&leaf.body)
                )
            })
            .collect();
        put(lines.as_bytes())?;
    }
}

/// What a reader looks for first.
fn summary(body: &str) -> String {
    let Ok(facts) = serde_json::from_str::<serde_json::Value>(body) else { return String::new() };
    let text = |name: &str| facts.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let number = |name: &str| facts.get(name).and_then(serde_json::Value::as_u64);
    let mut parts: Vec<String> =
        ["act", "keys", "document", "name", "version", "memorandum", "person", "contract", "rule", "sql"]
            .iter()
            .filter_map(|name| text(name))
            .collect();
    if let Some(micro) = number("rho_micro") {
        parts.insert(parts.len().min(1), format!("rho {}", micro as f64 / 1e6));
    }
    if let Some(question) = number("question_leaf") {
        parts.push(format!("answers {question}"));
    }
    parts.join("  ")
}

fn show(home: &Path, index: u64) -> Done {
    let leaf = open_for(home, Action::ReadLog)?.ledger().leaf(index)?;
    let leaf = leaf.ok_or_else(|| Outcome::Invalid(format!("the log has no leaf {index}")))?;
    let body: serde_json::Value = serde_json::from_str(&leaf.body).unwrap_or_default();
    let hash: String = leaf.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut shown = serde_json::json!({ "index": leaf.index, "hash": hash, "leaf": body });
    if leaf.pruned {
        shown["pruned"] = true.into();
    }
    put(format!("{}\n", serde_json::to_string_pretty(&shown).unwrap_or_default()).as_bytes())
}

fn given_key(file: Option<&Path>) -> Result<Option<PublicKey>, Outcome> {
    let parse = |file: &Path| {
        let text = read(file)?;
        text.trim()
            .parse()
            .map_err(|error: ledger::KeyError| Outcome::Invalid(format!("`{}`: {error}", file.display())))
    };
    file.map(parse).transpose()
}

fn verify_folder(dir: &Path, key: Option<&Path>, since: Option<&Path>) -> Done {
    let key = match given_key(key)? {
        Some(key) => key,
        None => {
            say(
                "note: no `--key`: the key in the folder is believed. Whoever replaced the whole folder is not found out",
            );
            exported_key(dir).map_err(|error| Outcome::Invalid(format!("not verified: {error}")))?
        }
    };
    let since = since.map(log_witness::checkpoint).transpose()?;
    let verified = verify_export_since(dir, &key, since.as_deref())
        .map_err(|error| Outcome::Invalid(format!("not verified: {error}")))?;
    told(verified.size, &verified.root)
}

fn verify_own(home: &Path, key: Option<&Path>, since: Option<&Path>) -> Done {
    let enclave = open_for(home, Action::ReadLog)?;
    if given_key(key)?.is_some_and(|key| key != *enclave.public_key()) {
        return Err(Outcome::Invalid("not verified: the log is signed by another key".to_owned()));
    }
    if let Err(found) = enclave.ledger().verify() {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        return Err(Outcome::Invalid(format!("not verified:\n  {}", found.join("\n  "))));
    }
    if let Some(since) = since {
        let past = enclave.ledger().check_past(&log_witness::checkpoint(since)?);
        past.map_err(|error| Outcome::Invalid(format!("not verified: {error}")))?;
    }
    put(format!("verified: {} leaves and all accounts\n", enclave.ledger().size()?).as_bytes())
}

fn told(size: u64, root: &[u8; 32]) -> Done {
    let root: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
    put(format!("verified: {size} leaves, root {root}\n").as_bytes())
}
