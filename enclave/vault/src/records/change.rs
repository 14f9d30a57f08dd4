//! [`Change`]: a new snapshot out of the one in force.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use memoranda::{Contract, Table};

use super::{AnnounceChange, Changed, RecordsError};
use crate::files::FileWriter;
use crate::identity::{
    self, Desk, IdentityFiles, Unit, each_batch, has_any, is_named, unit_at, units, without,
};
use crate::ingest::staging::{self, Staging};
use crate::snapshot::{self, Manifest, Part, PartEntry, UNIT_COLUMN, stored_schema};
use crate::vault::{Vault, VaultError};

/// The next snapshot of a contract, while it is made. Nobody else changes the contract meanwhile.
pub(crate) struct Change<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) desk: Desk<'a>,
    pub(crate) contract: &'a Contract,
    pub(crate) manifest: Manifest,
    pub(crate) staging: Staging,
    tables: BTreeSet<String>,
    files: u64,
    _lock: File,
}

impl<'a> Change<'a> {
    pub(crate) fn begin(vault: &'a Vault, contract: &'a Contract) -> Result<Change<'a>, RecordsError> {
        let lock = staging::lock(&vault.home, &contract.name)?;
        staging::clean(vault, &contract.name)?;
        let newest = snapshot::numbers(&vault.storage, &contract.name)?.last().copied();
        let newest = newest.ok_or_else(|| RecordsError::Empty(contract.name.clone()))?;
        let (mut manifest, _) = snapshot::manifest(&vault.storage, &vault.keys, &contract.name, newest)?;
        let staging = Staging::create(vault, &contract.name)?;
        manifest.number = staging.number();
        manifest.id = staging.id().to_owned();
        let desk = Desk::open(vault)?;
        let tables = BTreeSet::new();
        Ok(Change { vault, desk, contract, manifest, staging, tables, files: 0, _lock: lock })
    }

    /// Whether any file was written anew.
    pub(crate) fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// Takes the rows of pupils out of a table, from one part or from all. Files without such rows stay as they are.
    pub(crate) fn remove(
        &mut self,
        table: &Table,
        only: Option<usize>,
        dropped: &dyn Fn(&Unit) -> bool,
    ) -> Result<(), VaultError> {
        let Some(place) = self.manifest.tables.iter().position(|entry| entry.name == table.name) else {
            return Ok(());
        };
        let entry = &self.manifest.tables[place];
        let schema =
            stored_schema(entry.private, &entry.columns).ok_or(VaultError::Engine("a kind is not known"))?;
        let (old_parts, old_identity) = (entry.parts.clone(), entry.identity.clone());
        let mut parts = Vec::with_capacity(old_parts.len());
        for (number, old) in old_parts.into_iter().enumerate() {
            let part = self.part(&old)?;
            let ring = &self.vault.keys.ring;
            if only.is_some_and(|only| only != number) || !has_any(ring, &part, dropped)? {
                parts.push(old);
                continue;
            }
            let (path, place) = self.staging.part(&table.name, number as u32);
            let storage = self.staging.storage();
            let mut file = FileWriter::again(storage, ring, &old, path, place, Arc::clone(&schema))?;
            each_batch(ring, &part, None, |batch| write(&mut file, &without(&batch, dropped)?))?;
            parts.push(file.finish()?);
            self.note(&table.name, 1);
        }
        if is_named(table) {
            let old = old_identity.iter().map(|entry| self.part(entry)).collect::<Result<Vec<_>, _>>()?;
            let files = IdentityFiles::new(&self.desk, &self.staging, &self.contract.name, table);
            let identity = files.finish(&old, dropped)?;
            let same = |entry: &&PartEntry| old_identity.iter().any(|old| old.place == entry.place);
            let anew = identity.iter().filter(|entry| !same(entry)).count() as u64;
            if anew > 0 || identity.len() < old_identity.len() {
                self.note(&table.name, anew);
            }
            self.manifest.tables[place].identity = identity;
        }
        let entry = &mut self.manifest.tables[place];
        entry.rows = parts.iter().map(|part| part.rows).sum();
        entry.parts = parts;
        Ok(())
    }

    /// Takes out identities of pupils who have no row in the table.
    pub(crate) fn remove_orphans(&mut self, table: &Table) -> Result<(), VaultError> {
        let Some(entry) = self.manifest.tables.iter().find(|entry| entry.name == table.name) else {
            return Ok(());
        };
        let mut pupils = HashSet::new();
        for entry in &entry.parts {
            each_batch(&self.vault.keys.ring, &self.part(entry)?, Some(&[UNIT_COLUMN]), |batch| {
                let units = units(&batch).map_or(0..0, |units| 0..units.len());
                pupils.extend(units.filter_map(|row| Some(unit_at(identity::units(&batch)?, row))));
                Ok(())
            })?;
        }
        // No part has rows of them.
        self.remove(table, Some(usize::MAX), &|unit| !pupils.contains(unit))
    }

    /// A file of the manifest.
    pub(crate) fn part(&self, entry: &PartEntry) -> Result<Part, VaultError> {
        let part = Part::of(Arc::new(entry.clone()), &self.vault.keys, &self.vault.storage);
        part.ok_or_else(|| VaultError::Damaged(entry.place.clone()))
    }

    /// Files of a table were written.
    pub(crate) fn note(&mut self, table: &str, files: u64) {
        self.tables.insert(table.to_owned());
        self.files += files;
    }

    /// Puts it in force.
    pub(crate) fn commit(self, announce: AnnounceChange<'_>) -> Result<Changed, RecordsError> {
        let mut changed = Changed {
            snapshot_id: self.manifest.id.clone(),
            manifest_sha256: String::new(),
            tables: self.tables.into_iter().collect(),
            files: self.files,
        };
        let in_force = self.staging.commit(&self.manifest, |digest| {
            changed.manifest_sha256 = digest;
            announce(&changed).map_err(RecordsError::NotAnnounced)
        })?;
        // Another home with the same store was quicker.
        if in_force { Ok(changed) } else { Err(RecordsError::Busy(self.contract.name.clone())) }
    }
}

/// No empty batch makes a row group of its own.
pub(crate) fn write(file: &mut FileWriter, batch: &RecordBatch) -> Result<(), VaultError> {
    if batch.num_rows() == 0 { Ok(()) } else { file.write(batch) }
}
