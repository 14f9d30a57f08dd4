//! The ledger against itself: every account, document and answer is what the leaves say, and the leaves are what
//! the checkpoint signs.

use std::collections::BTreeMap;

use disclosure_rules::account::{Loss, PureEpsilon};
use disclosure_rules::{Account, Cost, Delta, Rho};
use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::accounts::{ACCOUNT, AccountKind, account};
use crate::canonical::canonical;
use crate::derived::Derived;
use crate::documents::sha256;
use crate::key::PublicKey;
use crate::log;
use crate::people;
use crate::store::{Ledger, LedgerError, node};
use crate::tree::Growing;
use crate::verify::Verified;

/// An account as it is stored and as the leaves add up to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Recomputed {
    /// Whose.
    pub kind: AccountKind,
    /// The memorandum's identifier, or the contract's name.
    pub name: String,
    /// As it is stored; `None` if it is missing.
    pub stored: Option<Account>,
    /// Out of the leaves; `None` if no leaf opened it.
    pub from_leaves: Option<Account>,
}

impl Recomputed {
    /// Whether log and account say the same.
    pub fn agrees(&self) -> bool {
        self.stored == self.from_leaves
    }
}

/// Something that the ledger contradicts itself in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discrepancy {
    /// Unreadable, or the checkpoint does not fit.
    #[error("{0}")]
    Ledger(String),
    /// Not canonical, or not a statement that the ledger makes.
    #[error("leaf {0} is not one that this ledger writes")]
    Leaf(u64),
    /// A stored hash is not the one of the leaves.
    #[error("node {index} of level {level} is not the hash of its leaves")]
    Node {
        /// Level; 0 are the leaves.
        level: u8,
        /// Counted from 0.
        index: u64,
    },
    /// Account and leaves differ.
    #[error("the {kind} account of `{name}` is not what the leaves add up to")]
    Account {
        /// Whose.
        kind: AccountKind,
        /// The memorandum's identifier, or the contract's name.
        name: String,
    },
    /// A table says something else than the leaves.
    #[error("what is stored as {what} is not what the leaves say (leaf {leaf})")]
    Stored {
        /// Which table.
        what: &'static str,
        /// Which leaf.
        leaf: u64,
    },
}

impl Ledger {
    /// Every account beside the sum of the leaves that changed it.
    pub fn recomputed(&self) -> Result<Vec<Recomputed>, LedgerError> {
        self.read(|transaction| {
            let mut implied = Implied::default();
            each_leaf(transaction, |leaf| {
                if implied.add(leaf.index, &leaf.body).is_none() {
                    return Err(LedgerError::Damaged(Discrepancy::Leaf(leaf.index).to_string()));
                }
                Ok(())
            })?;
            implied.beside_accounts(transaction)
        })
    }

    /// Checks all of the ledger: leaves, nodes, checkpoint, and everything that the leaves imply.
    pub fn verify(&self) -> Result<Verified, Vec<Discrepancy>> {
        let mut found = Vec::new();
        let checked = self.read(|transaction| {
            if let Err(error) = self.head(transaction) {
                found.push(Discrepancy::Ledger(error.to_string()));
            }
            let (mut tree, mut implied) = (Growing::default(), Implied::default());
            each_leaf(transaction, |leaf| {
                if implied.add(leaf.index, &leaf.body).is_none() {
                    found.push(Discrepancy::Leaf(leaf.index));
                }
                tree.push(leaf.hash, |level, index, hash| {
                    match node(transaction, level, index) {
                        Ok(stored) if stored == *hash => {}
                        Ok(_) | Err(LedgerError::Damaged(_)) => {
                            found.push(Discrepancy::Node { level, index })
                        }
                        Err(error) => return Err(error),
                    }
                    Ok(())
                })
            })?;
            found.extend(derived_problems(transaction, self.public_key())?);
            let (nodes, expected) =
                (count(transaction, "node")?, 2 * tree.size() - u64::from(tree.size().count_ones()));
            if nodes != expected {
                found.push(Discrepancy::Ledger(format!(
                    "{nodes} nodes are stored where there are {expected}"
                )));
            }
            for account in implied.beside_accounts(transaction)? {
                if !account.agrees() {
                    found.push(Discrepancy::Account { kind: account.kind, name: account.name });
                }
            }
            for (what, query) in TABLES {
                let stored = stored(transaction, query)?;
                found.extend(
                    differing(&stored, implied.tables.get(what))
                        .map(|leaf| Discrepancy::Stored { what, leaf }),
                );
            }
            Ok(Verified { origin: self.public_key().name().to_owned(), size: tree.size(), root: tree.root() })
        });
        match checked {
            Ok(verified) if found.is_empty() => Ok(verified),
            Ok(_) => Err(found),
            Err(error) => {
                found.push(Discrepancy::Ledger(error.to_string()));
                Err(found)
            }
        }
    }
}

