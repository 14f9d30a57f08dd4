//! [`Ledger`]: one SQLite file that several processes may use at once, and the one door through which it changes.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use disclosure_rules::PlanDigest;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use crate::anchor::Anchor;
use crate::announced;
use crate::batch::{Batch, Coming, Leader};
use crate::checkpoint::Checkpoint;
use crate::documents::DocumentKind;
use crate::key::{KeyError, LogKey, PublicKey};
use crate::log::root_at;
use crate::tree::{Growing, Hash, empty_root, peaks};

/// `ENLG`: marks the file as ours.
const APPLICATION_ID: i32 = 0x454e_4c47;
/// Version of `schema.sql`.
const SCHEMA_VERSION: i32 = 3;
/// From version 1, whose memoranda all pay in ρ.
const FROM_VERSION_1: &str = "
    ALTER TABLE account ADD COLUMN epsilon_micro INTEGER;
    ALTER TABLE account ADD COLUMN epsilon_charged_micro INTEGER
        CHECK (epsilon_charged_micro BETWEEN 0 AND epsilon_micro)
        CHECK ((epsilon_micro IS NULL) = (epsilon_charged_micro IS NULL));
    PRAGMA user_version = 2;";
/// From version 2, which had no approvals.
const FROM_VERSION_2: &str = include_str!("schema_3.sql");
/// Tables of people: made where there are none yet.
const PEOPLE: &str = include_str!("people.sql");
/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(30);

/// How many statements a connection keeps prepared: all that there are.
const STATEMENTS: usize = 256;

/// Why the ledger did not do what was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// `create` found a file.
    #[error("`{0}` already exists")]
    Exists(PathBuf),
    /// `open` found none.
    #[error("no ledger at `{0}`")]
    Missing(PathBuf),
    /// Another kind of file, or another version of the ledger.
    #[error("`{0}` is not a ledger that this version reads")]
    Foreign(PathBuf),
    /// The file system.
    #[error("cannot write the ledger")]
    Io(#[from] io::Error),
    /// The database.
    #[error("the ledger's database failed")]
    Database(#[from] rusqlite::Error),
    /// The disk did not take it.
    #[error("the ledger could not be made durable; is the disk full?")]
    NotDurable,
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What is stored contradicts itself or its signature.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// An older copy of the database was put back.
    #[error(
        "the ledger was rolled back: `{anchor}` has its signed checkpoint of {signed} leaves, and the database has {size}. Put the newest copy of the database back, as with this one what was charged since is forgotten; if that copy is lost, the log cannot go on: export it for the board, and begin with a new home"
    )]
    RolledBack {
        /// The file with the newer checkpoint.
        anchor: PathBuf,
        /// Leaves that were signed.
        signed: u64,
        /// Leaves that there are.
        size: u64,
    },
    /// Another log than the one that was signed.
    #[error(
        "the ledger was rewritten: its first {signed} leaves are not those of the signed checkpoint in `{anchor}`. Put the newest copy of the database back, and tell the board"
    )]
    Rewritten {
        /// The file with the checkpoint.
        anchor: PathBuf,
        /// Leaves that were signed.
        signed: u64,
    },
    /// A caller's facts are not a JSON object.
    #[error("the facts of a leaf are a JSON object")]
    Facts,
    /// A caller's facts use a name that the ledger states itself.
    #[error("the ledger states `{0}` itself")]
    ReservedFact(String),
    /// A C2SP entry has at most 65,535 bytes.
    #[error("a leaf of {0} bytes is longer than 65535")]
    LeafTooLong(usize),
    /// Versions are never replaced.
    #[error("{kind} `{name}` version `{version}` is already published")]
    AlreadyPublished {
        /// Which kind of document.
        kind: DocumentKind,
        /// Its name.
        name: String,
        /// Its version.
        version: String,
    },
    /// A memorandum comes into force with its account or not at all.
    #[error("a memorandum is published by signing it")]
    Unsigned,
    /// Never signed.
    #[error("no memorandum `{0}` is signed")]
    UnknownMemorandum(String),
    /// Ended before its term.
    #[error("memorandum `{0}` has ended")]
    Ended(String),
    /// The question names another data set than the memorandum.
    #[error("memorandum `{memorandum}` is not about `{contract}`")]
    OtherContract {
        /// The memorandum.
        memorandum: String,
        /// What was asked for.
        contract: String,
    },
    /// What was told cannot be taken back.
    #[error("{charged} rho of the pool of `{contract}` is charged already: its cap is never below that")]
    PoolCharged {
        /// The contract.
        contract: String,
        /// So far.
        charged: disclosure_rules::Rho,
    },
    /// δ is a probability, 0 for none.
    #[error("the delta of a threshold is at least 0 and below 1")]
    ThresholdDelta,
    /// The approval was used by another question, or has lapsed, in the meantime.
    #[error("approval {0} cannot be used any more")]
    NotApproved(u64),
    /// There is no charge that a release could use.
    #[error("no unused charge for {plan} under memorandum `{memorandum}`")]
    NotCharged {
        /// The memorandum.
        memorandum: String,
        /// The plan.
        plan: PlanDigest,
    },
}

