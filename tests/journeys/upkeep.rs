//! Upkeep: what a backup has in it, what a restore and a recovery put in force, and what `doctor` finds.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::support::{Desk, Found, QUESTION, Search, Told, files};

/// Who may read and write a file.
fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_backup_has_nothing_in_it_that_somebody_put_into_the_home() {
    let desk = Desk::with_star();
    let home = desk.home();
    let key = fs::read(home.join("keys/root.key")).unwrap();
    let planted = b"enclave root key share, or who is who".to_vec();
    for (place, bytes) in [
        ("my.key", &key),
        ("keys/copy.key", &key),
        ("identity/my.key", &key),
        ("shares/share-1.txt", &planted),
        ("export/results.csv", &planted),
    ] {
        fs::create_dir_all(home.join(place).parent().unwrap()).unwrap();
        fs::write(home.join(place), bytes).unwrap();
    }
    desk.run(["backup", "copy"]).done();
    let search = Search::of_bytes([key, planted].into_iter());
    let found = |folder: &Path| {
        let mut found = Found::default();
        search.in_folder(folder, &mut found);
        found
    };
    assert_eq!(found(&home).len(), 2);
    let in_copy = found(&desk.path("copy"));
    assert_eq!(in_copy.len(), 0, "{:?}", in_copy.places);
    for file in files(&desk.path("copy")) {
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }

    // It is all that a home needs.
    let root_key = home.join("keys/root.key").display().to_string();
    desk.run(["--home", "again", "restore", "copy", "--root-key", &root_key]).done();
    desk.run(["--home", "again", "vault", "check"]).done();
    desk.run(["--home", "again", "ask", "-m", "star-1", "--rho", "0.01", QUESTION]).done();
    assert_eq!(files(&desk.path("again/store")).len(), files(&home.join("store")).len());
    assert!(desk.path("again/log.vkey").exists());
}

#[test]
fn keys_shares_and_records_are_not_written_into_the_home() {
    let desk = Desk::with_papers();
    for source in [
        "file:enclave-home/my.key",
        "file:./enclave-home/keys/other.key",
        "file:elsewhere/../enclave-home/my.key",
    ] {
        desk.run(["init", "--root-key", source]).exits(2).says(["is in the home", "name a place outside"]);
    }
    let named = desk.command(&["init"]).env("ENCLAVE_ROOT_KEY", desk.home().join("my.key")).output().unwrap();
    assert_eq!(named.status.code(), Some(2), "{}", String::from_utf8_lossy(&named.stderr));
    assert!(!desk.home().exists());
    // Where it is by default, it may be; and anywhere else.
    desk.run(["init", "--root-key", "file:enclave-home/keys/root.key"]).done();
    desk.run(["--home", "other", "init", "--root-key", "file:enclave-home-key"]).done();

    symlink(desk.home(), desk.path("link")).unwrap();
    for out in ["enclave-home/shares", "link/shares", "enclave-home"] {
        desk.run(["keys", "escrow", "split", "--out", out]).exits(2).says(["shares of the root key"]);
        desk.run(["records", "export", "star", "--pupil", "1", "--out", out])
            .exits(2)
            .says(["is in the home", "records in the clear"]);
    }
    assert!(!desk.home().join("shares").exists());
    desk.run(["keys", "escrow", "split", "--out", "enclave-home-shares"]).done();
    let share =
        |number: u32| desk.path(&format!("enclave-home-shares/share-{number}.txt")).display().to_string();
    let recover = ["keys", "escrow", "recover", &share(1), &share(2), "--root-key"];
    desk.run_with(&[&recover[..], &["file:enclave-home/my.key"]].concat(), "").exits(2);
    desk.run_with(&[&recover[..], &["file:my.key"]].concat(), "").done();
    desk.run(["log", "verify"]).done();
}

#[test]
fn a_restored_home_opens_with_the_key_that_was_given() {
    let desk = Desk::with_papers();
    desk.run(["init", "--root-key", "file:key"]).done();
    desk.run(["backup", "copy"]).done();
    assert!(desk.path("copy/keys/root.toml").exists());
    // On another machine: the key comes on a medium that knows no owners, and is not where it was.
    fs::rename(desk.path("key"), desk.path("carried")).unwrap();
    set_mode(&desk.path("carried"), 0o755);
    let restore = |to: &str, key: &str| desk.run(["--home", to, "restore", "copy", "--root-key", key]);
    restore("first", "carried").done().says(["keys/root.key"]);
    // There is another home's key in that place.
    fs::write(desk.path("key"), [7; 32]).unwrap();
    set_mode(&desk.path("key"), 0o600);
    restore("second", "carried").done();
    for home in ["first", "second"] {
        assert_eq!(mode(&desk.path(home).join("keys/root.key")), 0o600);
        desk.run(["--home", home, "log", "verify"]).done();
    }
    restore("third", "key").exits(1).says(["another root key"]);
    assert!(!desk.path("third").exists());
    desk.run(["--home", "fourth", "restore", "copy"]).exits(1).says(["another root key"]);
    // Two keys, of which one would be passed over.
    let both = ["--home", "fifth", "restore", "copy", "--root-key", "carried"];
    let both = desk.command(&both).env("ENCLAVE_ROOT_KEY", desk.path("key")).output().unwrap();
    assert_eq!(both.status.code(), Some(2), "{}", String::from_utf8_lossy(&both.stderr));
}

