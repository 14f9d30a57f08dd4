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
    if let Err(error) = vault::process::seclude() {
        outcome::say(&format!("error: the system would show this process's memory to others: {error}"));
        return ExitCode::FAILURE;
    }
    let args = Args::parse();
    let home = args.home;
    command::acting(args.person.clone());
    let done = match args.command {
        Command::Init(init) => command::init::run(&home, &init),
        Command::Demo(demo) => command::demo::run(&home, &demo),
        Command::Backup { dir } => command::backup::backup(&home, &dir),
        Command::Restore(restore) => command::backup::restore(&home, &restore),
        Command::Doctor(doctor) => command::doctor::run(&home, &doctor),
        Command::Serve(serve) => command::serve::run(&home, &serve),
        Command::Contract(contract) => command::contract::run(&home, &contract),
        Command::Ingest(ingest) => command::ingest::run(&home, &ingest),
        Command::Rules(rules) => command::rules::run(&home, &rules),
        Command::Memorandum(memorandum) => command::memorandum::run(&home, &memorandum),
        Command::People(people) => command::people::run(&home, &people),
        Command::StepUp(step_up) => command::people::step_up(&home, &step_up),
        Command::Ask(ask) => command::ask::run(&home, &ask),
        Command::Approvals(approvals) => command::approvals::run(&home, &approvals),
        Command::Budget(budget) => command::budget::run(&home, &budget),
        Command::Keys(keys) => command::keys::run(&home, &keys),
        Command::Records(records) => command::records::run(&home, &records),
        Command::Snapshots(snapshots) => command::snapshots::run(&home, &snapshots),
        Command::Vault(vault) => command::vault::run(&home, &vault),
        Command::Log(log) => command::log::run(&home, &log),
        Command::Register(register) => command::register::run(&home, &register),
        Command::Collusion(collusion) => command::collusion::run(&home, &collusion),
        Command::Receipt(receipt) => command::receipt::run(&receipt),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(outcome) => outcome.report(),
    }
}
