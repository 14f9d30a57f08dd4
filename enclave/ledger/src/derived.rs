//! What an export holds beside leaves and tiles: the checkpoints that witnesses cosigned, and a proof for every release.
//! All of it follows from leaves and checkpoint, so that whoever has those can check it byte for byte.

use crate::key::PublicKey;
use crate::log::LeafKind;
use crate::nodes::Nodes;
use crate::proof::tlog_proof;
use crate::prune::{Stubs, unstub};
use crate::tree::Hash;
use crate::witness::{Witnessing, states};

/// Follows the lines of a log.
pub(crate) struct Derived<'k> {
    key: &'k PublicKey,
    nodes: Nodes,
    witnessing: Witnessing,
    stubs: Stubs,
    releases: Vec<u64>,
    problems: Vec<(u64, &'static str)>,
}

impl<'k> Derived<'k> {
    /// Of the log that `key` signs.
    pub(crate) fn new(key: &'k PublicKey) -> Derived<'k> {
        Derived {
            key,
            nodes: Nodes::default(),
            witnessing: Witnessing::default(),
            stubs: Stubs::default(),
            releases: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Adds a line, a leaf or what is left of a pruned one.
    pub(crate) fn add(&mut self, line: &[u8]) {
        let index = self.nodes.size();
        let (hash, kept) = unstub(line);
        self.stubs.add(index, line, kept.is_some());
        if is_release(kept.as_deref().map_or(line, str::as_bytes)) {
            self.releases.push(index);
        }
        let nodes = &self.nodes;
        if let Err(problem) = self.witnessing.add(line, self.key, |size| nodes.root_at(size)) {
            self.problems.push((index, problem));
        }
        self.nodes.push(hash);
    }

    pub(crate) fn size(&self) -> u64 {
        self.nodes.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.nodes.root()
    }

    /// The root of the first `size` leaves; `None` beyond the log.
    pub(crate) fn root_at(&self, size: u64) -> Option<Hash> {
        self.nodes.root_at(size)
    }

    /// Hands over every file there should be, path and content, and returns what is wrong with which leaf.
    pub(crate) fn finish<E>(
        self,
        note: &str,
        file: &mut impl FnMut(String, &[u8]) -> Result<(), E>,
    ) -> Result<Vec<(u64, &'static str)>, E> {
        for (size, note) in self.witnessing.notes() {
            file(format!("cosigned/{size}"), note.as_bytes())?;
        }
        // A proof leads to the newest checkpoint that witnesses vouch for, where it is among its leaves.
        let witnessed = self.witnessing.notes().next_back();
        for index in &self.releases {
            let (size, note) = match &witnessed {
                Some((size, note)) if size > index => (*size, note.as_str()),
                _ => (self.nodes.size(), note),
            };
            let hashes = self.nodes.inclusion(*index, size).unwrap_or_default();
            file(format!("proofs/{index}.tlog-proof"), tlog_proof(*index, &hashes, note).as_bytes())?;
        }
        Ok(self.problems())
    }

    /// What is wrong with which leaf, where the tree is whole.
    pub(crate) fn problems(self) -> Vec<(u64, &'static str)> {
        let mut problems = self.problems;
        problems.extend(self.stubs.problem());
        problems
    }
}

fn is_release(body: &[u8]) -> bool {
    states(body, LeafKind::Release)
        && serde_json::from_slice::<serde_json::Value>(body)
            .is_ok_and(|fields| fields.get("kind").and_then(|kind| kind.as_str()) == Some("release"))
}
