#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

const GOOD: &str = r#"
name = "strict"
version = "1.2.0"
[small_cells]
min_units = 20
assurance = 0.99
[limits]
max_rho_per_release = 0.05
max_groups = 1000
timeout_seconds = 60
memory_mib = 1024
[[principles]]
id = "no-ranking"
groups_by = ["school"]
measures = ["achievement", "level"]
then = "escalate"
reason = { en = "Schools are not ranked.", ja = "学校の順位付けはしない。" }
"#;

#[test]
fn the_standard_rule_set_says_what_the_design_says() {
    let rules = RuleSet::standard();
    assert_eq!((rules.name.as_str(), rules.version.to_string().as_str()), ("standard", "1.1.0"));
    assert_eq!(rules.small_cells, SmallCells { min_units: Units(10), assurance: 0.95 });
    assert_eq!(rules.limits.max_rho_per_release.micro(), 100_000);
    assert_eq!(
        (rules.limits.max_groups, rules.limits.timeout_seconds, rules.limits.memory_mib),
        (100_000, 120, 4096)
    );
    assert_eq!(rules.limits.largest_contribution, 1_000_000, "not in the file");
    assert_eq!(rules.limits.time_grid_ms, 100, "not in the file");
    assert_eq!(RuleSet::parse(RuleSet::STANDARD).unwrap(), rules);
    let principles: Vec<&str> = rules.principles.iter().map(|principle| principle.id.as_str()).collect();
    let shipped = ["no-ranking", "no-sorting-of-children", "no-prediction-of-conduct", "no-inner-life"];
    assert_eq!(principles, shipped);
    assert!(rules.principles.iter().all(|p| !p.reason_ja.is_empty()), "a reason in both languages");
    let (strict, tier) = rules.for_tiers(true, true);
    assert_eq!((strict.small_cells.min_units, tier.votes), (Units(20), 2));
    assert_eq!(strict.limits.max_rho_per_release.micro(), 50_000);
    assert_eq!(rules.for_tiers(false, false), (rules.clone(), TierRules::default()));
}

#[test]
fn a_rule_set_is_read_whole() {
    let rules = RuleSet::parse(GOOD).unwrap();
    assert_eq!(rules.small_cells, SmallCells { min_units: Units(20), assurance: 0.99 });
    let [principle] = &rules.principles[..] else { panic!("one principle") };
    assert_eq!(principle.then, Then::Escalate);
    let limited = GOOD.replace("[limits]", "[limits]\nlargest_contribution = 5000");
    assert_eq!(RuleSet::parse(&limited).unwrap().limits.largest_contribution, 5000);
    assert_eq!(principle.reason_ja, "学校の順位付けはしない。");
}

#[test]
fn every_mistake_is_named_with_its_place() {
    let cases = [
        (
            "name = \"strict\"",
            "name = \"stri ct\"",
            "`/name`: must be up to 64 letters, digits, `-`, `_`, `.`",
        ),
        ("name = \"strict\"", "", "`name` is missing"),
        ("\"1.2.0\"", "\"1.2\"", "`/version`: `1.2` is not a version such as `1.0.0`"),
        (
            "min_units = 20",
            "min_units = 0",
            "`/small_cells/min_units`: must be a whole number from 1 to 1000000",
        ),
        (
            "min_units = 20",
            "min_units = 20.0",
            "`/small_cells/min_units`: must be a whole number from 1 to 1000000",
        ),
        ("min_units = 20", "", "`/small_cells`: `min_units` is missing"),
        ("0.99", "0.5", "`/small_cells/assurance`: must be a number above 0.5 and below 1"),
        ("0.99", "1.0", "`/small_cells/assurance`: must be a number above 0.5 and below 1"),
        ("0.99", "nan", "`/small_cells/assurance`: must be a number above 0.5 and below 1"),
        ("0.05", "0", "`/limits/max_rho_per_release`: must be a number of at least a millionth"),
        ("0.05", "-1", "`/limits/max_rho_per_release`: must be a number of at least a millionth"),
        ("0.05", "inf", "`/limits/max_rho_per_release`: must be a number of at least a millionth"),
        ("= 1000\n", "= 0\n", "`/limits/max_groups`: must be a whole number from 1 to 10000000"),
        ("= 60", "= 100000", "`/limits/timeout_seconds`: must be a whole number from 1 to 86400"),
        ("= 1024", "= 8", "`/limits/memory_mib`: must be a whole number from 16 to 1048576"),
        (
            "= 1000\n",
            "= 1000\nlargest_contribution = 0\n",
            "`/limits/largest_contribution`: must be a whole number from 1 to 1000000000",
        ),
        ("[\"school\"]", "[]", "`/principles/0/groups_by`: must not be empty"),
        ("[\"school\"]", "\"school\"", "`/principles/0/groups_by`: must be an array"),
        ("\"level\"", "1", "`/principles/0/measures/1`: must be text that is not empty"),
        ("\"escalate\"", "\"allow\"", "`/principles/0/then`: `allow` is not `escalate` or `refuse`"),
        ("en = \"Schools are not ranked.\", ", "", "`/principles/0/reason`: `en` is missing"),
        (
            "min_units = 20",
            "min_units = 20\nmin_rows = 3",
            "`/small_cells/min_rows`: unknown key `min_rows`; known here: `min_units`, `assurance`",
        ),
        ("[limits]", "[limits", "not TOML: unclosed table, expected `]` at line 7 column 8"),
    ];
    for (from, to, expected) in cases {
        let changed = GOOD.replacen(from, to, 1);
        assert_ne!(changed, GOOD, "{from}");
        assert_eq!(RuleSet::parse(&changed).unwrap_err(), [expected], "{from} -> {to}");
    }
    let all = GOOD.replace("0.99", "2").replace("= 60", "= 0").replace("\"escalate\"", "\"x\"");
    assert_eq!(RuleSet::parse(&all).unwrap_err().len(), 3);
    let twice = format!("{GOOD}{}", &GOOD[GOOD.find("[[principles]]").unwrap()..]);
    assert_eq!(RuleSet::parse(&twice).unwrap_err(), ["`/principles/1/id`: `no-ranking` appears twice"]);
}

#[test]
fn a_principle_matches_what_a_question_groups_by_and_uses() {
    let any = GOOD.replace("groups_by = [\"school\"]\n", "");
    let any = RuleSet::parse(&any).unwrap().principles.remove(0);
    assert!(any.matches(&[], &["level"]) && !any.matches(&["level"], &["school"]));
    let none = GOOD.replace("groups_by = [\"school\"]\nmeasures = [\"achievement\", \"level\"]\n", "");
    let expected = "`/principles/0`: `groups_by` or `measures` says which questions are meant";
    assert_eq!(RuleSet::parse(&none).unwrap_err(), [expected]);

    let principle = RuleSet::parse(GOOD).unwrap().principles.remove(0);
    let cases: [(&[&str], &[&str], bool); 6] = [
        (&["school"], &["math", "achievement"], true),
        (&["grade", "School"], &["LEVEL"], true),
        (&["school"], &["absent_days"], false),
        (&["grade"], &["achievement"], false),
        (&["achievement"], &["school"], false),
        (&[], &[], false),
    ];
    for (grouping, measured, expected) in cases {
        assert_eq!(principle.matches(grouping, measured), expected, "{grouping:?} {measured:?}");
    }
}
