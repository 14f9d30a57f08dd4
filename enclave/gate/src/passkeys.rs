//! Passkeys (WebAuthn) of a log-in, as second factor: sealed by the vault, so that who writes to the ledger's file puts no
//! key of their own there.
//!
//! What a passkey is, and whether one signed, the server knows: here are bytes that it wrote and reads. Who has lost all
//! second factors is let in again by a steward, who enrols codes for the log-in (`enclave people factor enrol @LOGIN`):
//! the first code at log-in confirms them.

use chrono::Duration;
pub use ledger::KeptPasskey;
use ledger::{LOCKED_MINUTES, LedgerError, LogIn, NewPasskey, PASSKEYS, PasskeyAdded, PasskeyRemoved, Stamp};
use memoranda::PersonRole;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::enclave::{Enclave, OpenError};
use crate::logins::{Caller, EntryError, PasswordShown, SessionLimits, Told, factor_owner};

/// For how many minutes a second factor that was shown lets change the second factors: a session alone does not.
const SHOWN_MINUTES: i64 = 10;
/// The most characters of a label.
const LABEL: usize = 64;

/// Why a passkey is not enrolled, taken or removed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Another one's, another signature, or a counter that went back.
    #[error(
        "this is not a signature of one of your passkeys, or another copy of the passkey was used: begin again"
    )]
    Refused,
    /// Too many wrong passwords or signatures.
    #[error("too many wrong ones: nothing is taken for {LOCKED_MINUTES} minutes")]
    Locked,
    /// The second factors change within minutes of one that was shown.
    #[error("show a second factor first, at most {SHOWN_MINUTES} minutes before")]
    ShowFirst,
    /// None to show.
    #[error("no passkey is enrolled; `POST /api/v1/factors/passkeys/begin` enrols one")]
    NotEnrolled,
    /// Not what a passkey is called.
    #[error("a label has 1 to {LABEL} characters, on one line")]
    Label,
    /// Enrolled before.
    #[error("this passkey is enrolled already")]
    Taken,
    /// Enough of them.
    #[error("a log-in has at most {PASSKEYS} passkeys: remove one first")]
    TooMany,
    /// Who can change the enclave does not go back to a password alone.
    #[error("stewards and members of the board keep a second factor: enrol another one first")]
    Last,
    /// None of those that are stored opens.
    #[error("the passkeys of this log-in cannot be read: a steward lets its owner in with codes")]
    Unreadable,
    /// The store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A passkey as it was read.
pub struct OpenPasskey {
    kept: KeptPasskey,
    json: Zeroizing<Vec<u8>>,
}

impl OpenPasskey {
    /// What the server wrote.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The server's word that this one signed just now; with what it is from now on, where that changed.
    pub fn signed(self, changed: Option<Vec<u8>>) -> SignedPasskey {
        SignedPasskey { kept: self.kept, changed }
    }
}

/// A passkey that has signed.
pub struct SignedPasskey {
    kept: KeptPasskey,
    changed: Option<Vec<u8>>,
}

/// The owner of a log-in may enrol a second factor: none is there yet, or one was just shown.
pub struct MayEnrol {
    login: String,
}

impl Enclave {
    /// Whether the caller may enrol a passkey now.
    pub fn may_enrol(&self, caller: &Caller) -> Result<MayEnrol, PasskeyError> {
        if !self.factor_shown(&caller.login)? {
            return Err(PasskeyError::ShowFirst);
        }
        Ok(MayEnrol { login: caller.login.clone() })
    }

    /// One more passkey of the caller's; its number.
    pub fn add_passkey(
        &self,
        caller: &Caller,
        may: MayEnrol,
        label: &str,
        credential: &[u8],
        json: &[u8],
    ) -> Result<u64, PasskeyError> {
        let plain = !label.trim().is_empty() && !label.chars().any(char::is_control);
        if !plain || label.chars().count() > LABEL {
            return Err(PasskeyError::Label);
        }
        if may.login != caller.login {
            return Err(PasskeyError::ShowFirst);
        }
        let sealed = self.sealed_passkey(&may.login, credential, json)?;
        let new = NewPasskey { login: &may.login, label, credential, sealed: &sealed };
        match self.ledger.add_passkey(self.stamp_of(caller), &new)? {
            PasskeyAdded::Added(id) => Ok(id),
            PasskeyAdded::Taken => Err(PasskeyError::Taken),
            PasskeyAdded::TooMany => Err(PasskeyError::TooMany),
        }
    }

