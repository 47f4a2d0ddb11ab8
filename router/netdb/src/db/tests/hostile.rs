use std::time::Duration;

use allium_wire::i2np::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, Kind, LookupKind, Message, ReplyKey,
    StoreData, StoreReply,
};
use allium_wire::{Date, DestinationKeys, Engine, LeaseSet, Now, RouterHash, RouterKeys, TunnelId};
use proptest::prelude::*;

use crate::io::{Action, ClientId, Config, Input, Origin, QueryId, ReplyPath};
use crate::testing::{NET, NOON, Says, drain, lease_set, now, rng};
use crate::{LeaseSetRecord, NetDb};

/// A floodfill with a few floodfill neighbours, and the keys of one of them.
fn floodfill(now: Now) -> (NetDb, Vec<RouterKeys>) {
    let mut rng = rng(1);
    let own = RouterKeys::generate(&mut rng);
    let mut config = Config::new(own.hash(), NET);
    config.floodfill = true;
    let mut db = NetDb::new(config, now, rng.fork());
    let keys: Vec<RouterKeys> = (0..5).map(|_| RouterKeys::generate(&mut rng)).collect();
    for keys in &keys {
        db.handle(now, Input::Learned(Says::floodfill(now.date).sign(keys)));
    }
    db.handle(now, Input::PublishRouterInfo(Says::floodfill(now.date).sign(&own)));
    drain(&mut db, now);
    (db, keys)
}

fn reply(token: u32, gateway: RouterHash) -> StoreReply {
    StoreReply { token, tunnel: None, gateway }
}

fn store_of(info: &allium_wire::RouterInfo, reply: Option<StoreReply>) -> DatabaseStore {
    DatabaseStore { key: info.hash().0, reply, data: StoreData::router_info(info) }
}

fn give(db: &mut NetDb, now: Now, origin: Origin, message: Message) -> Vec<Action> {
    db.handle(now, Input::Received { origin, message });
    drain(db, now)
}

fn give_store(db: &mut NetDb, now: Now, from: RouterHash, store: DatabaseStore) -> Vec<Action> {
    give(db, now, Origin::Link(from), store.into_message(1, now.date + Duration::from_secs(10)))
}

fn floods(actions: &[Action]) -> Vec<RouterHash> {
    let flood = |action: &Action| match action {
        Action::SendDirect { to, message } if message.kind == Kind::DatabaseStore => {
            assert!(DatabaseStore::decode(&message.body).unwrap().reply.is_none(), "no token in a flood");
            Some(*to)
        }
        _ => None,
    };
    actions.iter().filter_map(flood).collect()
}

fn acks(actions: &[Action]) -> usize {
    let ack = |action: &&Action| matches!(action, Action::SendReply { message, .. } if message.kind == Kind::DeliveryStatus);
    actions.iter().filter(ack).count()
}

#[test]
fn a_store_is_acknowledged_first_then_kept_and_flooded() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let keys = RouterKeys::generate(&mut rng(2));
    let info = Says::router(NOON).sign(&keys);
    let actions = give_store(&mut db, now, keys.hash(), store_of(&info, Some(reply(77, keys.hash()))));
    match &actions[0] {
        Action::SendReply { to, tunnel: None, encrypt: None, message } => {
            assert_eq!((*to, DeliveryStatus::decode(&message.body).unwrap().id), (keys.hash(), 77));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(floods(&actions).len(), 3);
    assert!(db.get(&keys.hash()).is_some());
    // The same again: acknowledged, not flooded.
    let actions = give_store(&mut db, now, keys.hash(), store_of(&info, Some(reply(78, keys.hash()))));
    assert_eq!((acks(&actions), floods(&actions).len()), (1, 0));
    // A flood from a floodfill is kept, not flooded on, not acknowledged.
    let newer = Says::router(NOON + Duration::from_secs(1)).sign(&keys);
    let actions = give_store(&mut db, now, neighbours[0].hash(), store_of(&newer, None));
    assert_eq!((acks(&actions), floods(&actions).len()), (0, 0));
    assert_eq!(db.get(&keys.hash()).unwrap().published(), newer.published());
    // An older one changes nothing.
    give_store(&mut db, now, keys.hash(), store_of(&info, None));
    assert_eq!(db.get(&keys.hash()).unwrap().published(), newer.published());
}

#[test]
fn a_flood_never_returns_to_its_source() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let newer = Says::floodfill(NOON + Duration::from_secs(1)).sign(&neighbours[0]);
    let from = neighbours[1].hash();
    let actions = give_store(&mut db, now, from, store_of(&newer, Some(reply(5, from))));
    let to = floods(&actions);
    assert_eq!(to.len(), 3);
    assert!(!to.contains(&from) && !to.contains(&neighbours[0].hash()));
}

