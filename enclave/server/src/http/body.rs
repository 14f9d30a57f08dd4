//! [`Body`], [`Filled`], [`Params`] and [`At`]: what was sent, as JSON, in a form or in the address, with problem details
//! where it is not what it should be.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Form, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::app::App;
use crate::http::problem::Problem;

/// A JSON object, which has to arrive in time. Unknown keys are refused by its type.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Body<T>, Problem> {
        let arrival = Duration::from_secs(app.config.limits.request_seconds);
        match tokio::time::timeout(arrival, Json::from_request(request, app)).await {
            Ok(Ok(Json(Object(body)))) => Ok(Body(body)),
            Ok(Err(rejection)) => Err(rejection.into()),
            Err(_) => {
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body did not arrive in time"))
            }
        }
    }
}

/// What is written as an object. From an array serde would take the fields of a struct by their places, without a name.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

/// Visits the fields of an object, and nothing else.
struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

/// A form that somebody has filled in.
#[derive(FromRequest)]
#[from_request(via(Form), rejection(Problem))]
pub(super) struct Filled<T>(pub T);

/// Parameters behind the question mark.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
pub(super) struct Params<T>(pub T);

/// Parts of the path.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Problem))]
pub(super) struct At<T>(pub T);

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Problem {
        not_taken(rejection.status(), rejection.body_text())
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Problem {
        not_taken(rejection.status(), rejection.body_text())
    }
}

/// Of a body.
fn not_taken(status: StatusCode, detail: String) -> Problem {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "too-long",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported",
        StatusCode::REQUEST_TIMEOUT => "too-slow",
        _ => return Problem::invalid(detail),
    };
    Problem::new(status, code, detail)
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Problem {
        Problem::invalid(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Problem {
        Problem::missing("resource")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        sql: String,
        #[serde(default)]
        fresh: bool,
        rho: Option<f64>,
    }

    fn read<T: DeserializeOwned>(body: &str) -> Result<T, Problem> {
        Json::from_bytes(body.as_bytes()).map(|Json(Object(read))| read).map_err(Problem::from)
    }

    #[test]
    fn a_body_is_an_object() {
        let asked = Asked { sql: "SELECT 1".to_owned(), fresh: false, rho: Some(0.5) };
        assert_eq!(read::<Asked>(" \n{\"rho\": 0.5, \"sql\": \"SELECT 1\"}").unwrap(), asked);
        assert_eq!(read::<Value>("{\"a\": [1, {}]}").unwrap(), json!({ "a": [1, {}] }));
        // A struct takes this; its body does not.
        let by_place = r#"["SELECT 1", true, 0.5]"#;
        assert!(serde_json::from_str::<Asked>(by_place).is_ok());
        for body in [by_place, "[]", "[{}]", "null", "\"sql\"", "1", "true"] {
            let problem = read::<Asked>(body).unwrap_err();
            assert_eq!((problem.status, problem.code), (400, "invalid"), "{body}");
            assert!(problem.detail.contains("expected a JSON object"), "{}", problem.detail);
        }
        for body in ["", "{", "{}", r#"{"sql": "SELECT 1", "roh": 1}"#, r#"{"sql": "SELECT 1"} 2"#] {
            let problem = read::<Asked>(body).unwrap_err();
            assert_eq!((problem.status, problem.code), (400, "invalid"), "{body}");
        }
    }
}
