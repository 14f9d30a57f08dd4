//! `enclave keys list|rotate|destroy|escrow`

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use gate::{Enclave, KeysError, Rotate};
use serde_json::json;
use vault::{KeyEntry, KeyError, RootSource};

use crate::args::ListFormat;
use crate::args::keys::{EscrowCommand, Keys, KeysCommand};
use crate::command::{open, person, place, read};
use crate::outcome::{Done, Outcome, put, say};

pub(crate) fn run(home: &Path, args: &Keys) -> Done {
    match &args.command {
        KeysCommand::List { format } => list(home, *format),
        KeysCommand::Rotate { what, root_key } => rotate(home, what, root_key.clone()),
        KeysCommand::Destroy { cohort, contract } => destroy(home, cohort.as_deref(), contract.as_deref()),
        KeysCommand::Escrow { command: EscrowCommand::Split { shares, needed, out } } => {
            split(home, *shares, *needed, out)
        }
        KeysCommand::Escrow { command: EscrowCommand::Recover { files, root_key } } => {
            recover(home, files, root_key.as_ref())
        }
    }
}

impl From<KeysError> for Outcome {
    fn from(error: KeysError) -> Outcome {
        match error {
            KeysError::Open(error) => error.into(),
            KeysError::Act(error) => error.into(),
            KeysError::Recovered(_) => Outcome::Denied(error.to_string()),
            KeysError::Keys(KeyError::Vault(error)) => gate::OpenError::Vault(error).into(),
            KeysError::Keys(error @ (KeyError::Unknown(_) | KeyError::Busy(_))) => {
                Outcome::Invalid(error.to_string())
            }
            other => Outcome::Internal(other.to_string()),
        }
    }
}

fn list(home: &Path, format: ListFormat) -> Done {
    let enclave = open(home)?;
    let (root, keys) = (enclave.root_source()?, enclave.keys()?);
    let text = match format {
        ListFormat::Json => {
            let versions = |key: &KeyEntry| -> Vec<_> {
                let version = |version: &vault::VersionEntry| {
                    json!({
                        "version": version.version,
                        "made": version.made.to_rfc3339(),
                        "files_in_force": version.files_in_force,
                        "files": version.files,
                        "secrets": version.secrets,
                    })
                };
                key.versions.iter().map(version).collect()
            };
            let keys: Vec<_> =
                keys.iter().map(|key| json!({ "name": key.name, "versions": versions(key) })).collect();
            let object = json!({ "root": { "source": root }, "keys": keys });
            format!("{}\n", serde_json::to_string_pretty(&object).unwrap_or_default())
        }
        ListFormat::Table => {
            let line = |(name, version): (&String, &vault::VersionEntry)| {
                format!(
                    "{name}\tversion {}\tmade {}\t{} files in force, {} in all, {} secrets\n",
                    version.version,
                    version.made.format("%Y-%m-%d %H:%M"),
                    version.files_in_force,
                    version.files,
                    version.secrets
                )
            };
            let versions = keys.iter().flat_map(|key| key.versions.iter().map(move |v| (&key.name, v)));
            format!("root\t{root}\n{}", versions.map(line).collect::<String>())
        }
    };
    put(text.as_bytes())
}

fn rotate(home: &Path, what: &str, source: Option<RootSource>) -> Done {
    let rotate = match what {
        "root" => Rotate::Root(source),
        _ if source.is_some() => {
            return Err(Outcome::Invalid("--root-key goes with `keys rotate root`".to_owned()));
        }
        "key-encryption" => Rotate::KeyEncryption(Vec::new()),
        "data" => Rotate::Data,
        "all" => Rotate::All,
        name => Rotate::KeyEncryption(vec![name.to_owned()]),
    };
    open(home)?.rotate_keys(&rotate)?;
    if matches!(rotate, Rotate::Root(_) | Rotate::All) {
        say("the root key is another: shares that were dealt before are worth nothing, deal new ones");
    }
    put(format!("rotated: {what}\n").as_bytes())
}

fn destroy(home: &Path, cohort: Option<&str>, contract: Option<&str>) -> Done {
    let (contract, cohort) = match (cohort, contract) {
        (Some(cohort), _) => {
            let (contract, cohort) = cohort.split_once('/').ok_or_else(|| {
                Outcome::Invalid(format!("`{cohort}` names no cohort: write CONTRACT/COHORT"))
            })?;
            (contract, Some(cohort))
        }
        (None, contract) => (contract.unwrap_or_default(), None),
    };
    let enclave = open(home)?;
    enclave.destroy_keys(contract, cohort)?;
    say("the root key is another: shares that were dealt before are worth nothing, deal new ones");
    let source = enclave.root_source()?;
    if !(source.starts_with("file:") || source.starts_with("token")) {
        say(&format!(
            "whoever has an older copy of the home still opens it with the {source} of its time: destroy such copies"
        ));
    }
    let which = cohort.map_or_else(|| format!("{contract}, every cohort"), |c| format!("{contract}/{c}"));
    put(format!("destroyed: keys of the identities of {which}\n").as_bytes())
}

fn split(home: &Path, shares: u8, needed: u8, out: &Path) -> Done {
    place::outside(home, out, "shares of the root key")?;
    let enclave = open(home)?;
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Outcome::Invalid(format!("cannot write `{path}`: {error}"))
    };
    DirBuilder::new().recursive(true).mode(0o700).create(out).map_err(failed(out))?;
    if fs::read_dir(out).map_err(failed(out))?.next().is_some() {
        return Err(Outcome::Invalid(format!("`{}` is not empty", out.display())));
    }
    for (i, share) in enclave.split_root_key(shares, needed)?.iter().enumerate() {
        let path = out.join(format!("share-{}.txt", i + 1));
        let mut file = OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(share.as_bytes())).map_err(failed(&path))?;
        put(format!("{}\n", path.display()).as_bytes())?;
    }
    say(&format!(
        "give each file to another person, and keep none here: any {needed} give the root key back"
    ));
    Ok(())
}

fn recover(home: &Path, files: &[PathBuf], source: Option<&RootSource>) -> Done {
    source.map_or(Ok(()), |source| place::of_root_key(home, source))?;
    let shares = files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    Enclave::recover_root_key(home, chrono::Utc::now, person(), &shares, source)?;
    put(b"recovered: the root key is in force\n")
}
