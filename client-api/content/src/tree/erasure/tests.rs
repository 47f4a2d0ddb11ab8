use hex_literal::hex;
use proptest::prelude::*;

use super::*;

fn data(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|block| (0..SIZE).map(|at| (at * (block + 3) / 7 % 251) as u8).collect()).collect()
}

#[test]
fn check_blocks_are_these() {
    // As reed-solomon-simd 3.1 made them when the format was fixed: another code could not repair what is stored.
    let mut erasure = Erasure::default();
    let mut hash = |count, check| {
        let data = data(count);
        let blocks = erasure.encode(data.iter().map(|block| &block[..]), check).unwrap();
        assert_eq!(blocks.len(), check * SIZE);
        *blake3::hash(&blocks).as_bytes()
    };
    assert_eq!(hash(1, 3), hex!("cd2ca35081fc3722f9deadc59b05a8600e85ca04bdfcd10b5892339ba4a17981"));
    assert_eq!(hash(128, 64), hex!("e66cc5b09854b3fa1633e191ec1101915309ab5dc002f56ba07489b20abd6ac7"));
    assert_eq!(hash(20, 10), hex!("150c428cb360a23e4c2b76d6e2ef2f7e7517bb439e01a25375ece0385ebe81e8"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_so_many_are_enough(count in 1usize..40, check in 1usize..20, seed: u64) {
        let check = check.min(count.max(3));
        let blocks = data(count);
        let mut erasure = Erasure::default();
        let made = erasure.encode(blocks.iter().map(|block| &block[..]), check).unwrap();
        let mut order: Vec<usize> = (0..count + check).collect();
        let mut rng = allium_crypto::Rng::from_seed([seed as u8; 32]);
        rng.shuffle(&mut order);
        let kept = &order[..count];
        let have = |at: usize| kept.contains(&at);
        let left: Vec<_> = (0..count).map(|at| have(at).then_some(&blocks[at][..])).collect();
        let spare: Vec<_> =
            (0..check).map(|at| have(count + at).then_some(&made[at * SIZE..(at + 1) * SIZE])).collect();
        let rebuilt = erasure.decode(&left, &spare).unwrap();
        prop_assert_eq!(rebuilt.len(), left.iter().filter(|block| block.is_none()).count());
        for (at, block) in rebuilt {
            prop_assert!(block == blocks[at]);
        }
    }
}
