//! A second verifier, in Python, written from the public texts alone: it accepts what we accept and nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::mutations::{Exports, Random};

/// Mutations that the second verifier is shown: it is slow, and one process sees them all.
const MUTATIONS: u64 = 24;

fn verifier() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/tlog_verify/verify.py")
}

#[test]
fn a_second_verifier_agrees() {
    let exports = Exports::new();
    let scratch = tempfile::tempdir().unwrap();
    let file = |name: &str| scratch.path().join(name);
    fs::write(file("key"), format!("{}\n", exports.key)).unwrap();
    fs::write(file("last"), &exports.last).unwrap();
    let mut command = Command::new("python3");
    command.arg("-I").arg(verifier()).arg(exports.dir());
    let mut told = Vec::new();
    for seed in 0..MUTATIONS {
        let dir = file(&seed.to_string());
        told.push(exports.mutate(&mut Random(seed), &dir));
        command.arg(dir);
    }
    command.arg("--key").arg(file("key")).arg("--since").arg(file("last"));
    let output =
        command.output().unwrap_or_else(|error| panic!("`python3` is needed for this test: {error}"));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let whole = lines.next().unwrap_or_default();
    let expected = format!(": verified: {} leaves, root ", exports.size);
    assert!(whole.contains(&expected), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for what in told {
        let line = lines.next().unwrap_or_default();
        assert!(line.contains(": not verified: "), "{what}: {line}");
    }
    assert!(!output.status.success());
}
