//! Tickets, prepared statements and session options: what a client was given, and for whom it is.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use gate::parameters::Parameter;

/// For how long a ticket is good.
const TICKET: Duration = Duration::from_secs(60);
/// For how long a prepared statement is kept without being used.
const STATEMENT: Duration = Duration::from_secs(3600);
/// How many of each are kept, in all and of one log-in; more are refused.
const MOST: usize = 20_000;
const MOST_OF_ONE: usize = 2_000;

/// A statement with what was bound to it.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Parameter>,
}

/// Kept by key, each for an owner and a time.
pub(super) struct Kept<K, V> {
    entries: Mutex<HashMap<K, Entry<V>>>,
    life: Duration,
}

struct Entry<V> {
    owner: String,
    until: Instant,
    value: V,
}

/// There are too many already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl<K: Hash + Eq, V> Kept<K, V> {
    fn new(life: Duration) -> Kept<K, V> {
        Kept { entries: Mutex::default(), life }
    }

    pub(super) fn put(&self, key: K, owner: &str, value: V) -> Result<(), Full> {
        let now = Instant::now();
        let mut entries = self.entries();
        let own =
            |entries: &HashMap<K, Entry<V>>| entries.values().filter(|entry| entry.owner == owner).count();
        if entries.len() >= MOST_OF_ONE {
            entries.retain(|_, entry| entry.until > now);
        }
        if entries.len() >= MOST || (entries.len() >= MOST_OF_ONE && own(&entries) >= MOST_OF_ONE) {
            return Err(Full);
        }
        entries.insert(key, Entry { owner: owner.to_owned(), until: now + self.life, value });
        Ok(())
    }

    /// Takes it away, if it is good and the owner's. Of somebody else's, nothing is said, and it stays.
    pub(super) fn take(&self, key: &K, owner: &str) -> Option<V> {
        let mut entries = self.entries();
        let good = entries.get(key).is_some_and(|entry| entry.owner == owner && entry.until > Instant::now());
        good.then(|| entries.remove(key)).flatten().map(|entry| entry.value)
    }

    /// Uses it in place, and keeps it for longer.
    pub(super) fn with<T>(&self, key: &K, owner: &str, body: impl FnOnce(&mut V) -> T) -> Option<T> {
        let mut entries = self.entries();
        let entry = entries.get_mut(key)?;
        if entry.owner != owner || entry.until <= Instant::now() {
            return None;
        }
        entry.until = Instant::now() + self.life;
        Some(body(&mut entry.value))
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that was given out on this port.
pub(super) struct Given {
    /// Tables, of answers and of the catalogue.
    pub(super) tickets: Kept<String, RecordBatch>,
    pub(super) statements: Kept<String, Statement>,
    /// By log-in and cookie of the session.
    pub(super) options: Kept<(String, String), BTreeMap<String, String>>,
}

impl Default for Given {
    fn default() -> Given {
        Given { tickets: Kept::new(TICKET), statements: Kept::new(STATEMENT), options: Kept::new(STATEMENT) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_for_its_owner() {
        let kept = Kept::new(Duration::from_secs(60));
        kept.put("a", "one", 1).unwrap();
        assert_eq!(kept.take(&"a", "two"), None);
        assert_eq!(kept.take(&"a", "one"), Some(1));
        assert_eq!(kept.take(&"a", "one"), None);
    }

    #[test]
    fn what_is_old_is_not_good() {
        let kept = Kept::new(Duration::ZERO);
        kept.put("a", "one", 1).unwrap();
        assert_eq!(kept.take(&"a", "one"), None);
        assert_eq!(kept.with(&"a", "one", |_| ()), None);
    }
}
