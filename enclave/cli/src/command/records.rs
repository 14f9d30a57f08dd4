//! `enclave records find|correct|delete|export|keep|dispose`

use std::io::Read;
use std::path::Path;

use memoranda::Kind;
use serde_json::{Map, Value, json};
use vault::{Expired, Held};
use zeroize::Zeroizing;

use crate::args::ListFormat;
use crate::args::records::{Pupil, Records, RecordsCommand};
use crate::command::ingest::{bar, inputs};
use crate::command::{open, place};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Records) -> Done {
    match &args.command {
        RecordsCommand::Find { pupil, format } => {
            let number = number(pupil)?;
            let held = open(home)?.find_records(&pupil.contract, &number, pupil.request.as_deref())?;
            put(shown(&held, *format).as_bytes())
        }
        RecordsCommand::Export { pupil, out } => export(home, pupil, out),
        RecordsCommand::Correct { contract, request, files } => {
            let (inputs, bar) = (inputs(files)?, bar());
            let (_, expired) =
                open(home)?.correct_records(contract, &inputs, request.as_deref(), &|done, total| {
                    bar.set_length(total);
                    bar.set_position(done);
                })?;
            bar.finish_and_clear();
            put(b"corrected\n")?;
            tell_pinned(contract, &expired);
            Ok(())
        }
        RecordsCommand::Delete { pupil } => {
            let number = number(pupil)?;
            let request = pupil.request.as_deref();
            let (changed, expired) = open(home)?.delete_records(&pupil.contract, &number, request)?;
            put(format!("deleted from {}\n", changed.tables.join(", ")).as_bytes())?;
            tell_pinned(&pupil.contract, &expired);
            Ok(())
        }
        RecordsCommand::Keep { pupil, undo } => {
            let number = number(pupil)?;
            open(home)?.keep_records(&pupil.contract, &number, !undo, pupil.request.as_deref())?;
            put(if *undo { b"not kept beyond their time any more\n" } else { b"kept beyond their time\n" })
        }
        RecordsCommand::Dispose { contract } => match open(home)?.dispose_records(contract)? {
            Some((changed, expired)) => {
                put(format!("disposed of rows in {}\n", changed.tables.join(", ")).as_bytes())?;
                tell_pinned(contract, &expired);
                Ok(())
            }
            None => put(b"nothing is to be disposed of\n"),
        },
    }
}

/// The number as it was typed, or as standard input gives it.
fn number(pupil: &Pupil) -> Result<Zeroizing<String>, Outcome> {
    if pupil.pupil != "-" {
        return Ok(Zeroizing::new(pupil.pupil.clone()));
    }
    let mut number = Zeroizing::new(String::new());
    std::io::stdin()
        .read_to_string(&mut number)
        .map_err(|error| Outcome::Invalid(format!("cannot read the pupil's number: {error}")))?;
    Ok(number)
}

pub(crate) fn tell_pinned(contract: &str, expired: &Expired) {
    if !expired.pinned.is_empty() {
        let numbers: Vec<String> = expired.pinned.iter().map(u64::to_string).collect();
        say(&format!(
            "note: a question still reads snapshot {}; when it has ended: `enclave snapshots expire {contract} --keep 1`",
            numbers.join(", ")
        ));
    }
}

fn shown(held: &[Held], format: ListFormat) -> String {
    match format {
        ListFormat::Json => {
            let tables = held.iter().map(|held| {
                let rows = held.rows.iter().map(|row| {
                    let values = held.columns.iter().zip(row);
                    let object: Map<String, Value> = values
                        .map(|((name, kind), value)| (name.clone(), typed(*kind, value.as_deref())))
                        .collect();
                    Value::Object(object)
                });
                json!({ "table": held.table, "rows": rows.collect::<Vec<_>>() })
            });
            format!("{:#}\n", Value::Array(tables.collect()))
        }
        ListFormat::Table => {
            let table = |held: &Held| {
                let names: Vec<&str> = held.columns.iter().map(|(name, _)| name.as_str()).collect();
                let rows = held.rows.iter().map(|row| {
                    let values: Vec<&str> = row.iter().map(|value| value.as_deref().unwrap_or("")).collect();
                    format!("{}\n", values.join("\t"))
                });
                format!("{}\n{}\n{}", held.table, names.join("\t"), rows.collect::<String>())
            };
            match held {
                [] => "nothing is held\n".to_owned(),
                held => held.iter().map(table).collect::<Vec<_>>().join("\n"),
            }
        }
    }
}

fn typed(kind: Kind, value: Option<&str>) -> Value {
    let Some(value) = value else { return Value::Null };
    match kind {
        Kind::Boolean | Kind::Integer | Kind::Number => {
            serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()))
        }
        Kind::Text | Kind::Date | Kind::DateTime => Value::String(value.to_owned()),
    }
}

fn export(home: &Path, pupil: &Pupil, out: &Path) -> Done {
    place::outside(home, out, "records in the clear")?;
    let unwritable =
        |error: std::io::Error| Outcome::Invalid(format!("cannot write to `{}`: {error}", out.display()));
    std::fs::create_dir_all(out).map_err(unwritable)?;
    if std::fs::read_dir(out).map_err(unwritable)?.next().is_some() {
        return Err(Outcome::Invalid(format!("`{}` is not empty", out.display())));
    }
    let number = number(pupil)?;
    let held = open(home)?.export_records(&pupil.contract, &number, pupil.request.as_deref())?;
    for held in &held {
        let names = held.columns.iter().map(|(name, _)| Some(name.as_str()));
        let rows = held.rows.iter().map(|row| line(row.iter().map(Option::as_deref)));
        let text: String = std::iter::once(line(names)).chain(rows).collect();
        std::fs::write(out.join(format!("{}.csv", held.table)), text).map_err(unwritable)?;
    }
    put(format!("exported {} tables to `{}`\n", held.len(), out.display()).as_bytes())
}

/// A line of a CSV file.
fn line<'a>(values: impl Iterator<Item = Option<&'a str>>) -> String {
    let field = |value: Option<&str>| match value {
        None => String::new(),
        Some(text) if text.contains([',', '"', '\n', '\r']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Some(text) => text.to_owned(),
    };
    format!("{}\r\n", values.map(field).collect::<Vec<_>>().join(","))
}