/// Accounts and log. `Send` and `Sync`; other processes may have the same file open.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    /// Sees what is committed.
    reader: Mutex<Connection>,
    pub(crate) batch: Mutex<Batch>,
    pub(crate) coming: Coming,
    pub(crate) leader: Leader,
    key: LogKey,
    public: PublicKey,
    anchor: Anchor,
}

impl Ledger {
    /// A new, empty ledger, whose checkpoints `key` signs under the name `origin`. Refuses an existing file.
    pub fn create(path: &Path, origin: &str, key: LogKey) -> Result<Ledger, LedgerError> {
        let public = key.public(origin)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => LedgerError::Exists(path.to_owned()),
            _ => LedgerError::Io(error),
        })?;
        let created = Ledger::initialise(path, &public, &key);
        let connection = match created {
            Ok(connection) => connection,
            Err(error) => {
                // The first error is the one to tell.
                let _ = fs::remove_file(path);
                return Err(error);
            }
        };
        let ledger = Ledger::over(path, connection, key, public)?;
        ledger.check_anchor()?;
        Ok(ledger)
    }

    fn over(
        path: &Path,
        connection: Connection,
        key: LogKey,
        public: PublicKey,
    ) -> Result<Ledger, LedgerError> {
        let reader = connect(path)?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Ledger {
            path: path.to_owned(),
            reader: Mutex::new(reader),
            batch: Mutex::new(Batch::new(connection)),
            coming: Coming::default(),
            leader: Leader::default(),
            key,
            public,
            anchor: Anchor::beside(path),
        })
    }

    fn initialise(path: &Path, public: &PublicKey, key: &LogKey) -> Result<Connection, LedgerError> {
        let mut connection = connect(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.execute_batch(FROM_VERSION_2)?;
        transaction.execute_batch(PEOPLE)?;
        transaction.execute_batch(announced::INDEX)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        let empty = Checkpoint { origin: public.name().to_owned(), size: 0, root: empty_root() };
        transaction.execute(
            "INSERT INTO log (one, origin, checkpoint) VALUES (1, ?1, ?2)",
            params![public.name(), empty.sign(key)?],
        )?;
        transaction.commit()?;
        // A new name is durable once its directory is.
        if let Some(parent) = path.canonicalize()?.parent() {
            fs::File::open(parent)?.sync_all()?;
        }
        Ok(connection)
    }

    /// Opens a ledger and checks that its last checkpoint is signed by `key`, fits the stored tree, and continues
    /// the newest one that was signed before.
    pub fn open(path: &Path, key: LogKey) -> Result<Ledger, LedgerError> {
        if !path.is_file() {
            return Err(LedgerError::Missing(path.to_owned()));
        }
        let mut connection = connect(path).map_err(|error| match error {
            LedgerError::Database(e) if e.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                LedgerError::Foreign(path.to_owned())
            }
            other => other,
        })?;
        match stamp(&connection) {
            Ok((APPLICATION_ID, SCHEMA_VERSION)) => {}
            Ok((APPLICATION_ID, 1 | 2)) => upgrade(&mut connection)?,
            _ => return Err(LedgerError::Foreign(path.to_owned())),
        }
        connection.execute_batch(PEOPLE)?;
        connection.execute_batch(announced::INDEX)?;
        let origin: String = connection.query_row("SELECT origin FROM log", [], |row| row.get(0))?;
        let public = key.public(&origin)?;
        let ledger = Ledger::over(path, connection, key, public)?;
        ledger.check_anchor()?;
        Ok(ledger)
    }

    /// Checks that the database continues the newest checkpoint outside of it, and notes its own there.
    fn check_anchor(&self) -> Result<(), LedgerError> {
        // Read before the database: what another process commits meanwhile is newer in the database.
        let anchored = self.anchor.newest(&self.public)?;
        self.read(|transaction| {
            let size = self.head(transaction)?.size();
            let Some(Checkpoint { size: signed, root, .. }) = anchored else {
                return Ok(self.anchor.add(&stored_checkpoint(transaction)?)?);
            };
            let anchor = || self.anchor.path().to_owned();
            if signed > size {
                return Err(LedgerError::RolledBack { anchor: anchor(), signed, size });
            }
            if root_at(transaction, signed)? != root {
                return Err(LedgerError::Rewritten { anchor: anchor(), signed });
            }
            if signed < size {
                self.anchor.add(&stored_checkpoint(transaction)?)?;
            }
            Ok(())
        })
    }

    pub(crate) fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// The key that checks this log: what the board keeps.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn log_key(&self) -> &LogKey {
        &self.key
    }

    /// Runs `body` on one consistent and durable state of the file.
    pub(crate) fn read<T>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        // A transaction panicked in was rolled back, so the connection is sound.
        let mut connection = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        body(&transaction)
    }

    /// The tree as it stands, after checking that the signed checkpoint is the one of the stored nodes.
    pub(crate) fn head(&self, transaction: &Connection) -> Result<Growing, LedgerError> {
        let checkpoint = verified_checkpoint(transaction, &self.public)?;
        let leaves: u64 = transaction
            .prepare_cached("SELECT COALESCE(MAX(position) + 1, 0) FROM leaf")?
            .query_row([], |row| row.get(0))?;
        if leaves != checkpoint.size {
            let stated = checkpoint.size;
            return Err(LedgerError::Damaged(format!("{leaves} leaves, but the checkpoint is of {stated}")));
        }
        let peaks = peaks(checkpoint.size).map(|(level, index)| node(transaction, level, index));
        let tree = Growing::resume(checkpoint.size, peaks.collect::<Result<_, _>>()?);
        if tree.root() != checkpoint.root {
            return Err(LedgerError::Damaged(
                "the stored tree has another root than the checkpoint".to_owned(),
            ));
        }
        Ok(tree)
    }
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Which application's file it is, and of which version.
fn stamp(connection: &Connection) -> rusqlite::Result<(i32, i32)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((number("application_id")?, number("user_version")?))
}

