//! Backup and restore. A backup is a folder with what the enclave wrote in a home, but the root key; consistent while the
//! enclave is used. Whatever else lies in the home stays out. Records and keys in it are sealed; the ledger, which holds
//! releases and who asked what, is not: a backup is kept where only custodians read, and the root key somewhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use ledger::{DocumentKind, Event, LedgerError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::acts::ActError;
use crate::enclave::{Enclave, OpenError};
use crate::permissions::Action;

/// What a backup holds.
const CONTENTS: &str = "backup.json";
/// How often a copy is begun anew because records were taken in, or keys rotated, meanwhile.
const ATTEMPTS: usize = 5;
/// Files at the top of a home that a backup takes. The ledger comes by a copy of its own.
const FILES: [&str; 3] = ["log.vkey", "store.url", "serve.toml"];
/// Folders that it takes files from.
const FOLDERS: [&str; 3] = ["keys", "store", "identity"];
/// Files of keys that it takes: all of them are sealed.
const KEYS: [&str; 3] = ["keyring", "identities", DESCRIBED];
/// What guards the root key, or where its file is.
const DESCRIBED: &str = "root.toml";

/// Why there is no backup, or no home from one.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file system.
    #[error("cannot read or write `{0}`: {1}")]
    File(PathBuf, io::Error),
    /// There is something already.
    #[error("`{0}` is not empty: name a new folder")]
    NotEmpty(PathBuf),
    /// The enclave did not hold still.
    #[error("records were taken in, or keys rotated, all the time: try again when that is over")]
    Busy,
    /// Not what was written.
    #[error("this is no whole backup: {0}")]
    Damaged(String),
    /// Its log is not the one that a checkpoint was signed for.
    #[error("the log in this backup does not continue the checkpoint: {0}")]
    Past(String),
    /// Whoever acts may not, or the home does not open.
    #[error(transparent)]
    Act(#[from] ActError),
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> BackupError {
        BackupError::Act(error.into())
    }
}

impl From<LedgerError> for BackupError {
    fn from(error: LedgerError) -> BackupError {
        BackupError::Act(error.into())
    }
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Form of this file.
    pub format: u32,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// Leaves of the log.
    pub size: u64,
    /// Root of their tree, in hexadecimal.
    pub root: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// SHA-256 of every file, by its path.
    pub files: BTreeMap<String, String>,
}

/// The manifest that was announced last of every contract, and the digest of the keys.
type Standing = (BTreeMap<String, Option<String>>, Vec<u8>);

impl Enclave {
    /// Copies the home into a new folder, all but its root key. Questions, ingests and rotations may go on.
    pub fn backup(&self, to: &Path) -> Result<Contents, BackupError> {
        self.permitted(Action::Backup)?;
        new_folder(to)?;
        for _ in 0..ATTEMPTS {
            if let Some(contents) = self.try_backup(to)? {
                let text = serde_json::to_string_pretty(&contents).unwrap_or_default();
                write(&to.join(CONTENTS), text.as_bytes())?;
                return Ok(contents);
            }
        }
        Err(BackupError::Busy)
    }

    /// `None` where the store or the keys changed meanwhile.
    fn try_backup(&self, to: &Path) -> Result<Option<Contents>, BackupError> {
        let before = self.standing()?;
        // Snapshots do not expire as long as they are held.
        let mut pins = Vec::new();
        for contract in before.0.keys() {
            pins.push(self.announced_snapshot(contract)?);
        }
        let mut files = BTreeMap::new();
        let copied = copy_tree(&self.home, to, &mut files)?;
        let database = to.join("ledger.db");
        remove(&database)?;
        // SQLite fills a file that is empty, and leaves it to its owner alone.
        create_file(&database).map_err(|error| BackupError::File(database.clone(), error))?;
        let ledger = self.ledger.copy_to(&database)?;
        files.insert("ledger.db".to_owned(), sha256(&database)?);
        drop(pins);
        if !copied || self.standing()? != before {
            return Ok(None);
        }
        Ok(Some(Contents {
            format: 1,
            made: self.now(),
            size: ledger.size,
            root: hex::encode(ledger.root),
            checkpoint: ledger.note,
            files,
        }))
    }