/// Leaf → what is stored on account of it.
type Facts = BTreeMap<u64, Vec<String>>;

const DOCUMENT: &str = "document";
const MEMORANDUM: &str = "memorandum";
const END: &str = "end of a memorandum";
const QUESTION: &str = "question";
const ANSWER: &str = "answer";
const PERSON: &str = "person";
const APPROVAL: &str = "approval";
const VOTE: &str = "vote";
const USE: &str = "use of an approval";

/// What the tables say: the leaf, then texts; the last one of a document and of an answer is hashed.
const TABLES: [(&str, &str); 9] = [
    (
        APPROVAL,
        "SELECT leaf, subject, 'sha256:' || lower(hex(digest)), iif(memorandum IS NULL, '', memorandum), person,
         CAST(votes AS TEXT), CAST(days AS TEXT) FROM approval",
    ),
    (VOTE, "SELECT leaf, CAST(approval AS TEXT), person, vote, reason FROM vote"),
    (USE, "SELECT used, CAST(leaf AS TEXT) FROM approval WHERE used IS NOT NULL"),
    (DOCUMENT, "SELECT leaf, kind, name, version, text FROM document"),
    (MEMORANDUM, "SELECT signed, id, contract FROM memorandum"),
    (END, "SELECT ended, id FROM memorandum WHERE ended IS NOT NULL"),
    (PERSON, "SELECT changed, id, name, roles, iif(ended IS NULL, 'true', 'false') FROM person"),
    (QUESTION, "SELECT leaf, memorandum, 'sha256:' || lower(hex(plan)) FROM question"),
    (
        ANSWER,
        "SELECT leaf, CAST(question AS TEXT), memorandum, contract, snapshot, 'sha256:' || lower(hex(plan)), answer
         FROM disclosure WHERE answer <> ''",
    ),
];

fn stored(transaction: &Connection, query: &str) -> Result<Facts, LedgerError> {
    let mut statement = transaction.prepare(query)?;
    let columns = statement.column_count();
    let hashed = matches!(statement.column_name(columns - 1)?, "text" | "answer");
    let mut rows = statement.query([])?;
    let mut facts = Facts::new();
    while let Some(row) = rows.next()? {
        let mut texts: Vec<String> = (1..columns).map(|i| row.get(i)).collect::<Result<_, _>>()?;
        if hashed && let Some(text) = texts.last_mut() {
            *text = sha256(text);
        }
        facts.insert(row.get(0)?, texts);
    }
    Ok(facts)
}

/// Leaves for which the two differ.
fn differing(stored: &Facts, implied: Option<&Facts>) -> impl Iterator<Item = u64> {
    let empty = Facts::new();
    let implied = implied.unwrap_or(&empty);
    let leaves: std::collections::BTreeSet<u64> = stored.keys().chain(implied.keys()).copied().collect();
    let differing: Vec<u64> =
        leaves.into_iter().filter(|leaf| stored.get(leaf) != implied.get(leaf)).collect();
    differing.into_iter()
}

/// The leaves' statements, as far as something is stored on account of them.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Stated {
    Publish {
        document: String,
        name: String,
        version: String,
        sha256: String,
        /// Where the cap of a pool changes with its contract.
        pool: Option<Pool>,
    },
    Signature(Signature),
    Amendment(Signature),
    People(Value),
    Escalation {
        subject: String,
        digest: String,
        memorandum: Option<String>,
        person: String,
        votes: u32,
        days: u32,
    },
    Vote {
        approval: u64,
        person: String,
        vote: String,
        reason: String,
    },
    #[serde(rename = "approval-used")]
    ApprovalUsed {
        approval: u64,
    },
    End {
        memorandum: String,
    },
    Question(Question),
    Release(Release),
    /// The other kinds, on whose account nothing is stored.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Pool {
    rho_micro: Option<u64>,
}

