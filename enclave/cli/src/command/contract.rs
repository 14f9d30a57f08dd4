//! `enclave contract publish|list|show`

use std::path::Path;

use ledger::DocumentKind;

use crate::args::{Contract, ContractCommand};
use crate::command::{open, read};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Contract) -> Done {
    match &args.command {
        ContractCommand::Publish { file } => {
            let (contract, place) = open(home)?.publish_contract(&read(file)?)?;
            if contract.pool_rho.is_none() && contract.tables.iter().any(memoranda::Table::is_private) {
                say(
                    "note: the contract has no `enclave:poolRho`: charges of all memoranda are counted together, but not capped",
                );
            }
            put(format!("published {} {} (log {})\n", contract.name, contract.version, place.index)
                .as_bytes())
        }
        ContractCommand::List => list(home, DocumentKind::Contract),
        ContractCommand::Show { name } => {
            let found = open(home)?.ledger().latest(DocumentKind::Contract, name)?;
            let document = found.ok_or_else(|| {
                Outcome::Invalid(format!("there is no contract `{name}`; `enclave contract list` shows them"))
            })?;
            put(document.text.as_bytes())
        }
    }
}

/// Name, version, day and log index of all documents of a kind.
pub(crate) fn list(home: &Path, kind: DocumentKind) -> Done {
    let lines: String = open(home)?
        .ledger()
        .documents(kind)?
        .iter()
        .map(|d| format!("{}\t{}\t{}\tlog {}\n", d.name, d.version, d.at.format("%Y-%m-%d"), d.leaf))
        .collect();
    put(lines.as_bytes())
}
