//! Rows set apart by the first bits of their first column, in bounded memory. What does not fit goes to a
//! nameless file, sealed under a key that only this process has: nothing is on the disk in the clear.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};

use super::{IngestError, engine};
use crate::durable::{self, At};
use crate::seal::{Secret, random};
use crate::vault::VaultError;

/// Most buckets: more would make the frames of one too small.
pub(super) const MOST_BUCKETS: u32 = 1024;

/// Takes rows whose first column is a fixed-size binary of 16 evenly distributed bytes.
pub(super) struct Buckets {
    schema: SchemaRef,
    bits: u32,
    budget: usize,
    folder: PathBuf,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    spill: Option<Spill>,
}

/// The same rows, to read by bucket, as often as wanted.
pub(super) struct Sorted {
    bits: u32,
    held: Vec<Option<RecordBatch>>,
    spill: Option<Spill>,
}

impl Buckets {
    /// `count` buckets, a power of two, that hold about `budget` bytes in memory.
    pub(super) fn new(schema: SchemaRef, count: u32, budget: usize, folder: &Path) -> Buckets {
        Buckets {
            schema,
            bits: count.next_power_of_two().min(MOST_BUCKETS).trailing_zeros(),
            budget,
            folder: folder.to_path_buf(),
            held: Vec::new(),
            held_bytes: 0,
            spill: None,
        }
    }

    /// Adds rows, after those of the same bucket that came before.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), IngestError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.held_bytes += batch.get_array_memory_size();
        self.held.push(batch);
        if self.held_bytes <= self.budget {
            return Ok(());
        }
        let apart = self.set_apart()?;
        let count = apart.len();
        if self.spill.is_none() {
            self.spill = Some(Spill::create(&self.folder, count)?);
        }
        if let Some(spill) = &mut self.spill {
            for (bucket, batch) in apart.iter().enumerate() {
                batch.as_ref().map_or(Ok(()), |batch| spill.append(bucket, batch))?;
            }
        }
        Ok(())
    }

    /// No more rows come.
    pub(super) fn finish(mut self) -> Result<Sorted, IngestError> {
        Ok(Sorted { bits: self.bits, held: self.set_apart()?, spill: self.spill })
    }

    fn set_apart(&mut self) -> Result<Vec<Option<RecordBatch>>, IngestError> {
        let held = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let count = 1_usize << self.bits;
        let mut apart = vec![None; count];
        if held.is_empty() {
            return Ok(apart);
        }
        let all = concat_batches(&self.schema, &held).map_err(engine)?;
        drop(held);
        if count == 1 {
            return Ok(vec![Some(all)]);
        }
        // A counting sort, which keeps the order inside a bucket.
        let route = all.column(0).as_fixed_size_binary();
        let bucket = |row: usize| bucket_of(route.value(row), self.bits);
        let mut ends = vec![0_usize; count];
        (0..all.num_rows()).for_each(|row| ends[bucket(row)] += 1);
        let mut starts = Vec::with_capacity(count);
        let mut start = 0;
        for end in &mut ends {
            starts.push(start);
            start += *end;
            *end = start;
        }
        let mut next = starts.clone();
        let mut order = vec![0_u32; all.num_rows()];
        for row in 0..all.num_rows() {
            let place = &mut next[bucket(row)];
            order[*place] = row as u32;
            *place += 1;
        }
        let all = take_record_batch(&all, &UInt32Array::from(order)).map_err(engine)?;
        for (bucket, slot) in apart.iter_mut().enumerate() {
            let length = ends[bucket] - starts[bucket];
            *slot = (length > 0).then(|| all.slice(starts[bucket], length));
        }
        Ok(apart)
    }
}

impl Sorted {
    /// Number of buckets.
    pub(super) fn count(&self) -> usize {
        1 << self.bits
    }

    /// The rows of a bucket, in the order they came.
    pub(super) fn read(&self, bucket: usize) -> Result<Vec<RecordBatch>, IngestError> {
        let mut batches = Vec::new();
        self.each(bucket, |batch| {
            batches.push(batch);
            Ok(())
        })?;
        Ok(batches)
    }

    /// The same, one batch at a time.
    pub(super) fn each(
        &self,
        bucket: usize,
        mut take: impl FnMut(RecordBatch) -> Result<(), IngestError>,
    ) -> Result<(), IngestError> {
        if let Some(spill) = &self.spill {
            for frame in &spill.frames[bucket] {
                take(spill.read(bucket, frame)?)?;
            }
        }
        self.held[bucket].clone().map_or(Ok(()), take)
    }
}

/// The first bits, as a number.
pub(super) fn bucket_of(route: &[u8], bits: u32) -> usize {
    let first = u32::from_be_bytes([route[0], route[1], route[2], route[3]]);
    // A shift by 32 is not one.
    (u64::from(first) >> (32 - bits)) as usize
}

struct Spill {
    file: File,
    path: PathBuf,
    key: LessSafeKey,
    end: u64,
    sealed: u64,
    frames: Vec<Vec<Frame>>,
}

struct Frame {
    offset: u64,
    length: usize,
    number: u64,
}

