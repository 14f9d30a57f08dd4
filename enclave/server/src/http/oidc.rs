//! `/oidc/{provider}`: people come in through their university's identity provider (OpenID Connect Core 1.0, code flow
//! with PKCE). What the provider says is believed once its signature, issuer, audience, nonce and time hold; whoever is
//! not let in is told the same words whatever it was that did not hold.

use std::collections::HashMap;
use std::error::Error;
use std::iter::successors;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gate::logins::{Caller, EntryError, Told};
use maud::html;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreGrantType, CoreJsonWebKey, CoreJsonWebKeyType, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreRequestTokenError, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType, CoreTokenResponse,
};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AsyncHttpClient, AuthType, AuthorizationCode,
    ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, DiscoveryError, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, JwsSigningAlgorithm, Nonce,
    OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl,
    RequestTokenError, SignatureVerificationError, TokenResponse,
};
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use zeroize::Zeroizing;

use crate::app::{App, link};
use crate::config::{Config, Provider};
use crate::http::address::ClientAddress;
use crate::http::body::{At, Params};
use crate::http::entry::Session;
use crate::http::join::page;
use crate::http::negotiate::quality;
use crate::http::problem::Problem;
use crate::random_id;

/// How long somebody may take at the provider.
const GOOD: Duration = Duration::from_secs(600);
/// Log-ins that are begun at once.
const BEGUN_MAX: usize = 10_000;
/// How long the provider's addresses and keys are kept.
const FRESH: Duration = Duration::from_secs(3600);
/// How long the provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer of a provider, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;
/// The longest subject (OpenID Connect Core 1.0, section 2).
const SUBJECT_MAX: usize = 255;
/// Longer than any secret that is handed out.
const INVITATION_MAX: usize = 128;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(callback))
}

/// Of an invitation.
#[derive(Deserialize)]
struct Invited {
    invitation: Option<String>,
}

/// Log in at a university: leads to its identity provider, which leads back.
#[utoipa::path(get, path = "/oidc/{provider}/login", tag = "entry", security(()),
    params(("provider" = String, Path, description = "Its name in the configuration"),
           ("invitation" = Option<String>, Query, description = "The secret of an invitation that is taken up")),
    responses((status = 303, description = "To the provider"), (status = 400, body = Problem),
              (status = 401, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem),
              (status = 503, body = Problem)))]
async fn login(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    At(name): At<String>,
    Params(invited): Params<Invited>,
) -> Result<Response, Problem> {
    app.pace.log_in(address)?;
    let provider = provider(&app, &name)?;
    let (to, cookie) =
        begin(&app, provider, invited.invitation).await.map_err(|cause| refused(provider, cause))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to), (header::SET_COOKIE, cookie)]).into_response())
}

/// What a provider sends somebody back with. There may be more, which means nothing here.
#[derive(Deserialize)]
struct Back {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
    /// Who sends (RFC 9207).
    iss: Option<String>,
}

