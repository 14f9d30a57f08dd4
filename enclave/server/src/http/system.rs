//! `/healthz`, `/readyz`, `/metrics`.

use axum::extract::State;
use std::sync::atomic::Ordering;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::problem::Problem;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "system", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// The ledger can be read, and the process is not about to stop.
#[utoipa::path(get, path = "/readyz", tag = "system", security(()),
    responses((status = 200, content_type = "text/plain", body = String), (status = 500, body = Problem), (status = 503, body = Problem)))]
async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    if app.stopping.load(Ordering::Relaxed) {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the process is about to stop",
        ));
    }
    app.blocking(|enclave| enclave.ledger().checkpoint()).await?;
    Ok("ready\n")
}

/// Counts for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "system", security(()),
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
async fn metrics(State(app): State<App>) -> Response {
    let text = app.metrics.text(app.door.running(), app.door.waiting());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
        .into_response()
}
