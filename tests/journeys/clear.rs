//! Nothing in the clear: whatever the enclave writes, holds open or would leave in a crash has no planted name,
//! number, value or key in it; the same search finds them all where they are.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Desk, Found, Search, files, memorandum, replaced};

const ALLOW: &str = "ENCLAVE_ALLOW_CORE_DUMP";
const PUPILS: u32 = 60_000;
const SIGABRT: i32 = 6;
const CORE_LIMIT: &str = "Max core file size";
const QUESTION: &str = "SELECT grade, COUNT(*) AS n, AVG(points) AS points FROM diary GROUP BY grade";

const CONTRACT: &str = r#"{ "name": "diary", "version": "1.0.0", "title": "Diaries", "title:ja": "日誌", "enclave:unit": "pupil",
  "resources": [{ "name": "diary", "path": "diary.csv", "title": "Diaries", "title:ja": "日誌", "enclave:unitKey": "number",
    "enclave:maxRowsPerUnit": 1,
    "schema": { "primaryKey": ["number"], "fields": [
      { "name": "number", "type": "string", "enclave:role": "unit" },
      { "name": "name", "type": "string", "enclave:role": "identifier" },
      { "name": "grade", "type": "string", "constraints": { "required": true, "enum": ["1", "2", "3"] } },
      { "name": "points", "type": "integer", "constraints": { "minimum": 0, "maximum": 1000000000000 }, "enclave:step": 512 },
      { "name": "note", "type": "string" } ] } }] }"#;

/// Of a pupil: number, name, points, note. All but the first digits differ from pupil to pupil.
fn pupil(i: u32) -> [String; 4] {
    let mixed = u64::from(i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
    let points = 100_000_000_000 + mixed % 800_000_000_000;
    [
        format!("P{mixed:019}"),
        format!("Planted-Name-{i:06}"),
        points.to_string(),
        format!("planted note {mixed:019} ").repeat(40).trim_end().to_owned(),
    ]
}

/// Everything that is planted: texts, and numbers as they lie in memory and in files.
fn planted() -> Search {
    let texts = (0..PUPILS).step_by(7).flat_map(|i| {
        let [number, name, points, note] = pupil(i);
        let binary = points.parse::<i64>().unwrap().to_le_bytes().to_vec();
        [number, name, points, note[..32].to_owned()].map(String::into_bytes).into_iter().chain([binary])
    });
    Search::of_bytes(texts)
}

fn desk() -> Desk {
    let desk = Desk::empty();
    desk.write("diary.json", CONTRACT);
    let mut csv = "number,name,grade,points,note\n".to_owned();
    for i in 0..PUPILS {
        let [number, name, points, note] = pupil(i);
        csv.push_str(&format!("{number},{name},{},{points},{note}\n", i % 3 + 1));
    }
    desk.write("diary.csv", &csv);
    let text = replaced(&memorandum(), "id = \"star-1\"", "id = \"diary-1\"");
    let text = replaced(&text, "contract = \"star\"", "contract = \"diary\"");
    let items = text.find("[[items]]").unwrap()..text.find("[allotment]").unwrap();
    let text = format!(
        "{}[[items]]\ntable = \"diary\"\ncolumns = [\"grade\", \"points\", \"note\"]\n\n{}",
        &text[..items.start],
        &text[items.end..]
    );
    desk.write("diary-1.toml", &text);
    fs::create_dir(desk.path("scratch")).unwrap();
    desk
}

/// What was looked at while commands ran.
#[derive(Debug, Default)]
struct Seen {
    /// Open files of the home or the temporary folders.
    open: u32,
    /// Of these, files without a name.
    nameless: u32,
    /// The control: how often the input in the clear was seen the same way.
    input: u32,
}

impl Desk {
    /// Runs a command, and searches all that it has open and mapped, again and again.
    fn watched(&self, arguments: &[&str], planted: &Search, found: &mut Found, seen: &mut Seen) {
        let mut command = self.command(arguments);
        // Where tests do not run as root, the system would not show what the process has open.
        command.env("TMPDIR", self.path("scratch")).env(ALLOW, "1");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            self.look_into(&child, planted, found, seen);
            thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        planted.in_folder(&self.home(), found);
        planted.in_folder(&self.path("scratch"), found);
    }

    fn look_into(&self, child: &Child, planted: &Search, found: &mut Found, seen: &mut Seen) {
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        let folder = self.path("").canonicalize().unwrap();
        for entry in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
            // Files are closed, and processes end, while this looks.
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            if !target.starts_with(&folder) || !entry.path().metadata().is_ok_and(|data| data.is_file()) {
                continue;
            }
            if target.ends_with("diary.csv") {
                let mut start = vec![0; 1 << 16];
                let read = fs::File::open(entry.path()).and_then(|mut file| file.read(&mut start));
                let mut control = Found::default();
                planted.in_bytes(&start[..read.unwrap_or(0)], "diary.csv", &mut control);
                seen.input += u32::from(control.len() > 0);
                continue;
            }
            let Ok(bytes) = fs::read(entry.path()) else { continue };
            seen.open += 1;
            seen.nameless += u32::from(target.to_string_lossy().ends_with(" (deleted)"));
            planted.in_bytes(&bytes, &target.to_string_lossy(), found);
        }
        for line in fs::read_to_string(process.join("maps")).unwrap_or_default().lines() {
            let mapped = line.find('/').map_or("", |start| &line[start..]);
            // The index of the ledger's log is SQLite's; it has numbers of pages in it.
            let is_ours = Path::new(mapped).starts_with(&folder) && !mapped.ends_with("ledger.db-shm");
            assert!(!is_ours, "a mapped file is written back by the system: {mapped}");
        }
    }
}

