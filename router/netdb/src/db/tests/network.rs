use std::time::Duration;

use allium_crypto::Rng;
use allium_wire::i2np::Kind;
use allium_wire::{Date, DestinationKeys, RouterHash};

use crate::io::{Action, ClientId, Found, Input, Subject, Why};
use crate::key::{closest, routing_key};
use crate::testing::{NOON, Net, Node, Says, rng};

const CLIENT: ClientId = ClientId(1);
const OTHER: ClientId = ClientId(2);

fn destination(seed: u8) -> DestinationKeys {
    DestinationKeys::generate(&mut rng(seed))
}

/// The nodes whose floodfill part holds a LeaseSet.
fn holders(net: &Net, key: &[u8; 32]) -> Vec<usize> {
    let date = net.now(None).date;
    let holds = |who: &usize| net.nodes[*who].db.lease_sets.get(key, date).is_some();
    (0..net.nodes.len()).filter(holds).collect()
}

fn found_date(net: &Net, who: usize, query: u64) -> Option<Date> {
    match net.nodes[who].answer(query) {
        Some(Ok(Found::LeaseSet(set))) => Some(set.published()),
        _ => None,
    }
}

#[test]
fn routers_publish_find_and_explore() {
    let mut net = Net::with(1, 5, 20);
    net.run(Duration::from_mins(2));
    for node in &net.nodes {
        let ok = |action: &Action| matches!(action, Action::Published { what: Subject::Router, ok: true });
        assert!(node.told.iter().any(|(_, action)| ok(action)), "everyone's RouterInfo is stored");
    }
    for who in 5..25 {
        let target = net.nodes[5 + (who + 3) % 20].hash();
        net.find_router(who, target, 1000);
    }
    net.run(Duration::from_secs(20));
    for who in 5..25 {
        assert!(matches!(net.nodes[who].answer(1000), Some(Ok(Found::Router(_)))), "router {who}");
    }
    net.run(Duration::from_mins(10));
    let known: Vec<usize> = net.nodes.iter().map(|node| node.db.len()).collect();
    assert!(known.iter().all(|known| *known >= 22), "exploration finds the network: {known:?}");
}

#[test]
fn lease_sets_are_published_verified_flooded_and_found() {
    let mut net = Net::with(2, 6, 15);
    net.run(Duration::from_mins(1));
    let keys = destination(7);
    let key = keys.destination().hash();
    net.give_tunnels(10, Some(CLIENT));
    net.publish_lease_set(10, CLIENT, &keys);
    net.run(Duration::from_secs(30));
    let subject = Subject::LeaseSet { client: CLIENT, key };
    let told = |wanted: &dyn Fn(&Action) -> bool| net.nodes[10].told.iter().any(|(_, action)| wanted(action));
    assert!(told(&|action| matches!(action, Action::Published { what, ok: true } if *what == subject)));
    assert!(told(&|action| matches!(action, Action::Verified(what) if *what == subject)));
    let floodfills = net.nodes.iter().take(6).map(Node::hash);
    let near = closest(&routing_key(&key, net.now(None).date), floodfills, 3);
    let holders = holders(&net, &key);
    for hash in near {
        assert!(holders.contains(&net.index(&hash).unwrap()), "the three closest have it");
    }
    net.give_tunnels(18, Some(OTHER));
    net.find_lease_set(18, OTHER, &keys, 1);
    let asked_at = net.at;
    net.run(Duration::from_secs(5));
    assert!(found_date(&net, 18, 1).is_some());
    assert!(net.nodes[18].took(1, asked_at) < Duration::from_secs(1));
    // What a client learned is not known to its router.
    assert!(net.nodes[18].db.lease_sets.get(&key, NOON).is_none());
}

#[test]
fn a_newer_lease_set_replaces_the_old_one_everywhere() {
    let mut net = Net::with(3, 5, 10);
    net.run(Duration::from_mins(1));
    let keys = destination(8);
    net.give_tunnels(9, Some(CLIENT));
    net.publish_lease_set(9, CLIENT, &keys);
    net.run(Duration::from_secs(2));
    for _ in 0..5 {
        net.publish_lease_set(9, CLIENT, &keys);
        net.run(Duration::from_secs(1));
    }
    net.run(Duration::from_secs(40));
    net.give_tunnels(12, Some(OTHER));
    net.find_lease_set(12, OTHER, &keys, 1);
    net.run(Duration::from_secs(5));
    assert_eq!(found_date(&net, 12, 1), Some(NOON + Duration::from_secs(66)), "the newest one");
    assert!(net.sent(9, Kind::DatabaseStore) <= 10, "changes in quick succession are gathered");
}