    /// The caller's passkeys.
    pub fn passkeys(&self, caller: &Caller) -> Result<Vec<KeptPasskey>, PasskeyError> {
        Ok(self.ledger.passkeys(&caller.login)?)
    }

    /// Removes a passkey of the caller's. Says whether there was one. A steward's or board member's last second factor
    /// stays.
    pub fn remove_passkey(&self, caller: &Caller, id: u64) -> Result<bool, PasskeyError> {
        if !self.factor_shown(&caller.login)? {
            return Err(PasskeyError::ShowFirst);
        }
        let keep_one = self.keeps_factor(caller)?;
        match self.ledger.remove_passkey(self.stamp_of(caller), &caller.login, id, keep_one)? {
            PasskeyRemoved::Removed => Ok(true),
            PasskeyRemoved::Missing => Ok(false),
            PasskeyRemoved::Last => Err(PasskeyError::Last),
        }
    }

    /// The passkeys with which the caller may show anew who they are.
    pub fn passkeys_to_step_up(&self, caller: &Caller) -> Result<Vec<OpenPasskey>, PasskeyError> {
        let login = self.ledger.login(&caller.login)?.ok_or(PasskeyError::Refused)?;
        self.open_passkeys(&login)
    }

    /// Takes the caller's signature; `None` is one that does not hold.
    pub fn step_up_by_passkey(
        &self,
        caller: &Caller,
        signed: Option<SignedPasskey>,
    ) -> Result<(), PasskeyError> {
        let login = self.ledger.login(&caller.login)?.ok_or(PasskeyError::Refused)?;
        self.take_signature(&login, signed)
    }

    /// The passkeys with which somebody who has shown name and password may go on. Where there are none, they are told
    /// what a wrong password is told.
    pub fn passkeys_to_log_in(&self, shown: &PasswordShown) -> Result<Vec<OpenPasskey>, EntryError> {
        let opened = self.open_passkeys(shown.log_in());
        if opened.is_err() {
            self.ledger.factor_missing(self.now(), shown.log_in())?;
        }
        opened.map_err(not_let_in)
    }

    /// Lets in who has shown name and password, and then signed; `None` is a signature that does not hold.
    pub fn log_in_by_passkey(
        &self,
        shown: PasswordShown,
        signed: Option<SignedPasskey>,
        limits: SessionLimits,
    ) -> Result<(Told, Caller), EntryError> {
        // The password may have been changed since it was shown.
        let login = self.ledger.login(&shown.log_in().name)?;
        let login =
            login.filter(|login| login.password == shown.log_in().password).ok_or(EntryError::Wrong)?;
        self.take_signature(&login, signed).map_err(not_let_in)?;
        self.open_session(&login, "password and passkey", limits)
    }

    /// Whether a log-in has passkeys.
    pub(crate) fn has_passkeys(&self, login: &str) -> Result<bool, LedgerError> {
        Ok(!self.ledger.passkeys(login)?.is_empty())
    }

    /// Whether a second factor of the log-in was shown just now, or there is none to show.
    pub(crate) fn factor_shown(&self, login: &str) -> Result<bool, LedgerError> {
        let owner = factor_owner(login);
        let codes = self.ledger.factor(&owner)?.is_some_and(|factor| factor.confirmed);
        if !codes && !self.has_passkeys(login)? {
            return Ok(true);
        }
        let age = self.ledger.stepped_up(&owner)?.map(|at| self.now() - at);
        Ok(age.is_some_and(|age| Duration::zero() <= age && age <= Duration::minutes(SHOWN_MINUTES)))
    }

