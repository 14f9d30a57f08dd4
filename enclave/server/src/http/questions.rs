//! `/questions`, `/jobs`, `/releases`: ask, preview, explain, fetch later, fetch again.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use gate::history::Asked;
use gate::logins::{Caller, Scope};
use gate::{Action, Options, Price, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::door::{Stage, permitted};
use crate::http::auth::Auth;
use crate::http::body::{At, Body, Params};
use crate::http::negotiate::{form, told};
use crate::http::problem::Problem;
use crate::http::schema::Answer;
use crate::jobs::{self, Ending, Job, Progress};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ask, history))
        .routes(routes!(preview))
        .routes(routes!(explain))
        .routes(routes!(job, cancel))
        .routes(routes!(events))
        .routes(routes!(release))
        .routes(routes!(receipt))
}

/// A question.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// Id of the memorandum.
    memorandum: String,
    /// The question.
    sql: String,
    /// A use case of the memorandum; may be left out where it has one.
    purpose: Option<String>,
    /// Price in ρ. At most one of `rho`, `epsilon` and `within`.
    rho: Option<f64>,
    /// Price in ε at the memorandum's δ.
    epsilon: Option<f64>,
    /// The least price that gives every measure a half-width of at most this.
    within: Option<f64>,
    /// Confidence of half-widths, from 0.5 to below 1.
    confidence: Option<f64>,
    /// Rows of one pupil that count.
    #[schema(minimum = 1)]
    rows_per_unit: Option<u64>,
    /// Groups that one pupil counts in.
    #[schema(minimum = 1)]
    groups_per_unit: Option<u64>,
    /// Why the question is needed, for the board where it decides.
    justification: Option<String>,
    /// Draw and charge anew where the answer is on record.
    #[serde(default)]
    fresh: bool,
}

impl Question {
    /// As the gate takes it. What has no meaning is told before anything is looked up.
    pub(crate) fn request(self, preview: bool) -> Result<Request, String> {
        let price = Price::of(self.rho, self.epsilon, self.within)?;
        let confidence = gate::request::confidence(self.confidence)?;
        if self.rows_per_unit == Some(0) || self.groups_per_unit == Some(0) {
            return Err("`rows_per_unit` and `groups_per_unit` are at least 1".to_owned());
        }
        Ok(Request {
            memorandum: self.memorandum,
            person: None,
            purpose: self.purpose,
            sql: self.sql,
            price,
            confidence,
            options: Options { rows_per_unit: self.rows_per_unit, groups_per_unit: self.groups_per_unit },
            justification: self.justification,
            fresh: self.fresh,
            preview,
        })
    }
}

