//! [`Meeting`]: two streams of rows in the order of pupils, taken as far as pupils are whole on both sides; and
//! which of their rows meet.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat, concat_batches, take};
use arrow::datatypes::SchemaRef;
use datafusion::common::{JoinSide, JoinType, Result, internal_err};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use futures::StreamExt;

use super::words::{NULL, Numbers, Words};

/// Pairs of rows that are enough for a batch.
const PAIRS: usize = 16_384;
/// Rows of a pupil that are worth sorting, to find those that meet.
const WORTH_SORTING: usize = 48;

type Unit = [u8; 16];

/// How rows meet, and what comes out.
pub(super) struct Terms {
    /// The side whose order stays, and whose rows come out also where they meet none, if any do.
    pub(super) outer: Option<JoinSide>,
    pub(super) kind: JoinType,
    /// Left and right: the pupil, then what else must be equal.
    pub(super) on: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
    pub(super) filter: Option<JoinFilter>,
    /// Where each column comes from.
    pub(super) columns: Vec<ColumnIndex>,
    pub(super) schema: SchemaRef,
}

/// The sides of a join on their way.
pub(super) struct Meeting {
    terms: Terms,
    left: Side,
    right: Side,
    chunk: Option<Chunk>,
    memory: MemoryReservation,
}

impl Meeting {
    pub(super) fn new(
        terms: Terms,
        left: SendableRecordBatchStream,
        right: SendableRecordBatchStream,
        memory: MemoryReservation,
    ) -> Result<Meeting> {
        let Some((of_left, of_right)) = terms.on.first().cloned() else {
            return internal_err!("a join without the pupil");
        };
        let (left, right) = (Side::new(left, of_left), Side::new(right, of_right));
        Ok(Meeting { terms, left, right, chunk: None, memory })
    }

    /// The next rows that meet.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(chunk) = &mut self.chunk {
                if let Some(batch) = chunk.next(&self.terms)? {
                    return Ok(Some(batch));
                }
                self.chunk = None;
            }
            if !self.advance().await? {
                return Ok(None);
            }
        }
    }

    /// Takes the rows of all pupils that are whole on both sides by now; whether more may come.
    async fn advance(&mut self) -> Result<bool> {
        for side in [&mut self.left, &mut self.right] {
            if side.held.is_empty() {
                side.read().await?;
            }
        }
        if self.left.held.is_empty() && self.right.held.is_empty() {
            return Ok(false);
        }
        // The last pupil of a side may go on in its next batch.
        let bound = match (self.left.last(), self.right.last()) {
            (Some(left), Some(right)) => Some(left.min(right)),
            (left, right) => left.or(right),
        };
        let (left, right) = (self.left.take_before(bound)?, self.right.take_before(bound)?);
        for side in [&mut self.left, &mut self.right] {
            if bound.is_some() && side.last() == bound {
                side.read().await?;
            }
        }
        let size = left.size() + right.size() + self.left.size() + self.right.size();
        self.memory.try_resize(size)?;
        self.chunk = Some(Chunk::new(&self.terms, left, right)?);
        Ok(true)
    }
}

/// One side, and its rows that were not taken yet.
struct Side {
    stream: SendableRecordBatchStream,
    unit: Arc<dyn PhysicalExpr>,
    held: Vec<Rows>,
    ended: bool,
}

impl Side {
    fn new(stream: SendableRecordBatchStream, unit: Arc<dyn PhysicalExpr>) -> Side {
        Side { stream, unit, held: Vec::new(), ended: false }
    }

    /// Holds the next rows too, unless there are none.
    async fn read(&mut self) -> Result<()> {
        while !self.ended {
            let Some(batch) = self.stream.next().await.transpose()? else {
                self.ended = true;
                return Ok(());
            };
            if batch.num_rows() > 0 {
                let units = self.unit.evaluate(&batch)?.into_array(batch.num_rows())?;
                self.held.push(Rows::new(batch, units)?);
                return Ok(());
            }
        }
        Ok(())
    }

    /// The last pupil so far, unless no more rows come.
    fn last(&self) -> Option<Unit> {
        if self.ended { None } else { self.held.last()?.units().last().copied() }
    }

    /// Takes the rows of the pupils before this one; without one, all.
    fn take_before(&mut self, bound: Option<Unit>) -> Result<Rows> {
        let (mut taken, mut held) = (Vec::new(), Vec::new());
        for rows in self.held.drain(..) {
            let units = rows.units();
            let end = bound.map_or(units.len(), |bound| units.partition_point(|unit| *unit < bound));
            let rest = units.len() - end;
            if end > 0 {
                taken.push(rows.slice(0, end));
            }
            if rest > 0 {
                held.push(rows.slice(end, rest));
            }
        }
        self.held = held;
        match taken.as_slice() {
            [rows] => Ok(rows.clone()),
            [] => Rows::new(
                RecordBatch::new_empty(self.stream.schema()),
                arrow::array::new_empty_array(&self.unit.data_type(&self.stream.schema())?),
            ),
            several => Rows::new(
                concat_batches(&self.stream.schema(), several.iter().map(|rows| &rows.rows))?,
                concat(&several.iter().map(|rows| rows.units.as_ref()).collect::<Vec<_>>())?,
            ),
        }
    }