/// Back from the identity provider: who is let in is told a session.
#[utoipa::path(get, path = "/oidc/{provider}/callback", tag = "entry", security(()),
    params(("provider" = String, Path, description = "Its name in the configuration"),
           ("code" = Option<String>, Query, description = "What the provider exchanges for its word"),
           ("state" = Option<String>, Query, description = "Which log-in it ends"),
           ("error" = Option<String>, Query, description = "Why the provider lets nobody in"),
           ("iss" = Option<String>, Query, description = "The provider's issuer")),
    responses((status = 200, content((Session = "application/json"), (String = "text/html"))),
              (status = 401, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn callback(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    At(name): At<String>,
    back: Result<Params<Back>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    app.pace.log_in(address)?;
    let provider = provider(&app, &name)?;
    let back = back.map_err(|_| refused(provider, Cause::NotBegun))?.0;
    let (token, caller) =
        end(&app, provider, &headers, back).await.map_err(|cause| refused(provider, cause))?;
    // Used up.
    let cookie = Cookie::of(&app.config).set("", Duration::ZERO);
    let told = if quality(&headers, "application/json") > quality(&headers, "text/html") {
        Json(Session::of(&caller, Some(token.to_string()))).into_response()
    } else {
        welcome(&token, &caller)
    };
    Ok(([(header::SET_COOKIE, cookie), (header::VARY, "accept".to_owned())], told).into_response())
}

fn welcome(token: &Told, caller: &Caller) -> Response {
    page(
        StatusCode::OK,
        html! {
            h1 { "Logged in · ログインしました" }
            p { "You are logged in as " code { (caller.login) } ", and are:" }
            p lang="ja" { code { (caller.login) } " としてログインしました。" }
            ul { @for person in &caller.people { li { code { (person) } } } }
            label { "Session, shown once · セッション（一度だけ表示します）" input readonly value=(token.as_str()); }
            p { "It ends at " (caller.secret.expires.format("%Y-%m-%d %H:%M UTC")) " at the latest." }
        },
    )
}

fn provider<'a>(app: &'a App, name: &str) -> Result<&'a Provider, Problem> {
    let mut providers = app.config.providers.iter();
    providers.find(|provider| provider.name == name).ok_or_else(|| Problem::missing("identity provider"))
}

/// Why nobody is let in: for the log, without anything that lets in.
#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("too many log-ins are begun")]
    Busy,
    #[error("no such log-in was begun, or it is too long ago, or it was ended before")]
    NotBegun,
    #[error("it was begun in another browser")]
    Browser,
    #[error("it was begun at another provider")]
    Provider,
    #[error("the provider says `{0}`")]
    Said(String),
    #[error("the client's secret cannot be read: {0}")]
    Secret(std::io::Error),
    #[error("the provider's addresses and keys cannot be had: {0}")]
    Discovery(String),
    #[error("the code is not exchanged: {0}")]
    Code(String),
    #[error("there is no ID token")]
    NoToken,
    #[error("the ID token does not hold: {0}")]
    Token(#[from] ClaimsVerificationError),
    #[error("the ID token is for another client")]
    Party,
    #[error("the access token is not that of the ID token")]
    AccessToken,
    #[error("the subject is empty, too long, or not plain text")]
    Subject,
    #[error("{0}")]
    Entry(#[from] EntryError),
}

impl From<SignatureVerificationError> for Cause {
    fn from(error: SignatureVerificationError) -> Cause {
        Cause::Token(ClaimsVerificationError::SignatureVerification(error))
    }
}

/// The same words whatever it was.
fn refused(provider: &Provider, cause: Cause) -> Problem {
    tracing::warn!(provider = %provider.name, %cause, "nobody is let in");
    if matches!(cause, Cause::Busy) {
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "too many log-ins are begun: come back later",
        );
    }
    let detail = "this log-in did not succeed: begin it again, or ask a steward for an invitation";
    Problem::new(StatusCode::UNAUTHORIZED, "wrong", detail)
}

/// Log-ins that are under way, and what is known of the providers.
#[derive(Default)]
pub(crate) struct Oidc {
    begun: Begun,
    known: Mutex<HashMap<String, (Instant, Known)>>,
}

/// Log-ins that are begun, by state.
#[derive(Default)]
struct Begun(Mutex<HashMap<String, Attempt>>);

/// One that is begun.
struct Attempt {
    provider: String,
    /// What the browser has to show, in its cookie.
    browser: String,
    nonce: Nonce,
    verifier: PkceCodeVerifier,
    invitation: Option<Zeroizing<String>>,
    at: Instant,
}

impl Begun {
    /// Keeps one, unless there are too many.
    fn keep(&self, state: String, attempt: Attempt) -> Result<(), Cause> {
        let mut all = locked(&self.0);
        all.retain(|_, attempt| attempt.at.elapsed() < GOOD);
        if all.len() >= BEGUN_MAX {
            return Err(Cause::Busy);
        }
        all.insert(state, attempt);
        Ok(())
    }

