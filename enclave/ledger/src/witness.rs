//! Witnesses: members of the board who check that the log only grows, and say so with a key of their own, as C2SP
//! `tlog-cosignature` has it (Ed25519, signature type 0x04). Who is a witness, and what they cosigned, are leaves.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::base64;
use crate::checkpoint::{Checkpoint, SignatureLine};
use crate::documents::object;
use crate::key::{KeyError, PublicKey, ed25519_verifies, key_id, key_name, read_verifier_key, verifier_key};
use crate::log::{LeafKind, LogPosition, root_at};
use crate::proof::{PastError, continues};
use crate::stamp::Stamp;
use crate::store::{Ledger, LedgerError};
use crate::tree::Hash;
use crate::verify::{VerifyError, checked};

/// Signed-note type of a timestamped Ed25519 cosignature.
const COSIGNATURE: u8 = 4;
/// How a private key begins, as other tools for signed notes have it.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Why nothing was witnessed.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder.
    #[error(transparent)]
    Export(#[from] VerifyError),
    /// The note is not a checkpoint of this log.
    #[error("the note {0}")]
    Note(String),
    /// The log is not what was cosigned.
    #[error(transparent)]
    Past(#[from] PastError),
    /// A signature of nobody known.
    #[error("`{0}` is not a witness with this key: register the key with `log witness register`")]
    Unknown(String),
    /// The signature is not one.
    #[error("the cosignature of `{0}` does not verify")]
    Signature(String),
    /// Nothing in it.
    #[error("the note has no cosignature that the log has not")]
    Nothing,
    /// The register stays as it is.
    #[error("{0}")]
    Register(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A witness's private key. Wiped on drop, never printed but by [`WitnessKey::secret`].
pub struct WitnessKey {
    seed: Zeroizing<[u8; 32]>,
    public: WitnessPublic,
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({})", self.public.name)
    }
}

impl WitnessKey {
    /// A fresh key of the witness `name`.
    pub fn generate(name: &str) -> Result<WitnessKey, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(seed.as_mut()).map_err(|_| KeyError::Random)?;
        WitnessKey::from_seed(name, seed)
    }

    fn from_seed(name: &str, seed: Zeroizing<[u8; 32]>) -> Result<WitnessKey, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::Witness)?;
        let bytes = pair.public_key().as_ref().try_into().map_err(|_| KeyError::Witness)?;
        Ok(WitnessKey { seed, public: WitnessPublic { name: key_name(name)?, bytes } })
    }

    /// The key as one line of text, for its owner to keep.
    pub fn secret(&self) -> Zeroizing<String> {
        let typed = Zeroizing::new([&[COSIGNATURE], self.seed.as_slice()].concat());
        let id = hex::encode(self.public.id());
        Zeroizing::new(format!("{PRIVATE}{}+{id}+{}\n", self.public.name, base64::encode(&typed)))
    }

    /// The half for everybody.
    pub fn public(&self) -> &WitnessPublic {
        &self.public
    }

    /// A checkpoint of the log `key` with this witness's cosignature instead of any others.
    fn cosign(&self, note: &str, key: &PublicKey, at: DateTime<Utc>) -> Result<String, WitnessError> {
        let (checkpoint, _) =
            Checkpoint::cosigned(note, key).map_err(|error| WitnessError::Note(error.to_string()))?;
        let time = u64::try_from(at.timestamp()).map_err(|_| WitnessError::Note("is of 1969".to_owned()))?;
        let pair =
            Ed25519KeyPair::from_seed_unchecked(self.seed.as_slice()).map_err(|_| KeyError::Witness)?;
        let signature = pair.sign(message(time, &checkpoint).as_bytes());
        let timestamped = [&time.to_be_bytes(), signature.as_ref()].concat();
        let line = SignatureLine::write(&self.public.name, self.public.id(), &timestamped);
        Ok(format!("{}{line}", own_part(note)))
    }
}

impl FromStr for WitnessKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<WitnessKey, KeyError> {
        let parts = text.trim().strip_prefix(PRIVATE).and_then(|rest| rest.split_once('+'));
        let (name, rest) = parts.ok_or(KeyError::Witness)?;
        let key = rest.split_once('+').and_then(|(_, key)| base64::decode(key)).map(Zeroizing::new);
        let key = key.ok_or(KeyError::Witness)?;
        let seed = key.strip_prefix(&[COSIGNATURE]).and_then(|seed| seed.try_into().ok());
        let key = WitnessKey::from_seed(name, Zeroizing::new(seed.ok_or(KeyError::Witness)?))?;
        if key.secret().trim_end() == text.trim() { Ok(key) } else { Err(KeyError::Witness) }
    }
}

/// What a cosignature of a checkpoint signs.
fn message(time: u64, checkpoint: &Checkpoint) -> String {
    format!("cosignature/v1\ntime {time}\n{}", checkpoint.body())
}

/// Text and first signature of a note: what the log itself signed.
fn own_part(note: &str) -> &str {
    let end = note.find("\n— ").and_then(|start| Some(start + 2 + note.get(start + 1..)?.find('\n')?));
    end.and_then(|end| note.get(..end)).unwrap_or(note)
}

