//! `enclave ask`

use std::io::Read;
use std::path::Path;

use gate::encode::{self, Format};
use gate::{Answered, Failure, Price, Request, request};

use crate::args::{AnswerFormat, Ask};
use crate::command::{open, person, runtime};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Ask) -> Done {
    let request = asked(args)?;
    let enclave = open(home)?;
    let asked = runtime()?.block_on(enclave.ask(&request));
    let format = match args.format {
        AnswerFormat::Table => Format::Table,
        AnswerFormat::Json => Format::Json,
        AnswerFormat::Csv => Format::Csv,
        AnswerFormat::Arrow => Format::Arrow,
        AnswerFormat::Parquet => Format::Parquet,
    };
    match asked {
        Ok(answered) => {
            // Before the answer: what was told without a receipt could not be shown later.
            if let (Some(file), Some(receipt)) = (&args.receipt, &answered.receipt) {
                let json = serde_json::to_string_pretty(&receipt.to_json()).unwrap_or_default();
                std::fs::write(file, format!("{json}\n")).map_err(|error| {
                    Outcome::Invalid(format!("cannot write `{}`: {error}", file.display()))
                })?;
            }
            tell(&answered, format)
        }
        Err(Failure::Refused(refusal)) if format == Format::Json => {
            let json = serde_json::to_string_pretty(&encode::refusal_json(&refusal)).unwrap_or_default();
            put(format!("{json}\n").as_bytes())?;
            Err(Outcome::Told(Outcome::Refused(Box::new(refusal)).code()))
        }
        Err(Failure::Waiting(waiting)) if format == Format::Json => {
            let json = encode::waiting_json(&waiting);
            put(format!("{}\n", serde_json::to_string_pretty(&json).unwrap_or_default()).as_bytes())?;
            Err(Outcome::Told(Outcome::Waiting(waiting).code()))
        }
        Err(failure) => Err(failure.into()),
    }
}

fn asked(args: &Ask) -> Result<Request, Outcome> {
    let invalid = |error: &dyn std::fmt::Display| Outcome::Invalid(error.to_string());
    let price = Price::of(args.rho, args.epsilon, args.within).map_err(Outcome::Invalid)?;
    let confidence = request::confidence(args.confidence).map_err(Outcome::Invalid)?;
    let sql = match args.sql.as_deref() {
        Some("-") | None => {
            let mut sql = String::new();
            std::io::stdin().read_to_string(&mut sql).map_err(|error| invalid(&error))?;
            sql
        }
        Some(sql) => sql.to_owned(),
    };
    let options = gate::Options { rows_per_unit: args.rows_per_unit, groups_per_unit: args.groups_per_unit };
    Ok(Request {
        memorandum: args.memorandum.clone(),
        person: person(),
        purpose: args.purpose.clone(),
        sql,
        price,
        confidence,
        options,
        justification: args.justification.clone(),
        fresh: args.fresh,
        preview: args.preview,
    })
}

/// The answer to stdout, what it cost to stderr.
pub(crate) fn tell(answered: &Answered, format: Format) -> Done {
    if answered.preview && format == Format::Table {
        return preview(answered);
    }
    put(&encode::encode(answered, format).map_err(|error| Outcome::Internal(error.to_string()))?)?;
    if format == Format::Table {
        let cost = if answered.replayed {
            "already on record: nothing charged".to_owned()
        } else {
            format!("charged {}", price(answered))
        };
        let log = answered.log.as_ref().map_or(String::new(), |log| format!("; log {}", log.index));
        say(&format!("{cost}; balance {}{log}", balance(answered)));
        if answered.columns.iter().any(|column| column.role == "measure") {
            say("_low and _high are 95% intervals for the noise; small cells are hidden");
        }
    }
    Ok(())
}

/// In the unit of the memorandum's account first.
fn price(answered: &Answered) -> String {
    let charged = answered.charged;
    match answered.balance.epsilon {
        Some(_) => format!("epsilon {} (pure; rho {} of the pool)", charged.epsilon, charged.rho),
        None => format!("rho {} (epsilon {:.2} at delta {})", charged.rho, charged.epsilon, charged.delta),
    }
}

fn balance(answered: &Answered) -> String {
    match answered.balance.epsilon {
        Some(epsilon) => format!("epsilon {epsilon}"),
        None => format!("rho {}", answered.balance.rho),
    }
}

fn preview(answered: &Answered) -> Done {
    let left =
        answered.balance.epsilon.map_or(answered.balance.rho.to_string(), |epsilon| epsilon.to_string());
    let mut text = format!("would charge {} of {left}\n", price(answered));
    if let Some(principles) = answered.board.as_ref().filter(|principles| !principles.is_empty()) {
        text += &format!("the board decides on it first: {}\n", principles.join(", "));
    }
    for bounds in answered.bounds.iter().flatten() {
        text += &format!("{}\n", bounds.explanation);
        let chance = |(pupils, chance): &(u64, f64)| format!("{pupils} pupils {:.0}%", chance * 100.0);
        let chances: Vec<String> = bounds.hidden_chances.iter().map(chance).collect();
        if !chances.is_empty() {
            text += &format!("chance that a cell is hidden: {}\n", chances.join(", "));
        }
    }
    for column in answered.columns.iter().filter(|column| column.role == "measure") {
        let half_width = column.half_width.map_or("no half-width beforehand".to_owned(), |width| {
            let cell =
                column.half_width_for_pupils.map_or(String::new(), |n| format!(" in a cell of {n} pupils"));
            format!("± {width}{cell}")
        });
        text += &format!("{}: {half_width}", column.name);
        if let Some(least) = column.hidden_below {
            text += &format!("; hidden below a noisy count of {least} pupils");
        }
        if let (Some(name), Some((low, high))) = (column.aggregate.as_deref(), column.clipped)
            && !name.starts_with("count")
        {
            text += &format!("; values are clamped to {low} … {high}");
        }
        text.push('\n');
    }
    put(text.as_bytes())
}
