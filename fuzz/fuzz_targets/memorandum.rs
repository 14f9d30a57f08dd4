//! Texts as memoranda: they are read, or every mistake in them is told.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use memoranda::{Contract, Memorandum, Mistake, datapackage};

/// Contracts that they are held against.
static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    let star = include_str!("../../datasets-synthetic/formats/star/datapackage.json");
    let city = include_str!("../../datasets-synthetic/formats/city/datapackage.json");
    [star, city].map(|text| datapackage::parse(text).expect("a published contract")).into()
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Memorandum::parse(text) {
        Ok(memorandum) => read(text, &memorandum),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            told(text, &mistakes);
        }
    }
});

fn read(text: &str, memorandum: &Memorandum) {
    assert!(!format!("{memorandum:?}").is_empty());
    assert!(memorandum.is_in_force(memorandum.from) && memorandum.is_in_force(memorandum.until));
    assert_eq!(memorandum.differences(memorandum), vec![], "nothing differs from itself");
    let delta = memorandum.allotment.threshold_delta().get();
    assert!(delta > 0.0 && delta < 1.0, "{delta}");
    for contract in &*CONTRACTS {
        told(text, &memorandum.check_against(contract));
        let tiers = memorandum.tiers(contract);
        assert!(tiers.into_iter().all(|(table, column, _)| memorandum.permits(table, column)));
    }
}

/// Not many more mistakes than there are places for.
fn told(text: &str, mistakes: &[Mistake]) {
    assert!(mistakes.len() <= 16 + 4 * text.len(), "{} mistakes", mistakes.len());
    assert!(mistakes.iter().all(|mistake| !mistake.to_string().is_empty()));
}