/// A witness's name and Ed25519 public key. Written as a verifier key of type 0x04.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPublic {
    name: String,
    bytes: [u8; 32],
}

impl WitnessPublic {
    /// Name in signature lines.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        key_id(&self.name, COSIGNATURE, &self.bytes)
    }

    /// When it cosigned the checkpoint, in seconds since 1970; `None` if it did not.
    fn cosigned(&self, checkpoint: &Checkpoint, line: &SignatureLine<'_>) -> Option<u64> {
        let (time, signature) = line.signature.split_first_chunk()?;
        let time = u64::from_be_bytes(*time);
        let signed = self.name == line.name
            && self.id() == line.id
            && i64::try_from(time).is_ok()
            && ed25519_verifies(&self.bytes, message(time, checkpoint).as_bytes(), signature);
        signed.then_some(time)
    }
}

impl fmt::Display for WitnessPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&verifier_key(&self.name, COSIGNATURE, &self.bytes))
    }
}

impl FromStr for WitnessPublic {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<WitnessPublic, KeyError> {
        let (name, bytes) = read_verifier_key(text, COSIGNATURE)?;
        Ok(WitnessPublic { name, bytes })
    }
}

/// Checks the exported log in `dir` against the log's key and the witness's `last` checkpoint, and cosigns its newest
/// one. Trusts nothing else. The caller keeps what it returns before it hands it on: it is the next `last`.
pub fn witness_export(
    dir: &Path,
    witness: &WitnessKey,
    log: &PublicKey,
    last: Option<&str>,
    at: DateTime<Utc>,
) -> Result<String, WitnessError> {
    let (_, note) = checked(dir, log, last)?;
    witness.cosign(&note, log, at)
}

/// A witness of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Name and key.
    pub key: WitnessPublic,
    /// Size of the newest checkpoint that it cosigned, and when.
    pub last: Option<(u64, DateTime<Utc>)>,
}

impl Ledger {
    /// Makes somebody a witness, or gives a witness another key; a leaf.
    pub fn register_witness(
        &self,
        stamp: Stamp<'_>,
        witness: &WitnessPublic,
    ) -> Result<LogPosition, WitnessError> {
        self.write(|writer| {
            let known = Witnessing::read(&writer.transaction, self.public_key())?;
            if known.keys.get(&witness.name) == Some(witness) {
                return Err(WitnessError::Register(format!(
                    "`{}` is a witness with this key already",
                    witness.name
                )));
            }
            let own = json!({ "act": "register", "witness": witness.name, "vkey": witness.to_string() });
            Ok(writer.leaf(stamp, LeafKind::Witness, object(own), json!({}))?)
        })
    }

    /// Ends that somebody is a witness; a leaf. What was cosigned stays.
    pub fn remove_witness(&self, stamp: Stamp<'_>, name: &str) -> Result<LogPosition, WitnessError> {
        self.write(|writer| {
            if !Witnessing::read(&writer.transaction, self.public_key())?.keys.contains_key(name) {
                return Err(WitnessError::Register(format!(
                    "`{name}` is not a witness: `log witness list` says who is"
                )));
            }
            let own = json!({ "act": "remove", "witness": name });
            Ok(writer.leaf(stamp, LeafKind::Witness, object(own), json!({}))?)
        })
    }

    /// Takes the cosignatures of a checkpoint in, a leaf each, and gives the names. A checkpoint of more leaves than
    /// there are shows that this log was rolled back.
    pub fn add_cosignatures(&self, stamp: Stamp<'_>, note: &str) -> Result<Vec<String>, WitnessError> {
        self.write(|writer| {
            let size = writer.size();
            let root = |size| root_at(&writer.transaction, size).map(Some);
            let checkpoint = continues(note, self.public_key(), size, root)??;
            let (_, lines) = Checkpoint::cosigned(note, self.public_key())
                .map_err(|error| WitnessError::Note(error.to_string()))?;
            let known = Witnessing::read(&writer.transaction, self.public_key())?;
            let mut added = Vec::new();
            for line in lines {
                let witness = known.keys.get(line.name).filter(|witness| witness.id() == line.id);
                let witness = witness.ok_or_else(|| WitnessError::Unknown(line.name.to_owned()))?;
                let time = witness.cosigned(&checkpoint, &line);
                let time = time.ok_or_else(|| WitnessError::Signature(line.name.to_owned()))?;
                if known.has(checkpoint.size, line.text) {
                    continue;
                }
                let own = json!({
                    "witness": witness.name,
                    "size": checkpoint.size,
                    "time": time,
                    "checkpoint": format!("{}{}\n", own_part(note), line.text),
                });
                writer.leaf(stamp, LeafKind::Cosignature, object(own), json!({}))?;
                added.push(witness.name.clone());
            }
            if added.is_empty() { Err(WitnessError::Nothing) } else { Ok(added) }
        })
    }

