//! [`Snapshot`]: one immutable state of a contract's tables, described by a sealed manifest.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::object_store::path::Path as StorePath;
use memoranda::{Column, Kind, Role, Table};
use parquet::encryption::decrypt::FileDecryptionProperties;
pub(crate) use queries::emit::{ROW as ROW_COLUMN, UNIT as UNIT_COLUMN, data_type};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable;
use crate::keys::Keyring;
use crate::parquet_key;
use crate::vault::VaultError;

/// Bytes of a pseudonym.
pub(crate) const UNIT_BYTES: i32 = 16;

const MANIFEST_FORMAT: u32 = 1;
const LARGEST_MANIFEST: u64 = 64 << 20;
const LARGEST_NAME: u64 = 256;

/// A snapshot that was read from its manifest. Cheap to clone; later ingests do not change it.
#[derive(Clone)]
pub struct Snapshot(Arc<SnapshotData>);

/// What a [`Snapshot`] holds.
pub struct SnapshotData {
    /// Unique in its home.
    pub id: String,
    /// Name of the contract.
    pub contract: String,
    /// Version of the contract that the newest tables were checked against.
    pub contract_version: String,
    /// SHA-256 of the sealed manifest: what the log says was ingested.
    pub manifest_sha256: String,
    /// Number of parts of every private table: a power of two. A pupil is in the part of the same number in
    /// all of them.
    pub partitions: u32,
    /// The tables that have been ingested, in the contract's order.
    pub tables: Vec<SnapshotTable>,
    pub(crate) previous: Option<String>,
}

/// One table.
pub struct SnapshotTable {
    /// Its name in the contract.
    pub name: String,
    /// As stored: for a private table `__unit`, `__row`, then the attributes in the contract's order.
    pub schema: SchemaRef,
    /// For a private table, range partitions by `__unit`, each ordered by (`__unit`, `__row`).
    pub parts: Vec<Part>,
    /// Whether rows belong to pupils.
    pub private: bool,
    /// Number of rows.
    pub rows: u64,
    pub(crate) fingerprint: String,
    pub(crate) identity: Option<Part>,
}

/// One encrypted Parquet file.
#[derive(Clone)]
pub struct Part {
    /// Absolute.
    pub path: PathBuf,
    /// Number of rows.
    pub rows: u64,
    /// Length of the file in bytes.
    pub size: u64,
    pub(crate) entry: Arc<PartEntry>,
    keys: Arc<Keyring>,
}

impl Deref for Snapshot {
    type Target = SnapshotData;
    fn deref(&self) -> &SnapshotData {
        &self.0
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot({}/{})", self.contract, self.id)
    }
}

impl SnapshotData {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&SnapshotTable> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({})", self.path.display())
    }
}

impl Part {
    /// How to read this file. The pages that are read authenticate themselves.
    pub fn decryption_properties(&self) -> Result<Arc<FileDecryptionProperties>, VaultError> {
        let wrapping = if self.entry.identity { &self.keys.identity } else { &self.keys.attributes };
        let wrapped =
            hex::decode(&self.entry.key).map_err(|_| VaultError::Damaged(self.entry.place.clone()))?;
        parquet_key::open_file(wrapping, &self.entry.place, &wrapped)
    }

    /// Where DataFusion's local store has this file.
    pub(crate) fn store_path(&self) -> Option<StorePath> {
        StorePath::from_absolute_path(&self.path).ok()
    }
}

/// The manifest as it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) contract: String,
    pub(crate) contract_version: String,
    pub(crate) id: String,
    pub(crate) previous: Option<String>,
    pub(crate) partitions: u32,
    pub(crate) tables: Vec<TableEntry>,
}

/// One table of a manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableEntry {
    pub(crate) name: String,
    pub(crate) private: bool,
    pub(crate) rows: u64,
    pub(crate) fingerprint: String,
    pub(crate) columns: Vec<ColumnEntry>,
    pub(crate) parts: Vec<PartEntry>,
    pub(crate) identity: Option<PartEntry>,
}

/// One stored attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnEntry {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) required: bool,
}

/// One file of a manifest.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartEntry {
    /// `contract/snapshot/table/file`, of the snapshot that wrote it: the AAD prefix, and where the file is.
    pub(crate) place: String,
    pub(crate) identity: bool,
    pub(crate) rows: u64,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    /// The wrapped data key.
    pub(crate) key: String,
}

impl PartEntry {
    /// The file, given the home. `None` where the place is not one that ingest writes.
    pub(crate) fn path(&self, home: &Path) -> Option<PathBuf> {
        let mut parts = self.place.split('/');
        let (contract, snapshot, table, file) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.');
        if parts.next().is_some() || ![contract, snapshot, table, file].into_iter().all(plain) {
            return None;
        }
        Some(if self.identity {
            identity_dir(home, contract).join(snapshot).join(file)
        } else {
            snapshots_dir(home, contract).join(snapshot).join(table).join(file)
        })
    }
}

