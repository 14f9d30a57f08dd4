//! Every complete node of a tree in memory, for roots and proofs without the database: 64 bytes a leaf.

use std::convert::Infallible;

use crate::tree::{Growing, Hash, inclusion_proof, peaks, root_of_peaks};

/// A tree that remembers all of its nodes.
#[derive(Default)]
pub(crate) struct Nodes {
    tree: Growing,
    levels: Vec<Vec<Hash>>,
}

impl Nodes {
    /// Appends a leaf.
    pub(crate) fn push(&mut self, leaf: Hash) {
        let levels = &mut self.levels;
        let Ok(()) = self.tree.push(leaf, |level, _, hash| {
            let level = usize::from(level);
            if levels.len() <= level {
                levels.push(Vec::new());
            }
            if let Some(nodes) = levels.get_mut(level) {
                nodes.push(*hash);
            }
            Ok::<_, Infallible>(())
        });
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The root of the first `size` leaves; `None` beyond the tree.
    pub(crate) fn root_at(&self, size: u64) -> Option<Hash> {
        if size > self.size() {
            return None;
        }
        let hashes: Option<Vec<_>> = peaks(size).map(|(level, index)| self.node(level, index)).collect();
        Some(root_of_peaks(&hashes?))
    }

    /// The proof that leaf `index` is among the first `size`.
    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        inclusion_proof(index, size, &mut |level, index| self.node(level, index).ok_or(())).ok()
    }

    fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.levels.get(usize::from(level))?.get(usize::try_from(index).ok()?).copied()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::{empty_root, leaf_hash, verify_inclusion};

    #[test]
    fn its_proofs_verify() {
        let (mut nodes, mut roots) = (Nodes::default(), vec![empty_root()]);
        for size in 1..=40u64 {
            nodes.push(leaf_hash(&size.to_be_bytes()));
            roots.push(nodes.root());
            for (old, root) in (0u64..).zip(&roots) {
                assert_eq!(nodes.root_at(old).as_ref(), Some(root));
            }
            for index in 0..size {
                let leaf = leaf_hash(&(index + 1).to_be_bytes());
                let proof = nodes.inclusion(index, size).unwrap();
                assert!(verify_inclusion(&leaf, index, size, &nodes.root(), &proof));
            }
        }
        assert_eq!((nodes.root_at(41), nodes.inclusion(40, 40)), (None, None));
    }
}
