//! [`Desk`]: an empty folder where somebody types commands. The enclave is in `enclave-home`, where it is by
//! default.

mod http;
mod search;

pub(crate) use http::{Answer, PASSWORD, Served};
pub(crate) use search::{Found, Search};

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// What the README asks: one of the three shown numbers is known to be 490.93 for `small`.
pub(crate) const QUESTION: &str =
    "SELECT cltype, COUNT(*) AS n, AVG(math) AS math FROM results WHERE gr = 'K' GROUP BY cltype";

pub(crate) struct Desk {
    folder: TempDir,
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Desk {
    /// With nothing on it.
    pub(crate) fn empty() -> Desk {
        Desk { folder: tempfile::tempdir().unwrap() }
    }

    /// With the papers and records of Project STAR: `star.json`, `star.csv`, `star-1.toml`.
    pub(crate) fn with_papers() -> Desk {
        let desk = Desk::empty();
        desk.write("star.json", datasets_synthetic::STAR_CONTRACT);
        desk.write("star-1.toml", &memorandum());
        fs::copy(repository().join("tests/data/star.csv"), desk.path("star.csv")).unwrap();
        desk
    }

    /// With an enclave that holds Project STAR under the memorandum `star-1`.
    pub(crate) fn with_star() -> Desk {
        let desk = Desk::with_papers();
        desk.run(["init"]).done();
        desk.run(["contract", "publish", "star.json"]).done();
        desk.run(["ingest", "star", "results=star.csv"]).done();
        desk.run(["memorandum", "sign", "star-1.toml"]).done();
        desk
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path("enclave-home")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn run<const N: usize>(&self, arguments: [&str; N]) -> Told {
        self.run_with(&arguments, "")
    }

    /// One question under `star-1`.
    pub(crate) fn ask<const N: usize>(&self, arguments: [&str; N]) -> Told {
        let all: Vec<&str> = ["ask", "-m", "star-1"].into_iter().chain(arguments).collect();
        self.run_with(&all, "")
    }

    /// The same, to be told as JSON.
    pub(crate) fn ask_json<const N: usize>(&self, arguments: [&str; N]) -> Value {
        let all: Vec<&str> =
            ["ask", "-m", "star-1", "--format", "json"].into_iter().chain(arguments).collect();
        self.run_with(&all, "").done().json()
    }

    /// Types a command, and `input` into it.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Told {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing closes the pipe.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Told {
            code: output.status.code().unwrap_or_else(|| panic!("{arguments:?}: {}", output.status)),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command, ends it with SIGKILL after `delay`, and gives how it ended and what it had said by then.
    pub(crate) fn kill_after(&self, arguments: &[&str], delay: Duration) -> (ExitStatus, String) {
        let said = self.path("said");
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&said).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(delay);
        child.kill().unwrap();
        (child.wait().unwrap(), fs::read_to_string(said).unwrap())
    }

    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enclave"));
        command.args(arguments).current_dir(self.folder.path());
        command.env_remove("ENCLAVE_HOME").env_remove("ENCLAVE_ROOT_KEY").env_remove("ENCLAVE_PERSON");
        command
    }

    /// ρ charged to `star-1` so far, in millionths.
    pub(crate) fn charged_micro(&self) -> u64 {
        let accounts = self.run(["budget", "--format", "json"]).done().json();
        let find = |kind: &str| {
            let account = accounts.as_array().unwrap().iter().find(|account| account["account"] == kind);
            micro(&account.unwrap()["charged"]["rho"])
        };
        assert_eq!(find("memorandum"), find("pool"), "one memorandum is all there is to the pool");
        find("pool")
    }

    /// Number, kind and the rest of every line of `log list`.
    pub(crate) fn log(&self) -> Vec<(u64, String, String)> {
        let leaf = |line: &str| {
            let parts: Vec<&str> = line.split('\t').collect();
            (parts[0].parse().unwrap(), parts[2].to_owned(), parts[3].to_owned())
        };
        self.run(["log", "list"]).done().text().lines().map(leaf).collect()
    }

    /// How many leaves of a kind are in the log.
    pub(crate) fn logged(&self, kind: &str) -> usize {
        self.log().iter().filter(|(_, found, _)| found == kind).count()
    }
}

impl Told {
    /// The command did what was asked.
    pub(crate) fn done(self) -> Told {
        self.exits(0)
    }

    pub(crate) fn exits(self, code: i32) -> Told {
        assert_eq!(self.code, code, "{}{}", self.text(), self.err);
        self
    }

    /// The message has all of these in it.
    pub(crate) fn says<const N: usize>(self, words: [&str; N]) -> Told {
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in:\n{}", self.err);
        }
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|_| panic!("no JSON: {}{}", self.text(), self.err))
    }
}

/// ρ as JSON has it, in millionths, which it is whole in.
pub(crate) fn micro(rho: &Value) -> u64 {
    (rho.as_f64().unwrap() * 1e6).round() as u64
}

/// The contract of Project STAR.
pub(crate) fn star() -> memoranda::Contract {
    memoranda::datapackage::parse(datasets_synthetic::STAR_CONTRACT).unwrap()
}

/// The example memorandum, in force whenever this runs.
pub(crate) fn memorandum() -> String {
    let text = fs::read_to_string(repository().join("memoranda/examples/star-1.toml")).unwrap();
    replaced(
        &text,
        "valid = { from = 2026-04-01, until = 2030-03-31 }",
        "valid = { from = 2020-01-01, until = 2199-12-31 }",
    )
}

/// `text` with `old`, which is in it, replaced by `new`.
pub(crate) fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "no {old:?} to replace");
    text.replace(old, new)
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
