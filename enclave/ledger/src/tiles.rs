//! The layout of C2SP `tlog-tiles`: entry bundles and hash tiles, 256 wide, as files.
//!
//! Tile (L, N) holds the complete nodes of level 8·L from 256·N on; the last of a level may be partial.

use crate::prune::unstub;
use crate::tree::{Growing, Hash};

/// Hashes of a full tile, and entries of a full bundle.
pub(crate) const WIDTH: u64 = 256;

/// A file of the layout.
pub(crate) struct TileFile<'a> {
    /// Relative, such as `tile/0/x001/234.p/7`.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) bytes: &'a [u8],
    /// Index of the first leaf or node in it.
    pub(crate) first: u64,
    /// Where each of its entries ends; empty for a hash tile.
    pub(crate) ends: &'a [usize],
}

/// Makes the files out of the leaves, in one pass, holding one file of each level.
#[derive(Default)]
pub(crate) struct Tiling {
    tree: Growing,
    entries: Vec<u8>,
    ends: Vec<usize>,
    pruned: bool,
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    hashes: Vec<u8>,
    full: u64,
}

impl Tiling {
    /// Adds a line of the log. `file` hears of every file that it fills. A bundle with a pruned leaf is left out.
    pub(crate) fn push<E>(
        &mut self,
        leaf: &[u8],
        file: &mut impl FnMut(TileFile<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let index = self.tree.size();
        let (hash, kept) = unstub(leaf);
        self.pruned |= kept.is_some();
        // `Writer::leaf` keeps entries below 2¹⁶ bytes; of a longer one, the verifier sees another length.
        self.entries.extend_from_slice(&u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.entries.extend_from_slice(leaf);
        self.ends.push(self.entries.len());
        if (index + 1).is_multiple_of(WIDTH) {
            self.bundle(index / WIDTH, WIDTH, file)?;
        }

        let levels = &mut self.levels;
        self.tree.push(hash, |level, _, hash| {
            if !level.is_multiple_of(8) {
                return Ok(());
            }
            let tile_level = usize::from(level / 8);
            if levels.len() <= tile_level {
                levels.push(Level::default());
            }
            match levels.get_mut(tile_level) {
                Some(tiles) => tiles.add(tile_level, hash, file),
                None => Ok(()),
            }
        })
    }

    /// The partial files at the right edge.
    pub(crate) fn finish<E>(mut self, file: &mut impl FnMut(TileFile<'_>) -> Result<(), E>) -> Result<(), E> {
        let width = self.tree.size() % WIDTH;
        if width > 0 {
            self.bundle(self.tree.size() / WIDTH, width, file)?;
        }
        for (tile_level, level) in self.levels.iter_mut().enumerate() {
            level.emit(tile_level, file)?;
        }
        Ok(())
    }

    fn bundle<E>(
        &mut self,
        number: u64,
        width: u64,
        file: &mut impl FnMut(TileFile<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (path, first) = (path("entries", number, width), number * WIDTH);
        if !self.pruned {
            file(TileFile { path, bytes: &self.entries, first, ends: &self.ends })?;
        }
        self.pruned = false;
        self.entries.clear();
        self.ends.clear();
        Ok(())
    }
}

impl Level {
    fn add<E>(
        &mut self,
        tile_level: usize,
        hash: &Hash,
        file: &mut impl FnMut(TileFile<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.hashes.extend_from_slice(hash);
        if self.width() == WIDTH { self.emit(tile_level, file) } else { Ok(()) }
    }

    fn width(&self) -> u64 {
        (self.hashes.len() / size_of::<Hash>()) as u64
    }

    fn emit<E>(
        &mut self,
        tile_level: usize,
        file: &mut impl FnMut(TileFile<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.hashes.is_empty() {
            return Ok(());
        }
        let path = path(&tile_level.to_string(), self.full, self.width());
        file(TileFile { path, bytes: &self.hashes, first: self.full * WIDTH, ends: &[] })?;
        self.hashes.clear();
        self.full += 1;
        Ok(())
    }
}

/// `tile/<level>/<number>[.p/<width>]`, the number in groups of three digits, all but the last after an `x`.
pub(crate) fn path(level: &str, number: u64, width: u64) -> String {
    let mut groups = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        groups = format!("x{:03}/{groups}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{groups}{partial}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_of_the_specification() {
        for (level, number, width, expected) in [
            ("0", 0, 256, "tile/0/000"),
            ("1", 0, 1, "tile/1/000.p/1"),
            ("0", 273, 112, "tile/0/273.p/112"),
            ("0", 1_234_067, 256, "tile/0/x001/x234/067"),
            ("entries", 1000, 255, "tile/entries/x001/000.p/255"),
        ] {
            assert_eq!(path(level, number, width), expected);
        }
    }

    /// The example of the specification: 70,000 leaves.
    #[test]
    fn the_files_of_a_tree_of_70000() {
        let (mut tiling, mut files) = (Tiling::default(), Vec::new());
        let mut keep = |file: TileFile<'_>| -> Result<(), ()> {
            files.push((file.path, file.bytes.len()));
            Ok(())
        };
        for leaf in 0..70_000u32 {
            tiling.push(&leaf.to_be_bytes(), &mut keep).unwrap();
        }
        tiling.finish(&mut keep).unwrap();
        let width = |level: &str| {
            files.iter().filter(|(path, _)| path.starts_with(&format!("tile/{level}/"))).count()
        };
        assert_eq!((width("0"), width("1"), width("2"), width("entries")), (274, 2, 1, 274));
        for expected in [
            ("tile/0/272", 256 * 32),
            ("tile/0/273.p/112", 112 * 32),
            ("tile/1/000", 256 * 32),
            ("tile/1/001.p/17", 17 * 32),
            ("tile/2/000.p/1", 32),
            ("tile/entries/273.p/112", 112 * 6),
        ] {
            assert!(files.contains(&(expected.0.to_owned(), expected.1)), "{expected:?}");
        }
    }
}
