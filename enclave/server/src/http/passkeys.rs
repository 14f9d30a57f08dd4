//! `/factors/passkeys`, `/sessions/passkey`, `/sessions/current/step-up/passkey`: passkeys (WebAuthn, level 3) as second
//! factor: enrolled within a session, shown after the password, or anew before questions that want it.
//!
//! Each ceremony is two requests: `begin` answers with what the browser passes to `navigator.credentials`, and `finish`
//! brings what that gave. What is kept in between is in memory, good once, for five minutes, for whoever began.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use gate::logins::{EntryError, PasswordShown};
use gate::passkeys::{KeptPasskey, MayEnrol, OpenPasskey, PasskeyError, SignedPasskey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use webauthn_rs::prelude::{
    CredentialID, Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Uuid,
};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use crate::app::App;
use crate::config::Config;
use crate::http::address::Paced;
use crate::http::auth::Auth;
use crate::http::body::{At, Body};
use crate::http::entry::{Session, within_session};
use crate::http::problem::Problem;

/// For how long what was begun can be finished.
const GOOD_FOR: Duration = Duration::from_secs(5 * 60);
/// How many are kept, of all and of one log-in; the oldest go first.
const BEGUN: usize = 4096;
const BEGUN_OF_ONE: usize = 8;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(begin_enrolment))
        .routes(routes!(finish_enrolment))
        .routes(routes!(passkeys))
        .routes(routes!(remove_passkey))
        .routes(routes!(begin_step_up))
        .routes(routes!(finish_step_up))
        .routes(routes!(begin_log_in))
        .routes(routes!(finish_log_in))
}

/// A ceremony that was begun.
#[derive(Serialize, ToSchema)]
struct Ceremony {
    /// Sent back with what the authenticator gave.
    state: String,
    /// For `navigator.credentials`: `publicKey` with its bytes in base64url.
    #[schema(value_type = Object)]
    options: Value,
}

/// A passkey that an authenticator has made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPasskey {
    /// Of the ceremony.
    state: String,
    /// What `navigator.credentials.create` gave, its bytes in base64url.
    #[schema(value_type = Object)]
    credential: RegisterPublicKeyCredential,
    /// What it is called, in up to 64 characters.
    label: String,
}

/// A signature of a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Signature {
    /// Of the ceremony.
    state: String,
    /// What `navigator.credentials.get` gave, its bytes in base64url.
    #[schema(value_type = Object)]
    credential: PublicKeyCredential,
}

/// A passkey, as it is listed.
#[derive(Serialize, ToSchema)]
struct PasskeyShown {
    /// Number by which it is removed.
    id: u64,
    /// What it is called.
    label: String,
    /// When it was enrolled.
    created: DateTime<Utc>,
    /// When it signed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<DateTime<Utc>>,
}

impl PasskeyShown {
    fn of(passkey: KeptPasskey) -> PasskeyShown {
        let KeptPasskey { id, label, created, used, .. } = passkey;
        PasskeyShown { id, label, created, used }
    }
}

/// The number of a passkey.
#[derive(Serialize, ToSchema)]
struct Enrolled {
    /// Number by which it is removed.
    id: u64,
}

/// Begin to enrol a passkey; where a second factor is there already, within minutes of showing it.
#[utoipa::path(post, path = "/factors/passkeys/begin", tag = "entry",
    responses((status = 201, body = Ceremony), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 429, body = Problem), (status = 501, body = Problem)))]
