//! Checks an exported log with nothing but the folder and a public key, and names what is wrong: which file, and
//! which line, leaf or hash in it.
//!
//! The signed checkpoint decides. If the lines of `leaves.jsonl` give its root they are the log, and every other
//! file must be, byte for byte, what they give: tiles, proofs, cosigned checkpoints. If not, the tiles tell which line
//! was changed.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::derived::Derived;
use crate::export::{CHECKPOINT, LEAVES, VKEY};
use crate::key::PublicKey;
use crate::proof::continues;
use crate::prune::unstub;
use crate::tiles::{TileFile, Tiling, WIDTH, path};
use crate::tree::{Growing, Hash, leaf_hash};

/// More faults than this are not listed.
const FAULTS_MAX: usize = 100;
/// Longest leaf, and the end of its line.
const LINE_BYTES_MAX: u64 = 65_536;
/// No note, and no key, is longer.
const NOTE_BYTES_MAX: u64 = 4_096;

/// An export that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Name of the log.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

/// Something wrong with an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path within the folder.
    pub file: String,
    /// Line, leaf or hash, where one can be named.
    pub place: Option<String>,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.file)?;
        if let Some(place) = &self.place {
            write!(f, ", {place}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

/// Why an export is not accepted: at least one fault, at most 100.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the exported log does not verify\n{}", .faults.iter().map(|f| format!("  {f}")).collect::<Vec<_>>().join("\n"))]
pub struct VerifyError {
    /// What is wrong.
    pub faults: Vec<Fault>,
}

/// The key that an export brings along. It shows only that the folder agrees with itself: whoever made the folder
/// could have made the key.
pub fn exported_key(dir: &Path) -> Result<PublicKey, VerifyError> {
    let mut faults = Faults::default();
    let key = faults.text(dir, VKEY).and_then(|text| {
        let key = text.strip_suffix('\n').and_then(|key| key.parse().ok());
        key.or_else(|| {
            faults.add(VKEY, None, "is not a verifier key");
            None
        })
    });
    key.ok_or(VerifyError { faults: faults.found })
}

/// Checks every byte of the export in `dir` against `key`.
pub fn verify_export(dir: &Path, key: &PublicKey) -> Result<Verified, VerifyError> {
    verify_export_since(dir, key, None)
}

/// The same, and that the log continues an `earlier` checkpoint that it signed: without one, a log that was rolled
/// back whole, or of which others see another version, is whole too.
pub fn verify_export_since(
    dir: &Path,
    key: &PublicKey,
    earlier: Option<&str>,
) -> Result<Verified, VerifyError> {
    checked(dir, key, earlier).map(|(verified, _)| verified)
}

/// What was verified, and its checkpoint.
pub(crate) fn checked(
    dir: &Path,
    key: &PublicKey,
    earlier: Option<&str>,
) -> Result<(Verified, String), VerifyError> {
    let mut faults = Faults::default();
    if let Some(text) = faults.text(dir, VKEY)
        && text != format!("{key}\n")
    {
        faults.add(VKEY, None, "is not the key to verify with");
    }
    if let Some((checkpoint, note)) = verified_checkpoint(dir, key, &mut faults)
        && let Some((derived, ended)) = faults.keep(LEAVES, read_lines(dir, key))
    {
        if derived.root() == checkpoint.root && derived.size() == checkpoint.size {
            if !ended {
                faults.add(LEAVES, Some(line(checkpoint.size)), "does not end with a line feed");
            }
            if let Some(earlier) = earlier
                && let Ok(Err(past)) =
                    continues(earlier, key, derived.size(), |size| Ok::<_, Infallible>(derived.root_at(size)))
            {
                faults.add(CHECKPOINT, None, &past.to_string());
            }
            compare(dir, derived, &note, &mut faults);
        } else {
            locate(dir, &checkpoint, derived.size(), &mut faults);
        }
        if faults.found.is_empty() {
            let Checkpoint { origin, size, root } = checkpoint;
            return Ok((Verified { origin, size, root }, note));
        }
    }
    Err(VerifyError { faults: faults.found })
}

fn verified_checkpoint(dir: &Path, key: &PublicKey, faults: &mut Faults) -> Option<(Checkpoint, String)> {
    let note = faults.text(dir, CHECKPOINT)?;
    let verified = Checkpoint::verified(&note, key);
    let verified = verified.map_err(|error| faults.add(CHECKPOINT, None, &error.to_string())).ok()?;
    Some((verified, note))
}

/// The leaves are the log: every other file is what they give, and there is no file besides.
fn compare(dir: &Path, derived: Derived<'_>, note: &str, faults: &mut Faults) {
    let mut expected: BTreeSet<String> = [CHECKPOINT, VKEY, LEAVES].map(str::to_owned).into();
    let mut compare = |path: String, bytes: &[u8], place: &dyn Fn(usize) -> Option<String>| {
        // One byte more than expected shows that there are too many.
        match read_at_most(&dir.join(&path), bytes.len() as u64 + 1) {
            Ok(found) if found == bytes => {}
            Ok(found) => {
                let at = found.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                faults.add(&path, place(at), "is not what the leaves give");
            }
            Err(error) => faults.add(&path, None, &unreadable(&error)),
        }
        expected.insert(path);
    };
    let mut tile = |file: TileFile<'_>| -> io::Result<()> {
        compare(file.path.clone(), file.bytes, &|at| Some(place(&file, at)));
        Ok(())
    };
    let mut tiling = Tiling::default();
    let compared =
        each_line(dir, |leaf, _| tiling.push(leaf, &mut tile)).and_then(|()| tiling.finish(&mut tile));
    let Ok(problems) = derived.finish(note, &mut |path, bytes: &[u8]| {
        compare(path, bytes, &|_| None);
        Ok::<_, Infallible>(())
    });
    faults.keep(LEAVES, compared);
    for (leaf, problem) in problems {
        faults.add(LEAVES, Some(line(leaf + 1)), problem);
    }
    refuse_others(dir, dir, &expected, faults);
}

/// The leaf or hash that byte `at` of a file belongs to.
fn place(file: &TileFile<'_>, at: usize) -> String {
    if file.ends.is_empty() {
        return format!("hash {}", file.first + (at / size_of::<Hash>()) as u64);
    }
    format!("leaf {}", file.first + file.ends.partition_point(|end| *end <= at) as u64)
}

fn refuse_others(root: &Path, dir: &Path, expected: &BTreeSet<String>, faults: &mut Faults) {
    let name = |path: &Path| {
        let parts = path.strip_prefix(root).unwrap_or(path).iter().map(|part| part.to_string_lossy());
        parts.collect::<Vec<_>>().join("/")
    };
    let Some(entries) = faults.keep(&name(dir), fs::read_dir(dir)) else { return };
    for entry in entries {
        let Some(entry) = faults.keep(&name(dir), entry) else { continue };
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => refuse_others(root, &path, expected, faults),
            Ok(kind) if kind.is_file() && expected.contains(&name(&path)) => {}
            Ok(kind) if kind.is_file() => faults.add(&name(&path), None, "does not belong to the export"),
            Ok(_) => faults.add(&name(&path), None, "is not a plain file"),
            Err(error) => faults.add(&name(&path), None, &unreadable(&error)),
        }
    }
}

