//! Nodes come and go for a month.

use std::collections::BTreeMap;
use std::time::Duration;

use allium_store::{Key, RequestId, Stored};

use crate::liar::Liar;
use crate::setup::{config, network, node_config, percent, seed, setting};
use crate::toy::Toy;
use crate::world::{Id, Outcome, Weather, World};

const NODES: usize = 200;
/// Of signed blocks.
const VERSION: u64 = 3;
const DAY: Duration = Duration::from_hours(24);
/// Blocks of a file, and how many suffice to read it.
const FILE: usize = 20;
const ENOUGH: usize = FILE * 2 / 3 + 1;

/// Times and results of gets.
#[derive(Default)]
struct Gets {
    times: Vec<Duration>,
    failed: usize,
    /// Of those that failed, those whose block some honest node had.
    there: usize,
    /// Of those that did not, those that gave an old version.
    old: usize,
}

impl Gets {
    fn quantile(&mut self, share: f64) -> Duration {
        self.times.sort();
        self.times
            .get((self.times.len() as f64 * share) as usize)
            .or(self.times.last())
            .copied()
            .unwrap_or_default()
    }

    fn success(&self) -> f64 {
        percent(self.times.len(), self.times.len() + self.failed)
    }
}

/// Puts blocks over one client, and waits until all have spread.
fn publish(world: &mut World, blocks: &[Toy]) {
    let peers = world.some_nodes(5);
    let client = world.add_client(config(), peers);
    let requests: Vec<RequestId> = blocks.iter().map(|block| world.put(client, block.clone())).collect();
    world.outcomes.clear();
    let over = world.time + Duration::from_hours(2);
    let count = requests.len();
    world.run(over, |world| {
        world
            .outcomes
            .iter()
            .filter(|(.., outcome)| matches!(outcome, Outcome::Spread(_) | Outcome::Failed(_)))
            .count()
            >= count
    });
    let stored = world.outcomes.iter().filter(|(.., outcome)| matches!(outcome, Outcome::Stored)).count();
    let spread: Vec<usize> = world
        .outcomes
        .iter()
        .filter_map(
            |(.., outcome)| if let Outcome::Spread(holders) = outcome { Some(*holders) } else { None },
        )
        .collect();
    println!(
        "published {count} blocks: {stored} stored, {} spread, to {:.2} holders, the fewest {}; {:?}",
        spread.len(),
        spread.iter().sum::<usize>() as f64 / spread.len().max(1) as f64,
        spread.iter().min().unwrap_or(&0),
        world.client(client).stats(),
    );
    assert_eq!(stored, count, "every put is stored");
    world.crash(client);
}

/// Gets blocks over a new client.
fn fetch(world: &mut World, keys: &[(Key, bool)], gets: &mut Gets) -> Vec<bool> {
    let peers = world.some_nodes(5);
    let client = world.add_client(config(), peers);
    world.run_for(Duration::from_secs(30));
    world.outcomes.clear();
    let begin = world.time;
    let requests: Vec<RequestId> =
        keys.iter().map(|(key, newest)| world.get(client, *key, *newest)).collect();
    let count = requests.len();
    world.run(begin + Duration::from_mins(10), |world| world.outcomes.len() >= count);
    let mut found = BTreeMap::new();
    for (_, id, at, outcome) in &world.outcomes {
        found.insert(*id, (*at, outcome.clone()));
    }
    let good = requests.iter().zip(keys).map(|(id, (key, _))| match found.get(id) {
        Some((at, Outcome::Got(block))) if block.key() == *key => {
            // All that are published have this version or none.
            gets.old += usize::from(matches!(block, Toy::Signed { version, .. } if *version < VERSION));
            gets.times.push(at.saturating_sub(begin));
            true
        }
        other => {
            gets.failed += 1;
            gets.there += usize::from(world.holders(key) > 0);
            if world.holders(key) > 0 && gets.failed < 20 {
                println!("  not found though {} hold it: {other:?}", world.holders(key));
            }
            false
        }
    });
    let good = good.collect();
    world.crash(client);
    good
}

/// Replaces nodes for a day, while live blocks are got every hour.
fn a_day(world: &mut World, live: &[(Key, bool)], gets: &mut Gets, replaced: usize, lying: f64) {
    let end = world.time + DAY;
    let mut changes: Vec<Duration> =
        (0..replaced).map(|_| world.time + DAY.mul_f64(world.rng.unit())).collect();
    let mut hour = world.time;
    changes.sort();
    changes.reverse();
    while world.time < end {
        let next = changes.last().copied().unwrap_or(end).min(hour).min(end);
        world.run(next, |_| false);
        if next == hour {
            hour += DAY / 8;
            let some: Vec<_> = (0..25).filter_map(|_| world.rng.choose(live).copied()).collect();
            fetch(world, &some, gets);
        } else if changes.pop().is_some() {
            replace_one(world, lying);
        }
    }
}

fn replace_one(world: &mut World, lying: f64) {
    let nodes = world.nodes();
    let gone: Id = *world.rng.choose(&nodes).expect("a node");
    world.crash(gone);
    let peers = world.some_nodes(3);
    let liar = if world.rng.chance(lying) { world.rng.choose(&Liar::ALL).copied() } else { None };
    world.add_node(node_config(), liar, peers);
}

