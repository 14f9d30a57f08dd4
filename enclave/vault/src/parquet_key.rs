//! Parquet Modular Encryption (AES-256-GCM): a random data key for each file's footer and for each of its columns,
//! wrapped by the key of the column's tier, or of the pupils' cohort, and bound to the file's place, which is also
//! the AAD prefix that no file stores. A file moved to another place does not open.

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
use serde::{Deserialize, Serialize};

use crate::keys::ring::{Ring, Wrapped};
use crate::seal::{NoRandom, Secret};
use crate::snapshot::{Part, Snapshot};
use crate::vault::VaultError;

/// The wrapped data keys of one file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileKeys {
    /// Of the footer.
    pub(crate) footer: Wrapped,
    /// Of each column.
    pub(crate) columns: Vec<ColumnKey>,
}

/// The wrapped data key of one column.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnKey {
    pub(crate) column: String,
    pub(crate) key: Wrapped,
}

/// Fresh data keys for the file at `place`: how to write it, and the wrapped keys for the manifest. `columns` are
/// names, each with the name of the key that wraps its own.
pub(crate) fn new_file(
    ring: &Ring,
    place: &str,
    footer: &str,
    columns: &[(String, String)],
) -> Result<(Arc<FileEncryptionProperties>, FileKeys), VaultError> {
    let key = Secret::generate()?;
    let footer = ring.wrap(footer, &purpose(place, None), key.bytes())?;
    let mut properties = FileEncryptionProperties::builder(key.bytes().to_vec())
        .with_aad_prefix(place.as_bytes().to_vec())
        .with_aad_prefix_storage(false);
    let mut wrapped = Vec::with_capacity(columns.len());
    for (column, by) in columns {
        let key = Secret::generate()?;
        properties = properties.with_column_key(column, key.bytes().to_vec());
        let key = ring.wrap(by, &purpose(place, Some(column)), key.bytes())?;
        wrapped.push(ColumnKey { column: column.clone(), key });
    }
    let properties = properties.build().map_err(|_| NoRandom)?;
    Ok((properties, FileKeys { footer, columns: wrapped }))
}

/// How to read the file at `place`.
pub(crate) fn open_file(
    ring: &Ring,
    place: &str,
    keys: &FileKeys,
) -> Result<Arc<FileDecryptionProperties>, VaultError> {
    let damaged = || VaultError::Damaged(place.to_owned());
    let footer = ring.unwrap(&purpose(place, None), &keys.footer)?;
    let mut properties =
        FileDecryptionProperties::builder(footer.to_vec()).with_aad_prefix(place.as_bytes().to_vec());
    for ColumnKey { column, key } in &keys.columns {
        let key = ring.unwrap(&purpose(place, Some(column)), key)?;
        properties = properties.with_column_key(column, key.to_vec());
    }
    properties.build().map_err(|_| damaged())
}

/// Wraps the data keys of the file at `place` by the newest versions of their keys; whether any was not.
pub(crate) fn wrap_anew(ring: &Ring, place: &str, keys: &mut FileKeys) -> Result<bool, VaultError> {
    let held = ring.held();
    let columns =
        keys.columns.iter_mut().map(|column| (purpose(place, Some(&column.column)), &mut column.key));
    let mut changed = false;
    for (purpose, wrapped) in columns.chain([(self::purpose(place, None), &mut keys.footer)]) {
        if held.newest(&wrapped.by) != Some(wrapped.version) {
            *wrapped = held.wrap(&wrapped.by, &purpose, &held.unwrap(&purpose, wrapped)?)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// What a wrapped key is bound to.
pub(crate) fn purpose(place: &str, column: Option<&str>) -> String {
    match column {
        Some(column) => format!("{place} {column}"),
        None => place.to_owned(),
    }
}

/// The keys of a snapshot's attribute files, for DataFusion's Parquet scan, which asks by the file's path.
pub(crate) fn encryption_factory(snapshot: &Snapshot) -> Arc<dyn EncryptionFactory> {
    let parts = snapshot.tables.iter().flat_map(|table| &table.parts);
    let by_path = parts.map(|part| (StorePath::from(part.path.as_str()), part.clone())).collect();
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
