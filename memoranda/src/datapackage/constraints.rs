//! `constraints` and `categories` of a field, typed by the field's type.

use disclosure_rules::Value;
use disclosure_rules::value::Day;
use regex::{Regex, RegexBuilder};
use serde_json::Value as Json;

use super::enclave_properties;
use crate::contract::Kind;
use crate::reader::{Node, Reader, list, pointer};

/// Longest code list. Longer ones belong in a public table.
const MAX_CODES: usize = 10_000;

/// Largest compiled pattern, so that a contract cannot exhaust memory.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Whole numbers up to here are exact in a 64-bit float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// What the constraints of one field say.
#[derive(Default)]
pub(super) struct Constraints {
    pub(super) required: bool,
    pub(super) unique: bool,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) codes: Option<Vec<Value>>,
    pub(super) pattern: Option<String>,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
}

const CONSTRAINTS: &[&str] =
    &["required", "unique", "minimum", "maximum", "enum", "pattern", "minLength", "maxLength"];

/// Reads them into `start`, which holds what the type itself demands.
pub(super) fn read(
    field: &Node<'_>,
    type_name: &str,
    kind: Kind,
    start: Constraints,
    reader: &mut Reader,
) -> Constraints {
    let mut read = start;
    if let Some(node) = field.get("constraints")
        && reader.object(&node)
    {
        read_object(&node, type_name, kind, &mut read, reader);
    }
    if let Some(categories) = field.get("categories") {
        let codes = read_codes(&categories, type_name, kind, reader);
        if let (Some(listed), Some(codes)) = (&read.codes, &codes)
            && (listed.len() != codes.len() || codes.iter().any(|code| !listed.contains(code)))
        {
            reader.mistake(&categories.at, "lists other codes than `constraints/enum`");
        }
        read.codes = read.codes.or(codes);
    }
    check_codes(field, &read, reader);
    read
}

fn read_object(node: &Node<'_>, type_name: &str, kind: Kind, read: &mut Constraints, reader: &mut Reader) {
    enclave_properties(node, &[], reader);
    for key in node.keys().filter(|key| !CONSTRAINTS.contains(key) && !key.starts_with("enclave")) {
        let message = format!("constraint `{key}` would not be enforced; use one of {}", list(CONSTRAINTS));
        reader.mistake(&pointer(&node.at, key), message);
    }
    read.required = node.get("required").and_then(|node| reader.boolean(&node)).unwrap_or(false);
    read.unique = node.get("unique").and_then(|node| reader.boolean(&node)).unwrap_or(false);
    read.minimum = node.get("minimum").and_then(|node| read_bound(&node, type_name, kind, reader));
    read.maximum = node.get("maximum").and_then(|node| read_bound(&node, type_name, kind, reader));
    if let (Some(low), Some(high)) = (read.minimum, read.maximum) {
        if low > high {
            reader.mistake(&format!("{}/minimum", node.at), "is above `maximum`");
        } else if !(high - low).is_finite() {
            reader.mistake(&format!("{}/minimum", node.at), "and `maximum` are too far apart");
        }
    }
    read.min_length = node.get("minLength").and_then(|node| read_length(&node, type_name, reader));
    read.max_length = node.get("maxLength").and_then(|node| read_length(&node, type_name, reader));
    if let (Some(low), Some(high)) = (read.min_length, read.max_length)
        && low > high
    {
        reader.mistake(&format!("{}/minLength", node.at), "is above `maxLength`");
    }
    if let Some(pattern) = node.get("pattern").and_then(|node| read_pattern(&node, type_name, reader)) {
        read.pattern = Some(pattern);
    }
    read.codes = node.get("enum").and_then(|node| read_codes(&node, type_name, kind, reader));
}

/// A bound as a float; for dates, days since 1970-01-01.
fn read_bound(node: &Node<'_>, type_name: &str, kind: Kind, reader: &mut Reader) -> Option<f64> {
    match kind {
        Kind::Number => reader.number(node),
        Kind::Integer => {
            let bound = node.value.as_f64().filter(|bound| bound.fract() == 0.0 && bound.abs() <= MAX_EXACT);
            if bound.is_none() {
                reader.mistake(&node.at, "must be a whole number of at most 2^53, as the column is");
            }
            bound
        }
        Kind::Date => {
            let day = node.value.as_str().and_then(Day::parse);
            if day.is_none() {
                reader.mistake(&node.at, "must be a date such as `2026-04-01`, as the column is");
            }
            day.map(|Day(day)| f64::from(day))
        }
        Kind::Boolean | Kind::Text | Kind::DateTime => {
            reader.mistake(&node.at, format!("a column of type `{type_name}` has no minimum or maximum"));
            None
        }
    }
}

