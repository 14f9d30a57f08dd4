//! The HTTP port: `/api/v1`, its OpenAPI document, the page for set-up and invitations, health and metrics.

pub(crate) mod address;
mod auth;
mod board;
mod body;
mod entry;
mod join;
mod log;
mod negotiate;
mod oidc;
mod papers;
mod passkeys;
pub(crate) mod problem;
mod questions;
mod register;
mod schema;
mod system;

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

pub(crate) use oidc::Oidc;
pub(crate) use passkeys::Ceremonies;
pub(crate) use register::Built;

use crate::app::App;
use crate::http::address::ClientAddress;
use crate::http::problem::Problem;
use crate::metrics::Ended;

/// The document without its paths, which the routers bring.
#[derive(OpenApi)]
#[openapi(
    info(title = "The enclave", description = "Questions about pupils' records under a memorandum, answered with noise.",
         license(name = "Apache-2.0", identifier = "Apache-2.0")),
    security(("bearer" = [])),
    tags((name = "entry", description = "How people come in"),
         (name = "questions", description = "Ask, preview, fetch again"),
         (name = "papers", description = "Memoranda, data formats, budgets"),
         (name = "board", description = "Approvals and people"),
         (name = "log", description = "The disclosure log and its proofs"),
         (name = "register", description = "What the public reads"),
         (name = "system", description = "Health and metrics")))]
struct Document;

/// The OpenAPI 3.1 document.
pub fn openapi() -> Value {
    let (_, document) = api().merge(system::router()).split_for_parts();
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    for operation in operations {
        if operation["tags"][0] != "system" {
            name_busy(&mut operation["responses"]);
        }
        let responses = operation["responses"].as_object_mut();
        for response in responses.into_iter().flat_map(|responses| responses.values_mut()) {
            name_problem(response);
        }
    }
    document
}

/// Whatever waits for a place may find none.
fn name_busy(responses: &mut Value) {
    let content = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
    let busy = json!({ "description": "Too much is under way: try again in a moment", "content": content });
    if let Some(responses) = responses.as_object_mut() {
        responses.entry("503").or_insert(busy);
    }
}

/// Problem details have a media type of their own.
fn name_problem(response: &mut Value) {
    let Some(content) = response.get_mut("content").and_then(Value::as_object_mut) else { return };
    let is_problem = |content: &Value| content["schema"]["$ref"] == "#/components/schemas/Problem";
    if content.get("application/json").is_some_and(is_problem)
        && let Some(problem) = content.shift_remove("application/json")
    {
        content.insert("application/problem+json".to_owned(), problem);
    }
}

fn api() -> OpenApiRouter<App> {
    let mut document = Document::openapi();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    let v1 = OpenApiRouter::new()
        .merge(entry::router())
        .merge(passkeys::router())
        .merge(questions::router())
        .merge(papers::router())
        .merge(board::router())
        .merge(log::router())
        .merge(register::router());
    OpenApiRouter::with_openapi(document).nest("/api/v1", v1).merge(oidc::router())
}

/// Everything that the HTTP port serves.
pub(crate) fn router(app: App) -> Router {
    let (router, _) = api().split_for_parts();
    let document = openapi().to_string();
    let limits = &app.config.limits;
    let body = DefaultBodyLimit::max(limits.body_kib * 1024);
    let served = move || async move { ([(header::CONTENT_TYPE, "application/json")], document) };
    // Without a place: a server that is full is not ill.
    let (system, _) = system::router().split_for_parts();
    let system = system.method_not_allowed_fallback(not_allowed).layer(CatchPanicLayer::custom(panicked));
    router
        .route("/api/v1/openapi.json", get(served))
        .merge(join::router())
        .fallback(|| async { Problem::missing("resource") })
        .method_not_allowed_fallback(not_allowed)
        .layer(body)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(app.clone(), placed))
        .layer(from_fn_with_state(app.clone(), noted))
        .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(limits.request_seconds)))
        .merge(system)
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::CACHE_CONTROL, "no-store"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"))
        .layer(fixed(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ))
        .with_state(app)
}

fn fixed(name: axum::http::HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

async fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this resource does not take that method")
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::fault(&"a panic").into_response()
}

/// Lets a request on while there is a place for its client, and else says so at once: a client whose requests do not come
/// to an end keeps its own part of the places, and nobody waits for it. A stream of events has no place once it begins.
async fn placed(
    State(app): State<App>,
    ClientAddress(address): ClientAddress,
    request: Request,
    next: Next,
) -> Response {
    let Some(_place) = app.pace.http.take(address) else { return busy() };
    next.run(request).await
}

fn busy() -> Response {
    let detail = "too many requests are under way, from here or from all: send it again in a moment";
    let mut response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Counts each request and writes one line of it: route, status, time to the nearest tenth of a second; never an
/// address's own parts, a body, or a token.
async fn noted(State(app): State<App>, request: Request, next: Next) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or("-".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let asks = route.starts_with("/api/v1/questions") || route.starts_with("/api/v1/jobs");
    let begun = std::time::Instant::now();
    let arrival = Duration::from_secs(app.config.limits.request_seconds);
    // A question may take as long as its rule set allows; everything else answers soon.
    let response = if asks {
        next.run(request).await
    } else {
        match tokio::time::timeout(arrival, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the request took too long")
                .into_response(),
        }
    };
    let status = response.status().as_u16();
    let ended = Ended { port: "http", route: route.clone(), status };
    app.metrics.requests.get_or_create(&ended).inc();
    // How long a question took is its asker's to know, and nobody's else.
    if asks {
        tracing::info!(%method, %route, status, "request");
    } else {
        tracing::info!(%method, %route, status, tenths = begun.elapsed().as_millis() / 100, "request");
    }
    response
}
