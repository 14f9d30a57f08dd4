//! A field of a schema → a [`Column`].

use serde_json::{Value as Json, json};

use super::constraints::{self, Constraints};
use super::{enclave_properties, identifier, title, unsupported};
use crate::contract::{Column, Kind, Role, Tier};
use crate::reader::{Node, Reader, list};

/// Most lattice steps over the range of a private number: sums of 2³¹ rows of 2³¹ steps stay within 64 bits.
const MAX_STEPS: f64 = 2_147_483_648.0;

/// Types of the standard that can be validated, stored and asked about.
const TYPES: &[(&str, Kind)] = &[
    ("string", Kind::Text),
    ("integer", Kind::Integer),
    ("number", Kind::Number),
    ("boolean", Kind::Boolean),
    ("date", Kind::Date),
    ("datetime", Kind::DateTime),
    ("year", Kind::Integer),
    ("yearmonth", Kind::Text),
];

/// What `yearmonth` accepts: XML Schema's gYearMonth without a zone.
const YEARMONTH: &str = "^(?:[0-9]{4}-(?:0[1-9]|1[0-2]))$";

/// A column, and whether its type could be read.
pub(super) struct FieldRead {
    pub(super) column: Column,
    pub(super) has_kind: bool,
}

const FIELD: &[&str] = &["enclave:role", "enclave:step", "enclave:tier", "enclave:tags"];

/// `None`: not an object, or no usable name.
pub(super) fn read(node: &Node<'_>, is_public: bool, reader: &mut Reader) -> Option<FieldRead> {
    if !reader.object(node) {
        return None;
    }
    enclave_properties(node, FIELD, reader);
    let ours = [
        ("format", json!("default")),
        ("missingValues", json!([""])),
        ("trueValues", Json::Null),
        ("falseValues", Json::Null),
        ("groupChar", Json::Null),
        ("decimalChar", json!(".")),
        ("bareNumber", json!(true)),
    ];
    unsupported(node, &ours, reader);
    let name = reader.member(node, "name").and_then(|name| identifier(&name, reader));
    let kind = reader.member(node, "type").and_then(|kind| read_type(&kind, reader));
    let role = node.get("enclave:role").and_then(|role| read_role(&role, reader)).unwrap_or(Role::Attribute);
    let tier = node.get("enclave:tier").and_then(|tier| read_tier(&tier, reader)).unwrap_or(Tier::Standard);
    let tags = node.get("enclave:tags").and_then(|tags| reader.text_array(&tags, false)).unwrap_or_default();

    let is_yearmonth = kind.is_some_and(|(name, _)| name == "yearmonth");
    let pattern = is_yearmonth.then(|| YEARMONTH.to_owned());
    let mut constraints = Constraints { pattern, ..Constraints::default() };
    let mut step = None;
    if let Some((type_name, kind)) = kind {
        if role == Role::Unit && (!matches!(kind, Kind::Integer | Kind::Text) || is_yearmonth) {
            reader.mistake(&format!("{}/type", node.at), "a unit column must be `string` or `integer`");
        }
        constraints = constraints::read(node, type_name, kind, constraints, reader);
        step = node.get("enclave:step").and_then(|step| read_step(&step, kind, &constraints, reader));
        if !is_public && role == Role::Attribute {
            check_steps(node, kind, step, &constraints, reader);
        }
    }

    let name = name?;
    let title = title(node, &name, reader);
    let column = Column {
        name,
        title,
        kind: kind.map_or(Kind::Text, |(_, kind)| kind),
        role,
        required: constraints.required,
        unique: constraints.unique,
        minimum: constraints.minimum,
        maximum: constraints.maximum,
        codes: constraints.codes,
        pattern: constraints.pattern,
        min_length: constraints.min_length,
        max_length: constraints.max_length,
        step,
        tier,
        tags,
    };
    Some(FieldRead { column, has_kind: kind.is_some() })
}

fn read_type(node: &Node<'_>, reader: &mut Reader) -> Option<(&'static str, Kind)> {
    let name = reader.text(node)?;
    let found = TYPES.iter().find(|(known, _)| *known == name).copied();
    if found.is_none() {
        let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
        reader.mistake(&node.at, format!("unknown type `{name}`; use one of {}", list(&names)));
    }
    found
}

fn read_role(node: &Node<'_>, reader: &mut Reader) -> Option<Role> {
    match reader.text(node)?.as_str() {
        "unit" => Some(Role::Unit),
        "identifier" => Some(Role::Identifier),
        other => {
            let message = format!("unknown role `{other}`; use `unit` or `identifier`, or leave it out");
            reader.mistake(&node.at, message);
            None
        }
    }
}

fn read_tier(node: &Node<'_>, reader: &mut Reader) -> Option<Tier> {
    match reader.text(node)?.as_str() {
        "standard" => Some(Tier::Standard),
        "sensitive" => Some(Tier::Sensitive),
        "restricted" => Some(Tier::Restricted),
        other => {
            let message = format!("unknown tier `{other}`; use `standard`, `sensitive` or `restricted`");
            reader.mistake(&node.at, message);
            None
        }
    }
}

fn read_step(node: &Node<'_>, kind: Kind, constraints: &Constraints, reader: &mut Reader) -> Option<f64> {
    if !matches!(kind, Kind::Integer | Kind::Number) {
        reader.mistake(&node.at, "only columns of numbers have a step");
        return None;
    }
    let step = reader.positive_number(node)?;
    if kind == Kind::Integer && step.fract() != 0.0 {
        reader.mistake(&node.at, "must be a whole number, as the column is");
        return None;
    }
    if let (Some(low), Some(high)) = (constraints.minimum, constraints.maximum)
        && high > low
        && step > high - low
    {
        reader.mistake(&node.at, format!("is larger than the range of {}", high - low));
        return None;
    }
    Some(step)
}

fn check_steps(
    node: &Node<'_>,
    kind: Kind,
    step: Option<f64>,
    constraints: &Constraints,
    reader: &mut Reader,
) {
    let step = match (kind, step) {
        (_, Some(step)) => step,
        (Kind::Integer, None) => 1.0,
        _ => return,
    };
    if let (Some(low), Some(high)) = (constraints.minimum, constraints.maximum)
        && (high - low) / step > MAX_STEPS
    {
        let message = format!(
            "the range has more than 2^31 steps of {step}; narrow it, or set a larger `enclave:step`"
        );
        reader.mistake(&node.at, message);
    }
}
