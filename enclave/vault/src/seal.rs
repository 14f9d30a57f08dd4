//! AES-256-GCM with a fresh random nonce, for things small in number: the keyring, manifests, data keys.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// 32 secret bytes, wiped when dropped.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

/// The sealed bytes are not what was sealed under this key for this purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed bytes do not open: another key, or the bytes were changed")]
pub(crate) struct Unopened;

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub(crate) struct NoRandom;

/// `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

impl Secret {
    /// A fresh key.
    pub(crate) fn generate() -> Result<Secret, NoRandom> {
        Ok(Secret(Zeroizing::new(random()?)))
    }

    /// From exactly 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Secret> {
        Some(Secret(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Nonce, ciphertext and tag; `purpose` is bound to them, but not stored.
    pub(crate) fn seal(&self, purpose: &[u8], plain: &[u8]) -> Result<Vec<u8>, NoRandom> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .aead()
            .seal_in_place_separate_tag(nonce, Aad::from(purpose), &mut sealed[NONCE_LEN..])
            .map_err(|_| NoRandom)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// What [`Secret::seal`] was given, if key, purpose and bytes are the same.
    pub(crate) fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(Unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let length =
            self.aead().open_in_place(nonce, Aad::from(purpose), &mut bytes).map_err(|_| Unopened)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The cipher, for callers that count their own nonces.
    pub(crate) fn aead(&self) -> LessSafeKey {
        // INVARIANT: 32 bytes are the key length of AES-256-GCM, so this cannot fail.
        #[expect(clippy::expect_used, reason = "the length is right by type")]
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0[..]).expect("32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn opens_only_what_was_sealed() {
        let key = Secret::generate().unwrap();
        let sealed = key.seal(b"purpose", b"plain").unwrap();
        assert_eq!(&key.open(b"purpose", &sealed).unwrap()[..], b"plain");
        assert_eq!(key.open(b"another", &sealed).unwrap_err(), Unopened);
        assert_eq!(Secret::generate().unwrap().open(b"purpose", &sealed).unwrap_err(), Unopened);
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert_eq!(key.open(b"purpose", &changed).unwrap_err(), Unopened, "byte {i}");
            assert_eq!(key.open(b"purpose", &sealed[..i]).unwrap_err(), Unopened, "length {i}");
        }
    }
}
