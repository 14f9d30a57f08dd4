//! [`Pin`]: a snapshot that is being read does not expire. A pin is a shared lock on a file, which the system lets go
//! of when the process ends, however it ends; whoever expires a snapshot wants the lock for itself.
//!
//! Pins are of this machine: where several machines use one bucket, only one of them may expire snapshots.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::durable::{self, At, FileError};
use crate::ingest::staging::work_folder;
use crate::snapshot::manifest_name;

/// Held while a snapshot is read.
pub(crate) struct Pin {
    _lock: File,
}

impl Pin {
    /// Pins a snapshot; it may be gone by then, and the caller looks.
    pub(crate) fn take(home: &Path, contract: &str, number: u64) -> Result<Pin, FileError> {
        let path = path(home, contract, number)?;
        let lock = durable::lock_file(&path)?;
        lock.lock_shared().at(&path)?;
        Ok(Pin { _lock: lock })
    }
}

/// Held while a snapshot expires: nobody reads it, and nobody begins to.
pub(crate) struct Alone {
    path: PathBuf,
    _lock: File,
}

impl Alone {
    /// `None` where somebody reads it.
    pub(crate) fn with(home: &Path, contract: &str, number: u64) -> Result<Option<Alone>, FileError> {
        let path = path(home, contract, number)?;
        let lock = durable::lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Alone { path, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).at(&path),
        }
    }

    /// The snapshot is gone: so is its file.
    pub(crate) fn end(self) -> Result<(), FileError> {
        durable::remove_file(&self.path)
    }
}

fn path(home: &Path, contract: &str, number: u64) -> Result<PathBuf, FileError> {
    let folder = work_folder(home, contract)?.join("pins");
    durable::create_dir(&folder)?;
    Ok(folder.join(manifest_name(number)))
}
