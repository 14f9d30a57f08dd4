//! [`Stamp`]: when something was done, and by whom.

use chrono::{DateTime, Utc};

/// When, and by whom. A moment alone is one of the enclave itself.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// When.
    pub at: DateTime<Utc>,
    /// A person of the register, `MEMORANDUM/PERSON`, or `founder`; the leaf states it as `by`.
    pub by: Option<&'a str>,
}

impl From<DateTime<Utc>> for Stamp<'_> {
    fn from(at: DateTime<Utc>) -> Self {
        Stamp { at, by: None }
    }
}
