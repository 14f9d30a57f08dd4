//! [`Receipt`]: what a researcher keeps beside an answer. It shows, without the enclave and without trust in whoever
//! holds it, that this release stands in the log, at which price and under which rules.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base64;
use crate::checkpoint::Checkpoint;
use crate::key::PublicKey;
use crate::log::LeafKind;
use crate::store::{Ledger, LedgerError, node, stored_checkpoint};
use crate::tree::{Hash, inclusion_proof, leaf_hash, verify_inclusion};

/// Format and version.
const FORMAT: &str = "enclave-receipt/1";

/// The leaves of a release and of its question, each with its proof, and the checkpoint that they lead to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    format: String,
    /// What a reader looks for first; it is what the two leaves say.
    terms: Terms,
    /// Digest of the answer as it is on record; the leaf has it too.
    result: ResultDigest,
    /// The release.
    release: Proven,
    /// The question that paid for it; absent where its words were pruned before the receipt was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    question: Option<Proven>,
    /// The signed root, a C2SP tlog-checkpoint.
    checkpoint: String,
    /// The log's verifier key; trust comes from a key that was obtained otherwise.
    key: String,
}

/// The terms of a release, out of its leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    memorandum: Value,
    contract: Value,
    contract_version: Value,
    snapshot: Value,
    rules: Value,
    purpose: Value,
    person: Value,
    question: Value,
    asked: Value,
    released: Value,
    rho_micro: Value,
    epsilon_micro: Value,
    threshold_delta: Value,
    mechanism: Value,
    scales: Value,
}

/// Digests of what was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultDigest {
    /// Of the answer as it was recorded.
    sha256: Value,
    /// Of the table as CSV without its header: what files of the answer are compared with.
    table_sha256: Value,
}

/// A leaf, its place, and the way from it to the root.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proven {
    index: u64,
    leaf: String,
    /// Sibling hashes of RFC 6962, from the leaf up, in Base64.
    proof: Vec<String>,
}

/// A receipt that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedReceipt {
    /// Name of the log.
    pub origin: String,
    /// Index of the release.
    pub index: u64,
    /// Number of leaves that the checkpoint signs.
    pub size: u64,
    /// What the leaf of the release states.
    pub release: Value,
    /// What the leaf of the question states.
    pub question: Option<Value>,
}

impl VerifiedReceipt {
    /// `sha256:…` of the table as CSV without its header; `None` where the release was recorded without.
    pub fn table_sha256(&self) -> Option<&str> {
        self.release["table_sha256"].as_str()
    }
}

/// Why a receipt does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not JSON of this form.
    #[error("is not a receipt of the form `{FORMAT}`")]
    Form,
    /// The checkpoint.
    #[error("the checkpoint {0}")]
    Checkpoint(String),
    /// A leaf is not under the signed root.
    #[error("leaf {0} is not in the log at this place")]
    NotInLog(u64),
    /// A leaf of another kind, or one that does not belong to the other.
    #[error("leaf {0} is not the {1} of this receipt")]
    OtherLeaf(u64, LeafKind),
    /// Something that is told and not proven.
    #[error("`{0}` is not what the leaves say")]
    Told(&'static str),
}

impl Ledger {
    /// The receipt of the release at `index`, up to the newest checkpoint; `None` where there is no release, or its
    /// words were pruned.
    pub fn receipt(&self, index: u64) -> Result<Option<Receipt>, LedgerError> {
        self.read(|transaction| {
            let size = self.head(transaction)?.size();
            let proven = |index: u64, kind: LeafKind| -> Result<Option<Proven>, LedgerError> {
                if index >= size {
                    return Ok(None);
                }
                let query = "SELECT body FROM leaf WHERE position = ?1";
                let leaf: String = transaction.prepare_cached(query)?.query_row([index], |row| row.get(0))?;
                let stated = stated(&leaf);
                if stated["kind"] != kind.as_str() {
                    return Ok(None);
                }
                let path = inclusion_proof(index, size, &mut |level, index| node(transaction, level, index))?;
                let proof = path.iter().map(|hash| base64::encode(hash)).collect();
                Ok(Some(Proven { index, leaf, proof }))
            };
            let Some(release) = proven(index, LeafKind::Release)? else { return Ok(None) };
            let question = match stated(&release.leaf)["question_leaf"].as_u64() {
                Some(index) => proven(index, LeafKind::Question)?,
                None => None,
            };
            let (says, asked) = statements(&release, question.as_ref());
            Ok(Some(Receipt {
                format: FORMAT.to_owned(),
                terms: Terms::of(&says, &asked),
                result: ResultDigest::of(&says),
                release,
                question,
                checkpoint: stored_checkpoint(transaction)?,
                key: self.public_key().to_string(),
            }))
        })
    }
}

