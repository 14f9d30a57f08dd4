//! The answers on record, by the leaf of their release.

use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use crate::documents::sha256;
use crate::log::leaf;
use crate::store::{Ledger, LedgerError};

impl Ledger {
    /// The answer of the release at leaf `index`, as it was given to [`Ledger::record`], after comparing it with the
    /// digest in the leaf; `None` where there is none, or it was pruned.
    pub fn released(&self, index: u64) -> Result<Option<String>, LedgerError> {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.read(|transaction| {
            let query = "SELECT answer FROM disclosure WHERE leaf = ?1 AND answer <> ''";
            let found: Option<String> =
                transaction.prepare_cached(query)?.query_row(params![index], |row| row.get(0)).optional()?;
            let Some(answer) = found else { return Ok(None) };
            let mut statement =
                transaction.prepare_cached("SELECT position, body FROM leaf WHERE position = ?1")?;
            let mut rows = statement.query([index])?;
            let stated = rows.next()?.map(leaf).transpose()?;
            let stated: Option<Value> = stated.and_then(|leaf| serde_json::from_str(&leaf.body).ok());
            if stated.is_none_or(|stated| stated["sha256"] != sha256(&answer)) {
                return Err(LedgerError::Damaged(format!(
                    "the stored answer is not the one of leaf {index}"
                )));
            }
            Ok(Some(answer))
        })
    }
}
