//! Log-ins: passwords (Argon2id, RFC 9106), sessions, tokens and invitations. What is handed out is a secret of 256
//! random bits; it opens what its owner's people may do, and nothing else.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use ledger::{Joining, LogIn, NewSecret, Stamp};
pub use ledger::{LogInError, Secret, SecretKind};
use memoranda::PersonRole;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;
use zxcvbn::{Score, zxcvbn};

use crate::acts::ActError;
use crate::enclave::Enclave;
use crate::factor::FactorError;
use crate::permissions::Action;

/// Days for which an invitation is good.
const INVITATION_DAYS: i64 = 7;
/// The longest life of a token.
pub const TOKEN_DAYS: u32 = 366;
/// How often the moment of a secret's last use is written, at most.
const SEEN_SECONDS: i64 = 60;
/// Fewest and most characters of a password (ASVS 5.0, 6.2.1 and 6.2.9).
const PASSWORD: std::ops::RangeInclusive<usize> = 15..=128;
/// RFC 9106, section 4, second recommended option.
const ARGON2: (u32, u32, u32) = (64 * 1024, 3, 4);

/// What a session or token lets do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Read what the person may read.
    Read,
    /// Preview questions.
    Preview,
    /// Ask, at a charge.
    Ask,
    /// Everything else that the person may do: sessions only.
    Act,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Preview, Scope::Ask, Scope::Act];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Preview => "preview",
            Scope::Ask => "ask",
            Scope::Act => "act",
        }
    }
}

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without being used.
    pub idle: Duration,
    /// In all.
    pub absolute: Duration,
}

/// Somebody who has shown a session or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The log-in.
    pub login: String,
    /// Whom it stands for now.
    pub people: BTreeSet<String>,
    /// What the secret lets do.
    pub scopes: BTreeSet<Scope>,
    /// The one memorandum that a token is for.
    pub memorandum: Option<String>,
    /// The secret.
    pub secret: Secret,
}

impl Caller {
    /// Whether the secret lets act as one of the log-in's people.
    pub fn stands_for(&self, person: &str) -> bool {
        let own = |memorandum: &str| person.split_once('/').is_some_and(|(of, _)| of == memorandum);
        self.people.contains(person) && self.memorandum.as_deref().is_none_or(own)
    }

    /// The person under a memorandum: `MEMORANDUM/PERSON`.
    pub fn under(&self, memorandum: &str) -> Option<&str> {
        let allowed = self.memorandum.as_deref().is_none_or(|own| own == memorandum);
        let of = |person: &&String| person.split_once('/').is_some_and(|(own, _)| own == memorandum);
        self.people.iter().find(of).filter(|_| allowed).map(String::as_str)
    }

    /// The person of the register.
    pub fn registered(&self) -> Option<&str> {
        let registered = self.people.iter().find(|person| !person.contains('/'));
        registered.filter(|_| self.memorandum.is_none()).map(String::as_str)
    }

    /// The memoranda whose people these are.
    pub fn memoranda(&self) -> impl Iterator<Item = &str> {
        let all = self.people.iter().filter_map(|person| Some(person.split_once('/')?.0));
        all.filter(|id| self.memorandum.as_deref().is_none_or(|own| own == *id))
    }

