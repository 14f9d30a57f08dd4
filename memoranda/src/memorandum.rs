//! [`Memorandum`] (覚書): who may ask, for what, about which columns, until when, at which price.

mod check;
mod difference;
mod draft;
mod parse;

use chrono::NaiveDate;
use disclosure_rules::account::{Account, PureEpsilon};
use disclosure_rules::measure::Guarantee;
use disclosure_rules::{Delta, Rho};

use crate::contract::{Bilingual, Contract, Tier};

pub use difference::Difference;
pub use draft::draft;

/// An agreement with one institution (DESIGN section 6). Built only by [`Memorandum::parse`].
#[derive(Debug, Clone, PartialEq)]
pub struct Memorandum {
    /// Such as `2026-tsukuba-01`: letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// Counted from 1; a higher one amends those before it.
    pub version: u32,
    /// Name of the contract.
    pub contract: String,
    /// What it is.
    pub title: Bilingual,
    /// With whom.
    pub institution: String,
    /// What for.
    pub purpose: Bilingual,
    /// Short names of its use cases, at least one: what a question may be asked for.
    pub use_cases: Vec<String>,
    /// First day in force.
    pub from: NaiveDate,
    /// Last day in force.
    pub until: NaiveDate,
    /// Name of the rule set.
    pub rules: String,
    /// Who may do what; identifiers are unique.
    pub people: Vec<Person>,
    /// Which columns.
    pub items: Vec<Items>,
    /// Privacy loss promised.
    pub allotment: Allotment,
}

/// A person under the memorandum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Short identifier, as in `--as r1`.
    pub id: String,
    /// Name for the log.
    pub name: String,
    /// What this person may do.
    pub role: PersonRole,
}

/// Roles (DESIGN section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonRole {
    /// 総括管理主体
    Steward,
    /// 保有・管理主体
    Custodian,
    /// 分析主体: the only role that asks.
    Researcher,
    /// アドバイザリーボード
    Board,
    /// 活用主体
    Practitioner,
    /// 市民: reads what is published. Not a role under a memorandum.
    Public,
}

impl PersonRole {
    /// All roles.
    pub const ALL: [PersonRole; 6] = [
        PersonRole::Steward,
        PersonRole::Custodian,
        PersonRole::Researcher,
        PersonRole::Board,
        PersonRole::Practitioner,
        PersonRole::Public,
    ];

    /// As files and commands write it.
    pub fn name(self) -> &'static str {
        match self {
            PersonRole::Steward => "steward",
            PersonRole::Custodian => "custodian",
            PersonRole::Researcher => "researcher",
            PersonRole::Board => "board",
            PersonRole::Practitioner => "practitioner",
            PersonRole::Public => "public",
        }
    }

    /// In Japanese, as the guidelines name it.
    pub fn name_ja(self) -> &'static str {
        match self {
            PersonRole::Steward => "総括管理主体",
            PersonRole::Custodian => "保有・管理主体",
            PersonRole::Researcher => "分析主体",
            PersonRole::Board => "アドバイザリーボード",
            PersonRole::Practitioner => "活用主体",
            PersonRole::Public => "市民",
        }
    }

    /// The role of that name.
    pub fn of(name: &str) -> Option<PersonRole> {
        PersonRole::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// Columns of one table that may be used. The unit column is implied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Items {
    /// Table of the contract.
    pub table: String,
    /// Its columns.
    pub columns: Vec<String>,
}

/// Privacy loss promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allotment {
    /// In all; converted from (ε, δ) where the file says so, rounded down. Where losses are pure, ε²/2 of the
    /// whole ε: more than this it never costs the pool.
    pub rho: Rho,
    /// The δ at which ε is stated. Pure losses have none: theirs is the least number above 0, whatever the file
    /// says.
    pub delta: Delta,
    /// Charge of a question that names none.
    pub default_rho: Rho,
    /// Set where the memorandum asks for pure differential privacy.
    pub pure: Option<PureAllotment>,
}

/// Privacy loss promised as ε, without a δ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PureAllotment {
    /// In all.
    pub epsilon: PureEpsilon,
    /// Charge of a question that names none.
    pub default_epsilon: PureEpsilon,
}

impl Memorandum {
    /// Whether `day` lies in the term; both ends belong to it.
    pub fn is_in_force(&self, day: NaiveDate) -> bool {
        self.from <= day && day <= self.until
    }

    /// Whether `column` of `table` is among the items. The unit column is not an item: it is implied.
    pub fn permits(&self, table: &str, column: &str) -> bool {
        self.items.iter().any(|items| items.table == table && items.columns.iter().any(|name| name == column))
    }

    /// Its items with their tiers, in its order; what the contract does not have is left out.
    pub fn tiers<'a>(&'a self, contract: &'a Contract) -> impl Iterator<Item = (&'a str, &'a str, Tier)> {
        let columns = |items: &'a Items| items.columns.iter().map(move |column| (items, column));
        self.items.iter().flat_map(columns).filter_map(|(items, name)| {
            let column = contract.table(&items.table)?.column(name)?;
            Some((items.table.as_str(), name.as_str(), column.tier))
        })
    }

    /// The person of that identifier.
    pub fn person(&self, id: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.id == id)
    }
}

impl Allotment {
    /// The part of δ, one half, that thresholds for unknown keys may use in all. The other half converts ε to ρ,
    /// so that an allotment written as (ε, δ) holds as written whatever is asked.
    pub fn threshold_delta(&self) -> Delta {
        half(self.delta)
    }

    /// What is promised of every answer.
    pub fn guarantee(&self) -> Guarantee {
        if self.pure.is_some() { Guarantee::Pure } else { Guarantee::Concentrated }
    }

    /// The account before the first question.
    pub fn account(&self) -> Account {
        match self.pure {
            Some(pure) => Account::pure(pure.epsilon),
            None => Account::new(Some(self.rho), Some(self.threshold_delta())),
        }
    }
}

/// Half of a δ: still above 0 and below 1.
fn half(delta: Delta) -> Delta {
    Delta::new(delta.get() / 2.0).unwrap_or(delta)
}
