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

/// One signature of a note.
pub(crate) struct SignatureLine<'n> {
    /// The line as it stands, without its end.
    pub(crate) text: &'n str,
    /// Name of the key.
    pub(crate) name: &'n str,
    /// Id of the key.
    pub(crate) id: [u8; 4],
    /// What follows the id.
    pub(crate) signature: Vec<u8>,
}

impl<'n> SignatureLine<'n> {
    fn read(text: &'n str) -> Option<SignatureLine<'n>> {
        let (name, signature) = text.strip_prefix("— ")?.split_once(' ')?;
        let bytes = base64::decode(signature)?;
        let (id, signature) = bytes.split_first_chunk()?;
        Some(SignatureLine { text, name, id: *id, signature: signature.to_vec() })
    }

    /// Writes a line with its end.
    pub(crate) fn write(name: &str, id: [u8; 4], signature: &[u8]) -> String {
        format!("— {name} {}\n", base64::encode(&[id.as_slice(), signature].concat()))
    }
}

/// The text of a note and its signatures, at least one.
pub(crate) fn split_note(note: &str) -> Option<(String, Vec<SignatureLine<'_>>)> {
    let (text, signatures) = note.rsplit_once("\n\n")?;
    let lines: Option<Vec<_>> = signatures.strip_suffix('\n')?.split('\n').map(SignatureLine::read).collect();
    Some((format!("{text}\n"), lines?))
}

/// Why a checkpoint does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("is not a signed note")]
    Form,
    #[error("has another signature than the log's")]
    Other,
    #[error("is not signed by the key of `{0}`")]
    Signer(String),
    #[error("the signature does not verify")]
    Signature,
    #[error("does not state origin, size and root")]
    Body,
}

impl Checkpoint {
    /// The text that is signed: origin, size and root, a line each.
    pub(crate) fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64::encode(&self.root))
    }

    /// The signed note.
    pub(crate) fn sign(&self, key: &LogKey) -> Result<String, KeyError> {
        let body = self.body();
        let line =
            SignatureLine::write(&self.origin, key.public(&self.origin)?.hash(), &key.sign(body.as_bytes())?);
        Ok(format!("{body}\n{line}"))
    }

    /// Reads a signed note and checks every byte of it: the one signature line is `key`'s.
    pub(crate) fn verified(note: &str, key: &PublicKey) -> Result<Checkpoint, CheckpointError> {
        let (checkpoint, others) = Checkpoint::cosigned(note, key)?;
        if others.is_empty() { Ok(checkpoint) } else { Err(CheckpointError::Other) }
    }

    /// Reads a signed note whose first signature is `key`'s, and gives the others, which nobody has checked yet.
    pub(crate) fn cosigned<'n>(
        note: &'n str,
        key: &PublicKey,
    ) -> Result<(Checkpoint, Vec<SignatureLine<'n>>), CheckpointError> {
        let (body, mut lines) = split_note(note).ok_or(CheckpointError::Form)?;
        let own = lines.remove(0);
        if own.name != key.name() || own.id != key.hash() {
            return Err(CheckpointError::Signer(key.name().to_owned()));
        }
        if !key.verifies(body.as_bytes(), &own.signature) {
            return Err(CheckpointError::Signature);
        }
        let stated = Checkpoint::parse(&body).ok_or(CheckpointError::Body)?;
        if stated.origin == key.name() && stated.body() == body {
            Ok((stated, lines))
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
