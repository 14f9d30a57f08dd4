//! Second factors: time-based one-time codes (RFC 6238), sealed by the vault, each code good for once.

use chrono::Duration;
use ledger::{CodeUse, LOCKED_MINUTES, LedgerError, LogPosition};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::acts::ActError;
use crate::enclave::Enclave;
use crate::logins::{Caller, factor_owner};
use crate::passkeys::PasskeyError;
use crate::permissions::Action;

/// Seconds of a time step, and digits of a code, as authenticators have them (RFC 6238, section 5.2).
const STEP_SECONDS: u64 = 30;
const DIGITS: usize = 6;
/// Steps by which a person's clock may be early or late.
const SKEW: u64 = 1;

/// Why a code does not count.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// Not enrolled.
    #[error("`{0}` has no second factor; a steward enrols one with `enclave people factor enrol {0}`")]
    NotEnrolled(String),
    /// Too many wrong codes.
    #[error("too many wrong codes: no code is taken for {LOCKED_MINUTES} minutes")]
    Locked,
    /// Another one.
    #[error("the code is wrong, or too old")]
    Wrong,
    /// Each code is good for once.
    #[error("this code was used already; wait for the next one")]
    UsedUp,
    /// The stored secret does not open.
    #[error("the second factor of `{0}` cannot be read; a steward enrols a new one")]
    Unreadable(String),
}

impl Enclave {
    /// A new second factor of a person (of the register, or `MEMORANDUM/PERSON`), as the URI that an authenticator
    /// reads. It is told this once.
    pub fn enrol_factor(&self, person: &str) -> Result<(String, LogPosition), ActError> {
        let actor = self.permitted(Action::EnrolFactor)?;
        if !self.is_somebody(person)? {
            return Err(ActError::People(ledger::PeopleError::Unknown(person.to_owned())));
        }
        self.new_factor(person, self.stamp(&actor))
    }

    /// A new second factor of a log-in, by whoever has logged in; with a code of the one before, where there is one.
    pub fn enrol_own_factor(&self, caller: &Caller, code: Option<&str>) -> Result<String, ActError> {
        let owner = factor_owner(&caller.login);
        if self.ledger.factor(&owner)?.is_some_and(|factor| factor.confirmed) {
            self.use_code(&owner, &owner, code.unwrap_or_default())?;
        } else if !self.factor_shown(&caller.login)? {
            return Err(ActError::Denied(PasskeyError::ShowFirst.to_string()));
        }
        let by = caller.people.iter().next().map(String::as_str);
        Ok(self.new_factor(&owner, ledger::Stamp { at: self.now(), by })?.0)
    }

    /// Takes a code of the caller's: they show anew who they are.
    pub fn step_up_own(&self, caller: &Caller, code: &str) -> Result<(), ActError> {
        let owner = factor_owner(&caller.login);
        self.use_code(&owner, &owner, code).map(drop)
    }

    fn new_factor(&self, person: &str, stamp: ledger::Stamp<'_>) -> Result<(String, LogPosition), ActError> {
        let unreadable = || FactorError::Unreadable(person.to_owned());
        let secret = Secret::generate_secret().to_bytes().map_err(|_| unreadable())?;
        let sealed = self.vault.seal_small(&purpose(person), &secret).map_err(crate::OpenError::Vault)?;
        let uri = totp(secret, person).ok_or_else(unreadable)?.get_url();
        let place = self.ledger.enrol_factor(stamp, person, &hex::encode(sealed))?;
        Ok((uri, place))
    }

    /// Takes a person's code: a log-in, which lets them ask about items that want a second factor for the minutes that
    /// the rule set says. The first one confirms that the factor is in the right hands.
    pub fn step_up(&self, person: &str, code: &str) -> Result<LogPosition, ActError> {
        let actor = match person == self.person.as_deref().unwrap_or_default() {
            true => self.permitted(Action::StepUp)?.id().to_owned(),
            // Under a memorandum: only its people have such a factor.
            false => person.to_owned(),
        };
        self.use_code(person, &actor, code)
    }

