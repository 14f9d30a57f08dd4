//! The map is tested: who may depend on whom, and what every file owes its reader. `docs/architecture.md` has the
//! map in words.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Who may depend on whom, directly. Dependencies of tests are exempt: they reach no one's machine.
const MAP: [(&str, &[&str]); 10] = [
    ("disclosure-rules", &[]),
    ("memoranda", &["disclosure-rules"]),
    ("queries", &["disclosure-rules", "memoranda"]),
    ("datasets-synthetic", &["memoranda"]),
    ("vault", &["disclosure-rules", "memoranda", "queries"]),
    ("ledger", &["disclosure-rules", "memoranda"]),
    ("gate", &["vault", "ledger", "queries", "disclosure-rules", "memoranda"]),
    ("server", &["gate", "memoranda"]),
    ("cli", &["gate", "server", "vault", "ledger", "memoranda", "datasets-synthetic"]),
    (
        "tests",
        &[
            "disclosure-rules",
            "memoranda",
            "queries",
            "datasets-synthetic",
            "vault",
            "ledger",
            "gate",
            "server",
            "cli",
        ],
    ),
];

/// Libraries that one crate alone may use, so that what they do has one place.
const ONLY_IN: [(&str, &[&str]); 2] = [("opendp", &["disclosure-rules"]), ("rusqlite", &["ledger"])];

/// Of these, one version: their types cross our crates.
const ONE_VERSION: [&str; 3] = ["arrow", "datafusion", "parquet"];

const MAX_SOURCE_BYTES: u64 = 40_000;

#[test]
fn crates_depend_only_as_the_map_allows() {
    let faults = off_the_map(&metadata());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_forbidden_edge_is_reported() {
    let workspace = |from: &str, to: &str, kind: Value| {
        let edge = json!({ "name": to, "kind": kind, "path": "/somewhere" });
        json!({ "packages": [{ "name": from, "dependencies": [edge] }] })
    };
    let check = |from: &str, to: &str, kind: Value, expected: &[&str]| {
        assert_eq!(off_the_map(&workspace(from, to, kind)), expected, "{from} → {to}");
    };
    check("memoranda", "disclosure-rules", Value::Null, &[]);
    check("memoranda", "vault", Value::Null, &["`memoranda` may not depend on `vault`"]);
    check("memoranda", "vault", json!("build"), &["`memoranda` may not depend on `vault`"]);
    check("memoranda", "vault", json!("dev"), &[]);
    check("datasets-synthetic", "vault", Value::Null, &["`datasets-synthetic` may not depend on `vault`"]);
    check("server", "vault", Value::Null, &["`server` may not depend on `vault`"]);
    check("disclosure-rules", "opendp", Value::Null, &[]);
    check("vault", "opendp", Value::Null, &["`vault` may not depend on `opendp`"]);
    check("gate", "rusqlite", Value::Null, &["`gate` may not depend on `rusqlite`"]);
    check("shortcut", "serde", Value::Null, &["`shortcut` is not on the map"]);
}

#[test]
fn every_crate_opens_with_its_promise() {
    for root in roots(&metadata()) {
        let text = fs::read_to_string(&root).unwrap();
        let opening: String = text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .take_while(|line| !line.is_empty())
            .collect();
        assert!(opening.len() > 40, "{}: open with `//!` and what the crate promises", root.display());
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for package in metadata()["packages"].as_array().unwrap() {
        let manifest = fs::read_to_string(text(package, "manifest_path")).unwrap();
        assert!(
            manifest.contains("[lints]\nworkspace = true\n"),
            "`{}`: [lints] workspace",
            text(package, "name")
        );
    }
}

#[test]
fn files_stay_small_enough_to_read() {
    for crate_folder in crate_folders(&metadata()) {
        for file in files(&crate_folder, "rs") {
            let size = fs::metadata(&file).unwrap().len();
            assert!(size <= MAX_SOURCE_BYTES, "{}: {size} bytes; a second story begins", file.display());
        }
    }
}

#[test]
fn the_engine_has_one_version() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in ONE_VERSION {
        assert_eq!(versions(&lock, name).len(), 1, "{name}: {:?}", versions(&lock, name));
    }
}

#[test]
fn a_second_version_is_seen() {
    let lock = "[[package]]\nname = \"arrow\"\nversion = \"58.0.0\"\n\n[[package]]\nname = \"arrow\"\nversion = \"59.3.0\"\n\
                \n[[package]]\nname = \"arrow-array\"\nversion = \"59.3.0\"\n";
    assert_eq!(versions(lock, "arrow"), ["58.0.0", "59.3.0"]);
    assert_eq!(versions(lock, "arrow-array"), ["59.3.0"]);
}

#[test]
fn readmes_name_both_commands() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for command in ["demo", "test"] {
        assert!(makefile.contains(&format!("\n{command}:")), "the Makefile has no `{command}`");
        for readme in ["README.md", "README.ja.md"] {
            let page = fs::read_to_string(root().join(readme)).unwrap();
            assert!(page.contains(&format!("make {command}")), "{readme} does not name `make {command}`");
        }
    }
}