fn report(world: &World, what: &str, days: u64) {
    let traffic = world.traffic;
    let per_node = |count: u64| count as f64 / NODES as f64 / days.max(1) as f64;
    println!(
        "{what}: per node and day {:.0} datagrams, {:.0} frames, {:.0} blocks, {:.1} MB ({:.2} kB/s); {} steps, trace {:x}",
        per_node(traffic.datagrams),
        per_node(traffic.frames),
        per_node(traffic.blocks),
        per_node(traffic.bytes) / 1e6,
        per_node(traffic.bytes) / 86_400.0 / 1e3,
        world.steps,
        world.trace,
    );
}

fn content(world: &mut World, count: usize) -> Vec<Toy> {
    (0..count).map(|_| Toy::Content(world.rng.array())).collect()
}

/// The figures: a fifth of the nodes replaced each day for 30 days.
#[test]
fn files_survive_a_month_in_which_a_fifth_of_the_nodes_goes_each_day() {
    let mut world = World::new(seed(), Weather::ROUGH);
    let days = setting("STORE_DAYS", 30);
    network(&mut world, NODES, |_| None);
    let files: Vec<Vec<Toy>> = (0..100).map(|_| content(&mut world, FILE)).collect();
    let singles: Vec<Toy> = (0..200).map(|signer| Toy::Signed { signer, version: VERSION }).collect();
    let live = content(&mut world, 200);
    let all: Vec<Toy> = files.iter().flatten().chain(&singles).chain(&live).cloned().collect();
    publish(&mut world, &all);
    report(&world, "setting up", 1);

    world.traffic = crate::world::Traffic::default();
    let live: Vec<_> = live.iter().map(|block| (block.key(), false)).collect();
    let mut gets = Gets::default();
    for day in 1..=days {
        a_day(&mut world, &live, &mut gets, NODES / 5, 0.0);
        if day % 5 == 0 {
            let held: Vec<usize> = files.iter().flatten().map(|block| world.holders(&block.key())).collect();
            let lost = held.iter().filter(|holders| **holders == 0).count();
            let mean = held.iter().sum::<usize>() as f64 / held.len() as f64;
            println!(
                "day {day}: {mean:.2} holders, {} with one, {lost} lost",
                held.iter().filter(|n| **n == 1).count()
            );
        }
    }
    report(&world, "a month", days);

    let mut unrequested = Gets::default();
    let keys: Vec<_> = files.iter().flatten().map(|block| (block.key(), false)).collect();
    let found = fetch(&mut world, &keys, &mut unrequested);
    let whole =
        found.chunks(FILE).filter(|file| file.iter().filter(|found| **found).count() >= ENOUGH).count();
    let keys: Vec<_> = singles.iter().map(|block| (block.key(), true)).collect();
    let documents = fetch(&mut world, &keys, &mut Gets::default()).into_iter().filter(|found| *found).count();
    println!(
        "unrequested: {:.2} % of files, {:.2} % of their blocks, {:.2} % of documents",
        percent(whole, files.len()),
        unrequested.success(),
        percent(documents, singles.len()),
    );
    println!(
        "live: {:.2} % of {} gets, median {:?}, p99 {:?}; {} of the failed were there",
        gets.success(),
        gets.times.len() + gets.failed,
        gets.quantile(0.5),
        gets.quantile(0.99),
        gets.there,
    );
    assert!(percent(whole, files.len()) >= 99.0);
    assert!(percent(documents, singles.len()) >= 99.0);
    assert!(gets.success() >= 99.5);
    assert!(gets.quantile(0.99) <= Duration::from_secs(30));
}

/// A tenth of the nodes lie, and others come and go as well.
#[test]
fn gets_succeed_while_a_tenth_of_the_nodes_lies() {
    let mut world = World::new(seed(), Weather::ROUGH);
    let days = setting("STORE_DAYS", 3);
    network(&mut world, NODES, |index| (index % 10 == 9).then(|| Liar::ALL[index / 10 % Liar::ALL.len()]));
    let mut live = content(&mut world, 300);
    live.extend((0..100).map(|signer| Toy::Signed { signer, version: VERSION }));
    publish(&mut world, &live);
    let keys: Vec<_> = live.iter().map(|block| (block.key(), matches!(block, Toy::Signed { .. }))).collect();
    let mut gets = Gets::default();
    for _ in 0..days {
        a_day(&mut world, &keys, &mut gets, NODES / 5, 0.1);
    }
    fetch(&mut world, &keys, &mut gets);
    report(&world, "with liars", days);
    println!(
        "with liars: {:.2} % of {} gets, median {:?}, p99 {:?}; {} of the failed were there; {} old versions",
        gets.success(),
        gets.times.len() + gets.failed,
        gets.quantile(0.5),
        gets.quantile(0.99),
        gets.there,
        gets.old,
    );
    assert!(gets.success() >= 99.0);
    assert!(percent(gets.old, gets.times.len()) <= 0.1, "replayed versions are seen through");
    assert!(gets.quantile(0.99) <= Duration::from_secs(30));
}

/// One seed, one run.
#[test]
fn a_seed_gives_the_same_run_twice() {
    let run = || {
        let mut world = World::new(7, Weather::ROUGH);
        network(&mut world, 20, |index| (index == 3).then_some(Liar::Wrong));
        let blocks = content(&mut world, 30);
        publish(&mut world, &blocks);
        let keys: Vec<_> = blocks.iter().map(|block| (block.key(), false)).collect();
        let mut gets = Gets::default();
        fetch(&mut world, &keys, &mut gets);
        (world.trace, world.steps, gets.times)
    };
    assert_eq!(run(), run());
}
