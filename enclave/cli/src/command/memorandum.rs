//! `enclave memorandum sign|list|show|end`

use std::path::Path;

use ledger::DocumentKind;

use crate::args::{Memorandum, MemorandumCommand};
use crate::command::{open, read};
use crate::outcome::{Done, Outcome, put};

pub(crate) fn run(home: &Path, args: &Memorandum) -> Done {
    match &args.command {
        MemorandumCommand::Sign { file } => {
            let (memorandum, place) = open(home)?.sign_memorandum(&read(file)?)?;
            let (from, until) = (memorandum.from, memorandum.until);
            put(format!(
                "signed {}, in force from {from} until {until} (log {})\n",
                memorandum.id, place.index
            )
            .as_bytes())
        }
        MemorandumCommand::List => {
            let enclave = open(home)?;
            let mut lines = String::new();
            for document in enclave.ledger().documents(DocumentKind::Memorandum)? {
                let Some(memorandum) = enclave.memorandum(&document.name)? else { continue };
                let ended = enclave.ledger().ended(&memorandum.id)?;
                let state = match ended {
                    Some(at) => format!("ended {}", at.format("%Y-%m-%d")),
                    None => format!("{} to {}", memorandum.from, memorandum.until),
                };
                lines += &format!(
                    "{}\t{}\t{}\t{state}\n",
                    memorandum.id, memorandum.contract, memorandum.institution
                );
            }
            put(lines.as_bytes())
        }
        MemorandumCommand::Show { id } => {
            let found = open(home)?.ledger().latest(DocumentKind::Memorandum, id)?;
            let document = found.ok_or_else(|| {
                Outcome::Invalid(format!(
                    "there is no memorandum `{id}`; `enclave memorandum list` shows them"
                ))
            })?;
            put(document.text.as_bytes())
        }
        MemorandumCommand::End { id } => {
            let place = open(home)?.end_memorandum(id)?;
            put(format!("ended {id} (log {})\n", place.index).as_bytes())
        }
    }
}
