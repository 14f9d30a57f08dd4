//! The accounts out of an exported log alone: whoever has the folder and the public key can add up every charge.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use disclosure_rules::Account;
use serde_json::Value;

use crate::accounts::AccountKind;
use crate::audit::Implied;
use crate::canonical::canonical;
use crate::export::LEAVES;
use crate::key::PublicKey;
use crate::log::LeafKind;
use crate::verify::{Verified, VerifyError, verify_export};

/// What an exported log adds up to.
#[derive(Debug, Clone, PartialEq)]
pub struct Recount {
    /// The log that was read.
    pub verified: Verified,
    /// Every account.
    pub accounts: Vec<Counted>,
}

/// An account out of the leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// Whose.
    pub kind: AccountKind,
    /// The memorandum's identifier, or the contract's name.
    pub name: String,
    /// What the leaves add up to.
    pub account: Account,
    /// Questions that were charged.
    pub questions: u64,
    /// Releases that they paid for: never more.
    pub releases: u64,
}

/// Why a log does not add up.
#[derive(Debug, thiserror::Error)]
pub enum RecountError {
    /// Not the log that was signed.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A charge beyond a balance, a release without a charge, or a statement that no ledger makes.
    #[error(
        "leaf {0} does not follow from those before it: a charge beyond its balance, or a release without one"
    )]
    Leaf(u64),
    /// The folder.
    #[error("`{LEAVES}` cannot be read")]
    Io(#[from] io::Error),
}

/// Verifies the export in `dir` against `key`, and adds up all of its accounts.
pub fn recount(dir: &Path, key: &PublicKey) -> Result<Recount, RecountError> {
    let verified = verify_export(dir, key)?;
    let mut implied = Implied::default();
    let mut counts: BTreeMap<(AccountKind, String), (u64, u64)> = BTreeMap::new();
    for (index, line) in (0u64..).zip(BufReader::new(File::open(dir.join(LEAVES))?).lines()) {
        let leaf = statement(&line?);
        implied.add(index, &leaf).ok_or(RecountError::Leaf(index))?;
        let facts: Value = serde_json::from_str(&leaf).unwrap_or_default();
        let question = facts["kind"] == LeafKind::Question.as_str();
        if question || facts["kind"] == LeafKind::Release.as_str() {
            let name = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
            for key in [(AccountKind::Memorandum, name("memorandum")), (AccountKind::Pool, name("contract"))]
            {
                let (questions, releases) = counts.entry(key).or_default();
                *if question { questions } else { releases } += 1;
            }
        }
    }
    let counted = |((kind, name), account): (&(AccountKind, String), &Account)| {
        let (questions, releases) = counts.get(&(*kind, name.clone())).copied().unwrap_or_default();
        Counted { kind: *kind, name: name.clone(), account: *account, questions, releases }
    };
    Ok(Recount { verified, accounts: implied.accounts.iter().map(counted).collect() })
}

/// The facts of a line; of a pruned leaf, those that were kept.
fn statement(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(Value::Object(mut fields)) if fields.contains_key("pruned") && !fields.contains_key("kind") => {
            match fields.remove("kept") {
                Some(Value::Object(kept)) => canonical(&kept),
                _ => line.to_owned(),
            }
        }
        _ => line.to_owned(),
    }
}