#[test]
fn the_architecture_page_shows_every_crate() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    for package in metadata()["packages"].as_array().unwrap() {
        let name = text(package, "name");
        assert!(page.contains(&format!("`{name}`")), "docs/architecture.md does not show `{name}`");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut pages = files(&root().join("docs"), "md");
    pages.extend(
        ["README.md", "README.ja.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root().join(page)),
    );
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            let target = page.parent().unwrap().join(link);
            assert!(target.exists(), "{}: `{link}` leads nowhere", page.display());
        }
    }
}

#[test]
fn links_are_found() {
    let page = "see [a](docs/a.md), [b](docs/b.md#part), [c](#here), [d](https://example.org) and `f(x)`";
    assert_eq!(links(page), ["docs/a.md", "docs/b.md"]);
}

/// What is in the workspace and not on the map, as sentences.
fn off_the_map(metadata: &Value) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let from = text(package, "name");
        let Some((_, allowed)) = MAP.iter().find(|(name, _)| *name == from) else {
            faults.insert(format!("`{from}` is not on the map"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = text(dependency, "name");
            let ours = MAP.iter().any(|(name, _)| *name == to);
            let reserved = ONLY_IN.iter().find(|(library, _)| *library == to);
            let fine = match reserved {
                _ if dependency["kind"] == "dev" => true,
                Some((_, users)) => users.contains(&from),
                None => !ours || allowed.contains(&to),
            };
            if !fine {
                faults.insert(format!("`{from}` may not depend on `{to}`"));
            }
        }
    }
    faults.into_iter().collect()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn crate_folders(metadata: &Value) -> Vec<PathBuf> {
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|p| Path::new(text(p, "manifest_path")).parent().unwrap().to_path_buf()).collect()
}

/// The `lib.rs` and `main.rs` of every crate.
fn roots(metadata: &Value) -> Vec<PathBuf> {
    let packages = metadata["packages"].as_array().unwrap();
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().unwrap());
    targets
        .filter(|target| target["kind"].as_array().unwrap().iter().any(|kind| kind == "lib" || kind == "bin"))
        .map(|target| PathBuf::from(text(target, "src_path")))
        .collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The versions of a package in the text of a `Cargo.lock`.
fn versions<'a>(lock: &'a str, name: &str) -> Vec<&'a str> {
    let wanted = format!("name = \"{name}\"");
    let lines: Vec<&str> = lock.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == wanted);
    pairs.filter_map(|pair| pair[1].strip_prefix("version = \"")?.strip_suffix('"')).collect()
}

/// The links of a page to files of the repository, without their anchors.
fn links(page: &str) -> Vec<&str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let paths = targets.filter(|target| !target.starts_with('#') && !target.contains("://"));
    paths.map(|path| path.split('#').next().unwrap_or(path)).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}
