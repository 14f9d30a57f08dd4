//! [`Numbering`]: the groups of one grouping.

use datafusion::common::{HashMap, Result, internal_err};
use disclosure_rules::Value;

use super::rows::{Mark, mark};

/// About what a value of a key takes in memory.
const VALUE_BYTES: usize = 48;

/// The groups of one grouping, numbered as they come: a stage's keys, without what it does not group by.
pub(super) struct Numbering {
    grouped: Vec<bool>,
    /// Per key of the stage, the number of its group; `None` where every key is a group.
    of_keys: Option<Vec<u32>>,
    numbers: HashMap<Vec<Value>, u32>,
    keys: Vec<Vec<Value>>,
    marks: Vec<Mark>,
}

impl Numbering {
    pub(super) fn new(grouped: &[bool]) -> Numbering {
        let by_all = grouped.iter().all(|grouped| *grouped);
        Numbering {
            grouped: grouped.to_vec(),
            of_keys: (!by_all).then(Vec::new),
            numbers: HashMap::new(),
            keys: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Gives the stage's next key its group.
    pub(super) fn meet(&mut self, key: &[Value], of_key: Mark) -> Result<()> {
        let Some(of_keys) = &mut self.of_keys else {
            self.keys.push(key.to_vec());
            self.marks.push(of_key);
            return Ok(());
        };
        let values = key.iter().zip(&self.grouped);
        let key: Vec<Value> =
            values.map(|(value, &grouped)| if grouped { value.clone() } else { Value::Null }).collect();
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => {
                let Ok(number) = u32::try_from(self.keys.len()) else {
                    return internal_err!("too many groups");
                };
                self.numbers.insert(key.clone(), number);
                self.marks.push(mark_of(&key));
                self.keys.push(key);
                number
            }
        };
        of_keys.push(number);
        Ok(())
    }

    /// The group of a key of the stage.
    pub(super) fn group(&self, key: usize) -> usize {
        self.of_keys.as_ref().map_or(key, |groups| groups[key] as usize)
    }

    /// The groups of some keys of the stage; `scratch` is where they are put if they are other than these.
    pub(super) fn groups<'a>(&self, keys: &'a [usize], scratch: &'a mut Vec<usize>) -> &'a [usize] {
        let Some(groups) = &self.of_keys else { return keys };
        scratch.clear();
        scratch.extend(keys.iter().map(|&key| groups[key] as usize));
        scratch
    }

    /// What stands for a group.
    pub(super) fn mark(&self, group: usize) -> Mark {
        self.marks[group]
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The groups' keys.
    pub(super) fn into_keys(self) -> Vec<Vec<Value>> {
        self.keys
    }

    pub(super) fn size(&self) -> usize {
        let key = (self.grouped.len() + 1) * VALUE_BYTES;
        (self.keys.len() + self.numbers.len()) * key
            + self.of_keys.as_ref().map_or(0, Vec::len) * size_of::<u32>()
    }
}

/// What stands for a key.
pub(super) fn mark_of(key: &[Value]) -> Mark {
    mark(format!("{key:?}").as_bytes())
}
