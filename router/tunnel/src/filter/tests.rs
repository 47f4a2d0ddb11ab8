use super::*;

fn value(n: u64) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&n.to_le_bytes());
    value
}

#[test]
fn a_second_time_is_noticed_and_memory_follows_use() {
    let mut filter = IvFilter::new(&mut Rng::from_seed([1; 32]));
    assert_eq!(filter.memory(), 0);
    for n in 0..100_000 {
        assert!(filter.insert(&value(n)), "{n} is new");
        if n == 50 {
            assert_eq!(filter.memory(), 1024);
        }
    }
    let remembered = (40_000..100_000).filter(|n| !filter.insert(&value(*n))).count();
    assert!(remembered > 59_800, "full buckets push out a few early: {remembered} of 60 000");
}

#[test]
fn it_never_outgrows_its_bound_and_false_alarms_are_rare() {
    let mut filter = IvFilter::new(&mut Rng::from_seed([2; 32]));
    let fresh = (0..600_000).filter(|n| filter.insert(&value(*n))).count();
    assert!(fresh > 599_900, "{} false alarms", 600_000 - fresh);
    assert_eq!(filter.memory(), 512 * 1024);
    assert!((590_000..600_000).all(|n| filter.contains(&value(n))));
}

#[test]
fn random_values_spread() {
    let mut rng = Rng::from_seed([3; 32]);
    let mut filter = IvFilter::bounded(&mut rng, 64);
    let values: Vec<[u8; 16]> = (0..300).map(|_| rng.array()).collect();
    assert!(values.iter().all(|v| filter.insert(v)));
    assert!(values.iter().filter(|v| filter.contains(v)).count() > 290);
}

#[test]
fn swapping_iv_and_first_block_does_not_help() {
    let mut message = [0u8; 1024];
    Rng::from_seed([4; 32]).fill(&mut message);
    let mut swapped = message;
    let (iv, rest) = swapped.split_at_mut(16);
    iv.swap_with_slice(&mut rest[..16]);
    assert_eq!(IvFilter::value(&message), IvFilter::value(&swapped));
}