    /// The one of this state, which is good no more.
    fn take(&self, state: &str) -> Option<Attempt> {
        locked(&self.0).remove(state).filter(|attempt| attempt.at.elapsed() < GOOD)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a log-in: where the browser goes, and the cookie that it shows when it is back.
async fn begin(
    app: &App,
    provider: &Provider,
    invitation: Option<String>,
) -> Result<(String, String), Cause> {
    if invitation.as_ref().is_some_and(|secret| secret.len() > INVITATION_MAX) {
        return Err(EntryError::Wrong.into());
    }
    let known = app.oidc.known(provider).await?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (to, state, nonce) = client(app, provider, &known.metadata, None)?
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
        .set_pkce_challenge(challenge)
        .url();
    let browser = random_id();
    let cookie = Cookie::of(&app.config).set(&browser, GOOD);
    let attempt = Attempt {
        provider: provider.name.clone(),
        browser,
        nonce,
        verifier,
        invitation: invitation.map(Zeroizing::new),
        at: Instant::now(),
    };
    app.oidc.begun.keep(state.into_secret(), attempt)?;
    Ok((to.to_string(), cookie))
}

/// Ends a log-in: takes the state, asks the provider whose it is, takes the invitation up where there is one, and opens
/// a session.
async fn end(
    app: &App,
    provider: &Provider,
    headers: &HeaderMap,
    back: Back,
) -> Result<(Told, Caller), Cause> {
    let attempt = app.oidc.begun.take(back.state.as_deref().unwrap_or_default()).ok_or(Cause::NotBegun)?;
    let Attempt { provider: begun_at, browser, nonce, verifier, invitation, .. } = attempt;
    if !Cookie::of(&app.config).shown(headers, &browser) {
        return Err(Cause::Browser);
    }
    if begun_at != provider.name {
        return Err(Cause::Provider);
    }
    let known = app.oidc.known(provider).await?;
    let named = known.metadata.additional_metadata().authorization_response_iss_parameter_supported;
    if !back.iss.as_ref().map_or(!named, |issuer| *issuer == provider.issuer) {
        return Err(Cause::Provider);
    }
    let code = match (back.code, back.error) {
        (Some(code), None) => code,
        (_, error) => return Err(Cause::Said(plain(error.as_deref().unwrap_or("no code")))),
    };
    let sub = vouched(app, provider, known, code, verifier, &nonce).await?;
    let limits = app.session_limits();
    let subject = format!("{} {sub}", provider.issuer);
    let login = login_name(&sub, &subject);
    let entered = app
        .blocking(move |enclave| {
            if let Some(invitation) = &invitation {
                enclave.accept_subject(invitation, &login, &subject)?;
            }
            enclave.log_in_subject(&subject, limits)
        })
        .await?;
    Ok(entered)
}

/// The subject that the provider vouches for. A key that is not known may be new: its keys are fetched again, once.
async fn vouched(
    app: &App,
    provider: &Provider,
    known: Known,
    code: String,
    verifier: PkceCodeVerifier,
    nonce: &Nonce,
) -> Result<String, Cause> {
    let secret = provider.client_secret_file.as_deref().map(client_secret).transpose()?;
    let client = client(app, provider, &known.metadata, secret)?;
    let answer: CoreTokenResponse = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| Cause::Code(error.to_string()))?
        .set_pkce_verifier(verifier)
        .request_async(&known.http)
        .await
        .map_err(not_exchanged)?;
    match subject(&client, &known.metadata, &answer, nonce) {
        Err(Cause::Token(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        ))) => {
            let known = app.oidc.fetch(provider).await?;
            subject(&self::client(app, provider, &known.metadata, None)?, &known.metadata, &answer, nonce)
        }
        read => read,
    }
}

