//! Single events: a restart, a new node that is closer, a flipped bit.

use std::time::Duration;

use allium_store::{Key, Stored};
use bytes::Bytes;

use crate::setup::{config, network, node_config, seed};
use crate::toy::Toy;
use crate::world::{Id, Outcome, Weather, World};

const HOUR: Duration = Duration::from_hours(1);

/// A network and blocks in it, each where it belongs.
fn filled(nodes: usize, blocks: usize) -> (World, Vec<Id>, Vec<Key>) {
    let mut world = World::new(seed(), Weather::ROUGH);
    let ids = network(&mut world, nodes, |_| None);
    let peers = world.some_nodes(3);
    let client = world.add_client(config(), peers);
    let blocks: Vec<_> = (0..blocks).map(|_| Toy::Content(world.rng.array())).collect();
    for block in &blocks {
        world.put(client, block.clone());
    }
    let count = blocks.len();
    let spread = |world: &World| {
        world.outcomes.iter().filter(|(.., outcome)| matches!(outcome, Outcome::Spread(_))).count() >= count
    };
    assert!(world.run(world.time + HOUR, spread));
    world.crash(client);
    (world, ids, blocks.iter().map(Stored::key).collect())
}

/// The nodes that should hold a block: the closest of those that are there.
fn proper(world: &World, key: &Key) -> Vec<Id> {
    let mut nodes = world.nodes();
    let distance = |id: &Id| {
        let place = allium_store::Place::of(&world.node(*id).own());
        std::array::from_fn::<u8, 32, _>(|index| place.0[index] ^ key.0[index])
    };
    nodes.sort_by_key(distance);
    nodes.truncate(config().replicas);
    nodes
}

fn all_in_place(world: &World, keys: &[Key]) -> bool {
    keys.iter().all(|key| proper(world, key).iter().all(|id| world.node(*id).holds(key)))
}

#[test]
fn what_is_put_ends_up_with_the_closest_nodes() {
    let (mut world, _, keys) = filled(40, 100);
    let begin = world.time;
    assert!(world.run(begin + 20 * HOUR, |world| all_in_place(world, &keys)));
    println!("all in place {:?} after they had spread", world.since(begin));
}

#[test]
fn a_new_node_is_given_what_it_should_hold() {
    let (mut world, _, keys) = filled(30, 150);
    world.run(world.time + 20 * HOUR, |world| all_in_place(world, &keys));
    let peers = world.some_nodes(2);
    let new = world.add_node(node_config(), None, peers);
    let begin = world.time;
    let due: Vec<_> = keys.iter().filter(|key| proper(&world, key).contains(&new)).copied().collect();
    assert!(!due.is_empty());
    let there = |world: &World| due.iter().all(|key| world.node(new).holds(key));
    assert!(world.run(begin + HOUR, there), "{} of {}", world.node(new).stats().blocks, due.len());
    println!("{} blocks handed over in {:?}", due.len(), world.since(begin));
}

#[test]
fn a_node_that_goes_is_replaced_by_the_next_closest() {
    let (mut world, ids, keys) = filled(30, 150);
    world.run(world.time + 20 * HOUR, |world| all_in_place(world, &keys));
    let had = world.node(ids[7]).stats().blocks;
    world.crash(ids[7]);
    let begin = world.time;
    assert!(world.run(begin + 6 * HOUR, |world| all_in_place(world, &keys)));
    println!("{had} blocks replaced in {:?}", world.since(begin));
}

#[test]
fn a_restart_loses_no_block() {
    let (mut world, ids, keys) = filled(20, 60);
    let before: Vec<_> = world.node(ids[4]).records().map(|record| record.key).collect();
    assert!(!before.is_empty());
    world.restart(ids[4], node_config());
    world.run_for(Duration::from_mins(5));
    assert!(before.iter().all(|key| world.node(ids[4]).holds(key)));
    assert!(world.node(ids[4]).stats().client.peers >= 10, "it knows the others of before");
    let peers = world.some_nodes(3);
    let client = world.add_client(config(), peers);
    world.outcomes.clear();
    for key in &keys {
        world.get(client, *key, false);
    }
    world.run(world.time + Duration::from_mins(1), |world| world.outcomes.len() == keys.len());
    assert!(world.outcomes.iter().all(|(.., outcome)| matches!(outcome, Outcome::Got(_))));
}

#[test]
fn flipped_bits_are_healed() {
    let (mut world, ids, _) = filled(20, 60);
    let keys: Vec<Key> = world.disk(ids[4]).keys().copied().collect();
    assert!(!keys.is_empty());
    for key in &keys {
        world.disk(ids[4]).insert(*key, Bytes::from_static(b"flipped"));
    }
    // They are noticed when they are read: for a node that wants them.
    let peers = world.some_nodes(3);
    let client = world.add_client(config(), peers);
    world.outcomes.clear();
    for key in &keys {
        for _ in 0..12 {
            world.get(client, *key, false);
        }
    }
    let count = keys.len() * 12;
    world.run(world.time + Duration::from_mins(5), |world| world.outcomes.len() == count);
    assert!(
        world.outcomes.iter().all(|(.., outcome)| matches!(outcome, Outcome::Got(_))),
        "others gave them"
    );
    world.run_for(Duration::from_mins(5));
    let damaged = world.node(ids[4]).stats().damaged;
    assert!(damaged > 0);
    assert_eq!(world.node(ids[4]).stats().healed, damaged);
    let whole = world.disk(ids[4]).values().filter(|bytes| Toy::decode(bytes).is_ok()).count();
    assert!(whole as u64 >= damaged);
}

#[test]
fn a_newer_version_reaches_all_holders() {
    let (mut world, _, _) = filled(30, 5);
    let old = Toy::Signed { signer: 9, version: 1 };
    let new = Toy::Signed { signer: 9, version: 2 };
    for block in [&old, &new] {
        let peers = world.some_nodes(3);
        let client = world.add_client(config(), peers);
        world.outcomes.clear();
        world.put(client, block.clone());
        let over =
            |world: &World| world.outcomes.iter().any(|(.., outcome)| matches!(outcome, Outcome::Spread(_)));
        assert!(world.run(world.time + HOUR, over));
    }
    let key = new.key();
    let newest = |world: &World| {
        let version =
            |id: &Id| world.node(*id).records().find(|record| record.key == key).map(|record| record.version);
        proper(world, &key).iter().all(|id| version(id) == Some(new.version()))
    };
    let begin = world.time;
    assert!(world.run(begin + 20 * HOUR, newest));
    println!("the newer version is everywhere after {:?}", world.since(begin));
}
