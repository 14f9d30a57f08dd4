//! Whatever is done to an exported log, `log verify` notices: random bytes, lost, moved and added files and lines, a
//! fork and a rollback. `ENCLAVE_MUTATIONS` says how many times, `ENCLAVE_SEED` where to begin.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use ledger::{
    Event, Ledger, PublicKey, Stamp, WitnessKey, verify_export, verify_export_since, witness_export,
};
use serde_json::json;

/// A log with everything in it that an export can hold, the checkpoint that a witness signed last, an older export of
/// the same log, and one of a fork.
pub(crate) struct Exports {
    pub(crate) place: Place,
    pub(crate) key: PublicKey,
    pub(crate) last: String,
    pub(crate) size: u64,
    _fork: Place,
    fork: PathBuf,
}

impl Exports {
    pub(crate) fn new() -> Exports {
        let place = Place::new();
        let ledger = place.create();
        let key = ledger.public_key().clone();
        let by = |second| Stamp { at: at(second), by: Some("s1") };
        let witness = WitnessKey::generate("board.example/sato").unwrap();
        ledger.sign(at(0), &memorandum("m1", 1000), "m1", Some(micro(5000))).unwrap();
        ledger.register_witness(by(1), witness.public()).unwrap();
        answer(&ledger, 10, 8);
        let dir = |name: &str| place.dir.path().join(name);
        ledger.export(&dir("first")).unwrap();
        let note = witness_export(&dir("first"), &witness, &key, None, at(11)).unwrap();
        ledger.add_cosignatures(by(12), &note).unwrap();
        for second in 0..240 {
            ledger.append(at(20 + second), Event::Ingest, json!({ "snapshot": second })).unwrap();
        }
        answer(&ledger, 300, 3);
        ledger.export(&dir("older")).unwrap();
        let fork = place.copy_open();
        ledger.prune(by(400), at(11), "After five years.").unwrap();
        answer(&ledger, 410, 2);
        ledger.export(&dir("export")).unwrap();
        let last = witness_export(&dir("export"), &witness, &key, Some(&note), at(420)).unwrap();

        let forked = fork.open();
        answer(&forked, 405, 4);
        forked.append(at(430), Event::Keys, json!({})).unwrap();
        let fork_dir = fork.dir.path().join("export");
        forked.export(&fork_dir).unwrap();
        let size = ledger.size().unwrap();
        Exports { key, last, size, fork: fork_dir, _fork: fork, place }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.place.dir.path().join("export")
    }

    /// Puts one mutation in `to`, a copy of the export, and says which.
    pub(crate) fn mutate(&self, random: &mut Random, to: &Path) -> String {
        let kind = random.below(12);
        if kind >= 10 {
            let (from, what) = match kind {
                10 => (self.place.dir.path().join("older"), "rolled back"),
                _ => (self.fork.clone(), "forked"),
            };
            copy(&from, to);
            return what.to_owned();
        }
        copy(&self.dir(), to);
        let files = files(to);
        let file = files[random.below(files.len())].clone();
        let name = file.strip_prefix(to).unwrap().display().to_string();
        let mut bytes = fs::read(&file).unwrap();
        let at = random.below(bytes.len());
        let mut lines: Vec<Vec<u8>> =
            bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let (one, other) = (random.below(lines.len()), random.below(lines.len()));
        let what = match kind {
            0 | 1 => {
                bytes[at] ^= 1 << random.below(8);
                format!("bit of byte {at} flipped")
            }
            2 => {
                bytes.truncate(at);
                format!("cut at {at}")
            }
            3 => {
                bytes.insert(at, u8::try_from(random.below(256)).unwrap());
                format!("byte added at {at}")
            }
            4 => {
                bytes.remove(at);
                format!("byte {at} dropped")
            }
            5 => {
                lines.remove(one);
                bytes = lines.concat();
                format!("line {one} dropped")
            }
            6 if lines[one] != lines[other] => {
                lines.swap(one, other);
                bytes = lines.concat();
                format!("lines {one} and {other} swapped")
            }
            7 => {
                lines.insert(other, lines[one].clone());
                bytes = lines.concat();
                format!("line {one} repeated at {other}")
            }
            8 => {
                fs::remove_file(&file).unwrap();
                return format!("`{name}`: removed");
            }
            _ => {
                let swapped = files[random.below(files.len())].clone();
                let theirs = fs::read(&swapped).unwrap();
                if theirs == bytes {
                    fs::write(to.join("beside"), b"").unwrap();
                    return "`beside` added".to_owned();
                }
                fs::write(&swapped, &bytes).unwrap();
                bytes = theirs;
                format!("exchanged for {}", swapped.display())
            }
        };
        fs::write(&file, bytes).unwrap();
        format!("`{name}`: {what}")
    }
}

fn answer(ledger: &Ledger, second: u32, plans: u8) {
    for plan in 0..plans {
        ledger.debit(at(second), &question("m1", plan), cost(7, 1e-9)).unwrap();
        ledger.record(at(second), &replay_key("m1", plan), json!({}), "answer").unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// splitmix64: enough for choosing.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn every_mutation_is_detected() {
    let exports = Exports::new();
    verify_export_since(&exports.dir(), &exports.key, Some(&exports.last)).unwrap();
    let (rounds, seed) = (number("ENCLAVE_MUTATIONS", 200), number("ENCLAVE_SEED", 1));
    let mut missed = Vec::new();
    for round in 0..rounds {
        let mut random = Random(seed.wrapping_add(round));
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("export");
        let what = exports.mutate(&mut random, &dir);
        if verify_export_since(&dir, &exports.key, Some(&exports.last)).is_ok() {
            missed.push(format!("ENCLAVE_SEED={}: {what}", seed.wrapping_add(round)));
        }
    }
    assert!(missed.is_empty(), "not detected:\n{}", missed.join("\n"));
    // The positive control: who keeps no checkpoint takes the fork and the older log for the log.
    for dir in [exports.place.dir.path().join("older"), exports.fork.clone()] {
        verify_export(&dir, &exports.key).unwrap();
    }
}
