//! How fast much is got and put where bandwidth is no limit: what the round trips cost.

use std::time::Duration;

use allium_store::Stored;

use crate::setup::{config, network, seed};
use crate::toy::Toy;
use crate::world::{Outcome, Weather, World};

/// 100 MB of blocks on 20 nodes with round trips of a second: 2 MB/s put, 5 MB/s got.
#[test]
fn round_trips_leave_room_for_the_speeds_wanted() {
    let weather =
        Weather { delay: Duration::from_millis(500), jitter: Duration::from_millis(150), loss: 0.05 };
    let mut world = World::new(seed(), weather);
    network(&mut world, 20, |_| None);
    let blocks: Vec<Toy> = (0..3052).map(|_| Toy::Content(world.rng.array())).collect();
    let peers = world.some_nodes(3);
    let putter = world.add_client(config(), peers.clone());
    let begin = world.time;
    for block in &blocks {
        world.put(putter, block.clone());
    }
    let stored = |world: &World| {
        world.outcomes.iter().filter(|(.., outcome)| matches!(outcome, Outcome::Stored)).count()
    };
    assert!(world.run(begin + Duration::from_mins(5), |world| stored(world) >= blocks.len()));
    let put = world.since(begin);
    println!(
        "100 MB put in {put:?} ({:.1} MB/s); {:?}",
        100.0 / put.as_secs_f64(),
        world.client(putter).stats()
    );
    world.crash(putter);
    world.run_for(Duration::from_mins(10));
    let held: Vec<usize> = blocks.iter().map(|block| world.holders(&block.key())).collect();
    let few = held.iter().filter(|holders| **holders < config().replicas).count();
    println!(
        "held by {:.2} nodes each, {few} by too few",
        held.iter().sum::<usize>() as f64 / held.len() as f64
    );

    world.outcomes.clear();
    let getter = world.add_client(config(), peers);
    let begin = world.time;
    for block in &blocks {
        world.get(getter, block.key(), false);
    }
    assert!(world.run(begin + Duration::from_mins(5), |world| world.outcomes.len() >= blocks.len()));
    let got = world.since(begin);
    println!(
        "100 MB got in {got:?} ({:.1} MB/s); {:?}",
        100.0 / got.as_secs_f64(),
        world.client(getter).stats()
    );
    assert!(world.outcomes.iter().all(|(.., outcome)| matches!(outcome, Outcome::Got(_))));
    let asked = world.client(getter).stats();
    assert!(asked.fetches < 3300 && asked.asked < 600, "lookups and double fetches are few: {asked:?}");
    assert!(put <= Duration::from_secs(50) && got <= Duration::from_secs(20));
    assert_eq!(few, 0, "all are where they belong after ten minutes, though offers are lost");
}
