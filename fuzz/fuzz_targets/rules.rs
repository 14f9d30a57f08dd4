//! Texts as rule sets: they are read, with numbers in range, or every mistake in them is told.
#![no_main]

use disclosure_rules::RuleSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match RuleSet::parse(text) {
        Ok(rules) => read(&rules),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(mistakes.len() <= 16 + 4 * text.len(), "{} mistakes", mistakes.len());
            assert!(mistakes.iter().all(|mistake| !mistake.is_empty()));
        }
    }
});

fn read(rules: &RuleSet) {
    assert!(!format!("{rules:?}").is_empty());
    let cells = rules.small_cells;
    assert!(cells.assurance > 0.5 && cells.assurance < 1.0, "{cells:?}");
    assert_eq!(rules.for_tiers(false, false).0, *rules, "without items of a tier, nothing is added");
    for (sensitive, restricted) in [(true, false), (false, true), (true, true)] {
        let (strict, _) = rules.for_tiers(sensitive, restricted);
        assert!(strict.small_cells.min_units >= cells.min_units);
        assert!(strict.limits.max_rho_per_release <= rules.limits.max_rho_per_release);
    }
    for principle in &rules.principles {
        assert!(principle.reason().contains(&principle.reason_en));
        let names = |of: &[String]| of.first().cloned().unwrap_or_default();
        assert!(principle.matches(&[&names(&principle.groups_by)], &[&names(&principle.measures)]));
    }
}
