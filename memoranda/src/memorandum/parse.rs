//! TOML → [`Memorandum`].

use chrono::NaiveDate;
use disclosure_rules::account::PureEpsilon;
use disclosure_rules::loss::OutOfRange;
use disclosure_rules::measure::Guarantee;
use disclosure_rules::{Delta, Epsilon, Rho};

use super::{Allotment, Items, Memorandum, Person, PersonRole, PureAllotment};
use crate::contract::Bilingual;
use crate::mistake::Mistake;
use crate::reader::{self, Node, Reader, pointer};

/// Charge of a question that names none, where the memorandum names none either.
const DEFAULT_RHO: f64 = 0.01;
/// The same where losses are pure.
const DEFAULT_EPSILON: f64 = 0.1;

/// Longest identifier of a memorandum or a person.
const MAX_ID_LENGTH: usize = 64;

impl Memorandum {
    /// Reads a memorandum. Unknown keys are mistakes; every mistake is reported.
    pub fn parse(toml: &str) -> Result<Memorandum, Vec<Mistake>> {
        let root = reader::toml(toml).map_err(|mistake| vec![mistake])?;
        let mut reader = Reader::default();
        let memorandum = memorandum(&Node::root(&root), &mut reader);
        match memorandum {
            Some(memorandum) if !reader.has_mistakes() => Ok(memorandum),
            _ => Err(reader.in_order(&root)),
        }
    }
}

const KEYS: &[&str] = &[
    "id",
    "version",
    "contract",
    "title",
    "institution",
    "purpose",
    "use_case",
    "valid",
    "rules",
    "people",
    "items",
    "allotment",
];

fn memorandum(node: &Node<'_>, reader: &mut Reader) -> Option<Memorandum> {
    reader.only(node, KEYS);
    let id = reader.member(node, "id").and_then(|id| identifier(&id, reader));
    let version = match node.get("version") {
        Some(version) => reader.whole(&version, 1).and_then(|whole| checked_version(whole, &version, reader)),
        None => Some(1),
    };
    let contract = reader.member(node, "contract").and_then(|contract| identifier(&contract, reader));
    let title = reader.member(node, "title").and_then(|title| bilingual(&title, reader));
    let institution = reader.member(node, "institution").and_then(|institution| reader.text(&institution));
    let purpose = reader.member(node, "purpose").and_then(|purpose| bilingual(&purpose, reader));
    let use_cases = reader.member(node, "use_case").and_then(|use_case| use_cases(&use_case, reader));
    let term = reader.member(node, "valid").and_then(|valid| term(&valid, reader));
    let rules = reader.member(node, "rules").and_then(|rules| identifier(&rules, reader));
    let people = reader.member(node, "people").map(|people| read_people(&people, reader));
    let items = reader.member(node, "items").map(|items| read_items(&items, reader));
    let allotment = reader.member(node, "allotment").and_then(|allotment| read_allotment(&allotment, reader));
    let (from, until) = term?;
    Some(Memorandum {
        id: id?,
        version: version?,
        contract: contract?,
        title: title?,
        institution: institution?,
        purpose: purpose?,
        use_cases: use_cases?,
        from,
        until,
        rules: rules?,
        people: people?,
        items: items?,
        allotment: allotment?,
    })
}

fn checked_version(whole: u64, node: &Node<'_>, reader: &mut Reader) -> Option<u32> {
    let version = u32::try_from(whole).ok();
    if version.is_none() {
        reader.mistake(&node.at, "is too large a number of versions");
    }
    version
}

/// One identifier, or a list of different ones.
fn use_cases(node: &Node<'_>, reader: &mut Reader) -> Option<Vec<String>> {
    if !node.value.is_array() {
        return identifier(node, reader).map(|use_case| vec![use_case]);
    }
    reader.text_array(node, true)?;
    node.elements().iter().map(|element| identifier(element, reader)).collect()
}

fn identifier(node: &Node<'_>, reader: &mut Reader) -> Option<String> {
    let id = reader.text(node)?;
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !plain || !id.starts_with(|c: char| c.is_ascii_alphanumeric()) || id.len() > MAX_ID_LENGTH {
        let message =
            format!("`{id}` is not an identifier: use up to {MAX_ID_LENGTH} letters, digits, `-`, `_`, `.`");
        reader.mistake(&node.at, message);
        return None;
    }
    Some(id)
}

/// `{ en = "…", ja = "…" }`: English is needed.
fn bilingual(node: &Node<'_>, reader: &mut Reader) -> Option<Bilingual> {
    if !reader.object(node) {
        return None;
    }
    reader.only(node, &["en", "ja"]);
    let en = reader.member(node, "en").and_then(|en| reader.text(&en));
    let ja = node.get("ja").map(|ja| reader.text(&ja).unwrap_or_default());
    Some(Bilingual { en: en?, ja: ja.unwrap_or_default() })
}