#[derive(Deserialize)]
struct Signature {
    memorandum: String,
    #[serde(default = "first_version")]
    version: u32,
    contract: String,
    sha256: String,
    rho_micro: u64,
    threshold_delta: f64,
    pool_rho_micro: Option<u64>,
    /// Of a pure memorandum.
    epsilon_micro: Option<u64>,
}

/// Leaves written before memoranda had versions.
fn first_version() -> u32 {
    1
}

impl Signature {
    /// The account that it opens.
    fn account(&self) -> Option<Account> {
        let rho = Rho::from_micro(self.rho_micro).ok()?;
        match self.epsilon_micro {
            None => Some(Account::new(Some(rho), Some(Delta::new(self.threshold_delta).ok()?))),
            Some(micro) => {
                let account = Account::pure(PureEpsilon::from_micro(micro)?);
                (account.allotment == Some(rho) && self.threshold_delta == 0.0).then_some(account)
            }
        }
    }
}

#[derive(Deserialize)]
struct Question {
    memorandum: String,
    contract: String,
    question: String,
    rho_micro: u64,
    threshold_delta: f64,
    /// Under a pure memorandum.
    epsilon_micro: Option<u64>,
    /// Where the board approved it.
    approval: Option<u64>,
}

impl Question {
    fn loss(&self) -> Option<Loss> {
        let cost = Cost { rho: Rho::from_micro(self.rho_micro).ok()?, threshold_delta: self.threshold_delta };
        match self.epsilon_micro {
            None => Some(cost.into()),
            Some(micro) => {
                Some(Loss::Pure(PureEpsilon::from_micro(micro)?)).filter(|loss| loss.cost() == cost)
            }
        }
    }
}

#[derive(Deserialize)]
struct Release {
    question_leaf: u64,
    memorandum: String,
    contract: String,
    snapshot: String,
    question: String,
    /// Not of a pruned one, whose answer is not stored.
    sha256: Option<String>,
}

/// What the leaves so far imply.
#[derive(Default)]
pub(crate) struct Implied {
    pub(crate) accounts: BTreeMap<(AccountKind, String), Account>,
    tables: BTreeMap<&'static str, Facts>,
}

