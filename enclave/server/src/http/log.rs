//! `/log`: the disclosure log, its checkpoint and proofs, in the formats that outsiders verify (C2SP).

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gate::logins::{Caller, Scope};
use gate::{ActError, Action, Leaf};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::auth::Auth;
use crate::http::body::{At, Params};
use crate::http::problem::Problem;
use crate::http::questions::{may_read, page_size};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(leaves))
        .routes(routes!(checkpoint))
        .routes(routes!(consistency))
        .routes(routes!(key))
        .routes(routes!(leaf))
        .routes(routes!(proof))
}

/// A leaf of the log.
#[derive(Serialize, ToSchema)]
struct LeafShown {
    /// Counted from 0.
    index: u64,
    /// SHA-256 of it, in hexadecimal.
    hash: String,
    /// What it states.
    #[schema(value_type = Object)]
    leaf: Value,
    /// Whether its words were removed under a written policy.
    pruned: bool,
}

impl LeafShown {
    fn of(leaf: &Leaf) -> LeafShown {
        LeafShown {
            index: leaf.index,
            hash: hex::encode(leaf.hash),
            leaf: serde_json::from_str(&leaf.body).unwrap_or_default(),
            pruned: leaf.pruned,
        }
    }
}

/// Which leaves.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// `next` of the page before; the first leaf where it is left out.
    cursor: Option<u64>,
    /// How many, at most 1,000.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

/// A page of the log.
#[derive(Serialize, ToSchema)]
struct Leaves {
    /// In their order.
    leaves: Vec<LeafShown>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

async fn reads_log<T: Send + 'static>(
    app: &App,
    caller: &Caller,
    body: impl FnOnce(&gate::Enclave) -> Result<T, gate::LedgerError> + Send + 'static,
) -> Result<T, Problem> {
    if !caller.may(Scope::Read) {
        return Err(Problem::denied("this token was made without the scope `read`"));
    }
    let read = app
        .acting(caller.registered(), move |enclave| {
            enclave.permitted(Action::ReadLog)?;
            Ok::<T, ActError>(body(enclave)?)
        })
        .await?;
    Ok(read)
}

/// The disclosure log, leaf by leaf; for steward, custodian and board.
#[utoipa::path(get, path = "/log", tag = "log", params(Which),
    responses((status = 200, body = Leaves), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 429, body = Problem)))]
async fn leaves(
    State(app): State<App>,
    Auth(caller): Auth,
    Params(which): Params<Which>,
) -> Result<Json<Leaves>, Problem> {
    let limit = page_size(which.limit, 100, 1_000)?;
    let from = which.cursor.unwrap_or(0);
    let mut found =
        reads_log(&app, &caller, move |enclave| enclave.ledger().leaves(from, limit as u64 + 1)).await?;
    let next = (found.len() > limit).then(|| from.saturating_add(limit as u64));
    found.truncate(limit);
    Ok(Json(Leaves { leaves: found.iter().map(LeafShown::of).collect(), next }))
}

/// The newest signed checkpoint (C2SP tlog-checkpoint).
#[utoipa::path(get, path = "/log/checkpoint", tag = "log", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn checkpoint(State(app): State<App>) -> Result<Response, Problem> {
    let note = app.blocking(|enclave| enclave.ledger().checkpoint()).await?;
    Ok(text(note))
}

/// The key that checkpoints are verified with (C2SP signed-note).
#[utoipa::path(get, path = "/log/key", tag = "log", security(()),
    responses((status = 200, content_type = "text/plain", body = String)))]
async fn key(State(app): State<App>) -> Response {
    text(format!("{}\n", app.enclave.public_key()))
}

/// One leaf; for steward, custodian and board.
#[utoipa::path(get, path = "/log/{index}", tag = "log", params(("index" = u64, Path, description = "Counted from 0")),
    responses((status = 200, body = LeafShown), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn leaf(
    State(app): State<App>,
    Auth(caller): Auth,
    At(index): At<u64>,
) -> Result<Json<LeafShown>, Problem> {
    let found = reads_log(&app, &caller, move |enclave| enclave.ledger().leaf(index)).await?;
    found.map(|leaf| Json(LeafShown::of(&leaf))).ok_or_else(|| Problem::missing("leaf"))
}

/// The proof that a leaf is in the log (C2SP tlog-proof); for steward, custodian, board, and whom the release is of.
#[utoipa::path(get, path = "/log/{index}/proof", tag = "log",
    params(("index" = u64, Path, description = "Counted from 0")),
    responses((status = 200, content_type = "text/plain", body = String), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn proof(State(app): State<App>, Auth(caller): Auth, At(index): At<u64>) -> Result<Response, Problem> {
    let of = app.blocking(move |enclave| enclave.memorandum_of_release(index)).await?;
    let own = match of {
        Some(memorandum) => may_read(&app, &caller, &memorandum, Action::ReadLog).await.is_ok(),
        None => false,
    };
    if !own {
        let exists = reads_log(&app, &caller, move |enclave| enclave.ledger().leaf(index)).await?;
        exists.ok_or_else(|| Problem::missing("leaf"))?;
    }
    let proof = app.blocking(move |enclave| enclave.ledger().tlog_proof(index)).await;
    Ok(text(proof.map_err(|error| Problem::fault(&error))?))
}

/// Which two sizes.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Sizes {
    /// Leaves of the older checkpoint.
    from: u64,
    /// Leaves of the newer one; now, where it is left out.
    to: Option<u64>,
}

/// That an older log is the beginning of a newer one.
#[derive(Serialize, ToSchema)]
struct Consistency {
    /// Leaves of the older.
    from: u64,
    /// Leaves of the newer.
    to: u64,
    /// Hashes of the proof (RFC 6962, section 2.1.2), in hexadecimal.
    proof: Vec<String>,
    /// The newest signed checkpoint; where `to` was left out, of `to` leaves.
    checkpoint: String,
}

/// The proof that nothing of an older checkpoint was changed since (RFC 6962, section 2.1.2).
#[utoipa::path(get, path = "/log/consistency", tag = "log", security(()), params(Sizes),
    responses((status = 200, body = Consistency), (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn consistency(
    State(app): State<App>,
    Params(sizes): Params<Sizes>,
) -> Result<Json<Consistency>, Problem> {
    let Sizes { from, to } = sizes;
    let found = app
        .blocking(move |enclave| {
            let ledger = enclave.ledger();
            let checkpoint = ledger.checkpoint()?;
            // Its second line is the size (C2SP tlog-checkpoint).
            let size = checkpoint.lines().nth(1).and_then(|size| size.parse().ok());
            let Some(to) = to.or(size) else { return Ok(None) };
            let proof = ledger.prove_consistency(from, to)?;
            Ok::<_, gate::LedgerError>(proof.map(|proof| Consistency {
                from,
                to,
                proof: proof.iter().map(hex::encode).collect(),
                checkpoint,
            }))
        })
        .await?;
    found.map(Json).ok_or_else(|| Problem::missing("pair of sizes"))
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}
