//! Keys: where the root key comes from, how all of them are rotated while questions go on, how those of a cohort are
//! destroyed for good, and how a lost root key comes back.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use datasets_synthetic::{CITY_CONTRACT, City, CitySize};
use gate::{Enclave, Options, Price, Request, Rho};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use vault::Vault;

use crate::support::{Desk, QUESTION, Told, files};

/// How many questions are asked while keys rotate, unless `ENCLAVE_QUESTIONS_UNDER_ROTATION` says otherwise.
const QUESTIONS: u32 = 40;
const KILLS: u32 = 8;
const SEED: u64 = 20_260_402;

impl Desk {
    /// A command with variables of its own.
    fn run_in<S: AsRef<OsStr>>(&self, variables: &[(&str, S)], arguments: &[&str]) -> Told {
        let mut command = self.command(arguments);
        for (name, value) in variables {
            command.env(name, value);
        }
        let Output { status, stdout, stderr } = command.output().unwrap();
        Told { code: status.code().unwrap(), out: stdout, err: String::from_utf8(stderr).unwrap() }
    }

    fn key_list(&self) -> Value {
        self.run(["keys", "list", "--format", "json"]).done().json()
    }
}

/// The newest version of every key, by name.
fn newest(list: &Value) -> Vec<(String, u64)> {
    let keys = list["keys"].as_array().unwrap().iter();
    let version =
        |key: &Value| key["versions"].as_array().unwrap().last().unwrap()["version"].as_u64().unwrap();
    keys.map(|key| (key["name"].as_str().unwrap().to_owned(), version(key))).collect()
}

#[test]
fn questions_go_on_while_every_key_rotates_twice() {
    let wanted = std::env::var("ENCLAVE_QUESTIONS_UNDER_ROTATION");
    let wanted = wanted.map_or(QUESTIONS, |questions| questions.parse().unwrap());
    let desk = Desk::with_star();
    let before = desk.key_list();
    let first = desk.ask_json([QUESTION]);
    let rotated = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        scope.spawn(|| {
            // Also when a rotation fails, so that the questions end and the failure is told.
            let _ended = Ended(&rotated);
            for keys in ["key-encryption", "data", "root", "root", "data", "key-encryption"] {
                desk.run(["keys", "rotate", keys]).done();
            }
        });
        ask_until(&desk.home(), |asked| asked >= wanted && rotated.load(Ordering::SeqCst))
    });
    eprintln!("{asked} questions while every key rotated twice");
    for ((name, version), (_, old)) in newest(&desk.key_list()).iter().zip(newest(&before)) {
        assert_eq!(*version, old + 2, "{name}");
    }
    // The rows are the same, so the answer on record is the answer.
    let again = desk.ask_json([QUESTION]);
    assert_eq!((&again["replayed"], &again["rows"]), (&true.into(), &first["rows"]));
    // Nothing in force is under an old version, nor in a file that was written before.
    for key in desk.key_list()["keys"].as_array().unwrap() {
        let (_, old) = key["versions"].as_array().unwrap().split_last().unwrap();
        assert!(old.iter().all(|version| version["files_in_force"] == 0 && version["secrets"] == 0), "{key}");
    }
    assert_eq!(Vault::open(&desk.home()).unwrap().check(&crate::support::star()).unwrap().findings, []);
    // Old versions go with the last snapshot that needs them.
    desk.run(["snapshots", "expire", "star", "--keep", "1"]).done();
    for key in desk.key_list()["keys"].as_array().unwrap() {
        assert_eq!(key["versions"].as_array().unwrap().len(), 1, "{key}");
    }
    desk.ask(["--fresh", QUESTION]).done();
    desk.run(["log", "verify"]).done();
    assert_eq!(
        desk.log().iter().filter(|(_, kind, rest)| kind == "keys" && rest.starts_with("rotated")).count(),
        6
    );
}

