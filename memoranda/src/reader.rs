//! [`Reader`]: walks a parsed file and keeps every mistake, so that one run reports them all. JSON and TOML are
//! read alike; TOML is turned into the JSON model first, its dates into text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use crate::mistake::Mistake;

/// A value and the JSON pointer to it.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) value: &'a Value,
    pub(crate) at: String,
}

impl<'a> Node<'a> {
    pub(crate) fn root(value: &'a Value) -> Node<'a> {
        Node { value, at: String::new() }
    }

    /// The member of that name, if this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<Node<'a>> {
        self.value.get(key).map(|value| Node { value, at: pointer(&self.at, key) })
    }

    /// The elements, if this is an array; nothing otherwise.
    pub(crate) fn elements(&self) -> Vec<Node<'a>> {
        let elements = self.value.as_array().into_iter().flatten().enumerate();
        elements.map(|(index, value)| Node { value, at: format!("{}/{index}", self.at) }).collect()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str))
    }
}

/// The pointer to member `key` of the object at `at`: RFC 6901, section 3.
pub(crate) fn pointer(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Mistakes so far. Each reading function returns `None` after it has noted a mistake.
#[derive(Default)]
pub(crate) struct Reader {
    mistakes: Vec<Mistake>,
}

impl Reader {
    pub(crate) fn mistake(&mut self, at: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(at, message));
    }

    pub(crate) fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty()
    }

    /// The mistakes, in the order of the document.
    pub(crate) fn in_order(mut self, root: &Value) -> Vec<Mistake> {
        let mut order = HashMap::new();
        number_nodes(root, String::new(), &mut order);
        self.mistakes.sort_by_key(|mistake| order.get(&mistake.pointer).copied().unwrap_or(usize::MAX));
        self.mistakes
    }

    /// The member `key` of `node`, which must be there.
    pub(crate) fn member<'a>(&mut self, node: &Node<'a>, key: &str) -> Option<Node<'a>> {
        let member = node.get(key);
        if member.is_none() && node.value.is_object() {
            self.mistake(&node.at, format!("`{key}` is missing"));
        }
        member
    }

    pub(crate) fn object(&mut self, node: &Node<'_>) -> bool {
        self.expect(node, node.value.is_object(), "an object")
    }

    pub(crate) fn array(&mut self, node: &Node<'_>) -> bool {
        self.expect(node, node.value.is_array(), "an array")
    }

    /// Text that is not blank.
    pub(crate) fn text(&mut self, node: &Node<'_>) -> Option<String> {
        let text = node.value.as_str().filter(|text| !text.trim().is_empty());
        self.expect(node, text.is_some(), "text that is not empty");
        text.map(str::to_owned)
    }

    pub(crate) fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        self.expect(node, node.value.is_boolean(), "true or false");
        node.value.as_bool()
    }

    pub(crate) fn number(&mut self, node: &Node<'_>) -> Option<f64> {
        self.expect(node, node.value.is_number(), "a number");
        node.value.as_f64()
    }

    pub(crate) fn positive_number(&mut self, node: &Node<'_>) -> Option<f64> {
        let number = node.value.as_f64().filter(|number| *number > 0.0);
        self.expect(node, number.is_some(), "a number above 0");
        number
    }

    /// A whole number of at least `least`.
    pub(crate) fn whole(&mut self, node: &Node<'_>, least: u64) -> Option<u64> {
        let whole = node.value.as_u64().filter(|whole| *whole >= least);
        self.expect(node, whole.is_some(), &format!("a whole number of at least {least}"));
        whole
    }

    /// One text, or an array of different ones, at least one.
    pub(crate) fn texts(&mut self, node: &Node<'_>) -> Option<Vec<String>> {
        if node.value.is_string() {
            return self.text(node).map(|text| vec![text]);
        }
        if !self.expect(node, node.value.is_array(), "text or an array of texts") {
            return None;
        }
        self.text_array(node, true)
    }

    /// An array of different texts.
    pub(crate) fn text_array(&mut self, node: &Node<'_>, not_empty: bool) -> Option<Vec<String>> {
        if !self.array(node) {
            return None;
        }
        let elements = node.elements();
        if not_empty && elements.is_empty() {
            self.mistake(&node.at, "must not be empty");
            return None;
        }
        let mut texts: Vec<String> = Vec::new();
        let mut whole = true;
        for element in elements {
            match self.text(&element) {
                Some(text) if texts.contains(&text) => {
                    self.mistake(&element.at, format!("`{text}` appears twice"));
                    whole = false;
                }
                Some(text) => texts.push(text),
                None => whole = false,
            }
        }
        whole.then_some(texts)
    }

    /// Notes every key that is not among `known`.
    pub(crate) fn only(&mut self, node: &Node<'_>, known: &[&str]) {
        for key in node.keys().filter(|key| !known.contains(key)) {
            self.mistake(
                &pointer(&node.at, key),
                format!("unknown key `{key}`; known here: {}", list(known)),
            );
        }
    }

    fn expect(&mut self, node: &Node<'_>, is_so: bool, what: &str) -> bool {
        if !is_so {
            self.mistake(&node.at, format!("must be {what}"));
        }
        is_so
    }
}