async fn begin_enrolment(
    State(app): State<App>,
    Auth(caller): Auth,
) -> Result<(StatusCode, Json<Ceremony>), Problem> {
    within_session(&caller)?;
    let site = app.ceremonies.site()?;
    let (login, session) = (caller.login.clone(), caller.secret.id);
    let (may, kept) = app
        .blocking(move |enclave| -> Result<(MayEnrol, Vec<KeptPasskey>), PasskeyError> {
            Ok((enclave.may_enrol(&caller)?, enclave.passkeys(&caller)?))
        })
        .await?;
    let enrolled: Vec<CredentialID> = kept.into_iter().map(|passkey| passkey.credential.into()).collect();
    // The authenticator keeps this number of the user: a new one each time says nothing of them.
    let (options, state) = site
        .start_passkey_registration(Uuid::new_v4(), &login, &login, Some(enrolled))
        .map_err(|error| Problem::fault(&error))?;
    let options = serde_json::to_value(options).map_err(|error| Problem::fault(&error))?;
    let state = app.ceremonies.begin(&login, Some(session), Pending::Enrolment(may, state));
    Ok((StatusCode::CREATED, Json(Ceremony { state, options })))
}

/// Enrol a passkey: from now on logging in takes a second factor.
#[utoipa::path(post, path = "/factors/passkeys/finish", tag = "entry", request_body = NewPasskey,
    responses((status = 201, body = Enrolled), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem),
              (status = 501, body = Problem)))]
async fn finish_enrolment(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<NewPasskey>,
) -> Result<(StatusCode, Json<Enrolled>), Problem> {
    within_session(&caller)?;
    let site = app.ceremonies.site()?;
    let begun = app.ceremonies.finish(&body.state, Some(caller.secret.id));
    let Some(Pending::Enrolment(may, state)) = begun else { return Err(over()) };
    let passkey = site.finish_passkey_registration(&body.credential, &state).map_err(|error| {
        tracing::info!(%error, "a passkey was not enrolled");
        let detail = "this passkey was not made for this ceremony and this enclave: begin again";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "passkey", detail)
    })?;
    let credential = passkey.cred_id().to_vec();
    let json = serde_json::to_vec(&passkey).map_err(|error| Problem::fault(&error))?;
    let id = app
        .blocking(move |enclave| enclave.add_passkey(&caller, may, &body.label, &credential, &json))
        .await?;
    Ok((StatusCode::CREATED, Json(Enrolled { id })))
}

/// Your passkeys.
#[utoipa::path(get, path = "/factors/passkeys", tag = "entry",
    responses((status = 200, body = Vec<PasskeyShown>), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 429, body = Problem)))]
async fn passkeys(State(app): State<App>, Auth(caller): Auth) -> Result<Json<Vec<PasskeyShown>>, Problem> {
    within_session(&caller)?;
    let kept = app.blocking(move |enclave| enclave.passkeys(&caller)).await?;
    Ok(Json(kept.into_iter().map(PasskeyShown::of).collect()))
}

/// Remove a passkey, within minutes of showing a second factor. The last second factor of a steward or of a member of
/// the board stays.
#[utoipa::path(delete, path = "/factors/passkeys/{id}", tag = "entry",
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn remove_passkey(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<u64>,
) -> Result<StatusCode, Problem> {
    within_session(&caller)?;
    let removed = app.blocking(move |enclave| enclave.remove_passkey(&caller, id)).await?;
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::missing("passkey")) }
}

/// Begin to show a passkey anew.
#[utoipa::path(post, path = "/sessions/current/step-up/passkey/begin", tag = "entry",
    responses((status = 201, body = Ceremony), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 429, body = Problem), (status = 501, body = Problem)))]
async fn begin_step_up(
    State(app): State<App>,
    Auth(caller): Auth,
) -> Result<(StatusCode, Json<Ceremony>), Problem> {
    within_session(&caller)?;
    let site = app.ceremonies.site()?;
    let (login, session) = (caller.login.clone(), caller.secret.id);
    let opened = app.blocking(move |enclave| enclave.passkeys_to_step_up(&caller)).await?;
    let (options, asked) = Asked::of(site, opened)?;
    let state = app.ceremonies.begin(&login, Some(session), Pending::StepUp(asked));
    Ok((StatusCode::CREATED, Json(Ceremony { state, options })))
}

