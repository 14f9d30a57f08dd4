//! `enclave ingest CONTRACT TABLE=FILE …`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use vault::{Input, Mode};

use crate::args::Ingest;
use crate::args::records::IngestMode;
use crate::command::open;
use crate::outcome::{Done, Outcome, put};

pub(crate) fn run(home: &Path, args: &Ingest) -> Done {
    let inputs = inputs(&args.files)?;
    let mode = match args.mode {
        IngestMode::Replace => Mode::Replace,
        IngestMode::Append => Mode::Append,
        IngestMode::Upsert => Mode::Upsert,
    };
    let enclave = open(home)?;
    let bar = bar();
    let ingested = enclave.ingest_as(mode, &args.contract, &inputs, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let ingested = ingested?;
    let tables: String =
        ingested.tables.iter().map(|(table, rows)| format!("{table}\t{rows} rows\n")).collect();
    put(format!("{tables}snapshot {} is in force\n", ingested.snapshot_id).as_bytes())
}

/// What `TABLE=FILE …` names.
pub(crate) fn inputs(files: &[String]) -> Result<Vec<Input>, Outcome> {
    files.iter().map(|file| input(file)).collect()
}

fn input(file: &str) -> Result<Input, Outcome> {
    match file.split_once('=') {
        Some((table, path)) if !table.is_empty() && !path.is_empty() => {
            Ok(Input { table: table.to_owned(), path: PathBuf::from(path) })
        }
        _ => Err(Outcome::Invalid(format!("`{file}` does not name a table and a file: write TABLE=FILE"))),
    }
}

/// A bar on a terminal; nothing elsewhere.
pub(crate) fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
