//! The board takes the log home, and finds whatever was changed in it.

use std::fs;
use std::path::{Path, PathBuf};

use gate::{Enclave, Options, Price, Request};

use crate::support::{Desk, QUESTION, Told, files};

/// An export of more than 256 leaves, so that there are full and partial tiles on two levels; the key beside it.
fn exported() -> Desk {
    let desk = Desk::with_star();
    desk.ask(["--rho", "0.02", QUESTION]).done();
    desk.ask(["SELECT * FROM results"]).exits(3);
    refuse_many(&desk.home(), 256);
    let told = desk.run(["log", "export", "log"]).done();
    assert!(told.text().starts_with("exported 264 leaves"), "{}", told.text());
    fs::copy(desk.home().join("log.vkey"), desk.path("key")).unwrap();
    desk
}

/// In this process, to be quick.
fn refuse_many(home: &Path, times: usize) {
    let enclave = Enclave::open(home, chrono::Utc::now).unwrap();
    let request = Request {
        memorandum: "star-1".to_owned(),
        person: None,
        purpose: None,
        justification: None,
        sql: "SELECT id FROM results".to_owned(),
        price: Price::Default,
        confidence: None,
        options: Options::default(),
        fresh: false,
        preview: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..times {
        runtime.block_on(enclave.ask(&request)).unwrap_err();
    }
}

#[test]
fn an_export_verifies_with_nothing_but_the_key() {
    let desk = exported();
    let elsewhere = Desk::empty();
    let (folder, key) = (desk.path("log"), desk.path("key"));
    let (folder, key) = (folder.to_str().unwrap(), key.to_str().unwrap());
    let told = elsewhere.run(["log", "verify", folder, "--key", key]).done();
    assert!(told.text().starts_with("verified: 264 leaves, root "), "{}", told.text());
    assert!(told.err.is_empty(), "{}", told.err);
    // Without it, with a caution.
    elsewhere.run(["log", "verify", folder]).done().says(["note: no `--key`"]);
    assert!(!elsewhere.home().exists());

    // Another enclave's log is whole, and not this one's.
    let other = Desk::empty();
    other.run(["init"]).done();
    other.run(["log", "export", "log"]).done();
    fs::copy(key, other.path("key")).unwrap();
    other.run(["log", "verify", "log"]).done();
    other.run(["log", "verify", "log", "--key", "key"]).exits(2).says(["not verified", "checkpoint"]);
    other.run(["log", "verify", "--key", "key"]).exits(2).says(["signed by another key"]);
    other.run(["log", "verify", "--key", "enclave-home/log.vkey"]).done();
    // Nothing is mixed with what is there.
    other.run(["log", "export", "log"]).exits(2).says(["`log`", "not an empty folder"]);
    other.run(["log", "verify", "nowhere", "--key", "key"]).exits(2).says(["`checkpoint`: is missing"]);
    other.run(["log", "verify", "log", "--key", "nowhere"]).exits(2).says(["`nowhere`"]);
}

#[test]
fn any_change_of_an_export_is_found_and_named() {
    let desk = exported();
    let root = desk.path("log");
    let names: Vec<String> = files(&root).iter().map(|path| within(&root, path)).collect();
    let expected = [
        "checkpoint",
        "leaves.jsonl",
        "proofs/6.tlog-proof",
        "tile/0/000",
        "tile/0/001.p/8",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/8",
        "vkey",
    ];
    assert_eq!(names, expected);
    let verify = || desk.run(["log", "verify", "log", "--key", "key"]);
    let found = |name: &str, what: &str, place: &str| {
        let told = verify();
        assert_eq!(told.code, 2, "{name}, {what}: {}{}", told.text(), told.err);
        told.says(["not verified", &format!("`{name}`"), place]);
    };

    let mut changes = 0;
    for name in &names {
        let path = root.join(name);
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - 1;
        for at in [0, last / 4, last / 2, last * 3 / 4, last] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            found(name, &format!("byte {at} of {}", whole.len()), &place(name, &whole, at));
            changes += 1;
        }
        for (what, bytes) in [
            ("one byte more", [&whole[..], b"x"].concat()),
            ("one byte less", whole[..last].to_vec()),
            ("empty", vec![]),
        ] {
            fs::write(&path, bytes).unwrap();
            found(name, what, "");
            changes += 1;
        }
        fs::remove_file(&path).unwrap();
        found(name, "removed", "missing");
        fs::write(&path, &whole).unwrap();
        changes += 1;
    }
    for name in ["more.txt", "tile/0/002", "tile/2/000.p/1"] {
        let path = root.join(name);
        let made = !path.parent().unwrap().exists();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        found(name, "added", "does not belong");
        fs::remove_file(&path).unwrap();
        if made {
            fs::remove_dir(path.parent().unwrap()).unwrap();
        }
        changes += 1;
    }
    changes += change_lines(&root.join("leaves.jsonl"), &found);
    assert_eq!(changes, 9 * 9 + 3 + 4);
    verify().done();
}