fn term(node: &Node<'_>, reader: &mut Reader) -> Option<(NaiveDate, NaiveDate)> {
    if !reader.object(node) {
        return None;
    }
    reader.only(node, &["from", "until"]);
    let from = reader.member(node, "from").and_then(|from| day(&from, reader));
    let until = reader.member(node, "until").and_then(|until| day(&until, reader));
    let (from, until) = (from?, until?);
    if until < from {
        reader.mistake(&pointer(&node.at, "until"), "is before `from`");
        return None;
    }
    Some((from, until))
}

fn day(node: &Node<'_>, reader: &mut Reader) -> Option<NaiveDate> {
    let text = node.value.as_str().unwrap_or_default();
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    if day.is_none() {
        reader.mistake(&node.at, "must be a date such as 2026-04-01");
    }
    day
}

fn read_people(node: &Node<'_>, reader: &mut Reader) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::new();
    if !reader.array(node) {
        return people;
    }
    let elements = node.elements();
    if elements.is_empty() {
        reader.mistake(&node.at, "must not be empty");
    }
    let count = elements.len();
    for element in elements {
        let Some(person) = read_person(&element, reader) else { continue };
        if people.iter().any(|other| other.id == person.id) {
            reader.mistake(&pointer(&element.at, "id"), format!("`{}` appears twice", person.id));
        }
        people.push(person);
    }
    let nobody_asks = people.iter().all(|person| person.role != PersonRole::Researcher);
    if count > 0 && people.len() == count && nobody_asks {
        reader.mistake(&node.at, "nobody has the role `researcher`, the only one that asks");
    }
    people
}

fn read_person(node: &Node<'_>, reader: &mut Reader) -> Option<Person> {
    if !reader.object(node) {
        return None;
    }
    reader.only(node, &["id", "name", "role"]);
    let id = reader.member(node, "id").and_then(|id| identifier(&id, reader));
    let name = reader.member(node, "name").and_then(|name| reader.text(&name));
    let role = reader.member(node, "role").and_then(|role| read_role(&role, reader));
    Some(Person { id: id?, name: name?, role: role? })
}

fn read_role(node: &Node<'_>, reader: &mut Reader) -> Option<PersonRole> {
    let name = reader.text(node)?;
    let role = PersonRole::of(&name).filter(|role| *role != PersonRole::Public);
    if role.is_none() {
        let known = "`steward`, `custodian`, `researcher`, `practitioner`, `board`";
        reader.mistake(&node.at, format!("unknown role `{name}`; use one of {known}"));
    }
    role
}

fn read_items(node: &Node<'_>, reader: &mut Reader) -> Vec<Items> {
    let mut items: Vec<Items> = Vec::new();
    if !reader.array(node) {
        return items;
    }
    let elements = node.elements();
    if elements.is_empty() {
        reader.mistake(&node.at, "must not be empty");
    }
    for element in elements {
        if !reader.object(&element) {
            continue;
        }
        reader.only(&element, &["table", "columns"]);
        let table = reader.member(&element, "table").and_then(|table| reader.text(&table));
        let columns =
            reader.member(&element, "columns").and_then(|columns| reader.text_array(&columns, false));
        let (Some(table), Some(columns)) = (table, columns) else { continue };
        if items.iter().any(|other| other.table == table) {
            reader.mistake(&pointer(&element.at, "table"), format!("`{table}` appears twice"));
        }
        items.push(Items { table, columns });
    }
    items
}

