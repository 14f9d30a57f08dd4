//! What steward and custodian do: publish a contract, install rules. Each is a leaf of the log that says who
//! did it. Memoranda and records have modules of their own.

use disclosure_rules::RuleSet;
use ledger::{
    AmendError, DocumentKind, LedgerError, LogPosition, PeopleError, ProofError, PruneError, VoteError,
    WitnessError,
};
use memoranda::{Column, Contract, check_version, datapackage};
use serde_json::json;
use vault::{IngestError, RecordsError};

use crate::approvals::Waiting;
use crate::enclave::{Enclave, OpenError};
use crate::factor::FactorError;
use crate::permissions::Action;

/// Why an act did not take effect. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The document has mistakes, all of them listed.
    #[error("{what} has {} mistake{}:\n  {}", mistakes.len(), if mistakes.len() == 1 { "" } else { "s" }, mistakes.join("\n  "))]
    Mistakes {
        /// Which document.
        what: &'static str,
        /// Each with its place.
        mistakes: Vec<String>,
    },
    /// A later version breaks an earlier one.
    #[error(transparent)]
    Version(#[from] memoranda::VersionRefusal),
    /// Something that was named is not there.
    #[error("there is no {0} `{1}`; {2}")]
    Missing(&'static str, String, &'static str),
    /// It took effect before.
    #[error("{0}")]
    Already(String),
    /// Whoever acts may not.
    #[error("{0}")]
    Denied(String),
    /// A member of the board has to approve it first.
    #[error("{0}")]
    Waiting(Waiting),
    /// A code does not count.
    #[error(transparent)]
    Factor(#[from] FactorError),
    /// The vote does not count.
    #[error(transparent)]
    Vote(#[from] VoteError),
    /// The register of people stays as it is.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The memorandum stays as it is.
    #[error(transparent)]
    Amend(#[from] AmendError),
    /// The records were not taken in.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The records were not found or changed.
    #[error(transparent)]
    Records(RecordsError),
    /// Nothing was witnessed.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// Nothing was pruned.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// Nothing is proved.
    #[error(transparent)]
    Proof(ProofError),
    /// The home.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

pub(crate) fn mistakes<T: ToString>(what: &'static str) -> impl Fn(Vec<T>) -> ActError {
    move |found| ActError::Mistakes { what, mistakes: found.iter().map(T::to_string).collect() }
}

impl Enclave {
    /// Registers a version of a contract (Data Package v2, JSON).
    pub fn publish_contract(&self, text: &str) -> Result<(Contract, LogPosition), ActError> {
        let actor = self.permitted(Action::PublishContract)?;
        let contract = datapackage::parse(text).map_err(mistakes("the contract"))?;
        let old = self.contract(&contract.name)?;
        if let Some(old) = &old {
            check_version(old, &contract)?;
        }
        let reasons = widened(old.as_deref(), &contract);
        if !reasons.is_empty() {
            self.two_people(&actor, Action::PublishContract, text, &reasons)?;
        }
        let facts = json!({ "title": contract.title.en, "title_ja": contract.title.ja });
        let version = contract.version.to_string();
        let stamp = self.stamp(&actor);
        let place =
            self.ledger.publish_contract(stamp, &contract.name, &version, text, facts, contract.pool_rho)?;
        Ok((contract, place))
    }

    /// Installs a version of a rule set (TOML).
    pub fn install_rules(&self, text: &str) -> Result<(RuleSet, LogPosition), ActError> {
        let actor = self.permitted(Action::InstallRules)?;
        let rules = RuleSet::parse(text).map_err(mistakes("the rule set"))?;
        let old = self.rules(&rules.name)?;
        if let Some(old) = &old
            && rules.version <= old.version
        {
            let message = format!(
                "rule set `{}` is at version {} already: name a greater one",
                rules.name, old.version
            );
            return Err(ActError::Already(message));
        }
        // A new name is measured by the standard, once there are two people who could let it through.
        let standard = match old {
            None if self.ledger.founded()? => self.rules(RuleSet::standard().name.as_str())?,
            old => old,
        };
        let reasons = standard.map(|standard| rules.weaker_than(&standard)).unwrap_or_default();
        if !reasons.is_empty() {
            self.two_people(&actor, Action::InstallRules, text, &reasons)?;
        }
        let version = rules.version.to_string();
        let stamp = self.stamp(&actor);
        let place =
            self.ledger.publish(stamp, DocumentKind::Rules, &rules.name, &version, text, json!({}))?;
        Ok((rules, place))
    }
}

/// Tag of columns that make inner beliefs and values visible (内心の自由).
const INNER_LIFE: &str = "inner-life";

/// Why a version of a contract takes a steward and a member of the board: a larger pool, or a column that is newly
/// tagged `inner-life`.
fn widened(old: Option<&Contract>, new: &Contract) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(old) = old
        && let Some(cap) = old.pool_rho
        && new.pool_rho.is_none_or(|pool| pool > cap)
    {
        let to = new.pool_rho.map_or("no cap".to_owned(), |pool| pool.to_string());
        reasons.push(format!("the pool grows from {cap} to {to}"));
    }
    let inner = |column: &Column| column.tags.iter().any(|tag| tag == INNER_LIFE);
    for table in &new.tables {
        for column in table.columns.iter().filter(|column| inner(column)) {
            let before = old.and_then(|old| old.table(&table.name)?.column(&column.name));
            if !before.is_some_and(inner) {
                reasons.push(format!("`{}.{}` is newly tagged `{INNER_LIFE}`", table.name, column.name));
            }
        }
    }
    reasons
}
