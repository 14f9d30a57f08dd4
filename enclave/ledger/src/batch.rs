//! Group commit: writers that come while another one's flush is under way share the next transaction, its signature
//! and its flush, so that 64 clients wait for one disk no longer than one of them.
//!
//! A writer's changes are a savepoint of the shared transaction: refused, they are undone alone. Nothing is told to
//! anybody before the flush: the writer waits for it, and readers have a connection of their own, which sees what is
//! committed.

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::checkpoint::Checkpoint;
use crate::log::Writer;
use crate::store::{Ledger, LedgerError};
use crate::tree::Growing;

/// The longest that a transaction waits for writers who have come and are not done.
const LINGER: Duration = Duration::from_millis(5);

/// The connection that writes.
#[derive(Debug)]
pub(crate) struct Batch {
    connection: Connection,
    open: Option<Open>,
}

/// A transaction that several writers share.
#[derive(Debug)]
struct Open {
    tree: Growing,
    writers: u64,
    flushed: Flushed,
}

/// Whether it became durable; empty until that is known.
type Flushed = Arc<OnceLock<bool>>;

/// Who has come and is not done.
#[derive(Debug, Default)]
pub(crate) struct Coming {
    writers: Mutex<u64>,
    done: Condvar,
}

/// Whether somebody commits for the others, who wait until that is done.
#[derive(Debug, Default)]
pub(crate) struct Leader {
    led: Mutex<bool>,
    done: Condvar,
}

/// The writing connection, with no transaction open on it.
pub(crate) struct Held<'a>(MutexGuard<'a, Batch>);

impl Deref for Held<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0.connection
    }
}

impl Batch {
    pub(crate) fn new(connection: Connection) -> Batch {
        Batch { connection, open: None }
    }
}

/// Counted as coming until it is dropped, also by a panic.
struct Arrival<'a>(&'a Coming);

impl Coming {
    fn arrive(&self) -> Arrival<'_> {
        *self.writers.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Arrival(self)
    }

    /// Waits until nobody is coming, at most [`LINGER`].
    fn wait(&self) {
        let writers = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.done.wait_timeout_while(writers, LINGER, |writers| *writers > 0));
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        let mut writers = self.0.writers.lock().unwrap_or_else(PoisonError::into_inner);
        *writers -= 1;
        if *writers == 0 {
            self.0.done.notify_all();
        }
    }
}

impl Ledger {
    /// Runs `body` as the only writer, signs the tree that results, and makes everything durable before it
    /// returns. On an error nothing is changed.
    pub(crate) fn write<T, E: From<LedgerError>>(
        &self,
        body: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (done, flushed) = self.join(body)?;
        self.flush(&flushed)?;
        Ok(done)
    }

