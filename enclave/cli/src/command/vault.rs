//! `enclave vault check|compact`

use std::path::Path;

use gate::Enclave;
use ledger::DocumentKind;
use serde_json::{Value, json};
use vault::{Checked, Finding};

use crate::args::ListFormat;
use crate::args::records::{Vault, VaultCommand};
use crate::command::open;
use crate::outcome::{Done, Outcome, put};

/// Exit code of what is wrong with the data.
const INVALID: u8 = 2;

pub(crate) fn run(home: &Path, args: &Vault) -> Done {
    match &args.command {
        VaultCommand::Check { contract, repair, format } => {
            let enclave = open(home)?;
            let contracts = match contract {
                Some(contract) => vec![contract.clone()],
                None => contracts(&enclave)?,
            };
            let (mut sound, mut listed) = (true, Vec::new());
            for contract in contracts {
                let checked = enclave.check_vault(&contract, *repair)?;
                sound &= checked.findings.is_empty();
                match format {
                    ListFormat::Json => listed.push(as_json(&contract, &checked)),
                    ListFormat::Table => put(as_text(&contract, &checked).as_bytes())?,
                }
            }
            if *format == ListFormat::Json {
                put(format!("{:#}\n", Value::Array(listed)).as_bytes())?;
            }
            if sound { Ok(()) } else { Err(Outcome::Told(INVALID)) }
        }
        VaultCommand::Compact { contract } => match open(home)?.compact(contract)? {
            Some(changed) => {
                put(format!("wrote {} files of {} anew\n", changed.files, changed.tables.join(", "))
                    .as_bytes())
            }
            None => put(b"the parts suit their rows\n"),
        },
    }
}

fn contracts(enclave: &Enclave) -> Result<Vec<String>, Outcome> {
    let mut names: Vec<String> = enclave
        .ledger()
        .documents(DocumentKind::Contract)?
        .into_iter()
        .map(|contract| contract.name)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn as_text(contract: &str, checked: &Checked) -> String {
    let finding = |finding: &Finding| {
        let Finding { place, rule, message, mend } = finding;
        format!("`{place}` {message} ({rule}): {}\n", mend.advice())
    };
    let findings: String = checked.findings.iter().map(finding).collect();
    let sound = if checked.findings.is_empty() { "sound" } else { "not sound" };
    format!("{findings}{contract}: {} files, {} bytes: {sound}\n", checked.files, checked.bytes)
}

fn as_json(contract: &str, checked: &Checked) -> Value {
    let finding = |finding: &Finding| {
        let Finding { place, rule, message, mend } = finding;
        json!({ "place": place, "rule": rule, "message": message, "mend": mend.advice() })
    };
    json!({
        "contract": contract,
        "files": checked.files,
        "bytes": checked.bytes,
        "findings": checked.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