/// The lines are not the log that was signed: finds the first that differs from a tile that is.
fn locate(dir: &Path, checkpoint: &Checkpoint, lines: u64, faults: &mut Faults) {
    let signed = |hashes: &Vec<Hash>| {
        let mut tree = Growing::default();
        for hash in hashes {
            let Ok(()) = tree.push(*hash, |_, _, _| Ok::<_, Infallible>(()));
        }
        tree.size() == checkpoint.size && tree.root() == checkpoint.root
    };
    let tiles = ["0", "entries"].map(|level| tile_hashes(dir, level, checkpoint.size));
    let Some(hashes) = tiles.into_iter().flatten().find(signed) else {
        let problem =
            format!("the {lines} lines are not the {} leaves that the checkpoint signs", checkpoint.size);
        faults.add(LEAVES, None, &problem);
        return faults.add("tile", None, "leaves and hashes are not those that the checkpoint signs either");
    };
    let (mut index, mut differs) = (0usize, None);
    let compared = each_line(dir, |leaf, _| {
        if differs.is_none() && hashes.get(index) != Some(&unstub(leaf).0) {
            differs = Some(index);
        }
        index += 1;
        Ok(())
    });
    faults.keep(LEAVES, compared);
    let differs = differs.unwrap_or(index) as u64;
    let problem = match differs {
        beyond if beyond >= checkpoint.size => "is beyond the leaves that the checkpoint signs",
        missing if missing >= lines => "is missing",
        _ => "is not the leaf that the checkpoint signs",
    };
    faults.add(LEAVES, Some(line(differs + 1)), problem);
}

