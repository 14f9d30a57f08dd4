//! `/sessions`, `/invitations`, `/tokens`, `/factors`, `/password`: how people come in.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use gate::logins::{Caller, Scope, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::address::Paced;
use crate::http::auth::{Auth, MaybeAuth};
use crate::http::body::{At, Body};
use crate::http::problem::Problem;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(log_in))
        .routes(routes!(session, log_out))
        .routes(routes!(step_up))
        .routes(routes!(change_password))
        .routes(routes!(invite))
        .routes(routes!(accept))
        .routes(routes!(set_up))
        .routes(routes!(enrol))
        .routes(routes!(confirm))
        .routes(routes!(tokens, issue_token))
        .routes(routes!(end_token))
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogIn {
    /// The log-in.
    login: String,
    /// Its password.
    #[schema(format = Password)]
    password: String,
    /// A code of the authenticator, where one is enrolled.
    code: Option<String>,
}

/// Who has logged in.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// For `Authorization: Bearer …`; told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The log-in.
    login: String,
    /// Whom it stands for: of the register, or `MEMORANDUM/PERSON`.
    people: BTreeSet<String>,
    /// What the session or token lets do.
    scopes: Vec<&'static str>,
    /// The one memorandum that a token is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    memorandum: Option<String>,
    /// When it ends at the latest.
    expires: DateTime<Utc>,
}

impl Session {
    pub(super) fn of(caller: &Caller, token: Option<String>) -> Session {
        Session {
            token,
            login: caller.login.clone(),
            // A token for one memorandum says nothing of the others.
            people: caller.people.iter().filter(|person| caller.stands_for(person)).cloned().collect(),
            scopes: caller.scopes.iter().map(|scope| scope.name()).collect(),
            memorandum: caller.memorandum.clone(),
            expires: caller.secret.expires,
        }
    }
}

/// Log in.
#[utoipa::path(post, path = "/sessions", tag = "entry", request_body = LogIn, security(()),
    responses((status = 201, body = Session), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 429, body = Problem)))]
async fn log_in(
    State(app): State<App>,
    _: Paced,
    Body(body): Body<LogIn>,
) -> Result<(StatusCode, Json<Session>), Problem> {
    let limits = app.session_limits();
    let (token, caller) = app
        .entering(move |enclave| enclave.log_in(&body.login, &body.password, body.code.as_deref(), limits))
        .await?;
    Ok((StatusCode::CREATED, Json(Session::of(&caller, Some(token.to_string())))))
}

/// Who is logged in.
#[utoipa::path(get, path = "/sessions/current", tag = "entry",
    responses((status = 200, body = Session), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn session(Auth(caller): Auth) -> Json<Session> {
    Json(Session::of(&caller, None))
}

/// Log out: the session or token that is shown ends.
#[utoipa::path(delete, path = "/sessions/current", tag = "entry",
    responses((status = 204), (status = 401, body = Problem), (status = 429, body = Problem)))]
async fn log_out(State(app): State<App>, Auth(caller): Auth) -> Result<StatusCode, Problem> {
    app.blocking(move |enclave| enclave.end_secret(&caller, caller.secret.id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A code of an authenticator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Code {
    /// Six digits.
    code: String,
}

/// Show the second factor anew, before questions about items that want it.
#[utoipa::path(post, path = "/sessions/current/step-up", tag = "entry", request_body = Code,
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
              (status = 429, body = Problem)))]
