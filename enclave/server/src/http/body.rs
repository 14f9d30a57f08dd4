//! [`Body`], [`Params`] and [`At`]: what was sent, as JSON or in the address, with problem details where it is not what it should be.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::http::problem::Problem;

/// A JSON body, which has to arrive in time. Unknown keys are refused by its type.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Body<T>, Problem> {
        let arrival = Duration::from_secs(app.config.limits.request_seconds);
        match tokio::time::timeout(arrival, Json::from_request(request, app)).await {
            Ok(Ok(Json(body))) => Ok(Body(body)),
            Ok(Err(rejection)) => Err(rejection.into()),
            Err(_) => {
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body did not arrive in time"))
            }
        }
    }
}

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
        let status = rejection.status();
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "too-long",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported",
            StatusCode::REQUEST_TIMEOUT => "too-slow",
            _ => return Problem::invalid(rejection.body_text()),
        };
        Problem::new(status, code, rejection.body_text())
    }
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