#[test]
fn a_recovery_is_in_the_log_whoever_brings_the_shares() {
    let desk = Desk::with_papers();
    desk.run(["init"]).done();
    for (id, role) in [("c1", "custodian"), ("s1", "steward")] {
        desk.run(["people", "add", id, "--name", id, "--role", role]).done();
    }
    desk.run(["--as", "s1", "keys", "escrow", "split", "--out", "shares"]).done();
    let share = |number: u32| desk.path(&format!("shares/share-{number}.txt")).display().to_string();
    let recover = |person: &str| -> Told {
        fs::remove_file(desk.home().join("keys/root.key")).unwrap();
        desk.run(["--as", person, "keys", "escrow", "recover", &share(1), &share(2)])
    };
    let recovered = || {
        let list = desk.run(["--as", "s1", "log", "list"]).done().text();
        list.lines().filter(|line| line.contains("\tkeys\trecovered")).count()
    };
    recover("s1").done();
    assert_eq!(recovered(), 1);
    // Who may not is told so, and that the key is in force.
    recover("c1").exits(3).says(["that takes one of steward", "in force all the same", "the log says so"]);
    assert_eq!(recovered(), 2);
    desk.run(["--as", "s1", "log", "verify"]).done();
}

/// What `doctor` says of something: the worst, where it says more than one thing.
fn state(desk: &Desk, arguments: &[&str], about: &str) -> String {
    let told = desk.run_with(&[&["doctor", "--format", "json"][..], arguments].concat(), "");
    let found = told.json();
    let of = found.as_array().unwrap().iter().filter(|finding| finding["about"] == about);
    let states: Vec<&str> = of.map(|finding| finding["state"].as_str().unwrap()).collect();
    let worst = ["bad", "warning", "ok"].into_iter().find(|state| states.contains(state));
    let bad = found.as_array().unwrap().iter().any(|finding| finding["state"] == "bad");
    assert_eq!(told.code, if bad { 2 } else { 0 }, "{found}");
    worst.unwrap_or_else(|| panic!("nothing of {about} in {found}")).to_owned()
}

#[test]
fn doctor_finds_a_key_that_is_not_the_certificates_and_one_that_is_not_closed() {
    let (desk, other) = (Desk::empty(), Desk::empty());
    for desk in [&desk, &other] {
        desk.run(["init"]).done();
    }
    let place = |of: &Desk, name: &str| of.home().join("tls").join(name).display().to_string();
    let served = |certificate: &str, key: &str, about: &str| {
        desk.write("serve.toml", &format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n"));
        state(&desk, &["--config", "serve.toml"], about)
    };
    let (certificate, key) = (place(&desk, "certificate.pem"), place(&desk, "key.pem"));
    assert_eq!(state(&desk, &[], "private key"), "ok");
    assert_eq!(served(&certificate, &key, "private key"), "ok");
    assert_eq!(served(&certificate, &key, "certificate"), "ok");
    // As after a renewal that replaced one of the two.
    assert_eq!(served(&certificate, &place(&other, "key.pem"), "private key"), "bad");
    assert_eq!(served(&certificate, &place(&desk, "nowhere.pem"), "private key"), "bad");
    assert_eq!(served(&certificate, &certificate, "private key"), "bad");
    assert_eq!(served(&place(&desk, "nowhere.pem"), &key, "certificate"), "bad");
    // The account's group may read a key that the system's administrator owns; nobody else.
    for (mode, expected) in [(0o640, "ok"), (0o644, "bad"), (0o660, "bad")] {
        let own = other.home().join("tls/key.pem");
        set_mode(&own, mode);
        let found = served(&place(&other, "certificate.pem"), &own.display().to_string(), "private key");
        assert_eq!(found, expected, "{mode:o}");
    }
}

#[test]
fn doctor_finds_an_open_ledger() {
    let desk = Desk::empty();
    desk.run(["init"]).done();
    assert_eq!(state(&desk, &[], "permissions"), "ok");
    for name in ["ledger.db", "ledger.anchor"] {
        let path = desk.home().join(name);
        for mode in [0o640, 0o604] {
            set_mode(&path, mode);
            assert_eq!(state(&desk, &[], "permissions"), "bad", "{name} {mode:o}");
        }
        set_mode(&path, 0o600);
        assert_eq!(state(&desk, &[], "permissions"), "ok");
    }
}