fn read_allotment(node: &Node<'_>, reader: &mut Reader) -> Option<Allotment> {
    if !reader.object(node) {
        return None;
    }
    if node.get("guarantee").and_then(|guarantee| read_guarantee(&guarantee, reader)) == Some(Guarantee::Pure)
    {
        return pure_allotment(node, reader);
    }
    reader.only(node, &["rho", "epsilon", "delta", "default_rho", "guarantee"]);
    let delta = reader.member(node, "delta").and_then(|delta| {
        let number = reader.number(&delta)?;
        checked(Delta::new(number), &delta, reader)
    });
    let rho = match (node.get("rho"), node.get("epsilon")) {
        (Some(rho), None) => read_rho(&rho, Rho::at_most, reader),
        (None, Some(epsilon)) => {
            // Without a valid δ there is nothing to convert at, but ε itself can be checked.
            let number = reader.number(&epsilon);
            let epsilon_read = number.and_then(|number| checked(Epsilon::new(number), &epsilon, reader));
            epsilon_read.zip(delta).map(|(e, d)| Rho::from_epsilon(e, super::half(d))).filter(|rho| {
                if *rho == Rho::ZERO {
                    reader.mistake(&epsilon.at, TOO_SMALL);
                }
                *rho != Rho::ZERO
            })
        }
        (Some(_), Some(epsilon)) => {
            reader.mistake(&epsilon.at, "give `rho` or `epsilon`, not both");
            None
        }
        (None, None) => {
            reader.mistake(&node.at, "`rho` is missing (or `epsilon`)");
            None
        }
    };
    let default_rho = match node.get("default_rho") {
        Some(default) => {
            let charge = read_rho(&default, Rho::at_least, reader);
            if let (Some(charge), Some(rho)) = (charge, rho)
                && charge > rho
            {
                reader.mistake(&default.at, format!("is more than the whole allotment of {rho}"));
            }
            charge
        }
        None => Rho::at_least(DEFAULT_RHO).ok().zip(rho).map(|(default, rho)| default.min(rho)),
    };
    Some(Allotment { rho: rho?, delta: delta?, default_rho: default_rho?, pure: None })
}

/// `guarantee = "pure"`: in ε, without a δ. One that is given must be one, and has no effect.
fn pure_allotment(node: &Node<'_>, reader: &mut Reader) -> Option<Allotment> {
    let mut known = vec!["guarantee", "epsilon", "default_epsilon", "delta"];
    for (key, instead) in [("rho", "epsilon"), ("default_rho", "default_epsilon")] {
        if let Some(given) = node.get(key) {
            reader.mistake(&given.at, format!("pure losses add up as epsilon: give `{instead}` instead"));
            known.push(key);
        }
    }
    reader.only(node, &known);
    if let Some(delta) = node.get("delta")
        && let Some(number) = reader.number(&delta)
    {
        checked(Delta::new(number), &delta, reader);
    }
    let epsilon = match node.get("epsilon") {
        Some(epsilon) => read_pure_epsilon(&epsilon, PureEpsilon::at_most, reader),
        None => {
            reader.mistake(&node.at, "`epsilon` is missing");
            None
        }
    };
    let default_epsilon = match node.get("default_epsilon") {
        Some(default) => {
            let charge = read_pure_epsilon(&default, PureEpsilon::at_least, reader);
            if let (Some(charge), Some(epsilon)) = (charge, epsilon)
                && charge > epsilon
            {
                reader.mistake(&default.at, format!("is more than the whole allotment of {epsilon}"));
            }
            charge
        }
        None => {
            PureEpsilon::try_from(DEFAULT_EPSILON).ok().zip(epsilon).map(|(default, all)| default.min(all))
        }
    };
    let (epsilon, default_epsilon) = (epsilon?, default_epsilon?);
    Some(Allotment {
        rho: epsilon.rho(),
        delta: Delta::new(f64::MIN_POSITIVE).ok()?,
        default_rho: default_epsilon.rho(),
        pure: Some(PureAllotment { epsilon, default_epsilon }),
    })
}

fn read_pure_epsilon(
    node: &Node<'_>,
    round: fn(Epsilon) -> Result<PureEpsilon, OutOfRange>,
    reader: &mut Reader,
) -> Option<PureEpsilon> {
    let number = reader.number(node)?;
    let epsilon = checked(Epsilon::new(number).and_then(round), node, reader)?;
    if epsilon.rho() == Rho::ZERO {
        reader.mistake(&node.at, TOO_SMALL);
        return None;
    }
    Some(epsilon)
}

const TOO_SMALL: &str = "is less than a millionth of rho";

fn read_rho(node: &Node<'_>, round: fn(f64) -> Result<Rho, OutOfRange>, reader: &mut Reader) -> Option<Rho> {
    let number = reader.positive_number(node)?;
    let rho = checked(round(number), node, reader)?;
    if rho == Rho::ZERO {
        reader.mistake(&node.at, "must be at least a millionth");
        return None;
    }
    Some(rho)
}

fn read_guarantee(node: &Node<'_>, reader: &mut Reader) -> Option<Guarantee> {
    match reader.text(node)?.as_str() {
        "zcdp" => Some(Guarantee::Concentrated),
        "pure" => Some(Guarantee::Pure),
        other => {
            let message = format!("unknown guarantee `{other}`; use `zcdp` or `pure`, or leave it out");
            reader.mistake(&node.at, message);
            None
        }
    }
}

fn checked<T>(result: Result<T, OutOfRange>, node: &Node<'_>, reader: &mut Reader) -> Option<T> {
    result.map_err(|error| reader.mistake(&node.at, error.to_string())).ok()
}
