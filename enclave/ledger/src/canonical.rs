//! The bytes of a leaf: JSON without spaces, keys in the order of their UTF-8 bytes, so that one statement has one
//! hash.

use serde_json::{Map, Value};

/// `fields` as canonical JSON. Numbers are written the shortest way that reads back the same.
pub(crate) fn canonical(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    object(fields, &mut out);
    out
}

fn object(fields: &Map<String, Value>, out: &mut String) {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    out.push('{');
    for (i, (key, member)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(key.as_str()).to_string());
        out.push(':');
        value(member, out);
    }
    out.push('}');
}

fn value(v: &Value, out: &mut String) {
    match v {
        Value::Object(fields) => object(fields, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                value(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn one_statement_has_one_form() {
        for (given, expected) in [
            (r#"{}"#, r#"{}"#),
            (r#"{ "b": 1, "a": [ 1, { "d": null, "c": true } ] }"#, r#"{"a":[1,{"c":true,"d":null}],"b":1}"#),
            (r#"{"é":1,"z":2,"児":3}"#, r#"{"z":2,"é":1,"児":3}"#),
            (r#"{"a":"x\ny\"\u00e9"}"#, r#"{"a":"x\ny\"é"}"#),
            (r#"{"a":1e-6,"b":0.30000000000000004}"#, r#"{"a":1e-6,"b":0.30000000000000004}"#),
        ] {
            let Value::Object(fields) = serde_json::from_str(given).unwrap() else { panic!("an object") };
            assert_eq!(canonical(&fields), expected);
            let Value::Object(again) = serde_json::from_str(expected).unwrap() else { panic!("an object") };
            assert_eq!(canonical(&again), expected);
        }
    }
}
