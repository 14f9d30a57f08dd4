//! What steward and custodian do: publish a contract, install rules, sign and end a memorandum, ingest. Each is a
//! leaf of the log.

use disclosure_rules::RuleSet;
use ledger::{DocumentKind, Event, LedgerError, LogPosition};
use memoranda::{Contract, Memorandum, check_version, datapackage};
use serde_json::json;
use vault::{IngestError, Ingested, Input};

use crate::enclave::{Enclave, OpenError};

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
    /// The records were not taken in.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// The home.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn mistakes<T: ToString>(what: &'static str) -> impl Fn(Vec<T>) -> ActError {
    move |found| ActError::Mistakes { what, mistakes: found.iter().map(T::to_string).collect() }
}

impl Enclave {
    /// Registers a version of a contract (Data Package v2, JSON).
    pub fn publish_contract(&self, text: &str) -> Result<(Contract, LogPosition), ActError> {
        let contract = datapackage::parse(text).map_err(mistakes("the contract"))?;
        if let Some(old) = self.contract(&contract.name)? {
            check_version(&old, &contract)?;
        }
        let facts = json!({ "title": contract.title.en, "title_ja": contract.title.ja });
        let version = contract.version.to_string();
        let place =
            self.ledger.publish(self.now(), DocumentKind::Contract, &contract.name, &version, text, facts)?;
        Ok((contract, place))
    }

    /// Installs a version of a rule set (TOML).
    pub fn install_rules(&self, text: &str) -> Result<(RuleSet, LogPosition), ActError> {
        let rules = RuleSet::parse(text).map_err(mistakes("the rule set"))?;
        if let Some(old) = self.rules(&rules.name)?
            && rules.version <= old.version
        {
            let message = format!(
                "rule set `{}` is at version {} already: name a greater one",
                rules.name, old.version
            );
            return Err(ActError::Already(message));
        }
        let version = rules.version.to_string();
        let place =
            self.ledger.publish(self.now(), DocumentKind::Rules, &rules.name, &version, text, json!({}))?;
        Ok((rules, place))
    }

    /// Puts a memorandum (TOML) in force between its dates, and opens its account.
    pub fn sign_memorandum(&self, text: &str) -> Result<(Memorandum, LogPosition), ActError> {
        let memorandum = Memorandum::parse(text).map_err(mistakes("the memorandum"))?;
        let missing = |what, name: &str, how| ActError::Missing(what, name.to_owned(), how);
        let contract = self.contract(&memorandum.contract)?.ok_or_else(|| {
            missing("contract", &memorandum.contract, "publish it first: `enclave contract publish FILE`")
        })?;
        self.rules(&memorandum.rules)?.ok_or_else(|| {
            missing("rule set", &memorandum.rules, "install it first: `enclave rules install FILE`")
        })?;
        let wrong = memorandum.check_against(&contract);
        if !wrong.is_empty() {
            return Err(mistakes("the memorandum")(wrong));
        }
        if self.memorandum(&memorandum.id)?.is_some() {
            let message =
                format!("memorandum `{}` is signed already; a new one needs a new id", memorandum.id);
            return Err(ActError::Already(message));
        }
        let place = self.ledger.sign(self.now(), &memorandum, text, contract.pool_rho)?;
        Ok((memorandum, place))
    }

    /// Ends a memorandum before its date.
    pub fn end_memorandum(&self, id: &str) -> Result<LogPosition, ActError> {
        if self.memorandum(id)?.is_none() {
            return Err(ActError::Missing(
                "memorandum",
                id.to_owned(),
                "`enclave memorandum list` shows them",
            ));
        }
        if self.ledger.ended(id)?.is_some() {
            return Err(ActError::Already(format!("memorandum `{id}` has ended already")));
        }
        Ok(self.ledger.end_memorandum(self.now(), id)?)
    }

    /// Takes records in: validates, pseudonymises, encrypts, and puts a new snapshot in force; all or nothing.
    pub fn ingest(
        &self,
        contract: &str,
        inputs: &[Input],
        progress: vault::ingest::Progress<'_>,
    ) -> Result<Ingested, ActError> {
        let contract = self.contract(contract)?.ok_or_else(|| {
            ActError::Missing(
                "contract",
                contract.to_owned(),
                "publish it first: `enclave contract publish FILE`",
            )
        })?;
        // Logged before it is in force: no question reads a snapshot that the log does not know. No numbers of
        // rows: the log is for everybody.
        let announce = |ingested: &Ingested| {
            let facts = json!({
                "contract": contract.name,
                "version": contract.version.to_string(),
                "snapshot": ingested.snapshot_id,
                "manifest_sha256": ingested.manifest_sha256,
                "tables": inputs.iter().map(|input| input.table.as_str()).collect::<Vec<_>>(),
            });
            self.ledger.append(self.now(), Event::Ingest, facts).map(drop).map_err(|error| error.to_string())
        };
        Ok(self.vault.ingest(&contract, inputs, progress, &announce)?)
    }
}