impl Spill {
    fn create(folder: &Path, count: usize) -> Result<Spill, IngestError> {
        let name = format!("spill-{}", hex::encode(random::<8>().map_err(VaultError::from)?));
        let path = folder.join(name);
        let file = durable::create_nameless(&path)?;
        let key = Secret::generate().map_err(VaultError::from)?.aead();
        let frames = (0..count).map(|_| Vec::new()).collect();
        Ok(Spill { file, path, key, end: 0, sealed: 0, frames })
    }

    fn append(&mut self, bucket: usize, batch: &RecordBatch) -> Result<(), IngestError> {
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).map_err(engine)?;
        writer.write(batch).map_err(engine)?;
        let mut bytes = writer.into_inner().map_err(engine)?;
        let frame = Frame { offset: self.end, length: 0, number: self.sealed };
        self.key
            .seal_in_place_append_tag(
                nonce(frame.number),
                Aad::from((bucket as u64).to_be_bytes()),
                &mut bytes,
            )
            .map_err(|_| VaultError::NoRandom)?;
        self.file.write_all(&bytes).at(&self.path)?;
        self.sealed += 1;
        self.end += bytes.len() as u64;
        self.frames[bucket].push(Frame { length: bytes.len(), ..frame });
        Ok(())
    }

    fn read(&self, bucket: usize, frame: &Frame) -> Result<RecordBatch, IngestError> {
        let mut bytes = vec![0; frame.length];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(frame.offset)).at(&self.path)?;
        file.read_exact(&mut bytes).at(&self.path)?;
        let damaged = || VaultError::Damaged(self.path.display().to_string());
        let plain = self
            .key
            .open_in_place(nonce(frame.number), Aad::from((bucket as u64).to_be_bytes()), &mut bytes)
            .map_err(|_| damaged())?;
        let mut reader = StreamReader::try_new(&*plain, None).map_err(engine)?;
        reader.next().ok_or_else(damaged)?.map_err(engine)
    }
}

/// Counted, which is unique under a key that seals one file.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// A fixed-size binary column of 16 bytes a row.
pub(super) fn sixteen(
    values: impl Iterator<Item = [u8; 16]>,
) -> Result<Arc<arrow::array::FixedSizeBinaryArray>, IngestError> {
    let bytes: Vec<u8> = values.flatten().collect();
    let array = arrow::array::FixedSizeBinaryArray::try_new(16, bytes.into(), None).map_err(engine)?;
    debug_assert_eq!(array.null_count(), 0);
    Ok(Arc::new(array))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use arrow::array::UInt64Array;
    use arrow::datatypes::{DataType, Field, Schema, UInt64Type};
    use ring::digest;

    fn rows(from: u64, to: u64) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("route", DataType::FixedSizeBinary(16), false),
            Field::new("line", DataType::UInt64, false),
        ]);
        let route = sixteen((from..to).map(|line| {
            let hash = digest::digest(&digest::SHA256, &line.to_be_bytes());
            hash.as_ref()[..16].try_into().unwrap()
        }));
        let lines = UInt64Array::from_iter_values(from..to);
        RecordBatch::try_new(Arc::new(schema), vec![route.unwrap(), Arc::new(lines)]).unwrap()
    }

    #[test]
    fn every_row_comes_back_once_in_its_bucket_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (count, budget) in [(1, usize::MAX), (1, 4096), (8, usize::MAX), (8, 4096), (1024, 4096), (8, 0)]
        {
            let mut buckets = Buckets::new(rows(0, 1).schema(), count, budget, folder.path());
            for chunk in 0..20 {
                buckets.push(rows(chunk * 100, chunk * 100 + 100)).unwrap();
            }
            let sorted = buckets.finish().unwrap();
            assert_eq!(sorted.count(), count as usize);
            let mut seen = Vec::new();
            for bucket in 0..sorted.count() {
                let mut last = None;
                for batch in sorted.read(bucket).unwrap() {
                    let route = batch.column(0).as_fixed_size_binary();
                    for (row, line) in
                        batch.column(1).as_primitive::<UInt64Type>().values().iter().enumerate()
                    {
                        assert_eq!(bucket_of(route.value(row), sorted.bits), bucket);
                        assert!(last < Some(*line));
                        last = Some(*line);
                        seen.push(*line);
                    }
                }
            }
            seen.sort();
            assert_eq!(seen, (0..2000).collect::<Vec<_>>(), "{count} buckets, {budget} bytes");
        }
        assert!(durable::names_in(folder.path()).unwrap().is_empty(), "spills have no name");
    }

    #[test]
    fn a_changed_spill_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::create(folder.path(), 2).unwrap();
        spill.append(0, &rows(0, 10)).unwrap();
        spill.append(1, &rows(10, 20)).unwrap();
        assert_eq!(spill.read(1, &spill.frames[1][0]).unwrap(), rows(10, 20));
        assert!(spill.read(1, &spill.frames[0][0]).is_err(), "a frame of another bucket");
        spill.file.seek(SeekFrom::Start(40)).unwrap();
        spill.file.write_all(b"x").unwrap();
        assert!(spill.read(0, &spill.frames[0][0]).is_err());
    }
}
