//! `enclave budget`

use std::path::Path;

use gate::{Account, Action};
use ledger::DocumentKind;
use serde_json::json;

use crate::args::{Budget, ListFormat};
use crate::command::open_for;
use crate::outcome::{Done, Outcome, put};

pub(crate) fn run(home: &Path, args: &Budget) -> Done {
    let enclave = open_for(home, Action::ReadBudget)?;
    let mut accounts = Vec::new();
    let mut contracts = Vec::new();
    for document in enclave.ledger().documents(DocumentKind::Memorandum)? {
        let wanted = args.memorandum.as_ref().is_none_or(|id| *id == document.name);
        let (true, Some(memorandum)) = (wanted, enclave.memorandum(&document.name)?) else { continue };
        if let Some(account) = enclave.ledger().account(&memorandum.id)? {
            accounts.push(("memorandum", memorandum.id, account));
        }
        if !contracts.contains(&memorandum.contract) {
            contracts.push(memorandum.contract);
        }
    }
    if let (true, Some(id)) = (accounts.is_empty(), &args.memorandum) {
        return Err(Outcome::Invalid(format!(
            "there is no memorandum `{id}`; `enclave memorandum list` shows them"
        )));
    }
    for contract in contracts {
        if let Some(pool) = enclave.ledger().pool(&contract)? {
            accounts.push(("pool", contract, pool));
        }
    }
    let text = match args.format {
        ListFormat::Json => {
            let object = |(kind, name, account): &(&str, String, Account)| {
                let mut object = json!({
                    "account": kind,
                    "name": name,
                    "allotment": account.allotment.map(|rho| json!({ "rho": rho })),
                    "charged": { "rho": account.charged },
                    "balance": account.balance().map(|rho| json!({ "rho": rho })),
                });
                if let Some(pure) = account.pure {
                    object["allotment"]["epsilon"] = json!(pure.allotment);
                    object["charged"]["epsilon"] = json!(pure.charged);
                    object["balance"]["epsilon"] = json!(pure.balance());
                }
                object
            };
            let objects: Vec<_> = accounts.iter().map(object).collect();
            format!("{}\n", serde_json::to_string_pretty(&objects).unwrap_or_default())
        }
        ListFormat::Table => accounts.iter().map(line).collect(),
    };
    put(text.as_bytes())
}

fn line((kind, name, account): &(&str, String, Account)) -> String {
    if let Some(pure) = account.pure {
        let (balance, rho) = (pure.balance(), account.charged);
        return format!(
            "{kind} {name}: allotment epsilon {} (pure), charged {} (rho {rho} of the pool), balance {balance}\n",
            pure.allotment, pure.charged
        );
    }
    let of = |rho: Option<gate::Rho>| rho.map_or("no cap".to_owned(), |rho| rho.to_string());
    format!(
        "{kind} {name}: allotment rho {}, charged {}, balance {}\n",
        of(account.allotment),
        account.charged,
        of(account.balance())
    )
}