/// Leaves left out, moved, repeated, invented.
fn change_lines(path: &Path, found: &dyn Fn(&str, &str, &str)) -> usize {
    let whole = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let mut left_out = lines.clone();
    left_out.remove(5);
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let repeated = [&lines[..], &lines[5..6]].concat();
    let invented = [&lines[..], &["{}\n"]].concat();
    let changes = [
        ("left out", left_out, "line 6: is not the leaf"),
        ("swapped", swapped, "line 6: is not the leaf"),
        ("repeated", repeated, "line 265: is beyond"),
        ("invented", invented, "line 265: is beyond"),
    ];
    for (what, lines, place) in &changes {
        fs::write(path, lines.concat()).unwrap();
        found("leaves.jsonl", what, place);
    }
    fs::write(path, &whole).unwrap();
    changes.len()
}

/// What the message has to name for byte `at` of a file.
fn place(name: &str, whole: &[u8], at: usize) -> String {
    let first = if name.contains("/001") { 256 } else { 0 };
    match name {
        "leaves.jsonl" => {
            format!("line {}", whole[..at].iter().filter(|byte| **byte == b'\n').count() + 1)
        }
        _ if name.starts_with("tile/entries") => format!("leaf {}", first + leaves_before(whole, at)),
        _ if name.starts_with("tile/") => format!("hash {}", first + at / 32),
        _ => String::new(),
    }
}

/// Entries of a bundle that end at or before byte `at`: each is two bytes of length, then the leaf.
fn leaves_before(bundle: &[u8], at: usize) -> usize {
    let (mut end, mut leaves) = (0, 0);
    loop {
        end += 2 + usize::from(u16::from_be_bytes([bundle[end], bundle[end + 1]]));
        if end > at {
            return leaves;
        }
        leaves += 1;
    }
}

#[test]
fn a_change_of_the_ledger_itself_is_found() {
    let desk = Desk::with_star();
    desk.ask(["--rho", "0.02", QUESTION]).done();
    let verify = || -> Told { desk.run(["log", "verify"]) };
    assert_eq!(verify().done().text(), "verified: 7 leaves and all accounts\n");

    let path: PathBuf = desk.home().join("ledger.db");
    let whole = fs::read(&path).unwrap();
    for (old, new) in [
        // Somebody else asked; something else was asked; less was charged.
        (&b"\"person\":\"r1\""[..], &b"\"person\":\"r9\""[..]),
        (b"WHERE gr = 'K' GROUP", b"WHERE gr = '1' GROUP"),
        (b"\"rho_micro\":20000", b"\"rho_micro\":10000"),
    ] {
        let mut changed = whole.clone();
        let places: Vec<usize> =
            (0..whole.len() - old.len()).filter(|at| whole[*at..].starts_with(old)).collect();
        assert!(!places.is_empty(), "{}", String::from_utf8_lossy(old));
        for at in places {
            changed[at..at + new.len()].copy_from_slice(new);
        }
        fs::write(&path, changed).unwrap();
        let told = verify();
        assert!(told.code == 1 || told.code == 2, "{}{}", told.text(), told.err);
        assert!(!told.err.is_empty() && told.out.is_empty());
    }
    fs::write(&path, &whole).unwrap();
    verify().done();
}

fn within(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}
