//! `enclave log audit`: every balance and the pool, added up from the log alone.

use std::path::Path;

use gate::{Account, Action};
use ledger::{AccountKind, RecountError, exported_key, recount};
use serde_json::{Value, json};

use crate::args::ListFormat;
use crate::command::budget::{account_json, line};
use crate::command::open_for;
use crate::command::receipt::public_key;
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(
    home: &Path,
    dir: Option<&Path>,
    key: Option<&Path>,
    budget: Option<&Path>,
    format: ListFormat,
) -> Done {
    match dir {
        Some(dir) => folder(dir, key, budget, format),
        None => own(home, key, format),
    }
}

/// The home's own accounts beside the sum of its leaves.
fn own(home: &Path, key: Option<&Path>, format: ListFormat) -> Done {
    let enclave = open_for(home, Action::ReadLog)?;
    if let Some(key) = key
        && public_key(key)? != *enclave.public_key()
    {
        return Err(Outcome::Invalid("not verified: the log is signed by another key".to_owned()));
    }
    let recomputed = enclave.ledger().recomputed()?;
    let differing: Vec<String> = recomputed
        .iter()
        .filter(|account| !account.agrees())
        .map(|account| format!("{} `{}`", account.kind, account.name))
        .collect();
    if !differing.is_empty() {
        return Err(Outcome::Invalid(format!(
            "the accounts are not what the log adds up to: {}",
            differing.join(", ")
        )));
    }
    let accounts: Vec<(AccountKind, String, Account, Option<Value>)> = recomputed
        .into_iter()
        .filter_map(|account| Some((account.kind, account.name, account.from_leaves?, None)))
        .collect();
    tell(&accounts, format)?;
    say(&format!("{} accounts are what the log adds up to", accounts.len()));
    Ok(())
}

/// An exported folder, by whoever has the public key.
fn folder(dir: &Path, key: Option<&Path>, budget: Option<&Path>, format: ListFormat) -> Done {
    let key = match key {
        Some(file) => public_key(file)?,
        None => {
            say(
                "note: no `--key`: the key in the folder is believed. Whoever replaced the whole folder is not found out",
            );
            exported_key(dir).map_err(|error| Outcome::Invalid(format!("not verified: {error}")))?
        }
    };
    let counted = recount(dir, &key).map_err(|error| match error {
        RecountError::Verify(error) => Outcome::Invalid(format!("not verified: {error}")),
        other => Outcome::Invalid(format!("does not add up: {other}")),
    })?;
    let accounts: Vec<_> = counted
        .accounts
        .into_iter()
        .map(|account| {
            let counts = json!({ "questions": account.questions, "releases": account.releases });
            (account.kind, account.name, account.account, Some(counts))
        })
        .collect();
    if let Some(file) = budget {
        compare(&accounts, file)?;
    }
    tell(&accounts, format)?;
    let compared = if budget.is_some() { "; the balances told are these" } else { "" };
    say(&format!(
        "added up from {} leaves: no charge beyond its balance, no release without a charge{compared}",
        counted.verified.size
    ));
    Ok(())
}

/// What `budget --format json` told, beside what the log adds up to.
fn compare(accounts: &[(AccountKind, String, Account, Option<Value>)], file: &Path) -> Done {
    let told: Value = serde_json::from_str(&crate::command::read(file)?).map_err(|_| {
        Outcome::Invalid(format!("`{}` is not what `budget --format json` writes", file.display()))
    })?;
    let counted: Vec<Value> = accounts
        .iter()
        .map(|(kind, name, account, _)| account_json(&kind.to_string(), name, account))
        .collect();
    for account in told.as_array().into_iter().flatten() {
        if !counted.contains(account) {
            let of = |name: &str| account[name].as_str().unwrap_or("-").to_owned();
            return Err(Outcome::Invalid(format!(
                "the {} account of `{}` in `{}` is not what the log adds up to",
                of("account"),
                of("name"),
                file.display()
            )));
        }
    }
    Ok(())
}

fn tell(accounts: &[(AccountKind, String, Account, Option<Value>)], format: ListFormat) -> Done {
    let text: String = match format {
        ListFormat::Table => accounts
            .iter()
            .map(|(kind, name, account, counts)| {
                let line = line(&kind.to_string(), name, account);
                match counts {
                    Some(counts) => format!(
                        "{}; {} questions charged, {} released\n",
                        line.trim_end(),
                        counts["questions"],
                        counts["releases"]
                    ),
                    None => line,
                }
            })
            .collect(),
        ListFormat::Json => {
            let objects: Vec<Value> = accounts
                .iter()
                .map(|(kind, name, account, counts)| {
                    let mut object = account_json(&kind.to_string(), name, account);
                    for (name, count) in counts.iter().filter_map(Value::as_object).flatten() {
                        object[name] = count.clone();
                    }
                    object
                })
                .collect();
            format!("{}\n", serde_json::to_string_pretty(&objects).unwrap_or_default())
        }
    };
    put(text.as_bytes())
}