/// Show a passkey anew, before questions about items that want it.
#[utoipa::path(post, path = "/sessions/current/step-up/passkey/finish", tag = "entry", request_body = Signature,
    responses((status = 204), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem), (status = 429, body = Problem), (status = 501, body = Problem)))]
async fn finish_step_up(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<Signature>,
) -> Result<StatusCode, Problem> {
    within_session(&caller)?;
    let site = app.ceremonies.site()?;
    let begun = app.ceremonies.finish(&body.state, Some(caller.secret.id));
    let Some(Pending::StepUp(asked)) = begun else { return Err(over()) };
    let signed = asked.signed(site, &body.credential);
    app.blocking(move |enclave| enclave.step_up_by_passkey(&caller, signed)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Name and password, before a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NameAndPassword {
    /// The log-in.
    login: String,
    /// Its password.
    #[schema(format = Password)]
    password: String,
}

/// Begin to log in with a passkey. Without one, and with a wrong name or password, the answer is the same.
#[utoipa::path(post, path = "/sessions/passkey/begin", tag = "entry", request_body = NameAndPassword, security(()),
    responses((status = 201, body = Ceremony), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 429, body = Problem),
              (status = 501, body = Problem)))]
async fn begin_log_in(
    State(app): State<App>,
    _: Paced,
    Body(body): Body<NameAndPassword>,
) -> Result<(StatusCode, Json<Ceremony>), Problem> {
    let site = app.ceremonies.site()?;
    let (shown, opened) = app
        .entering(move |enclave| -> Result<(PasswordShown, Vec<OpenPasskey>), EntryError> {
            let shown = enclave.show_password(&body.login, &body.password)?;
            let opened = enclave.passkeys_to_log_in(&shown)?;
            Ok((shown, opened))
        })
        .await?;
    let (options, asked) = Asked::of(site, opened)?;
    let login = shown.name().to_owned();
    let state = app.ceremonies.begin(&login, None, Pending::LogIn(shown, asked));
    Ok((StatusCode::CREATED, Json(Ceremony { state, options })))
}

/// Log in with a passkey, after the password.
#[utoipa::path(post, path = "/sessions/passkey/finish", tag = "entry", request_body = Signature, security(()),
    responses((status = 201, body = Session), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 429, body = Problem),
              (status = 501, body = Problem)))]
async fn finish_log_in(
    State(app): State<App>,
    _: Paced,
    Body(body): Body<Signature>,
) -> Result<(StatusCode, Json<Session>), Problem> {
    let site = app.ceremonies.site()?;
    let begun = app.ceremonies.finish(&body.state, None);
    let Some(Pending::LogIn(shown, asked)) = begun else { return Err(EntryError::Wrong.into()) };
    let signed = asked.signed(site, &body.credential);
    let limits = app.session_limits();
    let (token, caller) =
        app.blocking(move |enclave| enclave.log_in_by_passkey(shown, signed, limits)).await?;
    Ok((StatusCode::CREATED, Json(Session::of(&caller, Some(token.to_string())))))
}

/// Of a state that is not good, or not any more.
fn over() -> Problem {
    let detail = "this ceremony is over, or was not begun in this session: begin again";
    Problem::new(StatusCode::CONFLICT, "ceremony", detail)
}

impl From<PasskeyError> for Problem {
    fn from(error: PasskeyError) -> Problem {
        match &error {
            PasskeyError::Refused | PasskeyError::Locked | PasskeyError::NotEnrolled => {
                Problem::denied(&error)
            }
            PasskeyError::ShowFirst => Problem::new(StatusCode::FORBIDDEN, "step-up", &error),
            PasskeyError::Label => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", &error),
            PasskeyError::Taken | PasskeyError::TooMany | PasskeyError::Last => {
                Problem::new(StatusCode::CONFLICT, "conflict", &error)
            }
            PasskeyError::Unreadable | PasskeyError::Open(_) | PasskeyError::Ledger(_) => {
                Problem::fault(&error)
            }
        }
    }
}

