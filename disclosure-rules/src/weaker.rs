//! Where one rule set protects less than another.

use crate::rules::{Principle, RuleSet, Then, TierRules};

impl RuleSet {
    /// Everything in which this rule set is weaker than `other`, a sentence each; empty where it protects at least as
    /// much. Time and memory are not protection.
    pub fn weaker_than(&self, other: &RuleSet) -> Vec<String> {
        let mut found = Found::default();
        let (cells, limits) = (self.small_cells, self.limits);
        found.less("small_cells.min_units", cells.min_units.0 as f64, other.small_cells.min_units.0 as f64);
        found.less("small_cells.assurance", cells.assurance, other.small_cells.assurance);
        found.more(
            "limits.max_rho_per_release",
            limits.max_rho_per_release.get(),
            other.limits.max_rho_per_release.get(),
        );
        found.more("limits.max_groups", limits.max_groups as f64, other.limits.max_groups as f64);
        found.less("limits.time_grid_ms", limits.time_grid_ms as f64, other.limits.time_grid_ms as f64);
        for (tier, (this, that)) in [
            ("sensitive", (&self.sensitive, &other.sensitive)),
            ("restricted", (&self.restricted, &other.restricted)),
        ] {
            self.tier(tier, this, other, that, &mut found);
        }
        found.less("board.votes", f64::from(self.board.votes), f64::from(other.board.votes));
        found.more(
            "board.approval_days",
            f64::from(self.board.approval_days),
            f64::from(other.board.approval_days),
        );
        for old in &other.principles {
            match self.principles.iter().find(|principle| principle.id == old.id) {
                None => found.0.push(format!("the principle `{}` is removed", old.id)),
                Some(new) if softer(new, old) => {
                    found.0.push(format!("the principle `{}` is softened", old.id))
                }
                Some(_) => {}
            }
        }
        found.0
    }

    /// As the tier holds in the end: what it does not say, the limits do.
    fn tier(&self, name: &str, this: &TierRules, other: &RuleSet, that: &TierRules, found: &mut Found) {
        let price = |rules: &RuleSet, tier: &TierRules| {
            let all = rules.limits.max_rho_per_release;
            tier.max_rho_per_release.map_or(all, |rho| rho.min(all)).get()
        };
        let cells = |rules: &RuleSet, tier: &TierRules| {
            let all = rules.small_cells.min_units;
            tier.min_units.map_or(all, |units| units.max(all)).0 as f64
        };
        let minutes =
            |tier: &TierRules| tier.second_factor_minutes.map_or(f64::INFINITY, |minutes| minutes as f64);
        let key = |key: &str| format!("tiers.{name}.{key}");
        found.more(&key("max_rho_per_release"), price(self, this), price(other, that));
        found.less(&key("min_units"), cells(self, this), cells(other, that));
        found.more(&key("second_factor_minutes"), minutes(this), minutes(that));
        found.less(&key("votes"), f64::from(this.votes), f64::from(that.votes));
    }
}

#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    /// Weaker where the number falls.
    fn less(&mut self, what: &str, new: f64, old: f64) {
        if new < old {
            self.0.push(format!("`{what}` falls from {} to {}", number(old), number(new)));
        }
    }

    /// Weaker where the number rises.
    fn more(&mut self, what: &str, new: f64, old: f64) {
        if new > old {
            self.0.push(format!("`{what}` rises from {} to {}", number(old), number(new)));
        }
    }
}

fn number(number: f64) -> String {
    if number.is_infinite() { "none".to_owned() } else { number.to_string() }
}

/// Whether a principle lets a question through that `old` stopped, or stops it less firmly.
fn softer(new: &Principle, old: &Principle) -> bool {
    // An empty list means any question.
    let covers = |new: &[String], old: &[String]| {
        let among = |word: &String| new.iter().any(|other| other.eq_ignore_ascii_case(word));
        new.is_empty() || (!old.is_empty() && old.iter().all(among))
    };
    !covers(&new.groups_by, &old.groups_by)
        || !covers(&new.measures, &old.measures)
        || (old.then == Then::Refuse && new.then == Then::Escalate)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const OLD: &str = "name = \"standard\"\nversion = \"1.0.0\"\n[small_cells]\nmin_units = 10\nassurance = 0.95\n\
        [limits]\nmax_rho_per_release = 0.1\nmax_groups = 1000\ntimeout_seconds = 120\nmemory_mib = 4096\n\
        [tiers.restricted]\nsecond_factor_minutes = 15\nvotes = 2\n[board]\nvotes = 2\napproval_days = 30\n\
        [[principles]]\nid = \"p\"\ngroups_by = [\"school\"]\nmeasures = [\"achievement\"]\nthen = \"refuse\"\n\
        reason = { en = \"because\" }\n";

    fn weaker(from: &str, to: &str) -> Vec<String> {
        let changed = OLD.replacen(from, to, 1);
        assert!(from == to || changed != OLD, "{from}");
        RuleSet::parse(&changed).unwrap().weaker_than(&RuleSet::parse(OLD).unwrap())
    }

    #[test]
    fn each_number_has_a_direction() {
        for (from, to, expected) in [
            ("1.0.0", "1.1.0", ""),
            ("min_units = 10", "min_units = 9", "`small_cells.min_units` falls from 10 to 9"),
            ("assurance = 0.95", "assurance = 0.9", "`small_cells.assurance` falls from 0.95 to 0.9"),
            ("assurance = 0.95", "assurance = 0.99", ""),
            ("release = 0.1", "release = 0.2", "`limits.max_rho_per_release` rises from 0.1 to 0.2"),
            ("release = 0.1", "release = 0.05", ""),
            ("groups = 1000", "groups = 1001", "`limits.max_groups` rises from 1000 to 1001"),
            ("minutes = 15", "minutes = 16", "`tiers.restricted.second_factor_minutes` rises from 15 to 16"),
            (
                "second_factor_minutes = 15\n",
                "",
                "`tiers.restricted.second_factor_minutes` rises from 15 to none",
            ),
            ("votes = 2\n[board]", "votes = 1\n[board]", "`tiers.restricted.votes` falls from 2 to 1"),
            ("votes = 2\napproval", "votes = 1\napproval", "`board.votes` falls from 2 to 1"),
            ("days = 30", "days = 31", "`board.approval_days` rises from 30 to 31"),
            ("\"refuse\"", "\"escalate\"", "the principle `p` is softened"),
            ("id = \"p\"", "id = \"q\"", "the principle `p` is removed"),
            ("[\"school\"]", "[\"class\"]", "the principle `p` is softened"),
            ("[\"school\"]", "[\"School\", \"class\"]", ""),
            ("groups_by = [\"school\"]\n", "", ""),
            ("memory_mib = 4096", "memory_mib = 8192", ""),
        ] {
            let found = weaker(from, to);
            // A limit for all is one for a tier that names none.
            let of_all = |sentence: &&String| !sentence.contains("tiers.") || expected.contains("tiers.");
            assert_eq!(
                found.iter().filter(of_all).cloned().collect::<Vec<_>>().join("; "),
                expected,
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn an_empty_list_means_any_question() {
        let narrowed = RuleSet::parse(OLD).unwrap();
        let wide = RuleSet::parse(&OLD.replace("groups_by = [\"school\"]\n", "")).unwrap();
        assert_eq!(narrowed.weaker_than(&wide), ["the principle `p` is softened"]);
        assert!(wide.weaker_than(&narrowed).is_empty() && wide.weaker_than(&wide).is_empty());
    }
}
