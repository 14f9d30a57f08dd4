//! Who sends a request: a session or token in `Authorization: Bearer …`.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use gate::logins::Caller;

use crate::app::App;
use crate::http::problem::Problem;

/// Somebody who has logged in, and does not ask too often.
pub(super) struct Auth(pub Caller);

impl FromRequestParts<App> for Auth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Auth, Problem> {
        let bearer = bearer(parts).ok_or_else(Problem::unauthenticated)?;
        let caller = app.caller(bearer).await?;
        app.pace.request(&caller.login)?;
        Ok(Auth(caller))
    }
}

/// Somebody, or nobody yet.
pub(super) struct MaybeAuth(pub Option<Caller>);

impl FromRequestParts<App> for MaybeAuth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<MaybeAuth, Problem> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(MaybeAuth(None));
        }
        Auth::from_request_parts(parts, app).await.map(|Auth(caller)| MaybeAuth(Some(caller)))
    }
}

fn bearer(parts: &Parts) -> Option<String> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    // The longest that is handed out has 82 characters.
    let plain = token.len() <= 128 && token.bytes().all(|b| b.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && plain).then(|| token.to_owned())
}
