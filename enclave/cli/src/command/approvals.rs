//! `enclave approvals list|show|vote|answer`

use std::path::Path;

use gate::{Action, Enclave};
use ledger::{Approval, CaseState, Cast, Vote};
use serde_json::{Value, json};

use crate::args::{Approvals, ApprovalsCommand, BoardVote, ListFormat};
use crate::command::{open, open_for, person};
use crate::outcome::{Done, Outcome, put};

pub(crate) fn run(home: &Path, args: &Approvals) -> Done {
    let enclave = match &args.command {
        ApprovalsCommand::List { .. } | ApprovalsCommand::Show { .. } => {
            open_for(home, Action::ReadApprovals)?
        }
        _ => open(home)?,
    };
    match &args.command {
        ApprovalsCommand::List { all, format } => list(&enclave, *all, *format),
        ApprovalsCommand::Show { id, format } => show(&enclave, *id, person().as_deref(), *format),
        ApprovalsCommand::Vote { id, vote, reason } => {
            let vote = match vote {
                BoardVote::Approve => Vote::Approve,
                BoardVote::Reject => Vote::Reject,
                BoardVote::AskBack => Vote::AskBack,
            };
            said(&enclave, &enclave.vote(*id, &named()?, vote, reason)?)
        }
        ApprovalsCommand::Answer { id, text } => {
            said(&enclave, &enclave.vote(*id, &named()?, Vote::Answer, text)?)
        }
    }
}

fn named() -> Result<String, Outcome> {
    person().ok_or_else(|| Outcome::Invalid("say who acts, with `--as PERSON`".to_owned()))
}

fn list(enclave: &Enclave, all: bool, format: ListFormat) -> Done {
    let undecided = |case: &Approval| matches!(enclave.state(case), CaseState::Open | CaseState::AskedBack);
    let mut cases = enclave.approvals()?;
    cases.retain(|case| all || undecided(case) || matches!(enclave.state(case), CaseState::Approved(_)));
    cases.sort_by_key(|case| (!undecided(case), case.id));
    if format == ListFormat::Json {
        let cases: Vec<Value> = cases.iter().map(|case| header(enclave, case)).collect();
        return told(&json!(cases));
    }
    let mut lines = String::new();
    for case in &cases {
        lines += &format!(
            "{}\t{}\t{}\t{}\t{}\t{}\n",
            case.id,
            enclave.state(case).name(),
            case.subject,
            case.memorandum.as_deref().unwrap_or("-"),
            case.person,
            case.at.format("%Y-%m-%d %H:%M"),
        );
    }
    put(lines.as_bytes())
}

fn show(enclave: &Enclave, id: u64, person: Option<&str>, format: ListFormat) -> Done {
    let case = enclave.case(id)?.ok_or_else(|| {
        Outcome::Invalid(format!("there is no approval {id}; `enclave approvals list` shows them"))
    })?;
    let cast = enclave.cast_for(&case, person);
    if format == ListFormat::Json {
        let mut shown = header(enclave, &case);
        shown["file"] = case.file.clone();
        shown["cast"] = cast.iter().map(|cast| vote(cast)).collect();
        return told(&shown);
    }
    let text = |key: &str| case.file.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut lines = format!(
        "approval {id}: {}\nsubject: {}\nmemorandum: {} ({})\nasked by: {} at {}\nneeds: {} of the board, within {} days\n",
        enclave.state(&case).name(),
        case.subject,
        case.memorandum.as_deref().unwrap_or("-"),
        text("institution"),
        case.person,
        case.at.format("%Y-%m-%d %H:%M UTC"),
        case.votes,
        case.days,
    );
    for reason in case.file["reasons"].as_array().into_iter().flatten() {
        lines += &format!("reason: {}\n", reason.as_str().unwrap_or_default());
    }
    let purpose = &case.file["purpose"];
    let purposes = [&purpose["en"], &purpose["ja"]].into_iter().filter_map(Value::as_str);
    for purpose in purposes.filter(|purpose| !purpose.is_empty()) {
        lines += &format!("purpose: {purpose}\n");
    }
    lines += &format!("justification: {}\n", text("justification"));
    lines += &format!("price: {}\n", case.file["preview"]["charged"]);
    if !text("sql").is_empty() {
        lines += &format!("SQL:\n{}\n", text("sql"));
    }
    if !text("text").is_empty() {
        lines += &format!("text:\n{}\n", text("text"));
    }
    for cast in cast {
        let at = cast.at.format("%Y-%m-%d %H:%M");
        lines += &format!("{at} {}: {} {}\n", cast.person, cast.vote.name(), cast.reason);
    }
    put(lines.as_bytes())
}

fn header(enclave: &Enclave, case: &Approval) -> Value {
    let state = enclave.state(case);
    let until = match state {
        CaseState::Approved(until) => Some(until.to_rfc3339()),
        _ => None,
    };
    json!({
        "approval": case.id, "state": state.name(), "until": until, "subject": case.subject,
        "digest": case.digest.to_string(), "memorandum": case.memorandum, "person": case.person,
        "at": case.at.to_rfc3339(), "votes_needed": case.votes, "used": case.used,
    })
}

fn vote(cast: &Cast) -> Value {
    json!({
        "person": cast.person, "vote": cast.vote.name(), "reason": cast.reason, "at": cast.at.to_rfc3339(),
        "log": cast.leaf,
    })
}

fn said(enclave: &Enclave, case: &Approval) -> Done {
    let log = case.cast.last().map_or(case.id, |cast| cast.leaf);
    put(format!("approval {}: {} (log {log})\n", case.id, enclave.state(case).name()).as_bytes())
}

fn told(value: &Value) -> Done {
    put(format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default()).as_bytes())
}