    /// What was announced last of every contract, and the keys as they stand.
    fn standing(&self) -> Result<Standing, BackupError> {
        let mut announced = BTreeMap::new();
        for contract in self.documents(DocumentKind::Contract)? {
            let last = self.ledger.announced(&contract)?;
            announced.insert(contract, last);
        }
        let mut hash = Sha256::new();
        let mut files = BTreeSet::new();
        walk(&self.home, &self.home.join("keys"), &mut files)?;
        for file in files.iter().filter(|file| is_ours(file)) {
            // One that is replaced just now counts by its new name in the next attempt.
            hash.update(fs::read(self.home.join(file)).unwrap_or_default());
        }
        Ok((announced, hash.finalize().to_vec()))
    }
}

/// A home from a backup. `root_key` is the file with the root key, where that is what guards it: it counts, whatever the
/// backup says of where the key was. `since` is a checkpoint that somebody kept, which the log must continue. The log says
/// from now on that it goes on from a backup. Where it fails, nothing is left of it.
pub fn restore(
    from: &Path,
    home: &Path,
    root_key: Option<&Path>,
    since: Option<&str>,
    clock: fn() -> DateTime<Utc>,
    person: Option<String>,
) -> Result<Contents, BackupError> {
    let place = from.join(CONTENTS);
    let text = fs::read_to_string(&place).map_err(|error| BackupError::File(place, error))?;
    let contents: Contents = serde_json::from_str(&text)
        .map_err(|error| BackupError::Damaged(format!("`{CONTENTS}`: {error}")))?;
    let made = !home.exists();
    new_folder(home)?;
    let restored = restore_into(home, from, &contents, root_key, since, clock, person);
    if restored.is_err() {
        // It was empty: what is in it is ours. The first error is the one to tell.
        let _ = clear(home);
        if made {
            let _ = fs::remove_dir(home);
        }
    }
    restored.map(|()| contents)
}

/// Removes what is in a folder.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?
        } else {
            fs::remove_file(entry.path())?
        }
    }
    Ok(())
}

fn restore_into(
    home: &Path,
    from: &Path,
    contents: &Contents,
    root_key: Option<&Path>,
    since: Option<&str>,
    clock: fn() -> DateTime<Utc>,
    person: Option<String>,
) -> Result<(), BackupError> {
    for (path, digest) in &contents.files {
        // A path of ours is made of names, and leads nowhere else.
        let plain = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !plain {
            return Err(BackupError::Damaged(format!("`{path}` is not a path of a home")));
        }
        let (source, target) = (from.join(path), home.join(path));
        copy(&source, &target)?;
        if sha256(&target)? != *digest {
            return Err(BackupError::Damaged(format!("`{path}` is not the file that was written")));
        }
    }
    if let Some(root_key) = root_key {
        let keys = home.join("keys");
        // What it names may be a file of another machine: here there is none, or another home's.
        remove(&keys.join(DESCRIBED))?;
        remove(&keys.join(format!("{DESCRIBED}.next")))?;
        copy(root_key, &keys.join("root.key"))?;
    }
    let enclave = Enclave::open(home, clock)?.acting_as(person);
    let actor = enclave.permitted(Action::Backup)?;
    if let Err(found) = enclave.ledger.verify() {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        return Err(BackupError::Damaged(found.join("; ")));
    }
    if enclave.ledger.size()? != contents.size {
        return Err(BackupError::Damaged("its log has another size than it says".to_owned()));
    }
    if let Some(since) = since {
        enclave.ledger.check_past(since).map_err(|error| BackupError::Past(error.to_string()))?;
    }
    enclave.check_announced()?;
    let facts = json!({
        "made": contents.made.to_rfc3339_opts(SecondsFormat::Secs, true),
        "size": contents.size,
        "root": contents.root,
    });
    enclave.ledger.append(enclave.stamp(&actor), Event::Restore, facts)?;
    Ok(())
}

fn new_folder(path: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::File(path.to_owned(), error);
    create(path).map_err(failed)?;
    if fs::read_dir(path).map_err(failed)?.next().is_some() {
        return Err(BackupError::NotEmpty(path.to_owned()));
    }
    Ok(())
}

