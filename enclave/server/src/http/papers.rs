//! `/memoranda`, `/contracts`, `/budgets`: what was agreed, what can be asked about, what is left.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use gate::logins::{Caller, Scope};
use gate::memoranda::Item;
use gate::{Account, ActError, Action, DocumentKind, Enclave};
use memoranda::Memorandum;
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
use crate::http::questions::may_read;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, sign))
        .routes(routes!(show, end))
        .routes(routes!(items))
        .routes(routes!(budget))
        .routes(routes!(contracts, publish))
        .routes(routes!(contract))
}

/// A text in both languages.
#[derive(Serialize, ToSchema)]
struct Both {
    /// English.
    en: String,
    /// Japanese.
    ja: String,
}

impl From<&memoranda::Bilingual> for Both {
    fn from(text: &memoranda::Bilingual) -> Both {
        Both { en: text.en.clone(), ja: text.ja.clone() }
    }
}

/// A memorandum.
#[derive(Serialize, ToSchema)]
struct Paper {
    /// Its id.
    id: String,
    /// Its version.
    version: u32,
    /// The data set.
    contract: String,
    /// What it is.
    title: Both,
    /// With whom.
    institution: String,
    /// What for.
    purpose: Both,
    /// What a question may be asked for.
    use_cases: Vec<String>,
    /// First day in force.
    from: String,
    /// Last day in force.
    until: String,
    /// The rule set.
    rules: String,
    /// Whether it was ended before its last day.
    ended: bool,
    /// Under whose id you act.
    #[serde(skip_serializing_if = "Option::is_none")]
    you: Option<String>,
}

impl Paper {
    fn of(memorandum: &Memorandum, ended: bool, you: Option<&str>) -> Paper {
        Paper {
            id: memorandum.id.clone(),
            version: memorandum.version,
            contract: memorandum.contract.clone(),
            title: (&memorandum.title).into(),
            institution: memorandum.institution.clone(),
            purpose: (&memorandum.purpose).into(),
            use_cases: memorandum.use_cases.clone(),
            from: memorandum.from.to_string(),
            until: memorandum.until.to_string(),
            rules: memorandum.rules.clone(),
            ended,
            you: you.map(str::to_owned),
        }
    }
}

/// The memoranda whose people you are among; to steward, custodian and board, all.
#[utoipa::path(get, path = "/memoranda", tag = "papers",
    responses((status = 200, body = Vec<Paper>), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 429, body = Problem)))]
async fn list(State(app): State<App>, Auth(caller): Auth) -> Result<Json<Vec<Paper>>, Problem> {
    reads(&caller)?;
    let person = caller.registered().map(str::to_owned);
    let papers = app
        .acting(person.as_deref(), move |enclave| {
            let mut ids = enclave.memoranda_of(&caller)?;
            if caller.registered().is_some() && enclave.permitted(Action::ReadMemoranda).is_ok() {
                ids.extend(enclave.documents(DocumentKind::Memorandum)?);
            }
            papers(enclave, &ids, &caller)
        })
        .await?;
    Ok(Json(papers))
}

fn papers(enclave: &Enclave, ids: &BTreeSet<String>, caller: &Caller) -> Result<Vec<Paper>, Problem> {
    let mut papers = Vec::new();
    for id in ids {
        if let Some(found) = enclave.memorandum(id)? {
            let ended = enclave.ledger().ended(id)?.is_some();
            papers.push(Paper::of(&found, ended, caller.under(id)));
        }
    }
    Ok(papers)
}

/// A document's text.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// TOML of a memorandum or rule set, JSON of a contract.
    text: String,
}

/// What was put in force.
#[derive(Serialize, ToSchema)]
struct Published {
    /// Its name or id.
    name: String,
    /// Its version.
    version: String,
    /// Index of its leaf in the log.
    leaf: u64,
}

/// Sign a memorandum, or a later version of one that is signed.
#[utoipa::path(post, path = "/memoranda", tag = "papers", request_body = Text,
    responses((status = 201, body = Published), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
              (status = 429, body = Problem)))]
async fn sign(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<Text>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    within_session(&caller)?;
    let signed = app
        .acting(caller.registered(), move |enclave| {
            let first = enclave.sign_memorandum(&body.text);
            // A later version of one that is there amends it.
            let (memorandum, place) = match first {
                Err(ActError::Already(_)) => {
                    let (memorandum, _, place) = enclave.amend_memorandum(&body.text)?;
                    (memorandum, place)
                }
                other => other?,
            };
            Ok::<Published, ActError>(Published {
                name: memorandum.id,
                version: memorandum.version.to_string(),
                leaf: place.index,
            })
        })
        .await?;
    Ok((StatusCode::CREATED, Json(signed)))
}

/// One memorandum.
#[utoipa::path(get, path = "/memoranda/{id}", tag = "papers", params(("id" = String, Path, description = "Its id")),
    responses((status = 200, body = Paper), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn show(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<String>,
) -> Result<Json<Paper>, Problem> {
    may_read(&app, &caller, &id, Action::ReadMemoranda).await?;
    let found = app.blocking(move |enclave| papers(enclave, &BTreeSet::from([id]), &caller)).await?;
    found.into_iter().next().map(Json).ok_or_else(|| Problem::missing("memorandum"))
}

/// End a memorandum before its date.
#[utoipa::path(delete, path = "/memoranda/{id}", tag = "papers", params(("id" = String, Path, description = "Its id")),
    responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 409, body = Problem), (status = 429, body = Problem)))]
