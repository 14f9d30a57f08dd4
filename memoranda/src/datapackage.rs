//! Data Package v2 (`datapackage.json`) with `enclave:` properties → [`Contract`] (DESIGN section 5).
//!
//! As the standard demands, ordinary properties that are not known are left alone. Not so where silence would
//! weaken privacy or validation: an unknown `enclave:` property, an unknown constraint, and a standard property
//! that would make us read the data differently are mistakes.
//!
//! In reading order: this file (the package) · `table` (a resource) · `field` and `constraints` (a column) ·
//! `references` (what only shows once all tables are known: foreign keys, lineage).

mod constraints;
mod field;
mod references;
mod table;

use disclosure_rules::Rho;

use crate::contract::{Bilingual, Contract};
use crate::mistake::Mistake;
use crate::reader::{self, Node, Reader, list, pointer};

/// Longest name of a table or column: PostgreSQL's limit, so that releases load anywhere.
const MAX_NAME_LENGTH: usize = 63;

/// Reads a `datapackage.json`. Every mistake is reported, in the order of the document.
pub fn parse(json: &str) -> Result<Contract, Vec<Mistake>> {
    let root = reader::json(json).map_err(|mistake| vec![mistake])?;
    let mut reader = Reader::default();
    let contract = package(&Node::root(&root), &mut reader);
    match contract {
        Some(contract) if !reader.has_mistakes() => Ok(contract),
        _ => Err(reader.in_order(&root)),
    }
}

fn package(node: &Node<'_>, reader: &mut Reader) -> Option<Contract> {
    if !reader.object(node) {
        return None;
    }
    enclave_properties(node, &["enclave:unit", "enclave:poolRho"], reader);
    let name = reader.member(node, "name").and_then(|name| identifier(&name, reader));
    let version = reader.member(node, "version").and_then(|version| semantic_version(&version, reader));
    let title = name.as_ref().map(|name| title(node, name, reader));
    let unit = node.get("enclave:unit").and_then(|unit| reader.text(&unit));
    let pool_rho = node.get("enclave:poolRho").and_then(|pool| pool_of(&pool, reader));

    let drafts = table::read_all(node, reader);
    if drafts.iter().any(|draft| !draft.is_public) && node.get("enclave:unit").is_none() {
        reader.mistake(&node.at, "`enclave:unit` is missing: say what one pupil is called, such as `pupil`");
    }
    let has_unread = node.get("resources").is_some_and(|resources| resources.elements().len() > drafts.len());
    let tables = references::resolve(drafts, has_unread, reader);

    Some(Contract {
        title: title?,
        name: name?,
        version: version?,
        unit: unit.unwrap_or_default(),
        pool_rho,
        tables,
    })
}

fn pool_of(node: &Node<'_>, reader: &mut Reader) -> Option<Rho> {
    let rho = reader.positive_number(node)?;
    let rho = Rho::at_most(rho).map_err(|error| reader.mistake(&node.at, error.to_string())).ok()?;
    if rho == Rho::ZERO {
        reader.mistake(&node.at, "must be at least a millionth");
    }
    Some(rho)
}

fn semantic_version(node: &Node<'_>, reader: &mut Reader) -> Option<semver::Version> {
    let text = reader.text(node)?;
    let version = semver::Version::parse(&text);
    if version.is_err() {
        reader.mistake(&node.at, format!("`{text}` is not a semantic version such as `1.0.0`"));
    }
    version.ok()
}

/// A name that SQL takes as it is, and that no column of the store has: those begin with `__`.
fn identifier(node: &Node<'_>, reader: &mut Reader) -> Option<String> {
    let name = reader.text(node)?;
    let mut bytes = name.bytes();
    let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !starts || !rest {
        reader.mistake(
            &node.at,
            format!("`{name}` is not a name: use letters, digits and `_`, no digit first"),
        );
    } else if name.len() > MAX_NAME_LENGTH {
        reader.mistake(&node.at, format!("`{name}` is longer than {MAX_NAME_LENGTH} letters"));
    } else if name.starts_with("__") {
        reader.mistake(&node.at, format!("`{name}` begins with `__`, which is kept for the store"));
    } else {
        return Some(name);
    }
    None
}

/// Notes every `enclave:` property that is not known at this place: a typing mistake must not weaken privacy.
fn enclave_properties(node: &Node<'_>, known: &[&str], reader: &mut Reader) {
    for key in node.keys() {
        if key.to_ascii_lowercase().starts_with("enclave") && !known.contains(&key) {
            let known = if known.is_empty() { "none is".to_owned() } else { list(known) };
            reader.mistake(&pointer(&node.at, key), format!("unknown property `{key}`; known here: {known}"));
        }
    }
}

/// Notes standard properties that would make us read the data differently, unless they say what we do anyway.
fn unsupported(node: &Node<'_>, properties: &[(&str, serde_json::Value)], reader: &mut Reader) {
    for (key, ours) in properties {
        if let Some(member) = node.get(key)
            && member.value != ours
        {
            let only = if ours.is_null() { String::new() } else { format!("; only {ours} is") };
            reader.mistake(&member.at, format!("`{key}` is not supported{only}"));
        }
    }
}

/// `title` and `title:ja`; the name stands in where there is no English title.
fn title(node: &Node<'_>, name: &str, reader: &mut Reader) -> Bilingual {
    let mut text = |key| node.get(key).and_then(|title| reader.text(&title));
    Bilingual {
        en: text("title").unwrap_or_else(|| name.to_owned()),
        ja: text("title:ja").unwrap_or_default(),
    }
}