async fn step_up(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<Code>,
) -> Result<StatusCode, Problem> {
    app.blocking(move |enclave| enclave.step_up_own(&caller, &body.code)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The old and the new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    /// The one that holds.
    #[schema(format = Password)]
    old: String,
    /// The one that shall hold.
    #[schema(format = Password)]
    new: String,
}

/// Change the password. All sessions and tokens end.
#[utoipa::path(post, path = "/password", tag = "entry", request_body = ChangePassword,
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 413, body = Problem), (status = 403, body = Problem), (status = 415, body = Problem),
              (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn change_password(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<ChangePassword>,
) -> Result<StatusCode, Problem> {
    within_session(&caller)?;
    app.entering(move |enclave| enclave.change_password(&caller, &body.old, &body.new)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    /// Of the register, or `MEMORANDUM/PERSON`.
    person: String,
}

/// An invitation.
#[derive(Serialize, ToSchema)]
struct Invitation {
    /// The secret; told once.
    invitation: String,
    /// The page where it is taken up.
    link: String,
    /// When it is good no more.
    expires: DateTime<Utc>,
}

/// Invite a person to make a log-in, or to add the person to theirs.
#[utoipa::path(post, path = "/invitations", tag = "entry", request_body = Invite,
    responses((status = 201, body = Invitation), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem), (status = 429, body = Problem)))]
async fn invite(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<Invite>,
) -> Result<(StatusCode, Json<Invitation>), Problem> {
    within_session(&caller)?;
    let (told, expires) =
        app.acting(caller.registered(), move |enclave| enclave.invite(&body.person)).await?;
    let link = app.join_link(&told);
    Ok((StatusCode::CREATED, Json(Invitation { invitation: told.to_string(), link, expires })))
}

/// An invitation, taken up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Accept {
    /// The secret.
    invitation: String,
    /// A new log-in; left out by whoever is logged in already.
    login: Option<String>,
    /// Its password, of 15 characters or more.
    #[schema(format = Password)]
    password: Option<String>,
}

/// For whom.
#[derive(Serialize, ToSchema)]
struct Joined {
    /// Of the register, or `MEMORANDUM/PERSON`.
    person: String,
}

/// Take an invitation up, with a new log-in, or with the one that is logged in.
#[utoipa::path(post, path = "/invitations/accept", tag = "entry", request_body = Accept, security((), ("bearer" = [])),
    responses((status = 201, body = Joined), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn accept(
    State(app): State<App>,
    MaybeAuth(caller): MaybeAuth,
    _: Paced,
    Body(body): Body<Accept>,
) -> Result<(StatusCode, Json<Joined>), Problem> {
    let person = match (caller, body.login, body.password) {
        (Some(caller), None, None) => {
            within_session(&caller)?;
            app.blocking(move |enclave| enclave.accept_as(&body.invitation, &caller)).await?
        }
        (None, Some(login), Some(password)) => {
            app.entering(move |enclave| enclave.accept(&body.invitation, &login, &password)).await?
        }
        _ => {
            return Err(Problem::invalid(
                "send `login` and `password` for a new log-in, or neither while you are logged in",
            ));
        }
    };
    Ok((StatusCode::CREATED, Json(Joined { person })))
}

/// The first steward.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetUp {
    /// The secret that `enclave init` printed.
    secret: String,
    /// Short id, as in `--as ID`.
    id: String,
    /// Name, as it stands in the log.
    name: String,
    /// A log-in.
    login: String,
    /// Its password, of 15 characters or more.
    #[schema(format = Password)]
    password: String,
}

/// Register the first steward. The founding is over.
#[utoipa::path(post, path = "/set-up", tag = "entry", request_body = SetUp, security(()),
    responses((status = 201, body = Joined), (status = 400, body = Problem), (status = 403, body = Problem),
              (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
              (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn set_up(
    State(app): State<App>,
    _: Paced,
    Body(body): Body<SetUp>,
) -> Result<(StatusCode, Json<Joined>), Problem> {
    let person = body.id.clone();
    app.entering(move |enclave| {
        enclave.set_up(&body.secret, &body.id, &body.name, &body.login, &body.password)
    })
    .await?;
    Ok((StatusCode::CREATED, Json(Joined { person })))
}

/// A code of the authenticator that is replaced.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Enrol {
    /// Where one is enrolled already.
    code: Option<String>,
}

/// For an authenticator.
#[derive(Serialize, ToSchema)]
struct Authenticator {
    /// `otpauth://…`; told once.
    uri: String,
}

/// Enrol a time-based second factor (RFC 6238). From now on logging in takes a code; the first confirms it.
#[utoipa::path(post, path = "/factors/totp", tag = "entry", request_body = Enrol,
    responses((status = 201, body = Authenticator), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
              (status = 429, body = Problem)))]