/// Ask. With `Prefer: respond-async` the answer is fetched later; with an `Idempotency-Key` the same question is asked
/// once, however often it is sent.
#[utoipa::path(post, path = "/questions", tag = "questions", request_body = Question,
    params(("Idempotency-Key" = Option<String>, Header, description = "Up to 128 visible characters", min_length = 1, max_length = 128),
           ("Prefer" = Option<String>, Header, description = "`respond-async`: 202 at once")),
    responses((status = 200, content((Answer = "application/json"), (String = "text/csv"),
                  (String = "application/vnd.apache.arrow.file"), (String = "application/vnd.apache.parquet"))),
              (status = 202, body = JobState), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 402, body = Problem), (status = 403, body = Problem), (status = 406, body = Problem),
              (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem),
              (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn ask(
    State(app): State<App>,
    Auth(caller): Auth,
    headers: HeaderMap,
    Body(question): Body<Question>,
) -> Result<Response, Problem> {
    put(&app, &caller, &headers, question, false).await
}

/// Preview: what it would cost and how accurate it would be. Nothing is charged or read.
#[utoipa::path(post, path = "/questions/preview", tag = "questions", request_body = Question,
    params(("Idempotency-Key" = Option<String>, Header, description = "Up to 128 visible characters", min_length = 1, max_length = 128),
           ("Prefer" = Option<String>, Header, description = "`respond-async`: 202 at once")),
    responses((status = 200, content((Answer = "application/json"), (String = "text/csv"),
                  (String = "application/vnd.apache.arrow.file"), (String = "application/vnd.apache.parquet"))),
              (status = 202, body = JobState), (status = 400, body = Problem), (status = 401, body = Problem), (status = 402, body = Problem),
              (status = 403, body = Problem), (status = 406, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
              (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn preview(
    State(app): State<App>,
    Auth(caller): Auth,
    headers: HeaderMap,
    Body(question): Body<Question>,
) -> Result<Response, Problem> {
    put(&app, &caller, &headers, question, true).await
}

/// Why these bounds, in words.
#[derive(Serialize, ToSchema)]
struct Explanation {
    /// What bounds one pupil's effect on each result inside the question, and what would lower the noise.
    bounds: Vec<String>,
    /// The principles that leave it to the board.
    board: Vec<String>,
}

/// Explain: what bounds one pupil's effect, and what would lower the noise. Nothing is charged or read.
#[utoipa::path(post, path = "/questions/explain", tag = "questions", request_body = Question,
    responses((status = 200, body = Explanation), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 402, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
              (status = 429, body = Problem), (status = 503, body = Problem)))]
async fn explain(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(question): Body<Question>,
) -> Result<Json<Explanation>, Problem> {
    let request = question.request(true).map_err(Problem::invalid)?;
    let ending = jobs::start(app, caller, request).ended().await;
    match &*ending {
        Ok(answered) => Ok(Json(Explanation {
            bounds: answered.bounds.iter().flatten().map(|bounds| bounds.explanation.clone()).collect(),
            board: answered.board.clone().unwrap_or_default(),
        })),
        Err(error) => Err(error.into()),
    }
}

async fn put(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    question: Question,
    preview: bool,
) -> Result<Response, Problem> {
    let form = form(headers)?;
    let request = question.request(preview).map_err(Problem::invalid)?;
    let key = match headers.get("idempotency-key") {
        None => None,
        Some(value) => {
            let key = value.to_str().ok().filter(|key| (1..=128).contains(&key.len()));
            let refused = || Problem::invalid("an idempotency key has 1 to 128 visible characters");
            Some(key.ok_or_else(refused)?.to_owned())
        }
    };
    let later = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|wish| wish.trim().eq_ignore_ascii_case("respond-async")));
    // Who may not ask is told so at once: there is nothing to come back to.
    let may = permitted(caller, &request).is_ok() && caller.under(&request.memorandum).is_some();
    if !may || (!later && key.is_none()) {
        let job = jobs::start(app.clone(), caller.clone(), request);
        // Nobody comes back to it: where the connection breaks off while it waits, it is not asked.
        let _given_up = GivenUp(&job);
        return ended(&job.ended().await, form);
    }
    let job = begin(app, caller, request, key)?;
    if later {
        let mut response = (StatusCode::ACCEPTED, Json(JobState::of(&job))).into_response();
        if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/jobs/{}", job.id)) {
            response.headers_mut().insert(header::LOCATION, place);
        }
        response.headers_mut().insert("preference-applied", HeaderValue::from_static("respond-async"));
        return Ok(response);
    }
    ended(&job.ended().await, form)
}

/// Cancels a job that nobody waits for any more.
struct GivenUp<'a>(&'a Job);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn begin(app: &App, caller: &Caller, request: Request, key: Option<String>) -> Result<Job, Problem> {
    app.jobs.begin(app, caller, request, key).map_err(|_| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key-used",
            "this idempotency key was used for another question: choose a new one",
        )
    })
}

