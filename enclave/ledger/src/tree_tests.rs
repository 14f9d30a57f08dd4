#![allow(clippy::unwrap_used, clippy::panic)]

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

/// The eight leaves of the Certificate Transparency test vectors.
const CT_LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const CT_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Leaf, size, and the audit path from the leaf upwards.
const CT_INCLUSION: [(u64, u64, &[&str]); 5] = [
    (0, 1, &[]),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

/// Old size, size, and the proof.
const CT_CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
];

fn ct_leaves() -> Vec<Vec<u8>> {
    CT_LEAVES.map(|leaf| hex::decode(leaf).unwrap()).into()
}

/// MTH, word for word as in RFC 6962.
fn naive(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let mut k = 1;
            while 2 * k < leaves.len() {
                k *= 2;
            }
            node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
        }
    }
}

/// Appends one by one; gives the complete nodes and the root after every leaf.
fn grow(leaves: &[Vec<u8>]) -> (std::collections::BTreeMap<(u8, u64), Hash>, Vec<Hash>) {
    let (mut tree, mut nodes) = (Growing::default(), std::collections::BTreeMap::new());
    let mut roots = vec![tree.root()];
    for leaf in leaves {
        let Ok(()) = tree.push(leaf_hash(leaf), |level, index, hash| {
            assert_eq!(nodes.insert((level, index), *hash), None, "a node never changes");
            Ok::<_, Infallible>(())
        });
        roots.push(tree.root());
    }
    (nodes, roots)
}

#[test]
fn roots_of_certificate_transparency() {
    let (_, roots) = grow(&ct_leaves());
    assert_eq!(roots.iter().map(hex::encode).collect::<Vec<_>>(), CT_ROOTS);
}

#[test]
fn proofs_of_certificate_transparency() {
    let (nodes, roots) = grow(&ct_leaves());
    let mut node = |level, index| Ok::<_, Infallible>(nodes[&(level, index)]);
    for (index, size, expected) in CT_INCLUSION {
        let Ok(proof) = inclusion_proof(index, size, &mut node);
        assert_eq!(proof.iter().map(hex::encode).collect::<Vec<_>>(), expected, "leaf {index} of {size}");
    }
    for (old, size, expected) in CT_CONSISTENCY {
        let Ok(proof) = consistency_proof(old, size, &mut node);
        assert_eq!(proof.iter().map(hex::encode).collect::<Vec<_>>(), expected, "{old} in {size}");
        assert!(verify_consistency(old, &roots[old as usize], size, &roots[size as usize], &proof));
    }
}

#[test]
fn peaks_cover_the_leaves() {
    for (size, expected) in
        [(0, vec![]), (1, vec![(0, 0)]), (6, vec![(2, 0), (1, 2)]), (7, vec![(2, 0), (1, 2), (0, 6)])]
    {
        assert_eq!(peaks(size).collect::<Vec<_>>(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn grown_is_naive_and_provable(size in 1usize..200, pick in any::<prop::sample::Index>(), wrong in any::<prop::sample::Index>()) {
        let leaves: Vec<Vec<u8>> = (0..size as u32).map(|i| i.to_be_bytes().to_vec()).collect();
        let (nodes, roots) = grow(&leaves);
        prop_assert_eq!(nodes.len() as u64, 2 * size as u64 - u64::from(size.count_ones()));
        let mut node = |level, index| Ok::<_, Infallible>(nodes[&(level, index)]);
        let root = naive(&leaves);
        prop_assert_eq!(roots[size], root);

        let (index, size) = (pick.index(size), size as u64);
        let (leaf, other) = (leaf_hash(&leaves[index]), wrong.index(leaves.len()));
        let Ok(proof) = inclusion_proof(index as u64, size, &mut node);
        prop_assert!(verify_inclusion(&leaf, index as u64, size, &root, &proof));
        // The neighbours: another place, another leaf, another root, a proof cut or changed.
        prop_assert_eq!(verify_inclusion(&leaf, other as u64, size, &root, &proof), other == index);
        prop_assert!(!verify_inclusion(&leaf, size, size, &root, &proof));
        prop_assert_eq!(verify_inclusion(&leaf_hash(&leaves[other]), index as u64, size, &root, &proof), other == index);
        prop_assert!(!verify_inclusion(&leaf, index as u64, size, &leaf, &proof) || size == 1);
        if !proof.is_empty() {
            prop_assert!(!verify_inclusion(&leaf, index as u64, size, &root, &proof[1..]));
            let mut changed = proof.clone();
            changed[wrong.index(proof.len())][0] ^= 1;
            prop_assert!(!verify_inclusion(&leaf, index as u64, size, &root, &changed));
        }

        let old = index as u64 + 1;
        let old_root = naive(&leaves[..=index]);
        prop_assert_eq!(roots[index + 1], old_root);
        let Ok(proof) = consistency_proof(old, size, &mut node);
        prop_assert!(verify_consistency(old, &old_root, size, &root, &proof));
        prop_assert!(!verify_consistency(old, &leaf_hash(b"forged"), size, &root, &proof));
        prop_assert!(!verify_consistency(old, &old_root, size, &leaf_hash(b"forged"), &proof));
        if !proof.is_empty() {
            let mut changed = proof.clone();
            changed[wrong.index(proof.len())][0] ^= 1;
            prop_assert!(!verify_consistency(old, &old_root, size, &root, &changed));
        }
    }
}