    /// Whether the secret lets do that.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Why nobody is let in. Each says the same of a name that does not exist as of one that does.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Wrong name, password or code, or locked.
    #[error(
        "name, password or code is wrong, or the log-in is locked for {} minutes after too many wrong ones",
        ledger::LOCKED_MINUTES
    )]
    Wrong,
    /// Of a session or token.
    #[error("this session or token is not good, or not any more: log in again")]
    NotGood,
    /// Of a password that is to be set.
    #[error("{0}")]
    Password(&'static str),
    /// Of an invitation or a name.
    #[error(transparent)]
    LogIn(#[from] LogInError),
    /// Whoever acts may not.
    #[error(transparent)]
    Act(#[from] ActError),
}

impl From<ledger::LedgerError> for EntryError {
    fn from(error: ledger::LedgerError) -> EntryError {
        EntryError::LogIn(error.into())
    }
}

/// Somebody who has shown name and password, and not yet the second factor.
pub struct PasswordShown(LogIn);

impl PasswordShown {
    /// The log-in.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub(crate) fn log_in(&self) -> &LogIn {
        &self.0
    }
}

/// A secret as it is told, once.
pub type Told = Zeroizing<String>;

impl Enclave {
    /// A secret with which the first steward registers, where nobody has yet.
    pub fn set_up_secret(&self) -> Result<Told, EntryError> {
        if self.ledger.founded()? {
            return Err(denied(
                "a steward is registered already: stewards invite with `enclave people invite ID`",
            ));
        }
        let expires = self.now() + Duration::days(INVITATION_DAYS);
        Ok(self.hand_out(self.now().into(), SecretKind::SetUp, "", "", "", expires)?.0)
    }

    /// Registers the first steward, with a log-in of their own.
    pub fn set_up(
        &self,
        secret: &str,
        id: &str,
        name: &str,
        login: &str,
        password: &str,
    ) -> Result<(), EntryError> {
        let digest = digest(secret);
        let found = self.ledger.secret(&digest)?.filter(|found| found.kind == SecretKind::SetUp);
        found.filter(|found| self.is_good(found)).ok_or(LogInError::NotInvited)?;
        if self.ledger.founded()? {
            return Err(LogInError::NotInvited.into());
        }
        let hash = self.new_password(login, password)?;
        if self.ledger.login(login)?.is_some() {
            return Err(LogInError::Taken(login.to_owned()).into());
        }
        let founder = Enclave { person: None, at_machine: true, ..self.clone() };
        founder.add_person(id, name, &BTreeSet::from([PersonRole::Steward]))?;
        let joining = Joining::New { name: login, password: Some(&hash), subject: None };
        self.ledger.take_up(Stamp { at: self.now(), by: Some(id) }, &digest, id, joining)?;
        Ok(())
    }

    /// Invites a person, of the register or `MEMORANDUM/PERSON`, to make a log-in.
    pub fn invite(&self, person: &str) -> Result<(Told, DateTime<Utc>), EntryError> {
        let actor = self.permitted(Action::InvitePeople)?;
        if !self.is_somebody(person)? {
            return Err(ActError::People(ledger::PeopleError::Unknown(person.to_owned())).into());
        }
        // Else one steward could come in as the second person.
        let board = self.is_board(person)?;
        if board && self.ledger.login_of_person(person)?.is_some() {
            let reason = format!("`{person}` is a member of the board, and has a log-in");
            self.two_people(&actor, Action::InvitePeople, &format!("invite {person} again"), &[reason])?;
        }
        let expires = self.now() + Duration::days(INVITATION_DAYS);
        let stamp = self.stamp(&actor);
        Ok((self.hand_out(stamp, SecretKind::Invitation, person, "", "", expires)?.0, expires))
    }

    /// Whom an invitation is for.
    pub fn invited(&self, secret: &str) -> Result<String, EntryError> {
        let found = self.ledger.secret(&digest(secret))?;
        let found = found.filter(|found| found.kind == SecretKind::Invitation && self.is_good(found));
        Ok(found.ok_or(LogInError::NotInvited)?.owner)
    }

    /// Takes an invitation up with a new log-in.
    pub fn accept(&self, secret: &str, login: &str, password: &str) -> Result<String, EntryError> {
        let person = self.invited(secret)?;
        let hash = self.new_password(login, password)?;
        let joining = Joining::New { name: login, password: Some(&hash), subject: None };
        self.ledger.take_up(
            Stamp { at: self.now(), by: Some(&person) },
            &digest(secret),
            &person,
            joining,
        )?;
        Ok(person)
    }

    /// Takes an invitation up with a log-in that is there: somebody works under one more memorandum.
    pub fn accept_as(&self, secret: &str, caller: &Caller) -> Result<String, EntryError> {
        let person = self.invited(secret)?;
        self.check_apart(&person, &caller.people)?;
        let stamp = Stamp { at: self.now(), by: Some(&person) };
        self.ledger.take_up(stamp, &digest(secret), &person, Joining::Existing(&caller.login))?;
        Ok(person)
    }

    /// A member of the board has a log-in of their own: who decides does not also ask, sign or ingest.
    pub(crate) fn check_apart(&self, person: &str, others: &BTreeSet<String>) -> Result<(), EntryError> {
        let mut board = self.is_board(person)?;
        for other in others.iter().filter(|other| *other != person) {
            board = board || self.is_board(other)?;
        }
        if board && others.iter().any(|other| other != person) {
            return Err(denied("a member of the board has a log-in of their own: choose a new one"));
        }
        Ok(())
    }

    fn is_board(&self, person: &str) -> Result<bool, EntryError> {
        Ok(self.ledger.registered(person)?.is_some_and(|found| found.holds(PersonRole::Board)))
    }

    /// Takes an invitation up with a subject of an identity provider: with the log-in that it has, whatever that is
    /// called, or else with a new one called `login`.
    pub fn accept_subject(&self, secret: &str, login: &str, subject: &str) -> Result<String, EntryError> {
        let person = self.invited(secret)?;
        let there = self.ledger.login_of_subject(subject)?;
        let joining = match &there {
            Some(there) => {
                self.check_apart(&person, &there.people)?;
                Joining::Existing(&there.name)
            }
            None => {
                check_name(login)?;
                Joining::New { name: login, password: None, subject: Some(subject) }
            }
        };
        let stamp = Stamp { at: self.now(), by: Some(&person) };
        self.ledger.take_up(stamp, &digest(secret), &person, joining)?;
        Ok(person)
    }

    /// Takes name and password. Takes as long for a name that is not there.
    pub fn show_password(&self, name: &str, password: &str) -> Result<PasswordShown, EntryError> {
        let login = self.ledger.login(name)?;
        let hash = login.as_ref().and_then(|login| login.password.as_deref());
        let right = matches(hash, password);
        let now = self.now();
        match login {
            Some(login) if right && !login.is_locked(now) => Ok(PasswordShown(login)),
            login => {
                self.ledger.wrong_password(now, login.as_ref())?;
                Err(EntryError::Wrong)
            }
        }
    }

    /// Lets somebody in by name and password, and by a code where the log-in has a second factor; who has passkeys and no
    /// codes comes in by [`Enclave::log_in_by_passkey`].
    pub fn log_in(
        &self,
        name: &str,
        password: &str,
        code: Option<&str>,
        limits: SessionLimits,
    ) -> Result<(Told, Caller), EntryError> {
        let shown = self.show_password(name, password)?;
        let key = factor_owner(name);
        let codes = self.ledger.factor(&key)?;
        // Codes count from when they are enrolled: new ones in place of those before leave no gap. The first confirms them.
        let wanted = codes.is_some() || self.has_passkeys(name)?;
        let taken = match code {
            Some(code) if codes.is_some() => self.use_code(&key, &key, code).map(|_| ()),
            _ if wanted => Err(FactorError::NotEnrolled(key).into()),
            _ => Ok(()),
        };
        match taken {
            Ok(()) => {}
            // A wrong code has its leaf.
            Err(ActError::Factor(FactorError::Wrong)) => return Err(EntryError::Wrong),
            Err(_) => {
                self.ledger.factor_missing(self.now(), &shown.0)?;
                return Err(EntryError::Wrong);
            }
        }
        self.open_session(&shown.0, "password", limits)
    }

    /// Lets in whom an identity provider vouches for.
    pub fn log_in_subject(&self, subject: &str, limits: SessionLimits) -> Result<(Told, Caller), EntryError> {
        let login = self.ledger.login_of_subject(subject)?.ok_or(EntryError::Wrong)?;
        self.open_session(&login, "identity provider", limits)
    }

    pub(crate) fn open_session(
        &self,
        login: &LogIn,
        method: &str,
        limits: SessionLimits,
    ) -> Result<(Told, Caller), EntryError> {
        let now = self.now();
        if !self.ledger.logged_in(now, login, method)? {
            return Err(EntryError::Wrong);
        }
        let scope = scope_text(&Scope::ALL.into(), None);
        let (told, secret) =
            self.hand_out(now.into(), SecretKind::Session, &login.name, "", &scope, now + limits.absolute)?;
        let caller = Caller {
            login: login.name.clone(),
            people: login.people.clone(),
            scopes: Scope::ALL.into(),
            memorandum: None,
            secret,
        };
        Ok((told, caller))
    }

    /// Whoever shows a session or token.
    pub fn caller(&self, secret: &str, limits: SessionLimits) -> Result<Caller, EntryError> {
        let found = self.ledger.secret(&digest(secret))?.filter(|found| self.is_good(found));
        let secret = found.ok_or(EntryError::NotGood)?;
        let idle = secret.kind == SecretKind::Session && self.now() - secret.seen > limits.idle;
        if idle || !matches!(secret.kind, SecretKind::Session | SecretKind::Token) {
            return Err(EntryError::NotGood);
        }
        let login = self.ledger.login(&secret.owner)?.ok_or(EntryError::NotGood)?;
        // So often that who goes on working is not found idle.
        let every = Duration::seconds(SEEN_SECONDS).min(limits.idle / 8);
        self.ledger.note_used(self.now(), &secret, every)?;
        let (scopes, memorandum) = read_scope(&secret.scope);
        let people = self.still_there(login.people)?;
        Ok(Caller { login: login.name, people, scopes, memorandum, secret })
    }

    /// The memoranda under which a caller reads: dormant people do nothing.
    pub fn memoranda_of(&self, caller: &Caller) -> Result<BTreeSet<String>, ledger::LedgerError> {
        let mut found = BTreeSet::new();
        for id in caller.memoranda() {
            if let Some(person) = caller.under(id)
                && !self.is_dormant(person)?
            {
                found.insert(id.to_owned());
            }
        }
        Ok(found)
    }

    /// Those who were not removed, from the register or from their memorandum.
    fn still_there(&self, people: BTreeSet<String>) -> Result<BTreeSet<String>, EntryError> {
        let mut there = BTreeSet::new();
        for person in people {
            if self.is_somebody(&person)? {
                there.insert(person);
            }
        }
        Ok(there)
    }

    /// Ends every session and token of a person, as a steward does when something was lost.
    pub fn end_access(&self, person: &str) -> Result<bool, EntryError> {
        let actor = self.permitted(Action::InvitePeople)?;
        let Some(login) = self.ledger.login_of_person(person)? else { return Ok(false) };
        self.ledger.end_secrets(self.stamp(&actor), &login)?;
        Ok(true)
    }

    /// A token for programs, which lets do no more than `scopes`, under one memorandum where it names one.
    pub fn issue_token(
        &self,
        caller: &Caller,
        label: &str,
        scopes: &BTreeSet<Scope>,
        memorandum: Option<&str>,
        days: u32,
    ) -> Result<(Told, Secret), EntryError> {
        if !caller.may(Scope::Act) {
            return Err(denied("a token is made within a session"));
        }
        if scopes.contains(&Scope::Act) || scopes.is_empty() {
            return Err(mistaken("the token", "a token reads, previews or asks: name at least one"));
        }
        if memorandum.is_some_and(|id| caller.under(id).is_none()) {
            return Err(denied("this is not your memorandum"));
        }
        if !(1..=TOKEN_DAYS).contains(&days) || label.is_empty() || label.chars().count() > 64 {
            return Err(mistaken(
                "the token",
                "a token has a label of 1 to 64 characters, and lasts 1 to 366 days",
            ));
        }
        let by = caller.people.iter().next().map(String::as_str);
        let stamp = Stamp { at: self.now(), by };
        let expires = self.now() + Duration::days(i64::from(days));
        let scope = scope_text(scopes, memorandum);
        self.hand_out(stamp, SecretKind::Token, &caller.login, label, &scope, expires)
    }

    /// The tokens of a log-in that are good.
    pub fn tokens(&self, caller: &Caller) -> Result<Vec<Secret>, EntryError> {
        let all = self.ledger.secrets(SecretKind::Token, &caller.login)?;
        Ok(all.into_iter().filter(|secret| self.is_good(secret)).collect())
    }

    /// Ends a session or token of the caller's. Says whether there was one.
    pub fn end_secret(&self, caller: &Caller, id: u64) -> Result<bool, EntryError> {
        Ok(self.ledger.end_secret(self.now(), &caller.login, id)?)
    }

    /// Another password; all sessions and tokens end.
    pub fn change_password(&self, caller: &Caller, old: &str, new: &str) -> Result<(), EntryError> {
        let login = self.ledger.login(&caller.login)?.ok_or(EntryError::NotGood)?;
        if login.is_locked(self.now()) {
            return Err(EntryError::Wrong);
        }
        if !matches(login.password.as_deref(), old) {
            self.ledger.wrong_password(self.now(), Some(&login))?;
            return Err(EntryError::Wrong);
        }
        let hash = self.new_password(&caller.login, new)?;
        let stamp = Stamp { at: self.now(), by: caller.people.iter().next().map(String::as_str) };
        self.ledger.set_password(stamp, &caller.login, &hash)?;
        Ok(self.ledger.end_secrets(stamp, &caller.login)?)
    }

    fn is_good(&self, secret: &Secret) -> bool {
        secret.ended.is_none() && self.now() < secret.expires
    }

    fn new_password(&self, login: &str, password: &str) -> Result<String, EntryError> {
        check_name(login)?;
        check_password(login, password)?;
        hashed(password)
    }

    fn hand_out(
        &self,
        stamp: Stamp<'_>,
        kind: SecretKind,
        owner: &str,
        label: &str,
        scope: &str,
        expires: DateTime<Utc>,
    ) -> Result<(Told, Secret), EntryError> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| EntryError::NotGood)?;
        // The prefix lets scanners of repositories find a token that was committed by mistake.
        let told =
            Zeroizing::new(format!("enclave-{}-{}", kind.name(), &*Zeroizing::new(hex::encode(*bytes))));
        let digest = digest(&told);
        self.ledger.hand_out(stamp, &NewSecret { digest, kind, owner, label, scope, expires })?;
        let secret = self.ledger.secret(&digest)?.ok_or(EntryError::NotGood)?;
        Ok((told, secret))
    }
}

