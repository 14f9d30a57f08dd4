//! What a page tells people to type can be typed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use clap::Parser;

use super::keys::{EscrowCommand, Keys, KeysCommand};
use super::{Args, Command, People, PeopleCommand};

const PAGE: &str = include_str!("../../../../docs/operate.md");
/// Runs a command as the account of the home, in the folder `/`.
const DO: &str = "enclave-do ";

/// By spaces, but for what stands in quotes.
fn words(typed: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for (i, part) in typed.split('"').enumerate() {
        if i % 2 == 0 { words.extend(part.split_whitespace()) } else { words.push(part) }
    }
    words
}

/// The files and folders that a command names.
fn files(command: &Command) -> Vec<&PathBuf> {
    match command {
        Command::Backup { dir } => vec![dir],
        Command::Restore(restore) => {
            [Some(&restore.backup), restore.since.as_ref(), restore.root_key.as_ref()]
                .into_iter()
                .flatten()
                .collect()
        }
        Command::Doctor(doctor) => doctor.config.iter().collect(),
        Command::Keys(Keys { command: KeysCommand::Escrow { command } }) => match command {
            EscrowCommand::Split { out, .. } => vec![out],
            EscrowCommand::Recover { files, .. } => files.iter().collect(),
        },
        _ => vec![],
    }
}

#[test]
fn commands_of_the_page_for_operators_work_as_they_stand_there() {
    let mut seen = 0;
    for line in PAGE.lines() {
        for (at, _) in line.match_indices(DO) {
            let typed = line[at + DO.len()..].split(['`', '#']).next().unwrap();
            let args = Args::try_parse_from(["enclave"].into_iter().chain(words(typed)));
            let args = args.unwrap_or_else(|error| panic!("{line}\n{error}"));
            let founding = matches!(
                &args.command,
                Command::Init(_) | Command::People(People { command: PeopleCommand::Add { .. } })
            );
            assert!(
                founding || line[..at].ends_with(' ') && line[..at].contains("ENCLAVE_PERSON="),
                "{line}"
            );
            for file in files(&args.command) {
                assert!(file.is_absolute(), "{line}");
            }
            // Else it looks at a certificate that is not served.
            assert!(!matches!(&args.command, Command::Doctor(doctor) if doctor.config.is_none()), "{line}");
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen}");
}
