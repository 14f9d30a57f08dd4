//! What an amendment changes, in sentences for people and for the log.

use std::fmt;

use super::{Allotment, Items, Memorandum, Person};
use crate::contract::Bilingual;

/// One thing that a later version says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Something that was not there: `item results.math`.
    Added(String),
    /// Something that is no longer there.
    Removed(String),
    /// Something that was otherwise: what, before, after.
    Changed(&'static str, String, String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Added(what) => write!(f, "+ {what}"),
            Difference::Removed(what) => write!(f, "- {what}"),
            Difference::Changed(what, before, after) => write!(f, "~ {what}: {before} → {after}"),
        }
    }
}

impl Memorandum {
    /// What `later` says otherwise: people and items first, then the rest in the order of the file.
    pub fn differences(&self, later: &Memorandum) -> Vec<Difference> {
        let mut found = members(&people(&self.people), &people(&later.people));
        found.extend(members(&items(&self.items), &items(&later.items)));
        let use_cases =
            |of: &Memorandum| of.use_cases.iter().map(|name| format!("use case {name}")).collect::<Vec<_>>();
        found.extend(members(&use_cases(self), &use_cases(later)));
        let lines: [Line; 7] = [
            ("contract", |of| of.contract.clone()),
            ("title", |of| both(&of.title)),
            ("institution", |of| of.institution.clone()),
            ("purpose", |of| both(&of.purpose)),
            ("term", |of| format!("{} to {}", of.from, of.until)),
            ("rules", |of| of.rules.clone()),
            ("allotment", |of| allotment(&of.allotment)),
        ];
        for (what, read) in lines {
            let (before, after) = (read(self), read(later));
            if before != after {
                found.push(Difference::Changed(what, before, after));
            }
        }
        found
    }
}

/// Something of a memorandum that is said in one line: its name, and how it is read.
type Line = (&'static str, fn(&Memorandum) -> String);

/// What left, then what came.
fn members(before: &[String], after: &[String]) -> Vec<Difference> {
    let left = before.iter().filter(|member| !after.contains(member)).cloned().map(Difference::Removed);
    let came = after.iter().filter(|member| !before.contains(member)).cloned().map(Difference::Added);
    left.chain(came).collect()
}

fn people(people: &[Person]) -> Vec<String> {
    let person = |person: &Person| format!("person {}: {}, {}", person.id, person.name, person.role.name());
    people.iter().map(person).collect()
}

fn items(items: &[Items]) -> Vec<String> {
    // A table without columns still lets its rows be counted.
    let table = |items: &Items| {
        let columns = items.columns.iter().map(|column| format!("item {}.{column}", items.table));
        std::iter::once(format!("table {}", items.table)).chain(columns).collect::<Vec<_>>()
    };
    items.iter().flat_map(table).collect()
}

fn both(text: &Bilingual) -> String {
    match text.ja.is_empty() {
        true => text.en.clone(),
        false => format!("{} · {}", text.en, text.ja),
    }
}

fn allotment(allotment: &Allotment) -> String {
    match allotment.pure {
        Some(pure) => format!("epsilon {} (pure), default {}", pure.epsilon, pure.default_epsilon),
        None => {
            let Allotment { rho, delta, default_rho, .. } = allotment;
            format!("rho {rho}, delta {:e}, default {default_rho}", delta.get())
        }
    }
}