impl Manifest {
    pub(crate) fn new(contract: &str, contract_version: &str, id: &str) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            contract: contract.to_owned(),
            contract_version: contract_version.to_owned(),
            id: id.to_owned(),
            previous: None,
            partitions: 1,
            tables: Vec::new(),
        }
    }

    /// Sealed, for the file `manifest`.
    pub(crate) fn seal(&self, keys: &Keyring) -> Result<Vec<u8>, VaultError> {
        let plain = serde_json::to_vec(self).map_err(|_| VaultError::Keyring)?;
        Ok(keys.manifest.seal(purpose(&self.contract, &self.id).as_bytes(), &plain)?)
    }
}

fn purpose(contract: &str, id: &str) -> String {
    format!("enclave manifest {contract}/{id}")
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The snapshot in force, or `None` before the first ingest.
pub(crate) fn current(
    home: &Path,
    keys: &Arc<Keyring>,
    contract: &str,
) -> Result<Option<Snapshot>, VaultError> {
    // Names of contracts are identifiers; anything else is no contract, and not a path to follow.
    if !contract.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(None);
    }
    let Some(id) = durable::read_if_there(&current_path(home, contract), LARGEST_NAME)? else {
        return Ok(None);
    };
    let damaged = || VaultError::Damaged(format!("{contract}/CURRENT"));
    let id = String::from_utf8(id).map_err(|_| damaged())?;
    let id = id.trim_end();
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(damaged());
    }
    load(home, keys, contract, id).map(Some)
}

/// A snapshot by its id.
pub(crate) fn load(
    home: &Path,
    keys: &Arc<Keyring>,
    contract: &str,
    id: &str,
) -> Result<Snapshot, VaultError> {
    let damaged = || VaultError::Damaged(format!("{contract}/{id}/manifest"));
    let path = snapshots_dir(home, contract).join(id).join("manifest");
    let sealed = durable::read_if_there(&path, LARGEST_MANIFEST)?.ok_or_else(damaged)?;
    let plain = keys.manifest.open(purpose(contract, id).as_bytes(), &sealed).map_err(|_| damaged())?;
    let manifest: Manifest = serde_json::from_slice(&plain).map_err(|_| damaged())?;
    if manifest.format != MANIFEST_FORMAT || manifest.contract != contract || manifest.id != id {
        return Err(damaged());
    }
    let part = |entry: PartEntry| -> Result<Part, VaultError> {
        let path = entry.path(home).ok_or_else(damaged)?;
        Ok(Part { path, rows: entry.rows, size: entry.size, entry: Arc::new(entry), keys: Arc::clone(keys) })
    };
    let mut tables = Vec::with_capacity(manifest.tables.len());
    for table in manifest.tables {
        tables.push(SnapshotTable {
            schema: stored_schema(table.private, &table.columns).ok_or_else(damaged)?,
            name: table.name,
            parts: table.parts.into_iter().map(part).collect::<Result<_, _>>()?,
            private: table.private,
            rows: table.rows,
            fingerprint: table.fingerprint,
            identity: table.identity.map(part).transpose()?,
        });
    }
    Ok(Snapshot(Arc::new(SnapshotData {
        id: manifest.id,
        contract: manifest.contract,
        contract_version: manifest.contract_version,
        manifest_sha256: sha256_hex(&sealed),
        partitions: manifest.partitions,
        tables,
        previous: manifest.previous,
    })))
}

/// The attributes of a table, as a manifest describes them.
pub(crate) fn stored_columns(table: &Table) -> Vec<ColumnEntry> {
    let attributes = table.columns.iter().filter(|column| column.role == Role::Attribute);
    attributes
        .map(|column| ColumnEntry {
            name: column.name.clone(),
            kind: column.kind.name().to_owned(),
            required: is_required(table, column),
        })
        .collect()
}

/// Whether a value must be there: as declared, or as part of the primary key, or as the unit.
pub(crate) fn is_required(table: &Table, column: &Column) -> bool {
    column.required || column.role == Role::Unit || table.primary_key.contains(&column.name)
}

/// The schema of the files.
pub(crate) fn stored_schema(private: bool, columns: &[ColumnEntry]) -> Option<SchemaRef> {
    let mut fields = Vec::with_capacity(columns.len() + 2);
    if private {
        fields.push(Field::new(UNIT_COLUMN, DataType::FixedSizeBinary(UNIT_BYTES), false));
        fields.push(Field::new(ROW_COLUMN, DataType::UInt32, false));
    }
    for column in columns {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == column.kind)?;
        fields.push(Field::new(&column.name, data_type(kind), !column.required));
    }
    Some(Arc::new(Schema::new(fields)))
}

/// `store/CONTRACT`.
pub(crate) fn contract_dir(home: &Path, contract: &str) -> PathBuf {
    home.join("store").join(contract)
}

/// `store/CONTRACT/snapshots`.
pub(crate) fn snapshots_dir(home: &Path, contract: &str) -> PathBuf {
    contract_dir(home, contract).join("snapshots")
}

/// `identity/CONTRACT`.
pub(crate) fn identity_dir(home: &Path, contract: &str) -> PathBuf {
    home.join("identity").join(contract)
}

/// `store/CONTRACT/CURRENT`.
pub(crate) fn current_path(home: &Path, contract: &str) -> PathBuf {
    contract_dir(home, contract).join("CURRENT")
}