/// What an authenticator was asked to sign, and the passkeys as they were then: one whose counter went on since is not
/// taken.
struct Asked {
    passkeys: Vec<OpenPasskey>,
    state: PasskeyAuthentication,
}

impl Asked {
    /// The options for the browser beside it.
    fn of(site: &Webauthn, passkeys: Vec<OpenPasskey>) -> Result<(Value, Asked), Problem> {
        let read: Result<Vec<Passkey>, _> =
            passkeys.iter().map(|opened| serde_json::from_slice(opened.json())).collect();
        let read = read.map_err(|error| Problem::fault(&error))?;
        let (options, state) =
            site.start_passkey_authentication(&read).map_err(|error| Problem::fault(&error))?;
        let options = serde_json::to_value(options).map_err(|error| Problem::fault(&error))?;
        Ok((options, Asked { passkeys, state }))
    }

    /// The passkey that signed what was asked for; `None` where none did.
    fn signed(self, site: &Webauthn, credential: &PublicKeyCredential) -> Option<SignedPasskey> {
        let signed = site.finish_passkey_authentication(credential, &self.state);
        let signed = signed.inspect_err(|error| tracing::info!(%error, "a passkey was not taken")).ok()?;
        self.passkeys.into_iter().find_map(|opened| {
            let mut passkey: Passkey = serde_json::from_slice(opened.json()).ok()?;
            let changed = passkey.update_credential(&signed)?;
            let changed = if changed { Some(serde_json::to_vec(&passkey).ok()?) } else { None };
            Some(opened.signed(changed))
        })
    }
}

/// What a ceremony goes on with.
enum Pending {
    Enrolment(MayEnrol, PasskeyRegistration),
    StepUp(Asked),
    LogIn(PasswordShown, Asked),
}

/// The site that passkeys are made for, and the ceremonies that were begun.
pub(crate) struct Ceremonies {
    site: Option<Webauthn>,
    begun: Kept<Pending>,
}

impl Ceremonies {
    /// For the public URL; without one, for `localhost`.
    pub(crate) fn new(config: &Config) -> Ceremonies {
        Ceremonies { site: site(config), begun: Kept::default() }
    }

    fn site(&self) -> Result<&Webauthn, Problem> {
        self.site.as_ref().ok_or_else(|| {
            let detail = "passkeys are made for a name, and the address of this enclave has none: its operator sets `public_url`";
            Problem::new(StatusCode::NOT_IMPLEMENTED, "no-passkeys", detail)
        })
    }

    fn begin(&self, login: &str, session: Option<u64>, pending: Pending) -> String {
        self.begun.put(Instant::now(), login, session, pending)
    }

    fn finish(&self, state: &str, session: Option<u64>) -> Option<Pending> {
        self.begun.take(Instant::now(), state, session)
    }
}

/// The relying party: its id is the host of the public URL, its origin that URL's. `None` where the host is no name.
fn site(config: &Config) -> Option<Webauthn> {
    let scheme = if config.tls.plain { "http" } else { "https" };
    let own = format!("{scheme}://localhost:{}", config.http.port());
    let url = Url::parse(config.public_url.as_deref().unwrap_or(&own)).ok()?;
    // Where the system chooses the port, it is not known yet.
    let any_port = config.public_url.is_none() && config.http.port() == 0;
    let builder = WebauthnBuilder::new(url.domain()?, &url).ok()?;
    builder.rp_name("The enclave").timeout(GOOD_FOR).allow_any_port(any_port).build().ok()
}

/// What was begun, by random states.
struct Kept<T>(Mutex<VecDeque<Begun<T>>>);

struct Begun<T> {
    state: String,
    at: Instant,
    login: String,
    /// The session within which it was begun.
    session: Option<u64>,
    pending: T,
}

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(Mutex::new(VecDeque::new()))
    }
}

