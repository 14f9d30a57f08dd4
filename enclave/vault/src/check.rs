//! [`Vault::check`]: everything that the store promises, asked of its files: digests, signatures, keys, schemas, order,
//! numbering, common split points, the constraints of the contract, and who is who. Names the file and the rule,
//! never a value. [`Vault::repair`] mends what needs no backup.

use std::collections::{BTreeSet, HashSet};

use arrow::array::{Array, AsArray, RecordBatchReader};
use arrow::datatypes::UInt32Type;
use memoranda::{Contract, Table};

use crate::files;
use crate::identity::{self, Desk, Unit, is_named, unit_at, units};
use crate::ingest::{part_of, staging, stored};
use crate::records::change::Change;
use crate::records::{AnnounceChange, Changed, RecordsError};
use crate::snapshot::{self, Part, ROW_COLUMN, Snapshot, SnapshotTable, manifest_name, manifest_path};
use crate::vault::{Vault, VaultError};

const BATCH_ROWS: usize = 8192;

/// What was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Number of files.
    pub files: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Number of rows.
    pub rows: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, or the table.
    pub place: String,
    /// Which rule is broken.
    pub rule: String,
    /// In words, without a value.
    pub message: String,
    /// What helps.
    pub mend: Mend,
}

/// What helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// [`Vault::repair`].
    Repair,
    /// The file from a backup, or the table ingested again.
    Restore,
    /// The table ingested again, or corrected.
    Ingest,
}

impl Mend {
    /// What to do.
    pub fn advice(self) -> &'static str {
        match self {
            Mend::Repair => "`enclave vault check --repair` mends it",
            Mend::Restore => "put the file back from a backup, or ingest the table again",
            Mend::Ingest => "ingest the table again, or correct its rows",
        }
    }
}

impl Checked {
    fn found(&mut self, place: &str, rule: &str, message: &str, mend: Mend) {
        let (place, rule, message) = (place.to_owned(), rule.to_owned(), message.to_owned());
        self.findings.push(Finding { place, rule, message, mend });
    }

    fn part(&mut self, part: &Part, rule: &str, message: &str) {
        self.found(&part.entry.place, rule, message, Mend::Restore);
    }
}

impl Vault {
    /// Checks the store of a contract. Reads every file of the snapshot in force.
    pub fn check(&self, contract: &Contract) -> Result<Checked, RecordsError> {
        let mut checked = Checked::default();
        let name = &contract.name;
        // While records come in, what they have written so far is named by nobody.
        if let Ok(_lock) = staging::lock(&self.home, name) {
            for path in staging::leftovers(self, name)? {
                checked.found(&path, "leftover", "no snapshot names it", Mend::Repair);
            }
        }
        let numbers = snapshot::numbers(&self.storage, name)?;
        for number in &numbers {
            if !self.is_whole(name, *number)? {
                let newest = Some(number) == numbers.last();
                let mend = if newest { Mend::Restore } else { Mend::Repair };
                let place = format!("{name}/manifests/{}", manifest_name(*number));
                checked.found(&place, "signature", "is not what the vault signed and sealed", mend);
                if newest {
                    return Ok(checked);
                }
            }
        }
        let Some(snapshot) = self.snapshot(name)? else { return Ok(checked) };
        let desk = self.desk()?;
        let mut damaged: BTreeSet<&str> = BTreeSet::new();
        for stored in &snapshot.tables {
            let before = checked.findings.len();
            self.check_files(&snapshot, stored, &mut checked)?;
            if let Some(table) = contract.table(&stored.name).filter(|_| checked.findings.len() == before) {
                self.check_order(&desk, &snapshot, table, stored, &mut checked)?;
            }
            if checked.findings.len() > before {
                damaged.insert(&stored.name);
            }
        }
        let mut wrong = |table: &str, part: Option<&Part>, column: Option<&str>, rule: &str, words: &str| {
            let place = part.map_or(format!("{name}/{table}"), |part| part.entry.place.clone());
            let words = column.map_or(words.to_owned(), |column| format!("column `{column}`: {words}"));
            checked.found(&place, rule, &words, Mend::Ingest);
        };
        stored::check(self, contract, &snapshot, &|table| !damaged.contains(table), &mut wrong)?;
        Ok(checked)
    }

    /// Removes what no snapshot names, forgets older snapshots whose manifest cannot be read, and takes out identities
    /// of nobody. What else is wrong stays.
    pub fn repair(
        &self,
        contract: &Contract,
        announce: AnnounceChange<'_>,
    ) -> Result<Option<Changed>, RecordsError> {
        let name = &contract.name;
        {
            let _lock = staging::lock(&self.home, name)?;
            let numbers = snapshot::numbers(&self.storage, name)?;
            for number in numbers.iter().rev().skip(1) {
                if !self.is_whole(name, *number)? {
                    self.storage.remove(&manifest_path(name, *number))?;
                }
            }
            staging::clean(self, name)?;
            if numbers.is_empty() {
                return Ok(None);
            }
        }
        let mut change = Change::begin(self, contract)?;
        for table in contract.tables.iter().filter(|table| is_named(table)) {
            change.remove_orphans(table)?;
        }
        if change.is_empty() { Ok(None) } else { change.commit(announce).map(Some) }
    }

