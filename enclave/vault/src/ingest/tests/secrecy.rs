use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;

use datafusion::config::EncryptionFactoryOptions;
use datafusion::object_store::path::Path as StorePath;

use super::*;
use crate::parquet_key::encryption_factory;

const PLANTED: [&str; 4] = ["Kaguyahime", "8675309", "Nayotake", "31415926"];

fn planted() -> String {
    let mut text = "id,name,term,mark,note\n".to_owned();
    for i in 0..400 {
        writeln!(text, "8675309{i},Kaguyahime{i},1,50,Nayotake{i}").unwrap();
    }
    text
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn nothing_lies_in_the_clear() {
    let contract = marks();
    for kit in [Kit::new(), Kit::tight()] {
        let text = planted();
        // The control: the same search finds the same values in the delivery.
        assert!(contains(text.as_bytes(), b"Kaguyahime") && contains(text.as_bytes(), b"8675309"));
        kit.csv(&contract, &[("marks", &text)]).unwrap();
        let files = files_under(&kit.home());
        assert!(files.len() > 5);
        let (id, pseudonym) = (86_753_090_i64.to_le_bytes(), kit.vault.keys.pseudonym("school", b"86753090"));
        for path in files {
            let bytes = fs::read(&path).unwrap();
            for value in PLANTED {
                assert!(!contains(&bytes, value.as_bytes()), "`{value}` in {path:?}");
            }
            assert!(!contains(&bytes, &id) && !contains(&bytes, &pseudonym), "{path:?}");
            assert!(!contains(&bytes, b"__unit"), "a schema in {path:?}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o066, 0, "{path:?}");
        }
        let folder = fs::metadata(kit.home().join("store/school/snapshots")).unwrap();
        assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn errors_hold_no_values() {
    let (contract, kit) = (marks(), Kit::new());
    let row = "31415926,Kaguyahime,1,50,x\n";
    let mistakes = [
        format!("id,name,term,mark,note\n{row}{row}"),
        "id,name,term,mark,note\n31415926,Kaguyahime,8675309,Nayotake,\nKaguyahime,1,1,8675309,\n".to_owned(),
        row.to_owned(),
        "id,name,term,mark,note\n31415926,Kaguyahime\n".to_owned(),
        (1..6).fold("id,name,term,mark,note\n".to_owned(), |text, i| {
            text + &format!("31415926,Kaguyahime,{i},5,\n")
        }),
    ];
    for text in &mistakes {
        let error = kit.csv(&contract, &[("marks", text)]).unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(PLANTED.iter().all(|value| !text.contains(value)), "{text}");
        }
    }
}

#[test]
fn only_the_root_key_opens() {
    let kit = Kit::new();
    let (home, root) = (kit.home(), kit.home().join("keys/root.key"));
    assert!(matches!(Vault::create(&home, b""), Err(VaultError::Exists(_))));
    assert_eq!(&Vault::open(&home).unwrap().log_key()[..], b"log key");
    let key = fs::read(&root).unwrap();
    assert_eq!(key.len(), 32);

    fs::set_permissions(&root, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Vault::open(&home), Err(VaultError::SharedRootKey(_))));
    fs::set_permissions(&root, fs::Permissions::from_mode(0o600)).unwrap();
    Vault::open(&home).unwrap();

    let mut other = key.clone();
    other[31] ^= 1;
    fs::write(&root, &other).unwrap();
    assert!(matches!(Vault::open(&home), Err(VaultError::WrongRootKey)));
    fs::write(&root, &key[..31]).unwrap();
    assert!(matches!(Vault::open(&home), Err(VaultError::RootKeyLength(_))));
    fs::remove_file(&root).unwrap();
    assert!(matches!(Vault::open(&home), Err(VaultError::NoRootKey(_))));
    assert!(matches!(Vault::open(kit.folder.path()), Err(VaultError::NoHome(_))));
}

/// Ingests three small parts, lets `harm` change the files, and says whether the parts still read and check.
fn after(harm: impl Fn(&[PathBuf])) -> (bool, bool) {
    let (contract, mut kit) = (marks(), Kit::new());
    kit.budget.part = 150;
    kit.csv(&contract, &[("marks", &planted())]).unwrap();
    let snapshot = kit.snapshot(&contract);
    let parts = &snapshot.table("marks").unwrap().parts;
    assert_eq!(parts.len(), 4);
    let paths: Vec<PathBuf> = parts.iter().map(|part| kit.path(part)).collect();
    harm(&paths);
    (parts.iter().all(|part| kit.read(part).is_ok()), kit.vault.check(&contract).unwrap().findings.is_empty())
}

#[test]
fn harm_to_a_file_is_found() {
    assert_eq!(after(|_| {}), (true, true));
    let swap = |parts: &[PathBuf]| {
        let (a, b) = (fs::read(&parts[0]).unwrap(), fs::read(&parts[1]).unwrap());
        fs::write(&parts[0], b).unwrap();
        fs::write(&parts[1], a).unwrap();
    };
    assert_eq!(after(swap), (false, false));
    let over = |parts: &[PathBuf]| fs::rename(&parts[0], &parts[1]).unwrap();
    assert_eq!(after(over), (false, false));
    let cut = |parts: &[PathBuf]| {
        let bytes = fs::read(&parts[2]).unwrap();
        fs::write(&parts[2], &bytes[..bytes.len() - 1]).unwrap();
    };
    assert_eq!(after(cut), (false, false));
    for place in [0.1, 0.3, 0.5, 0.9] {
        let flip = |parts: &[PathBuf]| {
            let mut bytes = fs::read(&parts[3]).unwrap();
            let place = (bytes.len() as f64 * place) as usize;
            bytes[place] ^= 1;
            fs::write(&parts[3], bytes).unwrap();
        };
        let (_, checked) = after(flip);
        assert!(!checked, "at {place}");
    }
}

#[test]
fn a_manifest_opens_only_where_it_was_written() {
    let (contract, kit) = (marks(), Kit::new());
    let first = kit.csv(&contract, &[("marks", &planted())]).unwrap();
    let second = kit.csv(&contract, &[("marks", &planted())]).unwrap();
    assert_ne!(first.snapshot_id, second.snapshot_id);
    let path = |number: u64| kit.home().join(crate::snapshot::manifest_path("school", number));
    let manifest = fs::read(path(2)).unwrap();
    // An old one in the place of the newest, or after it; and one bit.
    let mut flipped = manifest.clone();
    flipped[70] ^= 1;
    for (number, bytes) in [(2, fs::read(path(1)).unwrap()), (3, manifest.clone()), (2, flipped)] {
        fs::write(path(number), bytes).unwrap();
        match kit.vault.snapshot("school") {
            Err(VaultError::Damaged(place)) => assert_eq!(place, format!("school/manifests/{number:08}")),
            other => panic!("{other:?}"),
        }
        let _ = fs::remove_file(path(3));
        fs::write(path(2), &manifest).unwrap();
        kit.vault.snapshot("school").unwrap().unwrap();
    }
    fs::write(kit.home().join("store/school/manifests/x"), b"").unwrap();
    assert!(matches!(kit.vault.snapshot("school"), Err(VaultError::Damaged(_))));
}

#[tokio::test]
async fn the_scan_gets_keys_for_files_of_the_snapshot_only() {
    let (contract, kit) = (marks(), Kit::new());
    kit.csv(&contract, &[("marks", &planted())]).unwrap();
    let snapshot = kit.snapshot(&contract);
    let factory = encryption_factory(&snapshot);
    let options = EncryptionFactoryOptions::default();
    let table = snapshot.table("marks").unwrap();
    let path = StorePath::from(table.parts[0].path.as_str());
    assert!(factory.get_file_decryption_properties(&options, &path).await.unwrap().is_some());
    let identity = StorePath::from(table.identity[0].path.as_str());
    assert!(factory.get_file_decryption_properties(&options, &identity).await.is_err());
    assert!(factory.get_file_encryption_properties(&options, &table.schema, &path).await.is_err());
}
