//! The binary `enclave`: reads what was typed, does it through the gate, and says how it went. Messages go to
//! stderr, data to stdout; the exit code tells refusals from faults.
//!
//! Deliberately absent: rules. What may be done, and what it costs, is decided behind the gate.

mod args;
mod command;
mod outcome;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    // A panic's own message may quote a value of a row.
    std::panic::set_hook(Box::new(|_| outcome::say("error: an internal fault")));
    let args = Args::parse();
    let home = args.home;
    let done = match args.command {
        Command::Init => command::init::run(&home),
        Command::Demo(demo) => command::demo::run(&home, &demo),
        Command::Contract(contract) => command::contract::run(&home, &contract),
        Command::Ingest(ingest) => command::ingest::run(&home, &ingest),
        Command::Rules(rules) => command::rules::run(&home, &rules),
        Command::Memorandum(memorandum) => command::memorandum::run(&home, &memorandum),
        Command::Ask(ask) => command::ask::run(&home, &ask),
        Command::Budget(budget) => command::budget::run(&home, &budget),
        Command::Log(log) => command::log::run(&home, &log),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(outcome) => outcome.report(),
    }
}
