//! Retention: the words of old leaves go, their hashes and what the accounts need stay, and a leaf says under which
//! written policy. Every proof that was given before still verifies.
//!
//! A pruned leaf is a *stub*, `{"kept":{…},"pruned":"<hash of the leaf>"}`. What it keeps is no longer under its hash,
//! so that the newest `prune` leaf states the digest of all stubs there are.

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::canonical::canonical;
use crate::documents::{object, sha256};
use crate::log::{LeafKind, LogPosition};
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};
use crate::tree::{Hash, leaf_hash};
use crate::witness::states;

/// What may be pruned. Documents, people, votes and witnesses stay: what was agreed and decided is kept.
const PRUNED: [LeafKind; 5] =
    [LeafKind::Question, LeafKind::Refusal, LeafKind::Release, LeafKind::Replay, LeafKind::LogIn];
/// What stays of a pruned leaf: what the accounts are recomputed from.
const KEPT: [&str; 11] = [
    "approval",
    "at",
    "contract",
    "epsilon_micro",
    "kind",
    "memorandum",
    "question",
    "question_leaf",
    "rho_micro",
    "snapshot",
    "threshold_delta",
];
/// How a stub begins. Every leaf has `at`, which sorts before `kept`, so that none begins like this.
const STUB: &[u8] = b"{\"kept\":{";
/// The triggers of `schema.sql` that keep leaves and answers as they are: off, and on again.
const OPEN: &str = "DROP TRIGGER leaf_fixed; DROP TRIGGER disclosure_fixed;";
const CLOSE: &str = "
    CREATE TRIGGER leaf_fixed BEFORE UPDATE ON leaf BEGIN SELECT RAISE(ABORT, 'leaves are fixed'); END;
    CREATE TRIGGER disclosure_fixed BEFORE UPDATE ON disclosure
      BEGIN SELECT RAISE(ABORT, 'disclosures are fixed'); END;";
/// Longest policy that fits in a leaf.
pub const POLICY_BYTES_MAX: usize = 50_000;

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// No policy, no pruning.
    #[error(
        "the policy is empty, or longer than {POLICY_BYTES_MAX} bytes: write down what is removed, when and why"
    )]
    Policy,
    /// The moment is yet to come.
    #[error("cannot prune what is not yet written: name a date in the past")]
    Future,
    /// Nothing so old.
    #[error("no leaf from before that date is left to prune")]
    Nothing,
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What was pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Leaves whose words went now.
    pub leaves: u64,
    /// Where the log says so.
    pub position: LogPosition,
    /// Whether copies in free pages and in the write-ahead log are gone, too. Not while another process has the
    /// ledger open: pruning once more makes it up.
    pub tidied: bool,
}

/// A pruned leaf.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stub {
    kept: Map<String, Value>,
    pruned: String,
}

/// The hash of the leaf that a line of the log is or was, and the facts that are left of it, if it was pruned.
pub(crate) fn unstub(line: &[u8]) -> (Hash, Option<String>) {
    let stub = || -> Option<(Hash, String)> {
        let stub: Stub = line.starts_with(STUB).then(|| serde_json::from_slice(line).ok())??;
        let hash: Hash = hex::decode(&stub.pruned).ok()?.try_into().ok()?;
        (self::stub(&stub.kept, &hash).as_bytes() == line).then(|| (hash, canonical(&stub.kept)))
    };
    match stub() {
        Some((hash, kept)) => (hash, Some(kept)),
        None => (leaf_hash(line), None),
    }
}

fn stub(kept: &Map<String, Value>, hash: &Hash) -> String {
    canonical(&object(json!({ "kept": kept, "pruned": hex::encode(hash) })))
}

/// The stubs of a log, and what the newest `prune` leaf says of them.
#[derive(Default)]
pub(crate) struct Stubs {
    digest: Sha256,
    first: Option<u64>,
    stated: Option<String>,
}

impl Stubs {
    /// Adds a line of the log, in order; `pruned` where it is a stub.
    pub(crate) fn add(&mut self, index: u64, line: &[u8], pruned: bool) {
        if pruned {
            self.digest.update(format!("{index} "));
            self.digest.update(line);
            self.digest.update(b"\n");
            self.first.get_or_insert(index);
        } else if states(line, LeafKind::Prune)
            && let Ok(fields) = serde_json::from_slice::<Value>(line)
            && fields.get("kind").and_then(Value::as_str) == Some(LeafKind::Prune.as_str())
        {
            let stated = fields.get("pruned_sha256").and_then(Value::as_str);
            self.stated = Some(stated.unwrap_or_default().to_owned());
        }
    }

