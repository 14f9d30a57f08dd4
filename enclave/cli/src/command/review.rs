//! `enclave log review [note|sign]`

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use gate::review::Period;
use ledger::LogPosition;

use crate::args::board::{Review, ReviewCommand, ReviewFormat};
use crate::command::open;
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Review) -> Done {
    match &args.command {
        None => review(home, args),
        Some(ReviewCommand::Note { month, text }) => {
            told(&format!("noted on {month}"), open(home)?.note_review(month, text)?)
        }
        Some(ReviewCommand::Sign { month }) => {
            told(&format!("signed off {month}"), open(home)?.sign_review(month)?)
        }
    }
}

fn review(home: &Path, args: &Review) -> Done {
    let period =
        match (&args.month, args.from.zip(args.to)) {
            (Some(month), _) => Period::month(month)
                .ok_or_else(|| format!("`{month}` is not a month: write it as in `2026-11`")),
            (None, Some((from, to))) => {
                Period::new(from, to).ok_or_else(|| format!("`--to {to}` is before `--from {from}`"))
            }
            (None, None) => Period::month_of(chrono::Utc::now())
                .ok_or_else(|| "say which month, with `--month`".to_owned()),
        };
    let review = open(home)?.review(period.map_err(Outcome::Invalid)?)?;
    let text = match args.format {
        ReviewFormat::Text => review.text(),
        ReviewFormat::Html => review.html(),
        ReviewFormat::Json => format!("{}\n", serde_json::to_string_pretty(&review).unwrap_or_default()),
    };
    let Some(out) = &args.out else { return put(text.as_bytes()) };
    let written = OpenOptions::new().write(true).create_new(true).open(out);
    written
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Outcome::Invalid(format!("cannot write `{}`: {error}", out.display())))?;
    say(&format!("wrote the review of {} to `{}`", review.period.name(), out.display()));
    Ok(())
}

fn told(what: &str, place: LogPosition) -> Done {
    put(format!("{what} (log {})\n", place.index).as_bytes())
}