    /// Takes a code of a factor, once.
    pub(crate) fn use_code(&self, person: &str, actor: &str, code: &str) -> Result<LogPosition, ActError> {
        let now = self.now();
        let factor = self.ledger.factor(person)?.filter(|_| self.is_somebody(person).unwrap_or(false));
        let factor = factor.ok_or_else(|| FactorError::NotEnrolled(person.to_owned()))?;
        if factor.is_locked(now) {
            return Err(FactorError::Locked.into());
        }
        let unreadable = || FactorError::Unreadable(person.to_owned());
        let sealed = hex::decode(&factor.sealed).map_err(|_| unreadable())?;
        let secret = self.vault.open_small(&purpose(person), &sealed).ok_or_else(unreadable)?;
        let totp = totp(secret.to_vec(), person).ok_or_else(unreadable)?;
        // A log-in is nobody by itself: its leaf says for whom it stands.
        let by = Some(actor).filter(|actor| !actor.starts_with('@'));
        let stamp = ledger::Stamp { at: now, by };
        let Some(step) = step_of(&totp, code, now.timestamp().unsigned_abs()) else {
            self.ledger.wrong_code(stamp, person)?;
            return Err(FactorError::Wrong.into());
        };
        match self.ledger.use_code(stamp, person, step)? {
            CodeUse::Taken(place) => Ok(place),
            CodeUse::UsedUp => Err(FactorError::UsedUp.into()),
            CodeUse::Closed => Err(FactorError::Locked.into()),
        }
    }

    /// Whether a person, under a memorandum or of the register, gave the second factor within so many minutes.
    pub fn stepped_up(
        &self,
        person: &str,
        memorandum: Option<&str>,
        within_minutes: u64,
    ) -> Result<bool, LedgerError> {
        let key = factor_key(person, memorandum);
        let within = Duration::try_minutes(i64::try_from(within_minutes).unwrap_or(0)).unwrap_or_default();
        let shown = |key: &str| -> Result<bool, LedgerError> {
            let age = self.ledger.stepped_up(key)?.map(|at| self.now() - at);
            // A log-in from the future is a clock that was set back: no proof of anything.
            Ok(age.is_some_and(|age| Duration::zero() <= age && age <= within))
        };
        let login = self.ledger.login_of_person(&key)?.map(|login| factor_owner(&login));
        Ok(shown(&key)? || login.map_or(Ok(false), |login| shown(&login))?)
    }

    /// Whether there is such a person, of the register or under a memorandum; or such a log-in.
    pub(crate) fn is_somebody(&self, id: &str) -> Result<bool, ActError> {
        if let Some(login) = id.strip_prefix('@') {
            return Ok(self.ledger.login(login)?.is_some());
        }
        if let Some((memorandum, person)) = id.split_once('/') {
            return Ok(self.memorandum(memorandum)?.is_some_and(|found| found.person(person).is_some()));
        }
        Ok(self.ledger.registered(id)?.is_some_and(|person| person.ended.is_none()))
    }
}

/// How a factor's owner is called: `MEMORANDUM/PERSON`, or the id in the register.
pub fn factor_key(person: &str, memorandum: Option<&str>) -> String {
    match memorandum {
        Some(memorandum) if !person.contains('/') => format!("{memorandum}/{person}"),
        _ => person.to_owned(),
    }
}

fn purpose(person: &str) -> String {
    format!("second factor {person}")
}

fn totp(secret: Vec<u8>, person: &str) -> Option<TOTP> {
    let issuer = Some("enclave".to_owned());
    // SHA-1 is what every authenticator understands; RFC 6238 does not depend on its collisions.
    TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP_SECONDS, secret, issuer, person.to_owned()).ok()
}

/// The time step whose code this is, now or one early or late.
fn step_of(totp: &TOTP, code: &str, seconds: u64) -> Option<u64> {
    let now = seconds / STEP_SECONDS;
    (now.saturating_sub(SKEW)..=now + SKEW).find(|step| totp.check(code, step * STEP_SECONDS))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 6238, appendix B, SHA-1; the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let totp = totp(b"12345678901234567890".to_vec(), "m/r1").unwrap();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = seconds / STEP_SECONDS;
            assert_eq!(step_of(&totp, code, seconds), Some(step), "{seconds}");
            assert_eq!(step_of(&totp, code, seconds + STEP_SECONDS), Some(step), "one step late");
            assert_eq!(step_of(&totp, code, seconds + 2 * STEP_SECONDS), None, "two steps late");
        }
        assert_eq!(step_of(&totp, "", 59), None);
    }
}
