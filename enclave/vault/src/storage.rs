//! [`Storage`]: where the encrypted files of a home are: a folder, or a bucket of an S3-compatible or Azure store.
//! What was written is durable when the call returns, and [`Storage::create`] has one winner.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::buffered::BufWriter;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path as StorePath;
use datafusion::object_store::prefix::PrefixStore;
use datafusion::object_store::{
    Error, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutMode, PutOptions, PutPayload,
};
use futures::TryStreamExt;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;

use crate::durable::{self, At, FileError};
use crate::seal::random;
use crate::vault::VaultError;

/// Names the store in a home that keeps its files elsewhere.
const CONFIGURATION: &str = "store.url";
/// What is fetched at a time where a reader asks for no range.
const BLOCK: u64 = 1 << 20;

/// The files of one home. Paths are relative, with `/`.
#[derive(Clone)]
pub(crate) struct Storage(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    /// As it is shown: the folder, or the address.
    shown: PathBuf,
    kind: Kind,
}

enum Kind {
    /// A folder of this machine: it has to be told to make things durable.
    Folder,
    /// A store that has made durable what it acknowledges. It is spoken to on threads of its own.
    Remote(Option<Runtime>),
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Kind::Remote(runtime) = &mut self.kind
            && let Some(runtime) = runtime.take()
        {
            runtime.shutdown_background();
        }
    }
}

impl Storage {
    /// Makes the home's files lie at `url` (`s3://bucket/prefix`, `az://container/prefix`) from now on.
    pub(crate) fn configure(home: &Path, url: &str) -> Result<(), VaultError> {
        remote(url)?;
        durable::replace(&home.join(CONFIGURATION), url.as_bytes())?;
        Ok(())
    }

    /// The files of `home`: in the folder itself, unless it was configured otherwise.
    pub(crate) fn open(home: &Path) -> Result<Storage, VaultError> {
        if let Some(url) = durable::read_if_there(&home.join(CONFIGURATION), 4096)? {
            let url = String::from_utf8(url).map_err(|_| VaultError::Store("not a URL".to_owned()))?;
            return remote(url.trim());
        }
        let store = LocalFileSystem::new_with_prefix(home).map_err(|error| wrong_store(&error))?;
        Ok(Storage(Arc::new(Inner { store: Arc::new(store), shown: home.to_path_buf(), kind: Kind::Folder })))
    }

    /// The address under which DataFusion knows it.
    pub(crate) fn url() -> ObjectStoreUrl {
        // INVARIANT: a constant that parses.
        #[expect(clippy::expect_used, reason = "the address is a constant")]
        ObjectStoreUrl::parse("vault://store").expect("an address")
    }