    fn size(&self) -> usize {
        self.held.iter().map(Rows::size).sum()
    }
}

/// Rows and their pupils.
#[derive(Clone)]
struct Rows {
    rows: RecordBatch,
    units: ArrayRef,
}

impl Rows {
    fn new(rows: RecordBatch, units: ArrayRef) -> Result<Rows> {
        match units.as_fixed_size_binary_opt() {
            Some(array) if array.value_length() == 16 && array.null_count() == 0 => Ok(Rows { rows, units }),
            _ => internal_err!("a row of no pupil"),
        }
    }

    fn units(&self) -> &[Unit] {
        self.units.as_fixed_size_binary().value_data().as_chunks().0
    }

    fn slice(&self, offset: usize, length: usize) -> Rows {
        Rows { rows: self.rows.slice(offset, length), units: self.units.slice(offset, length) }
    }

    fn size(&self) -> usize {
        self.rows.get_array_memory_size()
    }
}

/// Rows of whole pupils, of both sides.
struct Chunk {
    /// The side of the outer rows.
    side: JoinSide,
    outer: Rows,
    inner: Rows,
    /// What must be equal beside the pupil, of either side.
    words: Option<[Vec<u128>; 2]>,
    /// The next outer row.
    at: usize,
    /// The inner rows of its pupil; and the same by what must be equal, where they are many.
    of_pupil: Range<usize>,
    by_word: Vec<(u128, u32)>,
}

/// Rows that meet, in the order of the outer ones.
#[derive(Default)]
struct Pairs {
    outer: Vec<u32>,
    inner: Vec<u32>,
}

impl Chunk {
    fn new(terms: &Terms, left: Rows, right: Rows) -> Result<Chunk> {
        let more = if left.units.len() > right.units.len() { JoinSide::Left } else { JoinSide::Right };
        let side = terms.outer.unwrap_or(more);
        let words = words(terms, &left.rows, &right.rows)?;
        let (outer, inner, words) = match side {
            JoinSide::Left => (left, right, words),
            _ => (right, left, words.map(|[left, right]| [right, left])),
        };
        Ok(Chunk { side, outer, inner, words, at: 0, of_pupil: 0..0, by_word: Vec::new() })
    }

    /// What comes of the next outer rows.
    fn next(&mut self, terms: &Terms) -> Result<Option<RecordBatch>> {
        let (from, mut pairs) = (self.at, Pairs::default());
        // Rows that agree often come one after the other: the inner rows that the last one met.
        let mut before = 0..0;
        while self.at < self.outer.units().len() && pairs.outer.len() < PAIRS {
            let first = self.is_first_of_pupil();
            if first {
                self.find_pupil();
            }
            let start = pairs.inner.len();
            if !first && self.at > from && self.is_as_before() {
                pairs.inner.extend_from_within(before);
            } else {
                self.find_rows(&mut pairs.inner);
            }
            pairs.outer.resize(pairs.inner.len(), self.at as u32);
            before = start..pairs.inner.len();
            self.at += 1;
        }
        if self.at == from {
            return Ok(None);
        }
        self.come_out(terms, from..self.at, pairs).map(Some)
    }

    fn is_first_of_pupil(&self) -> bool {
        let units = self.outer.units();
        self.at == 0 || units[self.at] != units[self.at - 1]
    }

    fn is_as_before(&self) -> bool {
        self.words.as_ref().is_none_or(|[outer, _]| outer[self.at] == outer[self.at - 1])
    }

    /// Goes on to the inner rows of the outer row's pupil.
    fn find_pupil(&mut self) {
        let (unit, inner) = (self.outer.units()[self.at], self.inner.units());
        let start =
            self.of_pupil.end + inner[self.of_pupil.end..].iter().take_while(|of| **of < unit).count();
        let end = start + inner[start..].iter().take_while(|of| **of == unit).count();
        self.of_pupil = start..end;
        self.by_word.clear();
        if let Some([_, inner]) = &self.words
            && self.of_pupil.len() >= WORTH_SORTING
        {
            self.by_word.extend(self.of_pupil.clone().map(|row| (inner[row], row as u32)));
            self.by_word.sort_unstable();
        }
    }

    /// The inner rows that the outer row meets.
    fn find_rows(&self, found: &mut Vec<u32>) {
        let rows = self.of_pupil.clone();
        let Some([outer, inner]) = &self.words else {
            found.extend(rows.map(|row| row as u32));
            return;
        };
        let word = outer[self.at];
        if word == NULL {
            return;
        }
        if self.by_word.is_empty() {
            found.extend(rows.filter(|&row| inner[row] == word).map(|row| row as u32));
        } else {
            let start = self.by_word.partition_point(|(of, _)| *of < word);
            let equal = self.by_word[start..].iter().take_while(|(of, _)| *of == word);
            found.extend(equal.map(|(_, row)| *row));
        }
    }

