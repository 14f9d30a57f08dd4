//! Which rows of an over-contributing pupil are kept. Decided by the release's secret, the pupil and what the
//! rows themselves say: so that it depends neither on the order of rows nor on any other pupil, and nobody
//! can arrange beforehand which of a pupil's rows count.

use std::hash::{DefaultHasher, Hasher};

use datafusion::common::HashMap;
use disclosure_rules::sensitivity::Contribution;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::numbering::Numbering;
use super::rows::{Adds, Mark, Rows};

/// Fresh for each release.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    pub(super) fn fresh() -> Result<Secret, ring::error::Unspecified> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes)?;
        Ok(Secret(bytes))
    }

    /// A keyed hash (SipHash) over the secret, the pupil and what is ranked. The bounds hold whatever it
    /// says.
    fn of(&self, unit: &[u8; 16]) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher.write(unit);
        hasher
    }
}

/// One pupil's rows, to be ranked.
pub(super) struct Pupil<'a> {
    hasher: DefaultHasher,
    rows: &'a Rows,
    /// Per key, its mark.
    keys: &'a [Mark],
    adds: &'a [Adds],
}

impl<'a> Pupil<'a> {
    pub(super) fn new(
        secret: &Secret,
        unit: &[u8; 16],
        rows: &'a Rows,
        keys: &'a [Mark],
        adds: &'a [Adds],
    ) -> Pupil<'a> {
        Pupil { hasher: secret.of(unit), rows, keys, adds }
    }

    /// All that a row says. Rows that say the same may stand for each other.
    fn content(&self, row: usize) -> impl Iterator<Item = Mark> {
        let adds = self.adds.iter().zip(&self.rows.adds).map(move |(of, adds)| of.mark(adds[row]));
        std::iter::once(self.keys[self.rows.keys[row]]).chain(adds)
    }

    fn rank(&self, what: u8, content: impl Iterator<Item = Mark>) -> u64 {
        let mut hasher = self.hasher.clone();
        hasher.write_u8(what);
        content.for_each(|mark| hasher.write_u128(mark));
        hasher.finish()
    }

    /// Rows in the order of their ranks.
    pub(super) fn ranked(&self, rows: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut ranked: Vec<_> = rows.map(|row| (self.rank(0, self.content(row)), row)).collect();
        ranked.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.content(a.1).cmp(self.content(b.1))));
        ranked.into_iter().map(|(_, row)| row).collect()
    }

    /// Of `rows`, in the order of their ranks, those that the bounds admit: of the groups that rank first,
    /// the rows that rank first.
    pub(super) fn admitted(
        &self,
        bound: &Contribution,
        rows: impl Iterator<Item = usize> + Clone,
        numbering: &Numbering,
    ) -> Vec<usize> {
        let group = |row: usize| numbering.group(self.rows.keys[row]);
        let mut groups: Vec<usize> = rows.clone().map(group).collect();
        groups.sort_unstable();
        groups.dedup();
        let rank = |group: usize| {
            let mark = numbering.mark(group);
            (self.rank(1, std::iter::once(mark)), mark, group)
        };
        let mut groups: Vec<_> = groups.into_iter().map(rank).collect();
        groups.sort_unstable();
        groups.truncate(usize::try_from(bound.groups).unwrap_or(usize::MAX));
        let mut in_group: HashMap<usize, u64> = groups.into_iter().map(|(.., group)| (group, 0)).collect();
        let mut kept = Vec::new();
        for row in self.ranked(rows) {
            if kept.len() as u64 >= bound.rows {
                break;
            }
            match in_group.get_mut(&group(row)) {
                Some(already) if *already < bound.rows_per_group => {
                    *already += 1;
                    kept.push(row);
                }
                _ => {}
            }
        }
        kept
    }
}

/// Whether rows of these groups, of one pupil, are within the bounds. `known` is how many groups there are.
pub(super) fn within(
    bound: &Contribution,
    groups: impl ExactSizeIterator<Item = usize>,
    known: usize,
) -> bool {
    let count = groups.len() as u64;
    if count > bound.rows {
        return false;
    }
    // A pupil touches no more groups than it has rows, and no more than have been seen of all pupils.
    if count.min(known as u64) <= bound.groups && count <= bound.rows_per_group {
        return true;
    }
    let mut sorted: Vec<usize> = groups.collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    let (groups, most) = runs.fold((0, 0), |(groups, most), run| (groups + 1, most.max(run.len() as u64)));
    groups <= bound.groups && most <= bound.rows_per_group
}
