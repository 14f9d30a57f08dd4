//! Who acts: [`Enclave::permitted`] looks a person up before every act; and the acts that change the register.

use std::collections::BTreeSet;

use chrono::Duration;
use disclosure_rules::PlanDigest;
use ledger::{Case, Event, LedgerError, LogPosition, PersonChange, Registered, Stamp};
use memoranda::PersonRole;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::acts::ActError;
use crate::approvals::Waiting;
use crate::enclave::Enclave;
use crate::permissions::Action;

/// Who acts until the first steward is registered.
pub const FOUNDER: &str = "founder";
/// For how many days the approval of an act can be used.
const APPROVAL_DAYS: u32 = 30;

/// Somebody who may do what is about to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    id: String,
}

impl Actor {
    /// A person of the register, `MEMORANDUM/PERSON`, or `founder`.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Why somebody is not let in.
enum NotIn {
    /// Said in the message; the id is one of ours.
    Known(String),
    /// An id that may be anything that was typed.
    Unknown(String),
}

impl Enclave {
    /// The same enclave, used by a person of the register, or by `MEMORANDUM/PERSON`.
    pub fn acting_as(mut self, person: Option<String>) -> Enclave {
        self.person = person;
        self
    }

    /// The same enclave, used from elsewhere: nobody there is the founder.
    pub fn from_elsewhere(mut self) -> Enclave {
        self.at_machine = false;
        self
    }

    /// Whoever acts, if the table of permissions lets them. A "no" is a leaf.
    pub fn permitted(&self, action: Action) -> Result<Actor, ActError> {
        if action.is_open() {
            return Ok(Actor {
                id: self.person.clone().unwrap_or_else(|| PersonRole::Public.name().to_owned()),
            });
        }
        let founded = self.ledger.founded()?;
        let found = match &self.person {
            Some(id) => self.let_in(id, action)?,
            None => Err(NotIn::Unknown("say who acts, with `--as PERSON`".to_owned())),
        };
        let denied = match found {
            Ok(()) => {
                let id = self.person.clone().unwrap_or_default();
                self.ledger.note_seen(self.now(), &id)?;
                return Ok(Actor { id });
            }
            Err(NotIn::Unknown(_)) if !founded && self.at_machine => {
                return Ok(Actor { id: FOUNDER.to_owned() });
            }
            Err(denied) => denied,
        };
        let (person, message) = match denied {
            NotIn::Known(message) => (self.person.as_deref(), message),
            NotIn::Unknown(message) => (None, message),
        };
        let facts = json!({ "rule": "permission", "act": action.name(), "person": person });
        self.ledger.append(self.now(), Event::Refusal, facts)?;
        Err(ActError::Denied(message))
    }

