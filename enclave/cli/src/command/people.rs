//! `enclave people add|role|remove|renew|list|policy|permissions|factor` and `enclave step-up`

use std::collections::BTreeSet;
use std::path::Path;

use gate::factor::factor_key;
use gate::permissions::{self, TABLE};
use gate::{Action, Enclave};
use ledger::{LogPosition, Registered};
use memoranda::PersonRole;
use serde_json::json;

use crate::args::{FactorCommand, ListFormat, People, PeopleCommand, PeopleRole, StepUp};
use crate::command::{open, open_for, person};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &People) -> Done {
    match &args.command {
        PeopleCommand::Add { id, name, roles } => {
            let enclave = open(home)?;
            let founded = enclave.ledger().founded()?;
            let place = enclave.add_person(id, name, &chosen(roles))?;
            if !founded && enclave.ledger().founded()? {
                say("the founding is over: from now on every command says who acts, with `--as PERSON`");
            }
            done(&format!("registered {id}"), place)
        }
        PeopleCommand::Role { id, roles } => {
            done(&format!("changed {id}"), open(home)?.change_roles(id, &chosen(roles))?)
        }
        PeopleCommand::Remove { id } => done(&format!("removed {id}"), open(home)?.remove_person(id)?),
        PeopleCommand::Renew { id } => done(&format!("renewed {id}"), open(home)?.renew_person(id)?),
        PeopleCommand::Invite { id, url } => {
            let (secret, expires) = open(home)?.invite(id)?;
            let config = server::Config { public_url: url.clone(), ..server::Config::default() };
            say(&format!(
                "give this to {id} alone; it is good once, until {}",
                expires.format("%Y-%m-%d %H:%M UTC")
            ));
            put(format!("{}\n", server::join_link(&config, &secret)).as_bytes())
        }
        PeopleCommand::LogOut { id } => {
            let there = open(home)?.end_access(id)?;
            let said = if there { "ended every session and token of" } else { "no log-in yet:" };
            put(format!("{said} {id}\n").as_bytes())
        }
        PeopleCommand::List { format } => list(&open(home)?, *format),
        PeopleCommand::Policy { dormant_days: Some(days) } => {
            done(&format!("dormant after {days} days"), open(home)?.set_dormant_days(*days)?)
        }
        PeopleCommand::Policy { dormant_days: None } => {
            let days = open_for(home, Action::ReadPeople)?.ledger().dormant_days()?;
            put(format!("dormant after {days} days\n").as_bytes())
        }
        PeopleCommand::Permissions { markdown: true } => put(permissions::markdown().as_bytes()),
        PeopleCommand::Permissions { markdown: false } => {
            let line = |row: &permissions::Permission| {
                let roles: Vec<_> = row.roles.iter().map(|role| role.name()).collect();
                format!("{}\t{}\t{}\n", row.name, roles.join(", "), row.two_people)
            };
            put(TABLE.iter().map(line).collect::<String>().as_bytes())
        }
        PeopleCommand::Factor { command: FactorCommand::Enrol { id } } => {
            let (uri, place) = open(home)?.enrol_factor(id)?;
            let then = if id.starts_with('@') {
                "the first code at log-in confirms it".to_owned()
            } else {
                format!("then: enclave people factor confirm {id} CODE")
            };
            let index = place.index;
            say(&format!(
                "give this to {id} alone, for an authenticator; it is not shown again (log {index})\n{then}"
            ));
            put(format!("{uri}\n").as_bytes())
        }
        PeopleCommand::Factor { command: FactorCommand::Confirm { id, code } } => {
            let enclave = open(home)?.acting_as(Some(id.clone()));
            done(&format!("confirmed the second factor of {id}"), enclave.step_up(id, code)?)
        }
    }
}

pub(crate) fn step_up(home: &Path, args: &StepUp) -> Done {
    let person =
        person().ok_or_else(|| Outcome::Invalid("say who you are, with `--as PERSON`".to_owned()))?;
    let key = factor_key(&person, args.memorandum.as_deref());
    let enclave = open(home)?.acting_as(Some(key.clone()));
    done(&format!("{key} has shown the second factor"), enclave.step_up(&key, &args.code)?)
}

fn done(what: &str, place: LogPosition) -> Done {
    put(format!("{what} (log {})\n", place.index).as_bytes())
}

fn chosen(roles: &[PeopleRole]) -> BTreeSet<PersonRole> {
    let role = |role: &PeopleRole| match role {
        PeopleRole::Steward => PersonRole::Steward,
        PeopleRole::Custodian => PersonRole::Custodian,
        PeopleRole::Researcher => PersonRole::Researcher,
        PeopleRole::Board => PersonRole::Board,
        PeopleRole::Practitioner => PersonRole::Practitioner,
        PeopleRole::Public => PersonRole::Public,
    };
    roles.iter().map(role).collect()
}

fn list(enclave: &Enclave, format: ListFormat) -> Done {
    let people = enclave.people()?;
    let days = enclave.ledger().dormant_days()?;
    let state = |person: &Registered| match person.ended {
        Some(at) => format!("removed {}", at.format("%Y-%m-%d")),
        None if person.is_dormant(chrono::Utc::now(), days) => "dormant".to_owned(),
        None => "active".to_owned(),
    };
    let roles = |person: &Registered| person.roles.iter().map(|role| role.name()).collect::<Vec<_>>();
    if format == ListFormat::Json {
        let people: Vec<_> = people
            .iter()
            .map(|person| {
                json!({
                    "id": person.id, "name": person.name, "roles": roles(person), "state": state(person),
                    "since": person.since.to_rfc3339(), "seen": person.seen.format("%Y-%m-%d").to_string(),
                })
            })
            .collect();
        return put(format!("{}\n", serde_json::to_string_pretty(&people).unwrap_or_default()).as_bytes());
    }
    let line = |person: &Registered| {
        let (since, seen) = (person.since.format("%Y-%m-%d"), person.seen.format("%Y-%m-%d"));
        let roles = roles(person).join(", ");
        format!("{}\t{roles}\t{}\tsince {since}\tseen {seen}\t{}\n", person.id, person.name, state(person))
    };
    put(people.iter().map(line).collect::<String>().as_bytes())
}
