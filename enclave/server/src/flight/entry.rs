//! Who calls: a bearer token in `authorization`, which a handshake hands out for name and password.

use axum::extract::ConnectInfo;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gate::logins::{Caller, EntryError};
use std::net::SocketAddr;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Status};

use crate::app::App;
use crate::http::address;
use crate::pace::TooOften;

/// With or without padding: Go's client leaves it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// As what a token can be given in place of a name, to tools that know only name and password.
pub(super) const TOKEN: &str = "token";

/// Whoever calls, by their bearer token; one more of their calls.
pub(super) async fn caller(app: &App, headers: &MetadataMap) -> Result<Caller, Status> {
    let caller = known(app, headers).await?;
    counted(app, &caller)?;
    Ok(caller)
}

/// Whoever calls, by their bearer token.
pub(super) async fn known(app: &App, headers: &MetadataMap) -> Result<Caller, Status> {
    let header = headers.get("authorization").and_then(|value| value.to_str().ok());
    let bearer = header.and_then(|value| value.strip_prefix("Bearer ").or(value.strip_prefix("bearer ")));
    let bearer = bearer.filter(|bearer| bearer.len() <= 128);
    let bearer = bearer.ok_or_else(|| Status::unauthenticated("send `authorization: Bearer …`"))?;
    app.caller(bearer.to_owned()).await.map_err(not_let_in)
}

/// One more call of somebody's.
pub(super) fn counted(app: &App, caller: &Caller) -> Result<(), Status> {
    let wait =
        |TooOften(seconds)| Status::unavailable(format!("too many requests; come back in {seconds} s"));
    app.pace.request(&caller.login).map_err(wait)
}

/// The bearer token for name and password, or for a token that comes as one.
pub(super) async fn handshake(
    app: &App,
    headers: &MetadataMap,
    extensions: &Extensions,
) -> Result<String, Status> {
    if let Some(ConnectInfo(address)) = extensions.get::<ConnectInfo<SocketAddr>>() {
        let forwarded =
            headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
        let address = address::client(app.config.behind_proxy, address.ip(), forwarded);
        app.pace
            .log_in(address)
            .map_err(|often| Status::unavailable(format!("too many attempts; come back in {} s", often.0)))?;
    }
    let wrong = || not_let_in(EntryError::Wrong);
    let header = headers.get("authorization").and_then(|value| value.to_str().ok());
    let header = header.ok_or_else(|| Status::unauthenticated("send `authorization: Basic …`"))?;
    if let Some(bearer) = header.strip_prefix("Bearer ") {
        caller(app, headers).await?;
        return Ok(bearer.to_owned());
    }
    let encoded = header.strip_prefix("Basic ").filter(|encoded| encoded.len() <= 1024).ok_or_else(wrong)?;
    let decoded = BASE64.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(wrong)?;
    let (name, password) = decoded.split_once(':').ok_or_else(wrong)?;
    let (name, password) = (name.to_owned(), password.to_owned());
    if name == TOKEN {
        app.caller(password.clone()).await.map_err(not_let_in)?;
        return Ok(password);
    }
    let limits = app.session_limits();
    let entered = app.entering(move |enclave| enclave.log_in(&name, &password, None, limits)).await;
    entered.map(|(told, _)| told.to_string()).map_err(not_let_in)
}

fn not_let_in(error: EntryError) -> Status {
    match error {
        EntryError::LogIn(gate::logins::LogInError::Ledger(error)) => fault(&error),
        error => Status::unauthenticated(error.to_string()),
    }
}

/// A fault of ours. What it was is for the log, not for whoever asks.
pub(super) fn fault(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "fault");
    Status::internal("the enclave is at fault; its operator is told")
}
