//! [`Enclave`]: one home folder with its vault and ledger, and the clock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use disclosure_rules::RuleSet;
use ledger::{DocumentKind, Event, Ledger, LedgerError, LogKey, PublicKey};
use memoranda::{Contract, Memorandum, datapackage};
use vault::{Setup, Vault, VaultError};

use crate::papers::Papers;
use crate::review::record::day;

/// The folder of an enclave, opened. A clone is the same enclave, which somebody else may use.
#[derive(Clone)]
pub struct Enclave {
    pub(crate) home: PathBuf,
    pub(crate) vault: Arc<Vault>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) papers: Arc<Papers>,
    pub(crate) clock: fn() -> DateTime<Utc>,
    /// Who acts: of the register, or `MEMORANDUM/PERSON`.
    pub(crate) person: Option<String>,
    /// Whether who acts is at the machine itself, and so may found the enclave.
    pub(crate) at_machine: bool,
}

/// Why a home cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The log's key in the keyring is not one.
    #[error("the log's key cannot be used")]
    LogKey,
    /// Somebody put an older state of the store, or of the log, in place of the newest.
    #[error(
        "the store of `{0}` is not in the state that the log announced last: put the newest files back from a backup, \
         or ingest every table again"
    )]
    NotAnnounced(String),
    /// A published document no longer reads.
    #[error("the published {0} `{1}` cannot be read by this version")]
    Document(&'static str, String),
}

impl std::fmt::Debug for Enclave {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Enclave({})", self.home.display())
    }
}

fn ledger_path(home: &Path) -> PathBuf {
    home.join("ledger.db")
}

impl Enclave {
    /// Makes keys, store and ledger in `home`, with the standard rule set installed.
    pub fn create(home: &Path, clock: fn() -> DateTime<Utc>) -> Result<Enclave, OpenError> {
        Enclave::create_as(home, clock, &Setup::default())
    }

    /// The same, with the root key and the store that `setup` names.
    pub fn create_as(home: &Path, clock: fn() -> DateTime<Utc>, setup: &Setup) -> Result<Enclave, OpenError> {
        let pkcs8 = LogKey::generate().map_err(|_| OpenError::LogKey)?;
        let vault = Arc::new(Vault::create_as(home, &pkcs8, setup)?);
        let key = LogKey::from_pkcs8(&pkcs8).map_err(|_| OpenError::LogKey)?;
        let ledger = Arc::new(Ledger::create(&ledger_path(home), "enclave", key)?);
        let enclave = Enclave::over(home, vault, ledger, clock);
        enclave.ledger.append(clock(), Event::Init, serde_json::json!({}))?;
        let standard = RuleSet::standard();
        let version = standard.version.to_string();
        let facts = serde_json::json!({});
        enclave.ledger.publish(
            clock(),
            DocumentKind::Rules,
            &standard.name,
            &version,
            RuleSet::STANDARD,
            facts,
        )?;
        Ok(enclave)
    }

    /// Opens a home that [`Enclave::create`] has made.
    pub fn open(home: &Path, clock: fn() -> DateTime<Utc>) -> Result<Enclave, OpenError> {
        let vault = Arc::new(Vault::open(home)?);
        let key = LogKey::from_pkcs8(&vault.log_key()).map_err(|_| OpenError::LogKey)?;
        let ledger = Arc::new(Ledger::open(&ledger_path(home), key)?);
        Ok(Enclave::over(home, vault, ledger, clock))
    }

    fn over(home: &Path, vault: Arc<Vault>, ledger: Arc<Ledger>, clock: fn() -> DateTime<Utc>) -> Enclave {
        let (home, papers) = (home.to_owned(), Arc::default());
        Enclave { home, vault, ledger, papers, clock, person: None, at_machine: true }
    }

    /// The accounts and the disclosure log.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The key that checkpoints are verified with.
    pub fn public_key(&self) -> &PublicKey {
        self.ledger.public_key()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    /// Today in Japan, where memoranda are in force.
    pub(crate) fn today(&self) -> NaiveDate {
        day(self.now())
    }

    /// The newest version of a contract.
    pub fn contract(&self, name: &str) -> Result<Option<Arc<Contract>>, OpenError> {
        let unreadable = |_| OpenError::Document("contract", name.to_owned());
        let parse = |text: &str| datapackage::parse(text).map_err(unreadable);
        self.papers.contracts.get(&self.ledger, DocumentKind::Contract, name, parse)
    }

    /// The newest version of a rule set.
    pub fn rules(&self, name: &str) -> Result<Option<Arc<RuleSet>>, OpenError> {
        let unreadable = |_| OpenError::Document("rule set", name.to_owned());
        let parse = |text: &str| RuleSet::parse(text).map_err(unreadable);
        self.papers.rules.get(&self.ledger, DocumentKind::Rules, name, parse)
    }

    /// A signed memorandum.
    pub fn memorandum(&self, id: &str) -> Result<Option<Arc<Memorandum>>, OpenError> {
        let unreadable = |_| OpenError::Document("memorandum", id.to_owned());
        let parse = |text: &str| Memorandum::parse(text).map_err(unreadable);
        self.papers.memoranda.get(&self.ledger, DocumentKind::Memorandum, id, parse)
    }

    /// A memorandum that is in force today.
    pub fn memorandum_in_force(&self, id: &str) -> Result<Option<Arc<Memorandum>>, OpenError> {
        let found = self.memorandum(id)?.filter(|found| found.is_in_force(self.today()));
        Ok(if self.ledger.ended(id)?.is_some() { None } else { found })
    }

    /// Names of all documents of a kind.
    pub fn documents(&self, kind: DocumentKind) -> Result<BTreeSet<String>, LedgerError> {
        Ok(self.ledger.documents(kind)?.into_iter().map(|document| document.name).collect())
    }
}
