//! The log as a folder that anyone can check with the public key alone: `checkpoint`, `vkey`, `leaves.jsonl` for
//! people, the C2SP tiles for other tools, a proof for every release, and the checkpoints that witnesses cosigned.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::derived::Derived;
use crate::key::PublicKey;
use crate::store::{Ledger, LedgerError, stored_checkpoint};
use crate::tiles::{TileFile, Tiling};
use crate::tree::Hash;

/// The signed note.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The verifier key, for convenience: trust comes from a key that was obtained otherwise.
pub(crate) const VKEY: &str = "vkey";
/// One leaf a line.
pub(crate) const LEAVES: &str = "leaves.jsonl";

/// Why a log was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Nothing is mixed with what is already there.
    #[error("`{0}` exists and is not an empty folder")]
    Occupied(PathBuf),
    /// The file system.
    #[error("cannot write the export")]
    Io(#[from] io::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

impl Ledger {
    /// Writes the whole log, as it stands now, to the new or empty folder `dir`.
    pub fn export(&self, dir: &Path) -> Result<Exported, ExportError> {
        fs::create_dir_all(dir).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ExportError::Occupied(dir.to_owned()),
            _ => ExportError::Io(error),
        })?;
        if fs::read_dir(dir)?.next().is_some() {
            return Err(ExportError::Occupied(dir.to_owned()));
        }
        // The transaction's own errors are the ledger's; those of the folder pass through beside them.
        self.read(|transaction| {
            let tree = self.head(transaction)?;
            let note = stored_checkpoint(transaction)?;
            let written = write_leaves(transaction, dir, self.public_key()).and_then(|derived| {
                let root = derived.root();
                if root != tree.root() {
                    let message = "the stored leaves have another root than the checkpoint".to_owned();
                    return Err(LedgerError::Damaged(message).into());
                }
                let problems = derived.finish(&note, &mut |path, bytes: &[u8]| write(dir, &path, bytes))?;
                if let Some((leaf, problem)) = problems.first() {
                    return Err(LedgerError::Damaged(format!("leaf {leaf} {problem}")).into());
                }
                fs::write(dir.join(VKEY), format!("{}\n", self.public_key()))?;
                // Last, so that an export cut short is none.
                fs::write(dir.join(CHECKPOINT), note)?;
                Ok(Exported { size: tree.size(), root })
            });
            Ok(written)
        })?
    }
}

fn write_leaves<'k>(
    transaction: &rusqlite::Connection,
    dir: &Path,
    key: &'k PublicKey,
) -> Result<Derived<'k>, ExportError> {
    let mut lines = BufWriter::new(File::create_new(dir.join(LEAVES))?);
    let (mut tiling, mut derived) = (Tiling::default(), Derived::new(key));
    let mut tile = |file: TileFile<'_>| write(dir, &file.path, file.bytes);
    let mut statement =
        transaction.prepare("SELECT body FROM leaf ORDER BY position").map_err(LedgerError::from)?;
    let mut rows = statement.query([]).map_err(LedgerError::from)?;
    while let Some(row) = rows.next().map_err(LedgerError::from)? {
        let line: String = row.get(0).map_err(LedgerError::from)?;
        writeln!(lines, "{line}")?;
        tiling.push(line.as_bytes(), &mut tile)?;
        derived.add(line.as_bytes());
    }
    lines.flush()?;
    tiling.finish(&mut tile)?;
    Ok(derived)
}

fn write(dir: &Path, path: &str, bytes: &[u8]) -> io::Result<()> {
    let path = dir.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, bytes)
}
