use super::*;
use crate::testing::{hash, rng};
use proptest::prelude::*;

fn good(n: u64) -> Candidate {
    Candidate {
        hash: hash(n),
        bandwidth: 'O',
        reachable: true,
        floodfill: false,
        congestion: None,
        networks: [Some(n), None],
        family: None,
        connected: false,
        score: 1.0,
        recently_failed: false,
        usable: true,
    }
}

fn selector(direction: Direction, seed: u8) -> Selector {
    Selector::new(Usage::Client, direction, hash(999), rng(seed))
}

fn find(candidates: &[Candidate], hash: RouterHash) -> Candidate {
    *candidates.iter().find(|c| c.hash == hash).unwrap()
}

#[test]
fn rules_are_kept_while_they_can_be() {
    let mut candidates: Vec<Candidate> = (0..40).map(good).collect();
    for (i, c) in candidates.iter_mut().enumerate() {
        match i % 4 {
            0 => c.networks = [Some(7), None],
            1 => c.family = Some(3),
            2 => c.recently_failed = i % 8 == 2,
            _ => c.bandwidth = if i % 8 == 3 { 'L' } else { 'X' },
        }
    }
    let mut selector = selector(Direction::Outbound, 1);
    for _ in 0..200 {
        let chosen = selector.select(&candidates, 4).unwrap();
        assert_eq!(chosen.loosened, Loosened::Nothing);
        let hops: Vec<Candidate> = chosen.hops.iter().map(|h| find(&candidates, *h)).collect();
        assert!(hops.iter().filter(|c| c.networks[0] == Some(7)).count() <= 1);
        assert!(hops.iter().filter(|c| c.family == Some(3)).count() <= 1);
        assert!(hops.iter().all(|c| !c.recently_failed && c.bandwidth != 'L'));
    }
}

#[test]
fn rules_are_loosened_in_order_and_the_result_says_so() {
    let with = |change: &dyn Fn(&mut Candidate)| {
        let mut candidates: Vec<Candidate> = (0..3).map(good).collect();
        candidates.iter_mut().for_each(change);
        selector(Direction::Inbound, 2).select(&candidates, 3).map(|c| c.loosened)
    };
    assert_eq!(with(&|_| {}), Ok(Loosened::Nothing));
    assert_eq!(with(&|c| c.recently_failed = true), Ok(Loosened::RecentFailures));
    assert_eq!(with(&|c| c.bandwidth = 'K'), Ok(Loosened::Capacity));
    assert_eq!(with(&|c| c.congestion = Some('E')), Ok(Loosened::Capacity));
    assert_eq!(with(&|c| c.networks = [None, Some(1)]), Ok(Loosened::Network));
    assert_eq!(with(&|c| c.family = Some(1)), Ok(Loosened::Family));
    assert_eq!(with(&|c| c.congestion = Some('G')), Err(Why::NoCandidates));
    assert_eq!(with(&|c| c.usable = false), Err(Why::NoCandidates));
    assert_eq!(with(&|c| c.reachable = false), Err(Why::TooFew { wanted: 3, found: 0 }));
    assert_eq!(with(&|c| c.hash = hash(1)), Err(Why::TooFew { wanted: 3, found: 1 }));
    assert_eq!(with(&|c| c.hash = hash(999)), Err(Why::NoCandidates), "ourselves");
}

#[test]
fn the_ip_rule_can_be_switched_off_and_routers_be_prescribed() {
    let mut candidates: Vec<Candidate> = (0..5).map(good).collect();
    for c in &mut candidates {
        c.networks = [Some(127), None];
    }
    let mut selector = selector(Direction::Outbound, 3);
    selector.ip_rule = false;
    assert_eq!(selector.select(&candidates, 3).unwrap().loosened, Loosened::Nothing);
    let only: BTreeSet<RouterHash> = [hash(0), hash(3)].into();
    selector.only = Some(only.clone());
    let hops = selector.select(&candidates, 2).unwrap().hops;
    assert_eq!(hops.into_iter().collect::<BTreeSet<_>>(), only);
    assert_eq!(selector.select(&candidates, 3), Err(Why::TooFew { wanted: 3, found: 2 }));
    assert_eq!(selector.select(&candidates, 0).unwrap().hops, []);
    assert_eq!(selector.select(&[], 2), Err(Why::NoCandidates));
}

#[test]
fn the_far_end_is_reachable_though_others_are_not() {
    let mut candidates: Vec<Candidate> = (0..4).map(good).collect();
    for n in [0, 1, 3] {
        candidates[n].reachable = false;
    }
    candidates[0].connected = true;
    candidates[3].connected = true;
    for seed in 0..50 {
        let chosen = selector(Direction::Outbound, seed).select(&candidates, 3).unwrap();
        assert_eq!(chosen.loosened, Loosened::Reachability);
        assert_eq!(chosen.hops[2], hash(2));
    }
    // A second reachable router is enough for a tunnel of two, behind a connected one or not.
    let mut inbound = selector(Direction::Inbound, 1);
    inbound.we_are_reachable = false;
    candidates[3].reachable = true;
    for _ in 0..50 {
        let chosen = inbound.select(&candidates, 2).unwrap();
        assert_eq!(chosen.hops, [hash(2), hash(3)], "the last hop must have a link to us already");
    }
}

