//! `enclave rules install|list`

use std::path::Path;

use ledger::DocumentKind;

use crate::args::{Rules, RulesCommand};
use crate::command::{contract, open, read};
use crate::outcome::{Done, put};

pub(crate) fn run(home: &Path, args: &Rules) -> Done {
    match &args.command {
        RulesCommand::Install { file } => {
            let (rules, place) = open(home)?.install_rules(&read(file)?)?;
            put(format!("installed {} {} (log {})\n", rules.name, rules.version, place.index).as_bytes())
        }
        RulesCommand::List => contract::list(home, DocumentKind::Rules),
    }
}
