//! [`Snapshot`]: one immutable state of a contract's tables, described by a sealed manifest.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use memoranda::{Column, Kind, Role, Table};
use parquet::encryption::decrypt::FileDecryptionProperties;
pub(crate) use queries::emit::{ROW as ROW_COLUMN, UNIT as UNIT_COLUMN, data_type};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::keys::Keyring;
use crate::parquet_key::{self, FileKeys};
use crate::pins::Pin;
use crate::storage::{Reader, Storage};
use crate::vault::{Vault, VaultError};

/// Bytes of a pseudonym.
pub(crate) const UNIT_BYTES: i32 = 16;

const MANIFEST_FORMAT: u32 = 2;
/// Bytes.
pub(crate) const LARGEST_MANIFEST: u64 = 64 << 20;

/// A snapshot that was read from its manifest. Cheap to clone; later ingests do not change it.
#[derive(Clone)]
pub struct Snapshot(Arc<SnapshotData>);

/// What a [`Snapshot`] holds.
pub struct SnapshotData {
    /// Unique in its home.
    pub id: String,
    /// Counts up from 1 in each contract: the snapshot in force is the one of the greatest number.
    pub number: u64,
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
    /// Pseudonyms of pupils whose records are kept beyond their time.
    pub(crate) kept: Vec<String>,
    pub(crate) storage: Storage,
    pin: Option<Pin>,
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
    /// Who is who: files of their own, under keys of their own.
    pub(crate) identity: Vec<Part>,
}

/// One encrypted Parquet file.
#[derive(Clone)]
pub struct Part {
    /// Relative to the home's store.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Length of the file in bytes.
    pub size: u64,
    pub(crate) entry: Arc<PartEntry>,
    keys: Arc<Keyring>,
    storage: Storage,
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

    /// All its files.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Part> {
        self.tables.iter().flat_map(|table| table.parts.iter().chain(&table.identity))
    }

    /// Whether it cannot expire as long as it is here.
    pub fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({})", self.path)
    }
}

impl Part {
    /// The file of a manifest's entry. `None` where its place is not one that ingest writes.
    pub(crate) fn of(entry: Arc<PartEntry>, keys: &Arc<Keyring>, storage: &Storage) -> Option<Part> {
        let (path, rows, size) = (entry.path()?, entry.rows, entry.size);
        Some(Part { path, rows, size, entry, keys: Arc::clone(keys), storage: storage.clone() })
    }

    /// How to read this file. The pages that are read authenticate themselves. The keys of identities are not
    /// among those that a snapshot has.
    pub fn decryption_properties(&self) -> Result<Arc<FileDecryptionProperties>, VaultError> {
        parquet_key::open_file(&self.keys.ring, &self.entry.place, &self.entry.keys)
    }

    /// The encrypted bytes.
    pub(crate) fn reader(&self) -> Reader {
        self.storage.reader(&self.path, self.size)
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
    pub(crate) number: u64,
    pub(crate) partitions: u32,
    pub(crate) tables: Vec<TableEntry>,
    /// Pseudonyms, in hexadecimal, of pupils whose records are kept beyond their time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) kept: Vec<String>,
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
    pub(crate) identity: Vec<PartEntry>,
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
    /// `contract/snapshot/table/file`, of the snapshot that wrote it: the AAD prefix, and where the file is. An
    /// identity file has `identity` for its table.
    pub(crate) place: String,
    pub(crate) identity: bool,
    pub(crate) rows: u64,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) keys: FileKeys,
}

impl PartEntry {
    /// The file. `None` where the place is not one that ingest writes.
    pub(crate) fn path(&self) -> Option<String> {
        let mut parts = self.place.split('/');
        let (contract, snapshot, table, file) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let plain = |name: &str| !name.is_empty() && !name.starts_with('.');
        if parts.next().is_some() || ![contract, snapshot, table, file].into_iter().all(plain) {
            return None;
        }
        Some(if self.identity {
            format!("{}/{snapshot}/{file}", identity_folder(contract))
        } else {
            format!("{}/{snapshot}/{table}/{file}", snapshots_folder(contract))
        })
    }
}

impl Manifest {
    pub(crate) fn new(contract: &str, contract_version: &str, id: &str, number: u64) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            contract: contract.to_owned(),
            contract_version: contract_version.to_owned(),
            id: id.to_owned(),
            number,
            partitions: 1,
            tables: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Sealed and signed, for its file.
    pub(crate) fn seal(&self, keys: &Keyring) -> Result<Vec<u8>, VaultError> {
        let plain = serde_json::to_vec(self).map_err(|_| VaultError::Keyring)?;
        keys.seal_manifest(&purpose(&self.contract, self.number), &plain)
    }
}