    /// What comes out of some outer rows, given those that meet.
    fn come_out(&self, terms: &Terms, rows: Range<usize>, pairs: Pairs) -> Result<RecordBatch> {
        use JoinType::{LeftAnti, LeftSemi, RightAnti, RightSemi};
        let pairs = match &terms.filter {
            Some(filter) => self.filtered(filter, pairs)?,
            None => pairs,
        };
        let (outer, inner): (Vec<u32>, UInt32Array) = match terms.kind {
            JoinType::Inner => (pairs.outer, pairs.inner.into()),
            JoinType::Left | JoinType::Right => with_missing(rows.clone(), &pairs),
            LeftSemi | RightSemi => (met(rows.clone(), &pairs, true), UInt32Array::from(Vec::<u32>::new())),
            LeftAnti | RightAnti => (met(rows.clone(), &pairs, false), UInt32Array::from(Vec::<u32>::new())),
            _ => return internal_err!("kind of a join"),
        };
        // Mostly each outer row comes out once.
        let count = outer.len();
        let once = count == rows.len() && outer.iter().zip(rows.clone()).all(|(&row, of)| row as usize == of);
        let outer = UInt32Array::from(outer);
        let column = |column: &ColumnIndex| {
            if column.side != self.side {
                take(self.inner.rows.column(column.index), &inner, None)
            } else if once {
                Ok(self.outer.rows.column(column.index).slice(rows.start, count))
            } else {
                take(self.outer.rows.column(column.index), &outer, None)
            }
        };
        let columns = terms.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&terms.schema), columns, &options)?)
    }

    /// The pairs that the filter admits.
    fn filtered(&self, filter: &JoinFilter, pairs: Pairs) -> Result<Pairs> {
        let count = pairs.outer.len();
        let (outer, inner) = (UInt32Array::from(pairs.outer.clone()), UInt32Array::from(pairs.inner.clone()));
        let column = |column: &ColumnIndex| {
            let (rows, indices) =
                if column.side == self.side { (&self.outer, &outer) } else { (&self.inner, &inner) };
            take(rows.rows.column(column.index), indices, None)
        };
        let columns = filter.column_indices().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(filter.schema()), columns, &options)?;
        let admitted = filter.expression().evaluate(&batch)?.into_array(count)?;
        let Some(admitted) = admitted.as_boolean_opt() else {
            return internal_err!("a filter that is no condition");
        };
        let keep = |rows: Vec<u32>| {
            let kept = rows.into_iter().zip(admitted).filter(|(_, admitted)| *admitted == Some(true));
            kept.map(|(row, _)| row).collect()
        };
        Ok(Pairs { outer: keep(pairs.outer), inner: keep(pairs.inner) })
    }
}

/// The pairs, and outer rows that meet none with a missing inner row.
fn with_missing(rows: Range<usize>, pairs: &Pairs) -> (Vec<u32>, UInt32Array) {
    let (mut outer, mut inner) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    let mut next = 0;
    for row in rows {
        let start = next;
        while pairs.outer.get(next) == Some(&(row as u32)) {
            outer.push(row as u32);
            inner.push(Some(pairs.inner[next]));
            next += 1;
        }
        if next == start {
            outer.push(row as u32);
            inner.push(None);
        }
    }
    (outer, UInt32Array::from(inner))
}

/// The outer rows that meet any, or none.
fn met(rows: Range<usize>, pairs: &Pairs, any: bool) -> Vec<u32> {
    let mut meets = vec![false; rows.len()];
    pairs.outer.iter().for_each(|&row| meets[row as usize - rows.start] = true);
    rows.zip(meets).filter(|(_, meets)| *meets == any).map(|(row, _)| row as u32).collect()
}

/// One word for all that must be equal beside the pupil, of the rows of either side.
fn words(terms: &Terms, left: &RecordBatch, right: &RecordBatch) -> Result<Option<[Vec<u128>; 2]>> {
    let mut together: Option<[Vec<u128>; 2]> = None;
    for (of_left, of_right) in &terms.on[1..] {
        let mut words = Words::default();
        let mut read = |expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch| -> Result<Vec<u128>> {
            Ok(words.read(&expr.evaluate(rows)?.into_array(rows.num_rows())?)?.to_vec())
        };
        let mut next = [read(of_left, left)?, read(of_right, right)?];
        if let Some(before) = &together {
            let (mut prefixes, mut values) = (Numbers::default(), Numbers::default());
            for (word, &prefix) in next.iter_mut().flatten().zip(before.iter().flatten()) {
                if *word == NULL || prefix == NULL {
                    *word = NULL;
                } else {
                    *word = u128::from(values.of(*word)) << 32 | u128::from(prefixes.of(prefix));
                }
            }
        }
        together = Some(next);
    }
    Ok(together)
}