/// Leaf hashes as the hash tiles (`0`) or the bundles (`entries`) have them; `None` if a file is not in form.
fn tile_hashes(dir: &Path, level: &str, size: u64) -> Option<Vec<Hash>> {
    let mut hashes = Vec::new();
    for number in 0..size.div_ceil(WIDTH) {
        let width = (size - number * WIDTH).min(WIDTH);
        let bytes = read_at_most(&dir.join(path(level, number, width)), WIDTH * (LINE_BYTES_MAX + 2)).ok()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            if level == "entries" {
                let (length, entry) = rest.split_first_chunk::<2>()?;
                let (entry, after) = entry.split_at_checked(u16::from_be_bytes(*length).into())?;
                hashes.push(leaf_hash(entry));
                rest = after;
            } else {
                let (hash, after) = rest.split_first_chunk()?;
                hashes.push(*hash);
                rest = after;
            }
        }
    }
    Some(hashes)
}

/// What the lines give, and whether the last one has an end.
fn read_lines<'k>(dir: &Path, key: &'k PublicKey) -> io::Result<(Derived<'k>, bool)> {
    let (mut derived, mut all_ended) = (Derived::new(key), true);
    each_line(dir, |leaf, ended| {
        all_ended &= ended;
        derived.add(leaf);
        Ok(())
    })?;
    Ok((derived, all_ended))
}

/// Every line of `leaves.jsonl` without its end, and whether it had one. A line longer than any leaf is cut, so
/// that no file can fill the memory.
fn each_line(dir: &Path, mut each: impl FnMut(&[u8], bool) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(dir.join(LEAVES))?);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        match bytes.strip_suffix(b"\n") {
            Some(leaf) => each(leaf, true)?,
            None => each(&bytes, false)?,
        }
    }
}

fn read_at_most(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    File::open(path)?.take(bytes).read_to_end(&mut found)?;
    Ok(found)
}

fn line(number: u64) -> String {
    format!("line {number}")
}

fn unreadable(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "is missing".to_owned()
    } else {
        format!("cannot be read: {error}")
    }
}

#[derive(Default)]
struct Faults {
    found: Vec<Fault>,
}

impl Faults {
    fn add(&mut self, file: &str, place: Option<String>, problem: &str) {
        if self.found.len() < FAULTS_MAX {
            self.found.push(Fault { file: file.to_owned(), place, problem: problem.to_owned() });
        }
    }

    /// The value, or a fault of `file`.
    fn keep<T>(&mut self, file: &str, result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(file, None, &unreadable(&error))).ok()
    }

    fn text(&mut self, dir: &Path, file: &str) -> Option<String> {
        let bytes = self.keep(file, read_at_most(&dir.join(file), NOTE_BYTES_MAX))?;
        String::from_utf8(bytes).map_err(|_| self.add(file, None, "is not UTF-8")).ok()
    }
}
