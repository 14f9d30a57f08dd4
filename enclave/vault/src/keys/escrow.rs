//! The root key in shares (Shamir, over GF(256)): any `least` of them give it back, fewer say nothing about it.
//!
//! Shares belong to one root key. When it is rotated they are worth nothing, which is what makes the destruction of
//! a key final; new ones are to be dealt then.

use std::path::Path;

use blahaj::{Share, Sharks};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::ring::{self, lock};
use super::root::Root;
use super::source::RootSource;
use super::{QUESTIONS, change};
use crate::seal::Secret;
use crate::vault::VaultError;

const TITLE: &str = "enclave root key share";
const MOST_SHARES: u8 = 100;

/// Why shares cannot be dealt, or give no root key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EscrowError {
    /// One share that suffices is the key itself; more than there are can never meet.
    #[error(
        "{least} of {shares} shares cannot be: at least 2, and at most as many as there are, up to {MOST_SHARES}"
    )]
    Numbers {
        /// How many shares were to be dealt.
        shares: u8,
        /// How many were to suffice.
        least: u8,
    },
    /// Not a share.
    #[error("share {0} is not one, or a character of it was changed")]
    NotAShare(usize),
    /// Of different splits.
    #[error("share {0} belongs to another split than share 1")]
    Another(usize),
    /// Too few.
    #[error("{given} different shares were given, and {least} are needed")]
    TooFew {
        /// How many there were.
        given: usize,
        /// How many suffice.
        least: u8,
    },
    /// They gave a key that is not this home's.
    #[error(
        "the shares give a root key that this home is not sealed under: it was rotated after they were dealt, or they are of another home"
    )]
    OldKey,
}

/// Deals `shares` shares of the root key, of which any `least` give it back; each a text to be kept by one person.
pub(crate) fn split(home: &Path, shares: u8, least: u8) -> Result<Vec<Zeroizing<String>>, VaultError> {
    if least < 2 || shares < least || shares > MOST_SHARES {
        return Err(EscrowError::Numbers { shares, least }.into());
    }
    let secret = {
        let _lock = lock(home)?;
        change::settle(home)?;
        Root::of(home)?.secret()?
    };
    let split = hex::encode(crate::seal::random::<8>()?);
    let dealt = Sharks(least).dealer(secret.bytes()).take(usize::from(shares));
    Ok(dealt.enumerate().map(|(i, share)| written(&share, &split, i + 1, shares, least)).collect())
}

/// Puts the root key that shares give back in force: guarded as it was, or by `source`. Refused where it is not the
/// one that the home is sealed under.
pub(crate) fn recover(home: &Path, shares: &[String], source: Option<&RootSource>) -> Result<(), VaultError> {
    let secret = combined(shares)?;
    let _lock = lock(home)?;
    match ring::open_with(home, QUESTIONS, &secret) {
        Ok(_) => Root::of(home)?.restore(&secret, source),
        Err(VaultError::WrongRootKey) => Err(EscrowError::OldKey.into()),
        Err(error) => Err(error),
    }
}

fn written(share: &Share, split: &str, number: usize, shares: u8, least: u8) -> Zeroizing<String> {
    let bytes = Zeroizing::new(Vec::from(share));
    let body = Zeroizing::new(hex::encode(&bytes[..]));
    let head = format!("{TITLE}\nsplit {split}\nshare {number} of {shares}\nneeds {least}\n");
    let check = check(&head, &body);
    Zeroizing::new(format!("{head}key {}\ncheck {check}\n", *body))
}

/// A share is copied by hand: what was mistyped is to be noticed.
fn check(head: &str, body: &str) -> String {
    hex::encode(&Sha256::digest(format!("{head}{body}"))[..8])
}

struct Read {
    split: String,
    least: u8,
    share: Share,
}

fn read(text: &str) -> Option<Read> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let [TITLE, split, share, needs, key, checked] = lines[..] else { return None };
    let head = format!("{TITLE}\n{split}\n{share}\n{needs}\n");
    let body = key.strip_prefix("key ")?;
    if check(&head, body) != checked.strip_prefix("check ")? {
        return None;
    }
    let mut bytes = hex::decode(body).ok()?;
    let share = Share::try_from(&bytes[..]).ok();
    bytes.zeroize();
    Some(Read {
        split: split.strip_prefix("split ")?.to_owned(),
        least: needs.strip_prefix("needs ")?.parse().ok()?,
        share: share?,
    })
}

fn combined(texts: &[String]) -> Result<Secret, EscrowError> {
    let mut shares: Vec<Read> = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let share = read(text).ok_or(EscrowError::NotAShare(place + 1))?;
        if shares.first().is_some_and(|first| (&first.split, first.least) != (&share.split, share.least)) {
            return Err(EscrowError::Another(place + 1));
        }
        if !shares.iter().any(|other| other.share.x.0 == share.share.x.0) {
            shares.push(share);
        }
    }
    let least = shares.first().map_or(2, |share| share.least);
    let too_few = EscrowError::TooFew { given: shares.len(), least };
    if shares.len() < usize::from(least) {
        return Err(too_few);
    }
    let secret = Sharks(least).recover(shares.iter().map(|share| &share.share)).map_err(|_| too_few)?;
    Secret::from_slice(&Zeroizing::new(secret)).ok_or(EscrowError::OldKey)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::fs;

    use super::*;
    use crate::keys::Keyring;

    fn texts(shares: &[Zeroizing<String>], which: &[usize]) -> Vec<String> {
        which.iter().map(|i| shares[*i].to_string()).collect()
    }

    #[test]
    fn any_two_of_three_give_the_key_back_and_one_does_not() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        Keyring::create(home, b"log").unwrap();
        let shares = split(home, 3, 2).unwrap();
        for which in [[0, 1], [0, 2], [1, 2], [2, 0]] {
            fs::remove_file(home.join("keys/root.key")).unwrap();
            assert!(Keyring::open(home).is_err());
            recover(home, &texts(&shares, &which), None).unwrap();
            Keyring::open(home).unwrap();
        }
        let refused = |texts: Vec<String>| match recover(home, &texts, None) {
            Err(VaultError::Escrow(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(texts(&shares, &[1])), EscrowError::TooFew { given: 1, least: 2 });
        assert_eq!(refused(texts(&shares, &[1, 1])), EscrowError::TooFew { given: 1, least: 2 });
        let other = split(home, 3, 2).unwrap();
        assert_eq!(refused(vec![shares[0].to_string(), other[1].to_string()]), EscrowError::Another(2));
        let mistyped = shares[1].replacen("key ", "key 0", 1);
        assert_eq!(refused(vec![shares[0].to_string(), mistyped]), EscrowError::NotAShare(2));
        change::change_root(home, None, |_| Ok(())).unwrap();
        assert_eq!(refused(texts(&shares, &[0, 1])), EscrowError::OldKey);
        for (n, m) in [(3, 1), (2, 3), (101, 2), (0, 0)] {
            assert!(split(home, n, m).is_err());
        }
    }
}