#[test]
fn before_midnight_it_is_flooded_for_tomorrow_too() {
    let midnight = Date(NOON.0 + 12 * 3_600_000);
    let now = now(midnight - Duration::from_mins(20));
    let (mut db, _) = floodfill(now);
    let keys = RouterKeys::generate(&mut rng(2));
    let info = Says::router(now.date).sign(&keys);
    let actions = give_store(&mut db, now, keys.hash(), store_of(&info, Some(reply(77, keys.hash()))));
    assert_eq!(floods(&actions).len(), 5);
    let destination = DestinationKeys::generate(&mut rng(3));
    let set = lease_set(&destination, now.date, Duration::from_mins(10), &mut rng(4));
    let store = DatabaseStore {
        key: set.hash().0,
        reply: Some(reply(9, keys.hash())),
        data: StoreData::LeaseSet(3, set.bytes().clone()),
    };
    let actions = give_store(&mut db, now, keys.hash(), store);
    assert_eq!(floods(&actions).len(), 3, "for LeaseSets that is too early");
}

#[test]
fn bad_router_infos_are_refused_and_their_senders_banned() {
    let now = now(NOON);
    let (mut db, _) = floodfill(now);
    let keys = RouterKeys::generate(&mut rng(2));
    let says = Says::router(NOON);
    let cases = [
        ("future", Says { published: NOON + Duration::from_mins(3), ..says.clone() }, false),
        ("stale", Says { published: NOON - Duration::from_hours(30), ..says.clone() }, false),
        ("other network", Says { net: 2, ..says.clone() }, true),
        ("old version", Says { version: "0.9.20", ..says.clone() }, false),
        ("no version", Says { version: "", ..says.clone() }, false),
    ];
    for (name, says, _) in &cases {
        let info = says.sign(&keys);
        let actions = give_store(&mut db, now, keys.hash(), store_of(&info, Some(reply(7, keys.hash()))));
        assert!(db.get(&keys.hash()).is_none(), "{name}");
        assert_eq!((acks(&actions), floods(&actions).len()), (1, 0), "{name}");
    }
    assert!(!db.is_banned(&keys.hash(), NOON));
    // Under another's key, with a broken signature, no gzip at all, too long.
    let info = says.sign(&keys);
    let mut wrong_key = store_of(&info, None);
    wrong_key.key = [9; 32];
    let mut bytes = info.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = allium_wire::RouterInfo::decode(bytes.into()).unwrap();
    let broken = store_of(forged.unverified(), None);
    let no_gzip = DatabaseStore { data: StoreData::RouterInfo(vec![7; 300].into()), ..broken.clone() };
    let mut banned = false;
    for store in [wrong_key, broken.clone(), no_gzip, broken] {
        let actions = give_store(&mut db, now, keys.hash(), store);
        assert!(db.get(&keys.hash()).is_none());
        banned |= actions.iter().any(|action| matches!(action, Action::Banned { .. }));
    }
    assert!(banned && db.is_banned(&keys.hash(), NOON));
    give_store(&mut db, now, keys.hash(), store_of(&info, None));
    assert!(db.get(&keys.hash()).is_none(), "nothing is taken from it any more");
    assert!(!db.is_banned(&keys.hash(), NOON + Duration::from_mins(11)));
}

#[test]
fn bad_lease_sets_are_refused() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let from = neighbours[0].hash();
    let keys = DestinationKeys::generate(&mut rng(3));
    let key = keys.destination().hash();
    let mut rng = rng(4);
    let ten = Duration::from_mins(10);
    let mut store = |published, life| {
        let set = lease_set(&keys, published, life, &mut rng);
        DatabaseStore { key, reply: Some(reply(7, from)), data: StoreData::LeaseSet(3, set.bytes().clone()) }
    };
    let old = store(NOON - Duration::from_mins(11), ten);
    let future = store(NOON + Duration::from_mins(3), ten);
    let long = store(NOON, Duration::from_mins(30));
    let first = store(NOON, ten);
    let second = store(NOON + Duration::from_secs(1), ten);
    let mut other_type = first.clone();
    other_type.data = StoreData::LeaseSet(
        7,
        match &first.data {
            StoreData::LeaseSet(_, bytes) => bytes.clone(),
            StoreData::RouterInfo(_) => unreachable!(),
        },
    );
    let mut other_key = first.clone();
    other_key.key = [1; 32];
    for store in [old, future, long, other_type, other_key] {
        let actions = give_store(&mut db, now, from, store);
        assert_eq!((acks(&actions), floods(&actions).len()), (1, 0));
        assert_eq!(db.stats(NOON).lease_sets, 0);
    }
    assert_eq!(floods(&give_store(&mut db, now, from, second.clone())).len(), 3);
    assert_eq!(floods(&give_store(&mut db, now, from, first)).len(), 0, "older");
    assert_eq!(floods(&give_store(&mut db, now, from, second)).len(), 0, "the same");
}