    /// Whether a log-in does not go without a second factor once it has one.
    fn keeps_factor(&self, caller: &Caller) -> Result<bool, LedgerError> {
        for person in &caller.people {
            let found = self.ledger.registered(person)?;
            if found.is_some_and(|found| found.holds(PersonRole::Steward) || found.holds(PersonRole::Board)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn open_passkeys(&self, login: &LogIn) -> Result<Vec<OpenPasskey>, PasskeyError> {
        if login.is_locked(self.now()) {
            return Err(PasskeyError::Locked);
        }
        let kept = self.ledger.passkeys(&login.name)?;
        if kept.is_empty() {
            return Err(PasskeyError::NotEnrolled);
        }
        let open = |kept: KeptPasskey| {
            let sealed = hex::decode(&kept.sealed).ok()?;
            let json = self.vault.open_small(&purpose(&kept.login, &kept.credential), &sealed)?;
            Some(OpenPasskey { kept, json })
        };
        let opened: Vec<OpenPasskey> = kept.into_iter().filter_map(open).collect();
        if opened.is_empty() { Err(PasskeyError::Unreadable) } else { Ok(opened) }
    }

    /// Takes a signature, once over each state of a passkey; whatever else comes is counted as wrong.
    fn take_signature(&self, login: &LogIn, signed: Option<SignedPasskey>) -> Result<(), PasskeyError> {
        let now = self.now();
        if login.is_locked(now) {
            return Err(PasskeyError::Locked);
        }
        if let Some(SignedPasskey { kept, changed }) = signed.filter(|signed| signed.kept.login == login.name)
        {
            let sealed = match changed {
                Some(json) => self.sealed_passkey(&kept.login, &kept.credential, &json)?,
                None => kept.sealed.clone(),
            };
            if self.ledger.step_up_by(now, &kept, &sealed)?.is_some() {
                return Ok(());
            }
        }
        self.ledger.wrong_passkey(now, &login.name)?;
        Err(PasskeyError::Refused)
    }

    fn sealed_passkey(&self, login: &str, credential: &[u8], json: &[u8]) -> Result<String, OpenError> {
        Ok(hex::encode(self.vault.seal_small(&purpose(login, credential), json)?))
    }

    fn stamp_of<'a>(&self, caller: &'a Caller) -> Stamp<'a> {
        Stamp { at: self.now(), by: caller.people.iter().next().map(String::as_str) }
    }
}

/// Sealed for this log-in and this credential: put in another row, it does not open.
fn purpose(login: &str, credential: &[u8]) -> String {
    format!("passkey {login} {}", hex::encode(Sha256::digest(credential)))
}

/// Who is not logged in is told nothing but that they are not.
fn not_let_in(error: PasskeyError) -> EntryError {
    match error {
        PasskeyError::Ledger(error) => error.into(),
        PasskeyError::Open(error) => EntryError::Act(error.into()),
        _ => EntryError::Wrong,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use chrono::Utc;

    use super::*;

    const PASSWORD: &str = "four tall birds walk";

    /// A home, whose steward has the log-in `sato`; and a session.
    fn home(folder: &std::path::Path) -> (Enclave, Caller) {
        let enclave = Enclave::create(folder, Utc::now).unwrap();
        let secret = enclave.set_up_secret().unwrap();
        enclave.set_up(&secret, "s1", "S. Sato", "sato", PASSWORD).unwrap();
        let (_, caller) = enclave.log_in("sato", PASSWORD, None, LIMITS).unwrap();
        (enclave, caller)
    }

    const LIMITS: SessionLimits =
        SessionLimits { idle: Duration::minutes(30), absolute: Duration::hours(12) };

    fn enrol(enclave: &Enclave, caller: &Caller, credential: &[u8]) -> Result<u64, PasskeyError> {
        let may = enclave.may_enrol(caller)?;
        enclave.add_passkey(caller, may, "blue key", credential, b"{}")
    }

    #[test]
    fn who_has_a_passkey_comes_in_with_it_and_not_without() {
        let folder = tempfile::tempdir().unwrap();
        let (enclave, caller) = home(&folder.path().join("home"));
        enrol(&enclave, &caller, b"one").unwrap();
        for code in [None, Some("123456")] {
            assert!(matches!(enclave.log_in("sato", PASSWORD, code, LIMITS), Err(EntryError::Wrong)));
        }
        let shown = enclave.show_password("sato", PASSWORD).unwrap();
        let mut opened = enclave.passkeys_to_log_in(&shown).unwrap();
        assert_eq!((opened.len(), opened[0].json()), (1, b"{}".as_slice()));
        let signed = opened.remove(0).signed(Some(b"{1}".to_vec()));
        let (_, caller) = enclave.log_in_by_passkey(shown, Some(signed), LIMITS).unwrap();
        assert_eq!(caller.people, BTreeSet::from(["s1".to_owned()]));
        assert!(enclave.stepped_up("s1", None, 1).unwrap());
        assert_eq!(enclave.passkeys_to_step_up(&caller).unwrap()[0].json(), b"{1}");
        // No signature, and nobody's password.
        let shown = enclave.show_password("sato", PASSWORD).unwrap();
        assert!(matches!(enclave.log_in_by_passkey(shown, None, LIMITS), Err(EntryError::Wrong)));
        assert!(matches!(enclave.show_password("sato", "another password"), Err(EntryError::Wrong)));
        assert!(matches!(enclave.show_password("nobody", PASSWORD), Err(EntryError::Wrong)));
    }

    #[test]
    fn a_session_alone_changes_no_second_factor() {
        let folder = tempfile::tempdir().unwrap();
        let (enclave, caller) = home(&folder.path().join("home"));
        let first = enrol(&enclave, &caller, b"one").unwrap();
        assert!(matches!(enrol(&enclave, &caller, b"two"), Err(PasskeyError::ShowFirst)));
        assert!(matches!(enclave.remove_passkey(&caller, first), Err(PasskeyError::ShowFirst)));
        let signed = enclave.passkeys_to_step_up(&caller).unwrap().remove(0).signed(None);
        enclave.step_up_by_passkey(&caller, Some(signed)).unwrap();
        // A steward keeps one.
        assert!(matches!(enclave.remove_passkey(&caller, first), Err(PasskeyError::Last)));
        assert!(matches!(enrol(&enclave, &caller, b"one"), Err(PasskeyError::Taken)));
        enrol(&enclave, &caller, b"two").unwrap();
        assert!(enclave.remove_passkey(&caller, first).unwrap());
        // What was shown may have been the one that is gone.
        assert!(matches!(enrol(&enclave, &caller, b"three"), Err(PasskeyError::ShowFirst)));
    }

    #[test]
    fn who_has_lost_every_passkey_comes_in_with_codes_of_a_steward() {
        let folder = tempfile::tempdir().unwrap();
        let (enclave, caller) = home(&folder.path().join("home"));
        enrol(&enclave, &caller, b"lost").unwrap();
        let steward = enclave.clone().acting_as(Some("s1".to_owned()));
        let (uri, _) = steward.enrol_factor("@sato").unwrap();
        let code = totp_rs::TOTP::from_url(uri).unwrap().generate_current().unwrap();
        assert!(matches!(enclave.log_in("sato", PASSWORD, None, LIMITS), Err(EntryError::Wrong)));
        let (_, caller) = enclave.log_in("sato", PASSWORD, Some(&code), LIMITS).unwrap();
        let lost = enclave.passkeys(&caller).unwrap().remove(0);
        assert!(enclave.remove_passkey(&caller, lost.id).unwrap());
    }

    /// Whoever reads the public checkpoint before and after an attempt learns nothing of the password.
    #[test]
    fn a_right_password_without_its_factor_is_a_leaf_like_a_wrong_one() {
        let folder = tempfile::tempdir().unwrap();
        let (enclave, caller) = home(&folder.path().join("home"));
        let leaves = |attempt: &dyn Fn() -> bool| {
            let before = enclave.ledger().size().unwrap();
            assert!(!attempt());
            enclave.ledger().size().unwrap() - before
        };
        let begun = |password: &str| {
            let shown = enclave.show_password("sato", password);
            shown.and_then(|shown| enclave.passkeys_to_log_in(&shown)).is_ok()
        };
        for password in ["another password", PASSWORD] {
            assert_eq!(leaves(&|| begun(password)), 1, "no passkeys are enrolled");
        }
        enclave.enrol_own_factor(&caller, None).unwrap();
        for (password, code) in [("another password", None), (PASSWORD, None), (PASSWORD, Some("000000"))] {
            assert_eq!(leaves(&|| enclave.log_in("sato", password, code, LIMITS).is_ok()), 1);
        }
    }

    #[test]
    fn five_wrong_signatures_lock_the_log_in() {
        let folder = tempfile::tempdir().unwrap();
        let (enclave, caller) = home(&folder.path().join("home"));
        enrol(&enclave, &caller, b"one").unwrap();
        for _ in 0..ledger::WRONG_CODES {
            assert!(matches!(enclave.step_up_by_passkey(&caller, None), Err(PasskeyError::Refused)));
        }
        assert!(matches!(enclave.step_up_by_passkey(&caller, None), Err(PasskeyError::Locked)));
        assert!(matches!(enclave.passkeys_to_step_up(&caller), Err(PasskeyError::Locked)));
        assert!(matches!(enclave.show_password("sato", PASSWORD), Err(EntryError::Wrong)));
    }
}