impl Implied {
    /// Adds a leaf; `None` if it is not one that the ledger writes.
    pub(crate) fn add(&mut self, leaf: u64, body: &str) -> Option<()> {
        let fields: Map<String, Value> = serde_json::from_str(body).ok()?;
        if canonical(&fields) != body {
            return None;
        }
        let mut store = |what, texts: Vec<String>| {
            self.tables.entry(what).or_default().insert(leaf, texts);
        };
        match serde_json::from_value(Value::Object(fields)).ok()? {
            Stated::Other => {}
            Stated::Escalation { subject, digest, memorandum, person, votes, days } => {
                let memorandum = memorandum.unwrap_or_default();
                let numbers = [votes, days].map(|number| number.to_string());
                let texts = [subject, digest, memorandum, person].into_iter().chain(numbers);
                store(APPROVAL, texts.collect());
            }
            Stated::Vote { approval, person, vote, reason } => {
                store(VOTE, vec![approval.to_string(), person, vote, reason]);
            }
            Stated::ApprovalUsed { approval } => store(USE, vec![approval.to_string()]),
            Stated::Publish { document, name, version, sha256, pool } => {
                if let Some(Pool { rho_micro }) = pool {
                    let pool = self.accounts.get_mut(&(AccountKind::Pool, name.clone()))?;
                    pool.allotment = rho_micro.map(Rho::from_micro).transpose().ok()?;
                }
                store(DOCUMENT, vec![document, name, version, sha256]);
            }
            Stated::Signature(signature) => {
                let opened = signature.account()?;
                let Signature { memorandum, version, contract, sha256, pool_rho_micro, .. } = signature;
                let version = version.to_string();
                store(DOCUMENT, vec!["memorandum".to_owned(), memorandum.clone(), version, sha256]);
                store(MEMORANDUM, vec![memorandum.clone(), contract.clone()]);
                if self.accounts.insert((AccountKind::Memorandum, memorandum), opened).is_some() {
                    return None;
                }
                let cap = pool_rho_micro.map(Rho::from_micro).transpose().ok()?;
                let pool =
                    self.accounts.entry((AccountKind::Pool, contract)).or_insert(Account::new(cap, None));
                if pool.allotment != cap {
                    return None;
                }
            }
            Stated::Amendment(amendment) => {
                let opened = amendment.account()?;
                let Signature { memorandum, version, sha256, .. } = amendment;
                store(
                    DOCUMENT,
                    vec!["memorandum".to_owned(), memorandum.clone(), version.to_string(), sha256],
                );
                let account = self.accounts.get_mut(&(AccountKind::Memorandum, memorandum))?;
                account.allotment = opened.allotment;
                if let (Some(pure), Some(opened)) = (&mut account.pure, opened.pure) {
                    pure.allotment = opened.allotment;
                }
            }
            Stated::People(fields) => {
                if let Some(person) = people::implied(&fields) {
                    let stored = self.tables.entry(PERSON).or_default();
                    // Only the last change of a person is stored.
                    stored.retain(|_, texts| texts.first() != person.first());
                    stored.insert(leaf, person);
                }
            }
            Stated::End { memorandum } => store(END, vec![memorandum]),
            Stated::Question(asked) => {
                let loss = asked.loss()?;
                let Question { memorandum, contract, question, approval, .. } = asked;
                store(QUESTION, vec![memorandum.clone(), question]);
                if let Some(approval) = approval {
                    store(USE, vec![approval.to_string()]);
                }
                for key in [(AccountKind::Memorandum, memorandum), (AccountKind::Pool, contract)] {
                    let account = self.accounts.get_mut(&key)?;
                    // As it was debited: beyond a balance, no leaf says that it was.
                    *account = account.debit(loss).ok()?;
                }
            }
            Stated::Release(release) => {
                let Release { question_leaf, memorandum, contract, snapshot, question, sha256 } = release;
                let charged = self.tables.get(QUESTION)?.get(&question_leaf)?;
                if *charged != [memorandum.clone(), question.clone()] {
                    return None;
                }
                let Some(sha256) = sha256 else { return Some(()) };
                let texts = vec![question_leaf.to_string(), memorandum, contract, snapshot, question, sha256];
                self.tables.entry(ANSWER).or_default().insert(leaf, texts);
            }
        }
        Some(())
    }

    fn beside_accounts(&mut self, transaction: &Connection) -> Result<Vec<Recomputed>, LedgerError> {
        let mut beside = Vec::new();
        let mut accounts = self.accounts.clone();
        let query = format!("SELECT kind = 'pool', name, {ACCOUNT} FROM account ORDER BY kind, name");
        let mut statement = transaction.prepare(&query)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let kind = if row.get(0)? { AccountKind::Pool } else { AccountKind::Memorandum };
            let name: String = row.get(1)?;
            let from_leaves = accounts.remove(&(kind, name.clone()));
            beside.push(Recomputed { kind, name, stored: Some(account(row, 2)?), from_leaves });
        }
        for ((kind, name), account) in accounts {
            beside.push(Recomputed { kind, name, stored: None, from_leaves: Some(account) });
        }
        Ok(beside)
    }
}

/// Leaves in order, each where it belongs.
fn each_leaf(
    transaction: &Connection,
    mut each: impl FnMut(&log::Leaf) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let mut statement = transaction.prepare("SELECT position, body FROM leaf ORDER BY position")?;
    let mut rows = statement.query([])?;
    let mut next = 0u64;
    while let Some(row) = rows.next()? {
        let leaf = log::leaf(row)?;
        if leaf.index != next {
            return Err(LedgerError::Damaged(format!("leaf {next} is missing")));
        }
        each(&leaf)?;
        next += 1;
    }
    Ok(())
}

/// What witnesses' leaves and pruned ones are not.
fn derived_problems(transaction: &Connection, key: &PublicKey) -> Result<Vec<Discrepancy>, LedgerError> {
    let mut derived = Derived::new(key);
    let mut statement = transaction.prepare("SELECT body FROM leaf ORDER BY position")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        derived.add(line.as_bytes());
    }
    let problems = derived.problems();
    Ok(problems
        .into_iter()
        .map(|(leaf, problem)| Discrepancy::Ledger(format!("leaf {leaf} {problem}")))
        .collect())
}

fn count(transaction: &Connection, table: &str) -> Result<u64, LedgerError> {
    Ok(transaction.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?)
}
