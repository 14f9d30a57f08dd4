//! [`Words`]: a value of a key as one word of 128 bits, equal where the values are; and [`Numbers`] of words.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray, StringViewArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Date32Type, Int32Type, Int64Type};
use datafusion::common::{HashMap, Result, internal_err};

/// Longest text, in bytes, that a word holds itself.
const SHORT: u32 = 12;
/// Stands in a word where a short text has its length: what follows is the number of a long one.
const LONG: u128 = 0xFFFF_FFFE;
/// About what a long text takes in memory, beside itself.
const LONG_BYTES: usize = 64;
/// Of a missing value. No other word is this: a text of such a length there is not.
pub(super) const NULL: u128 = u128::MAX;

/// The words of rows.
#[derive(Default)]
pub(super) struct Words {
    words: Vec<u128>,
    /// Texts that are too long for a word, and their bytes.
    long: HashMap<Box<str>, u32>,
    long_bytes: usize,
}

impl Words {
    /// Whether values of that type have words.
    pub(super) fn has(kind: &DataType) -> bool {
        use DataType::{Boolean, Date32, Int32, Int64, Null, Utf8, Utf8View};
        matches!(kind, Utf8View | Utf8 | Int64 | Int32 | Date32 | Boolean | Null)
    }

    /// The words of an array. Equal values have equal words in all arrays that are read.
    pub(super) fn read(&mut self, array: &ArrayRef) -> Result<&[u128]> {
        self.words.clear();
        match array.data_type() {
            DataType::Utf8View => self.texts(array.as_string_view()),
            DataType::Utf8 => self.texts(&array.as_string::<i32>().iter().collect()),
            DataType::Int64 => self.numbers::<Int64Type>(array.as_primitive()),
            DataType::Int32 => self.numbers::<Int32Type>(array.as_primitive()),
            DataType::Date32 => self.numbers::<Date32Type>(array.as_primitive()),
            DataType::Boolean => self.booleans(array.as_boolean()),
            DataType::Null => self.words.resize(array.len(), NULL),
            _ => return internal_err!("type of a key"),
        }
        Ok(&self.words)
    }

    fn texts(&mut self, texts: &StringViewArray) {
        let nulls = texts.nulls().filter(|nulls| nulls.null_count() > 0);
        for (row, &view) in texts.views().iter().enumerate() {
            let word = match view as u32 {
                _ if nulls.is_some_and(|nulls| nulls.is_null(row)) => NULL,
                length if length <= SHORT => view,
                _ => u128::from(self.long(texts.value(row))) << 32 | LONG,
            };
            self.words.push(word);
        }
    }

    fn long(&mut self, text: &str) -> u32 {
        if let Some(number) = self.long.get(text) {
            return *number;
        }
        let number = self.long.len() as u32;
        self.long.insert(text.into(), number);
        self.long_bytes += text.len() + LONG_BYTES;
        number
    }

    fn numbers<T: ArrowPrimitiveType<Native: Into<i64>>>(&mut self, numbers: &PrimitiveArray<T>) {
        let word = |number: T::Native| u128::from(number.into() as u64);
        if numbers.null_count() == 0 {
            self.words.extend(numbers.values().iter().map(|&number| word(number)));
        } else {
            self.words.extend(numbers.iter().map(|number| number.map_or(NULL, word)));
        }
    }

    fn booleans(&mut self, booleans: &BooleanArray) {
        self.words.extend(booleans.iter().map(|boolean| boolean.map_or(NULL, u128::from)));
    }

    pub(super) fn size(&self) -> usize {
        self.words.capacity() * size_of::<u128>() + self.long_bytes
    }
}

/// Words, numbered as they come.
#[derive(Default)]
pub(super) struct Numbers {
    /// The word that was last seen in each slot, and its number.
    recent: Vec<(u128, u32)>,
    all: HashMap<u128, u32>,
}

const SLOT_BITS: u32 = 8;

impl Numbers {
    pub(super) fn of(&mut self, word: u128) -> u32 {
        let folded = (word >> 64) as u64 ^ (word as u64).rotate_left(29);
        let slot = (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - SLOT_BITS)) as usize;
        match self.recent.get(slot) {
            Some((recent, number)) if *recent == word && *number != u32::MAX => *number,
            _ => self.look_up(word, slot),
        }
    }

    #[cold]
    fn look_up(&mut self, word: u128, slot: usize) -> u32 {
        let next = self.all.len() as u32;
        let number = *self.all.entry(word).or_insert(next);
        self.recent.resize(1 << SLOT_BITS, (0, u32::MAX));
        self.recent[slot] = (word, number);
        number
    }

    pub(super) fn size(&self) -> usize {
        self.recent.capacity() * size_of::<(u128, u32)>() + self.all.capacity() * size_of::<(u128, u32)>()
    }
}