#[test]
fn nobody_is_made_to_dial_strangers() {
    let now = now(NOON);
    let (mut db, _) = floodfill(now);
    let keys = RouterKeys::generate(&mut rng(2));
    let info = Says::router(NOON).sign(&keys);
    let actions = give_store(&mut db, now, keys.hash(), store_of(&info, Some(reply(7, RouterHash([8; 32])))));
    assert_eq!(acks(&actions), 0);
    let mut lookup = question([3; 32], LookupKind::LeaseSet, RouterHash([8; 32]));
    assert!(ask(&mut db, now, Origin::Link(keys.hash()), &lookup).is_none(), "for another");
    assert!(ask(&mut db, now, Origin::Garlic, &lookup).is_none(), "for somebody unknown");
    lookup.reply_tunnel = Some(TunnelId(4));
    assert!(ask(&mut db, now, Origin::Garlic, &lookup).is_some(), "through a tunnel");
}

fn question(key: [u8; 32], kind: LookupKind, from: RouterHash) -> DatabaseLookup {
    DatabaseLookup { key, from, reply_tunnel: None, kind, excluded: Vec::new(), reply_key: None }
}

/// The message that answers a lookup, with where it goes.
fn ask(db: &mut NetDb, now: Now, origin: Origin, lookup: &DatabaseLookup) -> Option<Message> {
    let message = lookup.clone().into_message(1, now.date + Duration::from_secs(10));
    let actions = give(db, now, origin, message);
    let mut replies = actions.into_iter().filter(|action| matches!(action, Action::SendReply { .. }));
    replies.next().map(|action| match action {
        Action::SendReply { to, tunnel, encrypt, message } => {
            assert_eq!((to, tunnel), (lookup.from, lookup.reply_tunnel));
            assert_eq!(encrypt.map(|key| key.tag), lookup.reply_key.map(|key| key.tag));
            message
        }
        other => panic!("{other:?}"),
    })
}

#[test]
fn lookups_are_answered_by_what_was_stored_or_by_who_is_closer() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let asker = RouterKeys::generate(&mut rng(2));
    let origin = Origin::Link(asker.hash());
    let destination = DestinationKeys::generate(&mut rng(3));
    let set = lease_set(&destination, NOON, Duration::from_mins(10), &mut rng(4));
    let key = set.hash().0;
    let miss = ask(&mut db, now, origin, &question(key, LookupKind::LeaseSet, asker.hash())).unwrap();
    let miss = DatabaseSearchReply::decode(&miss.body).unwrap();
    assert_eq!((miss.key, miss.peers.len(), miss.from), (key, 3, db.config.own));
    let mut picky = question(key, LookupKind::LeaseSet, asker.hash());
    picky.excluded = neighbours[1..].iter().map(RouterKeys::hash).collect();
    picky.reply_key = Some(ReplyKey { key: [1; 32], tag: [2; 8] });
    let rest = DatabaseSearchReply::decode(&ask(&mut db, now, origin, &picky).unwrap().body).unwrap();
    assert_eq!(rest.peers, [neighbours[0].hash()]);

    let store = DatabaseStore { key, reply: None, data: StoreData::LeaseSet(3, set.bytes().clone()) };
    give_store(&mut db, now, neighbours[0].hash(), store.clone());
    for kind in [LookupKind::LeaseSet, LookupKind::Any] {
        let hit = ask(&mut db, now, origin, &question(key, kind, asker.hash())).unwrap();
        assert_eq!(DatabaseStore::decode(&hit.body).unwrap(), store);
    }
    let as_router = ask(&mut db, now, origin, &question(key, LookupKind::RouterInfo, asker.hash())).unwrap();
    assert_eq!(as_router.kind, Kind::DatabaseSearchReply);
    let later = Now { date: NOON + Duration::from_mins(11), ..now };
    let ended = ask(&mut db, later, origin, &question(key, LookupKind::LeaseSet, asker.hash())).unwrap();
    assert_eq!(ended.kind, Kind::DatabaseSearchReply);

    let router = question(neighbours[2].hash().0, LookupKind::RouterInfo, asker.hash());
    let found = ask(&mut db, now, origin, &router).unwrap();
    assert_eq!(DatabaseStore::decode(&found.body).unwrap().key, neighbours[2].hash().0);
}

