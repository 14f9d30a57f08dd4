//! Receipts beside answers: the digest of a table that the log states, the receipt within Arrow and Parquet files, and
//! whether a file is the answer that a receipt is of. Needs no home.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::FileReader;
use ledger::{Receipt, ReceiptError};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::answered::{Cell, Column};
use crate::encode::{EncodeError, table};

/// Key of the receipt in the schema metadata of Arrow and Parquet files.
pub const METADATA: &str = "enclave:receipt";

/// Why a file is not an answer that could be checked.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// The file system.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// Not one of the formats that `ask` writes.
    #[error(
        "it is not an answer as JSON, CSV, Arrow or Parquet; an answer for people (`table`) cannot be checked"
    )]
    Form,
    /// It brings a receipt that is none.
    #[error("the receipt in it {0}")]
    Receipt(#[from] ReceiptError),
}

impl From<ArrowError> for ResultError {
    fn from(_: ArrowError) -> ResultError {
        ResultError::Form
    }
}

impl From<EncodeError> for ResultError {
    fn from(_: EncodeError) -> ResultError {
        ResultError::Form
    }
}

impl From<parquet::errors::ParquetError> for ResultError {
    fn from(_: parquet::errors::ParquetError) -> ResultError {
        ResultError::Form
    }
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The receipt that it is, or brings along.
    pub receipt: Option<Receipt>,
    /// `sha256:…` of its table as CSV without the header; `None` of a receipt alone.
    pub table_sha256: Option<String>,
}

/// Digest of an answer's table: SHA-256 of it as CSV without the header, whose names are the asker's own words.
pub(crate) fn table_digest(columns: &[Column], rows: &[Vec<Cell>]) -> Result<String, EncodeError> {
    digest([Ok(table(columns, rows)?)]).map_err(|_| EncodeError)
}

/// The table with its receipt in the schema.
pub(crate) fn with_receipt(
    batch: RecordBatch,
    receipt: Option<&Receipt>,
) -> Result<RecordBatch, EncodeError> {
    let Some(receipt) = receipt else { return Ok(batch) };
    let mut schema = batch.schema().as_ref().clone();
    schema.metadata.insert(METADATA.to_owned(), receipt.to_string());
    Ok(batch.with_schema(Arc::new(schema))?)
}

/// Reads a receipt, or an answer in any format but the one for people.
pub fn read(path: &Path) -> Result<Found, ResultError> {
    let bytes = fs::read(path)?;
    if bytes.starts_with(b"ARROW1") {
        let reader = FileReader::try_new(File::open(path)?, None)?;
        let receipt = carried(reader.schema().metadata().get(METADATA))?;
        return Ok(Found { receipt, table_sha256: Some(digest(reader)?) });
    }
    if bytes.starts_with(b"PAR1") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
        let receipt = carried(reader.schema().metadata().get(METADATA))?;
        return Ok(Found { receipt, table_sha256: Some(digest(reader.build()?)?) });
    }
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(value) if value.get("rows").is_some() => answer(&value),
        Ok(value) if value.get("format").is_some() => {
            Ok(Found { receipt: Some(Receipt::parse(&value.to_string())?), table_sha256: None })
        }
        Ok(Value::Object(_)) => Err(ResultError::Form),
        // A number by itself is JSON too, and a table of one column.
        _ => {
            let sum = Sha256::digest(without_header(&bytes));
            Ok(Found { receipt: None, table_sha256: Some(named(&sum)) })
        }
    }
}

fn carried(text: Option<&String>) -> Result<Option<Receipt>, ReceiptError> {
    text.map(|text| Receipt::parse(text)).transpose()
}

/// An answer as `--format json` writes it.
fn answer(value: &Value) -> Result<Found, ResultError> {
    let columns: Vec<Column> =
        serde_json::from_value(value["columns"].clone()).map_err(|_| ResultError::Form)?;
    let row = |row: &Value| -> Option<Vec<Cell>> {
        columns.iter().map(|column| serde_json::from_value(row.get(&column.name)?.clone()).ok()).collect()
    };
    let rows: Option<Vec<_>> = value["rows"].as_array().and_then(|rows| rows.iter().map(row).collect());
    let receipt = value.get("receipt").map(|receipt| Receipt::parse(&receipt.to_string())).transpose()?;
    let table_sha256 = Some(table_digest(&columns, &rows.ok_or(ResultError::Form)?)?);
    Ok(Found { receipt, table_sha256 })
}

fn digest(batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>) -> Result<String, ArrowError> {
    struct Sink(Sha256);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = arrow::csv::WriterBuilder::new().with_header(false).build(Sink(Sha256::new()));
    for batch in batches {
        writer.write(&batch?)?;
    }
    Ok(named(&writer.into_inner().0.finalize()))
}

fn named(sum: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sum))
}

/// All records but the first. A line feed in quotes ends none.
fn without_header(csv: &[u8]) -> &[u8] {
    let mut quoted = false;
    for (at, byte) in csv.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => return &csv[at + 1..],
            _ => {}
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_at_its_own_line() {
        for (csv, rest) in [
            ("a,b\n1,2\n", "1,2\n"),
            ("\"a\nb\",c\n1,2\n", "1,2\n"),
            ("\"a \"\"\n\"\" b\"\n1\n", "1\n"),
            ("a,b\n", ""),
            ("a,b", ""),
            ("", ""),
        ] {
            assert_eq!(without_header(csv.as_bytes()), rest.as_bytes(), "{csv:?}");
        }
    }
}
