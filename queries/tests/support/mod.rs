//! Published contracts, example memoranda, and one way to ask.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use disclosure_rules::RuleSet;
use memoranda::{Contract, Memorandum, datapackage};
use queries::{Options, PrivatePlan, Refusal, verify};

pub mod rows;

/// A contract, a memorandum under it, and the standard rules.
pub struct Setting {
    pub contract: Contract,
    pub memorandum: Memorandum,
    pub rules: RuleSet,
}

impl Setting {
    pub fn new(contract: &str, memorandum: &str) -> Setting {
        Setting {
            contract: datapackage::parse(contract).unwrap(),
            memorandum: Memorandum::parse(memorandum).unwrap(),
            rules: RuleSet::standard(),
        }
    }

    pub fn star() -> Setting {
        Setting::new(
            include_str!("../../../datasets-synthetic/formats/star/datapackage.json"),
            include_str!("../../../memoranda/examples/star-1.toml"),
        )
    }

    pub fn city() -> Setting {
        Setting::new(
            include_str!("../../../datasets-synthetic/formats/city/datapackage.json"),
            include_str!("../../../memoranda/examples/city-1.toml"),
        )
    }

    pub fn transition() -> Setting {
        Setting::new(
            include_str!("../../../datasets-synthetic/formats/city/datapackage.json"),
            include_str!("../../../memoranda/examples/city-2.toml"),
        )
    }

    pub fn ask(&self, sql: &str) -> Result<PrivatePlan, Refusal> {
        self.ask_with(sql, &Options::default())
    }

    pub fn ask_with(&self, sql: &str, options: &Options) -> Result<PrivatePlan, Refusal> {
        verify(sql, &self.contract, &self.memorandum, &self.rules, options)
    }
}

/// Options from two optional numbers.
pub fn bounds(rows_per_unit: Option<u64>, groups_per_unit: Option<u64>) -> Options {
    Options { rows_per_unit, groups_per_unit }
}
