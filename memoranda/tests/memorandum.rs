//! TOML → memorandum, and whether it fits its contract.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use chrono::NaiveDate;
use disclosure_rules::measure::Guarantee;
use memoranda::{Memorandum, PersonRole};
use support::contract;

const GOOD: &str = r#"
id = "2026-tsukuba-01"
contract = "school"
title = { en = "Class size", ja = "学級規模" }
institution = "University of Tsukuba"
purpose = { en = "To learn." }
use_case = "class-size"
valid = { from = 2026-04-01, until = 2027-03-31 }
rules = "standard"
people = [ { id = "r1", name = "Researcher One", role = "researcher" }, { id = "b1", name = "Board One", role = "board" } ]
items = [ { table = "pupils", columns = ["school", "sex"] }, { table = "visits", columns = [] } ]
[allotment]
rho = 0.5
delta = 1e-6
default_rho = 0.02
"#;

fn changed(from: &str, to: &str) -> String {
    let changed = GOOD.replacen(from, to, 1);
    assert_ne!(changed, GOOD, "{from}");
    changed
}

fn mistakes(toml: &str) -> Vec<String> {
    Memorandum::parse(toml).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn a_memorandum_is_read_whole() {
    let memorandum = Memorandum::parse(GOOD).unwrap();
    assert_eq!((memorandum.id.as_str(), memorandum.title.ja.as_str()), ("2026-tsukuba-01", "学級規模"));
    assert_eq!(memorandum.purpose.ja, "");
    assert_eq!(memorandum.person("b1").unwrap().role, PersonRole::Board);
    assert!(memorandum.person("r2").is_none());
    assert!(memorandum.permits("pupils", "sex"));
    assert!(!memorandum.permits("pupils", "score") && !memorandum.permits("visits", "sex"));
    let allotment = memorandum.allotment;
    assert_eq!((allotment.rho.micro(), allotment.default_rho.micro()), (500_000, 20_000));
    assert_eq!(allotment.delta.get(), 1e-6);
}

#[test]
fn versions_count_up_and_use_cases_may_be_several() {
    let read = |from: &str, to: &str| Memorandum::parse(&changed(from, to)).unwrap();
    let plain = Memorandum::parse(GOOD).unwrap();
    assert_eq!((plain.version, plain.use_cases.as_slice()), (1, &["class-size".to_owned()][..]));
    assert_eq!(read("contract =", "version = 7\ncontract =").version, 7);
    assert_eq!(
        read("\"class-size\"", "[\"class-size\", \"wellbeing\"]").use_cases,
        ["class-size", "wellbeing"]
    );
    for (from, to, expected) in [
        ("contract =", "version = 0\ncontract =", "`/version`: must be a whole number of at least 1"),
        ("contract =", "version = 5000000000\ncontract =", "`/version`: is too large a number of versions"),
        ("\"class-size\"", "[]", "`/use_case`: must not be empty"),
        ("\"class-size\"", "[\"a\", \"a\"]", "`/use_case/1`: `a` appears twice"),
        (
            "\"class-size\"",
            "[\"a b\"]",
            "`/use_case/0`: `a b` is not an identifier: use up to 64 letters, digits, `-`, `_`, `.`",
        ),
        (
            "\"researcher\"",
            "\"public\"",
            "`/people/0/role`: unknown role `public`; use one of `steward`, `custodian`, `researcher`, `practitioner`, `board`",
        ),
    ] {
        assert_eq!(mistakes(&changed(from, to)), [expected]);
    }
}

#[test]
fn a_difference_reads_like_a_list_of_changes() {
    let before = Memorandum::parse(GOOD).unwrap();
    assert_eq!(before.differences(&before), []);
    let after = GOOD
        .replace(
            "id = \"b1\", name = \"Board One\", role = \"board\"",
            "id = \"r2\", name = \"R Two\", role = \"researcher\"",
        )
        .replace("\"school\", \"sex\"", "\"school\", \"score\"")
        .replace(", { table = \"visits\", columns = [] }", "")
        .replace("use_case = \"class-size\"", "use_case = [\"class-size\", \"wellbeing\"]")
        .replace("2027-03-31", "2028-03-31")
        .replace("To learn.", "To learn more.")
        .replace("\"standard\"", "\"strict\"")
        .replace("rho = 0.5\n", "rho = 0.6\n");
    let after = Memorandum::parse(&after).unwrap();
    let lines: Vec<String> = before.differences(&after).iter().map(ToString::to_string).collect();
    let expected = [
        "- person b1: Board One, board",
        "+ person r2: R Two, researcher",
        "- item pupils.sex",
        "- table visits",
        "+ item pupils.score",
        "+ use case wellbeing",
        "~ purpose: To learn. → To learn more.",
        "~ term: 2026-04-01 to 2027-03-31 → 2026-04-01 to 2028-03-31",
        "~ rules: standard → strict",
        "~ allotment: rho 0.5, delta 1e-6, default 0.02 → rho 0.6, delta 1e-6, default 0.02",
    ];
    assert_eq!(lines, expected);
    assert_eq!(after.differences(&before).len(), expected.len(), "and back");
}

#[test]
fn a_draft_offers_every_item_and_lacks_only_what_people_know() {
    use serde_json::json;
    let first = "/resources/1/schema/fields";
    let contract = contract(&[(&format!("{first}/4/enclave:tier"), json!("restricted"))]);
    let table = &contract.tables[1];
    let column = &table.columns[4];
    let today = "2026-05-01".parse::<NaiveDate>().unwrap();
    let draft = memoranda::memorandum::draft(&contract, "new", today);
    assert!(draft.contains("valid = { from = 2026-05-01, until = 2027-04-30 }"));
    let places: Vec<String> =
        mistakes(&draft).iter().filter_map(|mistake| mistake.split('`').nth(1).map(str::to_owned)).collect();
    let known = [
        "/title/en",
        "/title/ja",
        "/institution",
        "/purpose/en",
        "/purpose/ja",
        "/use_case",
        "/people/0/name",
    ];
    assert_eq!(places, known, "{draft}");
    let filled = draft.replace("\"\"", "\"text\"");
    let memorandum = Memorandum::parse(&filled).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    assert_eq!(memorandum.check_against(&contract), []);
    assert_eq!(memorandum.items.len(), contract.tables.len());
    assert!(!memorandum.permits(&table.name, &column.name), "a restricted item is for the steward to add");
    let offered = filled.replace("# \"", "\"");
    let memorandum = Memorandum::parse(&offered).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    assert!(memorandum.permits(&table.name, &column.name));
    let tiers: Vec<_> =
        memorandum.tiers(&contract).filter(|item| item.2 == memoranda::Tier::Restricted).collect();
    assert_eq!(tiers, [(table.name.as_str(), column.name.as_str(), memoranda::Tier::Restricted)]);
}

#[test]
fn the_term_holds_both_its_days() {
    let memorandum = Memorandum::parse(GOOD).unwrap();
    let cases = [
        ("2026-03-31", false),
        ("2026-04-01", true),
        ("2026-12-01", true),
        ("2027-03-31", true),
        ("2027-04-01", false),
    ];
    for (day, in_force) in cases {
        assert_eq!(memorandum.is_in_force(day.parse::<NaiveDate>().unwrap()), in_force, "{day}");
    }
}

#[test]
fn an_allotment_is_rounded_against_the_researcher() {
    let allotment = |text: &str| Memorandum::parse(&changed("rho = 0.5\n", text)).unwrap().allotment;
    assert_eq!(allotment("rho = 0.1234569\n").rho.micro(), 123_456);
    assert_eq!(allotment("rho = 3\n").rho.micro(), 3_000_000);
    let converted = allotment("epsilon = 3.0\n");
    // The half of delta that thresholds do not use: 5e-7.
    let epsilon = |rho: disclosure_rules::Rho| rho.epsilon(disclosure_rules::Delta::new(5e-7).unwrap()).get();
    assert!(epsilon(converted.rho) <= 3.0);
    let next = disclosure_rules::Rho::from_micro(converted.rho.micro() + 1).unwrap();
    assert!(epsilon(next) > 3.0);

    let default =
        |to: &str| Memorandum::parse(&changed("default_rho = 0.02\n", to)).unwrap().allotment.default_rho;
    assert_eq!(default("default_rho = 0.0000101\n").micro(), 11);
    assert_eq!(default("").micro(), 10_000);
    assert_eq!(default("guarantee = \"zcdp\"\n").micro(), 10_000);
    let small = changed("rho = 0.5", "rho = 0.001").replace("default_rho = 0.02\n", "");
    assert_eq!(
        Memorandum::parse(&small).unwrap().allotment.default_rho.micro(),
        1_000,
        "never above the allotment"
    );
}

/// The memorandum with another allotment.
fn allotted(allotment: &str) -> String {
    let (papers, _) = GOOD.split_once("rho = 0.5").unwrap();
    format!("{papers}{allotment}\n")
}

#[test]
fn a_pure_allotment_is_in_epsilon() {
    let read = |allotment: &str| Memorandum::parse(&allotted(allotment)).unwrap().allotment;
    let allotment = read("guarantee = \"pure\"\nepsilon = 3.0000009\ndefault_epsilon = 0.2000001");
    let pure = allotment.pure.unwrap();
    assert_eq!(allotment.guarantee(), Guarantee::Pure);
    assert_eq!((pure.epsilon.micro(), pure.default_epsilon.micro()), (3_000_000, 200_001));
    assert_eq!((allotment.rho.micro(), allotment.default_rho.micro()), (4_500_000, 20_000));
    assert_eq!(allotment.account().pure.unwrap().allotment, pure.epsilon);
    // A delta has no effect.
    let epsilon = "guarantee = \"pure\"\nepsilon = 3.0";
    assert_eq!(read(epsilon), read(&format!("{epsilon}\ndelta = 1e-6")));
    assert_eq!(read(epsilon).pure.unwrap().default_epsilon.micro(), 100_000);
    let small = read("guarantee = \"pure\"\nepsilon = 0.05").pure.unwrap();
    assert_eq!(small.default_epsilon, small.epsilon, "never above the allotment");
    // The same number of epsilon is another promise without the key.
    let other = read("epsilon = 3.0\ndelta = 1e-6");
    assert_eq!((other.guarantee(), other.pure), (Guarantee::Concentrated, None));
    assert!(other.rho < allotment.rho);
}

#[test]
fn a_pure_allotment_takes_no_rho() {
    for (allotment, expected) in [
        ("rho = 0.5\nepsilon = 3", "`/allotment/rho`: pure losses add up as epsilon: give `epsilon` instead"),
        (
            "epsilon = 3\ndefault_rho = 0.1",
            "`/allotment/default_rho`: pure losses add up as epsilon: give `default_epsilon` instead",
        ),
        ("delta = 1e-6", "`/allotment`: `epsilon` is missing"),
        ("epsilon = 3\ndelta = 2", "`/allotment/delta`: delta must be above 0 and below 1"),
        (
            "epsilon = 3\ndefault_epsilon = 3.1",
            "`/allotment/default_epsilon`: is more than the whole allotment of 3",
        ),
        ("epsilon = 0", "`/allotment/epsilon`: epsilon must be positive and finite"),
        ("epsilon = 0.001", "`/allotment/epsilon`: is less than a millionth of rho"),
        ("epsilon = 1e7", "`/allotment/epsilon`: rho must be between 0 and 4e12"),
        (
            "epsilon = 3\nsigma = 1",
            "`/allotment/sigma`: unknown key `sigma`; known here: `guarantee`, `epsilon`, `default_epsilon`, `delta`",
        ),
    ] {
        assert_eq!(mistakes(&allotted(&format!("guarantee = \"pure\"\n{allotment}"))), [expected]);
    }
}

#[test]
fn each_mistake_has_its_pointer() {
    let identifier = "is not an identifier: use up to 64 letters, digits, `-`, `_`, `.`";
    let cases = [
        ("\"2026-tsukuba-01\"", "\"2026 tsukuba\"", format!("`/id`: `2026 tsukuba` {identifier}")),
        ("\"2026-tsukuba-01\"", "\"../x\"", format!("`/id`: `../x` {identifier}")),
        ("\"2026-tsukuba-01\"", "1", "`/id`: must be text that is not empty".into()),
        ("id = \"2026-tsukuba-01\"", "", "`id` is missing".into()),
        ("en = \"Class size\", ", "", "`/title`: `en` is missing".into()),
        ("{ en = \"To learn.\" }", "\"To learn.\"", "`/purpose`: must be an object".into()),
        ("en = \"To learn.\"", "en = \"To learn.\", fr = \"x\"", "`/purpose/fr`: unknown key `fr`; known here: `en`, `ja`".into()),
        ("2027-03-31", "2026-03-31", "`/valid/until`: is before `from`".into()),
        ("2027-03-31", "2027-03-31T00:00:00", "`/valid/until`: must be a date such as 2026-04-01".into()),
        ("2027-03-31", "\"2027-02-30\"", "`/valid/until`: must be a date such as 2026-04-01".into()),
        (", until = 2027-03-31", "", "`/valid`: `until` is missing".into()),
        ("\"b1\"", "\"r1\"", "`/people/1/id`: `r1` appears twice".into()),
        ("\"researcher\"", "\"Researcher\"", "`/people/0/role`: unknown role `Researcher`; use one of `steward`, `custodian`, `researcher`, `practitioner`, `board`".into()),
        ("\"researcher\"", "\"steward\"", "`/people`: nobody has the role `researcher`, the only one that asks".into()),
        ("name = \"Board One\", ", "", "`/people/1`: `name` is missing".into()),
        ("[\"school\", \"sex\"]", "[\"school\", \"school\"]", "`/items/0/columns/1`: `school` appears twice".into()),
        ("[\"school\", \"sex\"]", "\"school\"", "`/items/0/columns`: must be an array".into()),
        ("\"visits\"", "\"pupils\"", "`/items/1/table`: `pupils` appears twice".into()),
        ("rho = 0.5", "rho = 0", "`/allotment/rho`: must be a number above 0".into()),
        ("rho = 0.5", "rho = 1e-7", "`/allotment/rho`: must be at least a millionth".into()),
        ("rho = 0.5", "rho = 1e13", "`/allotment/rho`: rho must be between 0 and 4e12".into()),
        ("rho = 0.5", "rho = nan", "`/allotment/rho`: must be a number above 0".into()),
        ("rho = 0.5", "rho = \"0.5\"", "`/allotment/rho`: must be a number above 0".into()),
        ("rho = 0.5\n", "", "`/allotment`: `rho` is missing (or `epsilon`)".into()),
        ("rho = 0.5", "rho = 0.5\nepsilon = 3.0", "`/allotment/epsilon`: give `rho` or `epsilon`, not both".into()),
        ("rho = 0.5", "epsilon = 1e-9", "`/allotment/epsilon`: is less than a millionth of rho".into()),
        ("rho = 0.5", "epsilon = 0", "`/allotment/epsilon`: epsilon must be positive and finite".into()),
        ("1e-6", "1", "`/allotment/delta`: delta must be above 0 and below 1".into()),
        ("delta = 1e-6\n", "", "`/allotment`: `delta` is missing".into()),
        ("default_rho = 0.02", "default_rho = 0.6", "`/allotment/default_rho`: is more than the whole allotment of 0.5".into()),
        ("default_rho = 0.02", "default_rho = 0", "`/allotment/default_rho`: must be a number above 0".into()),
        ("default_rho = 0.02", "default_epsilon = 1", "`/allotment/default_epsilon`: unknown key `default_epsilon`; known here: `rho`, `epsilon`, `delta`, `default_rho`, `guarantee`".into()),
        ("default_rho = 0.02", "guarantee = \"none\"", "`/allotment/guarantee`: unknown guarantee `none`; use `zcdp` or `pure`, or leave it out".into()),
        ("rules = ", "rule = ", String::new()),
    ];
    for (from, to, expected) in cases {
        let found = mistakes(&changed(from, to));
        if expected.is_empty() {
            assert_eq!(found.len(), 2, "{found:?}");
        } else {
            assert_eq!(found, [expected], "{from} -> {to}");
        }
    }
}

#[test]
fn all_mistakes_come_at_once_in_order() {
    let toml = changed("2027-03-31", "2025-03-31").replace("1e-6", "2").replace("\"board\"", "\"chair\"");
    let found = mistakes(&toml);
    let places: Vec<&str> = found.iter().filter_map(|mistake| mistake.split('`').nth(1)).collect();
    assert_eq!(places, ["/valid/until", "/people/1/role", "/allotment/delta"]);
    let broken = changed("[allotment]", "[allotment");
    assert_eq!(mistakes(&broken), ["not TOML: unclosed table, expected `]` at line 12 column 11"]);
}

#[test]
fn a_memorandum_gives_only_what_the_contract_has() {
    let contract = contract(&[]);
    let check = |from: &str, to: &str| -> Vec<String> {
        let memorandum = Memorandum::parse(&changed(from, to)).unwrap();
        memorandum.check_against(&contract).iter().map(ToString::to_string).collect()
    };
    assert!(Memorandum::parse(GOOD).unwrap().check_against(&contract).is_empty());
    assert!(check("\"sex\"", "\"pupil\"").is_empty(), "the unit column may be listed");
    assert_eq!(
        check("[\"school\", \"sex\"]", "[\"sex\", \"height\", \"name\", \"Sex\"]"),
        [
            "`/items/0/columns/1`: no column `height` in table `pupils`",
            "`/items/0/columns/2`: `name` of `pupils` identifies pupils: no memorandum gives it",
            "`/items/0/columns/3`: no column `Sex` in table `pupils`",
        ]
    );
    assert_eq!(check("\"visits\"", "\"visit\""), ["`/items/1/table`: no table `visit` in contract `school`"]);
    assert_eq!(check("\"school\"", "\"star\""), ["`/contract`: is about `star`, not about `school`"]);
}

#[test]
fn the_examples_are_good() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let memorandum = Memorandum::parse(&std::fs::read_to_string(&path).unwrap());
        let memorandum = memorandum.unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", path.display()));
        let package = format!("../../datasets-synthetic/formats/{}/datapackage.json", memorandum.contract);
        let package = std::fs::read_to_string(format!("{examples}/{package}")).unwrap();
        let contract = memoranda::datapackage::parse(&package);
        let contract = contract.unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", memorandum.contract));
        assert_eq!(memorandum.check_against(&contract), [], "{}", path.display());
        assert!(!memorandum.title.ja.is_empty() && !memorandum.purpose.ja.is_empty(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 1);
}
