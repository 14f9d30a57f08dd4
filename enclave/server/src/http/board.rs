//! `/approvals` and `/people`: what the board decides, and who is registered.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gate::logins::Caller;
use gate::{ActError, Action, Approval, CaseState, Cast, Enclave, Vote};
use memoranda::PersonRole;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::http::auth::Auth;
use crate::http::body::{At, Body};
use crate::http::entry::within_session;
use crate::http::problem::Problem;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(approvals))
        .routes(routes!(approval))
        .routes(routes!(vote))
        .routes(routes!(people, add_person))
        .routes(routes!(change_person, remove_person))
}

/// What waits for the board, and what it decided; the undecided first.
#[utoipa::path(get, path = "/approvals", tag = "board",
    responses((status = 200, body = Vec<Object>), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 429, body = Problem)))]
async fn approvals(State(app): State<App>, Auth(caller): Auth) -> Result<Json<Vec<Value>>, Problem> {
    within_session(&caller)?;
    let found = app
        .acting(caller.registered(), |enclave| {
            enclave.permitted(Action::ReadApprovals)?;
            let undecided =
                |case: &Approval| matches!(enclave.state(case), CaseState::Open | CaseState::AskedBack);
            let mut cases = enclave.approvals()?;
            cases.sort_by_key(|case| (!undecided(case), case.id));
            Ok::<Vec<Value>, ActError>(cases.iter().map(|case| header(enclave, case)).collect())
        })
        .await?;
    Ok(Json(found))
}

/// One case, as the board reads it, and whoever asked. First votes are blind where two are needed.
#[utoipa::path(get, path = "/approvals/{id}", tag = "board", params(("id" = u64, Path, description = "Its number")),
    responses((status = 200, body = Object), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn approval(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<u64>,
) -> Result<Json<Value>, Problem> {
    within_session(&caller)?;
    let reader = caller.registered().map(str::to_owned);
    let person = reader.clone();
    let found = app
        .acting(person.as_deref(), move |enclave| {
            let Some(case) = case_for(enclave, &caller, id)? else { return Ok(None) };
            let mut shown = header(enclave, &case);
            shown["file"] = case.file.clone();
            shown["cast"] = enclave.cast_for(&case, reader.as_deref()).into_iter().map(cast_json).collect();
            Ok::<_, ActError>(Some(shown))
        })
        .await?;
    found.map(Json).ok_or_else(|| Problem::missing("approval"))
}

/// A case, for who may read all of them and for who asked. Others are told the same of a number that is not there.
fn case_for(enclave: &Enclave, caller: &Caller, id: u64) -> Result<Option<Approval>, ActError> {
    let case = enclave.case(id)?;
    let own = case.as_ref().is_some_and(|case| {
        let asker = case.memorandum.as_deref().and_then(|memorandum| caller.under(memorandum));
        asker.is_some_and(|asker| asker.ends_with(&format!("/{}", case.person)))
    });
    if !own {
        enclave.permitted(Action::ReadApprovals)?;
    }
    Ok(case)
}

/// A vote of the board, or an answer to it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewVote {
    /// What.
    vote: VoteName,
    /// Why, or the answer.
    reason: String,
}

/// What a vote says.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum VoteName {
    Approve,
    Reject,
    AskBack,
    Answer,
}

/// Vote on a case; whoever asked answers the board here too.
#[utoipa::path(post, path = "/approvals/{id}/votes", tag = "board", request_body = NewVote,
    params(("id" = u64, Path, description = "Its number")),
    responses((status = 201, body = Object), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
              (status = 429, body = Problem)))]
async fn vote(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<u64>,
    Body(body): Body<NewVote>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    within_session(&caller)?;
    let vote = match body.vote {
        VoteName::Approve => Vote::Approve,
        VoteName::Reject => Vote::Reject,
        VoteName::AskBack => Vote::AskBack,
        VoteName::Answer => Vote::Answer,
    };
    let voted = app
        .acting(caller.registered().map(str::to_owned).as_deref(), move |enclave| {
            let Some(case) = case_for(enclave, &caller, id)? else { return Ok(None) };
            // An answer comes from the person of the case's memorandum.
            let asker = case.memorandum.as_deref().and_then(|memorandum| caller.under(memorandum));
            let person =
                if vote == Vote::Answer { asker.or(caller.registered()) } else { caller.registered() };
            let Some(person) = person else {
                return Err(ActError::Denied("only a member of the board votes".to_owned()));
            };
            enclave.vote(id, person, vote, &body.reason).map(|case| Some(header(enclave, &case)))
        })
        .await?;
    voted.map(|case| (StatusCode::CREATED, Json(case))).ok_or_else(|| Problem::missing("approval"))
}

