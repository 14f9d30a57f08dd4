//! `enclave backup` and `enclave restore`

use std::path::Path;

use gate::backup::{self, BackupError, Contents};

use crate::args::serve::Restore;
use crate::command::{log_witness, open, person, place};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn backup(home: &Path, dir: &Path) -> Done {
    let contents = open(home)?.backup(dir).map_err(failed)?;
    say("the root key is not in it: keep that apart, or deal it in shares with `enclave keys escrow split`");
    told("backed up", &contents)
}

pub(crate) fn restore(home: &Path, args: &Restore) -> Done {
    let since = args.since.as_deref().map(log_witness::checkpoint).transpose()?;
    let root_key = args.root_key.as_deref();
    let other = std::env::var_os(place::ROOT_KEY_VARIABLE).is_some_and(|path| !path.is_empty());
    if root_key.is_some() && other {
        let message =
            format!("`--root-key` and {} each name a root key: leave one out", place::ROOT_KEY_VARIABLE);
        return Err(Outcome::Invalid(message));
    }
    let restored =
        backup::restore(&args.backup, home, root_key, since.as_deref(), chrono::Utc::now, person());
    let contents = restored.map_err(failed)?;
    if root_key.is_some() {
        say("the root key lies in `keys/root.key` of the new home, whatever guarded it before");
    }
    if since.is_none() {
        say(
            "note: no `--since`: what was charged after this backup is forgotten unless the board's last checkpoint \
             says otherwise",
        );
    }
    told("restored and verified", &contents)
}

fn told(what: &str, contents: &Contents) -> Done {
    let made = contents.made.format("%Y-%m-%d %H:%M:%S UTC");
    let (files, size, root) = (contents.files.len(), contents.size, &contents.root);
    put(format!("{what}: {files} files, {size} leaves, root {root}, as of {made}\n").as_bytes())
}

fn failed(error: BackupError) -> Outcome {
    match error {
        BackupError::Act(error) => error.into(),
        other => Outcome::Invalid(other.to_string()),
    }
}
