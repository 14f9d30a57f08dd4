//! Looks for many texts at once in whatever bytes there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use aho_corasick::AhoCorasick;

use super::files;

pub(crate) struct Search {
    texts: Vec<Vec<u8>>,
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
        Search::of_bytes(texts.map(String::into_bytes))
    }

    pub(crate) fn of_bytes(texts: impl Iterator<Item = Vec<u8>>) -> Search {
        let texts: Vec<Vec<u8>> = texts.collect::<BTreeSet<_>>().into_iter().collect();
        assert!(texts.iter().all(|text| text.len() >= 6), "shorter texts are found by chance");
        let machine = AhoCorasick::new(&texts).unwrap();
        Search { texts, machine }
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// How many of them are printable: what a text file can have in it.
    pub(crate) fn texts_only(&self) -> usize {
        self.texts.iter().filter(|text| text.iter().all(|byte| (b' '..=b'~').contains(byte))).count()
    }

    /// What was found, for planted texts that are nobody's.
    pub(crate) fn shown(&self, found: &Found) -> Vec<String> {
        found.texts.iter().map(|i| String::from_utf8_lossy(&self.texts[*i]).into_owned()).collect()
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
