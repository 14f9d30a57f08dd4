//! `enclave demo`: an invented city, three questions, what to try next, and the enclave served.

use std::path::Path;

use datasets_synthetic::demo::QUESTIONS;
use datasets_synthetic::{CITY_CONTRACT, CITY_MEMORANDA, City, CitySize};
use gate::Rho;
use gate::encode::Format;
use gate::{Price, Request};
use server::Config;
use vault::Input;

use crate::args::{Budget, Demo, ListFormat};
use crate::command::{ask, budget, ingest, init, runtime, serve};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Demo) -> Done {
    say("making an enclave, and inventing a city of 12,000 pupils …");
    let enclave = init::create(home)?;
    let (contract, _) = enclave.publish_contract(CITY_CONTRACT)?;

    // Outside the home: these files hold (invented) names in the clear, and are gone before the first question.
    let failed =
        |error: std::io::Error| Outcome::Internal(format!("cannot write the invented city: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let files = City::generate(args.seed, CitySize::default()).write_csv(folder.path()).map_err(failed)?;
    let table = |file: &std::path::PathBuf| {
        let table = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Input { table, path: file.clone() }
    };
    let inputs: Vec<Input> = files.iter().map(table).collect();
    let bar = ingest::bar();
    let ingested = enclave.ingest(&contract.name, &inputs, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let rows: u64 = ingested?.tables.iter().map(|(_, rows)| rows).sum();
    folder.close().map_err(failed)?;
    say(&format!("{} tables with {rows} rows are in the locked store", inputs.len()));

    for text in CITY_MEMORANDA {
        let (memorandum, _) = enclave.sign_memorandum(text)?;
        say(&format!(
            "signed memorandum {}: {} · {}",
            memorandum.id, memorandum.title.en, memorandum.title.ja
        ));
    }

    let runtime = runtime()?;
    for question in &QUESTIONS {
        put(format!("\n{} · {}\n{}\n", question.title, question.title_ja, question.sql).as_bytes())?;
        let request = Request {
            memorandum: question.memorandum.to_owned(),
            person: Some("r1".to_owned()),
            purpose: None,
            justification: None,
            sql: question.sql.to_owned(),
            price: Price::Rho(
                Rho::at_least(question.rho).map_err(|error| Outcome::Internal(error.to_string()))?,
            ),
            confidence: None,
            options: gate::Options::default(),
            fresh: false,
            preview: false,
        };
        ask::tell(&runtime.block_on(enclave.ask(&request))?, Format::Table)?;
    }
    put(b"\n")?;
    budget::run(home, &Budget { memorandum: None, statement: false, format: ListFormat::Table })?;
    let shown = home.display();
    put(format!(
        "\nTry next:\n  \
         enclave --home {shown} ask -m city-absence --as r1 --preview \"SELECT grade, AVG(late_days) AS late FROM attendance GROUP BY grade\"\n  \
         enclave --home {shown} ask -m city-absence --as r1 \"SELECT * FROM pupils\"      # a refusal, with its reason\n  \
         enclave --home {shown} log list\n  \
         enclave --home {shown} log verify\n"
    )
    .as_bytes())?;
    if args.no_serve {
        return Ok(());
    }
    let mut config = Config::default();
    config.http.set_port(args.port);
    config.flight.set_port(if args.port == 0 { 0 } else { args.port.saturating_add(1) });
    let (invited, _) = enclave.invite("city-absence/r1")?;
    say(&format!("researcher r1 makes a log-in here, once: {}", server::join_link(&config, &invited)));
    say(&format!(
        "the first steward registers here, once: {}",
        server::join_link(&config, &enclave.set_up_secret()?)
    ));
    serve::serve(home, enclave, config)
}
