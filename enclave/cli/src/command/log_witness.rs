//! `enclave log witness|prove|prune`

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ledger::{
    PublicKey, WitnessError, WitnessKey, WitnessPublic, exported_key, verify_export_since, witness_export,
};

use crate::args::witness::{Prove, Prune, Witness, WitnessCommand};
use crate::command::{open, read};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Witness) -> Done {
    match &args.command {
        WitnessCommand::Keygen { file, name } => keygen(file, name.as_deref()),
        WitnessCommand::Sign { dir, key, log_key, last, out } => {
            sign(dir, key, log_key.as_deref(), last.as_deref(), out.as_deref())
        }
        WitnessCommand::Add { file } => {
            let added = open(home)?.add_cosignatures(&read(file)?)?;
            put(format!("the log has the cosignature of {}\n", added.join(", ")).as_bytes())
        }
        WitnessCommand::Register { name, key } => {
            let key = public(key)?;
            if key.name() != name {
                let message = format!(
                    "this is the key of `{}`, not of `{name}`: make one with `--name {name}`",
                    key.name()
                );
                return Err(Outcome::Invalid(message));
            }
            open(home)?.register_witness(&key)?;
            put(format!("`{name}` is a witness\n").as_bytes())
        }
        WitnessCommand::Remove { name } => {
            open(home)?.remove_witness(name)?;
            put(format!("`{name}` is no witness any more\n").as_bytes())
        }
        WitnessCommand::List => list(home),
    }
}

pub(crate) fn prove(home: &Path, args: &Prove) -> Done {
    let enclave = open(home)?;
    let proof = match (args.leaf, &args.since) {
        (Some(leaf), _) => enclave.prove_leaf(leaf)?,
        (None, Some(since)) => enclave.prove_since(&checkpoint(since)?)?,
        (None, None) => return Err(Outcome::Invalid("name a leaf, or `--since CHECKPOINT`".to_owned())),
    };
    put(proof.as_bytes())
}

pub(crate) fn prune(home: &Path, args: &Prune) -> Done {
    let policy = read(&args.policy)?;
    let (day, pruned) = open(home)?.prune_log(args.before, &policy)?;
    if !pruned.tidied {
        say(
            "note: another process has the ledger open, and copies of the words may be left: run this again later",
        );
    }
    say("give the board an export: its earlier ones have the words that were removed");
    put(format!(
        "removed the words of {} leaves from before {day}; leaf {} has the policy\n",
        pruned.leaves, pruned.position.index
    )
    .as_bytes())
}

/// A checkpoint, alone or as `witness sign` keeps it.
pub(crate) fn checkpoint(file: &Path) -> Result<String, Outcome> {
    let text = read(file)?;
    let kept = text.split_once('\n').filter(|(first, _)| first.parse::<PublicKey>().is_ok());
    Ok(kept.map(|(_, checkpoint)| checkpoint.to_owned()).unwrap_or(text))
}

fn list(home: &Path) -> Done {
    let witnesses = open(home)?.witnesses()?;
    let line = |one: &ledger::Witness| {
        let last = one.last.map_or_else(
            || "nothing yet".to_owned(),
            |(size, at)| format!("{size} leaves, {}", at.format("%Y-%m-%d %H:%M:%S")),
        );
        format!("{}\t{last}\t{}\n", one.key.name(), one.key)
    };
    put(witnesses.iter().map(line).collect::<String>().as_bytes())
}

fn keygen(file: &Path, name: Option<&str>) -> Done {
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = name.map(str::to_owned).or(stem).unwrap_or_default();
    let key = WitnessKey::generate(&name).map_err(|error| Outcome::Invalid(error.to_string()))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut open| {
        open.write_all(key.secret().as_bytes())?;
        open.sync_all()
    });
    written.map_err(|error| cannot_write(file, &error))?;
    say(&format!("keep `{}` to yourself; give the steward this public key:", file.display()));
    put(format!("{}\n", key.public()).as_bytes())
}

/// A key as it was typed, or in the file that was.
fn public(key: &str) -> Result<WitnessPublic, Outcome> {
    let text = if Path::new(key).is_file() { read(Path::new(key))? } else { key.to_owned() };
    text.trim()
        .parse()
        .map_err(|error: ledger::KeyError| Outcome::Invalid(format!("`{}`: {error}", text.trim())))
}

/// What a member signed last, and of which log.
struct Signed {
    log: PublicKey,
    checkpoint: String,
}

fn sign(dir: &Path, key: &Path, log_key: Option<&Path>, last: Option<&Path>, out: Option<&Path>) -> Done {
    let invalid =
        |file: &Path, error: ledger::KeyError| Outcome::Invalid(format!("`{}`: {error}", file.display()));
    let witness: WitnessKey = read(key)?.parse().map_err(|error| invalid(key, error))?;
    let state = PathBuf::from(format!("{}.last", key.display()));
    let signed = signed_last(&state)?;
    let given: Option<PublicKey> =
        log_key.map(|file| read(file)?.trim().parse().map_err(|error| invalid(file, error))).transpose()?;
    let log = match (given, &signed) {
        (Some(given), Some(signed)) if given != signed.log => {
            let message =
                format!("`{}` is of another log than what `{}` signed last", dir.display(), key.display());
            return Err(Outcome::Invalid(message));
        }
        (Some(given), _) => given,
        (None, Some(signed)) => signed.log.clone(),
        (None, None) => {
            say("note: no `--log-key`: the key in the folder is believed, this time and from now on");
            exported_key(dir).map_err(|error| not_cosigned(&error.to_string()))?
        }
    };
    if let Some(last) = last {
        let earlier = checkpoint(last)?;
        verify_export_since(dir, &log, Some(&earlier)).map_err(|error| not_cosigned(&error.to_string()))?;
    }
    let earlier = signed.as_ref().map(|signed| signed.checkpoint.as_str());
    let cosigned = witness_export(dir, &witness, &log, earlier, chrono::Utc::now());
    let cosigned = cosigned.map_err(|error| match error {
        WitnessError::Export(_) => not_cosigned(&error.to_string()),
        other => Outcome::Invalid(other.to_string()),
    })?;
    // Before anybody sees the cosignature: the member will never sign what contradicts it.
    replace(&state, &format!("{log}\n{cosigned}")).map_err(|error| cannot_write(&state, &error))?;
    say(&format!("checked and cosigned; `{}` remembers it", state.display()));
    match out {
        Some(out) => fs::write(out, cosigned).map_err(|error| cannot_write(out, &error)),
        None => put(cosigned.as_bytes()),
    }
}

fn signed_last(state: &Path) -> Result<Option<Signed>, Outcome> {
    if !state.exists() {
        return Ok(None);
    }
    let text = read(state)?;
    let signed = text.split_once('\n').and_then(|(log, checkpoint)| {
        Some(Signed { log: log.parse().ok()?, checkpoint: checkpoint.to_owned() })
    });
    let message =
        || Outcome::Invalid(format!("`{}` is not what `witness sign` wrote: restore it", state.display()));
    signed.ok_or_else(message).map(Some)
}

/// The whole new file or the whole old one, whatever happens.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let next = PathBuf::from(format!("{}.new", path.display()));
    let mut file = File::create(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn not_cosigned(why: &str) -> Outcome {
    Outcome::Invalid(format!("not cosigned: {why}"))
}

fn cannot_write(file: &Path, error: &io::Error) -> Outcome {
    Outcome::Invalid(format!("cannot write `{}`: {error}", file.display()))
}