    /// For DataFusion.
    pub(crate) fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.0.store)
    }

    /// The whole of a small file; `None` where it is not there.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
        let (store, at) = (self.object_store(), location(path));
        let read = self.wait(async move {
            let got = store.get(&at).await?;
            if got.meta.size > limit {
                return Ok(None);
            }
            got.bytes().await.map(Some)
        });
        match read {
            Ok(Some(bytes)) => Ok(Some(bytes.into())),
            Ok(None) => Err(self.error(path, io::Error::from(io::ErrorKind::FileTooLarge))),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(path, error.into())),
        }
    }

    /// Writes a file that must not be there yet; `false` where it is. Whole or not at all, whenever the machine stops.
    pub(crate) fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, FileError> {
        if let Kind::Folder = self.0.kind {
            let to = self.0.shown.join(path);
            // Several may want to be first, and whoever cleans up may take what is only just being written.
            loop {
                to.parent().map_or(Ok(()), |folder| self.create_folder(folder))?;
                match link_new(&to, bytes) {
                    Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                    linked => return linked,
                }
            }
        }
        let (store, at, bytes) = (self.object_store(), location(path), PutPayload::from(bytes.to_vec()));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.wait(async move { store.put_opts(&at, bytes, options).await }) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.error(path, error.into())),
        }
    }

    /// A new file, to be written from front to end.
    pub(crate) fn writer(&self, path: &str) -> Result<Writer, FileError> {
        let to = match self.0.kind {
            Kind::Folder => {
                let path = self.0.shown.join(path);
                path.parent().map_or(Ok(()), durable::create_dir)?;
                Sink::File(durable::create_file(&path)?)
            }
            Kind::Remote(_) => {
                Sink::Object(Some(Box::new(BufWriter::new(self.object_store(), location(path)))))
            }
        };
        Ok(Writer { storage: self.clone(), path: path.to_owned(), to, hash: Sha256::new(), size: 0 })
    }

    /// A file, for a reader of Parquet.
    pub(crate) fn reader(&self, path: &str, size: u64) -> Reader {
        Reader { storage: self.clone(), path: path.to_owned(), size }
    }

    /// Length in bytes and SHA-256 of a file; `None` where it is not there.
    pub(crate) fn digest(&self, path: &str) -> Result<Option<(u64, String)>, FileError> {
        let (store, at) = (self.object_store(), location(path));
        let digest = self.wait(async move {
            let mut stream = store.get(&at).await?.into_stream();
            let (mut hash, mut size) = (Sha256::new(), 0);
            while let Some(bytes) = stream.try_next().await? {
                hash.update(&bytes);
                size += bytes.len() as u64;
            }
            Ok((size, hex::encode(hash.finalize())))
        });
        match digest {
            Ok(digest) => Ok(Some(digest)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(path, error.into())),
        }
    }

    /// The names in a folder, files and folders, in order; none where it is not there.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<String>, FileError> {
        if let Kind::Folder = self.0.kind {
            // An object store shows no folder that is empty, and one that a crash has left is to be found.
            return durable::names_in(&self.0.shown.join(folder));
        }
        let (store, at) = (self.object_store(), location(folder));
        let listed = self
            .wait(async move { store.list_with_delimiter(Some(&at)).await })
            .map_err(|error| self.error(folder, error.into()))?;
        let files = listed.objects.iter().map(|file| &file.location);
        let names = files.chain(&listed.common_prefixes).filter_map(StorePath::filename);
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    /// Removes a file; it may be gone already.
    pub(crate) fn remove(&self, path: &str) -> Result<(), FileError> {
        if let Kind::Folder = self.0.kind {
            return durable::remove_file(&self.0.shown.join(path));
        }
        let (store, at) = (self.object_store(), location(path));
        match self.wait(async move { store.delete(&at).await }) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(path, error.into())),
        }
    }

    /// Removes a folder with all that is in it; it may be gone already.
    pub(crate) fn remove_folder(&self, folder: &str) -> Result<(), FileError> {
        if let Kind::Folder = self.0.kind {
            return durable::remove_dir(&self.0.shown.join(folder));
        }
        let (store, at) = (self.object_store(), location(folder));
        let removed = self.wait(async move {
            let files: Vec<_> = store.list(Some(&at)).map_ok(|file| file.location).try_collect().await?;
            for file in files {
                store.delete(&file).await?;
            }
            Ok(())
        });
        removed.map_err(|error: Error| self.error(folder, error.into()))
    }

    /// Makes the names in a folder, and in those above it, durable.
    pub(crate) fn sync_folder(&self, folder: &str) -> Result<(), FileError> {
        if let Kind::Folder = self.0.kind {
            let folder = self.0.shown.join(folder);
            let within = folder.ancestors().take_while(|folder| folder.starts_with(&self.0.shown));
            within.filter(|folder| folder.is_dir()).try_for_each(durable::sync_dir)?;
        }
        Ok(())
    }

    fn create_folder(&self, folder: &Path) -> Result<(), FileError> {
        if folder.is_dir() {
            return Ok(());
        }
        durable::create_dir(folder)?;
        let above = folder.ancestors().skip(1).take_while(|above| above.starts_with(&self.0.shown));
        above.into_iter().try_for_each(durable::sync_dir)
    }

    /// Waits for the store, whoever waits: also within an asynchronous task.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let Kind::Remote(Some(runtime)) = &self.0.kind else {
            return futures::executor::block_on(work);
        };
        let (sender, done) = sync_channel(1);
        runtime.spawn(async move {
            let _ = sender.send(work.await);
        });
        let stopped = |error| Error::Generic { store: "vault", source: Box::new(error) };
        done.recv().map_err(stopped)?
    }

    fn error(&self, path: &str, source: io::Error) -> FileError {
        FileError { path: self.0.shown.join(path), source }
    }
}

/// Writes the bytes under a name of their own, and gives them the other, unless it is taken.
fn link_new(to: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    let random = random::<8>().map_err(io::Error::other).at(to)?;
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{}.new", hex::encode(random)));
    let beside = PathBuf::from(name);
    let mut file = durable::create_file(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).at(&beside);
    let linked = written.and_then(|()| std::fs::hard_link(&beside, to).at(to));
    durable::remove_file(&beside)?;
    match linked {
        Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        linked => linked?,
    }
    to.parent().map_or(Ok(()), durable::sync_dir)?;
    Ok(true)
}

fn location(path: &str) -> StorePath {
    StorePath::from(path)
}

/// The store's own words may hold an address with its secrets, so only its kind is said.
fn wrong_store(_: &dyn std::error::Error) -> VaultError {
    VaultError::Store("it cannot be opened".to_owned())
}