fn read_length(node: &Node<'_>, type_name: &str, reader: &mut Reader) -> Option<usize> {
    if type_name != "string" {
        reader.mistake(&node.at, format!("a column of type `{type_name}` has no length"));
        return None;
    }
    reader.whole(node, 0).and_then(|length| usize::try_from(length).ok())
}

/// The pattern, anchored at both ends.
fn read_pattern(node: &Node<'_>, type_name: &str, reader: &mut Reader) -> Option<String> {
    let pattern = reader.text(node)?;
    if type_name != "string" {
        reader.mistake(&node.at, format!("a column of type `{type_name}` has no pattern"));
        return None;
    }
    let anchored = format!("^(?:{pattern})$");
    // Alone too: `a)|(b` is valid only once it is wrapped, and means something else then.
    match compile(&pattern).and_then(|_| compile(&anchored)) {
        Ok(_) => Some(anchored),
        Err(regex::Error::CompiledTooBig(_)) => {
            reader.mistake(&node.at, "the pattern is too large");
            None
        }
        Err(_) => {
            let message =
                format!("`{pattern}` is not a regular expression without look-around and back-references");
            reader.mistake(&node.at, message);
            None
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).build()
}

/// `enum`, or `categories` with or without labels.
fn read_codes(node: &Node<'_>, type_name: &str, kind: Kind, reader: &mut Reader) -> Option<Vec<Value>> {
    if matches!(kind, Kind::Number | Kind::DateTime) {
        reader.mistake(
            &node.at,
            format!("a column of type `{type_name}` has no codes; `integer` or `string` may"),
        );
        return None;
    }
    if !reader.array(node) {
        return None;
    }
    let elements = node.elements();
    if elements.is_empty() || elements.len() > MAX_CODES {
        reader.mistake(&node.at, format!("must list 1 to {MAX_CODES} codes"));
        return None;
    }
    let mut codes: Vec<Value> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for element in elements {
        let element = if element.value.is_object() && !node.at.ends_with("/enum") {
            let Some(value) = reader.member(&element, "value") else { continue };
            value
        } else {
            element
        };
        match read_code(element.value, type_name, kind) {
            Ok(code) if seen.insert(code.clone()) => codes.push(code),
            Ok(code) => reader.mistake(&element.at, format!("code `{code}` appears twice")),
            Err(what) => reader.mistake(&element.at, format!("must be {what}, as the column is")),
        }
    }
    Some(codes)
}

fn read_code(value: &Json, type_name: &str, kind: Kind) -> Result<Value, &'static str> {
    match kind {
        Kind::Boolean => value.as_bool().map(Value::Bool).ok_or("true or false"),
        Kind::Integer => value.as_i64().map(Value::Int).ok_or("a whole number"),
        Kind::Date => {
            value.as_str().and_then(Day::parse).map(Value::Date).ok_or("a date such as `2026-04-01`")
        }
        Kind::Text if type_name == "yearmonth" => {
            let is_month = |text: &&str| Day::parse(&format!("{text}-01")).is_some();
            value
                .as_str()
                .filter(is_month)
                .map(|text| Value::Text(text.to_owned()))
                .ok_or("a month such as `2026-04`")
        }
        // An empty field is a missing value.
        Kind::Text => {
            let text = value.as_str().filter(|text| !text.is_empty());
            text.map(|text| Value::Text(text.to_owned())).ok_or("text that is not empty")
        }
        Kind::Number | Kind::DateTime => Err("a type that has codes"),
    }
}

/// Codes that no valid row could have would be group keys that are always empty.
fn check_codes(field: &Node<'_>, read: &Constraints, reader: &mut Reader) {
    let pattern = read.pattern.as_deref().and_then(|pattern| compile(pattern).ok());
    let fits = |code: &Value| match code {
        Value::Int(code) => within(*code as f64, read.minimum, read.maximum),
        Value::Date(Day(day)) => within(f64::from(*day), read.minimum, read.maximum),
        Value::Text(code) => {
            let length = code.chars().count();
            read.min_length.is_none_or(|least| length >= least)
                && read.max_length.is_none_or(|most| length <= most)
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(code))
        }
        Value::Null | Value::Bool(_) => true,
    };
    for code in read.codes.iter().flatten().filter(|code| !fits(code)) {
        let at = if field.get("constraints").is_some_and(|node| node.get("enum").is_some()) {
            format!("{}/constraints/enum", field.at)
        } else {
            format!("{}/categories", field.at)
        };
        reader.mistake(&at, format!("code `{code}` breaks another constraint of this column"));
    }
}

fn within(number: f64, minimum: Option<f64>, maximum: Option<f64>) -> bool {
    minimum.is_none_or(|least| number >= least) && maximum.is_none_or(|most| number <= most)
}
