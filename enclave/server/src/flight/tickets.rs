//! Tickets, prepared statements and session options: what a client was given, and for whom it is.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use gate::parameters::Parameter;

use crate::flight::info;

/// For how long a ticket is good.
pub(super) const TICKET: Duration = Duration::from_secs(60);
/// How many statements, and how many sessions, are kept of all; more are refused.
const MOST: usize = 20_000;
/// How many values (rows × columns) the tickets of one log-in hold, beside the newest: those of two large answers.
const VALUES_MOST: usize = 1_000_000;

/// A statement with what was bound to it.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: Vec<Parameter>,
}

/// Kept by owner and key, each for a time.
pub(super) struct Kept<K, V> {
    /// Of each owner, what was used longest ago first: in this order it becomes old.
    owners: Mutex<Owners<K, V>>,
    life: Duration,
}

type Owners<K, V> = HashMap<String, VecDeque<Entry<K, V>>>;

struct Entry<K, V> {
    key: K,
    until: Instant,
    size: usize,
    value: V,
}

/// There are too many already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl<K: Eq, V> Kept<K, V> {
    fn new(life: Duration) -> Kept<K, V> {
        Kept { owners: Mutex::default(), life }
    }

    /// Keeps it in place of what had its key, unless there are too many.
    pub(super) fn put(&self, key: K, owner: &str, value: V) -> Result<(), Full> {
        let mut owners = self.fresh();
        let others: usize =
            owners.iter().filter(|(name, _)| *name != owner).map(|(_, kept)| kept.len()).sum();
        let own = owners.entry(owner.to_owned()).or_default();
        own.retain(|entry| entry.key != key);
        if own.len() >= info::STATEMENTS_MOST || others + own.len() >= MOST {
            return Err(Full);
        }
        own.push_back(Entry { key, until: Instant::now() + self.life, size: 1, value });
        Ok(())
    }

    /// Keeps it always: what its owner has of too much goes, the oldest first.
    pub(super) fn give(&self, key: K, owner: &str, value: V, size: usize) {
        let mut owners = self.fresh();
        let own = owners.entry(owner.to_owned()).or_default();
        let mut before: usize = own.iter().map(|entry| entry.size).sum();
        while own.len() >= info::STATEMENTS_MOST || before > VALUES_MOST {
            let Some(oldest) = own.pop_front() else { break };
            before -= oldest.size;
        }
        own.push_back(Entry { key, until: Instant::now() + self.life, size: size.max(1), value });
    }

    /// Takes it away, if it is good and the owner's. Of somebody else's, nothing is said, and it stays.
    pub(super) fn take(&self, key: &K, owner: &str) -> Option<V> {
        let mut owners = self.fresh();
        let own = owners.get_mut(owner)?;
        let at = own.iter().position(|entry| entry.key == *key)?;
        own.remove(at).map(|entry| entry.value)
    }

    /// Uses it in place, and keeps it for longer.
    pub(super) fn with<T>(&self, key: &K, owner: &str, body: impl FnOnce(&mut V) -> T) -> Option<T> {
        let mut owners = self.fresh();
        let own = owners.get_mut(owner)?;
        let at = own.iter().position(|entry| entry.key == *key)?;
        let mut entry = own.remove(at)?;
        entry.until = Instant::now() + self.life;
        let done = body(&mut entry.value);
        own.push_back(entry);
        Some(done)
    }

    /// What is kept, without what is old.
    fn fresh(&self) -> MutexGuard<'_, Owners<K, V>> {
        let now = Instant::now();
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.retain(|_, own| {
            while own.front().is_some_and(|entry| entry.until <= now) {
                own.pop_front();
            }
            !own.is_empty()
        });
        owners
    }
}

/// Everything that was given out on this port.
pub(super) struct Given {
    /// Tables, of answers and of the catalogue.
    pub(super) tickets: Kept<String, RecordBatch>,
    pub(super) statements: Kept<String, Statement>,
    /// By cookie of the session.
    pub(super) options: Kept<String, BTreeMap<String, String>>,
}