#[test]
fn explorers_hear_of_ordinary_routers_only() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let mut rng = rng(9);
    let routers: Vec<RouterKeys> = (0..12).map(|_| RouterKeys::generate(&mut rng)).collect();
    for keys in &routers {
        db.handle(now, Input::Learned(Says::router(NOON).sign(keys)));
    }
    let hidden = RouterKeys::generate(&mut rng);
    db.handle(now, Input::Learned(Says { caps: "LH", ..Says::router(NOON) }.sign(&hidden)));
    drain(&mut db, now);
    let asker = routers[0].hash();
    let mut lookup = question([5; 32], LookupKind::Exploration, asker);
    lookup.excluded = routers[1..6].iter().map(RouterKeys::hash).collect();
    let reply = ask(&mut db, now, Origin::Link(asker), &lookup).unwrap();
    let reply = DatabaseSearchReply::decode(&reply.body).unwrap();
    let mut expected: Vec<RouterHash> = routers[6..].iter().map(RouterKeys::hash).collect();
    let mut peers = reply.peers.clone();
    expected.sort_unstable();
    peers.sort_unstable();
    assert_eq!(peers, expected, "neither floodfills, the hidden, the excluded nor the asker");
    assert!(neighbours.iter().all(|keys| !reply.peers.contains(&keys.hash())));
}

#[test]
fn our_own_tunnels_are_answered_nothing() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let own = db.config.own;
    for client in [None, Some(ClientId(1))] {
        let origin = Origin::Tunnel { client, tag: None };
        for kind in [LookupKind::RouterInfo, LookupKind::LeaseSet, LookupKind::Exploration] {
            for key in [own.0, neighbours[0].hash().0] {
                let mut lookup = question(key, kind, neighbours[0].hash());
                assert!(ask(&mut db, now, origin, &lookup).is_none());
                lookup.reply_tunnel = Some(TunnelId(3));
                assert!(ask(&mut db, now, origin, &lookup).is_none());
            }
        }
        // Nor is anything stored through them, and so served to others.
        let destination = DestinationKeys::generate(&mut rng(3));
        let set = lease_set(&destination, NOON, Duration::from_mins(10), &mut rng(4));
        let store = DatabaseStore {
            key: set.hash().0,
            reply: Some(reply(5, neighbours[0].hash())),
            data: StoreData::LeaseSet(3, set.bytes().clone()),
        };
        assert!(give(&mut db, now, origin, store.into_message(1, NOON)).is_empty());
        assert_eq!(db.stats(NOON).lease_sets, 0);
    }
}

#[test]
fn an_answer_to_a_client_is_not_served() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let client = Some(ClientId(4));
    let destination = DestinationKeys::generate(&mut rng(3));
    let set = lease_set(&destination, NOON, Duration::from_mins(10), &mut rng(4));
    let paths = vec![ReplyPath { gateway: neighbours[4].hash(), tunnel: TunnelId(3) }];
    db.handle(now, Input::ReplyPaths { client, paths });
    db.handle(now, Input::FindLeaseSet { destination: set.hash(), query: QueryId(1), client });
    let actions = drain(&mut db, now);
    let tag = actions.iter().find_map(|action| match action {
        Action::ExpectReply { key, .. } => Some(key.tag),
        _ => None,
    });
    let store =
        DatabaseStore { key: set.hash().0, reply: None, data: StoreData::LeaseSet(3, set.bytes().clone()) };
    let message = store.into_message(1, NOON);
    let wrong = Origin::Tunnel { client: Some(ClientId(5)), tag };
    assert!(give(&mut db, now, wrong, message.clone()).is_empty(), "down another's tunnel");
    let actions = give(&mut db, now, Origin::Tunnel { client, tag }, message);
    assert!(matches!(actions[..], [Action::Found { query: QueryId(1), .. }]), "{actions:?}");
    let asker = neighbours[0].hash();
    let again = ask(&mut db, now, Origin::Link(asker), &question(set.hash().0, LookupKind::LeaseSet, asker));
    assert_eq!(again.unwrap().kind, Kind::DatabaseSearchReply);
    assert_eq!(LeaseSetRecord::from(&LeaseSet::V2(set)).store_type, 3);
}

