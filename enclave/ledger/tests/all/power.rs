//! The power fails: of what was written and not yet flushed, any part is lost, sector by sector, in any order.
//!
//! SQLite's order of writes and flushes in WAL mode with `synchronous = FULL`: a transaction is appended to the log
//! file, whose header, where it is a new one, is flushed first; one flush of the log file makes it durable; later the
//! pages go to the database, which is flushed before the log file begins anew. From the files before and after each
//! transaction, the images that a disk may hold are put together and opened.

use std::fs;
use std::path::Path;

use crate::common::*;
use ledger::{LeafKind, Ledger, LedgerError, LogKey};
use serde_json::json;

/// Images, unless `ENCLAVE_POWER_CUTS` says otherwise.
const CUTS: usize = 120;
/// What a disk writes at once.
const SECTOR: usize = 512;
/// Of a WAL file.
const HEADER: usize = 32;
/// Transactions: enough for the log file to begin anew.
const TRANSACTIONS: u64 = 260;

/// Files after a transaction that was acknowledged.
#[derive(Clone)]
struct State {
    database: Vec<u8>,
    wal: Vec<u8>,
    anchor: Option<Vec<u8>>,
    size: u64,
}

/// SplitMix64: the images are the same in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

fn state(place: &Place, ledger: &Ledger) -> State {
    let read = |extension: &str| fs::read(place.path().with_extension(extension));
    State {
        database: read("db").unwrap(),
        wal: read("db-wal").unwrap(),
        anchor: read("anchor").ok(),
        size: ledger.size().unwrap(),
    }
}

/// `old` with some of the sectors that are other ones in `new`; as long as either, or in between.
fn torn(old: &[u8], new: &[u8], chance: &mut Chance) -> Vec<u8> {
    let grown = new.len().saturating_sub(old.len());
    let length = match chance.below(3) {
        0 => old.len(),
        1 => new.len().max(old.len()),
        _ => old.len() + chance.below(grown + 1),
    };
    let tenths = [0, 1, 5, 9, 10][chance.below(5)];
    let mut image = old.to_vec();
    image.resize(length, 0);
    for at in (0..length.min(new.len())).step_by(SECTOR) {
        let end = (at + SECTOR).min(length).min(new.len());
        if chance.below(10) < tenths {
            image[at..end].copy_from_slice(&new[at..end]);
        }
    }
    image
}

/// Before the flush of the log file: the transaction is there, or it is not.
fn before_flush(old: &State, new: &State, chance: &mut Chance) -> State {
    let same_header = old.wal.get(..HEADER) == new.wal.get(..HEADER);
    let wal = if same_header || old.wal.is_empty() {
        torn(&old.wal, &new.wal, chance)
    } else {
        let mut begun = old.wal.clone();
        begun[..HEADER].copy_from_slice(&new.wal[..HEADER]);
        if chance.below(4) == 0 { begun } else { torn(&begun, &new.wal, chance) }
    };
    State { wal, ..old.clone() }
}

/// After it, while pages go to the database: nothing is lost.
fn after_flush(old: &State, new: &State, chance: &mut Chance) -> State {
    State { database: torn(&old.database, &new.database, chance), ..new.clone() }
}

fn opened(image: &State, folder: &Path, key: LogKey) -> Result<Ledger, LedgerError> {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    write("ledger.db", &image.database);
    write("ledger.db-wal", &image.wal);
    if let Some(anchor) = &image.anchor {
        write("ledger.anchor", anchor);
    }
    Ledger::open(&folder.join("ledger.db"), key)
}

/// All is as the leaves say, no more was released than was charged, and no account is overdrawn.
fn holds(ledger: &Ledger) -> u64 {
    let verified = ledger.verify().unwrap();
    let leaves = ledger.leaves(0, u64::MAX).unwrap();
    let count = |kind| leaves.iter().filter(|leaf| leaf.kind == kind).count() as u64;
    assert!(count(LeafKind::Release) <= count(LeafKind::Question));
    let account = ledger.account("m1").unwrap().unwrap();
    assert_eq!(account.charged.micro(), 3 * count(LeafKind::Question));
    assert_eq!(ledger.pool(CONTRACT).unwrap().unwrap().charged, account.charged);
    verified.size
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    let cuts = std::env::var("ENCLAVE_POWER_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap());
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 1_000_000), "m1", None).unwrap();
    let mut states = vec![state(&place, &ledger)];
    for i in 0..TRANSACTIONS {
        if i % 2 == 0 {
            ledger.debit(at(1), &question("m1", 1), cost(3, 0.0)).unwrap();
        } else {
            ledger.record(at(1), &replay_key("m1", 1), json!({}), "answer").unwrap();
        }
        states.push(state(&place, &ledger));
    }
    let steps: Vec<_> = states.windows(2).map(|pair| (&pair[0], &pair[1])).collect();
    let moved = |(old, new): &&(&State, &State)| old.database != new.database;
    assert!(steps.iter().any(|step| moved(&step)), "no pages went to the database");
    let anew = |(old, new): &&(&State, &State)| old.wal[..HEADER] != new.wal[..HEADER];
    assert!(steps.iter().any(|step| anew(&step)), "the log file never began anew");

    let (mut chance, mut kept, mut lost) = (Chance(1), 0, 0);
    for cut in 0..cuts {
        // Every third at a step that does more than to append.
        let special: Vec<_> = steps.iter().filter(|step| moved(step) || anew(step)).collect();
        let (old, new) = if cut % 3 == 0 {
            *special[chance.below(special.len())]
        } else {
            steps[chance.below(steps.len())]
        };
        let acknowledged = chance.below(3) == 0;
        let image = if acknowledged {
            after_flush(old, new, &mut chance)
        } else {
            before_flush(old, new, &mut chance)
        };
        let folder = tempfile::tempdir().unwrap();
        let size = holds(&opened(&image, folder.path(), place.key()).unwrap());
        if acknowledged {
            assert_eq!(size, new.size, "an acknowledged transaction is lost");
        }
        assert!(size == old.size || size == new.size, "{} or {}, not {size}", old.size, new.size);
        *if size == new.size { &mut kept } else { &mut lost } += 1;
    }
    eprintln!("{cuts} power cuts: {kept} after the transaction, {lost} before it");
    assert!(kept > 0 && lost > 0);
}

/// The check above is one: a flush that did not happen shows.
#[test]
fn a_disk_that_lies_about_flushes_is_found_out() {
    let place = Place::new();
    let ledger = place.create();
    ledger.sign(at(0), &memorandum("m1", 100), "m1", None).unwrap();
    let old = state(&place, &ledger);
    ledger.debit(at(1), &question("m1", 1), cost(3, 0.0)).unwrap();
    let new = state(&place, &ledger);
    let folder = tempfile::tempdir().unwrap();
    let lying = State { wal: old.wal.clone(), anchor: None, ..new.clone() };
    let size = holds(&opened(&lying, folder.path(), place.key()).unwrap());
    assert_eq!((size, new.size), (old.size, old.size + 1), "acknowledged, and lost");
}