async fn enrol(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<Enrol>,
) -> Result<(StatusCode, Json<Authenticator>), Problem> {
    within_session(&caller)?;
    let uri = app.blocking(move |enclave| enclave.enrol_own_factor(&caller, body.code.as_deref())).await?;
    Ok((StatusCode::CREATED, Json(Authenticator { uri })))
}

/// Confirm a second factor by its first code.
#[utoipa::path(post, path = "/factors/totp/confirm", tag = "entry", request_body = Code,
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
              (status = 429, body = Problem)))]
async fn confirm(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<Code>,
) -> Result<StatusCode, Problem> {
    within_session(&caller)?;
    app.blocking(move |enclave| enclave.step_up_own(&caller, &body.code)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A token for programs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What it is for.
    #[schema(min_length = 1, max_length = 64)]
    label: String,
    /// `read`, `preview`, `ask`; at least one.
    #[schema(min_items = 1)]
    scopes: BTreeSet<ScopeName>,
    /// The one memorandum that it is for; left out for all of the log-in's.
    memorandum: Option<String>,
    /// For how many days, 1 to 366.
    #[schema(minimum = 1, maximum = 366)]
    days: u32,
}

/// What a token may let do.
#[derive(Deserialize, ToSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
enum ScopeName {
    Read,
    Preview,
    Ask,
}

/// A token, as it is listed.
#[derive(Serialize, ToSchema)]
struct Token {
    /// Number by which it is ended.
    id: u64,
    /// For `Authorization: Bearer …`; told once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// What it is for.
    label: String,
    /// What it lets do.
    scope: String,
    /// When it was made.
    issued: DateTime<Utc>,
    /// When it was used last, to the minute.
    seen: DateTime<Utc>,
    /// When it is good no more.
    expires: DateTime<Utc>,
}

impl Token {
    fn of(secret: Secret, token: Option<String>) -> Token {
        let Secret { id, label, scope, issued, seen, expires, .. } = secret;
        Token { id, token, label, scope, issued, seen, expires }
    }
}

/// Your tokens that are good.
#[utoipa::path(get, path = "/tokens", tag = "entry",
    responses((status = 200, body = Vec<Token>), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 429, body = Problem)))]
async fn tokens(State(app): State<App>, Auth(caller): Auth) -> Result<Json<Vec<Token>>, Problem> {
    within_session(&caller)?;
    let tokens = app.blocking(move |enclave| enclave.tokens(&caller)).await?;
    Ok(Json(tokens.into_iter().map(|secret| Token::of(secret, None)).collect()))
}

/// Make a token for programs.
#[utoipa::path(post, path = "/tokens", tag = "entry", request_body = NewToken,
    responses((status = 201, body = Token), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
              (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn issue_token(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<NewToken>,
) -> Result<(StatusCode, Json<Token>), Problem> {
    let scope = |name: &ScopeName| match name {
        ScopeName::Read => Scope::Read,
        ScopeName::Preview => Scope::Preview,
        ScopeName::Ask => Scope::Ask,
    };
    let scopes: BTreeSet<Scope> = body.scopes.iter().map(scope).collect();
    let (told, secret) = app
        .blocking(move |enclave| {
            enclave.issue_token(&caller, &body.label, &scopes, body.memorandum.as_deref(), body.days)
        })
        .await?;
    Ok((StatusCode::CREATED, Json(Token::of(secret, Some(told.to_string())))))
}

/// End a token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "entry", params(("id" = u64, Path, description = "Its number")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn end_token(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<u64>,
) -> Result<StatusCode, Problem> {
    within_session(&caller)?;
    let ended = app.blocking(move |enclave| enclave.end_secret(&caller, id)).await?;
    if ended { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::missing("token")) }
}

/// What changes how somebody comes in is done within a session, never with a token.
pub(super) fn within_session(caller: &Caller) -> Result<(), Problem> {
    if caller.may(Scope::Act) {
        return Ok(());
    }
    Err(Problem::denied("this is done within a session: a token reads, previews or asks"))
}
