//! Which file is to blame where rows could not be read. Nothing has come out by then: whatever is read authenticates
//! itself.

use queries::tree::Rel;

use super::EvaluateError;
use crate::snapshot::Snapshot;

/// The first file of the tables that a stage reads which is not what was written; else the failure is of another kind.
pub(super) fn named(source: &Rel, snapshot: &Snapshot) -> EvaluateError {
    let scans = source.scans();
    let tables = scans.into_iter().filter_map(|scan| snapshot.table(&scan.table));
    for part in tables.flat_map(|table| &table.parts) {
        match snapshot.storage.digest(&part.path) {
            Ok(Some((size, digest))) if size == part.size && digest == part.entry.sha256 => {}
            Ok(_) => return EvaluateError::Damaged(part.entry.place.clone()),
            Err(_) => return EvaluateError::Failed,
        }
    }
    EvaluateError::Failed
}