/// Whom an answer of the token endpoint vouches for, where its ID token holds.
fn subject(
    client: &Client,
    metadata: &Metadata,
    answer: &CoreTokenResponse,
    nonce: &Nonce,
) -> Result<String, Cause> {
    let token = answer.id_token().ok_or(Cause::NoToken)?;
    // Not by a secret that is shared: whoever reads the client's would speak for the provider.
    let supported = metadata.id_token_signing_alg_values_supported().iter();
    let public = supported
        .filter(|algorithm| algorithm.key_type().is_some_and(|kind| kind != CoreJsonWebKeyType::Symmetric))
        .cloned();
    let verifier = client.id_token_verifier().set_allowed_algs(public);
    let claims = token.claims(&verifier, nonce)?;
    if claims.authorized_party().is_some_and(|party| party != client.client_id()) {
        return Err(Cause::Party);
    }
    if let Some(hash) = claims.access_token_hash() {
        let key = token.signing_key(&verifier)?;
        let own = AccessTokenHash::from_token(answer.access_token(), token.signing_alg()?, key);
        if own.ok().as_ref() != Some(hash) {
            return Err(Cause::AccessToken);
        }
    }
    let sub = claims.subject().as_str();
    let holds = (1..=SUBJECT_MAX).contains(&sub.len()) && !sub.chars().any(char::is_control);
    if holds { Ok(sub.to_owned()) } else { Err(Cause::Subject) }
}

fn not_exchanged(error: CoreRequestTokenError<HttpError>) -> Cause {
    Cause::Code(match error {
        RequestTokenError::ServerResponse(answer) => {
            format!("the provider says `{}`", plain(answer.error().as_ref()))
        }
        RequestTokenError::Request(error) => error.to_string(),
        // What does not parse may hold tokens.
        RequestTokenError::Parse(..) => "the answer is none of a token endpoint".to_owned(),
        RequestTokenError::Other(message) => plain(&message),
    })
}

/// The words of a provider, for the log: short, and on one line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(128).collect()
}

/// The name of a new log-in: what the provider calls its subject, as far as a log-in may be called so, and a hash, so
/// that it is neither another provider's nor one that somebody chose.
fn login_name(sub: &str, subject: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_.@".contains(*c);
    let cleaned: String = sub.chars().filter(allowed).collect();
    let short: String = cleaned.trim_start_matches('@').chars().take(40).collect();
    let hash = ring::digest::digest(&ring::digest::SHA256, subject.as_bytes());
    let hash: String = hex::encode(hash.as_ref()).chars().take(16).collect();
    format!("{short}+{hash}")
}

/// The cookie that binds a log-in to the browser in which it was begun.
struct Cookie {
    secure: bool,
}

impl Cookie {
    fn of(config: &Config) -> Cookie {
        // Behind a proxy the browser may speak TLS though the enclave does not.
        Cookie { secure: !config.tls.plain || link(config, "").starts_with("https://") }
    }

    fn name(&self) -> &'static str {
        if self.secure { "__Host-enclave-oidc" } else { "enclave-oidc" }
    }

    fn set(&self, value: &str, life: Duration) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let (name, seconds) = (self.name(), life.as_secs());
        format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }

    fn shown(&self, headers: &HeaderMap, value: &str) -> bool {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies =
            lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        cookies.any(|(name, shown)| name == self.name() && shown == value)
    }
}

/// What a provider says of itself, and how it is reached.
#[derive(Clone)]
struct Known {
    metadata: Arc<Metadata>,
    http: Http,
}

/// Whether a provider says who it is when it sends somebody back (RFC 9207).
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
struct SaysIssuer {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for SaysIssuer {}

type Metadata = ProviderMetadata<
    SaysIssuer,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

impl Oidc {
    /// What is known of a provider, from within the hour.
    async fn known(&self, provider: &Provider) -> Result<Known, Cause> {
        let kept = locked(&self.known).get(&provider.name).cloned();
        match kept.filter(|(at, _)| at.elapsed() < FRESH) {
            Some((_, known)) => Ok(known),
            None => self.fetch(provider).await,
        }
    }

