//! Checkpoints: size and root of the tree, signed, in the C2SP `tlog-checkpoint` form of a signed note.

use crate::base64;
use crate::key::{KeyError, LogKey, PublicKey};
use crate::tree::Hash;

/// What a checkpoint states. [`Checkpoint::verified`] is the only way from text to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Name of the log.
    pub(crate) origin: String,
    /// Number of leaves.
    pub(crate) size: u64,
    /// Root over them.
    pub(crate) root: Hash,
}

/// Why a checkpoint does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("is not a signed note with one signature line")]
    Form,
    #[error("is not signed by the key of `{0}`")]
    Signer(String),
    #[error("the signature does not verify")]
    Signature,
    #[error("does not state origin, size and root")]
    Body,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64::encode(&self.root))
    }

    /// The signed note.
    pub(crate) fn sign(&self, key: &LogKey) -> Result<String, KeyError> {
        let body = self.body();
        let mut signature = key.public(&self.origin)?.hash().to_vec();
        signature.extend_from_slice(&key.sign(body.as_bytes())?);
        Ok(format!("{body}\n— {} {}\n", self.origin, base64::encode(&signature)))
    }

    /// Reads a signed note and checks every byte of it: the one signature line is `key`'s.
    pub(crate) fn verified(note: &str, key: &PublicKey) -> Result<Checkpoint, CheckpointError> {
        let (body, signature) = note.split_once("\n\n").ok_or(CheckpointError::Form)?;
        let body = format!("{body}\n");
        let line = signature.strip_prefix("— ").and_then(|line| line.strip_suffix('\n'));
        let (name, signature) = line.and_then(|line| line.split_once(' ')).ok_or(CheckpointError::Form)?;
        let signature = base64::decode(signature).ok_or(CheckpointError::Form)?;
        let (hash, signature) = signature.split_at_checked(4).ok_or(CheckpointError::Form)?;
        if name != key.name() || hash != key.hash() {
            return Err(CheckpointError::Signer(key.name().to_owned()));
        }
        if !key.verifies(body.as_bytes(), signature) {
            return Err(CheckpointError::Signature);
        }
        let stated = Checkpoint::parse(&body).ok_or(CheckpointError::Body)?;
        if stated.origin == key.name() && stated.body() == body {
            Ok(stated)
        } else {
            Err(CheckpointError::Body)
        }
    }

    fn parse(body: &str) -> Option<Checkpoint> {
        let mut lines = body.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root = base64::decode(root)?.try_into().ok()?;
        Some(Checkpoint { origin: origin.to_owned(), size: size.parse().ok()?, root })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_byte_of_a_checkpoint_counts() {
        let key = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
        let public = key.public("example.org/log").unwrap();
        let stated = Checkpoint { origin: "example.org/log".to_owned(), size: 7, root: [9; 32] };
        let note = stated.sign(&key).unwrap();
        assert_eq!(Checkpoint::verified(&note, &public).unwrap(), stated);

        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let accepted =
                std::str::from_utf8(&bytes).is_ok_and(|n| Checkpoint::verified(n, &public).is_ok());
            assert!(!accepted, "byte {at}");
        }
        for refused in
            [String::new(), format!("{note}\n"), note.trim_end().to_owned(), note.replacen("7", "07", 1)]
        {
            assert!(Checkpoint::verified(&refused, &public).is_err(), "{refused}");
        }
        let other = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
        let forged = stated.sign(&other).unwrap();
        assert_eq!(
            Checkpoint::verified(&forged, &public),
            Err(CheckpointError::Signer("example.org/log".to_owned()))
        );
    }
}
