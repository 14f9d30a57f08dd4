//! A new root key. Everything is made durable beside what is in force, then renamed over it, the rings first and
//! the root key last:
//!
//! ```text
//! root.key.next → keyring.next → identities.next → keyring → identities → root.key
//! ```
//!
//! The first rename decides. Cut short before it, the change never was; after it, [`settle`] finishes it. Whoever
//! finds a ring that the root key does not open waits for the lock and settles.

use std::path::{Path, PathBuf};

use super::ring::{self, Held, lock, ring_path};
use super::root::Root;
use super::source::RootSource;
use super::{IDENTITIES, QUESTIONS};
use crate::durable;
use crate::seal::Secret;
use crate::vault::VaultError;

const RINGS: [&str; 2] = [QUESTIONS, IDENTITIES];

/// Called after each step; an error ends the change there, as a crash would.
type Reached<'a> = &'a mut dyn FnMut() -> Result<(), VaultError>;

/// What both rings hold.
pub(crate) struct Both {
    pub(crate) questions: Held,
    pub(crate) identities: Held,
}

/// Puts a new root key in force, guarded as before or by `source`, and with it what `edit` makes of the rings: so
/// that no older copy of a ring opens any more.
pub(crate) fn change_root<T>(
    home: &Path,
    source: Option<&RootSource>,
    edit: impl FnOnce(&mut Both) -> Result<T, VaultError>,
) -> Result<T, VaultError> {
    change_root_by_steps(home, source, edit, &mut || Ok(()))
}

fn change_root_by_steps<T>(
    home: &Path,
    source: Option<&RootSource>,
    edit: impl FnOnce(&mut Both) -> Result<T, VaultError>,
    reached: Reached<'_>,
) -> Result<T, VaultError> {
    let _lock = lock(home)?;
    settle(home)?;
    let root = Root::of(home)?;
    let old = root.secret()?;
    let mut both = Both {
        questions: ring::open_with(home, QUESTIONS, &old)?,
        identities: ring::open_with(home, IDENTITIES, &old)?,
    };
    let edited = edit(&mut both)?;
    let new = Secret::generate()?;
    root.stage(&new, source)?;
    reached()?;
    for (name, held) in RINGS.into_iter().zip([&both.questions, &both.identities]) {
        durable::replace(&next_ring(home, name), &ring::seal(name, held, &new)?)?;
        reached()?;
    }
    for name in RINGS {
        durable::rename(&next_ring(home, name), &ring_path(home, name))?;
        reached()?;
    }
    root.commit_next()?;
    Ok(edited)
}

/// Finishes a change of the root key that was cut short, or forgets it. The lock is held.
pub(crate) fn settle(home: &Path) -> Result<(), VaultError> {
    let root = Root::of(home)?;
    if !root.has_next() {
        return Ok(());
    }
    let current = root.secret()?;
    let opens =
        |name: &str, key: &Secret| !matches!(ring::open_with(home, name, key), Err(VaultError::WrongRootKey));
    if RINGS.iter().all(|name| opens(name, &current)) {
        for name in RINGS {
            durable::remove_file(&next_ring(home, name))?;
        }
        return root.discard_next();
    }
    let next = root.next()?;
    if !RINGS.iter().any(|name| opens(name, &next)) {
        return Err(VaultError::WrongRootKey);
    }
    for name in RINGS {
        let next = next_ring(home, name);
        if next.exists() {
            durable::rename(&next, &ring_path(home, name))?;
        }
    }
    root.commit_next()
}

fn next_ring(home: &Path, name: &str) -> PathBuf {
    home.join("keys").join(format!("{name}.next"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::fs;

    use super::*;
    use crate::keys::ring::Ring;
    use crate::keys::{Keyring, name};

    const COHORT: &str = "2031";

    fn home() -> (tempfile::TempDir, String) {
        let home = tempfile::tempdir().unwrap();
        Keyring::create(home.path(), b"log").unwrap();
        let by = name::identities("city", COHORT);
        Ring::open(home.path(), IDENTITIES).unwrap().wrap(&by, "a file", b"who is who").unwrap();
        (home, by)
    }

    fn names(home: &Path) -> Vec<String> {
        durable::names_in(&home.join("keys")).unwrap()
    }

    #[test]
    fn a_change_cut_short_at_any_step_leaves_one_root_key() {
        let (mut finished, mut forgotten) = (0, 0);
        for steps in 1..=6 {
            let (home, by) = home();
            let home = home.path();
            let before = Root::of(home).unwrap().secret().unwrap();
            let open = Keyring::open(home).unwrap();
            let mut left = steps;
            let cut = change_root_by_steps(
                home,
                None,
                |both| Ok(both.identities.keys.remove(&by).map(drop)),
                &mut || {
                    left -= 1;
                    if left == 0 { Err(VaultError::Keyring) } else { Ok(()) }
                },
            );
            assert_eq!(cut.is_err(), steps < 6, "step {steps}");
            // Whoever opens, and whoever had opened.
            assert_eq!(&Keyring::open(home).unwrap().log()[..], b"log");
            let has = |ring: &Ring| ring.held().keys.contains_key(&by);
            let identities = Ring::open(home, IDENTITIES).unwrap();
            open.ring.reload().unwrap();
            open.ring.change(|held| held.rotate(name::LOG)).unwrap();
            // Settled: one root key, no leftover, and the edit with the key or without it.
            assert_eq!(names(home), ["identities", "keyring", "lock", "root.key"], "step {steps}");
            let after = Root::of(home).unwrap().secret().unwrap();
            let changed = after.bytes() != before.bytes();
            assert_eq!(changed, !has(&identities), "step {steps}");
            for ring in RINGS {
                assert!(ring::open_with(home, ring, &after).is_ok());
                assert_eq!(ring::open_with(home, ring, &before).is_ok(), !changed);
            }
            *(if changed { &mut finished } else { &mut forgotten }) += 1;
        }
        assert_eq!((finished, forgotten), (3, 3));
    }

    #[test]
    fn an_older_copy_does_not_open_under_the_present_root_key() {
        let (home, by) = home();
        let key = home.path().join("keys/root.key");
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("keys")).unwrap();
        for name in RINGS {
            fs::copy(ring_path(home.path(), name), ring_path(copy.path(), name)).unwrap();
        }
        let place = |key: &Path| fs::copy(key, copy.path().join("keys/root.key")).unwrap();
        place(&key);
        // With the root key of its time, the copy opens.
        assert!(Ring::open(copy.path(), IDENTITIES).unwrap().held().keys.contains_key(&by));
        change_root(home.path(), None, |both| Ok(both.identities.keys.remove(&by).map(drop))).unwrap();
        place(&key);
        for name in RINGS {
            assert!(matches!(Ring::open(copy.path(), name), Err(VaultError::WrongRootKey)));
        }
        assert!(!Ring::open(home.path(), IDENTITIES).unwrap().held().keys.contains_key(&by));
    }

    #[test]
    fn a_root_key_that_was_not_written_to_its_end_is_forgotten() {
        let (home, _) = home();
        for part in [&b""[..], &[7; 31]] {
            fs::write(home.path().join("keys/root.key.next"), part).unwrap();
            set_owner_only(&home.path().join("keys/root.key.next"));
            change_root(home.path(), None, |_| Ok(())).unwrap();
            assert_eq!(names(home.path()), ["identities", "keyring", "lock", "root.key"]);
            Keyring::open(home.path()).unwrap();
        }
    }

    fn set_owner_only(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
