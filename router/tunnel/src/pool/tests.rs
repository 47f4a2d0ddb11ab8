use super::*;
use crate::testing::{hash, now_at, rng};
use std::collections::BTreeMap;

/// A pool in virtual time, with a network that builds and tests as told.
struct World {
    pool: Pool,
    at: u64,
    rng: Rng,
    build_failures: f64,
    answer_after: (u64, u64),
    /// What happens when: (millis, sequence) -> input.
    agenda: BTreeMap<(u64, u64), Input>,
    sequence: u64,
    broken: Vec<BuildId>,
    actions: Vec<(u64, Action)>,
    most_building: usize,
}

impl World {
    fn new(config: Config, seed: u8) -> Self {
        let mut rng = rng(seed);
        let pool = Pool::new(config, now_at(0), rng.fork());
        Self {
            pool,
            at: 0,
            rng,
            build_failures: 0.0,
            answer_after: (300, 3000),
            agenda: BTreeMap::new(),
            sequence: 0,
            broken: Vec::new(),
            actions: Vec::new(),
            most_building: 0,
        }
    }

    fn later(&mut self, after: u64, input: Input) {
        self.sequence += 1;
        self.agenda.insert((self.at + after, self.sequence), input);
    }

    fn drain(&mut self) {
        while let Some(action) = self.pool.poll(now_at(self.at)) {
            self.actions.push((self.at, action));
            self.most_building = self.most_building.max(self.pool.building());
            match action {
                Action::Build { id, length } => {
                    let after = self.rng.range(self.answer_after.0..self.answer_after.1);
                    if self.rng.chance(self.build_failures) {
                        if self.rng.chance(0.5) {
                            self.later(after, Input::Failed { id, reason: Failure::Refused });
                        }
                    } else {
                        let hops = (0..length).map(|i| hash(id.0 * 10 + u64::from(i))).collect();
                        self.later(after, Input::Built { id, hops });
                    }
                }
                Action::Test { id } => {
                    let rtt = Duration::from_millis(700);
                    let broken = self.broken.contains(&id);
                    let input = if broken { Input::TestFailed { id } } else { Input::TestPassed { id, rtt } };
                    self.later(if broken { 5000 } else { 700 }, input);
                }
                Action::Abandon { .. } | Action::Retire { .. } | Action::Changed => {}
            }
        }
    }

    /// Runs until `end`, calling `watch` whenever something happened.
    fn run(&mut self, end: u64, mut watch: impl FnMut(&Self)) {
        self.drain();
        loop {
            let start = now_at(0).instant;
            let wake = self.pool.deadline().map(|d| (d - start).as_micros().div_ceil(1000) as u64);
            let next = self.agenda.keys().next().map(|k| k.0);
            let at = [wake, next].into_iter().flatten().min().unwrap_or(end);
            assert!(wake.is_none_or(|w| w > self.at), "a deadline in the past would spin");
            if at >= end {
                self.at = end;
                break;
            }
            self.at = at;
            while let Some(entry) = self.agenda.first_entry().filter(|e| e.key().0 <= at) {
                let input = entry.remove();
                self.pool.handle(now_at(at), input);
            }
            self.drain();
            watch(self);
        }
    }

    fn count(&self, wanted: impl Fn(&Action) -> bool) -> usize {
        self.actions.iter().filter(|(_, a)| wanted(a)).count()
    }

    fn live(&self) -> usize {
        let now = now_at(self.at).instant;
        self.pool.tunnels().filter(|t| t.expires() > now && t.healthy()).count()
    }
}

fn client(quantity: u8) -> Config {
    Config::new(Direction::Inbound, 3, 0, quantity)
}

#[test]
fn at_start_everything_is_asked_for_at_once() {
    let mut world = World::new(client(3), 1);
    world.drain();
    assert_eq!(world.count(|a| matches!(a, Action::Build { length: 3, .. })), 3);
    world.run(4000, |_| {});
    assert_eq!(world.live(), 3);
    assert_eq!(world.pool.stats().builds, 3);
}

#[test]
fn an_hour_without_a_gap_while_three_builds_in_ten_fail() {
    for seed in 0..20 {
        let mut world = World::new(client(3), seed);
        world.build_failures = 0.3;
        world.run(60_000, |_| {});
        world.most_building = 0;
        world.run(3_600_000, |world| {
            assert!(world.live() >= 3, "seed {seed}: {} tunnels at {} s", world.live(), world.at / 1000);
        });
        let stats = world.pool.stats();
        assert!(stats.built < 45, "seed {seed}: {stats:?}");
        assert!(world.most_building <= 4);
        assert!(stats.timed_out > 0 && stats.refused > 0);
    }
}

