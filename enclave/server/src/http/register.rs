//! `/register`: the public register, as `enclave register build` writes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gate::register::Site;
use tokio::sync::Mutex;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::body::At;
use crate::http::problem::Problem;

/// How old the register that is served may be.
const FRESH: Duration = Duration::from_secs(60);

/// The register that was built last.
#[derive(Default)]
pub(crate) struct Built(Mutex<Option<(Instant, Arc<Site>)>>);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(index)).routes(routes!(file))
}

/// The first page of the public register.
#[utoipa::path(get, path = "/register", tag = "register", security(()),
    responses((status = 200, content_type = "text/html", body = String), (status = 404, body = Problem)))]
async fn index(State(app): State<App>) -> Result<Response, Problem> {
    page(&app, "index.html").await
}

/// A page or file of the public register.
#[utoipa::path(get, path = "/register/{file}", tag = "register", security(()),
    params(("file" = String, Path, description = "Its name")),
    responses((status = 200, content((String = "text/html"), (String = "text/plain"), (String = "application/json"))),
              (status = 404, body = Problem)))]
async fn file(State(app): State<App>, At(file): At<String>) -> Result<Response, Problem> {
    page(&app, &file).await
}

async fn page(app: &App, name: &str) -> Result<Response, Problem> {
    let site = app.register.site(app).await?;
    let text = site.0.get(name).cloned().ok_or_else(|| Problem::missing("page"))?;
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

impl Built {
    /// One that is fresh; whoever comes first builds it, for all.
    async fn site(&self, app: &App) -> Result<Arc<Site>, Problem> {
        let mut built = self.0.lock().await;
        if let Some((at, site)) = built.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            let _ = at;
            return Ok(site.clone());
        }
        let site = Arc::new(app.blocking(gate::Enclave::public_register).await?);
        *built = Some((Instant::now(), site.clone()));
        Ok(site)
    }
}
