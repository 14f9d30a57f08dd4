//! `/register`: the public register, as `enclave register build` writes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use gate::register::Site;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::body::At;
use crate::http::problem::Problem;

/// How old the register may be until it is built anew.
const FRESH: Duration = Duration::from_secs(60);
/// Its pages have one style sheet, and nothing to send.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(top))
        .routes(routes!(index))
        .routes(routes!(file))
        .routes(routes!(memorandum))
}

/// What is in the register: `register.json`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what the gate writes; a test compares")]
struct RegisterContents {
    /// `enclave register 1`.
    form: String,
    /// Leaves of the disclosure log that it is made from.
    leaves: u64,
    /// Its other files.
    files: Vec<String>,
}

/// Leads to the first page, from which the links of the register lead on.
#[utoipa::path(get, path = "/register", tag = "register", security(()),
    responses((status = 308, description = "To `register/`")))]
async fn top() -> Redirect {
    Redirect::permanent("register/")
}

/// The first page of the public register.
#[utoipa::path(get, path = "/register/", tag = "register", security(()),
    responses((status = 200, content_type = "text/html", body = String)))]
async fn index(State(app): State<App>) -> Result<Response, Problem> {
    page(&app, "index.html").await
}

/// A page or file of the public register. `register.json` lists them.
#[utoipa::path(get, path = "/register/{file}", tag = "register", security(()),
    params(("file" = String, Path, description = "Its name")),
    responses((status = 200, content((String = "text/html"), (String = "text/css"),
                  (RegisterContents = "application/json"))),
              (status = 404, body = Problem)))]
async fn file(State(app): State<App>, At(file): At<String>) -> Result<Response, Problem> {
    page(&app, &file).await
}

/// The page of one memorandum in the public register.
#[utoipa::path(get, path = "/register/memoranda/{file}", tag = "register", security(()),
    params(("file" = String, Path, description = "The memorandum's id, and `.html`")),
    responses((status = 200, content_type = "text/html", body = String), (status = 404, body = Problem)))]
async fn memorandum(State(app): State<App>, At(file): At<String>) -> Result<Response, Problem> {
    page(&app, &format!("memoranda/{file}")).await
}

async fn page(app: &App, name: &str) -> Result<Response, Problem> {
    let site = app.register.site(app).await?;
    let text = site.0.get(name).cloned().ok_or_else(|| Problem::missing("page"))?;
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, POLICY)], text).into_response())
}

/// The register that was built last.
#[derive(Default)]
pub(crate) struct Built(watch::Sender<Shelf>);

#[derive(Default)]
struct Shelf {
    last: Option<(Instant, Arc<Site>)>,
    /// Whether one is being built.
    building: bool,
}

impl Built {
    /// The last that was built. Once it is old the next is built beside the requests, one at a time, and the last is
    /// shown until then; only who wants the first of all waits.
    async fn site(&self, app: &App) -> Result<Arc<Site>, Problem> {
        let begin = self.0.send_if_modified(|shelf| {
            let fresh = shelf.last.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH);
            let begin = !fresh && !shelf.building;
            shelf.building |= begin;
            begin
        });
        if begin {
            tokio::spawn(build(app.clone()));
        }
        let mut shelf = self.0.subscribe();
        let shown = shelf.wait_for(|shelf| shelf.last.is_some() || !shelf.building).await;
        let site = shown.ok().and_then(|shelf| shelf.last.as_ref().map(|(_, site)| site.clone()));
        site.ok_or_else(|| Problem::fault(&"the register is not built"))
    }
}

/// Builds the register, whoever still waits for it.
async fn build(app: App) {
    let enclave = app.enclave.clone();
    let built = match tokio::task::spawn_blocking(move || enclave.public_register()).await {
        Ok(built) => built.map_err(|error| error.to_string()),
        Err(panicked) => Err(panicked.to_string()),
    };
    if let Err(error) = &built {
        tracing::error!(%error, "the register is not built");
    }
    app.register.0.send_modify(|shelf| {
        shelf.building = false;
        if let Ok(site) = built {
            shelf.last = Some((Instant::now(), Arc::new(site)));
        }
    });
}