/// Whose second factor it is: a log-in's.
pub fn factor_owner(login: &str) -> String {
    format!("@{login}")
}

fn denied(message: &str) -> EntryError {
    EntryError::Act(ActError::Denied(message.to_owned()))
}

fn mistaken(what: &'static str, message: &str) -> EntryError {
    EntryError::Act(ActError::Mistakes { what, mistakes: vec![message.to_owned()] })
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

fn check_name(login: &str) -> Result<(), EntryError> {
    let plain = login.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@+".contains(&b));
    if plain && (1..=64).contains(&login.len()) && !login.starts_with('@') {
        return Ok(());
    }
    Err(mistaken("the log-in", "a log-in has up to 64 letters, digits, `-`, `_`, `.`, `@`, `+`"))
}

/// Length counts, not composition (NIST SP 800-63B-4, 3.1.1.2); what is guessed in fewer than 10⁸ attempts, by common
/// passwords, words, dates and rows of keys, is refused at that length too (Wheeler, USENIX Security 2016).
fn check_password(login: &str, password: &str) -> Result<(), EntryError> {
    if !PASSWORD.contains(&password.chars().count()) {
        return Err(EntryError::Password(
            "a password has 15 to 128 characters: several words are easy to remember",
        ));
    }
    let named = login.len() >= 4 && password.to_lowercase().contains(&login.to_lowercase());
    if named || zxcvbn(password, &[login, "enclave"]).score() < Score::Three {
        return Err(EntryError::Password(
            "this password is easily guessed: choose several words of your own",
        ));
    }
    Ok(())
}

fn config() -> argon2::Config<'static> {
    let (mem_cost, time_cost, lanes) = ARGON2;
    argon2::Config {
        variant: argon2::Variant::Argon2id,
        mem_cost,
        time_cost,
        lanes,
        ..argon2::Config::default()
    }
}

