//! Parquet Modular Encryption: one random data key for each file, wrapped under the keyring and bound to the
//! file's place, which is also the AAD prefix that no file stores. A file moved to another place does not open.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::DataFusionError;
use datafusion::config::EncryptionFactoryOptions;
use datafusion::execution::parquet_encryption::EncryptionFactory;
use datafusion::object_store::path::Path as StorePath;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;

use crate::seal::{NoRandom, Secret};
use crate::snapshot::{Part, Snapshot};
use crate::vault::VaultError;

/// A fresh data key for the file at `place`: how to write it, and the wrapped key for the manifest.
pub(crate) fn new_file(
    wrapping: &Secret,
    place: &str,
) -> Result<(Arc<FileEncryptionProperties>, Vec<u8>), VaultError> {
    let key = Secret::generate()?;
    let wrapped = wrapping.seal(place.as_bytes(), key.bytes())?;
    let properties = FileEncryptionProperties::builder(key.bytes().to_vec())
        .with_aad_prefix(place.as_bytes().to_vec())
        .with_aad_prefix_storage(false)
        .build()
        .map_err(|_| NoRandom)?;
    Ok((properties, wrapped))
}

/// How to read the file at `place`.
pub(crate) fn open_file(
    wrapping: &Secret,
    place: &str,
    wrapped: &[u8],
) -> Result<Arc<FileDecryptionProperties>, VaultError> {
    let damaged = || VaultError::Damaged(place.to_owned());
    let key = wrapping.open(place.as_bytes(), wrapped).map_err(|_| damaged())?;
    FileDecryptionProperties::builder(key.to_vec())
        .with_aad_prefix(place.as_bytes().to_vec())
        .build()
        .map_err(|_| damaged())
}

/// The keys of a snapshot's attribute files, for DataFusion's Parquet scan, which asks by the file's absolute
/// path.
pub(crate) fn encryption_factory(snapshot: &Snapshot) -> Arc<dyn EncryptionFactory> {
    let parts = snapshot.tables.iter().flat_map(|table| &table.parts);
    let by_path = parts.filter_map(|part| Some((part.store_path()?, part.clone()))).collect();
    Arc::new(VaultKeys { by_path })
}

struct VaultKeys {
    by_path: HashMap<StorePath, Part>,
}

impl fmt::Debug for VaultKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultKeys({} files)", self.by_path.len())
    }
}

#[async_trait]
impl EncryptionFactory for VaultKeys {
    async fn get_file_encryption_properties(
        &self,
        _config: &EncryptionFactoryOptions,
        _schema: &SchemaRef,
        _file_path: &StorePath,
    ) -> Result<Option<Arc<FileEncryptionProperties>>, DataFusionError> {
        Err(DataFusionError::Execution("the vault writes no files during a question".to_owned()))
    }

    async fn get_file_decryption_properties(
        &self,
        _config: &EncryptionFactoryOptions,
        file_path: &StorePath,
    ) -> Result<Option<Arc<FileDecryptionProperties>>, DataFusionError> {
        let part = self.by_path.get(file_path);
        let part =
            part.ok_or_else(|| DataFusionError::Execution("the file is not in the snapshot".to_owned()))?;
        let properties = part.decryption_properties();
        properties.map(Some).map_err(|error| DataFusionError::External(Box::new(error)))
    }
}
