//! Reads just after one of those who hold a block is gone, without a word.

use std::time::Duration;

use allium_store::{Key, Place, Stored};

use crate::setup::{config, network, seed};
use crate::toy::Toy;
use crate::world::{Id, Outcome, Weather, World};

/// Blocks of a small document, each of which names the next: they can only be got one after the other.
const CHAIN: usize = 3;

/// The nodes in the order of their distance to a key.
fn closest(world: &World, key: &Key) -> Vec<Id> {
    let mut nodes = world.nodes();
    nodes.sort_by_key(|id| {
        let place = Place::of(&world.node(*id).own());
        std::array::from_fn::<u8, 32, _>(|index| place.0[index] ^ key.0[index])
    });
    nodes
}

/// Puts a block and waits until all who should have it do.
fn put(world: &mut World, client: Id, block: Toy) -> Key {
    let key = block.key();
    world.outcomes.clear();
    world.put(client, block);
    let spread = |world: &World| {
        let stored = world.outcomes.iter().any(|(.., outcome)| matches!(outcome, Outcome::Stored));
        stored && closest(world, &key).iter().take(config().replicas).all(|id| world.node(*id).holds(&key))
    };
    assert!(world.run(world.time + Duration::from_mins(30), spread), "it spreads");
    key
}

/// Gets one block; how long that took.
fn get(world: &mut World, client: Id, key: Key, newest: bool) -> Duration {
    world.outcomes.clear();
    let begin = world.time;
    world.get(client, key, newest);
    assert!(world.run(begin + Duration::from_mins(2), |world| !world.outcomes.is_empty()));
    let found = matches!(world.outcomes.first(), Some((.., Outcome::Got(_))));
    assert!(found, "{:?}", world.outcomes);
    world.since(begin)
}

/// What the reader knows when the node dies.
#[derive(Clone, Copy, Debug)]
enum Knows {
    /// It comes only afterwards.
    Nothing,
    /// Where the nodes are.
    Nodes,
    /// And how fast they give blocks.
    Blocks,
}

/// How long a chain takes whose blocks are closest to one node, which dies before.
fn chain(seed: u64, weather: Weather, nodes: usize, knows: Knows) -> Vec<Duration> {
    let mut world = World::new(seed, weather);
    network(&mut world, nodes, |_| None);
    let peers = world.some_nodes(3);
    let publisher = world.add_client(config(), peers.clone());
    let other = Toy::Content(world.rng.array());
    let first = put(&mut world, publisher, other);
    let mut keys = Vec::new();
    let dies = closest(&world, &first)[0];
    while keys.len() < CHAIN {
        let block = Toy::Content(world.rng.array());
        if closest(&world, &block.key())[0] == dies {
            keys.push(put(&mut world, publisher, block));
        }
    }
    if matches!(knows, Knows::Nothing) {
        world.crash(dies);
    }
    let reader = world.add_client(config(), peers);
    if !matches!(knows, Knows::Nothing) {
        world.run_for(Duration::from_mins(1));
    }
    if matches!(knows, Knows::Blocks) {
        get(&mut world, reader, first, false);
    }
    world.crash(dies);
    let times: Vec<_> = keys.iter().map(|key| get(&mut world, reader, *key, false)).collect();
    println!("{nodes} nodes, round trips of {:?}, the reader knows {knows:?}: {times:?}", weather.delay * 2);
    times
}

#[test]
fn a_read_does_not_wait_for_a_holder_that_just_died() {
    let seed = seed();
    for (delay, most) in [(50, 2.0), (500, 5.0)] {
        let delay = Duration::from_millis(delay);
        let weather = Weather { delay, jitter: delay / 4, loss: 0.02 };
        for nodes in [6, 14, 40] {
            for knows in [Knows::Nothing, Knows::Nodes, Knows::Blocks] {
                for seed in seed..seed + 3 {
                    let times = chain(seed, weather, nodes, knows);
                    let all: Duration = times.iter().sum();
                    assert!(times.iter().all(|time| time.as_secs_f64() <= most), "{times:?}");
                    assert!(all.as_secs_f64() <= most * 1.6, "only the first one waits at all: {times:?}");
                }
            }
        }
    }
}

/// Whether there is a newer version, or a block at all, is known as soon without a node that is gone.
#[test]
fn what_is_not_there_is_known_without_a_node_that_just_died() {
    let delay = Duration::from_millis(500);
    let mut world = World::new(seed(), Weather { delay, jitter: delay / 4, loss: 0.02 });
    network(&mut world, 14, |_| None);
    let peers = world.some_nodes(3);
    let client = world.add_client(config(), peers);
    let block = Toy::Signed { signer: 1, version: 1 };
    let key = put(&mut world, client, block);
    let dies = closest(&world, &key)[0];
    world.crash(dies);
    let newest = get(&mut world, client, key, true);
    let absent = Key(world.rng.array());
    world.outcomes.clear();
    let begin = world.time;
    world.get(client, absent, false);
    assert!(world.run(begin + Duration::from_mins(2), |world| !world.outcomes.is_empty()));
    println!("the newest after {newest:?}; absent after {:?}", world.since(begin));
    assert!(newest <= Duration::from_secs(5));
    assert!(world.since(begin) <= Duration::from_secs(8));
}