impl Default for Given {
    fn default() -> Given {
        let statement = info::STATEMENT;
        Given { tickets: Kept::new(TICKET), statements: Kept::new(statement), options: Kept::new(statement) }
    }
}

impl Given {
    /// Lets go what is old every so often, also where nobody calls, for as long as the port is served.
    pub(super) fn tidy(self: &Arc<Given>, every: Duration) {
        let given = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(given) = given.upgrade() else { return };
                drop(given.tickets.fresh());
                drop(given.statements.fresh());
                drop(given.options.fresh());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_ticket_is_good_once_and_for_its_owner() {
        let kept = Kept::new(MINUTE);
        kept.give("a", "one", 1, 1);
        assert_eq!(kept.take(&"a", "two"), None);
        assert_eq!(kept.take(&"a", "one"), Some(1));
        assert_eq!(kept.take(&"a", "one"), None);
    }

    #[test]
    fn what_is_old_is_not_good_and_is_not_held() {
        let kept = Kept::new(Duration::ZERO);
        let value = Arc::new(());
        kept.give("a", "one", value.clone(), 1);
        assert_eq!(kept.take(&"a", "one"), None);
        assert_eq!(kept.with(&"a", "one", |_| ()), None);
        kept.give("a", "one", value.clone(), 1);
        kept.put("b", "two", value.clone()).unwrap();
        drop(kept.fresh());
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[tokio::test]
    async fn nobody_has_to_call_for_what_is_old_to_go() {
        let given = Arc::new(Given { options: Kept::new(Duration::ZERO), ..Given::default() });
        given.options.put("a".to_owned(), "one", BTreeMap::new()).unwrap();
        assert_eq!(given.options.owners.lock().unwrap().len(), 1);
        given.tidy(Duration::from_millis(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(given.options.owners.lock().unwrap().is_empty());
        let still = Arc::downgrade(&given);
        drop(given);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(still.upgrade().is_none(), "what tidies up keeps nothing itself");
    }

    #[test]
    fn too_much_pushes_out_the_oldest_of_ones_own() {
        let kept = Kept::new(MINUTE);
        kept.give(0, "other", 0, VALUES_MOST);
        for key in 1..=3 {
            kept.give(key, "one", key, VALUES_MOST / 2);
        }
        // These two are as much as there may be beside the newest.
        assert_eq!(kept.with(&1, "one", |value| *value), Some(1));
        kept.give(4, "one", 4, 10 * VALUES_MOST);
        assert_eq!(kept.take(&2, "one"), None, "the one used longest ago");
        kept.give(5, "one", 5, 1);
        for gone in [1, 3, 4] {
            assert_eq!(kept.take(&gone, "one"), None);
        }
        assert_eq!(kept.take(&5, "one"), Some(5));
        assert_eq!(kept.take(&0, "other"), Some(0), "others' stay");
    }

    #[test]
    fn many_small_ones_are_too_much_too() {
        let kept = Kept::new(MINUTE);
        for key in 0..=info::STATEMENTS_MOST {
            kept.give(key, "one", (), 0);
        }
        assert_eq!(kept.take(&0, "one"), None);
        assert_eq!(kept.take(&1, "one"), Some(()));
    }

    #[test]
    fn a_statement_more_than_there_may_be_is_refused() {
        let kept = Kept::new(MINUTE);
        for key in 0..info::STATEMENTS_MOST {
            kept.put(key, "one", 1).unwrap();
        }
        assert_eq!(kept.put(usize::MAX, "one", 1), Err(Full));
        assert_eq!(kept.put(7, "one", 2), Ok(()), "in place of the one before");
        assert_eq!(kept.take(&7, "one"), Some(2));
        assert_eq!(kept.put(7, "two", 1), Ok(()));
    }
}
