//! The public register: a static site that is a function of the log, of documents and answers whose digests are in the
//! log, and of nothing else. The same log gives the same bytes.
//!
//! Deliberately absent: names and ids of people, what custodians write of requests, previews, the store of records.
//!
//! In reading order: [`Site`] · `index` · `memorandum` (one page each) · `words` (a question in words) · `decisions` ·
//! `verify` (how to check all of it) · `page` (the frame).

mod decisions;
mod index;
mod memorandum;
mod page;
mod verify;
mod words;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use ledger::{Approval, Document, LeafKind};
use serde_json::{Value, json};

use crate::acts::ActError;
use crate::answered::Recorded;
use crate::enclave::Enclave;
use crate::permissions::Action;
use crate::review::deviation::Published;
use crate::review::record::{Accounts, Record, accounts, cases, records};

/// What marks a folder as a register, and lists what is in it.
const MARK: &str = "register.json";
/// What the mark says the folder is.
const FORM: &str = "enclave register 1";

/// Why no register was written.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Whoever acts may not, or the log does not read.
    #[error(transparent)]
    Act(#[from] ActError),
    /// Something else is there.
    #[error("`{0}` is neither empty nor a register: name another folder")]
    Occupied(PathBuf),
    /// The file system.
    #[error("cannot write the register: {0}")]
    Io(#[from] io::Error),
}

/// What the site is made from.
pub(crate) struct Source {
    pub(crate) records: Vec<Record>,
    pub(crate) published: Published,
    pub(crate) documents: Vec<Document>,
    pub(crate) accounts: Accounts,
    pub(crate) cases: Vec<Approval>,
    /// By number of the release's leaf.
    pub(crate) answers: BTreeMap<u64, Recorded>,
    pub(crate) checkpoint: String,
    pub(crate) key: String,
}

/// The pages, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site(pub BTreeMap<String, String>);

impl Enclave {
    /// The site as the log stands now. Nothing is written, and nothing but the ledger is read.
    pub fn register(&self) -> Result<Site, ActError> {
        self.permitted(Action::BuildRegister)?;
        self.public_register()
    }

    /// The same, for a server that shows it to everybody: it says nothing that is not for the public.
    pub fn public_register(&self) -> Result<Site, ActError> {
        let records = records(&self.ledger)?;
        let documents = self.published()?;
        let mut answers = BTreeMap::new();
        for release in records.iter().filter(|record| record.kind == LeafKind::Release) {
            let answer = self.ledger.released(release.index)?;
            if let Some(recorded) = answer.and_then(|answer| serde_json::from_str(&answer).ok()) {
                answers.insert(release.index, recorded);
            }
        }
        let source = Source {
            published: Published::of(&documents),
            accounts: accounts(records.iter()),
            cases: cases(&records),
            checkpoint: self.ledger.checkpoint()?,
            key: self.public_key().to_string(),
            records,
            documents,
            answers,
        };
        Ok(Site::of(&source))
    }

    /// Writes the site into a folder that is empty, or a register, in whose place it comes.
    pub fn build_register(&self, dir: &Path) -> Result<Site, RegisterError> {
        let site = self.register()?;
        site.write(dir)?;
        Ok(site)
    }
}

impl Site {
    pub(crate) fn of(source: &Source) -> Site {
        let mut pages = BTreeMap::from([
            ("index.html".to_owned(), index::page(source)),
            ("decisions.html".to_owned(), decisions::page(source)),
            ("verify.html".to_owned(), verify::page(source)),
            ("style.css".to_owned(), page::STYLE.to_owned()),
        ]);
        for id in source.memoranda() {
            pages.insert(memorandum_path(id), memorandum::page(source, id));
        }
        let listed: Vec<&String> = pages.keys().collect();
        let mark = json!({ "form": FORM, "leaves": source.records.len(), "files": listed });
        pages.insert(MARK.to_owned(), format!("{mark:#}\n"));
        Site(pages)
    }

    fn write(&self, dir: &Path) -> Result<(), RegisterError> {
        fs::create_dir_all(dir)?;
        let mut old = Vec::new();
        for entry in fs::read_dir(dir)? {
            old.push(entry?.path());
        }
        if !old.is_empty() {
            for file in former(dir).ok_or_else(|| RegisterError::Occupied(dir.to_owned()))? {
                match fs::remove_file(dir.join(file)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
        }
        // The mark first: a register that is half written can be written again.
        let mark = |(path, _): &(&String, &String)| path.as_str() == MARK;
        let pages = || self.0.iter();
        for (path, text) in pages().filter(mark).chain(pages().filter(|page| !mark(page))) {
            let path = dir.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(())
    }
}

/// The files of the register in a folder, but its mark; `None` if it is none.
fn former(dir: &Path) -> Option<Vec<String>> {
    let mark: Value = serde_json::from_str(&fs::read_to_string(dir.join(MARK)).ok()?).ok()?;
    if mark["form"] != FORM {
        return None;
    }
    let files = mark["files"].as_array()?.iter().filter_map(Value::as_str);
    // Only what a register writes: a mark that somebody changed deletes nothing else.
    let own = |file: &&str| {
        let name = file.strip_prefix("memoranda/").unwrap_or(file);
        !name.contains(['/', '\\']) && (name.ends_with(".html") || *file == "style.css")
    };
    Some(files.filter(own).map(str::to_owned).collect())
}

/// Where a memorandum's page is.
fn memorandum_path(id: &str) -> String {
    format!("memoranda/{id}.html")
}

impl Source {
    /// Memoranda in the order in which they were signed.
    fn memoranda(&self) -> impl Iterator<Item = &str> {
        let signed = self.records.iter().filter(|record| record.kind == LeafKind::Signature);
        signed.map(|record| record.text("memorandum"))
    }

    /// The leaves about a memorandum.
    fn of<'s>(&'s self, id: &'s str) -> impl Iterator<Item = &'s Record> {
        self.records.iter().filter(move |record| record.text("memorandum") == id)
    }

    /// When the last leaf was written: the register's own "now".
    fn now(&self) -> DateTime<Utc> {
        self.records.last().map_or(DateTime::UNIX_EPOCH, |record| record.at)
    }
}
