//! Records go: of one pupil, at the wish of the pupil or the guardian; of all whose time is over.

use std::collections::{HashMap, HashSet};

use chrono::{Datelike, NaiveDate};
use memoranda::{Contract, Table};

use super::change::Change;
use super::{AnnounceChange, Changed, RecordsError};
use crate::identity::{Cohorts, Unit, declaring};
use crate::ingest::part_of;
use crate::snapshot;
use crate::vault::Vault;

impl Vault {
    /// Takes one pupil's rows out of every table: one file of attributes and one of identities of each are written
    /// anew. The snapshots before still hold the rows until they expire: see [`Vault::expire`].
    pub fn delete_pupil(
        &self,
        contract: &Contract,
        number: &str,
        announce: AnnounceChange<'_>,
    ) -> Result<Changed, RecordsError> {
        let unit = self.desk()?.unit(contract, number)?;
        let mut change = Change::begin(self, contract)?;
        let part = part_of(&unit, change.manifest.partitions);
        for table in contract.tables.iter().filter(|table| table.is_private()) {
            change.remove(table, Some(part), &|other| *other == unit)?;
        }
        let kept = change.manifest.kept.len();
        change.manifest.kept.retain(|kept| *kept != hex::encode(unit));
        if change.is_empty() && change.manifest.kept.len() == kept {
            return Err(RecordsError::NotHeld);
        }
        change.commit(announce)
    }

    /// Keeps one pupil's records beyond their time, or no longer.
    pub fn keep_pupil(
        &self,
        contract: &Contract,
        number: &str,
        keep: bool,
        announce: AnnounceChange<'_>,
    ) -> Result<Changed, RecordsError> {
        let desk = self.desk()?;
        if desk.held(contract, number)?.is_empty() {
            return Err(RecordsError::NotHeld);
        }
        let unit = hex::encode(desk.unit(contract, number)?);
        let mut change = Change::begin(self, contract)?;
        change.manifest.kept.retain(|kept| *kept != unit);
        if keep {
            change.manifest.kept.push(unit);
            change.manifest.kept.sort();
        }
        change.commit(announce)
    }

    /// Takes out the rows whose time was over on `today`: those of pupils who left compulsory education more than
    /// `enclave:retentionYears` before, counted from the 31 March of their cohort. Pupils that are to be kept, and
    /// those whose cohort is not known, stay. `None`: there is nothing to dispose of.
    pub fn dispose(
        &self,
        contract: &Contract,
        today: NaiveDate,
        announce: AnnounceChange<'_>,
    ) -> Result<Option<Changed>, RecordsError> {
        let Some((telling, _)) = declaring(contract) else {
            return Err(RecordsError::NoCohort(contract.name.clone()));
        };
        let current = snapshot::current(&self.storage, &self.keys, &contract.name)?;
        let current = current.ok_or_else(|| RecordsError::Empty(contract.name.clone()))?;
        let Some(stored) = current.table(&telling.name) else { return Ok(None) };
        let mut change = Change::begin(self, contract)?;
        let cohorts = Cohorts::stored(&change.desk, contract, stored)?;
        let years = retention(contract);
        let kept: HashSet<Unit> =
            change.manifest.kept.iter().filter_map(|kept| hex::decode(kept).ok()?.try_into().ok()).collect();
        for table in contract.tables.iter().filter(|table| table.is_private()) {
            let Some(Some(years)) = years.get(table.name.as_str()) else { continue };
            let over = |unit: &Unit| {
                let left = cohorts.of(unit).year();
                left.is_some_and(|left| is_over(left, *years, today)) && !kept.contains(unit)
            };
            change.remove(table, None, &over)?;
        }
        if change.is_empty() { Ok(None) } else { change.commit(announce).map(Some) }
    }
}

/// Whether the last of `years` years after 31 March of `left` has ended.
fn is_over(left: i32, years: u32, today: NaiveDate) -> bool {
    let school_year = if today.month() >= 4 { today.year() } else { today.year() - 1 };
    i64::from(school_year) >= i64::from(left) + i64::from(years)
}

/// How long the rows of each private table stay: as declared, but not shorter than what refers to them, and the table
/// that tells the cohorts as long as any. `None`: for ever.
fn retention(contract: &Contract) -> HashMap<&str, Option<u32>> {
    let private = || contract.tables.iter().filter(|table| table.is_private());
    let mut years: HashMap<&str, Option<u32>> =
        private().map(|table| (table.name.as_str(), table.retention_years)).collect();
    let longer = |a: Option<u32>, b: Option<u32>| a.zip(b).map(|(a, b)| a.max(b));
    // Each round follows references one step.
    for _ in 0..contract.tables.len() {
        for table in private() {
            let own = years.get(table.name.as_str()).copied().flatten();
            let tells = |other: &&Table| other.cohort.is_some();
            let targets = table.foreign_keys.iter().map(|key| key.table.as_str());
            for target in targets.chain(private().filter(tells).map(|table| table.name.as_str())) {
                if let Some(target) = years.get_mut(target) {
                    *target = longer(*target, own);
                }
            }
        }
    }
    years
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn time_is_over_with_the_school_year() {
        let on = |date: &str| is_over(2026, 5, date.parse().unwrap());
        assert!(!on("2031-03-31"));
        assert!(on("2031-04-01"));
        assert!(on("2032-01-01"));
        assert!(!on("2031-01-01"));
    }
}