/// A folder that others cannot look into.
fn create(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Copies what is not there yet; says whether every file held still.
fn copy_tree(home: &Path, to: &Path, files: &mut BTreeMap<String, String>) -> Result<bool, BackupError> {
    for name in ours(home)? {
        let (source, target) = (home.join(&name), to.join(&name));
        // Data files never change; the rest is small, and copied again.
        let kept = name.ends_with(".parquet") && target.exists();
        if !kept && let Err(error) = copy(&source, &target) {
            if source.exists() {
                return Err(error);
            }
            return Ok(false);
        }
        files.insert(name, sha256(&target)?);
    }
    Ok(true)
}

/// What a backup takes of a home, as paths with `/`.
fn ours(home: &Path) -> Result<BTreeSet<String>, BackupError> {
    let mut names = BTreeSet::new();
    for folder in FOLDERS {
        walk(home, &home.join(folder), &mut names)?;
    }
    names.extend(FILES.iter().filter(|file| home.join(file).is_file()).map(|file| (*file).to_owned()));
    names.retain(|name| is_ours(name));
    Ok(names)
}

/// Whether the enclave gives files such a name, and a home from a backup needs them. The root key is not among them, nor
/// is what only a running process needs, or the certificate of this machine. What bears any other name may be a key, a
/// share of one, or somebody's records in the clear.
fn is_ours(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    match parts[..] {
        [file] => FILES.contains(&file),
        // Also the next one, while the root key is rotated.
        ["keys", file] => KEYS.contains(&file.strip_suffix(".next").unwrap_or(file)),
        // Also one that the log has announced, and that is about to come into force.
        ["store", _, "manifests", file] => {
            let number = file.strip_suffix(".pending").unwrap_or(file);
            number.bytes().all(|byte| byte.is_ascii_digit())
        }
        ["store", _, "snapshots", _, _, file] | ["identity", _, _, file] => file.ends_with(".parquet"),
        _ => false,
    }
}

/// Every file under a folder, as a path with `/` from `base`; none where it is not there, or not any more.
fn walk(base: &Path, folder: &Path, names: &mut BTreeSet<String>) -> Result<(), BackupError> {
    let failed = |error| BackupError::File(folder.to_owned(), error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(base, &path, names)?;
        } else if kind.is_file()
            && let Some(name) = path.strip_prefix(base).ok().and_then(Path::to_str)
        {
            names.insert(name.replace('\\', "/"));
        }
    }
    Ok(())
}

/// For the owner alone, whoever may read what is copied: a root key comes from a medium that knows no owners.
fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::File(to.to_owned(), error);
    if let Some(folder) = to.parent() {
        create(folder).map_err(|error| BackupError::File(folder.to_owned(), error))?;
    }
    let mut source = File::open(from).map_err(|error| BackupError::File(from.to_owned(), error))?;
    let mut target = create_file(to).map_err(failed)?;
    io::copy(&mut source, &mut target).and_then(|_| target.sync_all()).map_err(failed)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let written = create_file(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|error| BackupError::File(path.to_owned(), error))
}

/// An empty file that others cannot read.
fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes a file; it may be gone already.
fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(BackupError::File(path.to_owned(), error))
        }
        _ => Ok(()),
    }
}

fn sha256(path: &Path) -> Result<String, BackupError> {
    let failed = |error| BackupError::File(path.to_owned(), error);
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path).map_err(failed)?, &mut hash).map_err(failed)?;
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_takes_what_the_enclave_wrote_and_nothing_else() {
        for name in [
            "log.vkey",
            "store.url",
            "serve.toml",
            "keys/keyring",
            "keys/identities",
            "keys/root.toml",
            "keys/keyring.next",
            "keys/root.toml.next",
            "store/city/manifests/00000001",
            "store/city/manifests/00000002.pending",
            "store/city/snapshots/20310401T000000Z-00c0ffee/pupils/part-00000.parquet",
            "identity/city/20310401T000000Z-00c0ffee/pupils-2031.parquet",
        ] {
            assert!(is_ours(name), "{name}");
        }
        for name in [
            "my.key",
            "backup.json",
            "ledger.db",
            "ledger.anchor",
            "keys/root.key",
            "keys/root.key.next",
            "keys/root.new",
            "keys/keyring.new",
            "keys/my.key",
            "keys/old/keyring",
            "keys/lock",
            "tls/key.pem",
            "shares/share-1.txt",
            "export/results.csv",
            "work/city/pins/00000001",
            "store/my.key",
            "store/city/manifests/my.key",
            "store/city/manifests/00000001.0123456789abcdef.new",
            "store/city/snapshots/20310401T000000Z-00c0ffee/pupils/pupils.csv",
            "identity/city/export/pupils.csv",
            "copies/1/keys/keyring",
        ] {
            assert!(!is_ours(name), "{name}");
        }
    }
}