    /// Who is a witness now.
    pub fn witnesses(&self) -> Result<Vec<Witness>, LedgerError> {
        self.read(|transaction| {
            let known = Witnessing::read(transaction, self.public_key())?;
            let last = known.last;
            let witness = |key: WitnessPublic| Witness { last: last.get(&key.name).copied(), key };
            Ok(known.keys.into_values().map(witness).collect())
        })
    }
}

/// Who is a witness, and what was cosigned, as the leaves have it.
#[derive(Default)]
pub(crate) struct Witnessing {
    keys: BTreeMap<String, WitnessPublic>,
    cosigned: BTreeMap<u64, CosignedNote>,
    last: BTreeMap<String, (u64, DateTime<Utc>)>,
}

struct CosignedNote {
    own: String,
    lines: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Stated {
    Witness { act: String, witness: String, vkey: Option<String> },
    Cosignature { witness: String, size: u64, time: u64, checkpoint: String },
}

impl Witnessing {
    /// Adds what a leaf says. `root_at` knows the beginnings of the log before it.
    pub(crate) fn add(
        &mut self,
        body: &[u8],
        log: &PublicKey,
        root_at: impl FnOnce(u64) -> Option<Hash>,
    ) -> Result<(), &'static str> {
        if !states(body, LeafKind::Witness) && !states(body, LeafKind::Cosignature) {
            return Ok(());
        }
        let Ok(fields) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
        let kind = fields.get("kind").and_then(Value::as_str);
        if ![LeafKind::Witness, LeafKind::Cosignature].iter().any(|known| kind == Some(known.as_str())) {
            return Ok(());
        }
        match serde_json::from_value(fields).map_err(|_| "is not a leaf about a witness")? {
            Stated::Witness { act, witness, vkey: Some(vkey) } if act == "register" => {
                let key: WitnessPublic = vkey.parse().map_err(|_| "has no witness's key")?;
                if key.name != witness {
                    return Err("has the key of another witness");
                }
                self.keys.insert(witness, key);
                Ok(())
            }
            Stated::Witness { act, witness, vkey: None } if act == "remove" => {
                self.keys.remove(&witness).map(drop).ok_or("removes nobody")
            }
            Stated::Witness { .. } => Err("is not a leaf about a witness"),
            Stated::Cosignature { witness, size, time, checkpoint } => {
                let (stated, lines) =
                    Checkpoint::cosigned(&checkpoint, log).map_err(|_| "has no checkpoint of this log")?;
                let key = self.keys.get(&witness).ok_or("is of nobody who is a witness")?;
                let [line] = lines.as_slice() else { return Err("has not one cosignature") };
                if stated.size != size || key.cosigned(&stated, line) != Some(time) {
                    return Err("has a cosignature that does not verify");
                }
                if root_at(size) != Some(stated.root) {
                    return Err("has a checkpoint that the leaves before it do not give");
                }
                let own = own_part(&checkpoint).to_owned();
                let note = self.cosigned.entry(size).or_insert(CosignedNote { own, lines: Vec::new() });
                if note.lines.iter().any(|known| known == line.text) {
                    return Err("has a cosignature that is there before");
                }
                note.lines.push(line.text.to_owned());
                let at = i64::try_from(time).ok().and_then(|time| DateTime::from_timestamp(time, 0));
                if let Some(at) = at {
                    self.last.insert(witness, (size, at));
                }
                Ok(())
            }
        }
    }

    /// Out of the database, whose leaves were checked when they were written.
    fn read(transaction: &rusqlite::Connection, log: &PublicKey) -> Result<Witnessing, LedgerError> {
        let query = "SELECT position, body FROM leaf
                     WHERE body LIKE '%\"kind\":\"witness\"%' OR body LIKE '%\"kind\":\"cosignature\"%'
                     ORDER BY position";
        let mut statement = transaction.prepare(query)?;
        let mut rows = statement.query([])?;
        let mut known = Witnessing::default();
        while let Some(row) = rows.next()? {
            let (index, body): (u64, String) = (row.get(0)?, row.get(1)?);
            let root = |size| root_at(transaction, size).ok();
            known
                .add(body.as_bytes(), log, root)
                .map_err(|problem| LedgerError::Damaged(format!("leaf {index} {problem}")))?;
        }
        Ok(known)
    }

    fn has(&self, size: u64, line: &str) -> bool {
        self.cosigned.get(&size).is_some_and(|note| note.lines.iter().any(|known| known == line))
    }

    /// The checkpoints that have cosignatures, with all of those, by size.
    pub(crate) fn notes(&self) -> impl DoubleEndedIterator<Item = (u64, String)> {
        self.cosigned.iter().map(|(size, note)| {
            let lines: String = note.lines.iter().map(|line| format!("{line}\n")).collect();
            (*size, format!("{}{lines}", note.own))
        })
    }
}

/// Whether a leaf may be of this kind: quick, and sure only where it says no.
pub(crate) fn states(body: &[u8], kind: LeafKind) -> bool {
    let pattern = format!("\"kind\":\"{kind}\"");
    std::str::from_utf8(body).is_ok_and(|body| body.contains(&pattern))
}
