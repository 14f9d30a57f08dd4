//! The only door to names and numbers: [`Desk`], where a custodian looks pupils up. Who is who lies in files of its
//! own, one for each table and cohort (the year in which its pupils finish compulsory education), under a key for
//! each cohort; the ring of these keys is opened here and by no question. Neither [`Vault`] nor `Snapshot` holds it.
//!
//! A table without identifier columns has no identity file: the pseudonym follows from the number that the
//! custodian knows.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, FixedSizeBinaryArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, SchemaRef};
use chrono::{Datelike, NaiveDate, TimeDelta};
use memoranda::{Contract, Role, Table};

use crate::files::{self, FileWriter};
use crate::ingest::staging::Staging;
use crate::keys::ring::Ring;
use crate::keys::{self, name};
use crate::snapshot::{Part, PartEntry, ROW_COLUMN, SnapshotTable, UNIT_BYTES, UNIT_COLUMN, data_type};
use crate::vault::{Vault, VaultError};

const BATCH_ROWS: usize = 8192;

/// A pseudonym.
pub(crate) type Unit = [u8; 16];

/// Where a custodian looks pupils up. Holds the keys of identities as long as it is there.
pub struct Desk<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) ring: Arc<Ring>,
}

impl fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl<'a> Desk<'a> {
    pub(crate) fn open(vault: &'a Vault) -> Result<Desk<'a>, VaultError> {
        Ok(Desk { vault, ring: keys::identities(&vault.home)? })
    }

    /// Reads an identity file, batch by batch.
    pub(crate) fn each(
        &self,
        part: &Part,
        columns: Option<&[&str]>,
        take: impl FnMut(RecordBatch) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        each_batch(&self.ring, part, columns, take)
    }
}

/// Reads a part, batch by batch.
pub(crate) fn each_batch(
    ring: &Ring,
    part: &Part,
    columns: Option<&[&str]>,
    mut take: impl FnMut(RecordBatch) -> Result<(), VaultError>,
) -> Result<(), VaultError> {
    let damaged = || VaultError::Damaged(part.entry.place.clone());
    for batch in files::read(part, ring, columns, BATCH_ROWS)? {
        take(batch.map_err(|_| damaged())?)?;
    }
    Ok(())
}

/// The pseudonyms of a batch.
pub(crate) fn units(batch: &RecordBatch) -> Option<&FixedSizeBinaryArray> {
    batch.column_by_name(UNIT_COLUMN)?.as_fixed_size_binary_opt()
}

/// The pseudonym of a row.
pub(crate) fn unit_at(units: &FixedSizeBinaryArray, row: usize) -> Unit {
    let mut unit = [0; 16];
    unit.copy_from_slice(units.value(row));
    unit
}

/// The year, named from March, in which pupils finish compulsory education.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cohort(u16);

impl Cohort {
    /// Where the contract declares none.
    const EVERY: Cohort = Cohort(u16::MAX);
    /// Of a pupil for whom the declared column says nothing.
    const UNKNOWN: Cohort = Cohort(0);

    fn of_year(year: i64) -> Cohort {
        u16::try_from(year).ok().filter(|year| (1..=9999).contains(year)).map_or(Cohort::UNKNOWN, Cohort)
    }

    /// Of a date of birth, in days since 1970-01-01: who was born between 2 April of Y and 1 April of Y + 1 finishes in
    /// March of Y + 16 (School Education Act, articles 17 and 22 of the order on age: an age is attained the day before).
    pub(crate) fn of_birth(days: i32) -> Cohort {
        let epoch = NaiveDate::default();
        let Some(birth) = epoch.checked_add_signed(TimeDelta::days(i64::from(days))) else {
            return Cohort::UNKNOWN;
        };
        let late = (birth.month(), birth.day()) >= (4, 2);
        Cohort::of_year(i64::from(birth.year()) + if late { 16 } else { 15 })
    }

    /// The year; `None` where it is not known.
    pub(crate) fn year(self) -> Option<i32> {
        (self != Cohort::EVERY && self != Cohort::UNKNOWN).then_some(i32::from(self.0))
    }

    /// As in names of files and keys.
    pub(crate) fn name(self) -> String {
        match self {
            Cohort::EVERY => "all".to_owned(),
            Cohort::UNKNOWN => "unknown".to_owned(),
            Cohort(year) => format!("{year:04}"),
        }
    }