    /// The moment, and who acts in it.
    pub fn stamp<'a>(&self, actor: &'a Actor) -> Stamp<'a> {
        Stamp { at: self.now(), by: Some(&actor.id) }
    }

    fn let_in(&self, id: &str, action: Action) -> Result<Result<(), NotIn>, ActError> {
        let roles = match (self.ledger.registered(id)?, id.split_once('/')) {
            (Some(person), _) if person.ended.is_none() => person.roles,
            (None, Some((memorandum, person))) => {
                match self.memorandum(memorandum)?.filter(|found| found.is_in_force(self.today())) {
                    Some(found) if self.ledger.ended(memorandum)?.is_none() => {
                        found.person(person).map(|person| person.role).into_iter().collect()
                    }
                    _ => BTreeSet::new(),
                }
            }
            _ => BTreeSet::new(),
        };
        if roles.is_empty() {
            return Ok(Err(NotIn::Unknown("nobody of this id is registered".to_owned())));
        }
        let elsewhere = action.is_under_memorandum() && !id.contains('/');
        let counts = |role: &&PersonRole| !(elsewhere && **role == PersonRole::Researcher);
        if !roles.iter().filter(counts).any(|role| action.permits(*role)) {
            let needed: Vec<_> = action.permission().roles.iter().map(|role| role.name()).collect();
            let message =
                format!("`{id}` may not {}: that takes one of {}", action.name(), needed.join(", "));
            return Ok(Err(NotIn::Known(message)));
        }
        // Where no steward is left who could let anybody in, a steward is not kept out.
        let last = roles.contains(&PersonRole::Steward) && self.active(PersonRole::Steward)?.is_empty();
        if !last && self.is_dormant(id)? {
            let days = self.ledger.dormant_days()?;
            let message = format!(
                "`{id}` was not seen for {days} days: a steward lets them in again with `enclave people renew {id}`"
            );
            return Ok(Err(NotIn::Known(message)));
        }
        Ok(Ok(()))
    }

    /// Whether somebody, of the register or `MEMORANDUM/PERSON`, was not seen for longer than the policy allows.
    pub fn is_dormant(&self, id: &str) -> Result<bool, LedgerError> {
        let days = Duration::days(i64::from(self.ledger.dormant_days()?));
        Ok(self.ledger.seen(id)?.is_some_and(|seen| self.now() - seen > days))
    }

    /// Everybody who holds a role and is not dormant.
    fn active(&self, role: PersonRole) -> Result<Vec<Registered>, LedgerError> {
        let days = self.ledger.dormant_days()?;
        let active = |person: &Registered| person.holds(role) && !person.is_dormant(self.now(), days);
        Ok(self.ledger.people()?.into_iter().filter(active).collect())
    }

    /// Whether somebody may vote now: a member of the board who is not dormant.
    pub fn may_vote(&self, id: &str) -> Result<bool, LedgerError> {
        Ok(self.active(PersonRole::Board)?.iter().any(|person| person.id == id))
    }

    /// Lets an act through that takes two people, once a member of the board has approved it with this very text;
    /// until then it waits. Called last, when nothing else can keep the act back. `text` is what is approved,
    /// `reasons` say why it takes two.
    pub fn two_people(
        &self,
        actor: &Actor,
        action: Action,
        text: &str,
        reasons: &[String],
    ) -> Result<(), ActError> {
        let missing = [PersonRole::Steward, PersonRole::Board];
        for role in missing {
            if self.active(role)?.is_empty() {
                return Err(ActError::Denied(format!(
                    "this takes a steward and a member of the board ({}); register both first: \
                     `enclave people add ID --name NAME --role ROLE`",
                    reasons.join("; ")
                )));
            }
        }
        let mut hash = Sha256::new();
        for part in ["act v1", action.name(), text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = PlanDigest(hash.finalize().into());
        if self.ledger.use_approval(self.now(), digest, actor.id())?.is_some() {
            return Ok(());
        }
        let case = Case {
            subject: action.name(),
            digest,
            memorandum: None,
            person: actor.id(),
            votes: 1,
            days: APPROVAL_DAYS,
            file: &json!({ "text": text, "reasons": reasons }),
            facts: json!({ "reasons": reasons }),
        };
        let approval = self.ledger.escalate(self.now(), &case)?;
        let state = approval.state(self.now()).name();
        Err(ActError::Waiting(Waiting { approval: approval.id, state, reasons: reasons.to_vec() }))
    }

    /// Registers somebody.
    pub fn add_person(
        &self,
        id: &str,
        name: &str,
        roles: &BTreeSet<PersonRole>,
    ) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::ChangePeople)?;
        let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let reserved = [FOUNDER, PersonRole::Public.name(), "nobody"].contains(&id);
        if !plain || id.is_empty() || id.len() > 64 || reserved {
            let message =
                format!("`{id}` is not an id, or is reserved: use up to 64 letters, digits, `-`, `_`, `.`");
            return Err(ActError::Mistakes { what: "the person", mistakes: vec![message] });
        }
        if name.trim().is_empty() {
            let message = "a name is needed: it stands in the log".to_owned();
            return Err(ActError::Mistakes { what: "the person", mistakes: vec![message] });
        }
        self.change_register(&actor, &PersonChange::Add { id, name, roles })
    }

    /// Gives somebody other roles.
    pub fn change_roles(&self, id: &str, roles: &BTreeSet<PersonRole>) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::ChangePeople)?;
        self.change_register(&actor, &PersonChange::Roles { id, roles })
    }

    /// Removes somebody.
    pub fn remove_person(&self, id: &str) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::ChangePeople)?;
        self.change_register(&actor, &PersonChange::Remove { id })
    }

    /// Lets a dormant person in again.
    pub fn renew_person(&self, id: &str) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::ChangePeople)?;
        if self.ledger.seen(id)?.is_none() {
            return Err(ActError::People(ledger::PeopleError::Unknown(id.to_owned())));
        }
        Ok(self.ledger.renew_person(self.stamp(&actor), id)?)
    }

    /// After how many days without being seen people lose access.
    pub fn set_dormant_days(&self, days: u32) -> Result<LogPosition, ActError> {
        let actor = self.permitted(Action::ChangePeople)?;
        Ok(self.ledger.set_dormant_days(self.stamp(&actor), days)?)
    }

    /// Everybody who is or was registered.
    pub fn people(&self) -> Result<Vec<Registered>, ActError> {
        self.permitted(Action::ReadPeople)?;
        Ok(self.ledger.people()?)
    }

    fn change_register(&self, actor: &Actor, change: &PersonChange<'_>) -> Result<LogPosition, ActError> {
        let (id, text, roles) = match change {
            PersonChange::Add { id, name, roles } => (*id, format!("add {id} {name}"), Some(*roles)),
            PersonChange::Roles { id, roles } => (*id, format!("role {id}"), Some(*roles)),
            PersonChange::Remove { id } => (*id, format!("remove {id}"), None),
        };
        // What cannot be is not put before the board.
        roles.map_or(Ok(()), ledger::check_roles)?;
        // Else one steward could appoint, or dismiss, the second person.
        let before = self.ledger.registered(id)?;
        let was = before.as_ref().is_some_and(|person| person.holds(PersonRole::Board));
        let is = roles.is_some_and(|roles| roles.contains(&PersonRole::Board));
        let has_board = self.ledger.people()?.iter().any(|person| person.holds(PersonRole::Board));
        if is
            && let Some(login) = self.ledger.login_of_person(id)?
            && let Some(login) = self.ledger.login(&login)?
            && login.people.len() > 1
        {
            return Err(ActError::Denied(format!(
                "`{id}` shares a log-in with others: a member of the board has one of their own"
            )));
        }
        if was != is && has_board && self.ledger.founded()? {
            let names: Vec<_> = roles.into_iter().flatten().map(|role| role.name()).collect();
            let reason = format!("`{id}` {} the board", if is { "joins" } else { "leaves" });
            self.two_people(actor, Action::ChangePeople, &format!("{text}: {}", names.join(" ")), &[reason])?;
        }
        Ok(self.ledger.change_person(self.stamp(actor), change)?)
    }
}