#[test]
fn lookups_survive_silent_and_dead_floodfills() {
    let mut net = Net::with(4, 8, 12);
    net.run(Duration::from_mins(2));
    let keys = destination(9);
    let key = keys.destination().hash();
    net.give_tunnels(10, Some(CLIENT));
    net.give_tunnels(15, Some(OTHER));
    net.publish_lease_set(10, CLIENT, &keys);
    net.run(Duration::from_secs(30));
    let floodfills: Vec<RouterHash> = net.nodes[..8].iter().map(Node::hash).collect();
    let near = closest(&routing_key(&key, NOON), floodfills, 8);
    let holders = holders(&net, &key);
    // All but the farthest floodfill that has it stop answering lookups.
    let last =
        near.iter().rev().filter_map(|hash| net.index(hash)).find(|who| holders.contains(who)).unwrap();
    for who in (0..8).filter(|who| *who != last) {
        net.deaf.insert(who, [Kind::DatabaseLookup.into()].into());
    }
    net.find_lease_set(15, OTHER, &keys, 1);
    let asked_at = net.at;
    net.run(Duration::from_secs(25));
    assert!(found_date(&net, 15, 1).is_some(), "{:?}", net.nodes[15].answer(1));
    assert!(net.nodes[15].took(1, asked_at) < Duration::from_secs(18));
    // And if nobody answers, there is an end.
    net.deaf.insert(last, [Kind::DatabaseLookup.into()].into());
    net.find_lease_set(15, OTHER, &destination(99), 2);
    let asked_at = net.at;
    net.run(Duration::from_secs(25));
    assert!(matches!(net.nodes[15].answer(2), Some(Err(Why::Unanswered))), "{:?}", net.nodes[15].answer(2));
    assert!(net.nodes[15].took(2, asked_at) <= Duration::from_secs(20));
}

#[test]
fn absent_items_are_reported_soon_and_forgotten_soon() {
    let mut net = Net::with(5, 4, 8);
    net.run(Duration::from_mins(2));
    net.give_tunnels(6, Some(CLIENT));
    let keys = destination(10);
    net.find_lease_set(6, CLIENT, &keys, 1);
    let asked_at = net.at;
    net.run(Duration::from_secs(4));
    assert!(matches!(net.nodes[6].answer(1), Some(Err(Why::Absent))), "{:?}", net.nodes[6].answer(1));
    assert!(net.nodes[6].took(1, asked_at) < Duration::from_secs(2));
    net.give_tunnels(9, Some(OTHER));
    net.publish_lease_set(9, OTHER, &keys);
    net.run(Duration::from_secs(4));
    net.find_lease_set(6, CLIENT, &keys, 2);
    net.run(Duration::from_secs(4));
    assert!(found_date(&net, 6, 2).is_some());
}

#[test]
fn slow_tunnels_are_waited_for() {
    let mut net = Net::with(6, 5, 8);
    // A lookup through four hops and back takes 4.8 s: longer than the first timeout.
    net.latency = Duration::from_millis(600);
    net.run(Duration::from_mins(3));
    let keys = destination(11);
    net.give_tunnels(6, Some(CLIENT));
    net.give_tunnels(9, Some(OTHER));
    net.publish_lease_set(9, OTHER, &keys);
    net.run(Duration::from_mins(1));
    for query in 1..4 {
        net.find_lease_set(6, CLIENT, &keys, query);
        net.run(Duration::from_secs(20));
        assert!(found_date(&net, 6, query).is_some(), "query {query}");
    }
    let last = net.nodes[6].took(3, Duration::ZERO);
    assert!(last + Duration::from_secs(14) < net.at, "an answer is taken when it comes");
}

#[test]
fn a_partition_heals() {
    let mut net = Net::with(7, 6, 12);
    net.run(Duration::from_mins(3));
    for who in 0..18 {
        net.sides.insert(who, (who % 2) as u8);
    }
    let keys = destination(12);
    net.give_tunnels(7, Some(CLIENT));
    net.publish_lease_set(7, CLIENT, &keys);
    net.run(Duration::from_mins(1));
    net.give_tunnels(8, Some(OTHER));
    net.find_lease_set(8, OTHER, &keys, 1);
    net.run(Duration::from_secs(25));
    assert!(found_date(&net, 8, 1).is_none(), "the other side cannot have it");
    net.sides.clear();
    net.publish_lease_set(7, CLIENT, &keys);
    net.run(Duration::from_mins(1));
    net.find_lease_set(8, OTHER, &keys, 2);
    net.run(Duration::from_secs(25));
    assert!(found_date(&net, 8, 2).is_some(), "{:?}", net.nodes[8].answer(2));
}

