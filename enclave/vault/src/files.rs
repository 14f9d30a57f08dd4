//! The encrypted Parquet files: how each is written, and read from front to end.

use std::io;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use memoranda::{Table, Tier};
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::durable::FileError;
use crate::keys::{name, ring::Ring};
use crate::parquet_key;
use crate::snapshot::{Part, PartEntry};
use crate::storage::{Storage, Writer};
use crate::vault::VaultError;

const ROW_GROUP_ROWS: usize = 131_072;
/// Beyond it, values are not worth a dictionary.
const DICTIONARY_BYTES: usize = 256 << 10;

/// One encrypted file, being written.
pub(crate) struct FileWriter {
    writer: ArrowWriter<Writer>,
    path: String,
    entry: PartEntry,
}

impl FileWriter {
    /// A part of a table's attributes: each column under the key of its tier.
    pub(crate) fn attributes(
        storage: &Storage,
        ring: &Ring,
        table: &Table,
        path: String,
        place: String,
        schema: SchemaRef,
    ) -> Result<FileWriter, VaultError> {
        let tier = |name: &str| table.column(name).map_or(Tier::Standard, |column| column.tier);
        let by = |name: &str| name::attributes(tier(name));
        FileWriter::create(storage, ring, &name::attributes(Tier::Standard), by, path, place, schema)
    }

    /// A file of identities, under the key of a cohort.
    pub(crate) fn identities(
        storage: &Storage,
        ring: &Ring,
        cohort: &str,
        path: String,
        place: String,
        schema: SchemaRef,
    ) -> Result<FileWriter, VaultError> {
        let by = |_: &str| cohort.to_owned();
        let mut file = FileWriter::create(storage, ring, cohort, by, path, place, schema)?;
        file.entry.identity = true;
        Ok(file)
    }

    /// A file for the rows of another, with new data keys under the same key-encryption keys.
    pub(crate) fn again(
        storage: &Storage,
        ring: &Ring,
        other: &PartEntry,
        path: String,
        place: String,
        schema: SchemaRef,
    ) -> Result<FileWriter, VaultError> {
        let footer = other.keys.footer.by.as_str();
        let columns = &other.keys.columns;
        let by = |name: &str| {
            let column = columns.iter().find(|column| column.column == name);
            column.map_or(footer, |column| &column.key.by).to_owned()
        };
        let mut file = FileWriter::create(storage, ring, footer, by, path, place, schema)?;
        file.entry.identity = other.identity;
        Ok(file)
    }

    fn create(
        storage: &Storage,
        ring: &Ring,
        footer: &str,
        by: impl Fn(&str) -> String,
        path: String,
        place: String,
        schema: SchemaRef,
    ) -> Result<FileWriter, VaultError> {
        let columns = schema.fields().iter().map(|field| (field.name().clone(), by(field.name())));
        let columns: Vec<_> = columns.collect();
        let (encryption, keys) = parquet_key::new_file(ring, &place, footer, &columns)?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .with_file_encryption_properties(encryption);
        // Numbers that repeat are small as they are, others hardly get smaller, and both would be slower to read.
        for field in schema.fields().iter().filter(|field| field.data_type() != &DataType::Utf8) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_compression(column, Compression::UNCOMPRESSED);
        }
        let properties = properties.build();
        let writer = ArrowWriter::try_new(storage.writer(&path)?, schema, Some(properties));
        let writer = writer.map_err(|error| on_disk(&path, error))?;
        let entry = PartEntry { place, identity: false, rows: 0, size: 0, sha256: String::new(), keys };
        Ok(FileWriter { writer, path, entry })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), VaultError> {
        self.entry.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|error| on_disk(&self.path, error))
    }

    /// Makes the file durable.
    pub(crate) fn finish(self) -> Result<PartEntry, VaultError> {
        let path = self.path;
        let written = self.writer.into_inner().map_err(|error| on_disk(&path, error))?;
        let (size, sha256) = written.finish()?;
        Ok(PartEntry { size, sha256, ..self.entry })
    }
}

/// Reads a part from front to end: all columns, or some. `ring` has its keys.
pub(crate) fn read(
    part: &Part,
    ring: &Ring,
    columns: Option<&[&str]>,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader, VaultError> {
    let damaged = |_| VaultError::Damaged(part.entry.place.clone());
    let properties = parquet_key::open_file(ring, &part.entry.place, &part.entry.keys)?;
    let options = ArrowReaderOptions::new().with_file_decryption_properties(properties);
    let mut builder = ParquetRecordBatchReaderBuilder::try_new_with_options(part.reader(), options)
        .map_err(damaged)?
        .with_batch_size(batch_rows);
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    builder.build().map_err(damaged)
}

/// A full disk is the reason to expect.
fn on_disk(path: &str, error: parquet::errors::ParquetError) -> VaultError {
    VaultError::File(FileError { path: PathBuf::from(path), source: io::Error::other(error) })
}
