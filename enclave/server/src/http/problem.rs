//! [`Problem`]: every error as problem details (RFC 9457), with a `code` for programs.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gate::encode::{refusal_json, waiting_json};
use gate::logins::EntryError;
use gate::{ActError, AmendError, Failure, LedgerError, OpenError, PeopleError, VoteError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::door::NotAnswered;
use crate::pace::TooOften;

/// Problem details.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `about:blank`: the status says it all, and `code` the rest.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What the status is called.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What is wrong, and what to do.
    pub detail: String,
    /// Stable, for programs.
    pub code: &'static str,
    /// Of a refusal: its rule, place, reason and rewrite.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub refused: Option<Value>,
    /// Of what waits for the board: number and reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub waiting: Option<Value>,
    #[serde(skip)]
    retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl ToString) -> Problem {
        Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.to_string(),
            code,
            refused: None,
            waiting: None,
            retry_after: None,
        }
    }

    pub(crate) fn invalid(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    pub(crate) fn missing(what: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("there is no such {what}, or it is not yours"),
        )
    }

    pub(crate) fn denied(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "denied", detail)
    }

    pub(crate) fn unauthenticated() -> Problem {
        let detail = "log in with `POST /api/v1/sessions`, and send `Authorization: Bearer …`";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// What the ledger does not take: a mistake of whoever acts, somebody who was quicker, or a fault of ours.
    fn of_ledger(error: &LedgerError) -> Problem {
        match error {
            LedgerError::PoolCharged { .. }
            | LedgerError::AlreadyPublished { .. }
            | LedgerError::Ended(_) => Problem::new(StatusCode::CONFLICT, "conflict", error),
            LedgerError::LeafTooLong(_) => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "this is too long for the log, which takes 65,535 bytes for each act: shorten its texts",
            ),
            LedgerError::UnknownMemorandum(_) => Problem::new(StatusCode::NOT_FOUND, "not-found", error),
            _ => Problem::fault(error),
        }
    }

    /// A fault of ours. What it was is for the log, not for whoever asks.
    pub(crate) fn fault(error: &dyn std::fmt::Display) -> Problem {
        tracing::error!(%error, "fault");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "fault",
            "the enclave is at fault; its operator is told",
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match &failure {
            Failure::Refused(refusal) => Problem {
                refused: refusal_json(refusal).get("refused").cloned(),
                ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", refusal)
            },
            Failure::Waiting(waiting) => Problem {
                waiting: waiting_json(waiting).get("waiting").cloned(),
                ..Problem::new(StatusCode::CONFLICT, "waiting", waiting)
            },
            Failure::Exhausted(exhausted) => {
                Problem::new(StatusCode::PAYMENT_REQUIRED, "exhausted", exhausted)
            }
            Failure::Open(_) | Failure::Ledger(_) => Problem::fault(&failure),
        }
    }
}

impl From<&NotAnswered> for Problem {
    fn from(error: &NotAnswered) -> Problem {
        match error {
            NotAnswered::Failure(Failure::Refused(refusal)) => Failure::Refused(refusal.clone()).into(),
            NotAnswered::Failure(Failure::Waiting(waiting)) => Failure::Waiting(waiting.clone()).into(),
            NotAnswered::Failure(Failure::Exhausted(exhausted)) => {
                Problem::new(StatusCode::PAYMENT_REQUIRED, "exhausted", exhausted)
            }
            NotAnswered::Failure(failure) => Problem::fault(failure),
            NotAnswered::Busy => Problem {
                retry_after: Some(1),
                ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error)
            },
            NotAnswered::NotYours(message) => Problem::denied(message),
            NotAnswered::Cancelled => Problem::new(StatusCode::CONFLICT, "cancelled", error),
        }
    }
}

impl From<ActError> for Problem {
    fn from(error: ActError) -> Problem {
        match &error {
            ActError::Mistakes { .. } | ActError::Version(_) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "mistakes", &error)
            }
            ActError::Missing(..) => Problem::new(StatusCode::NOT_FOUND, "not-found", &error),
            ActError::People(PeopleError::Unknown(_)) | ActError::Vote(VoteError::Unknown(_)) => {
                Problem::new(StatusCode::NOT_FOUND, "not-found", &error)
            }
            ActError::People(PeopleError::NoRole | PeopleError::TwoHats)
            | ActError::Vote(VoteError::NoReason) => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &error)
            }
            ActError::People(PeopleError::Ledger(ledger))
            | ActError::Vote(VoteError::Ledger(ledger))
            | ActError::Amend(AmendError::Ledger(ledger))
            | ActError::Ledger(ledger) => Problem::of_ledger(ledger),
            ActError::Already(_) | ActError::Vote(_) | ActError::People(_) | ActError::Amend(_) => {
                Problem::new(StatusCode::CONFLICT, "conflict", &error)
            }
            ActError::Denied(message) => Problem::denied(message),
            ActError::Factor(_) => Problem::denied(&error),
            ActError::Waiting(waiting) => Failure::Waiting(waiting.clone()).into(),
            ActError::Open(_) => Problem::fault(&error),
            _ => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &error),
        }
    }
}

impl From<EntryError> for Problem {
    fn from(error: EntryError) -> Problem {
        match error {
            EntryError::Wrong => Problem::new(StatusCode::UNAUTHORIZED, "wrong", error),
            EntryError::NotGood => Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", error),
            EntryError::Password(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "password", error),
            EntryError::LogIn(gate::logins::LogInError::Ledger(error)) => Problem::of_ledger(&error),
            EntryError::LogIn(error) => Problem::new(StatusCode::CONFLICT, "conflict", error),
            EntryError::Act(error) => error.into(),
        }
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Problem {
        Problem::fault(&error)
    }
}

impl From<gate::LedgerError> for Problem {
    fn from(error: gate::LedgerError) -> Problem {
        Problem::of_ledger(&error)
    }
}

impl From<TooOften> for Problem {
    fn from(TooOften(seconds): TooOften) -> Problem {
        let detail = format!("too many requests; come back in {seconds} s");
        Problem {
            retry_after: Some(seconds),
            ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail)
        }
    }
}