fn hashed(password: &str) -> Result<String, EntryError> {
    let mut salt = [0_u8; 16];
    SystemRandom::new().fill(&mut salt).map_err(|_| EntryError::NotGood)?;
    argon2::hash_encoded(password.as_bytes(), &salt, &config()).map_err(|_| EntryError::NotGood)
}

/// Whether a password is right. Without a hash it takes as long, and is wrong.
fn matches(hash: Option<&str>, password: &str) -> bool {
    match hash {
        Some(hash) => argon2::verify_encoded(hash, password.as_bytes()).unwrap_or(false),
        None => {
            let _ = argon2::hash_raw(password.as_bytes(), &[0; 16], &config());
            false
        }
    }
}

fn scope_text(scopes: &BTreeSet<Scope>, memorandum: Option<&str>) -> String {
    let mut text = scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ");
    if let Some(id) = memorandum {
        text += &format!(" memorandum={id}");
    }
    text
}

fn read_scope(text: &str) -> (BTreeSet<Scope>, Option<String>) {
    let words = || text.split(' ');
    let scopes =
        words().filter_map(|word| Scope::ALL.into_iter().find(|scope| scope.name() == word)).collect();
    (scopes, words().find_map(|word| word.strip_prefix("memorandum=")).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_easily_guessed_is_no_password() {
        let guessed = [
            "passwordpassword",
            "123456789012345",
            "qwertyuiopasdfgh",
            "aaaaaaaaaaaaaaaaaaaa",
            "enclaveenclaveenclave",
            "iloveyouiloveyou",
            "my login is hanako, of Sendai",
        ];
        for password in guessed {
            assert!(check_password("hanako", password).is_err(), "{password}");
        }
        let good = ["seventeen herons cross the bay", "朝の海を白鷺が十七羽わたってゆく", "vK2#pQ9!xL5mRt7w"];
        for password in good {
            assert!(check_password("hanako", password).is_ok(), "{password}");
        }
    }
}