fn purpose(contract: &str, number: u64) -> String {
    format!("enclave manifest {contract}/{number}")
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The numbers of the snapshots that are there, in order; the last is in force.
pub(crate) fn numbers(storage: &Storage, contract: &str) -> Result<Vec<u64>, VaultError> {
    // Names of contracts are identifiers; anything else is no contract, and not a path to follow.
    if !contract.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Ok(Vec::new());
    }
    let names = storage.names(&manifests_folder(contract))?;
    // A file with an extension is one that was being written when the machine stopped.
    let names = names.iter().filter(|name| !name.contains('.'));
    let number = |name: &String| match name.parse() {
        Ok(number) if *name == manifest_name(number) => Ok(number),
        _ => Err(VaultError::Damaged(format!("{contract}/manifests/{name}"))),
    };
    names.map(number).collect()
}

/// The snapshot in force, or `None` before the first ingest.
pub(crate) fn current(
    storage: &Storage,
    keys: &Arc<Keyring>,
    contract: &str,
) -> Result<Option<Snapshot>, VaultError> {
    let newest = numbers(storage, contract)?.last().copied();
    newest.map(|number| load(storage, keys, contract, number)).transpose()
}

/// The snapshot in force, which does not expire as long as it is held.
pub(crate) fn pinned(vault: &Vault, contract: &str) -> Result<Option<Snapshot>, VaultError> {
    loop {
        let Some(newest) = numbers(&vault.storage, contract)?.last().copied() else { return Ok(None) };
        let pin = Pin::take(&vault.home, contract, newest)?;
        // It may have expired before it was pinned; then there is a newer one.
        if numbers(&vault.storage, contract)?.contains(&newest) {
            let snapshot = load(&vault.storage, &vault.keys, contract, newest)?;
            let held = Arc::try_unwrap(snapshot.0).map(|data| SnapshotData { pin: Some(pin), ..data });
            return held
                .map(|data| Some(Snapshot(Arc::new(data))))
                .map_err(|_| damaged_manifest(contract, newest));
        }
    }
}

/// A snapshot by its number.
pub(crate) fn load(
    storage: &Storage,
    keys: &Arc<Keyring>,
    contract: &str,
    number: u64,
) -> Result<Snapshot, VaultError> {
    let (manifest, manifest_sha256) = manifest(storage, keys, contract, number)?;
    let damaged = || damaged_manifest(contract, number);
    let part = |entry: PartEntry| Part::of(Arc::new(entry), keys, storage).ok_or_else(damaged);
    let mut tables = Vec::with_capacity(manifest.tables.len());
    for table in manifest.tables {
        tables.push(SnapshotTable {
            schema: stored_schema(table.private, &table.columns).ok_or_else(damaged)?,
            name: table.name,
            parts: table.parts.into_iter().map(part).collect::<Result<_, _>>()?,
            private: table.private,
            rows: table.rows,
            fingerprint: table.fingerprint,
            identity: table.identity.into_iter().map(part).collect::<Result<_, _>>()?,
        });
    }
    Ok(Snapshot(Arc::new(SnapshotData {
        id: manifest.id,
        number: manifest.number,
        contract: manifest.contract,
        contract_version: manifest.contract_version,
        manifest_sha256,
        partitions: manifest.partitions,
        tables,
        kept: manifest.kept,
        storage: storage.clone(),
        pin: None,
    })))
}

/// The manifest of a snapshot, and the SHA-256 of its file.
pub(crate) fn manifest(
    storage: &Storage,
    keys: &Keyring,
    contract: &str,
    number: u64,
) -> Result<(Manifest, String), VaultError> {
    let damaged = || damaged_manifest(contract, number);
    let signed = storage.read(&manifest_path(contract, number), LARGEST_MANIFEST)?.ok_or_else(damaged)?;
    let plain = keys.open_manifest(&purpose(contract, number), &signed).ok_or_else(damaged)?;
    let manifest: Manifest = serde_json::from_slice(&plain).map_err(|_| damaged())?;
    if manifest.format != MANIFEST_FORMAT || manifest.contract != contract || manifest.number != number {
        return Err(damaged());
    }
    Ok((manifest, sha256_hex(&signed)))
}

fn damaged_manifest(contract: &str, number: u64) -> VaultError {
    VaultError::Damaged(format!("{contract}/manifests/{}", manifest_name(number)))
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

/// `store/CONTRACT/manifests`: one file for each snapshot, named by its number.
pub(crate) fn manifests_folder(contract: &str) -> String {
    format!("store/{contract}/manifests")
}

/// The file of one snapshot's manifest.
pub(crate) fn manifest_path(contract: &str, number: u64) -> String {
    format!("{}/{}", manifests_folder(contract), manifest_name(number))
}

pub(crate) fn manifest_name(number: u64) -> String {
    format!("{number:08}")
}

/// `store/CONTRACT/snapshots`: the files that each snapshot has written.
pub(crate) fn snapshots_folder(contract: &str) -> String {
    format!("store/{contract}/snapshots")
}

/// `identity/CONTRACT`.
pub(crate) fn identity_folder(contract: &str) -> String {
    format!("identity/{contract}")
}
