//! CSV files: UTF-8 with or without a byte order mark, or Shift_JIS; a header that names every column.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use csv::ByteRecord;
use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding, SHIFT_JIS, UTF_8};
use memoranda::Table;

use super::IngestError;
use super::report::{FileReporter, Wrong};
use super::rows::{Emit, RowReader, match_columns};
use crate::durable::At;

/// Enough to tell the encoding and the length of a line.
const HEAD_BYTES: u64 = 1 << 20;
/// A record longer than this is an open quote, and would be held whole.
const LARGEST_RECORD_BYTES: u64 = 16 << 20;
const BUFFER_BYTES: usize = 1 << 17;

/// Reads, checks, and emits rows.
pub(super) fn read(
    path: &Path,
    table: &Table,
    report: FileReporter<'_>,
    emit: &mut Emit<'_>,
) -> Result<(), IngestError> {
    let mut file = File::open(path).at(path)?;
    let head = head(&mut file).at(path)?;
    let encoding = encoding_of(&head);
    let bom = if head.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let mut head = Cursor::new(head);
    head.set_position(bom);

    let meter = Rc::new(Meter::default());
    meter.done.set(bom);
    let raw = Metered { inner: head.chain(file), meter: Rc::clone(&meter) };
    let text: Box<dyn Read> =
        if encoding == UTF_8 { Box::new(raw) } else { Box::new(Transcoded::new(raw, encoding)) };
    let mut reader = csv::ReaderBuilder::new().flexible(true).buffer_capacity(BUFFER_BYTES).from_reader(text);
    let too_long = |error: csv::Error, line: u64| match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let message =
                format!("a record of more than {LARGEST_RECORD_BYTES} bytes; is a quote left open?");
            report.mistake(line, None, Wrong::new("fields", message));
            Ok(())
        }
        csv::ErrorKind::Io(error) => Err(error).at(path).map_err(IngestError::File),
        _ => Err(IngestError::Unreadable { file: path.to_path_buf(), reason: "not a CSV file".to_owned() }),
    };

    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(error) => return too_long(error, 1),
    };
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(columns) = match_columns(table, &names, report) else {
        return Ok(());
    };

    let mut rows = RowReader::new(table, report)?;
    let mut record = ByteRecord::new();
    loop {
        meter.in_record.set(0);
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return too_long(error, line),
        }
        let line = record.position().map_or(line, csv::Position::line);
        if record.len() != columns.len() {
            let message = format!("{} fields, but the header names {}", record.len(), columns.len());
            report.mistake(line, None, Wrong::new("fields", message));
            continue;
        }
        rows.begin(line);
        for (field, column) in record.iter().zip(&columns) {
            rows.put(*column, |cells| cells.push_field(field));
        }
        if !rows.end(meter.done.get(), emit)? {
            return Ok(());
        }
    }
    rows.flush(meter.done.get(), emit)?;
    Ok(())
}

/// Bytes of a line, by the first ones of the file.
pub(super) fn line_bytes(path: &Path) -> Result<u64, IngestError> {
    let mut file = File::open(path).at(path)?;
    let head = head(&mut file).at(path)?;
    let lines = head.iter().filter(|byte| **byte == b'\n').count() as u64;
    Ok((head.len() as u64 / lines.max(1)).max(1))
}

fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

/// UTF-8, unless Shift_JIS fits the first bytes better: so that a stray byte in a UTF-8 file is found as a
/// mistake instead of turning the rest into other characters.
fn encoding_of(head: &[u8]) -> &'static Encoding {
    if head.starts_with(b"\xEF\xBB\xBF") || misfits(UTF_8, head) <= misfits(SHIFT_JIS, head) {
        UTF_8
    } else {
        SHIFT_JIS
    }
}

fn misfits(encoding: &'static Encoding, bytes: &[u8]) -> usize {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let (mut rest, mut text, mut misfits) = (bytes, vec![0; 1 << 16], 0);
    loop {
        let (result, read, _) = decoder.decode_to_utf8_without_replacement(rest, &mut text, false);
        rest = &rest[read..];
        match result {
            DecoderResult::InputEmpty => return misfits,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => misfits += 1,
        }
    }
}

#[derive(Default)]
struct Meter {
    done: Cell<u64>,
    in_record: Cell<u64>,
}

/// Counts what is read, and stops a record without an end.
struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.meter.in_record.get() > LARGEST_RECORD_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let length = self.inner.read(buffer)?;
        self.meter.done.set(self.meter.done.get() + length as u64);
        self.meter.in_record.set(self.meter.in_record.get() + length as u64);
        Ok(length)
    }
}

/// Decodes to UTF-8, with U+FFFD for what does not decode.
struct Transcoded<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    text: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Transcoded<R> {
    fn new(inner: R, encoding: &'static Encoding) -> Transcoded<R> {
        let decoder = encoding.new_decoder_without_bom_handling();
        Transcoded { inner, decoder, raw: vec![0; BUFFER_BYTES], text: Vec::new(), given: 0, ended: false }
    }

    fn refill(&mut self) -> io::Result<()> {
        let length = self.inner.read(&mut self.raw)?;
        self.ended = length == 0;
        self.given = 0;
        // A character of Shift_JIS has at most three bytes in UTF-8.
        self.text.resize(3 * length + 16, 0);
        let (result, _, written, _) =
            self.decoder.decode_to_utf8(&self.raw[..length], &mut self.text, self.ended);
        debug_assert_eq!(result, CoderResult::InputEmpty);
        self.text.truncate(written);
        Ok(())
    }
}

impl<R: Read> Read for Transcoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if self.ended {
                return Ok(0);
            }
            self.refill()?;
        }
        let length = buffer.len().min(self.text.len() - self.given);
        buffer[..length].copy_from_slice(&self.text[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}