fn upgrade(connection: &mut Connection) -> Result<(), LedgerError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    if stamp(&transaction)?.1 == 1 {
        transaction.execute_batch(FROM_VERSION_1)?;
    }
    if stamp(&transaction)?.1 == 2 {
        transaction.execute_batch(FROM_VERSION_2)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    Ok(transaction.commit()?)
}

/// The stored signed note.
pub(crate) fn stored_checkpoint(transaction: &Connection) -> Result<String, LedgerError> {
    Ok(transaction.prepare_cached("SELECT checkpoint FROM log")?.query_row([], |row| row.get(0))?)
}

fn verified_checkpoint(transaction: &Connection, key: &PublicKey) -> Result<Checkpoint, LedgerError> {
    let note = stored_checkpoint(transaction)?;
    Checkpoint::verified(&note, key).map_err(|error| LedgerError::Damaged(format!("the checkpoint {error}")))
}

/// The hash of a complete node.
pub(crate) fn node(transaction: &Connection, level: u8, index: u64) -> Result<Hash, LedgerError> {
    let query = "SELECT hash FROM node WHERE level = ?1 AND position = ?2";
    let hash =
        transaction.prepare_cached(query)?.query_row(params![level, index], |row| row.get(0)).optional()?;
    hash.ok_or_else(|| LedgerError::Damaged(format!("node {index} of level {level} is missing")))
}

impl Ledger {
    /// A consistent copy of the database in a new file, while others use it, and the checkpoint that it ends with.
    pub fn copy_to(&self, path: &Path) -> Result<Checkpointed, LedgerError> {
        let to = path.to_str().ok_or_else(|| LedgerError::Foreign(path.to_owned()))?;
        // A connection of its own, which reads one state while others write on.
        connect(&self.path)?.execute("VACUUM INTO ?1", [to])?;
        fs::File::open(path)?.sync_all()?;
        let copy = connect(path)?;
        copy.pragma_update(None, "journal_mode", "WAL")?;
        let note = stored_checkpoint(&copy)?;
        let checkpoint = verified_checkpoint(&copy, &self.public)?;
        Ok(Checkpointed { note, size: checkpoint.size, root: checkpoint.root })
    }
}

/// A signed checkpoint with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpointed {
    /// The signed note.
    pub note: String,
    /// Leaves.
    pub size: u64,
    /// Root of their tree.
    pub root: Hash,
}
