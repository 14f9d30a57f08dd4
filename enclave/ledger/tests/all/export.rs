//! An exported log verifies as it is, and not after any change; what was changed is named.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;
use ledger::{
    Event, ExportError, Fault, Ledger, LogKey, PublicKey, VerifyError, exported_key, verify_export,
};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use serde_json::json;

struct Export {
    place: Place,
    key: PublicKey,
    files: Vec<PathBuf>,
}

impl Export {
    fn of(leaves: u32) -> Export {
        let place = Place::new();
        let ledger = place.create();
        for second in 0..leaves {
            ledger.append(at(second), Event::Ingest, json!({ "snapshot": format!("s{second}") })).unwrap();
        }
        let key = ledger.public_key().clone();
        let exported = ledger.export(&place.dir.path().join("export")).unwrap();
        assert_eq!(exported.size, u64::from(leaves));
        let mut export = Export { place, key, files: Vec::new() };
        export.files = files(&export.dir());
        export
    }

    fn dir(&self) -> PathBuf {
        self.place.dir.path().join("export")
    }

    fn faults(&self) -> Vec<Fault> {
        verify_export(&self.dir(), &self.key).map_or_else(|VerifyError { faults }| faults, |_| Vec::new())
    }

    /// The faults while `change` is made to one file.
    fn changed(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> Vec<Fault> {
        let path = self.dir().join(file);
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        change(&mut bytes);
        assert_ne!(bytes, before);
        fs::write(&path, bytes).unwrap();
        let faults = self.faults();
        fs::write(&path, before).unwrap();
        faults
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

fn relative(export: &Export, file: &Path) -> String {
    file.strip_prefix(export.dir()).unwrap().to_string_lossy().into_owned()
}

#[track_caller]
fn names(faults: &[Fault], file: &str, place: Option<&str>) {
    let named = faults.iter().any(|fault| fault.file == file && fault.place.as_deref() == place);
    assert!(named, "`{file}` {place:?} is not named in {faults:?}");
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn logs_of_all_sizes_verify() {
    let place = Place::new();
    let ledger = place.create();
    for size in 0..=257u64 {
        if [0, 1, 2, 3, 7, 255, 256, 257].contains(&size) {
            let dir = place.dir.path().join(size.to_string());
            let exported = ledger.export(&dir).unwrap();
            let verified = verify_export(&dir, ledger.public_key()).unwrap();
            assert_eq!(
                (verified.size, verified.root, verified.origin.as_str()),
                (size, exported.root, ORIGIN)
            );
            assert_eq!(exported_key(&dir).unwrap(), *ledger.public_key());
        }
        ledger.append(at(0), Event::Ingest, json!({})).unwrap();
    }
}

#[test]
fn every_byte_of_every_file_counts() {
    let export = Export::of(3);
    let named: Vec<_> = export.files.iter().map(|file| relative(&export, file)).collect();
    assert_eq!(named, ["checkpoint", "leaves.jsonl", "tile/0/000.p/3", "tile/entries/000.p/3", "vkey"]);
    for file in named {
        let path = export.dir().join(&file);
        let before = fs::read(&path).unwrap();
        for at in 0..before.len() {
            let mut bytes = before.clone();
            bytes[at] ^= 0x20;
            fs::write(&path, bytes).unwrap();
            let faults = export.faults();
            assert!(faults.iter().any(|fault| fault.file == file), "byte {at} of `{file}`: {faults:?}");
            if file == "leaves.jsonl" {
                let line = 1 + before[..at].iter().filter(|byte| **byte == b'\n').count();
                names(&faults, &file, Some(&format!("line {line}")));
            } else if file.starts_with("tile/0") {
                names(&faults, &file, Some(&format!("hash {}", at / 32)));
            }
        }
        fs::write(&path, before).unwrap();
    }
    assert_eq!(export.faults(), []);
}

#[test]
fn any_byte_of_a_larger_log_counts() {
    let export = Export::of(260);
    let flips = (any::<Index>(), any::<Index>(), 0u8..8);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) });
    let checked = runner.run(&flips, |(file, at, bit)| {
        let file = relative(&export, &export.files[file.index(export.files.len())]);
        let faults = export.changed(&file, |bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        });
        prop_assert!(faults.iter().any(|fault| fault.file == file), "`{}`: {:?}", file, faults);
        Ok(())
    });
    checked.unwrap();
    assert_eq!(export.faults(), []);
}