impl<T> Kept<T> {
    fn put(&self, at: Instant, login: &str, session: Option<u64>, pending: T) -> String {
        let mut begun = self.lock();
        begun.retain(|one| at.saturating_duration_since(one.at) < GOOD_FOR);
        let mut own = begun.iter().enumerate().filter(|(_, one)| one.login == login).map(|(place, _)| place);
        let oldest = own.next().filter(|_| own.count() + 1 >= BEGUN_OF_ONE);
        if let Some(place) = oldest.or((begun.len() >= BEGUN).then_some(0)) {
            begun.remove(place);
        }
        let state = crate::random_id();
        begun.push_back(Begun { state: state.clone(), at, login: login.to_owned(), session, pending });
        state
    }

    /// Whoever comes with it, it is used up.
    fn take(&self, at: Instant, state: &str, session: Option<u64>) -> Option<T> {
        let mut begun = self.lock();
        let place = begun.iter().position(|one| one.state == state)?;
        let one = begun.remove(place)?;
        let fresh = at.saturating_duration_since(one.at) < GOOD_FOR;
        (fresh && one.session == session).then_some(one.pending)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Begun<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_state_is_good_once_in_its_session_for_five_minutes() {
        let (kept, now) = (Kept::default(), Instant::now());
        let put = |session| kept.put(now, "sato", session, ());
        let state = put(Some(1));
        assert_eq!(kept.take(now, &state, Some(1)), Some(()));
        assert_eq!(kept.take(now, &state, Some(1)), None, "used");
        for other in [Some(2), None] {
            let state = put(Some(1));
            assert_eq!(kept.take(now, &state, other), None, "of another session");
            assert_eq!(kept.take(now, &state, Some(1)), None, "used up by that");
        }
        let (early, late) = (put(None), put(None));
        assert_eq!(kept.take(now + GOOD_FOR - Duration::from_millis(1), &early, None), Some(()));
        assert_eq!(kept.take(now + GOOD_FOR, &late, None), None, "too late");
        assert_eq!(kept.take(now, "", None), None);
    }

    #[test]
    fn nobody_fills_the_room_of_others() {
        let (kept, now) = (Kept::default(), Instant::now());
        let other = kept.put(now, "other", None, 0);
        let states: Vec<String> = (0..BEGUN_OF_ONE + 2).map(|n| kept.put(now, "sato", None, n)).collect();
        let left: Vec<usize> = states.iter().filter_map(|state| kept.take(now, state, None)).collect();
        assert_eq!(left, (2..BEGUN_OF_ONE + 2).collect::<Vec<_>>());
        assert_eq!(kept.take(now, &other, None), Some(0));
        let first = kept.put(now, "first", None, 0);
        (0..BEGUN).for_each(|n| drop(kept.put(now, &n.to_string(), None, n)));
        assert_eq!(kept.lock().len(), BEGUN);
        assert_eq!(kept.take(now, &first, None), None);
        kept.put(now + GOOD_FOR, "last", None, 0);
        assert_eq!(kept.lock().len(), 1, "what is over is let go");
    }

    #[test]
    fn the_site_is_the_public_url() {
        let check = |public_url: Option<&str>, http: &str, origin: Option<&str>| {
            let public_url = public_url.map(str::to_owned);
            let config = Config { public_url, http: http.parse().unwrap(), ..Config::default() };
            let site = site(&config).map(|site| site.get_allowed_origins()[0].origin().ascii_serialization());
            assert_eq!(site.as_deref(), origin);
        };
        let public = Some("https://enclave.example.jp/");
        check(public, "127.0.0.1:8443", Some("https://enclave.example.jp"));
        check(None, "127.0.0.1:8443", Some("https://localhost:8443"));
        check(None, "127.0.0.1:443", Some("https://localhost"));
        check(Some("https://192.0.2.1"), "127.0.0.1:8443", None);
        check(Some("enclave.example.jp"), "127.0.0.1:8443", None);
    }
}