    /// The writing connection for what is no leaf.
    pub(crate) fn lock(&self) -> Held<'_> {
        let mut batch = self.batch();
        self.commit(&mut batch);
        // That of a writer that panicked.
        abandon(&batch.connection);
        Held(batch)
    }

    /// What a panic leaves is undone by whoever comes next.
    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the changes, in a transaction that is yet to be committed.
    fn join<T, E: From<LedgerError>>(
        &self,
        body: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<(T, Flushed), E> {
        let _arrival = self.coming.arrive();
        let mut batch = self.batch();
        let Batch { connection, open } = &mut *batch;
        let current = match open.take() {
            Some(current) => current,
            None => {
                // That of a writer that panicked.
                abandon(connection);
                connection.execute_batch("BEGIN IMMEDIATE").map_err(LedgerError::from)?;
                let tree = self.head(connection).inspect_err(|_| abandon(connection))?;
                Open { tree, writers: 0, flushed: Flushed::default() }
            }
        };
        let outcome = changed(connection, current.tree.clone(), body);
        // A full disk may have ended the transaction, and with it what the others had written.
        if connection.is_autocommit() {
            let _ = current.flushed.set(false);
            return outcome.and_then(|_| Err(LedgerError::NotDurable.into()));
        }
        match outcome {
            Ok((done, tree)) => {
                let flushed = current.flushed.clone();
                *open = Some(Open { tree, writers: current.writers + 1, ..current });
                Ok((done, flushed))
            }
            Err(error) => {
                if current.writers == 0 {
                    abandon(connection);
                } else {
                    *open = Some(current);
                }
                Err(error)
            }
        }
    }

    /// Waits until the transaction is durable, and sees to it if nobody else does.
    fn flush(&self, flushed: &Flushed) -> Result<(), LedgerError> {
        let mut led = self.leader.led.lock().unwrap_or_else(PoisonError::into_inner);
        while flushed.get().is_none() {
            if *led {
                led = self.leader.done.wait(led).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            *led = true;
            drop(led);
            self.coming.wait();
            let mut batch = self.batch();
            if flushed.get().is_none() {
                self.commit(&mut batch);
                // Undone with the transaction of a writer that panicked.
                let _ = flushed.set(false);
            }
            drop(batch);
            led = self.leader.led.lock().unwrap_or_else(PoisonError::into_inner);
            *led = false;
            self.leader.done.notify_all();
        }
        if flushed.get() == Some(&true) { Ok(()) } else { Err(LedgerError::NotDurable) }
    }

    /// Signs the tree and commits; every writer of the transaction learns whether that was done.
    fn commit(&self, batch: &mut Batch) {
        let Some(Open { tree, flushed, .. }) = batch.open.take() else { return };
        let connection = &batch.connection;
        let (origin, size, root) = (self.public_key().name().to_owned(), tree.size(), tree.root());
        let signed = Checkpoint { origin, size, root }.sign(self.log_key()).map_err(LedgerError::from);
        let committed = signed.and_then(|note| {
            connection.execute("UPDATE log SET checkpoint = ?1", [&note])?;
            connection.execute_batch("COMMIT")?;
            Ok(note)
        });
        match committed {
            Ok(note) => {
                let _ = flushed.set(true);
                // It is done: a file that lags is made up for when the ledger is opened.
                let _ = self.anchor().add(&note);
            }
            Err(_) => {
                abandon(connection);
                let _ = flushed.set(false);
            }
        }
    }
}

/// What `body` gives, and the tree with its leaves; on an error its changes are undone.
fn changed<T, E: From<LedgerError>>(
    connection: &mut Connection,
    tree: Growing,
    body: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
) -> Result<(T, Growing), E> {
    let transaction = connection.savepoint().map_err(LedgerError::from)?;
    let mut writer = Writer { transaction, tree };
    let done = body(&mut writer)?;
    let Writer { transaction, tree } = writer;
    transaction.commit().map_err(LedgerError::from)?;
    Ok((done, tree))
}

/// Undoes what is open. An error here leaves the connection in the transaction, and every later writer refused.
fn abandon(connection: &Connection) {
    if !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use chrono::Utc;
    use serde_json::{Map, json};

    use super::*;
    use crate::log::LeafKind;
    use crate::{Event, LogKey};

    #[test]
    fn a_writer_that_fails_or_panics_is_undone_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let pkcs8 = LogKey::generate().unwrap();
        let key = || LogKey::from_pkcs8(&pkcs8).unwrap();
        let ledger = Ledger::create(&path, "enclave.example/log", key()).unwrap();
        let leaf = |writer: &mut Writer<'_>| {
            writer.leaf(Utc::now(), LeafKind::Refusal, Map::new(), json!({ "rule": "ddl" }))
        };
        let refused = ledger.write(|writer| {
            leaf(writer)?;
            Err::<(), _>(LedgerError::Facts)
        });
        assert!(matches!(refused, Err(LedgerError::Facts)));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            ledger.write(|writer| -> Result<(), LedgerError> {
                leaf(writer)?;
                panic!("on purpose")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(ledger.size().unwrap(), 0);

        // One that panics while others wait with it: all are undone, and told so; who comes later is not held up.
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| {
                // Counts as coming until it has panicked, so that the other lingers.
                let _arrival = ledger.coming.arrive();
                barrier.wait();
                std::thread::sleep(Duration::from_millis(1));
                let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    ledger.write(|_| -> Result<(), LedgerError> { panic!("on purpose") })
                }));
                assert!(panicked.is_err());
            });
            barrier.wait();
            let told = ledger.append(Utc::now(), Event::Refusal, json!({ "rule": "ddl" }));
            beside.join().unwrap();
            // Whichever came first: what was told is what is there.
            assert_eq!(ledger.size().unwrap(), u64::from(told.is_ok()));
        });
        let before = ledger.size().unwrap();
        ledger.append(Utc::now(), Event::Refusal, json!({ "rule": "ddl" })).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&path, key()).unwrap();
        assert_eq!(ledger.verify().unwrap().size, before + 1);
    }
}
