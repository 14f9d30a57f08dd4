//! The Merkle tree of RFC 6962, section 2.1: leaf and node hashes, roots, inclusion and consistency proofs.
//!
//! Node (level, index) covers leaves `index · 2^level` up to `(index + 1) · 2^level`; only complete nodes are
//! named, so that a node never changes once it exists.

use sha2::{Digest, Sha256};

/// SHA-256.
pub type Hash = [u8; 32];

/// MTH of one leaf: SHA-256(0x00 ‖ leaf).
pub(crate) fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// MTH of two subtrees: SHA-256(0x01 ‖ left ‖ right).
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// MTH of no leaf.
pub(crate) fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// The complete subtrees that a tree of `size` leaves is made of, from the largest to the smallest.
pub(crate) fn peaks(size: u64) -> impl Iterator<Item = (u8, u64)> {
    (0..64u8).rev().filter(move |level| size >> level & 1 == 1).map(move |level| (level, (size >> level) - 1))
}

/// The root over `peaks`, in the order of [`peaks`].
pub(crate) fn root_of_peaks(peaks: &[Hash]) -> Hash {
    let mut right_to_left = peaks.iter().rev();
    match right_to_left.next() {
        None => empty_root(),
        Some(last) => right_to_left.fold(*last, |right, left| node_hash(left, &right)),
    }
}

/// A tree that grows leaf by leaf and remembers only its peaks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Growing {
    size: u64,
    peaks: Vec<Hash>,
}

impl Growing {
    /// A tree of `size` leaves with these [`peaks`].
    pub(crate) fn resume(size: u64, peaks: Vec<Hash>) -> Growing {
        Growing { size, peaks }
    }

    /// Appends a leaf. `node` hears of every node that it completes, from the leaf upwards.
    pub(crate) fn push<E>(
        &mut self,
        leaf: Hash,
        mut node: impl FnMut(u8, u64, &Hash) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut hash, mut level) = (leaf, 0u8);
        node(0, self.size, &hash)?;
        while self.size >> level & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            hash = node_hash(&left, &hash);
            level += 1;
            node(level, self.size >> level, &hash)?;
        }
        self.peaks.push(hash);
        self.size += 1;
        Ok(())
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn root(&self) -> Hash {
        root_of_peaks(&self.peaks)
    }
}

/// The hash of leaves `start..end`, out of complete nodes. `start` is a multiple of the least power of two that is
/// at least `end - start`, as in every split of RFC 6962.
fn range_root<E>(start: u64, end: u64, node: &mut impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    let mut hashes = Vec::new();
    for (level, index) in peaks(end - start) {
        hashes.push(node(level, (start >> level) + index)?);
    }
    Ok(root_of_peaks(&hashes))
}

/// Largest power of two smaller than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// The proof that leaf `index` is in the tree of `size` leaves (RFC 6962, 2.1.1), from the leaf upwards.
/// `index < size`.
pub(crate) fn inclusion_proof<E>(
    index: u64,
    size: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_root(middle, end, node)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, node)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` leaves is the beginning of the tree of `size` (RFC 6962, 2.1.2).
/// `0 < old <= size`.
pub(crate) fn consistency_proof<E>(
    old: u64,
    size: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    // SUBPROOF: `start == 0` is the flag that the verifier knows the old root itself.
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range_root(middle, end, node)?);
            end = middle;
        } else {
            path.push(range_root(start, middle, node)?);
            start = middle;
        }
    }
    if start > 0 {
        path.push(range_root(start, end, node)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `proof` shows that `leaf` is leaf `index` of the tree of `size` leaves with `root` (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut position, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            hash = node_hash(sibling, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `old` leaves with `old_root` is the beginning of the tree of `size` leaves
/// with `root` (RFC 9162, 2.1.4.2). Every tree begins with the empty one, which needs no proof.
pub fn verify_consistency(old: u64, old_root: &Hash, size: u64, root: &Hash, proof: &[Hash]) -> bool {
    if old > size {
        return false;
    }
    if old == size {
        return proof.is_empty() && old_root == root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let mut path = proof.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let (mut position, mut last) = (old - 1, size - 1);
    while position & 1 == 1 {
        position >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if position & 1 == 1 || position == last {
            old_hash = node_hash(sibling, &old_hash);
            hash = node_hash(sibling, &hash);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