fn ended(ending: &Ending, form: (gate::encode::Format, &'static str)) -> Result<Response, Problem> {
    match &**ending {
        Ok(answered) => Ok(told(answered, form, StatusCode::OK)),
        Err(error) => Err(error.into()),
    }
}

/// Where a job is.
#[derive(Serialize, ToSchema)]
struct JobState {
    /// Its number.
    job: String,
    /// The memorandum.
    memorandum: String,
    /// `waiting`, `running`, `answered` or `failed`.
    state: &'static str,
    /// How many questions are before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
}

impl JobState {
    fn of(job: &Job) -> JobState {
        JobState::at(job, &job.now())
    }

    fn at(job: &Job, progress: &Progress) -> JobState {
        let (state, position) = match progress {
            Progress::At(Stage::Waiting(before)) => ("waiting", Some(*before)),
            Progress::At(Stage::Running) => ("running", None),
            Progress::Ended(ending) if ending.is_ok() => ("answered", None),
            Progress::Ended(_) => ("failed", None),
        };
        JobState { job: job.id.clone(), memorandum: job.memorandum.clone(), state, position }
    }
}

/// A job of the caller's, under a memorandum in which they still are and which is in force, by a token that could have
/// begun it.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<Job, Problem> {
    let missing = || Problem::missing("job");
    let job = app.jobs.get(&caller.login, id).ok_or_else(missing)?;
    let person = caller.under(&job.memorandum).ok_or_else(missing)?;
    let could = caller.may(Scope::Ask) || (job.preview && caller.may(Scope::Preview));
    if !could {
        return Err(missing());
    }
    let action = if job.preview { Action::Preview } else { Action::Ask };
    app.acting(Some(person), move |enclave| enclave.permitted(action)).await?;
    Ok(job)
}

/// A question that answers later: its state, or its answer.
#[utoipa::path(get, path = "/jobs/{id}", tag = "questions", params(("id" = String, Path, description = "Its number")),
    responses((status = 200, content((Answer = "application/json"), (String = "text/csv"),
                  (String = "application/vnd.apache.arrow.file"), (String = "application/vnd.apache.parquet"))),
              (status = 202, body = JobState), (status = 401, body = Problem), (status = 402, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 406, body = Problem),
              (status = 409, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem),
              (status = 503, body = Problem)))]
async fn job(
    State(app): State<App>,
    Auth(caller): Auth,
    headers: HeaderMap,
    At(id): At<String>,
) -> Result<Response, Problem> {
    let form = form(&headers)?;
    let job = own(&app, &caller, &id).await?;
    match job.now() {
        Progress::Ended(ending) => ended(&ending, form),
        Progress::At(_) => Ok((StatusCode::ACCEPTED, Json(JobState::of(&job))).into_response()),
    }
}

/// Cancel. A question that waits is not asked; one that runs is charged and goes on, and its answer is on record.
#[utoipa::path(delete, path = "/jobs/{id}", tag = "questions", params(("id" = String, Path, description = "Its number")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn cancel(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<String>,
) -> Result<StatusCode, Problem> {
    own(&app, &caller, &id).await?.cancel();
    Ok(StatusCode::NO_CONTENT)
}

