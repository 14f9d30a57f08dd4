//! `enclave collusion`

use std::path::Path;

use gate::collusion::{Collusion, Confined};

use crate::args::ListFormat;
use crate::args::board;
use crate::command::open;
use crate::outcome::{Done, put, say};

pub(crate) fn run(home: &Path, args: &board::Collusion) -> Done {
    let found = open(home)?.collusion(&args.contract)?;
    if args.format == ListFormat::Json {
        let text = serde_json::to_string_pretty(&found).unwrap_or_default();
        return put(format!("{text}\n").as_bytes());
    }
    put(table(&found).as_bytes())?;
    let flagged = found.hidden.iter().filter(|cell| cell.flagged).count();
    say(&format!(
        "{} hidden cells, {flagged} of them told more closely than their own noise would; {} releases not compared",
        found.hidden.len(),
        found.not_compared.len()
    ));
    Ok(())
}

fn table(found: &Collusion) -> String {
    let rho = |micro: u64| micro as f64 / 1e6;
    let cap = found.pool.allotment_micro.map_or("no cap".to_owned(), |micro| format!("of {}", rho(micro)));
    let mut text = format!("pool of {}: {} rho {cap}\n", found.contract, rho(found.pool.charged_micro));
    for (memorandum, releases) in &found.releases {
        text += &format!("releases under {memorandum}: {releases}\n");
    }
    text.extend(found.hidden.iter().map(line));
    for left in &found.not_compared {
        text += &format!("not compared\tlog {}\t{} hidden\t{}\n", left.leaf, left.hidden, left.reason);
    }
    text
}

fn line(cell: &Confined) -> String {
    let place: Vec<String> = cell.place.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let high = cell.high.map_or("no bound".to_owned(), |high| high.to_string());
    let logs: Vec<String> = cell.hidden_by.iter().map(u64::to_string).collect();
    format!(
        "{}\t{}\t{}\t{} to {high}\town half-width {}\tlog {}{}\n",
        if cell.flagged { "CLOSE" } else { "hidden" },
        cell.measure,
        if place.is_empty() { cell.relation.clone() } else { place.join(", ") },
        cell.low,
        cell.half_width,
        logs.join(", "),
        if cell.widened > 1.0 {
            format!("\tintervals widened {} times", cell.widened)
        } else {
            String::new()
        },
    )
}