    /// Of an identity file, as its key says.
    pub(crate) fn of_file(entry: &PartEntry) -> Cohort {
        match entry.keys.footer.by.rsplit('/').next() {
            Some("all") => Cohort::EVERY,
            Some(year) => year.parse().map_or(Cohort::UNKNOWN, Cohort::of_year),
            None => Cohort::UNKNOWN,
        }
    }
}

/// The cohort of every pupil: some 40 bytes each.
#[derive(Default)]
pub(crate) struct Cohorts {
    declared: bool,
    by_unit: HashMap<Unit, Cohort>,
}

impl Cohorts {
    /// None is known yet.
    pub(crate) fn empty(contract: &Contract) -> Cohorts {
        Cohorts { declared: declaring(contract).is_some(), by_unit: HashMap::new() }
    }

    /// Those that the stored table says.
    pub(crate) fn stored(
        desk: &Desk<'_>,
        contract: &Contract,
        stored: &SnapshotTable,
    ) -> Result<Cohorts, VaultError> {
        let mut cohorts = Cohorts::empty(contract);
        let Some((table, column)) = declaring(contract) else { return Ok(cohorts) };
        let apart = table.column(column).is_some_and(|column| column.role == Role::Identifier);
        let (parts, ring) =
            if apart { (&stored.identity, &*desk.ring) } else { (&stored.parts, &desk.vault.keys.ring) };
        for part in parts {
            each_batch(ring, part, Some(&[UNIT_COLUMN, column]), |batch| {
                if let (Some(units), Some(values)) = (units(&batch), batch.column_by_name(column)) {
                    cohorts.note(units, values);
                }
                Ok(())
            })?;
        }
        Ok(cohorts)
    }

    /// Takes rows of the declaring table; the last row of a pupil counts.
    pub(crate) fn note(&mut self, units: &FixedSizeBinaryArray, values: &ArrayRef) {
        for row in 0..units.len() {
            let cohort = match values.data_type() {
                _ if values.is_null(row) => Cohort::UNKNOWN,
                DataType::Date32 => Cohort::of_birth(values.as_primitive::<Date32Type>().value(row)),
                DataType::Int64 => Cohort::of_year(values.as_primitive::<Int64Type>().value(row)),
                _ => Cohort::UNKNOWN,
            };
            self.by_unit.insert(unit_at(units, row), cohort);
        }
    }

    /// Of a pupil.
    pub(crate) fn of(&self, unit: &Unit) -> Cohort {
        if !self.declared {
            return Cohort::EVERY;
        }
        self.by_unit.get(unit).copied().unwrap_or(Cohort::UNKNOWN)
    }
}

/// The table and the column that say when pupils finish school.
pub(crate) fn declaring(contract: &Contract) -> Option<(&Table, &str)> {
    contract.tables.iter().find_map(|table| Some((table, table.cohort.as_deref()?)))
}

/// Whether a table has an identity file.
pub(crate) fn is_named(table: &Table) -> bool {
    table.is_private() && table.columns.iter().any(|column| column.role == Role::Identifier)
}

/// As identity files are stored: `__unit`, `__row`, then the unit column and the identifiers.
pub(crate) fn identity_schema(table: &Table) -> SchemaRef {
    let named = table.columns.iter().filter(|column| column.role != Role::Attribute);
    let mut fields = vec![
        Field::new(UNIT_COLUMN, DataType::FixedSizeBinary(UNIT_BYTES), false),
        Field::new(ROW_COLUMN, DataType::UInt32, false),
    ];
    fields.extend(named.map(|column| Field::new(&column.name, data_type(column.kind), true)));
    Arc::new(Schema::new(fields))
}

/// The identity files of one table in a new snapshot.
pub(crate) struct IdentityFiles<'a> {
    desk: &'a Desk<'a>,
    staging: &'a Staging,
    contract: &'a str,
    table: &'a str,
    schema: SchemaRef,
    writers: BTreeMap<Cohort, FileWriter>,
}

impl<'a> IdentityFiles<'a> {
    pub(crate) fn new(desk: &'a Desk<'a>, staging: &'a Staging, contract: &'a str, table: &'a Table) -> Self {
        let schema = identity_schema(table);
        IdentityFiles { desk, staging, contract, table: &table.name, schema, writers: BTreeMap::new() }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Adds rows, each to the file of its cohort.
    pub(crate) fn write(&mut self, batch: &RecordBatch, cohorts: &Cohorts) -> Result<(), VaultError> {
        let Some(units) = units(batch) else { return Ok(()) };
        let mut rows: BTreeMap<Cohort, Vec<u32>> = BTreeMap::new();
        for row in 0..batch.num_rows() {
            rows.entry(cohorts.of(&unit_at(units, row))).or_default().push(row as u32);
        }
        for (cohort, rows) in rows {
            let rows = take_record_batch(batch, &UInt32Array::from(rows))
                .map_err(|_| VaultError::Engine("rows cannot be chosen"))?;
            self.write_to(cohort, &rows)?;
        }
        Ok(())
    }

    fn write_to(&mut self, cohort: Cohort, batch: &RecordBatch) -> Result<(), VaultError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if !self.writers.contains_key(&cohort) {
            let (path, place) = self.staging.identity(self.table, &cohort.name());
            let by = name::identities(self.contract, &cohort.name());
            let schema = Arc::clone(&self.schema);
            let file =
                FileWriter::identities(self.staging.storage(), &self.desk.ring, &by, path, place, schema)?;
            self.writers.insert(cohort, file);
        }
        self.writers.get_mut(&cohort).map_or(Ok(()), |file| file.write(batch))
    }

