//! Edits of a good file, one at a time.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

use memoranda::{Contract, datapackage};
use serde_json::Value;

/// A good package that has every feature.
pub const SCHOOL: &str = include_str!("../data/school.json");

/// The package after `edits`: a pointer and its new value; null removes, a last `-` appends (RFC 6902).
pub fn edited(edits: &[(&str, Value)]) -> String {
    let mut package: Value = serde_json::from_str(SCHOOL).unwrap();
    for (pointer, value) in edits {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        match package.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
            Value::Object(object) if value.is_null() => {
                assert!(object.shift_remove(&key).is_some(), "no {pointer}")
            }
            Value::Object(object) => drop(object.insert(key, value.clone())),
            Value::Array(array) if key == "-" => array.push(value.clone()),
            Value::Array(array) if value.is_null() => drop(array.remove(key.parse().unwrap())),
            Value::Array(array) => array[key.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{parent} has no members"),
        }
    }
    serde_json::to_string_pretty(&package).unwrap()
}

/// The contract after `edits`, which must be good.
pub fn contract(edits: &[(&str, Value)]) -> Contract {
    datapackage::parse(&edited(edits)).unwrap_or_else(|mistakes| panic!("{edits:?}: {mistakes:?}"))
}

/// The mistakes of a package, one a line.
pub fn mistakes(json: &str) -> Vec<String> {
    match datapackage::parse(json) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}
