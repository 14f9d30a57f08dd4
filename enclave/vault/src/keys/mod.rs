//! The keys of a home, in three levels: the root key seals two rings of key-encryption keys, one for questions
//! and one for identities; these wrap the data keys of files and columns, and the few long-lived secrets.
//!
//! In reading order: `source`, `guard`, `token` (what guards the root key) · `root` (where it is) · `ring`
//! (key-encryption keys by name and version) · `change` (a new root key) · `escrow` (the root key in shares).

pub(crate) mod change;
pub(crate) mod escrow;
pub(crate) mod guard;
pub(crate) mod ring;
pub(crate) mod root;
pub(crate) mod source;
mod token;

use std::path::Path;
use std::sync::Arc;

use ::ring::hmac;
use ::ring::rand::SystemRandom;
use ::ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use memoranda::Tier;
use ring::Ring;
use root::Root;
use source::RootSource;
use zeroize::Zeroizing;

use crate::durable;
use crate::seal::{NoRandom, Secret};
use crate::vault::VaultError;

/// The ring that questions need.
const QUESTIONS: &str = "keyring";
/// The ring that only the custodian's desk and ingest open.
const IDENTITIES: &str = "identities";
const SIGNATURE_BYTES: usize = 64;

/// Names of the key-encryption keys.
pub(crate) mod name {
    use super::Tier;

    /// Wraps the data keys of attributes of a tier.
    pub(crate) fn attributes(tier: Tier) -> String {
        format!("attributes/{}", tier.name())
    }

    /// Wraps the data keys of the identities of those who leave school in one year.
    pub(crate) fn identities(contract: &str, cohort: &str) -> String {
        format!("identities/{contract}/{cohort}")
    }

    /// Wraps the keys that seal and sign manifests.
    pub(crate) const MANIFESTS: &str = "manifests";
    /// Wraps the key that makes pseudonyms.
    pub(crate) const PSEUDONYMS: &str = "pseudonyms";
    /// Wraps the log's signing key.
    pub(crate) const LOG: &str = "log";
}

/// The long-lived secrets, and the key that wraps each.
const SECRETS: [(&str, &str); 4] = [
    ("pseudonym", name::PSEUDONYMS),
    ("log", name::LOG),
    ("manifest-seal", name::MANIFESTS),
    ("manifest-signature", name::MANIFESTS),
];

/// The keys that questions need. Those of identities are not among them.
pub(crate) struct Keyring {
    /// Wraps and unwraps the data keys of attributes.
    pub(crate) ring: Ring,
    pseudonym: hmac::Key,
    manifest: Secret,
    signature: Ed25519KeyPair,
    log: Zeroizing<Vec<u8>>,
}

impl Keyring {
    /// Fresh keys, durable in `home`; refused where there are some.
    #[cfg(test)]
    pub(crate) fn create(home: &Path, log_key: &[u8]) -> Result<(), VaultError> {
        Keyring::create_under(home, log_key, &RootSource::File(None))
    }

