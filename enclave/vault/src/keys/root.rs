//! The root key, which seals the keyrings.

use std::io::Write;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::durable::{self, At};
use crate::seal::Secret;
use crate::vault::VaultError;

/// Names another file for the root key, such as one on a removable or a memory file system.
const ROOT_KEY_VARIABLE: &str = "ENCLAVE_ROOT_KEY";

/// Where the root key comes from.
pub(crate) struct Root {
    path: PathBuf,
}

impl Root {
    /// The root key of `home`.
    pub(crate) fn of(home: &Path) -> Root {
        let path = match std::env::var_os(ROOT_KEY_VARIABLE) {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => home.join("keys").join("root.key"),
        };
        Root { path }
    }

    /// Makes one where there is none.
    pub(crate) fn create(&self) -> Result<(), VaultError> {
        if self.path.exists() {
            return Ok(());
        }
        let mut file = durable::create_file(&self.path)?;
        file.write_all(Secret::generate()?.bytes()).at(&self.path)?;
        file.sync_all().at(&self.path)?;
        Ok(self.path.parent().map_or(Ok(()), durable::sync_dir)?)
    }

    /// The key, read anew each time: it may have been rotated.
    pub(crate) fn secret(&self) -> Result<Secret, VaultError> {
        let Some(bytes) = durable::read_if_there(&self.path, 64)? else {
            return Err(VaultError::NoRootKey(self.path.clone()));
        };
        let bytes = Zeroizing::new(bytes);
        if durable::is_shared(&self.path)? {
            return Err(VaultError::SharedRootKey(self.path.clone()));
        }
        Secret::from_slice(&bytes).ok_or_else(|| VaultError::RootKeyLength(self.path.clone()))
    }
}