#[test]
fn nothing_is_in_the_clear_on_disk_or_in_open_files() {
    let desk = desk();
    let planted = planted();
    let (mut found, mut seen) = (Found::default(), Seen::default());
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "diary.json"]).done();
    desk.run(["memorandum", "sign", "diary-1.toml"]).done();
    for arguments in [
        &["ingest", "diary", "diary=diary.csv"][..],
        &["ask", "-m", "diary-1", "--rho", "0.1", QUESTION],
        &["ask", "-m", "diary-1", "--rho", "0.1", "SELECT note, COUNT(*) AS n FROM diary GROUP BY note"],
        &["keys", "rotate", "all"],
        &["ask", "-m", "diary-1", "--rho", "0.1", "--fresh", QUESTION],
        &["log", "verify"],
    ] {
        desk.watched(arguments, &planted, &mut found, &mut seen);
    }
    assert_eq!(found.len(), 0, "{:?}: {:?}", found.places, planted.shown(&found));
    // A nameless file lives shortly: take the records in again until one was looked into.
    for _ in 0..20 {
        if seen.nameless == 0 {
            desk.watched(&["ingest", "diary", "diary=diary.csv"], &planted, &mut found, &mut seen);
        }
    }
    assert_eq!(found.len(), 0, "{:?}: {:?}", found.places, planted.shown(&found));
    assert!(seen.open > 0 && seen.nameless > 0, "nothing was open when it was looked at: {seen:?}");
    // The same search finds every text where it is in the clear: through the process's open files, and in the file.
    assert!(seen.input > 0, "{seen:?}");
    planted.in_bytes(&fs::read(desk.path("diary.csv")).unwrap(), "diary.csv", &mut found);
    assert_eq!(found.len(), planted.texts_only());
    assert!(files(&desk.path("scratch")).is_empty());

    // The root key is in its own file, and nowhere else: neither as bytes nor in hexadecimal.
    let key = fs::read(desk.home().join("keys/root.key")).unwrap();
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let search = Search::of_bytes([key, hex.into_bytes()].into_iter());
    let mut found = Found::default();
    search.in_folder(&desk.home(), &mut found);
    let places: Vec<_> = found.places.iter().collect();
    assert!(places.len() == 1 && places[0].ends_with("keys/root.key"), "{places:?}");
}

#[test]
fn a_crash_during_a_question_leaves_no_memory_behind() {
    let desk = desk();
    desk.run(["init"]).done();
    desk.run(["contract", "publish", "diary.json"]).done();
    desk.run(["memorandum", "sign", "diary-1.toml"]).done();
    desk.run(["ingest", "diary", "diary=diary.csv"]).done();
    // What the commands themselves would say of their memory.
    let limits = |allow: bool| {
        let mut child = desk.dumping(allow, &["ask", "-m", "diary-1", "-"]);
        thread::sleep(Duration::from_millis(300));
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let line = limits.lines().find(|line| line.starts_with(CORE_LIMIT)).unwrap();
        line.split_whitespace().nth(4).unwrap().to_owned()
    };
    assert_eq!(limits(false), "0");

    let dumped = |allow: bool| {
        let (mut hit, mut dumped) = (0, 0);
        for delay in [5, 20, 60, 100, 140, 200] {
            let mut child =
                desk.dumping(allow, &["ask", "-m", "diary-1", "--fresh", "--rho", "0.001", QUESTION]);
            let pid = child.id().to_string();
            // From `sh` and the loader on to where keys may be in memory.
            let is_up = || {
                let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
                let limit =
                    read("limits").lines().find(|line| line.starts_with(CORE_LIMIT)).map(str::to_owned);
                read("comm").trim_end() == "enclave"
                    && (allow || limit.is_some_and(|line| line.split_whitespace().nth(4) == Some("0")))
            };
            let start = Instant::now();
            while !is_up() && start.elapsed() < Duration::from_secs(10) {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(delay));
            Command::new("kill").args(["-ABRT", &pid]).stderr(Stdio::null()).status().unwrap();
            let status = child.wait().unwrap();
            hit += u32::from(status.signal() == Some(SIGABRT));
            dumped += u32::from(status.core_dumped());
        }
        (hit, dumped)
    };
    let cores = || {
        let names = files(&desk.path("")).into_iter();
        names
            .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("core"))
            .collect::<Vec<_>>()
    };
    let (hit, without) = dumped(false);
    assert!(hit > 0, "no question was hit");
    assert_eq!((without, cores()), (0, Vec::new()));

    // The control: with the protection off, and where the system lets a process dump at all, there is a dump, and a
    // search of it finds what the process was working on.
    if limits(true) == "unlimited" {
        let (_, with) = dumped(true);
        assert!(with > 0, "the protection is what prevents a dump");
        if fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().trim_end() == "core" {
            let search = Search::of_bytes([QUESTION.as_bytes().to_vec()].into_iter());
            let mut found = Found::default();
            cores().iter().for_each(|core| search.in_bytes(&fs::read(core).unwrap(), "core", &mut found));
            assert_eq!(found.len(), 1);
        }
    }
}

impl Desk {
    /// Starts a command that may dump as much as the system lets it, unless it sees to that itself.
    fn dumping(&self, allow: bool, arguments: &[&str]) -> Child {
        let enclave = self.command::<&str>(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""]);
        command.arg(enclave.get_program()).args(arguments).current_dir(self.path(""));
        command.env_remove("ENCLAVE_HOME").env_remove("ENCLAVE_ROOT_KEY").env_remove(ALLOW);
        if allow {
            command.env(ALLOW, "1");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}