impl Receipt {
    /// Reads a receipt from JSON.
    pub fn parse(text: &str) -> Result<Receipt, ReceiptError> {
        let receipt: Receipt = serde_json::from_str(text).map_err(|_| ReceiptError::Form)?;
        if receipt.format == FORMAT { Ok(receipt) } else { Err(ReceiptError::Form) }
    }

    /// As JSON.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The key that the receipt brings along. It shows only that the receipt agrees with itself.
    pub fn key(&self) -> Result<PublicKey, ReceiptError> {
        self.key.parse().map_err(|_| ReceiptError::Form)
    }

    /// Index of the release.
    pub fn index(&self) -> u64 {
        self.release.index
    }

    /// Checks everything that the receipt says, with nothing but the key of the log.
    pub fn verify(&self, key: &PublicKey) -> Result<VerifiedReceipt, ReceiptError> {
        let checkpoint = Checkpoint::verified(&self.checkpoint, key)
            .map_err(|error| ReceiptError::Checkpoint(error.to_string()))?;
        if self.key != key.to_string() {
            return Err(ReceiptError::Told("key"));
        }
        self.release.verify(&checkpoint)?;
        if let Some(question) = &self.question {
            question.verify(&checkpoint)?;
        }
        let (release, asked) = statements(&self.release, self.question.as_ref());
        if release["kind"] != LeafKind::Release.as_str() {
            return Err(ReceiptError::OtherLeaf(self.release.index, LeafKind::Release));
        }
        if let Some(question) = &self.question {
            let belongs = asked["kind"] == LeafKind::Question.as_str()
                && release["question_leaf"] == question.index
                && ["question", "memorandum", "contract"].iter().all(|name| release[*name] == asked[*name]);
            if !belongs {
                return Err(ReceiptError::OtherLeaf(question.index, LeafKind::Question));
            }
        }
        if self.terms != Terms::of(&release, &asked) {
            return Err(ReceiptError::Told("terms"));
        }
        if self.result != ResultDigest::of(&release) {
            return Err(ReceiptError::Told("result"));
        }
        Ok(VerifiedReceipt {
            origin: checkpoint.origin,
            index: self.release.index,
            size: checkpoint.size,
            release,
            question: self.question.as_ref().map(|_| asked),
        })
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl Proven {
    fn verify(&self, checkpoint: &Checkpoint) -> Result<(), ReceiptError> {
        let hash = |text: &String| base64::decode(text).and_then(|bytes| Hash::try_from(bytes).ok());
        let path: Option<Vec<Hash>> = self.proof.iter().map(hash).collect();
        let leaf = leaf_hash(self.leaf.as_bytes());
        let holds = path.is_some_and(|path| {
            verify_inclusion(&leaf, self.index, checkpoint.size, &checkpoint.root, &path)
        });
        if holds { Ok(()) } else { Err(ReceiptError::NotInLog(self.index)) }
    }
}

impl Terms {
    fn of(release: &Value, question: &Value) -> Terms {
        let asked = |name: &str| question[name].clone();
        let told = |name: &str| release[name].clone();
        Terms {
            memorandum: told("memorandum"),
            contract: told("contract"),
            contract_version: asked("contract_version"),
            snapshot: told("snapshot"),
            rules: asked("rules"),
            purpose: asked("purpose"),
            person: asked("person"),
            question: told("question"),
            asked: asked("at"),
            released: told("at"),
            rho_micro: asked("rho_micro"),
            epsilon_micro: asked("epsilon_micro"),
            threshold_delta: asked("threshold_delta"),
            mechanism: told("mechanism"),
            scales: told("scales"),
        }
    }
}

impl ResultDigest {
    fn of(release: &Value) -> ResultDigest {
        ResultDigest { sha256: release["sha256"].clone(), table_sha256: release["table_sha256"].clone() }
    }
}

fn stated(leaf: &str) -> Value {
    serde_json::from_str(leaf).unwrap_or_default()
}

fn statements(release: &Proven, question: Option<&Proven>) -> (Value, Value) {
    (stated(&release.leaf), question.map(|question| stated(&question.leaf)).unwrap_or_default())
}