fn remote(url: &str) -> Result<Storage, VaultError> {
    let wrong = |reason: &str| VaultError::Store(format!("`{url}` {reason}"));
    let parsed = url::Url::parse(url).map_err(|_| wrong("is not a URL"))?;
    let (scheme, _) = ObjectStoreScheme::parse(&parsed).map_err(|_| wrong("names no store"))?;
    if !matches!(scheme, ObjectStoreScheme::AmazonS3 | ObjectStoreScheme::MicrosoftAzure) {
        return Err(wrong("is neither `s3://bucket/prefix` nor `az://container/prefix`"));
    }
    // Address and credentials come as the makers of these stores name them: AWS_…, AZURE_….
    let options = std::env::vars()
        .filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("AZURE_"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, prefix) = datafusion::object_store::parse_url_opts(&parsed, options)
        .map_err(|_| wrong("cannot be opened with the AWS_ and AZURE_ variables that are set"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("store")
        .enable_all()
        .build()
        .map_err(|error| wrong_store(&error))?;
    Ok(Storage(Arc::new(Inner {
        store: Arc::new(PrefixStore::new(store, prefix)),
        shown: PathBuf::from(url),
        kind: Kind::Remote(Some(runtime)),
    })))
}

/// Writes one file, and hashes it on the way.
pub(crate) struct Writer {
    storage: Storage,
    path: String,
    to: Sink,
    hash: Sha256,
    size: u64,
}

enum Sink {
    File(File),
    Object(Option<Box<BufWriter>>),
}

impl Writer {
    /// Makes the file durable; gives its length in bytes and its SHA-256.
    pub(crate) fn finish(self) -> Result<(u64, String), FileError> {
        match self.to {
            Sink::File(file) => file.sync_all().at(&self.storage.0.shown.join(&self.path))?,
            Sink::Object(Some(mut object)) => {
                let closed = self.storage.wait(async move { Ok(object.shutdown().await) });
                closed.map_err(io::Error::from).flatten().map_err(|e| self.storage.error(&self.path, e))?;
            }
            Sink::Object(None) => {
                return Err(self.storage.error(&self.path, io::Error::from(io::ErrorKind::BrokenPipe)));
            }
        }
        Ok((self.size, hex::encode(self.hash.finalize())))
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = match &mut self.to {
            Sink::File(file) => file.write(bytes)?,
            Sink::Object(object) => {
                let Some(mut writer) = object.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
                let owned = bytes.to_vec();
                let (writer, written) = self.storage.wait(async move {
                    let written = writer.write_all(&owned).await;
                    Ok((writer, written))
                })?;
                written?;
                *object = Some(writer);
                bytes.len()
            }
        };
        self.hash.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            Sink::File(file) => file.flush(),
            Sink::Object(_) => Ok(()),
        }
    }
}

/// Reads one file, range by range.
#[derive(Clone)]
pub(crate) struct Reader {
    storage: Storage,
    path: String,
    size: u64,
}

impl Reader {
    fn range(&self, range: Range<u64>) -> Result<bytes::Bytes, io::Error> {
        let (store, at) = (self.storage.object_store(), location(&self.path));
        self.storage.wait(async move { store.get_range(&at, range).await }).map_err(io::Error::from)
    }
}

impl Length for Reader {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Reader {
    type T = Blocks;

    fn get_read(&self, start: u64) -> Result<Blocks, ParquetError> {
        Ok(Blocks { reader: self.clone(), next: start, block: bytes::Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes, ParquetError> {
        Ok(self.range(start..start + length as u64)?)
    }
}

/// A file from some place on, a block at a time.
pub(crate) struct Blocks {
    reader: Reader,
    next: u64,
    block: bytes::Bytes,
}

impl Read for Blocks {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() && self.next < self.reader.size {
            let end = (self.next + BLOCK).min(self.reader.size);
            self.block = self.reader.range(self.next..end)?;
            self.next = end;
        }
        let length = to.len().min(self.block.len());
        to[..length].copy_from_slice(&self.block.split_to(length));
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::thread;

    use super::*;

    #[test]
    fn of_many_who_create_a_file_one_wins_and_nobody_fails() {
        let home = tempfile::tempdir().unwrap();
        let storage = Storage::open(home.path()).unwrap();
        for round in 0..20 {
            let path = format!("store/club/manifests/{round:08}");
            let won = thread::scope(|scope| {
                let create = |bytes: u8| storage.create(&path, &[bytes; 4096]).unwrap();
                let running: Vec<_> = (0..8).map(|i| scope.spawn(move || create(i))).collect();
                // Somebody removes what looks like a leftover.
                for name in storage.names("store/club/manifests").unwrap() {
                    if name.ends_with(".new") {
                        storage.remove(&format!("store/club/manifests/{name}")).unwrap();
                    }
                }
                running.into_iter().map(|create| u32::from(create.join().unwrap())).sum::<u32>()
            });
            assert_eq!(won, 1);
            let written = storage.read(&path, 4096).unwrap().unwrap();
            assert!(written.iter().all(|byte| *byte == written[0]) && written.len() == 4096);
        }
        assert_eq!(storage.names("store/club/manifests").unwrap().len(), 20, "no leftover");
    }
}