#[test]
fn at_midnight_everything_moves() {
    let mut net = Net::new(8, Date(NOON.0 + 12 * 3_600_000 - 20 * 60_000));
    for index in 0..20 {
        let date = net.now(None).date;
        net.add(if index < 8 { Says::floodfill(date) } else { Says::router(date) });
    }
    for who in 0..20 {
        (0..8).for_each(|floodfill| net.introduce(who, floodfill));
        net.publish(who);
        net.give_tunnels(who, None);
    }
    let keys = destination(13);
    net.give_tunnels(10, Some(CLIENT));
    // Published regularly, as tunnels change.
    for _ in 0..5 {
        net.publish_lease_set(10, CLIENT, &keys);
        net.run(Duration::from_mins(4));
    }
    net.run(Duration::from_secs(30));
    let key = keys.destination().hash();
    let today = net.now(None).date;
    assert_eq!(&today.yyyymmdd(), b"20261124");
    let floodfills: Vec<RouterHash> = net.nodes[..8].iter().map(Node::hash).collect();
    let near = closest(&routing_key(&key, today), floodfills, 3);
    let holders = holders(&net, &key);
    for hash in near {
        assert!(holders.contains(&net.index(&hash).unwrap()), "the closest of the new day have it");
    }
    net.give_tunnels(15, Some(OTHER));
    net.find_lease_set(15, OTHER, &keys, 1);
    net.run(Duration::from_secs(5));
    assert!(found_date(&net, 15, 1).is_some());
}

#[test]
fn wrong_clocks_do_not_spread() {
    let mut net = Net::with(9, 5, 10);
    net.run(Duration::from_mins(1));
    let late = net.add(Says::router(NOON));
    net.nodes[late].skew = 10 * 60_000;
    for floodfill in 0..5 {
        net.introduce(late, floodfill);
    }
    net.publish(late);
    net.run(Duration::from_mins(1));
    let hash = net.nodes[late].hash();
    assert!(net.nodes.iter().all(|node| node.db.get(&hash).is_none()), "published in the future");
    assert!(net.nodes[..5].iter().all(|node| !node.db.is_banned(&hash, net.now(None).date)), "no misdeed");
    // A clock that is corrected.
    net.nodes[late].skew = 0;
    net.publish(late);
    net.run(Duration::from_mins(40));
    assert!(net.nodes[..5].iter().any(|node| node.db.get(&hash).is_some()));
}

#[test]
fn nothing_is_lost_when_the_tunnels_come_late() {
    let mut net = Net::with(10, 4, 6);
    net.run(Duration::from_mins(1));
    let keys = destination(14);
    net.publish_lease_set(5, CLIENT, &keys);
    net.find_lease_set(7, OTHER, &keys, 1);
    net.run(Duration::from_secs(3));
    assert_eq!(net.sent(5, Kind::DatabaseStore), 2, "only its own RouterInfo");
    net.give_tunnels(5, Some(CLIENT));
    net.run(Duration::from_secs(3));
    net.give_tunnels(7, Some(OTHER));
    net.run(Duration::from_secs(3));
    assert!(found_date(&net, 7, 1).is_some(), "{:?}", net.nodes[7].answer(1));
    net.find_lease_set(8, ClientId(5), &keys, 2);
    net.run(Duration::from_secs(20));
    assert!(matches!(net.nodes[8].answer(2), Some(Err(Why::NoTunnels))));
}

#[test]
fn a_client_that_leaves_takes_its_business_along() {
    let mut net = Net::with(11, 4, 6);
    net.run(Duration::from_mins(1));
    net.find_lease_set(5, CLIENT, &destination(15), 1);
    net.publish_lease_set(5, CLIENT, &destination(16));
    net.input(5, Input::ClientGone(CLIENT));
    assert!(matches!(net.nodes[5].answer(1), Some(Err(Why::Gone))));
    net.give_tunnels(5, Some(CLIENT));
    let before = net.sent(5, Kind::DatabaseStore);
    net.run(Duration::from_secs(30));
    assert_eq!(net.sent(5, Kind::DatabaseStore), before);
}

