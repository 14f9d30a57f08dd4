//! [`Papers`]: contracts, rule sets and memoranda as they were read. A version never changes once it is published, so that
//! what was read of it holds as long as it is the latest.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use disclosure_rules::RuleSet;
use ledger::{DocumentKind, Ledger, LedgerError};
use memoranda::{Contract, Memorandum};

/// The latest version of each document that was asked for.
#[derive(Default)]
pub(crate) struct Papers {
    pub(crate) contracts: Latest<Contract>,
    pub(crate) rules: Latest<RuleSet>,
    pub(crate) memoranda: Latest<Memorandum>,
}

/// Documents of one kind by name, each with the leaf that published it.
pub(crate) struct Latest<T>(Mutex<HashMap<String, (u64, Arc<T>)>>);

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Latest(Mutex::default())
    }
}

impl<T> Latest<T> {
    /// The latest version, which `parse` reads where it was not read before; `None` where there is no such document.
    pub(crate) fn get<E: From<LedgerError>>(
        &self,
        ledger: &Ledger,
        kind: DocumentKind,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<Arc<T>>, E> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(leaf) = ledger.latest_leaf(kind, name)? else { return Ok(None) };
        if let Some((_, read)) = known().get(name).filter(|(at, _)| *at == leaf) {
            return Ok(Some(read.clone()));
        }
        let Some(document) = ledger.latest(kind, name)? else { return Ok(None) };
        let read = Arc::new(parse(&document.text)?);
        known().insert(name.to_owned(), (document.leaf, read.clone()));
        Ok(Some(read))
    }
}