    /// The same, with a root key from `source`.
    pub(crate) fn create_under(home: &Path, log_key: &[u8], source: &RootSource) -> Result<(), VaultError> {
        for name in [QUESTIONS, IDENTITIES] {
            if ring::ring_path(home, name).exists() {
                return Err(VaultError::Exists(home.to_path_buf()));
            }
        }
        durable::create_dir(&home.join("keys"))?;
        Root::create(home, source)?;
        let ring = Ring::create(home, QUESTIONS)?;
        let signature = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| NoRandom)?;
        let (pseudonym, manifest) = (Secret::generate()?, Secret::generate()?);
        let secrets: [&[u8]; 4] = [pseudonym.bytes(), log_key, manifest.bytes(), signature.as_ref()];
        ring.change(|held| {
            for tier in Tier::ALL {
                held.rotate(&name::attributes(tier))?;
            }
            for ((secret, by), bytes) in SECRETS.iter().zip(secrets) {
                if !held.keys.contains_key(*by) {
                    held.rotate(by)?;
                }
                let wrapped = held.wrap(by, secret, bytes)?;
                held.wrapped.insert((*secret).to_owned(), wrapped);
            }
            Ok(())
        })?;
        Ring::create(home, IDENTITIES)?;
        Ok(())
    }

    /// The keys of `home`.
    pub(crate) fn open(home: &Path) -> Result<Keyring, VaultError> {
        let ring = Ring::open(home, QUESTIONS)?;
        let held = ring.held();
        let secret = |name: &str| -> Result<Zeroizing<Vec<u8>>, VaultError> {
            held.unwrap(name, held.wrapped.get(name).ok_or(VaultError::Keyring)?)
        };
        let key = |name: &str| Secret::from_slice(&secret(name)?).ok_or(VaultError::Keyring);
        Ok(Keyring {
            pseudonym: hmac::Key::new(hmac::HMAC_SHA256, key("pseudonym")?.bytes()),
            manifest: key("manifest-seal")?,
            signature: Ed25519KeyPair::from_pkcs8(&secret("manifest-signature")?)
                .map_err(|_| VaultError::Keyring)?,
            log: secret("log")?,
            ring,
        })
    }

    /// The log's signing key, PKCS #8; the vault only keeps it.
    pub(crate) fn log(&self) -> Zeroizing<Vec<u8>> {
        self.log.clone()
    }

    /// The pseudonym of a pupil in all tables of a contract: the first 16 bytes of HMAC-SHA-256 over the
    /// contract's name, a zero byte, and the canonical text of the unit value. Keyed, so that nobody without
    /// the keyring can try all numbers; per contract, so that two data sets do not join.
    pub(crate) fn pseudonym(&self, contract: &str, unit: &[u8]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.pseudonym);
        context.update(contract.as_bytes());
        context.update(&[0]);
        context.update(unit);
        let mut pseudonym = [0; 16];
        pseudonym.copy_from_slice(&context.sign().as_ref()[..16]);
        pseudonym
    }

    /// A manifest, sealed for `purpose` and signed.
    pub(crate) fn seal_manifest(&self, purpose: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let sealed = self.manifest.seal(purpose.as_bytes(), plain)?;
        let mut signed = self.signature.sign(&signed_part(purpose, &sealed)).as_ref().to_vec();
        signed.extend_from_slice(&sealed);
        Ok(signed)
    }

    /// What [`Keyring::seal_manifest`] was given; `None` if it is not that.
    pub(crate) fn open_manifest(&self, purpose: &str, signed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (signature, sealed) = signed.split_at_checked(SIGNATURE_BYTES)?;
        UnparsedPublicKey::new(&ED25519, self.signature.public_key().as_ref())
            .verify(&signed_part(purpose, sealed), signature)
            .ok()?;
        self.manifest.open(purpose.as_bytes(), sealed).ok()
    }
}

fn signed_part(purpose: &str, sealed: &[u8]) -> Vec<u8> {
    [purpose.as_bytes(), &[0], sealed].concat()
}

/// The keys of identities.
pub(crate) fn identities(home: &Path) -> Result<Arc<Ring>, VaultError> {
    Ring::open(home, IDENTITIES).map(Arc::new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn pseudonyms_are_stable_and_apart() {
        let home = tempfile::tempdir().unwrap();
        Keyring::create(home.path(), b"log").unwrap();
        let keys = Keyring::open(home.path()).unwrap();
        assert_eq!(
            keys.pseudonym("star", b"17"),
            Keyring::open(home.path()).unwrap().pseudonym("star", b"17")
        );
        assert_ne!(keys.pseudonym("star", b"17"), keys.pseudonym("star", b"18"));
        assert_ne!(keys.pseudonym("star", b"17"), keys.pseudonym("city", b"17"));
        assert_eq!(&keys.log()[..], b"log");
        let other = tempfile::tempdir().unwrap();
        Keyring::create(other.path(), b"log").unwrap();
        assert_ne!(
            keys.pseudonym("star", b"17"),
            Keyring::open(other.path()).unwrap().pseudonym("star", b"17")
        );
    }

    #[test]
    fn a_ring_opens_what_any_version_wrapped_and_reads_anew_what_another_has_rotated() {
        let home = tempfile::tempdir().unwrap();
        Keyring::create(home.path(), b"log").unwrap();
        let (keys, other) = (Keyring::open(home.path()).unwrap(), Keyring::open(home.path()).unwrap());
        let by = name::attributes(Tier::Standard);
        let first = keys.ring.wrap(&by, "a file", b"secret").unwrap();
        keys.ring.change(|held| held.rotate(&by)).unwrap();
        let second = keys.ring.wrap(&by, "a file", b"secret").unwrap();
        assert_eq!((first.version, second.version), (1, 2));
        for wrapped in [&first, &second] {
            assert_eq!(&other.ring.unwrap("a file", wrapped).unwrap()[..], b"secret");
            assert!(other.ring.unwrap("another file", wrapped).is_err());
        }
        keys.ring.change(|held| Ok(held.keys.remove(&by))).unwrap();
        assert!(matches!(keys.ring.unwrap("a file", &second), Err(VaultError::NoKey(_))));
    }
}
