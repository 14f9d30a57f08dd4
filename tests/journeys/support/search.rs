//! Looks for many texts at once in whatever bytes there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aho_corasick::AhoCorasick;

use super::files;

pub(crate) struct Search {
    texts: Vec<String>,
    machine: AhoCorasick,
}

/// Which texts were found; says their number only, and where.
#[derive(Debug, Default)]
pub(crate) struct Found {
    texts: BTreeSet<usize>,
    pub(crate) places: BTreeSet<String>,
}

impl Search {
    pub(crate) fn of(texts: impl Iterator<Item = String>) -> Search {
        let texts: Vec<String> = texts.collect::<BTreeSet<_>>().into_iter().collect();
        assert!(texts.iter().all(|text| text.len() >= 6), "shorter texts are found by chance");
        let machine = AhoCorasick::new(&texts).unwrap();
        Search { texts, machine }
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn in_bytes(&self, bytes: &[u8], place: &str, found: &mut Found) {
        let before = found.texts.len();
        // A name may begin another.
        found.texts.extend(self.machine.find_overlapping_iter(bytes).map(|hit| hit.pattern().as_usize()));
        if found.texts.len() > before {
            found.places.insert(place.to_owned());
        }
    }

    /// In the names and the contents of all files of a folder.
    pub(crate) fn in_folder(&self, folder: &Path, found: &mut Found) {
        for file in files(folder) {
            let name = file.display().to_string();
            self.in_bytes(name.as_bytes(), &name, found);
            self.in_bytes(&fs::read(&file).unwrap(), &name, found);
        }
    }
}

impl Found {
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}
