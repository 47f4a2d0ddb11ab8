use super::*;

#[test]
fn every_rebuff_is_bounded_and_its_own() {
    let mut rng = Rng::from_seed([1; 32]);
    let draws: Vec<_> = (0..100).map(|_| Rebuff::new(&mut rng)).collect();
    assert!(draws.iter().all(|draw| draw.read_bytes < 2048 && draw.delay < Duration::from_secs(9)));
    assert!(draws.windows(2).filter(|pair| pair[0] == pair[1]).count() < 3);
}
