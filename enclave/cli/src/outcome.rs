//! [`Outcome`]: why a command did not do what was asked, and the exit code that says so.

use std::io::Write;
use std::process::ExitCode;

use gate::{ActError, Failure, OpenError};
use gate::{Refusal, Waiting};

/// Not done.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Exit code 1.
    Internal(String),
    /// Exit code 2.
    Invalid(String),
    /// Exit code 3.
    Refused(Box<Refusal>),
    /// Exit code 3: whoever acts may not.
    Denied(String),
    /// Exit code 4.
    Exhausted(String),
    /// Exit code 5.
    Waiting(Waiting),
    /// The message was written already.
    Told(u8),
}

pub(crate) type Done = Result<(), Outcome>;

impl Outcome {
    pub(crate) fn report(self) -> ExitCode {
        let code = self.code();
        match self {
            Outcome::Internal(message) | Outcome::Invalid(message) | Outcome::Exhausted(message) => {
                say(&format!("error: {message}"))
            }
            Outcome::Denied(message) => say(&format!("refused: {message}")),
            Outcome::Refused(refusal) => say(&refusal.to_string()),
            Outcome::Waiting(waiting) => say(&waiting.to_string()),
            Outcome::Told(_) => {}
        }
        ExitCode::from(code)
    }

    /// What it says.
    pub(crate) fn message(&self) -> String {
        match self {
            Outcome::Internal(message)
            | Outcome::Invalid(message)
            | Outcome::Exhausted(message)
            | Outcome::Denied(message) => message.clone(),
            Outcome::Refused(refusal) => refusal.to_string(),
            Outcome::Waiting(waiting) => waiting.to_string(),
            Outcome::Told(_) => String::new(),
        }
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Outcome::Internal(_) => 1,
            Outcome::Invalid(_) => 2,
            Outcome::Refused(_) | Outcome::Denied(_) => 3,
            Outcome::Exhausted(_) => 4,
            Outcome::Waiting(_) => 5,
            Outcome::Told(code) => *code,
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        match failure {
            Failure::Refused(refusal) => Outcome::Refused(Box::new(refusal)),
            Failure::Waiting(waiting) => Outcome::Waiting(waiting),
            Failure::Exhausted(exhausted) => Outcome::Exhausted(exhausted.to_string()),
            Failure::Open(error) => error.into(),
            Failure::Ledger(error) => Outcome::Internal(error.to_string()),
        }
    }
}

impl From<OpenError> for Outcome {
    fn from(error: OpenError) -> Outcome {
        match error {
            OpenError::Vault(
                vault::VaultError::Exists(_)
                | vault::VaultError::NoHome(_)
                | vault::VaultError::NoRootKey(_)
                | vault::VaultError::SharedRootKey(_)
                | vault::VaultError::Root(_)
                | vault::VaultError::Escrow(_)
                | vault::VaultError::Store(_),
            ) => Outcome::Invalid(error.to_string()),
            _ => Outcome::Internal(error.to_string()),
        }
    }
}

impl From<ActError> for Outcome {
    fn from(error: ActError) -> Outcome {
        match error {
            ActError::Open(error) => error.into(),
            ActError::Denied(message) => Outcome::Denied(message),
            ActError::Factor(error) => Outcome::Denied(error.to_string()),
            ActError::Waiting(waiting) => Outcome::Waiting(waiting),
            ActError::Ledger(ledger::LedgerError::AlreadyPublished { .. }) => {
                Outcome::Invalid(error.to_string())
            }
            ActError::Ledger(error) => Outcome::Internal(error.to_string()),
            other => Outcome::Invalid(other.to_string()),
        }
    }
}

impl From<gate::logins::EntryError> for Outcome {
    fn from(error: gate::logins::EntryError) -> Outcome {
        match error {
            gate::logins::EntryError::Act(error) => error.into(),
            gate::logins::EntryError::LogIn(gate::logins::LogInError::Ledger(error)) => error.into(),
            other => Outcome::Invalid(other.to_string()),
        }
    }
}

impl From<ledger::VoteError> for Outcome {
    fn from(error: ledger::VoteError) -> Outcome {
        match error {
            ledger::VoteError::Ledger(error) => error.into(),
            other => Outcome::Invalid(other.to_string()),
        }
    }
}

impl From<ledger::LedgerError> for Outcome {
    fn from(error: ledger::LedgerError) -> Outcome {
        Outcome::Internal(error.to_string())
    }
}

/// A message for a person.
pub(crate) fn say(message: &str) {
    // With stderr closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Data. A closed pipe is not an error: the reader has had enough.
pub(crate) fn put(data: &[u8]) -> Done {
    let mut out = std::io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Outcome::Internal(format!("cannot write: {error}")))
        }
        _ => Ok(()),
    }
}