    fn is_whole(&self, contract: &str, number: u64) -> Result<bool, VaultError> {
        match snapshot::load(&self.storage, &self.keys, contract, number) {
            Ok(_) => Ok(true),
            Err(VaultError::Damaged(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lengths, digests, keys, schemas.
    fn check_files(
        &self,
        snapshot: &Snapshot,
        stored: &SnapshotTable,
        checked: &mut Checked,
    ) -> Result<(), VaultError> {
        if stored.private && stored.parts.len() != snapshot.partitions as usize {
            let place = format!("{}/{}", snapshot.contract, stored.name);
            checked.found(
                &place,
                "partitions",
                "is cut into another number of parts than its snapshot",
                Mend::Ingest,
            );
        }
        let identities = self.desk()?.ring;
        let parts = stored.parts.iter().map(|part| (part, &self.keys.ring));
        for (part, ring) in parts.chain(stored.identity.iter().map(|part| (part, &*identities))) {
            checked.files += 1;
            checked.bytes += part.size;
            match self.storage.digest(&part.path)? {
                None => checked.part(part, "missing", "is not there"),
                Some((size, _)) if size != part.size => {
                    checked.part(part, "length", "is not as long as it was written")
                }
                Some((_, digest)) if digest != part.entry.sha256 => {
                    checked.part(part, "digest", "is not what the vault wrote there");
                }
                Some(_) => match files::read(part, ring, None, BATCH_ROWS) {
                    Err(VaultError::NoKey(_)) => checked.part(part, "key", "its key is not in the keyring"),
                    Err(VaultError::Damaged(_)) => checked.part(part, "key", "does not open with its key"),
                    Err(error) => return Err(error),
                    Ok(rows) if !part.entry.identity && rows.schema().fields() != stored.schema.fields() => {
                        checked.part(part, "schema", "has other columns than its table");
                    }
                    Ok(_) => {}
                },
            }
        }
        Ok(())
    }

    /// Order, numbering, split points, rows of one pupil, and who is who.
    fn check_order(
        &self,
        desk: &Desk<'_>,
        snapshot: &Snapshot,
        table: &Table,
        stored: &SnapshotTable,
        checked: &mut Checked,
    ) -> Result<(), VaultError> {
        let most = table.max_rows_per_unit.map_or(u64::MAX, |most| most.0);
        let mut pupils: HashSet<Unit> = HashSet::new();
        for (number, part) in stored.parts.iter().enumerate() {
            let (mut rows, mut last): (u64, Option<(Unit, u32)>) = (0, None);
            let mut broken: BTreeSet<(&str, &str)> = BTreeSet::new();
            let columns: &[&str] = &[snapshot::UNIT_COLUMN, ROW_COLUMN];
            let columns = stored.private.then_some(columns);
            identity::each_batch(&self.keys.ring, part, columns, |batch| {
                rows += batch.num_rows() as u64;
                let Some(units) = units(&batch) else { return Ok(()) };
                let numbers = batch.column(1).as_primitive::<UInt32Type>();
                for row in 0..units.len() {
                    let here = (unit_at(units, row), numbers.value(row));
                    let same = last.is_some_and(|(unit, _)| unit == here.0);
                    if last.is_some_and(|last| last >= here) {
                        broken.insert(("order", "its rows are not in the order of pupils"));
                    }
                    if !same && part_of(&here.0, snapshot.partitions) != number {
                        broken.insert(("split points", "has pupils of another part"));
                    }
                    if u64::from(here.1) >= most {
                        broken.insert(("maxRowsPerUnit", "has more rows of one pupil than declared"));
                    }
                    if !same && is_named(table) {
                        pupils.insert(here.0);
                    }
                    last = Some(here);
                }
                Ok(())
            })?;
            checked.rows += rows;
            if rows != part.rows {
                broken.insert(("rows", "has another number of rows than its manifest says"));
            }
            for (rule, message) in broken {
                checked.part(part, rule, message);
            }
        }
        if !is_named(table) {
            return Ok(());
        }
        for part in &stored.identity {
            let orphans = identity::has_any(&desk.ring, part, &|unit| !pupils.contains(unit))?;
            if orphans {
                let message = "has rows of nobody in its table";
                checked.found(&part.entry.place, "identity", message, Mend::Repair);
            }
        }
        Ok(())
    }
}
