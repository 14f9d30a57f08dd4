//! The newest checkpoint once more, in a file beside the database: whoever puts an older copy of the database back is
//! found out when it is opened.
//!
//! The file only ever lags behind: it is written after the database's commit is durable, so that no crash raises a
//! false alarm. Lines are appended, and flushed to the disk ten times a second and on closing, since a flush for each
//! would halve what the ledger can do. A power cut may cost the last tenth of a second of this protection; the next
//! opening makes it up from the database.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;
use crate::key::PublicKey;

/// Time between two flushes.
const FLUSH: Duration = Duration::from_millis(100);
/// A file of this many bytes is replaced by one with its newest line.
const BYTES_MAX: u64 = 65_536;

/// The file, which several processes may use at once.
#[derive(Debug)]
pub(crate) struct Anchor {
    path: PathBuf,
    flushed: Mutex<Option<Instant>>,
}

impl Anchor {
    /// Beside the database: `ledger.anchor` for `ledger.db`.
    pub(crate) fn beside(database: &Path) -> Anchor {
        Anchor { path: database.with_extension("anchor"), flushed: Mutex::new(None) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The newest checkpoint in the file that `key` signed; `None` without one.
    pub(crate) fn newest(&self, key: &PublicKey) -> io::Result<Option<Checkpoint>> {
        let mut text = Vec::new();
        match File::open(&self.path) {
            Ok(file) => file.take(2 * BYTES_MAX).read_to_end(&mut text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A line that was torn by a power cut is not signed, and passed over.
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<(u64, &str)> =
            text.lines().filter_map(|line| Some((line.split('\t').nth(1)?.parse().ok()?, line))).collect();
        lines.sort_unstable();
        let notes = lines.iter().rev().map(|(_, line)| line.replace('\t', "\n") + "\n");
        Ok(notes.filter_map(|note| Checkpoint::verified(&note, key).ok()).next())
    }

    /// Adds a checkpoint whose leaves are durable.
    pub(crate) fn add(&self, note: &str) -> io::Result<()> {
        // The line may follow one that was torn.
        let line = format!("\n{}\n", note.trim_end().replace('\n', "\t"));
        let mut file = options().append(true).create(true).open(&self.path)?;
        let file_bytes = file.metadata()?.len();
        if file_bytes + line.len() as u64 > BYTES_MAX {
            return self.replace(&line);
        }
        file.write_all(line.as_bytes())?;
        let mut flushed = self.flushed.lock().unwrap_or_else(PoisonError::into_inner);
        if flushed.is_none_or(|at| at.elapsed() >= FLUSH) {
            file.sync_data()?;
            if file_bytes == 0 {
                self.sync_folder()?;
            }
            *flushed = Some(Instant::now());
        }
        Ok(())
    }

    /// Another process that adds a line meanwhile may lose it: the file then lags, as it may.
    fn replace(&self, line: &str) -> io::Result<()> {
        let next = self.path.with_extension(format!("anchor.{}", std::process::id()));
        let mut file = options().write(true).create(true).truncate(true).open(&next)?;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        fs::rename(&next, &self.path)?;
        self.sync_folder()
    }

    fn sync_folder(&self) -> io::Result<()> {
        match self.path.canonicalize()?.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        // Best effort: the file may lag.
        let _ = File::open(&self.path).and_then(|file| file.sync_data());
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::LogKey;

    #[test]
    fn the_newest_signed_line_counts() {
        let dir = tempfile::tempdir().unwrap();
        let anchor = Anchor::beside(&dir.path().join("ledger.db"));
        let key = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
        let public = key.public("log").unwrap();
        let note = |size| Checkpoint { origin: "log".to_owned(), size, root: [7; 32] }.sign(&key).unwrap();
        assert_eq!(anchor.newest(&public).unwrap(), None);
        // Two processes may write out of order.
        for size in [1, 3, 2] {
            anchor.add(&note(size)).unwrap();
        }
        assert_eq!(anchor.newest(&public).unwrap().unwrap().size, 3);
        // Torn, forged, or not text.
        let whole = fs::read(anchor.path()).unwrap();
        let forged = String::from_utf8(whole.clone()).unwrap().replace("log\t3\t", "log\t9\t");
        for more in [note(4).as_bytes()[..20].to_vec(), forged.into_bytes(), vec![0xff, b'\t', b'5']] {
            fs::write(anchor.path(), [&whole[..], &more].concat()).unwrap();
            assert_eq!(anchor.newest(&public).unwrap().unwrap().size, 3);
        }
        fs::write(anchor.path(), whole).unwrap();
        for size in 4..2000 {
            anchor.add(&note(size)).unwrap();
            assert!(fs::metadata(anchor.path()).unwrap().len() <= BYTES_MAX);
        }
        assert_eq!(anchor.newest(&public).unwrap().unwrap().size, 1999);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
