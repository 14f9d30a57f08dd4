//! Texts as proofs, receipts, checkpoints and keys: none holds but the original. The originals are of an invented city's
//! log, whose private key is gone.
#![no_main]

use std::sync::LazyLock;

use ledger::{
    Hash, PublicKey, Receipt, VerifiedReceipt, WitnessPublic, verify_consistency, verify_inclusion,
    verify_tlog_proof,
};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

const LEAF: &str = include_str!("../seeds/proofs/leaf.json");
const INCLUSION: &str = include_str!("../seeds/proofs/inclusion.txt");
const RECEIPT: &str = include_str!("../seeds/proofs/receipt.json");
/// What the proof says of the leaf's place.
const INDEX: u64 = 7;

static KEY: LazyLock<PublicKey> =
    LazyLock::new(|| include_str!("../seeds/proofs/log.vkey").parse().expect("the log's key"));

static HASH: LazyLock<Hash> = LazyLock::new(|| {
    let hash = Sha256::new().chain_update([0]).chain_update(LEAF).finalize().into();
    assert_eq!(verify_tlog_proof(INCLUSION, &hash, &KEY).ok(), Some(INDEX), "the original holds");
    hash
});

static VERIFIED: LazyLock<VerifiedReceipt> = LazyLock::new(|| {
    let receipt = Receipt::parse(RECEIPT).expect("the original reads");
    receipt.verify(&KEY).expect("the original holds")
});

fuzz_target!(|bytes: &[u8]| {
    tree(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    key(text);
    receipt(text);
    inclusion(text);
    // A checkpoint by itself, in the place of the original's.
    if let Some((head, _)) = INCLUSION.split_once("\n\n") {
        inclusion(&format!("{head}\n\n{text}"));
    }
});

/// Lines after the log's signature are for witnesses; up to there, every byte is the original's.
fn inclusion(text: &str) {
    if let Ok(index) = verify_tlog_proof(text, &HASH, &KEY) {
        assert!(index == INDEX && text.starts_with(INCLUSION), "a forged proof of leaf {index}:\n{text}");
    }
    let other = [0; 32];
    assert!(verify_tlog_proof(text, &other, &KEY).is_err(), "a proof of a leaf that there is not:\n{text}");
}

/// White space and the order of members are not part of a receipt. Where a question was pruned, it is not in it.
fn receipt(text: &str) {
    let Ok(receipt) = Receipt::parse(text) else { return };
    let again = Receipt::parse(&receipt.to_string());
    assert_eq!(again.as_ref(), Ok(&receipt), "what is written reads as it was");
    // Whatever key it brings along, checking it ends.
    let _ = receipt.key().map(|key| receipt.verify(&key));
    if let Ok(found) = receipt.verify(&KEY) {
        let pruned = VerifiedReceipt { question: None, ..VERIFIED.clone() };
        assert!(found == *VERIFIED || found == pruned, "a forged receipt:\n{text}");
        assert_eq!(receipt.index(), found.index);
    }
}

/// A key has one spelling.
fn key(text: &str) {
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(witness) = text.parse::<WitnessPublic>() {
        assert_eq!(witness.to_string(), text);
    }
}

/// Leaves of the tree that proofs are made up for: neither a power of two nor next to one.
const SIZE: usize = 13;

/// Proofs put together from hashes that are in the tree, so that they lead somewhere.
fn tree(bytes: &[u8]) {
    let [old, first, rest @ ..] = bytes else { return };
    let pick = |byte: &u8| POOL[usize::from(*byte) % POOL.len()];
    let proof: Vec<Hash> = rest.iter().take(16).map(pick).collect();
    let (first, root, size) = (pick(first), root(0, SIZE), SIZE as u64);

    let place = usize::from(*old);
    if verify_inclusion(&first, place as u64, size, &root, &proof) {
        assert!(place < SIZE && first == leaf(place) && proof == path(place), "a forged place {place}");
    }
    if verify_consistency(place as u64, &first, size, &root, &proof) {
        let genuine = place <= SIZE && first == self::root(0, place);
        assert!(genuine, "a forged past of {place} leaves");
    }
    // No tree is so large; what is said of it is false, or at least no panic.
    if let Some((index, [byte, ..])) = rest.split_first_chunk() {
        let (index, size) = (u64::from_le_bytes(*index), u64::MAX - u64::from(*byte));
        let _ = verify_inclusion(&first, index, size, &root, &proof);
        let _ = verify_consistency(index, &first, size, &root, &proof);
    }
}

/// Every hash of the tree, the empty one, and one of none.
static POOL: LazyLock<Vec<Hash>> = LazyLock::new(|| {
    let mut pool = vec![[0; 32]];
    for size in 0..=SIZE {
        pool.push(root(0, size));
        for place in 0..size {
            assert!(verify_inclusion(&leaf(place), place as u64, SIZE as u64, &root(0, SIZE), &path(place)));
            pool.push(leaf(place));
            pool.extend(path(place));
        }
    }
    pool.sort_unstable();
    pool.dedup();
    pool
});

fn leaf(place: usize) -> Hash {
    Sha256::new().chain_update([0]).chain_update(place.to_string()).finalize().into()
}

/// RFC 6962, 2.1.
fn root(start: usize, end: usize) -> Hash {
    match end - start {
        0 => Sha256::digest([]).into(),
        1 => leaf(start),
        size => {
            let middle = start + size.next_power_of_two() / 2;
            let halves = [root(start, middle), root(middle, end)];
            Sha256::new().chain_update([1]).chain_update(halves.as_flattened()).finalize().into()
        }
    }
}

/// RFC 6962, 2.1.1.
fn path(place: usize) -> Vec<Hash> {
    let (mut start, mut end, mut path) = (0, SIZE, Vec::new());
    while end - start > 1 {
        let middle = start + (end - start).next_power_of_two() / 2;
        if place < middle {
            path.push(root(middle, end));
            end = middle;
        } else {
            path.push(root(start, middle));
            start = middle;
        }
    }
    path.reverse();
    path
}
