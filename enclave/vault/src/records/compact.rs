//! Parts of another number: a store that has grown or shrunk is cut anew, and small files of a public table become
//! one. Parts are ordered by pupil, and cut at powers of two, so that one pass over each table does it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use memoranda::{Contract, Table};

use super::change::{Change, write};
use super::{AnnounceChange, Changed, RecordsError};
use crate::files::FileWriter;
use crate::identity::{each_batch, unit_at, units};
use crate::ingest::{part_of, parts_for};
use crate::snapshot::stored_schema;
use crate::vault::{Vault, VaultError};

impl Vault {
    /// Cuts the tables into as many parts as suit their rows. `None`: they are.
    pub fn compact(
        &self,
        contract: &Contract,
        announce: AnnounceChange<'_>,
    ) -> Result<Option<Changed>, RecordsError> {
        let mut change = Change::begin(self, contract)?;
        let most = change.manifest.tables.iter().filter(|table| table.private).map(|table| table.rows).max();
        let partitions = parts_for(most.unwrap_or(0));
        let cut_anew = partitions != change.manifest.partitions;
        for place in 0..change.manifest.tables.len() {
            let entry = &change.manifest.tables[place];
            let Some(table) = contract.table(&entry.name) else { continue };
            if if entry.private { cut_anew } else { entry.parts.len() > 1 } {
                change.cut(table, place, if entry.private { partitions } else { 1 })?;
            }
        }
        change.manifest.partitions = partitions;
        if change.is_empty() { Ok(None) } else { change.commit(announce).map(Some) }
    }
}

impl Change<'_> {
    fn cut(&mut self, table: &Table, place: usize, partitions: u32) -> Result<(), VaultError> {
        let entry = &self.manifest.tables[place];
        let schema =
            stored_schema(entry.private, &entry.columns).ok_or(VaultError::Engine("a kind is not known"))?;
        let ring = &self.vault.keys.ring;
        let begin = |number: u32| {
            let (path, place) = self.staging.part(&table.name, number);
            let storage = self.staging.storage();
            FileWriter::attributes(storage, ring, table, path, place, Arc::clone(&schema))
        };
        let mut parts = Vec::with_capacity(partitions as usize);
        let mut file = begin(0)?;
        for old in &entry.parts {
            each_batch(ring, &self.part(old)?, None, |batch| {
                let mut from = 0;
                while from < batch.num_rows() {
                    let here = parts.len();
                    let to = end_of_part(&batch, from, here, partitions);
                    write(&mut file, &batch.slice(from, to - from))?;
                    if to < batch.num_rows() {
                        parts.push(std::mem::replace(&mut file, begin(here as u32 + 1)?).finish()?);
                    }
                    from = to;
                }
                Ok(())
            })?;
        }
        parts.push(file.finish()?);
        while parts.len() < partitions as usize {
            parts.push(begin(parts.len() as u32)?.finish()?);
        }
        let files = parts.len() as u64;
        self.manifest.tables[place].parts = parts;
        self.note(&table.name, files);
        Ok(())
    }
}

/// Where the rows from `from` on, which are in order, leave a part.
fn end_of_part(batch: &RecordBatch, from: usize, part: usize, partitions: u32) -> usize {
    let Some(units) = units(batch) else { return batch.num_rows() };
    let rows: Vec<usize> = (from..batch.num_rows()).collect();
    from + rows.partition_point(|row| part_of(&unit_at(units, *row), partitions) <= part)
}