#[test]
fn lines_cannot_be_cut_moved_or_added() {
    let export = Export::of(6);
    let line = |bytes: &[u8], number: usize| -> Vec<u8> {
        bytes.split_inclusive(|byte| *byte == b'\n').nth(number - 1).unwrap().to_vec()
    };
    let cut_last = export.changed("leaves.jsonl", |bytes| {
        let last = line(bytes, 6).len();
        bytes.truncate(bytes.len() - last);
    });
    names(&cut_last, "leaves.jsonl", Some("line 6"));
    assert_eq!(cut_last[0].problem, "is missing");
    let emptied = export.changed("leaves.jsonl", Vec::clear);
    names(&emptied, "leaves.jsonl", Some("line 1"));
    let moved = export.changed("leaves.jsonl", |bytes| {
        let (second, third) = (line(bytes, 2), line(bytes, 3));
        let start = line(bytes, 1).len();
        bytes.splice(start..start + second.len() + third.len(), [third, second].concat());
    });
    names(&moved, "leaves.jsonl", Some("line 2"));
    let added = export.changed("leaves.jsonl", |bytes| bytes.extend(line(bytes, 6)));
    names(&added, "leaves.jsonl", Some("line 7"));
    let unended = export.changed("leaves.jsonl", |bytes| bytes.truncate(bytes.len() - 1));
    names(&unended, "leaves.jsonl", Some("line 6"));
    let long = export.changed("leaves.jsonl", |bytes| bytes.extend(vec![b' '; 200_000]));
    names(&long, "leaves.jsonl", Some("line 7"));
}

#[test]
fn tiles_are_whole_and_nothing_is_beside_them() {
    let export = Export::of(6);
    let entry = export.changed("tile/entries/000.p/6", |bytes| {
        let second = usize::from(u16::from_be_bytes([bytes[0], bytes[1]])) + 2;
        bytes[second + 10] ^= 1;
    });
    names(&entry, "tile/entries/000.p/6", Some("leaf 1"));
    let short = export.changed("tile/0/000.p/6", |bytes| bytes.truncate(5 * 32));
    names(&short, "tile/0/000.p/6", Some("hash 5"));
    let long = export.changed("tile/0/000.p/6", |bytes| bytes.push(0));
    names(&long, "tile/0/000.p/6", Some("hash 6"));

    for file in ["leaves.jsonl", "checkpoint", "vkey", "tile/0/000.p/6", "tile/entries/000.p/6"] {
        let (path, aside) = (export.dir().join(file), export.place.dir.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        names(&export.faults(), file, None);
        fs::rename(&aside, &path).unwrap();
    }
    for file in ["README", "tile/0/001", "tile/1/000.p/1"] {
        let path = export.dir().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        names(&export.faults(), file, None);
        fs::remove_file(path).unwrap();
    }
    #[cfg(unix)]
    {
        let (path, aside) = (export.dir().join("vkey"), export.place.dir.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &path).unwrap();
        names(&export.faults(), "vkey", None);
    }
}

/// Whoever rewrites leaf and tiles together still has no signature.
#[test]
fn a_consistent_forgery_fails_at_the_checkpoint() {
    let (export, forged) = (Export::of(6), Export::of(7));
    for file in ["leaves.jsonl", "tile"] {
        let (path, aside) = (export.dir().join(file), export.place.dir.path().join(file));
        fs::rename(&path, aside).unwrap();
        fs::rename(forged.dir().join(file), path).unwrap();
    }
    let faults = export.faults();
    assert_eq!(faults[0].file, "leaves.jsonl");
    assert_eq!(faults[0].problem, "the 7 lines are not the 6 leaves that the checkpoint signs");

    fs::copy(forged.dir().join("checkpoint"), export.dir().join("checkpoint")).unwrap();
    names(&export.faults(), "checkpoint", None);
    fs::copy(forged.dir().join("vkey"), export.dir().join("vkey")).unwrap();
    let faults = export.faults();
    assert_eq!(faults.iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), ["vkey", "checkpoint"]);
    // The positive control: with the forger's own key, the forgery is a log.
    assert!(verify_export(&export.dir(), &exported_key(&export.dir()).unwrap()).is_ok());
}

#[test]
fn the_right_key_is_needed() {
    let export = Export::of(3);
    let other = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap().public(ORIGIN).unwrap();
    let VerifyError { faults } = verify_export(&export.dir(), &other).unwrap_err();
    assert_eq!(faults.iter().map(|fault| fault.file.as_str()).collect::<Vec<_>>(), ["vkey", "checkpoint"]);
    let renamed = PublicKey::new("else", *export.key.bytes()).unwrap();
    assert!(verify_export(&export.dir(), &renamed).is_err());

    let error = verify_export(&export.place.dir.path().join("nowhere"), &export.key).unwrap_err().to_string();
    assert_eq!(error, "the exported log does not verify\n  `vkey`: is missing\n  `checkpoint`: is missing");
}

#[test]
fn an_export_is_not_mixed_with_other_files() {
    let place = Place::new();
    let ledger: Ledger = place.create();
    let dir = place.dir.path().join("out/log");
    ledger.export(&dir).unwrap();
    assert!(matches!(ledger.export(&dir), Err(ExportError::Occupied(_))));
    let file = place.dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(ledger.export(&file), Err(ExportError::Occupied(_))));
}