fn header(enclave: &Enclave, case: &Approval) -> Value {
    let state = enclave.state(case);
    let until = if let CaseState::Approved(until) = state { Some(until) } else { None };
    json!({
        "id": case.id,
        "state": state.name(),
        "until": until,
        "subject": case.subject,
        "memorandum": case.memorandum,
        "person": case.person,
        "at": case.at,
        "votes_needed": case.votes,
    })
}

fn cast_json(cast: &Cast) -> Value {
    json!({ "person": cast.person, "vote": cast.vote.name(), "reason": cast.reason, "at": cast.at })
}

/// A person of the register.
#[derive(Serialize, ToSchema)]
struct PersonShown {
    /// As in `--as ID`.
    id: String,
    /// Name.
    name: String,
    /// What the person may do.
    roles: Vec<&'static str>,
    /// Whether the person was removed.
    ended: bool,
}

/// The register of people.
#[utoipa::path(get, path = "/people", tag = "board",
    responses((status = 200, body = Vec<PersonShown>), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 429, body = Problem)))]
async fn people(State(app): State<App>, Auth(caller): Auth) -> Result<Json<Vec<PersonShown>>, Problem> {
    within_session(&caller)?;
    let people = app.acting(caller.registered(), Enclave::people).await?;
    let shown = |person: gate::Registered| PersonShown {
        roles: person.roles.iter().map(|role| role.name()).collect(),
        ended: person.ended.is_some(),
        id: person.id,
        name: person.name,
    };
    Ok(Json(people.into_iter().map(shown).collect()))
}

/// Somebody to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    /// As in `--as ID`.
    id: String,
    /// Name, as it stands in the log.
    name: String,
    /// At least one.
    roles: BTreeSet<RoleName>,
}

/// Roles.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Roles {
    /// At least one.
    roles: BTreeSet<RoleName>,
}

/// A role.
#[derive(Deserialize, ToSchema, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    Steward,
    Custodian,
    Researcher,
    Board,
    Practitioner,
    Public,
}

fn roles(names: &BTreeSet<RoleName>) -> BTreeSet<PersonRole> {
    let role = |name: &RoleName| match name {
        RoleName::Steward => PersonRole::Steward,
        RoleName::Custodian => PersonRole::Custodian,
        RoleName::Researcher => PersonRole::Researcher,
        RoleName::Board => PersonRole::Board,
        RoleName::Practitioner => PersonRole::Practitioner,
        RoleName::Public => PersonRole::Public,
    };
    names.iter().map(role).collect()
}

/// The leaf of a change.
#[derive(Serialize, ToSchema)]
struct Changed {
    /// Its index in the log.
    leaf: u64,
}

/// Register somebody.
#[utoipa::path(post, path = "/people", tag = "board", request_body = NewPerson,
    responses((status = 201, body = Changed), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn add_person(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<NewPerson>,
) -> Result<(StatusCode, Json<Changed>), Problem> {
    within_session(&caller)?;
    let place = app
        .acting(caller.registered(), move |enclave| {
            enclave.add_person(&body.id, &body.name, &roles(&body.roles))
        })
        .await?;
    Ok((StatusCode::CREATED, Json(Changed { leaf: place.index })))
}

/// Give somebody other roles.
#[utoipa::path(put, path = "/people/{id}", tag = "board", request_body = Roles,
    params(("id" = String, Path, description = "As in `--as ID`")),
    responses((status = 200, body = Changed), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
              (status = 429, body = Problem)))]
async fn change_person(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<String>,
    Body(body): Body<Roles>,
) -> Result<Json<Changed>, Problem> {
    within_session(&caller)?;
    let place = app
        .acting(caller.registered(), move |enclave| enclave.change_roles(&id, &roles(&body.roles)))
        .await?;
    Ok(Json(Changed { leaf: place.index }))
}

/// Remove somebody.
#[utoipa::path(delete, path = "/people/{id}", tag = "board",
    params(("id" = String, Path, description = "As in `--as ID`")),
    responses((status = 200, body = Changed), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn remove_person(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<String>,
) -> Result<Json<Changed>, Problem> {
    within_session(&caller)?;
    let place = app.acting(caller.registered(), move |enclave| enclave.remove_person(&id)).await?;
    Ok(Json(Changed { leaf: place.index }))
}
