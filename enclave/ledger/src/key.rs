//! The log's Ed25519 key, and its public half as a C2SP signed-note verifier key (`name+hash+base64`).
//!
//! Witnesses have keys of another type, in `witness`, which are written the same way.

use std::fmt;
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::base64;

/// Signed-note algorithm identifier of Ed25519.
const ED25519_NOTE: u8 = 1;

/// Why a key is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a private key.
    #[error("not an Ed25519 private key in PKCS #8")]
    Private,
    /// The text is not a verifier key.
    #[error("not an Ed25519 verifier key of the form `name+hash+base64`")]
    Public,
    /// The text is not a witness's private key.
    #[error("not a witness's private key: it is one line that begins with `PRIVATE+KEY+`")]
    Witness,
    /// The name would be ambiguous in a note.
    #[error("`{0}` cannot be the name of a key: a name has at least one character, no spaces and no `+`")]
    Name(String),
    /// The system's random generator failed.
    #[error("the system gave no random bytes")]
    Random,
}

/// The private key that signs checkpoints. Kept as PKCS #8, wiped on drop; never printed.
pub struct LogKey {
    pkcs8: Zeroizing<Vec<u8>>,
    public: [u8; 32],
}

impl LogKey {
    /// A fresh key as PKCS #8, for the caller to keep.
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The key that [`LogKey::generate`] made.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<LogKey, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Private)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Private)?;
        Ok(LogKey { pkcs8: Zeroizing::new(pkcs8.to_vec()), public })
    }

    /// The public half, for the log named `name`.
    pub fn public(&self, name: &str) -> Result<PublicKey, KeyError> {
        PublicKey::new(name, self.public)
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(&self.pkcs8).map_err(|_| KeyError::Private)?;
        pair.sign(message).as_ref().try_into().map_err(|_| KeyError::Private)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(…)")
    }
}

/// What anyone needs to check a log: its name and its Ed25519 public key. Written as a verifier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    bytes: [u8; 32],
}

impl PublicKey {
    /// The key of the log `name`.
    pub fn new(name: &str, bytes: [u8; 32]) -> Result<PublicKey, KeyError> {
        Ok(PublicKey { name: key_name(name)?, bytes })
    }

    /// Name of the log, which is the origin of its checkpoints.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Key hash of the signed-note format: the first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key).
    pub(crate) fn hash(&self) -> [u8; 4] {
        key_id(&self.name, ED25519_NOTE, &self.bytes)
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_verifies(&self.bytes, message, signature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&verifier_key(&self.name, ED25519_NOTE, &self.bytes))
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let (name, bytes) = read_verifier_key(text, ED25519_NOTE)?;
        PublicKey::new(&name, bytes)
    }
}

/// A name that a signature line can have.
pub(crate) fn key_name(name: &str) -> Result<String, KeyError> {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+') {
        return Err(KeyError::Name(name.to_owned()));
    }
    Ok(name.to_owned())
}

/// Key id of the signed-note format: the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ key).
pub(crate) fn key_id(name: &str, algorithm: u8, key: &[u8; 32]) -> [u8; 4] {
    let digest = Sha256::new()
        .chain_update(name.as_bytes())
        .chain_update([b'\n', algorithm])
        .chain_update(key)
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// `name+id+base64(type ‖ key)`.
pub(crate) fn verifier_key(name: &str, algorithm: u8, key: &[u8; 32]) -> String {
    let typed = [&[algorithm], key.as_slice()].concat();
    format!("{name}+{}+{}", hex::encode(key_id(name, algorithm, key)), base64::encode(&typed))
}

/// Name and key of a verifier key of one type, in its one spelling.
pub(crate) fn read_verifier_key(text: &str, algorithm: u8) -> Result<(String, [u8; 32]), KeyError> {
    let (name, rest) = text.split_once('+').ok_or(KeyError::Public)?;
    let (_, key) = rest.split_once('+').ok_or(KeyError::Public)?;
    let key = base64::decode(key).ok_or(KeyError::Public)?;
    let bytes = key.strip_prefix(&[algorithm]).and_then(|bytes| bytes.try_into().ok());
    let (name, bytes) = (key_name(name)?, bytes.ok_or(KeyError::Public)?);
    // The id is checked, and every other spelling refused, by writing it again.
    if verifier_key(&name, algorithm, &bytes) == text { Ok((name, bytes)) } else { Err(KeyError::Public) }
}

pub(crate) fn ed25519_verifies(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example key of the signed-note documentation (golang.org/x/mod/sumdb/note).
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_verifier_key_has_one_spelling() {
        let key: PublicKey = PETER.parse().unwrap();
        assert_eq!(key.name(), "PeterNeumann");
        assert_eq!(key.to_string(), PETER);
        for refused in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        ] {
            assert!(refused.parse::<PublicKey>().is_err(), "{refused}");
        }
    }

    #[test]
    fn the_documented_note_verifies() {
        let key: PublicKey = PETER.parse().unwrap();
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        let line = base64::decode(
            "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
        )
        .unwrap();
        assert_eq!(line[..4], key.hash());
        assert!(key.verifies(text.as_bytes(), &line[4..]));
        assert!(!key.verifies(text.replace("your", "my").as_bytes(), &line[4..]));
    }

    #[test]
    fn a_private_key_is_never_printed() {
        let key = LogKey::from_pkcs8(&LogKey::generate().unwrap()).unwrap();
        assert_eq!(format!("{key:?}"), "LogKey(…)");
        let public = key.public("example.org/log").unwrap();
        let signature = key.sign(b"text").unwrap();
        assert!(public.verifies(b"text", &signature));
        assert!(!public.verifies(b"Text", &signature));
        assert!(LogKey::from_pkcs8(b"nonsense").is_err());
        assert!(key.public("two words").is_err());
    }
}