/// `a`, `b`, `c`: for messages.
pub(crate) fn list<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|word| format!("`{}`", word.as_ref())).collect::<Vec<_>>().join(", ")
}

fn number_nodes(value: &Value, at: String, order: &mut HashMap<String, usize>) {
    match value {
        Value::Object(members) => {
            order.insert(at.clone(), order.len());
            members.iter().for_each(|(key, member)| number_nodes(member, pointer(&at, key), order));
        }
        Value::Array(elements) => {
            order.insert(at.clone(), order.len());
            let elements = elements.iter().enumerate();
            elements.for_each(|(index, element)| number_nodes(element, format!("{at}/{index}"), order));
        }
        _ => {
            order.insert(at, order.len());
        }
    }
}

/// Reads JSON. A repeated key is a mistake: a reader sees one value and a parser takes the other.
pub(crate) fn json(text: &str) -> Result<Value, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Strict(value) = serde_json::from_str(text).map_err(|e| Mistake::new("", format!("not JSON: {e}")))?;
    Ok(value)
}

/// Reads TOML into the JSON model.
pub(crate) fn toml(text: &str) -> Result<Value, Mistake> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = DeTable::parse(text).map_err(|error| {
        let place = error.span().and_then(|span| text.get(..span.start)).map_or(String::new(), |before| {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!(" at line {line} column {column}")
        });
        Mistake::new("", format!("not TOML: {}{place}", error.message()))
    })?;
    Ok(from_toml(&DeValue::Table(table.into_inner())))
}

/// Tables keep the order of the file, which the parser leaves to the spans of their keys.
fn from_toml(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        // Too large for 64 bits: not a number that any key takes.
        DeValue::Integer(whole) => {
            i64::from_str_radix(whole.as_str(), whole.radix()).map_or(Value::Null, Value::from)
        }
        DeValue::Float(float) => {
            let float = float.as_str().parse().ok();
            float.and_then(Number::from_f64).map_or(Value::Null, Value::Number)
        }
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(elements) => elements.iter().map(|element| from_toml(element.get_ref())).collect(),
        DeValue::Table(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.span().start);
            members.into_iter().map(|(key, member)| (key.to_string(), from_toml(member.get_ref()))).collect()
        }
    }
}

/// A JSON value none of whose objects repeats a key.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Bool(boolean))
    }

    fn visit_i64<E>(self, whole: i64) -> Result<Value, E> {
        Ok(Value::from(whole))
    }

    fn visit_u64<E>(self, whole: u64) -> Result<Value, E> {
        Ok(Value::from(whole))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        Ok(Value::from(float))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(Strict(element)) = access.next_element()? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        let mut seen = HashSet::new();
        while let Some(key) = access.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the key `{key}` appears twice")));
            }
            let Strict(member) = access.next_value()?;
            members.insert(key, member);
        }
        Ok(Value::Object(members))
    }
}