    /// The first stub, with what is wrong, if the log does not vouch for the stubs.
    pub(crate) fn problem(self) -> Option<(u64, &'static str)> {
        let first = self.first.unwrap_or_default();
        match (self.first, self.stated.as_ref()) {
            (None, None) => None,
            (_, Some(stated)) if *stated == self.digest() => None,
            (Some(_), None) => Some((first, "is pruned, and no leaf says under which policy")),
            _ => Some((first, "or another pruned leaf is not what the newest `prune` leaf vouches for")),
        }
    }

    fn digest(&self) -> String {
        format!("sha256:{}", hex::encode(self.digest.clone().finalize()))
    }
}

impl Ledger {
    /// Removes the words of questions, refusals, releases and log-ins from before `before`, and the answers on
    /// record, under a written policy that becomes a leaf. Balances stay; such an answer is not given again.
    pub fn prune(&self, stamp: Stamp<'_>, before: DateTime<Utc>, policy: &str) -> Result<Pruned, PruneError> {
        if policy.trim().is_empty() || policy.len() > POLICY_BYTES_MAX {
            return Err(PruneError::Policy);
        }
        if before > stamp.at {
            return Err(PruneError::Future);
        }
        // What is overwritten is gone, also from the pages that are free.
        self.lock().pragma_update(None, "secure_delete", true).map_err(LedgerError::from)?;
        let pruned = self.write(|writer| {
            // The triggers are against mistakes; they are back before anybody else sees the file.
            writer.transaction.execute_batch(OPEN).map_err(LedgerError::from)?;
            let (stubs, leaves) = cut(&writer.transaction, writer.size(), before)?;
            if leaves == 0 {
                return Err(PruneError::Nothing);
            }
            writer.transaction.execute_batch(CLOSE).map_err(LedgerError::from)?;
            let own = object(json!({
                "before": before.to_rfc3339_opts(SecondsFormat::Secs, true),
                "pruned": leaves,
                "pruned_sha256": stubs.digest(),
                "policy": policy,
                "policy_sha256": sha256(policy),
            }));
            let position = writer.leaf(stamp, LeafKind::Prune, own, json!({}))?;
            Ok(Pruned { leaves, position, tidied: false })
        });
        let connection = self.lock();
        let tidied = connection.execute_batch("VACUUM").and_then(|()| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))
        });
        Ok(Pruned { tidied: tidied.unwrap_or(false), ..pruned? })
    }
}

/// Makes stubs of the leaves from before `before`, and gives all stubs there are, and how many are new.
fn cut(transaction: &Connection, size: u64, before: DateTime<Utc>) -> Result<(Stubs, u64), LedgerError> {
    let mut read = transaction.prepare("SELECT body FROM leaf WHERE position = ?1")?;
    let mut change = transaction.prepare("UPDATE leaf SET body = ?2 WHERE position = ?1")?;
    let mut blank = transaction.prepare("UPDATE disclosure SET answer = '' WHERE leaf = ?1")?;
    let (mut stubs, mut leaves) = (Stubs::default(), 0);
    for index in 0..size {
        let mut line: String = read.query_row([index], |row| row.get(0))?;
        if let Some(stub) = stub_of(&line, before) {
            change.execute(params![index, stub])?;
            blank.execute([index])?;
            leaves += 1;
            line = stub;
        }
        stubs.add(index, line.as_bytes(), line.as_bytes().starts_with(STUB));
    }
    Ok((stubs, leaves))
}

/// The stub of a leaf that is to be pruned.
fn stub_of(line: &str, before: DateTime<Utc>) -> Option<String> {
    let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let at = DateTime::parse_from_rfc3339(fields.get("at")?.as_str()?).ok()?;
    let kind = fields.get("kind")?.as_str()?;
    if at >= before || !PRUNED.iter().any(|pruned| pruned.as_str() == kind) {
        return None;
    }
    let kept = fields.iter().filter(|(name, _)| KEPT.contains(&name.as_str()));
    let kept: Map<String, Value> = kept.map(|(name, fact)| (name.clone(), fact.clone())).collect();
    Some(stub(&kept, &leaf_hash(line.as_bytes())))
}