async fn end(State(app): State<App>, Auth(caller): Auth, At(id): At<String>) -> Result<StatusCode, Problem> {
    within_session(&caller)?;
    app.acting(caller.registered(), move |enclave| enclave.end_memorandum(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The catalogue under a memorandum: its tables and columns, and nothing else of the data set.
#[utoipa::path(get, path = "/memoranda/{id}/items", tag = "papers",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, body = Vec<Object>), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn items(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<String>,
) -> Result<Json<Vec<Item>>, Problem> {
    may_read(&app, &caller, &id, Action::ReadItems).await?;
    let person = caller.under(&id).or(caller.registered()).map(str::to_owned);
    let items = app.acting(person.as_deref(), move |enclave| enclave.memorandum_items(&id)).await?;
    Ok(Json(items))
}

/// What is left of a memorandum's allotment, and every charge.
#[utoipa::path(get, path = "/memoranda/{id}/budget", tag = "papers",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, body = Object), (status = 401, body = Problem), (status = 403, body = Problem),
              (status = 404, body = Problem), (status = 429, body = Problem)))]
async fn budget(
    State(app): State<App>,
    Auth(caller): Auth,
    At(id): At<String>,
) -> Result<Json<Value>, Problem> {
    may_read(&app, &caller, &id, Action::ReadBudget).await?;
    let found = app
        .blocking(move |enclave| {
            let account = enclave.ledger().account(&id)?;
            Ok::<_, gate::LedgerError>(account.zip(Some(enclave.ledger().statement(&id)?)))
        })
        .await?;
    let (account, entries) = found.ok_or_else(|| Problem::missing("memorandum"))?;
    let statement: Vec<Value> = entries
        .iter()
        .map(|entry| {
            json!({
                "leaf": entry.leaf,
                "at": entry.at,
                "kind": entry.kind.as_str(),
                "question": entry.question,
                "person": entry.person,
                "price": { "rho": entry.rho },
                "balance": balance(&entry.account),
                "release": entry.release,
            })
        })
        .collect();
    Ok(Json(json!({
        "allotment": amount(account.allotment, account.pure.map(|pure| pure.allotment)),
        "charged": amount(Some(account.charged), account.pure.map(|pure| pure.charged)),
        "balance": balance(&account),
        "statement": statement,
    })))
}

fn balance(account: &Account) -> Value {
    amount(account.balance(), account.pure.map(|pure| pure.balance()))
}

fn amount(rho: Option<gate::Rho>, epsilon: Option<impl Serialize>) -> Value {
    let mut value = json!({ "rho": rho });
    if let Some(epsilon) = epsilon {
        value["epsilon"] = json!(epsilon);
    }
    value
}

/// The published data formats.
#[utoipa::path(get, path = "/contracts", tag = "papers", security(()),
    responses((status = 200, body = Vec<Contract>)))]
async fn contracts(State(app): State<App>) -> Result<Json<Vec<Contract>>, Problem> {
    let found = app
        .blocking(|enclave| {
            let mut found = Vec::new();
            for name in enclave.documents(DocumentKind::Contract)? {
                if let Some(contract) = enclave.contract(&name)? {
                    found.push(Contract {
                        version: contract.version.to_string(),
                        title: (&contract.title).into(),
                        name,
                    });
                }
            }
            Ok::<_, gate::OpenError>(found)
        })
        .await?;
    Ok(Json(found))
}

/// A published data format.
#[derive(Serialize, ToSchema)]
struct Contract {
    /// Its name.
    name: String,
    /// Its newest version.
    version: String,
    /// What it is.
    title: Both,
}

/// Publish a version of a data format.
#[utoipa::path(post, path = "/contracts", tag = "papers", request_body = Text,
    responses((status = 201, body = Published), (status = 400, body = Problem), (status = 401, body = Problem),
              (status = 403, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
              (status = 415, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem)))]
async fn publish(
    State(app): State<App>,
    Auth(caller): Auth,
    Body(body): Body<Text>,
) -> Result<(StatusCode, Json<Published>), Problem> {
    within_session(&caller)?;
    let (contract, place) =
        app.acting(caller.registered(), move |enclave| enclave.publish_contract(&body.text)).await?;
    let version = contract.version.to_string();
    Ok((StatusCode::CREATED, Json(Published { name: contract.name, version, leaf: place.index })))
}

/// The newest version of a data format, as it was published (Data Package v2).
#[utoipa::path(get, path = "/contracts/{name}", tag = "papers", security(()),
    params(("name" = String, Path, description = "Its name")),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
async fn contract(State(app): State<App>, At(name): At<String>) -> Result<Json<Value>, Problem> {
    let found = app.blocking(move |enclave| enclave.ledger().latest(DocumentKind::Contract, &name)).await?;
    let document = found.ok_or_else(|| Problem::missing("contract"))?;
    let package = serde_json::from_str(&document.text).map_err(|error| Problem::fault(&error))?;
    Ok(Json(package))
}

fn reads(caller: &Caller) -> Result<(), Problem> {
    if caller.may(Scope::Read) {
        return Ok(());
    }
    Err(Problem::denied("this token does not let read: make one with the scope `read`"))
}