#[test]
fn one_tunnel_is_always_there_though_half_of_the_builds_fail() {
    for seed in 20..40 {
        let mut world = World::new(client(1), seed);
        world.build_failures = 0.5;
        world.run(100_000, |_| {});
        world.run(3_600_000, |world| assert!(world.live() >= 1, "seed {seed} at {}", world.at));
    }
}

#[test]
fn tunnels_are_tested_soon_and_then_often_enough() {
    let mut world = World::new(client(2), 3);
    world.run(3_600_000, |_| {});
    let mut built: BTreeMap<BuildId, u64> = BTreeMap::new();
    for &(at, action) in &world.actions {
        if let Action::Test { id } = action {
            let before = built.insert(id, at);
            assert!(before.is_none_or(|b| at - b <= 13_000), "idle for {:?}", before.map(|b| at - b));
        }
        if let Action::Build { id, .. } = action {
            built.insert(id, at);
        }
    }
    let first = world.actions.iter().find(|(_, a)| matches!(a, Action::Test { .. })).unwrap().0;
    assert!(first < 10_000);
    assert!(world.pool.rtt().is_some_and(|rtt| rtt == Duration::from_millis(700)));
}

#[test]
fn a_tunnel_that_fails_its_tests_is_replaced_and_retired() {
    let mut world = World::new(client(2), 4);
    world.run(60_000, |_| {});
    let bad = world.pool.tunnels().next().unwrap().id();
    world.broken.push(bad);
    world.run(120_000, |_| {});
    assert!(world.pool.get(bad).is_none());
    assert_eq!(world.live(), 2);
    assert_eq!(world.pool.stats().tested_out, 1);
    assert_eq!(world.count(|a| matches!(a, Action::Retire { why: Retirement::FailedTests, .. })), 1);
}

#[test]
fn when_everything_fails_the_last_is_not_thrown_away() {
    let mut world = World::new(client(2), 5);
    world.run(60_000, |_| {});
    world.broken = world.pool.tunnels().map(Tunnel::id).collect();
    world.build_failures = 1.0;
    world.run(150_000, |_| {});
    assert_eq!(world.live(), 0);
    assert!(world.pool.usable().count() >= 1, "the last may be all we have");
    world.build_failures = 0.0;
    world.run(240_000, |_| {});
    assert_eq!(world.live(), 2);
    assert!(world.broken.iter().all(|id| world.pool.get(*id).is_none()));
}

#[test]
fn a_cold_start_among_failures_retries_quickly_but_not_madly() {
    let mut world = World::new(client(2), 6);
    world.build_failures = 1.0;
    world.answer_after = (20, 60);
    world.run(3_000, |_| {});
    let soon = world.pool.stats().builds;
    assert!((4..=20).contains(&soon), "{soon} builds in 3 s");
    world.run(600_000, |_| {});
    assert!(world.pool.stats().builds < 600, "{:?}", world.pool.stats());
    world.build_failures = 0.0;
    world.run(630_000, |_| {});
    assert_eq!(world.live(), 2);
}

#[test]
fn ready_ends_the_wait_for_peers() {
    let mut pool = Pool::new(client(1), now_at(0), rng(7));
    let mut at = 0;
    for _ in 0..10 {
        let Some(Action::Build { id, .. }) = pool.poll(now_at(at)) else { panic!("a build") };
        pool.handle(now_at(at), Input::Failed { id, reason: Failure::NoPeers });
        assert_eq!(pool.poll(now_at(at)), None);
        let wait = pool.deadline().unwrap() - now_at(at).instant;
        at += wait.as_millis() as u64 + 1;
    }
    let Some(Action::Build { id, .. }) = pool.poll(now_at(at)) else { panic!("a build") };
    pool.handle(now_at(at), Input::Failed { id, reason: Failure::NoPeers });
    assert_eq!(pool.poll(now_at(at)), None);
    pool.handle(now_at(at), Input::Ready);
    assert!(matches!(pool.poll(now_at(at)), Some(Action::Build { .. })));
}

