//! [`Keys`]: the keys of a stage, numbered as they come. Keys are of few kinds and mostly repeat, so each value
//! becomes one word that a short table finds again.

use arrow::array::ArrayRef;
use datafusion::common::Result;
use disclosure_rules::Value;

use super::numbering::mark_of;
use super::rows::{Mark, key_value};
use super::words::{Numbers, Words};

/// The keys that have been seen.
pub(super) struct Keys {
    columns: Vec<Column>,
    /// Per key, what stands for it.
    pub(super) marks: Vec<Mark>,
}

/// One column of keys.
#[derive(Default)]
struct Column {
    words: Words,
    values: Numbers,
    /// Of the columns up to this one together.
    prefixes: Numbers,
}

impl Keys {
    pub(super) fn of(width: usize) -> Keys {
        Keys { columns: (0..width).map(|_| Column::default()).collect(), marks: Vec::new() }
    }

    /// The number of key columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Numbers the keys of rows, and says which are new.
    pub(super) fn number(
        &mut self,
        arrays: &[ArrayRef],
        rows: usize,
        numbers: &mut Vec<usize>,
        mut meet: impl FnMut(&[Value], Mark) -> Result<()>,
    ) -> Result<()> {
        if !self.columns.is_empty() {
            numbers.clear();
        }
        numbers.resize(rows, 0);
        for (i, (column, array)) in self.columns.iter_mut().zip(arrays).enumerate() {
            let Column { words, values, prefixes } = column;
            for (number, &word) in numbers.iter_mut().zip(words.read(array)?) {
                let value = values.of(word);
                *number = if i == 0 {
                    value as usize
                } else {
                    prefixes.of(u128::from(value) << 64 | *number as u128) as usize
                };
            }
        }
        for (row, &number) in numbers.iter().enumerate() {
            if number == self.marks.len() {
                let key = arrays.iter().map(|array| key_value(array, row)).collect::<Result<Vec<_>>>()?;
                let mark = mark_of(&key);
                self.marks.push(mark);
                meet(&key, mark)?;
            }
        }
        Ok(())
    }

    pub(super) fn size(&self) -> usize {
        self.marks.capacity() * size_of::<Mark>() + self.columns.iter().map(Column::size).sum::<usize>()
    }
}

impl Column {
    fn size(&self) -> usize {
        self.words.size() + self.values.size() + self.prefixes.size()
    }
}
