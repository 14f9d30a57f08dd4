//! `enclave memorandum draft|check|sign|amend|list|show|diff|history|items|review|end`

use std::io::Write;
use std::path::Path;

use gate::memoranda::{Item, ItemUse};
use gate::{Action, Enclave};
use ledger::DocumentKind;
use memoranda::Memorandum as Paper;
use serde_json::Value;

use crate::args::{ListFormat, Memorandum, MemorandumCommand};
use crate::command::{open, open_for, read};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Memorandum) -> Done {
    match &args.command {
        MemorandumCommand::Draft { contract, id, out } => {
            write_draft(&open(home)?.draft_memorandum(contract, id)?, out.as_deref())
        }
        MemorandumCommand::Check { file } => {
            let memorandum = open(home)?.check_memorandum(&read(file)?)?;
            put(format!("{} version {} has no mistakes\n", memorandum.id, memorandum.version).as_bytes())
        }
        MemorandumCommand::Sign { file } => {
            let (memorandum, place) = open(home)?.sign_memorandum(&read(file)?)?;
            let (from, until) = (memorandum.from, memorandum.until);
            put(format!(
                "signed {}, in force from {from} until {until} (log {})\n",
                memorandum.id, place.index
            )
            .as_bytes())
        }
        MemorandumCommand::Amend { file } => {
            let (memorandum, differences, place) = open(home)?.amend_memorandum(&read(file)?)?;
            let lines: String = differences.iter().map(|difference| format!("{difference}\n")).collect();
            let (id, version) = (memorandum.id, memorandum.version);
            put(format!("{lines}amended {id}, version {version} is in force (log {})\n", place.index)
                .as_bytes())
        }
        MemorandumCommand::List => list(&open_for(home, Action::ReadMemoranda)?),
        MemorandumCommand::Show { id, version } => {
            let enclave = open_for(home, Action::ReadMemoranda)?;
            let found = match version {
                None => enclave.ledger().latest(DocumentKind::Memorandum, id)?,
                Some(version) => {
                    enclave.ledger().document(DocumentKind::Memorandum, id, &version.to_string())?
                }
            };
            let document = found.ok_or_else(|| {
                let version = version.map_or(String::new(), |version| format!(" in version {version}"));
                Outcome::Invalid(format!(
                    "there is no memorandum `{id}`{version}; `enclave memorandum list` shows them"
                ))
            })?;
            put(document.text.as_bytes())
        }
        MemorandumCommand::Diff { id, from, to } => diff(&open(home)?, id, *from, *to),
        MemorandumCommand::History { id } => history(&open(home)?, id),
        MemorandumCommand::Items { id, format } => items(&open(home)?.memorandum_items(id)?, *format),
        MemorandumCommand::Review { id, days, format } => {
            review(&open(home)?.review_items(id, *days)?, *days, *format)
        }
        MemorandumCommand::End { id } => {
            let place = open(home)?.end_memorandum(id)?;
            put(format!("ended {id} (log {})\n", place.index).as_bytes())
        }
    }
}

/// To a new file: a draft that somebody has filled in is not lost.
fn write_draft(text: &str, out: Option<&Path>) -> Done {
    let Some(out) = out else { return put(text.as_bytes()) };
    let written = std::fs::File::create_new(out).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Outcome::Invalid(format!("cannot write `{}`: {error}", out.display())))?;
    say(&format!("fill in `{0}`, then `enclave memorandum check {0}`", out.display()));
    Ok(())
}

fn list(enclave: &Enclave) -> Done {
    let mut lines = String::new();
    let mut told: Vec<String> = Vec::new();
    for document in enclave.ledger().documents(DocumentKind::Memorandum)? {
        if told.contains(&document.name) {
            continue;
        }
        told.push(document.name.clone());
        let Some(memorandum) = enclave.memorandum(&document.name)? else { continue };
        let state = match enclave.ledger().ended(&memorandum.id)? {
            Some(at) => format!("ended {}", at.format("%Y-%m-%d")),
            None => format!("{} to {}", memorandum.from, memorandum.until),
        };
        let version = match memorandum.version {
            1 => String::new(),
            version => format!("\tversion {version}"),
        };
        lines += &format!(
            "{}\t{}\t{}\t{state}{version}\n",
            memorandum.id, memorandum.contract, memorandum.institution
        );
    }
    put(lines.as_bytes())
}

fn diff(enclave: &Enclave, id: &str, from: Option<u32>, to: Option<u32>) -> Done {
    let history = enclave.memorandum_history(id)?;
    let place = |wanted: u32| {
        let place = history.iter().position(|signed| signed.memorandum.version == wanted);
        place.ok_or_else(|| Outcome::Invalid(format!("`{id}` has no version {wanted}")))
    };
    let later = to.map_or(Ok(history.len() - 1), place)?;
    let earlier = from.map_or(Ok(later.saturating_sub(1)), place)?;
    let paper = |place: usize| -> &Paper { &history[place].memorandum };
    let differences = paper(earlier).differences(paper(later));
    let lines: String = differences.iter().map(|difference| format!("{difference}\n")).collect();
    say(&format!("{id}: version {} to {}", paper(earlier).version, paper(later).version));
    put(lines.as_bytes())
}

fn history(enclave: &Enclave, id: &str) -> Done {
    let mut lines = String::new();
    for signed in enclave.memorandum_history(id)? {
        let by = signed.by.as_deref().map_or(String::new(), |by| format!(" by {by}"));
        lines += &format!(
            "version {}\t{}\tsigned{by} (log {})\n",
            signed.memorandum.version,
            signed.at.format("%Y-%m-%d"),
            signed.leaf
        );
        for difference in &signed.differences {
            lines += &format!("  {difference}\n");
        }
    }
    if let Some(at) = enclave.ledger().ended(id)? {
        lines += &format!("ended\t{}\n", at.format("%Y-%m-%d"));
    }
    put(lines.as_bytes())
}

fn items(items: &[Item], format: ListFormat) -> Done {
    let line = |item: &Item| {
        let titles = [item.title.as_str(), item.title_ja.as_str()];
        let titles = titles.into_iter().filter(|title| !title.is_empty()).collect::<Vec<_>>().join(" · ");
        format!("{}.{}\t{}\t{titles}\n", item.table, item.column, item.kind)
    };
    match format {
        ListFormat::Json => json(&serde_json::to_value(items).unwrap_or_default()),
        ListFormat::Table => put(items.iter().map(line).collect::<String>().as_bytes()),
    }
}

fn review(items: &[ItemUse], days: u32, format: ListFormat) -> Done {
    let unused: Vec<&ItemUse> = items.iter().filter(|item| item.questions == 0).collect();
    if format == ListFormat::Json {
        return json(&serde_json::json!({ "days": days, "items": items, "unused": unused }));
    }
    let line = |item: &&ItemUse| {
        let last = item.last_used.map_or("never used".to_owned(), |day| format!("last used {day}"));
        format!("{}.{}\t{}\t{last}\n", item.table, item.column, item.tier)
    };
    put(unused.iter().map(line).collect::<String>().as_bytes())?;
    say(&format!(
        "{} of {} items were not used in the last {days} days; an amendment can drop them",
        unused.len(),
        items.len()
    ));
    Ok(())
}

fn json(value: &Value) -> Done {
    put(format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default()).as_bytes())
}
