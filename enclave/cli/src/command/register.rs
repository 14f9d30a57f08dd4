//! `enclave register build`

use std::path::Path;

use gate::register::RegisterError;

use crate::args::board::{Register, RegisterCommand};
use crate::command::open;
use crate::outcome::{Done, Outcome, put};

pub(crate) fn run(home: &Path, args: &Register) -> Done {
    let RegisterCommand::Build { dir } = &args.command;
    let site = open(home)?.build_register(dir).map_err(|error| match error {
        RegisterError::Act(error) => error.into(),
        other => Outcome::Invalid(other.to_string()),
    })?;
    put(format!("wrote {} files to `{}`: start at index.html\n", site.0.len(), dir.display()).as_bytes())
}
