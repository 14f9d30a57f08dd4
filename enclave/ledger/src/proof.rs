//! Proofs as texts: that a leaf is in the log (C2SP `tlog-proof`), and that the log continues an older checkpoint (the
//! request that C2SP `tlog-witness` describes).

use crate::base64;
use crate::checkpoint::Checkpoint;
use crate::key::PublicKey;
use crate::log::root_at;
use crate::store::{Ledger, LedgerError, stored_checkpoint};
use crate::tree::{Hash, verify_inclusion};

/// First line of an inclusion proof.
const TLOG_PROOF: &str = "c2sp.org/tlog-proof@v1";

/// Why a proof shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Not of the form.
    #[error(
        "not a tlog-proof: it begins with `{TLOG_PROOF}`, then index, hashes, an empty line and a checkpoint"
    )]
    Form,
    /// The checkpoint.
    #[error("the checkpoint in the proof {0}")]
    Checkpoint(String),
    /// Another leaf, or hashes of another tree.
    #[error("the proof does not lead from this leaf to the checkpoint")]
    Leaf,
    /// There is nothing to prove.
    #[error("the log has no leaf {0}")]
    NoLeaf(u64),
    /// The checkpoint is not of this log's past.
    #[error(transparent)]
    Past(#[from] PastError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Why the log does not continue a checkpoint that it signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PastError {
    /// Not a checkpoint of this log.
    #[error("the earlier checkpoint {0}")]
    Checkpoint(String),
    /// The log has fewer leaves than it had.
    #[error(
        "the log was rolled back: it signed a checkpoint of {signed} leaves, and has {size}. Ask for the copy with all of them"
    )]
    RolledBack {
        /// Leaves that were signed.
        signed: u64,
        /// Leaves that there are.
        size: u64,
    },
    /// Same size or more, but other leaves.
    #[error("the log was rewritten: its first {signed} leaves are not those that it signed a checkpoint of")]
    Rewritten {
        /// Leaves that were signed.
        signed: u64,
    },
}

/// Whether a tree of `size` leaves, with these roots of its beginnings, continues `earlier`, a signed note of the log.
pub(crate) fn continues<E>(
    earlier: &str,
    key: &PublicKey,
    size: u64,
    root_at: impl FnOnce(u64) -> Result<Option<Hash>, E>,
) -> Result<Result<Checkpoint, PastError>, E> {
    let checkpoint = match Checkpoint::cosigned(earlier, key) {
        Ok((checkpoint, _)) => checkpoint,
        Err(error) => return Ok(Err(PastError::Checkpoint(error.to_string()))),
    };
    let signed = checkpoint.size;
    if signed > size {
        return Ok(Err(PastError::RolledBack { signed, size }));
    }
    Ok(match root_at(signed)? {
        Some(root) if root == checkpoint.root => Ok(checkpoint),
        _ => Err(PastError::Rewritten { signed }),
    })
}

/// The text of an inclusion proof.
pub(crate) fn tlog_proof(index: u64, hashes: &[Hash], note: &str) -> String {
    format!("{TLOG_PROOF}\nindex {index}\n{}\n{note}", hash_lines(hashes))
}

fn hash_lines(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| base64::encode(hash) + "\n").collect()
}

/// Checks an inclusion proof of a leaf's hash offline, and gives the leaf's index. Cosignatures in it are not looked at.
pub fn verify_tlog_proof(text: &str, leaf: &Hash, key: &PublicKey) -> Result<u64, ProofError> {
    let (head, note) = text.split_once("\n\n").ok_or(ProofError::Form)?;
    let mut lines = head.split('\n');
    let index = (lines.next() == Some(TLOG_PROOF)).then(|| lines.next()).flatten();
    let index = index.and_then(|line| line.strip_prefix("index ")).ok_or(ProofError::Form)?;
    let index: u64 = index.parse().map_err(|_| ProofError::Form)?;
    let hashes: Option<Vec<Hash>> = lines.map(|line| base64::decode(line)?.try_into().ok()).collect();
    let hashes = hashes.ok_or(ProofError::Form)?;
    let (checkpoint, _) =
        Checkpoint::cosigned(note, key).map_err(|error| ProofError::Checkpoint(error.to_string()))?;
    // One spelling: no leading zero, no line that was not read.
    if tlog_proof(index, &hashes, note) != text {
        return Err(ProofError::Form);
    }
    if verify_inclusion(leaf, index, checkpoint.size, &checkpoint.root, &hashes) {
        Ok(index)
    } else {
        Err(ProofError::Leaf)
    }
}

impl Ledger {
    /// The proof that leaf `index` is in the log as it stands, as a C2SP `tlog-proof`.
    pub fn tlog_proof(&self, index: u64) -> Result<String, ProofError> {
        let size = self.size()?;
        let hashes = self.prove_inclusion(index, size)?.ok_or(ProofError::NoLeaf(index))?;
        // Of the size that was proved, also where the log has grown since.
        Ok(tlog_proof(index, &hashes, &self.signed_at(size)?))
    }

    /// The proof that the log continues an `earlier` checkpoint: the body of a C2SP `tlog-witness` request.
    pub fn prove_since(&self, earlier: &str) -> Result<String, ProofError> {
        let size = self.size()?;
        let checkpoint = self.check_past(earlier)?;
        let hashes = self.prove_consistency(checkpoint, size)?.unwrap_or_default();
        Ok(format!("old {checkpoint}\n{}\n{}", hash_lines(&hashes), self.signed_at(size)?))
    }

    /// Checks that the log continues an `earlier` checkpoint, and gives its size.
    pub fn check_past(&self, earlier: &str) -> Result<u64, ProofError> {
        let checked = self.read(|transaction| {
            let size = self.head(transaction)?.size();
            continues(earlier, self.public_key(), size, |size| root_at(transaction, size).map(Some))
        })?;
        Ok(checked?.size)
    }

    /// The checkpoint of the first `size` leaves: signing is deterministic, so that it is the one that was signed then.
    fn signed_at(&self, size: u64) -> Result<String, LedgerError> {
        self.read(|transaction| {
            let stored = stored_checkpoint(transaction)?;
            let newest = self.head(transaction)?.size();
            if size == newest {
                return Ok(stored);
            }
            let (origin, root) = (self.public_key().name().to_owned(), root_at(transaction, size)?);
            Ok(Checkpoint { origin, size, root }.sign(self.log_key())?)
        })
    }
}
