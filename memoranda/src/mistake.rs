//! [`Mistake`]: one thing wrong in a file, with the place where it is wrong.

use std::fmt;

/// What is wrong, and where: a JSON pointer (RFC 6901) into the file, also for TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Such as `/resources/0/schema/fields/3/type`; empty: the whole file.
    pub pointer: String,
    /// What is wrong, in words.
    pub message: String,
}

impl Mistake {
    /// A mistake at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Mistake {
        Mistake { pointer: pointer.into(), message: message.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "`{}`: {}", self.pointer, self.message)
    }
}
