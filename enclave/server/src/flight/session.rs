//! Messages of Flight.proto about sessions, that arrow-flight has no types for.

use std::collections::HashMap;

/// `SetSessionOptionsResult.ErrorValue`.
pub(super) const INVALID_NAME: i32 = 1;
/// The same.
pub(super) const INVALID_VALUE: i32 = 2;
/// `CloseSessionResult.Status`.
pub(super) const CLOSED: i32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Value {
    #[prost(oneof = "OneOf", tags = "1, 2, 3, 4, 5")]
    pub(super) value: Option<OneOf>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum OneOf {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Flag(bool),
    #[prost(sfixed64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Number(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(super) values: Vec<String>,
}

impl Value {
    /// As an option takes it.
    pub(super) fn text(&self) -> String {
        match &self.value {
            None => String::new(),
            Some(OneOf::Text(text)) => text.clone(),
            Some(OneOf::Flag(flag)) => flag.to_string(),
            Some(OneOf::Whole(number)) => number.to_string(),
            Some(OneOf::Number(number)) => number.to_string(),
            Some(OneOf::Texts(texts)) => texts.values.join(" "),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Error {
    #[prost(int32, tag = "1")]
    pub(super) value: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) errors: HashMap<String, Error>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GetResult {
    #[prost(map = "string, message", tag = "1")]
    pub(super) options: HashMap<String, Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CloseResult {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}
