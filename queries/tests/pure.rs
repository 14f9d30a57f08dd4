//! Under a pure memorandum: Laplace, stages that add up as ε, and no key that is not listed.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use disclosure_rules::Rho;
use disclosure_rules::measure::Guarantee;
use memoranda::Memorandum;
use support::Setting;
use support::rows::{CONTRACT, memorandum, setting};

/// The small contract under a memorandum with ε = 3.
fn pure() -> Setting {
    let items = "{ table = \"t\", columns = [\"i\", \"f\", \"t\", \"d\", \"b\", \"n\", \"c\", \"s\"] }";
    let (papers, _) =
        memorandum(items).split_once("rho = 1.0").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    Setting::new(CONTRACT, &format!("{papers}guarantee = \"pure\"\nepsilon = 3.0\n"))
}

#[test]
fn every_release_is_of_the_memorandums_guarantee() {
    let sql = "SELECT c, COUNT(*) FROM t WHERE n > (SELECT AVG(n) FROM t) GROUP BY c";
    for (setting, guarantee) in [(setting(), Guarantee::Concentrated), (pure(), Guarantee::Pure)] {
        let plan = setting.ask(sql).unwrap();
        assert_eq!(plan.guarantee(), guarantee);
        let Memorandum { allotment, .. } = &setting.memorandum;
        let price = Rho::at_least(0.02).unwrap();
        let terms = plan.terms(price, allotment.threshold_delta(), setting.rules.small_cells).unwrap();
        assert_eq!(terms.len(), 2);
        assert!(terms.iter().all(|terms| terms.guarantee == guarantee && terms.rho > Rho::ZERO));
        // In the unit in which they add up, the parts make up the price and no more.
        let paid = |rho: Rho| if guarantee == Guarantee::Pure { rho.get().sqrt() } else { rho.get() };
        let sum: f64 = terms.iter().map(|terms| paid(terms.rho)).sum();
        assert!(sum <= paid(price) * (1.0 + 1e-12) && sum > 0.99 * paid(price), "{guarantee:?} {sum}");
    }
    let plan = |setting: Setting| setting.ask("SELECT COUNT(*) FROM t").unwrap();
    let price = Rho::at_least(0.02).unwrap();
    assert_ne!(
        plan(setting()).digest(price),
        plan(pure()).digest(price),
        "another promise, another question"
    );
}

#[test]
fn the_least_pure_price_has_a_millionth_for_every_stage() {
    let setting = pure();
    let two = setting.ask("SELECT COUNT(*) FROM t WHERE n > (SELECT AVG(n) FROM t)").unwrap();
    let one = setting.ask("SELECT COUNT(*) FROM t").unwrap();
    let terms = |plan: &queries::PrivatePlan, micro: u64| {
        let delta = setting.memorandum.allotment.threshold_delta();
        plan.terms(Rho::from_micro(micro).unwrap(), delta, setting.rules.small_cells)
    };
    assert!(terms(&one, 0).is_none() && terms(&one, 1).is_some());
    // Two parts of √1 are √4.
    assert!(terms(&two, 3).is_none());
    for micro in [5, 6, 10, 1_000] {
        assert!(terms(&two, micro).unwrap().iter().all(|terms| terms.rho > Rho::ZERO), "{micro}");
    }
}

#[test]
fn keys_must_be_listed() {
    for (refused, listed) in [
        (
            "SELECT t, COUNT(*) FROM t GROUP BY t",
            "SELECT t, COUNT(*) FROM t WHERE t IN ('a', 'b') GROUP BY t",
        ),
        ("SELECT DISTINCT t FROM t", "SELECT DISTINCT c FROM t"),
        (
            "SELECT i, c, AVG(n) FROM t GROUP BY ROLLUP (i, c)",
            "SELECT n, c, AVG(n) FROM t GROUP BY ROLLUP (n, c)",
        ),
        (
            "SELECT COUNT(*) FROM t WHERE n > (SELECT MAX(x) FROM (SELECT COUNT(*) AS x FROM t GROUP BY d) AS g)",
            "SELECT COUNT(*) FROM t WHERE n > (SELECT MAX(x) FROM (SELECT COUNT(*) AS x FROM t GROUP BY b) AS g)",
        ),
    ] {
        let refusal = pure().ask(refused).unwrap_err();
        assert_eq!(refusal.rule.name(), "memorandum", "{refused}: {refusal}");
        assert!(refusal.rewrite.unwrap().contains("WHERE x IN ('a', 'b')"));
        assert!(setting().ask(refused).is_ok(), "{refused}");
        if let Err(refusal) = pure().ask(listed) {
            panic!("{listed}: {refusal}");
        }
    }
}
