//! Texts as data formats: they are read, or every mistake in them is told.
#![no_main]

use chrono::NaiveDate;
use libfuzzer_sys::fuzz_target;
use memoranda::compatibility::incompatibilities;
use memoranda::memorandum::draft;
use memoranda::{Contract, Memorandum, Mistake, VersionRefusal, check_version, datapackage};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match datapackage::parse(text) {
        Ok(contract) => read(&contract),
        Err(mistakes) => told(text, &mistakes),
    }
});

fn read(contract: &Contract) {
    assert!(!format!("{contract:?}").is_empty());
    assert_eq!(
        incompatibilities(contract, contract),
        Vec::<String>::new(),
        "a contract keeps its own promises"
    );
    assert!(matches!(check_version(contract, contract), Err(VersionRefusal::NotLater { .. })));
    // What is empty in a template is a mistake; that it is no TOML would be ours.
    let template = draft(contract, "m", NaiveDate::default());
    for mistake in Memorandum::parse(&template).err().into_iter().flatten() {
        assert!(!mistake.message.starts_with("not TOML"), "{mistake}\n{template}");
    }
}

/// At least one mistake, and not many more than there are places for.
fn told(text: &str, mistakes: &[Mistake]) {
    assert!(!mistakes.is_empty());
    assert!(mistakes.len() <= 16 + 4 * text.len(), "{} mistakes", mistakes.len());
    assert!(mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
}