    /// The same, from the provider itself.
    async fn fetch(&self, provider: &Provider) -> Result<Known, Cause> {
        let issuer =
            IssuerUrl::new(provider.issuer.clone()).map_err(|error| Cause::Discovery(error.to_string()))?;
        let http = Http::new(provider, issuer.url()).map_err(|error| Cause::Discovery(error.to_string()))?;
        let metadata = Metadata::discover_async(issuer, &http).await.map_err(|error| match error {
            DiscoveryError::Request(error) => Cause::Discovery(error.to_string()),
            other => Cause::Discovery(plain(&other.to_string())),
        })?;
        if !http.may(metadata.authorization_endpoint().url()) {
            return Err(Cause::Discovery(HttpError::Plain.to_string()));
        }
        let known = Known { metadata: Arc::new(metadata), http };
        locked(&self.known).insert(provider.name.clone(), (Instant::now(), known.clone()));
        Ok(known)
    }
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The client that was registered at the provider. The address to which people come back has the provider's name in
/// it, so that no provider can pass for another.
fn client(
    app: &App,
    provider: &Provider,
    metadata: &Metadata,
    secret: Option<ClientSecret>,
) -> Result<Client, Cause> {
    let back = RedirectUrl::new(link(&app.config, &format!("/oidc/{}/callback", provider.name)))
        .map_err(|error| Cause::Discovery(error.to_string()))?;
    let id = ClientId::new(provider.client_id.clone());
    let client = CoreClient::from_provider_metadata(metadata.clone(), id, secret).set_redirect_uri(back);
    // A provider that does not say takes the first of the two.
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes = |method: CoreClientAuthMethod| methods.is_some_and(|methods| methods.contains(&method));
    let body =
        takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
    Ok(client.set_auth_type(if body { AuthType::RequestBody } else { AuthType::BasicAuth }))
}

/// Read for each log-in, so that it lies in memory no longer. The copy within [`ClientSecret`] is not ours to wipe.
fn client_secret(path: &Path) -> Result<ClientSecret, Cause> {
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(Cause::Secret)?);
    Ok(ClientSecret::new(text.trim().to_owned()))
}

/// How a provider is reached: without redirects, and with TLS unless it is on this machine.
#[derive(Clone)]
struct Http {
    client: reqwest::Client,
    plain: bool,
}

/// Why a provider does not answer.
#[derive(Debug, thiserror::Error)]
enum HttpError {
    #[error("`root_certificate_file` cannot be read: {0}")]
    Certificate(std::io::Error),
    #[error("only `https` is spoken, but on the loopback address")]
    Plain,
    #[error("the answer is longer than 1 MiB")]
    Long,
    #[error("{0}")]
    Request(String),
    #[error("the answer is no HTTP")]
    Answer,
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> HttpError {
        let error = error.without_url();
        let inner =
            successors(error.source(), |inner: &&(dyn std::error::Error + 'static)| (*inner).source());
        HttpError::Request(inner.fold(error.to_string(), |text, inner| format!("{text}: {inner}")))
    }
}

impl Http {
    fn new(provider: &Provider, issuer: &Url) -> Result<Http, HttpError> {
        let plain = is_loopback(issuer);
        let mut builder = reqwest::Client::builder()
            .use_rustls_tls()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .https_only(!plain);
        if plain {
            builder = builder.no_proxy();
        }
        if let Some(path) = &provider.root_certificate_file {
            let pem = std::fs::read(path).map_err(HttpError::Certificate)?;
            for certificate in reqwest::Certificate::from_pem_bundle(&pem)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Http { client: builder.build()?, plain })
    }

    /// Whether anything is sent there.
    fn may(&self, address: &Url) -> bool {
        address.scheme() == "https" || (self.plain && address.scheme() == "http" && is_loopback(address))
    }

    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        if !self.may(request.url()) {
            return Err(HttpError::Plain);
        }
        let mut response = self.client.execute(request).await?;
        let (status, kind) = (response.status(), response.headers().get(header::CONTENT_TYPE).cloned());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(HttpError::Long);
            }
            body.extend_from_slice(&chunk);
        }
        let mut built = axum::http::Response::builder().status(status);
        if let Some(kind) = kind {
            built = built.header(header::CONTENT_TYPE, kind);
        }
        built.body(body).map_err(|_| HttpError::Answer)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.fetch(request))
    }
}

fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Tls;

    fn attempt() -> Attempt {
        Attempt {
            provider: "tsukuba".to_owned(),
            browser: random_id(),
            nonce: Nonce::new_random(),
            verifier: PkceCodeChallenge::new_random_sha256().1,
            invitation: None,
            at: Instant::now(),
        }
    }

    #[test]
    fn a_state_is_good_once() {
        let begun = Begun::default();
        begun.keep("a".to_owned(), attempt()).unwrap();
        assert!(begun.take("b").is_none());
        assert!(begun.take("a").is_some());
        assert!(begun.take("a").is_none());
    }

    #[test]
    fn so_many_are_begun_and_no_more() {
        let begun = Begun::default();
        for n in 0..BEGUN_MAX {
            locked(&begun.0).insert(n.to_string(), attempt());
        }
        assert!(matches!(begun.keep("a".to_owned(), attempt()), Err(Cause::Busy)));
        begun.take("0").unwrap();
        begun.keep("a".to_owned(), attempt()).unwrap();
    }

    #[test]
    fn names_are_those_that_log_ins_may_have() {
        let (long, short) = ("x".repeat(255), format!("{}+", "x".repeat(40)));
        for (sub, begins) in [
            ("hanako", "hanako+"),
            ("@hanako@example.ac.jp", "hanako@example.ac.jp+"),
            ("花子", "+"),
            ("a b/c", "abc+"),
            (long.as_str(), short.as_str()),
        ] {
            let name = login_name(sub, &format!("https://idp.example.ac.jp {sub}"));
            assert!(name.starts_with(begins) && name.len() == begins.len() + 16, "{name}");
        }
        assert_ne!(login_name("a", "https://one.example a"), login_name("a", "https://two.example a"));
    }

    #[test]
    fn the_cookie_is_bound_to_the_host() {
        let cookie = Cookie::of(&Config::default());
        let set = cookie.set("secret", GOOD);
        assert_eq!(set, "__Host-enclave-oidc=secret; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure");
        let plain = Config { tls: Tls { plain: true, ..Tls::default() }, ..Config::default() };
        let ended = Cookie::of(&plain).set("", Duration::ZERO);
        assert_eq!(ended, "enclave-oidc=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        let behind = Config { public_url: Some("https://enclave.example.jp".to_owned()), ..plain };
        assert!(Cookie::of(&behind).secure);
        for (sent, shown) in [
            ("__Host-enclave-oidc=secret", true),
            ("a=b; __Host-enclave-oidc=secret", true),
            ("enclave-oidc=secret", false),
            ("__Host-enclave-oidc=other", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, sent.parse().unwrap());
            assert_eq!(cookie.shown(&headers, "secret"), shown, "{sent}");
        }
    }

    #[test]
    fn only_this_machine_is_reached_without_tls() {
        let address = |text: &str| Url::parse(text).unwrap();
        for (issuer, other, may) in [
            ("https://idp.example.ac.jp", "https://idp.example.ac.jp/token", true),
            ("https://idp.example.ac.jp", "http://idp.example.ac.jp/token", false),
            ("https://idp.example.ac.jp", "http://127.0.0.1/token", false),
            ("http://127.0.0.1:9000", "http://localhost:9000/token", true),
            ("http://127.0.0.1:9000", "http://idp.example.ac.jp/token", false),
        ] {
            let provider = Provider {
                name: "tsukuba".to_owned(),
                issuer: issuer.to_owned(),
                client_id: "enclave".to_owned(),
                client_secret_file: None,
                root_certificate_file: None,
            };
            let http = Http::new(&provider, &address(issuer)).unwrap();
            assert_eq!(http.may(&address(other)), may, "{issuer} {other}");
        }
    }
}