/// Progress as server-sent events: `waiting`, `running`, then `answered` or `failed`, each with the state as data.
#[utoipa::path(get, path = "/jobs/{id}/events", tag = "questions",
    params(("id" = String, Path, description = "Its number")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn events(State(app): State<App>, Auth(caller): Auth, At(id): At<String>) -> Result<Response, Problem> {
    let job = own(&app, &caller, &id).await?;
    let mut over = false;
    let events = WatchStream::new(job.watch())
        .take_while(move |progress| {
            let last = std::mem::replace(&mut over, matches!(progress, Progress::Ended(_)));
            std::future::ready(!last)
        })
        .map(move |progress| {
            let state = JobState::at(&job, &progress);
            let event = Event::default().event(state.state);
            Ok::<Event, Infallible>(event.json_data(state).unwrap_or_default())
        });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// Which questions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Id of the memorandum.
    memorandum: String,
    /// `next` of the page before.
    cursor: Option<u64>,
    /// How many, at most 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// A page of questions.
#[derive(Serialize, ToSchema)]
struct History {
    /// The newest first.
    #[schema(value_type = Vec<Object>)]
    questions: Vec<Asked>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// What was asked under a memorandum.
#[utoipa::path(get, path = "/questions", tag = "questions", params(Which),
    responses((status = 200, body = History), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn history(
    State(app): State<App>,
    Auth(caller): Auth,
    Params(which): Params<Which>,
) -> Result<Json<History>, Problem> {
    may_read(&app, &caller, &which.memorandum, Action::ReadLog).await?;
    let limit = page_size(which.limit, 50, 200)?;
    let mut questions =
        app.blocking(move |enclave| enclave.history(&which.memorandum, which.cursor, limit + 1)).await?;
    let more = questions.len() > limit;
    questions.truncate(limit);
    let next = questions.last().filter(|_| more).map(|last| last.leaf);
    Ok(Json(History { questions, next }))
}

/// How many of a page: as many as are wished for, within what the document says.
pub(super) fn page_size(wished: Option<usize>, otherwise: usize, most: usize) -> Result<usize, Problem> {
    let wished = wished.unwrap_or(otherwise);
    let refused = || Problem::invalid(format!("`limit` is 1 to {most}"));
    (1..=most).contains(&wished).then_some(wished).ok_or_else(refused)
}

/// Whether the caller may read what is under a memorandum: its people as long as it is in force, and of the register whoever
/// may do `action`.
pub(super) async fn may_read(
    app: &App,
    caller: &Caller,
    memorandum: &str,
    action: Action,
) -> Result<(), Problem> {
    if !caller.may(Scope::Read) {
        return Err(Problem::denied("this token does not let read: make one with the scope `read`"));
    }
    if let Some(person) = caller.under(memorandum) {
        app.acting(Some(person), |enclave| enclave.permitted(Action::ReadItems)).await?;
        return Ok(());
    }
    let Some(person) = caller.registered() else { return Err(Problem::missing("memorandum")) };
    let id = memorandum.to_owned();
    let found = app
        .acting(Some(person), move |enclave| {
            enclave.permitted(action)?;
            Ok::<bool, gate::ActError>(enclave.memorandum(&id)?.is_some())
        })
        .await?;
    if found { Ok(()) } else { Err(Problem::missing("memorandum")) }
}

async fn release_of(app: &App, caller: &Caller, index: u64) -> Result<(), Problem> {
    let memorandum = app.blocking(move |enclave| enclave.memorandum_of_release(index)).await?;
    let missing = || Problem::missing("release");
    // Of a number that is not there the same is told as of one that is and is not the caller's: nobody's memorandum is called "".
    may_read(app, caller, &memorandum.unwrap_or_default(), Action::ReadLog)
        .await
        .map_err(|problem| if problem.status == StatusCode::NOT_FOUND.as_u16() { missing() } else { problem })
}

/// An answer on record again, at no charge. Its columns are called `key_1`, `measure_2`, ….
#[utoipa::path(get, path = "/releases/{index}", tag = "questions",
    params(("index" = u64, Path, description = "Index of its leaf in the log")),
    responses((status = 200, content((Answer = "application/json"), (String = "text/csv"),
                  (String = "application/vnd.apache.arrow.file"), (String = "application/vnd.apache.parquet"))),
              (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
              (status = 406, body = Problem), (status = 429, body = Problem)))]
async fn release(
    State(app): State<App>,
    Auth(caller): Auth,
    headers: HeaderMap,
    At(index): At<u64>,
) -> Result<Response, Problem> {
    let form = form(&headers)?;
    release_of(&app, &caller, index).await?;
    let answered = app.blocking(move |enclave| enclave.answer_again(index)).await?;
    Ok(told(&answered.ok_or_else(|| Problem::missing("release"))?, form, StatusCode::OK))
}

/// The receipt of a release, which verifies offline.
#[utoipa::path(get, path = "/releases/{index}/receipt", tag = "questions",
    params(("index" = u64, Path, description = "Index of its leaf in the log")),
    responses((status = 200, body = Object), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn receipt(
    State(app): State<App>,
    Auth(caller): Auth,
    At(index): At<u64>,
) -> Result<Json<Value>, Problem> {
    release_of(&app, &caller, index).await?;
    let receipt = app.blocking(move |enclave| enclave.ledger().receipt(index)).await?;
    receipt.map(|receipt| Json(json!(receipt.to_json()))).ok_or_else(|| Problem::missing("release"))
}