#[test]
fn doubted_tunnels_are_tested_at_once_and_replaced_where_they_fail() {
    let mut world = World::new(client(3), 8);
    world.run(12_000, |_| {});
    let victim = world.pool.tunnels().next().unwrap();
    let (id, peer) = (victim.id(), victim.hops()[1]);
    world.broken.push(id);
    for peer in [Some(peer), None] {
        let (begun, before) = (world.at, world.actions.len());
        world.pool.handle(now_at(begun), Input::Doubted { peer });
        world.run(begun + 1000, |_| {});
        let tested: Vec<BuildId> = world.actions[before..]
            .iter()
            .filter_map(|(_, action)| if let Action::Test { id } = action { Some(*id) } else { None })
            .collect();
        assert!(tested.contains(&id) == peer.is_some(), "{tested:?}: once, while that is under way");
        assert_eq!(tested.len(), if peer.is_some() { 1 } else { 2 });
    }
    world.run(26_000, |_| {});
    assert!(world.pool.get(id).is_none_or(|tunnel| !tunnel.healthy()));
    assert_eq!(world.live(), 3);
}

#[test]
fn what_passed_a_test_moments_ago_is_not_doubted() {
    let mut world = World::new(client(2), 8);
    world.run(12_000, |_| {});
    let ids: Vec<BuildId> = world.pool.tunnels().map(Tunnel::id).collect();
    for id in ids {
        world.pool.handle(now_at(12_000), Input::TestPassed { id, rtt: Duration::from_millis(700) });
    }
    for (after, tests) in [(1000, 0), (4000, 2)] {
        world.run(12_000 + after, |_| {});
        let before = world.actions.len();
        world.pool.handle(now_at(12_000 + after), Input::Doubted { peer: None });
        world.run(12_500 + after, |_| {});
        let tested =
            world.actions[before..].iter().filter(|(_, action)| matches!(action, Action::Test { .. }));
        assert_eq!(tested.count(), tests, "{after} ms after");
    }
}

#[test]
fn configure_replaces_tunnels_of_another_length_and_stop_ends_everything() {
    let mut world = World::new(client(2), 9);
    world.run(10_000, |_| {});
    world.pool.handle(now_at(world.at), Input::Configure(Config::new(Direction::Inbound, 1, 0, 2)));
    world.run(20_000, |_| {});
    assert_eq!(world.pool.tunnels().filter(|t| t.hops().len() == 1).count(), 2);
    assert_eq!(world.pool.tunnels().len(), 4, "the old ones serve to their end");
    world.pool.handle(now_at(world.at), Input::Stop);
    world.drain();
    assert_eq!(world.pool.tunnels().len(), 0);
    assert_eq!(world.pool.deadline(), None);
    assert_eq!(world.count(|a| matches!(a, Action::Retire { why: Retirement::Stopped, .. })), 4);
}

#[test]
fn tunnels_of_no_hops_are_never_tested() {
    let mut world = World::new(Config::new(Direction::Outbound, 0, 0, 2), 10);
    world.run(1_000_000, |_| {});
    assert_eq!(world.count(|a| matches!(a, Action::Test { .. })), 0);
    assert!(world.live() >= 2);
}

#[test]
fn variance_stays_in_its_range() {
    let mut rng = rng(11);
    let lengths = |variance, rng: &mut Rng| {
        let config = Config::new(Direction::Inbound, 2, variance, 1);
        let mut all: Vec<u8> = (0..200).map(|_| config.draw(rng)).collect();
        assert!(all.iter().all(|l| config.allows(usize::from(*l))));
        all.sort_unstable();
        all.dedup();
        all
    };
    assert_eq!(lengths(0, &mut rng), [2]);
    assert_eq!(lengths(2, &mut rng), [2, 3, 4]);
    assert_eq!(lengths(-1, &mut rng), [1, 2, 3]);
    assert_eq!(lengths(-7, &mut rng), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn answers_to_builds_that_are_over_are_ignored() {
    let mut pool = Pool::new(client(1), now_at(0), rng(12));
    let Some(Action::Build { id, .. }) = pool.poll(now_at(0)) else { panic!("a build") };
    while pool.poll(now_at(31_000)).is_some_and(|a| a != Action::Abandon { id }) {}
    pool.handle(now_at(31_000), Input::Built { id, hops: vec![hash(1)] });
    assert_eq!(pool.tunnels().len(), 0);
    pool.handle(now_at(31_000), Input::TestPassed { id, rtt: Duration::ZERO });
    pool.handle(now_at(31_000), Input::TestFailed { id });
    pool.handle(now_at(31_000), Input::Failed { id: BuildId(999), reason: Failure::Refused });
    assert_eq!(pool.stats().refused, 0);
}