    /// The files: what was written, and of the `old` ones the rows of pupils that are not `dropped`. An old file that
    /// nothing is added to or taken from stays as it is.
    pub(crate) fn finish(
        mut self,
        old: &[Part],
        dropped: &dyn Fn(&Unit) -> bool,
    ) -> Result<Vec<PartEntry>, VaultError> {
        let mut entries = Vec::new();
        for part in old {
            let cohort = Cohort::of_file(&part.entry);
            if !self.writers.contains_key(&cohort) && !has_any(&self.desk.ring, part, dropped)? {
                entries.push(part.entry.as_ref().clone());
                continue;
            }
            let desk = self.desk;
            desk.each(part, None, |batch| {
                let rows = without(&batch, dropped)?;
                // Of a table that has got or lost an identifier since.
                if rows.schema().fields() == self.schema.fields() {
                    self.write_to(cohort, &rows)
                } else {
                    Err(outdated(part))
                }
            })?;
        }
        for file in self.writers.into_values() {
            entries.push(file.finish()?);
        }
        Ok(entries)
    }
}

/// Moves the identities of pupils whose cohort has changed: the table's files afterwards.
pub(crate) fn rehome(
    desk: &Desk<'_>,
    staging: &Staging,
    contract: &Contract,
    table: &Table,
    old: &[Part],
    cohorts: &Cohorts,
) -> Result<Vec<PartEntry>, VaultError> {
    let mut files = IdentityFiles::new(desk, staging, &contract.name, table);
    let mut moved = std::collections::HashSet::new();
    for part in old {
        let here = Cohort::of_file(&part.entry);
        desk.each(part, None, |batch| {
            let elsewhere = |unit: &Unit| cohorts.of(unit) != here;
            let rows = without(&batch, &|unit| !elsewhere(unit))?;
            if let Some(units) = units(&rows) {
                moved.extend((0..rows.num_rows()).map(|row| unit_at(units, row)));
            }
            files.write(&rows, cohorts)
        })?;
    }
    // Rows that were moved are in no old file of their new cohort.
    files.finish(old, &|unit| moved.contains(unit))
}

/// Whether a part has rows of such a pupil.
pub(crate) fn has_any(ring: &Ring, part: &Part, wanted: &dyn Fn(&Unit) -> bool) -> Result<bool, VaultError> {
    let mut found = false;
    for batch in files::read(part, ring, Some(&[UNIT_COLUMN]), BATCH_ROWS)? {
        let batch = batch.map_err(|_| VaultError::Damaged(part.entry.place.clone()))?;
        let units = units(&batch).ok_or_else(|| outdated(part))?;
        found = (0..units.len()).any(|row| wanted(&unit_at(units, row)));
        if found {
            break;
        }
    }
    Ok(found)
}

/// The rows of pupils that are not dropped.
pub(crate) fn without(
    batch: &RecordBatch,
    dropped: &dyn Fn(&Unit) -> bool,
) -> Result<RecordBatch, VaultError> {
    let Some(units) = units(batch) else { return Ok(batch.clone()) };
    let left: BooleanArray = (0..batch.num_rows()).map(|row| Some(!dropped(&unit_at(units, row)))).collect();
    filter_record_batch(batch, &left).map_err(|_| VaultError::Engine("rows cannot be chosen"))
}

fn outdated(part: &Part) -> VaultError {
    VaultError::Damaged(part.entry.place.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn the_second_of_april_begins_a_cohort() {
        let of = |date: &str| {
            let days =
                date.parse::<NaiveDate>().unwrap().signed_duration_since(NaiveDate::default()).num_days();
            Cohort::of_birth(i32::try_from(days).unwrap()).name()
        };
        // Whoever is born on 1 April attains an age on 31 March, and starts school with the year before.
        for (birth, cohort) in [
            ("2010-04-02", "2026"),
            ("2011-04-01", "2026"),
            ("2011-04-02", "2027"),
            ("2010-12-31", "2026"),
            ("2011-01-01", "2026"),
            ("2010-04-01", "2025"),
        ] {
            assert_eq!(of(birth), cohort, "{birth}");
        }
        assert_eq!(Cohort::of_birth(i32::MAX), Cohort::UNKNOWN);
    }
}
