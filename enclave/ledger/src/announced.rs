//! Which state of a contract's store the log announced last. A store that was put back to an older state, or the log
//! itself, shows in the difference.

use rusqlite::{OptionalExtension, params};

use crate::store::{Ledger, LedgerError};

/// Leaves that announce a manifest, by contract. A leaf that is none of them takes no room in the index.
pub(crate) const INDEX: &str = "
    CREATE INDEX IF NOT EXISTS leaf_of_manifest ON leaf (
        CASE WHEN json_valid(body) THEN json_extract(body, '$.contract') END, position
    ) WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.manifest_sha256') END IS NOT NULL";
const LAST: &str = "
    SELECT json_extract(body, '$.manifest_sha256') FROM leaf
    WHERE CASE WHEN json_valid(body) THEN json_extract(body, '$.contract') END = ?1
        AND CASE WHEN json_valid(body) THEN json_extract(body, '$.manifest_sha256') END IS NOT NULL
    ORDER BY position DESC LIMIT 1";

impl Ledger {
    /// SHA-256 of the manifest that was announced last for a contract; `None` before the first.
    pub fn announced(&self, contract: &str) -> Result<Option<String>, LedgerError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(LAST)?;
            Ok(statement.query_row(params![contract], |row| row.get(0)).optional()?)
        })
    }
}