/// Says so when it goes.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks until told to stop, in an enclave that stays open and in others that are opened for one question; gives how
/// many were asked. None may fail.
fn ask_until(home: &Path, is_enough: impl Fn(u32) -> bool) -> u32 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let open = || Enclave::open(home, chrono::Utc::now).unwrap();
    let stays = open();
    let question = Request {
        memorandum: "star-1".to_owned(),
        person: None,
        purpose: None,
        sql: "SELECT gr, COUNT(*) AS n FROM results GROUP BY gr".to_owned(),
        price: Price::Rho(Rho::at_least(0.001).unwrap()),
        confidence: None,
        options: Options::default(),
        justification: None,
        fresh: true,
        preview: false,
    };
    let mut asked = 0;
    while !is_enough(asked) {
        let answered = match asked % 2 {
            0 => runtime.block_on(stays.ask(&question)),
            _ => runtime.block_on(open().ask(&question)),
        };
        answered.unwrap_or_else(|error| panic!("question {asked}: {error}"));
        asked += 1;
    }
    asked
}

#[test]
fn a_kill_while_keys_rotate_leaves_everything_readable() {
    let desk = Desk::with_star();
    let start = Instant::now();
    desk.run(["keys", "rotate", "all"]).done();
    let takes = start.elapsed();
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    let mut killed = 0;
    for _ in 0..KILLS {
        let delay = takes.mul_f64(chance.random_range(0.1..1.0));
        let (status, _) = desk.kill_after(&["keys", "rotate", "all"], delay);
        killed += u32::from(status.code().is_none());
        // Files that no manifest names yet are all that may be amiss.
        let findings = Vault::open(&desk.home()).unwrap().check(&crate::support::star()).unwrap().findings;
        assert!(findings.iter().all(|finding| finding.rule == "leftover"), "{findings:?}");
        desk.ask(["--fresh", "--rho", "0.001", QUESTION]).done();
        desk.key_list();
    }
    assert!(killed > 0, "none was killed in time");
    desk.run(["keys", "rotate", "all"]).done();
    desk.run(["log", "verify"]).done();
    desk.run(["ingest", "star", "results=star.csv"]).done();
    assert_eq!(Vault::open(&desk.home()).unwrap().check(&crate::support::star()).unwrap().findings, []);
    let left: Vec<_> = files(&desk.home().join("keys"))
        .into_iter()
        .filter(|file| file.extension().is_some_and(|e| e == "next"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_copy_made_before_a_cohorts_key_was_destroyed_cannot_be_opened() {
    let desk = Desk::empty();
    // The root key lies apart from the home, as it should.
    let elsewhere = [("ENCLAVE_ROOT_KEY", desk.path("root.key"))];
    let by =
        |person: &str, arguments: &[&str]| desk.run_in(&elsewhere, &[&["--as", person], arguments].concat());
    desk.write("city.json", CITY_CONTRACT);
    fs::create_dir(desk.path("records")).unwrap();
    let records = City::generate(1, CitySize { pupils: 300 }).write_csv(&desk.path("records")).unwrap();
    desk.run_in(&elsewhere, &["init"]).done();
    for role in ["board", "custodian", "steward"] {
        desk.run_in(&elsewhere, &["people", "add", role, "--name", role, "--role", role]).done();
    }
    by("steward", &["contract", "publish", "city.json"]).done();
    let inputs: Vec<String> = records
        .iter()
        .map(|path| format!("{}={}", path.file_stem().unwrap().to_str().unwrap(), path.display()))
        .collect();
    let ingest: Vec<&str> = ["ingest", "city"].into_iter().chain(inputs.iter().map(String::as_str)).collect();
    by("custodian", &ingest).done();

    let list = |home: &Path| {
        let home = home.to_str().unwrap().to_owned();
        by("custodian", &["--home", &home, "keys", "list", "--format", "json"])
    };
    let names = |list: &Value| -> Vec<String> { newest(list).into_iter().map(|(name, _)| name).collect() };
    let keys = names(&list(&desk.home()).done().json());
    let identities: Vec<&str> = keys.iter().filter_map(|name| name.strip_prefix("identities/")).collect();
    let cohort = *identities.first().unwrap();
    let named = |home: &Path| {
        let ending = format!("-{}.parquet", cohort.split_once('/').unwrap().1);
        files(&home.join("identity")).iter().filter(|file| file.to_str().unwrap().ends_with(&ending)).count()
    };
    assert!(named(&desk.home()) > 0);

    let copy = desk.path("copy");
    assert!(
        std::process::Command::new("cp").arg("-a").args([&desk.home(), &copy]).status().unwrap().success()
    );
    // With the root key of its time, the copy opens, and has the cohort's key.
    assert_eq!(names(&list(&copy).done().json()), keys);

    // One person does not destroy keys.
    let destroy = ["keys", "destroy", "--cohort", cohort];
    by("custodian", &destroy).exits(3);
    let waits = by("steward", &destroy).exits(5).err;
    let number = waits.split("approval ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert_eq!(names(&list(&desk.home()).done().json()), keys);
    by("board", &["approvals", "vote", number, "approve"]).done();
    by("steward", &destroy).done().says(["deal new ones"]);

    assert_eq!(named(&desk.home()), 0);
    let left = names(&list(&desk.home()).done().json());
    assert!(left.len() == keys.len() - 1 && !left.contains(&format!("identities/{cohort}")), "{left:?}");
    assert!(named(&copy) > 0);
    list(&copy).exits(1).says(["the keyring does not open"]);
    by("custodian", &["--home", copy.to_str().unwrap(), "log", "list"]).exits(1);
    by("steward", &destroy).exits(2).says(["there is no key"]);
    // The rest goes on.
    by("custodian", &ingest).done();
}

#[test]
fn a_lost_root_key_comes_back_from_shares_until_it_is_rotated() {
    let desk = Desk::with_star();
    let share = |number: u32| desk.path(&format!("shares/share-{number}.txt")).display().to_string();
    desk.run(["keys", "escrow", "split", "-n", "3", "-m", "2", "--out", "shares"])
        .done()
        .says(["any 2 give"]);
    desk.run(["keys", "escrow", "split", "--out", "shares"]).exits(2).says(["not empty"]);
    desk.run(["keys", "escrow", "split", "-n", "3", "-m", "1", "--out", "one"]).exits(2);
    fs::remove_file(desk.home().join("keys/root.key")).unwrap();
    desk.run(["log", "list"]).exits(2).says(["no root key"]);
    desk.run(["keys", "escrow", "recover", &share(1)]).exits(2).says(["2 are needed"]);
    desk.run(["keys", "escrow", "recover", &share(3), &share(1)]).done();
    desk.ask(["--preview", QUESTION]).done();
    desk.run(["keys", "rotate", "root"]).done().says(["worth nothing"]);
    desk.run(["keys", "escrow", "recover", &share(1), &share(2)]).exits(2).says(["rotated after"]);
    desk.ask(["--preview", QUESTION]).done();
}

/// The whole of a short story under a root key from `source`.
fn story(desk: &Desk, variables: &[(&str, String)], source: &str) {
    desk.run_in(variables, &["init", "--root-key", source]).done();
    desk.run_in(variables, &["contract", "publish", "star.json"]).done();
    desk.run_in(variables, &["ingest", "star", "results=star.csv"]).done();
    desk.run_in(variables, &["memorandum", "sign", "star-1.toml"]).done();
    desk.run_in(variables, &["ask", "-m", "star-1", QUESTION]).done();
    desk.run_in(variables, &["keys", "rotate", "root"]).done();
    desk.run_in(variables, &["ask", "-m", "star-1", "--fresh", QUESTION]).done();
    assert!(!desk.home().join("keys/root.key").exists());
}

#[test]
fn a_passphrase_opens_and_can_be_changed() {
    let desk = Desk::with_papers();
    let of = |variable: &'static str, text: &str| {
        desk.write(text, &format!("{text}\n"));
        (variable, desk.path(text).display().to_string())
    };
    let (first, second) = ("a long first passphrase", "a longer second passphrase");
    let old = [of("ENCLAVE_PASSPHRASE_FILE", first)];
    let new = [of("ENCLAVE_PASSPHRASE_FILE", second)];
    desk.run_in(&[of("ENCLAVE_PASSPHRASE_FILE", "short")], &["init", "--root-key", "passphrase"])
        .exits(2)
        .says(["fewer than 12 characters"]);
    fs::remove_dir_all(desk.home()).unwrap();
    story(&desk, &old, "passphrase");
    desk.run_in(&new, &["log", "list"]).exits(2).says(["does not open with this passphrase"]);
    desk.run(["log", "list"]).exits(2).says(["ENCLAVE_PASSPHRASE_FILE"]);

    let both = [old[0].clone(), of("ENCLAVE_NEW_PASSPHRASE_FILE", second)];
    desk.run_in(&both, &["keys", "rotate", "root", "--root-key", "passphrase"]).done();
    desk.run_in(&new, &["log", "verify"]).done();
    desk.run_in(&old, &["log", "list"]).exits(2);
    let shown = fs::read_to_string(desk.home().join("keys/root.toml")).unwrap();
    assert!(shown.contains("source = \"passphrase\"") && shown.contains("memory_kib = 65536"), "{shown}");
}

#[test]
fn a_key_file_gives_way_to_a_credential() {
    let desk = Desk::with_star();
    fs::create_dir(desk.path("credentials")).unwrap();
    let variables = [("CREDENTIALS_DIRECTORY", desk.path("credentials").display().to_string())];
    let rotate = ["keys", "rotate", "root", "--root-key", "credential:enclave"];
    desk.run(rotate).exits(2).says(["no credential `enclave`"]);
    desk.write("credentials/enclave", "too short");
    desk.run_in(&variables, &rotate).exits(2).says(["fewer than 32 bytes"]);
    desk.write("credentials/enclave", &"random bytes, ".repeat(3));
    desk.run_in(&variables, &rotate).done();
    assert!(!desk.home().join("keys/root.key").exists());
    desk.run_in(&variables, &["ask", "-m", "star-1", QUESTION]).done();
    desk.run_in(&variables, &["keys", "rotate", "all"]).done();
    desk.run_in(&variables, &["ask", "-m", "star-1", "--fresh", QUESTION]).done();
    desk.run(["log", "list"]).exits(2).says(["no credential"]);
    desk.write("credentials/enclave", &"other bytes, ".repeat(3));
    desk.run_in(&variables, &["log", "list"]).exits(2).says(["does not open with this credential"]);
}

#[test]
fn a_token_keeps_what_opens_the_root_key() {
    let module = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    let module = module.into_iter().find(|path| Path::new(path).exists());
    let module = module.unwrap_or_else(|| panic!("no SoftHSM: run `make tools`"));
    let desk = Desk::with_papers();
    fs::create_dir(desk.path("tokens")).unwrap();
    desk.write("softhsm2.conf", &format!("directories.tokendir = {}\n", desk.path("tokens").display()));
    desk.write("pin", "1234\n");
    let configuration = ("SOFTHSM2_CONF", desk.path("softhsm2.conf").display().to_string());
    let tool = |arguments: &[&str]| {
        let mut command = std::process::Command::new("softhsm2-util");
        let output = command.args(arguments).env(configuration.0, &configuration.1).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    tool(&["--init-token", "--free", "--label", "enclave", "--pin", "1234", "--so-pin", "5678"]);
    let variables =
        [configuration.clone(), ("ENCLAVE_PKCS11_PIN_FILE", desk.path("pin").display().to_string())];
    story(&desk, &variables, &format!("pkcs11:{module}?token=enclave&object=root"));

    // An older copy of the sealed root key is worth nothing: its key is gone from the token.
    let described = desk.home().join("keys/root.toml");
    let old = fs::read(&described).unwrap();
    desk.run_in(&variables, &["keys", "rotate", "root"]).done();
    let new = fs::read(&described).unwrap();
    fs::write(&described, old).unwrap();
    desk.run_in(&variables, &["log", "list"]).exits(2).says(["has no key `root` of this home"]);
    fs::write(&described, new).unwrap();
    desk.run_in(&variables, &["log", "verify"]).done();
    desk.write("pin", "4321\n");
    desk.run_in(&variables, &["log", "list"]).exits(2).says(["the token cannot be used"]);
}