#[test]
fn other_routers_are_told_only_of_themselves_by_a_router_that_is_no_floodfill() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let mut config = db.config.clone();
    config.floodfill = false;
    db.handle(now, Input::Configure(config));
    db.handle(now, Input::Unlinked(neighbours[0].hash()));
    drain(&mut db, now);
    let asker = neighbours[0].hash();
    let own = question(db.config.own.0, LookupKind::RouterInfo, asker);
    assert_eq!(ask(&mut db, now, Origin::Link(asker), &own).unwrap().kind, Kind::DatabaseStore);
    for kind in [LookupKind::LeaseSet, LookupKind::RouterInfo, LookupKind::Exploration, LookupKind::Any] {
        let other = question(neighbours[1].hash().0, kind, asker);
        assert!(ask(&mut db, now, Origin::Link(asker), &other).is_none());
    }
    assert!(ask(&mut db, now, Origin::Garlic, &own).is_none());
}

#[test]
fn askers_and_storers_are_limited() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    let asker = neighbours[0].hash();
    let answered = (0..200u8)
        .filter(|key| {
            let lookup = question([*key; 32], LookupKind::LeaseSet, asker);
            ask(&mut db, now, Origin::Link(asker), &lookup).is_some()
        })
        .count();
    assert_eq!(answered, 40);
    let later = Now { instant: now.instant + Duration::from_secs(4), ..now };
    let lookup = question([9; 32], LookupKind::LeaseSet, asker);
    assert!(ask(&mut db, later, Origin::Link(asker), &lookup).is_some());

    let mut rng = rng(20);
    for _ in 0..500 {
        let keys = RouterKeys::generate(&mut rng);
        give_store(&mut db, now, asker, store_of(&Says::router(NOON).sign(&keys), None));
    }
    assert!(db.len() <= 205, "{}", db.len());
}

#[test]
fn search_replies_with_junk_lead_nowhere() {
    let now = now(NOON);
    let (mut db, neighbours) = floodfill(now);
    for keys in &neighbours {
        db.handle(now, Input::Linked(keys.hash()));
    }
    db.handle(now, Input::FindRouter { router: RouterHash([3; 32]), query: QueryId(1) });
    let actions = drain(&mut db, now);
    let asked: Vec<RouterHash> = sent_lookups(&actions);
    assert_eq!(asked.len(), 2);
    let mut peers = vec![db.config.own, RouterHash([0; 32]), RouterHash([3; 32]), asked[0]];
    peers.extend((10..210).map(|byte| RouterHash([byte; 32])));
    let junk = DatabaseSearchReply { key: [3; 32], peers, from: RouterHash([77; 32]) };
    let junk = junk.into_message(1, NOON);
    assert!(give(&mut db, now, Origin::Link(RouterHash([6; 32])), junk.clone()).is_empty(), "not asked");
    assert!(give(&mut db, now, Origin::Tunnel { client: None, tag: None }, junk.clone()).is_empty());
    let actions = give(&mut db, now, Origin::Link(asked[0]), junk.clone());
    let followed = sent_lookups(&actions);
    assert_eq!(
        followed.iter().filter(|to| **to == asked[0]).count(),
        6,
        "a bounded number, asked of the referrer"
    );
    assert!(give(&mut db, now, Origin::Link(asked[0]), junk).is_empty(), "twice");
    // The referrals of referrals are not followed.
    let reply = DatabaseSearchReply { key: [10; 32], peers: vec![RouterHash([99; 32])], from: asked[0] };
    let actions = give(&mut db, now, Origin::Link(asked[0]), reply.into_message(2, NOON));
    let keys = actions.iter().filter_map(|action| match action {
        Action::SendDirect { message, .. } => DatabaseLookup::decode(&message.body).ok(),
        _ => None,
    });
    assert!(keys.into_iter().all(|lookup| lookup.key != [99; 32]));
    let mut end = now;
    for _ in 0..100 {
        end.instant += Duration::from_millis(500);
        end.date = end.date + Duration::from_millis(500);
        drain(&mut db, end);
    }
    assert!(db.lookups.len() <= 1, "only an exploration may run");
    assert!(db.tags.is_empty() && db.queries.is_empty());
}

fn sent_lookups(actions: &[Action]) -> Vec<RouterHash> {
    let to = |action: &Action| match action {
        Action::SendDirect { to, message } if message.kind == Kind::DatabaseLookup => Some(*to),
        _ => None,
    };
    actions.iter().filter_map(to).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_do_harm(kind in 0u8..12, body: Vec<u8>, link: bool, tag: Option<[u8; 8]>) {
        let now = now(NOON);
        let (mut db, neighbours) = floodfill(now);
        let origin = if link { Origin::Link(neighbours[0].hash()) } else { Origin::Tunnel { client: None, tag } };
        let message = Message::new(Kind::from(kind), 1, NOON, body[..].into());
        give(&mut db, now, origin, message);
    }
}
