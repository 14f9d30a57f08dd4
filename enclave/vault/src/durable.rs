//! Files that survive a crash: written beside, made durable, then renamed over; folders and files for the owner
//! only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};

/// What went wrong with which file.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Puts the path into the error.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T, FileError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { path: path.to_path_buf(), source })
    }
}

/// The folder and its parents, mode 0700; it may be there already.
pub(crate) fn create_dir(path: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(path).at(path)
}

/// A new file, mode 0600; it must not be there.
pub(crate) fn create_file(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).at(path)
}

/// A file to hold a lock on, mode 0600; it may be there already.
pub(crate) fn lock_file(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).at(path)
}

/// A new file that has no name any more: it goes when it is closed, or when the process dies.
pub(crate) fn create_nameless(path: &Path) -> Result<File, FileError> {
    let file = create_file(path)?;
    fs::remove_file(path).at(path)?;
    Ok(file)
}

/// The bytes are under `path` whole, or not at all, whenever the machine stops.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = path.with_extension("new");
    remove_file(&beside)?;
    let mut file = create_file(&beside)?;
    file.write_all(bytes).at(&beside)?;
    file.sync_all().at(&beside)?;
    rename(&beside, path)
}

/// Renames within one file system, and makes the name durable.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).at(to)?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|dir| dir.sync_all()).at(path)
}

/// The whole of a small file; `None` where it is not there.
pub(crate) fn read_if_there(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at(path),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).at(path)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than it can be")).at(path);
    }
    Ok(Some(bytes))
}

/// Whether somebody other than the owner may read or write the file.
pub(crate) fn is_shared(path: &Path) -> Result<bool, FileError> {
    let metadata = fs::metadata(path).at(path)?;
    #[cfg(unix)]
    return Ok(metadata.permissions().mode() & 0o077 != 0);
    #[cfg(not(unix))]
    return Ok(false);
}

/// Whether somebody other than the owner may write to the file.
pub(crate) fn is_writable_by_others(path: &Path) -> Result<bool, FileError> {
    let metadata = fs::metadata(path).at(path)?;
    #[cfg(unix)]
    return Ok(metadata.permissions().mode() & 0o022 != 0);
    #[cfg(not(unix))]
    return Ok(false);
}

/// The entries of a folder by name; none where it is not there.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>, FileError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at(path),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.at(path)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Removes a file; it may be gone already.
pub(crate) fn remove_file(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at(path),
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it; it may be gone already.
pub(crate) fn remove_dir(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at(path),
        _ => Ok(()),
    }
}