#[test]
fn client_lookups_do_not_touch_the_routers_database() {
    let mut net = Net::with(12, 6, 8);
    net.run(Duration::from_mins(2));
    // A floodfill that node 9 does not know of, and the others do.
    let unknown = net.add(Says::floodfill(net.now(None).date));
    for floodfill in 0..6 {
        net.introduce(unknown, floodfill);
        net.introduce(floodfill, unknown);
    }
    let hash = net.nodes[unknown].hash();
    let mut rng: Rng = rng(50);
    // Find a destination whose closest floodfill is the unknown one.
    let floodfills: Vec<RouterHash> =
        net.nodes.iter().filter(|node| node.says.caps.contains('f')).map(Node::hash).collect();
    let keys = std::iter::repeat_with(|| DestinationKeys::generate(&mut rng))
        .find(|keys| {
            let near = routing_key(&keys.destination().hash(), NOON);
            closest(&near, floodfills.iter().copied(), 1) == [hash]
        })
        .unwrap();
    net.nodes[9].db.config.explore = false;
    net.give_tunnels(9, Some(CLIENT));
    net.find_lease_set(9, CLIENT, &keys, 1);
    net.run(Duration::from_secs(10));
    assert!(net.nodes[9].db.get(&hash).is_none(), "a referral to a client stays with the client");
    let scope = net.nodes[9].db.scopes.get(&Some(CLIENT)).unwrap();
    assert!(scope.referrals.router(&hash).is_some(), "and is followed");
    // The same for a router's own lookup is of use to the router.
    net.find_router(9, RouterHash(keys.destination().hash()), 2);
    net.run(Duration::from_secs(10));
    assert!(net.nodes[9].db.get(&hash).is_some());
}

#[test]
fn losses_are_made_up_for() {
    let mut net = Net::with(13, 6, 14);
    net.loss = 0.15;
    net.run(Duration::from_mins(3));
    for who in 6..20 {
        net.give_tunnels(who, Some(CLIENT));
        net.publish_lease_set(who, CLIENT, &destination(who as u8));
    }
    net.run(Duration::from_mins(1));
    for who in 6..20 {
        net.find_lease_set(who, CLIENT, &destination(6 + (who as u8 + 1) % 14), 1);
    }
    net.run(Duration::from_secs(25));
    let missing: Vec<usize> = (6..20).filter(|who| found_date(&net, *who, 1).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut net = Net::with(14, 5, 10);
        net.loss = 0.1;
        net.run(Duration::from_mins(5));
        net.nodes.iter().map(|node| (node.sent.clone(), node.db.len(), node.told.len())).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn an_only_floodfill_serves_its_own_clients() {
    let mut net = Net::with(15, 1, 5);
    net.run(Duration::from_mins(1));
    for who in [0, 3] {
        net.give_tunnels(who, Some(CLIENT));
        net.publish_lease_set(who, CLIENT, &destination(who as u8));
    }
    net.run(Duration::from_secs(10));
    net.find_lease_set(0, CLIENT, &destination(3), 1);
    net.find_lease_set(3, CLIENT, &destination(0), 1);
    net.run(Duration::from_secs(5));
    assert!(found_date(&net, 0, 1).is_some() && found_date(&net, 3, 1).is_some());
}

#[test]
fn half_of_the_floodfills_may_die() {
    let mut net = Net::with(16, 10, 10);
    net.run(Duration::from_mins(4));
    for who in 10..20 {
        net.give_tunnels(who, Some(CLIENT));
        net.publish_lease_set(who, CLIENT, &destination(who as u8));
    }
    net.run(Duration::from_mins(1));
    for who in 0..5 {
        net.nodes[who].alive = false;
    }
    for who in 10..20 {
        // Tunnels through the dead are replaced.
        net.give_tunnels(who, Some(CLIENT));
        net.publish_lease_set(who, CLIENT, &destination(who as u8));
    }
    net.run(Duration::from_mins(2));
    let mut found = 0;
    for who in 10..20 {
        net.find_lease_set(who, CLIENT, &destination(10 + (who as u8 - 9) % 10), 7);
    }
    net.run(Duration::from_secs(25));
    for who in 10..20 {
        found += usize::from(found_date(&net, who, 7).is_some());
    }
    assert!(found >= 8, "{found} of 10; the rest may have both tunnels through dead gateways");
}