#[test]
fn good_and_connected_routers_come_more_often() {
    let mut candidates: Vec<Candidate> = (0..20).map(good).collect();
    candidates[4].score = 5.0;
    candidates[5].score = 0.1;
    candidates[6].connected = true;
    let mut selector = selector(Direction::Outbound, 5);
    let mut counts = [0; 20];
    let mut first = 0;
    for _ in 0..1000 {
        let chosen = selector.select(&candidates, 3).unwrap();
        for (n, count) in counts.iter_mut().enumerate() {
            *count += i32::from(chosen.hops.contains(&hash(n as u64)));
        }
        first += i32::from(chosen.hops[0] == hash(6));
    }
    assert!(counts[4] > 2 * counts[0], "{counts:?}");
    assert!(counts[5] * 3 < counts[0], "{counts:?}");
    assert!(first > 60, "{first} of 1000 begin at the connected one");
}

#[test]
fn the_order_of_distant_hops_is_stable_in_a_pool_and_differs_between_pools() {
    let candidates: Vec<Candidate> = (0..3).map(good).collect();
    let mut orders = BTreeSet::new();
    for seed in 0..10 {
        let mut selector = selector(Direction::Outbound, seed);
        let mut after: BTreeSet<(RouterHash, RouterHash)> = BTreeSet::new();
        for _ in 0..50 {
            let hops = selector.select(&candidates, 3).unwrap().hops;
            after.insert((hops[1], hops[2]));
        }
        assert!(after.iter().all(|(a, b)| !after.contains(&(*b, *a))), "seed {seed}: {after:?}");
        orders.insert(after);
    }
    assert!(orders.len() > 2);
}

proptest! {
    #[test]
    fn whatever_the_candidates_a_choice_keeps_what_is_never_loosened(
        seed: u8,
        inbound: bool,
        length in 1usize..8,
        raw in proptest::collection::vec(any::<(u8, u8, bool, bool, bool, u8, f64)>(), 0..60),
    ) {
        let candidates: Vec<Candidate> = raw
            .iter()
            .zip(0..)
            .map(|((id, band, reachable, connected, failed, family, score), n)| Candidate {
                hash: hash(n),
                bandwidth: *band as char,
                reachable: *reachable,
                floodfill: id % 3 == 0,
                congestion: [None, Some('D'), Some('E'), Some('G')][usize::from(band % 4)],
                networks: [Some(u64::from(family % 8)), None],
                family: (family % 2 == 0).then_some(u64::from(family % 6)),
                connected: *connected,
                score: *score,
                recently_failed: *failed,
                usable: band % 5 != 0,
            })
            .collect();
        let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
        let mut selector = Selector::new(Usage::Exploratory, direction, hash(5), rng(seed));
        if let Ok(chosen) = selector.select(&candidates, length) {
            prop_assert_eq!(chosen.hops.len(), length);
            let set: BTreeSet<_> = chosen.hops.iter().collect();
            prop_assert_eq!(set.len(), length);
            prop_assert!(!chosen.hops.contains(&hash(5)));
            for hop in &chosen.hops {
                prop_assert!(candidates.iter().any(|c| c.hash == *hop && c.usable && c.congestion != Some('G')));
            }
            let far = if inbound { chosen.hops[0] } else { chosen.hops[length - 1] };
            prop_assert!(candidates.iter().any(|c| c.hash == far && c.reachable));
            let hops: Vec<Candidate> = chosen.hops.iter().map(|h| find(&candidates, *h)).collect();
            let mut networks: Vec<_> = hops.iter().map(|c| c.networks[0]).collect();
            let mut families: Vec<_> = hops.iter().filter_map(|c| c.family).collect();
            networks.sort_unstable();
            families.sort_unstable();
            let apart = |keys: usize, mut unique: Vec<u64>| {
                unique.dedup();
                unique.len() == keys
            };
            let networks: Vec<u64> = networks.into_iter().flatten().collect();
            prop_assert!(chosen.loosened >= Loosened::Network || apart(length, networks));
            prop_assert!(chosen.loosened >= Loosened::Family || apart(families.len(), families.clone()));
            prop_assert!(chosen.loosened >= Loosened::Capacity || hops.iter().all(|c| c.congestion != Some('E')));
            prop_assert!(chosen.loosened >= Loosened::RecentFailures || hops.iter().all(|c| !c.recently_failed));
        }
    }
}
