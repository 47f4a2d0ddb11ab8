use std::time::Duration;

use allium_wire::i2np::{
    DatabaseLookup, DatabaseStore, DeliveryStatus, Kind, LookupKind, Message, StoreData,
};
use allium_wire::{Date, DestinationKeys, Engine, Now, RouterHash, RouterKeys, TunnelId};

use crate::io::{Action, ClientId, Config, Found, Input, Origin, QueryId, ReplyPath, Subject, Why};
use crate::testing::{NET, NOON, Says, drain, lease_set, now, rng};
use crate::{LeaseSetRecord, NetDb, Observation, Profiles};

fn later(now: Now, time: Duration) -> Now {
    Now { instant: now.instant + time, date: now.date + time }
}

fn router(now: Now, floodfills: usize) -> (NetDb, RouterKeys, Vec<RouterKeys>) {
    let mut rng = rng(1);
    let own = RouterKeys::generate(&mut rng);
    let mut db = NetDb::new(Config { explore: false, ..Config::new(own.hash(), NET) }, now, rng.fork());
    let keys: Vec<RouterKeys> = (0..floodfills).map(|_| RouterKeys::generate(&mut rng)).collect();
    for keys in &keys {
        db.handle(now, Input::Learned(Says::floodfill(now.date).sign(keys)));
    }
    drain(&mut db, now);
    (db, own, keys)
}

/// A local destination, and the inbound tunnel it has.
fn client_with_tunnels(db: &mut NetDb, now: Now) -> (ClientId, ReplyPath) {
    let client = ClientId(1);
    let path = ReplyPath { gateway: RouterHash([9; 32]), tunnel: TunnelId(5) };
    db.handle(now, Input::ReplyPaths { client: Some(client), paths: vec![path] });
    (client, path)
}

fn messages(actions: Vec<Action>, kind: Kind) -> Vec<(RouterHash, Message)> {
    let sent = actions.into_iter().filter_map(|action| match action {
        Action::SendDirect { to, message } | Action::SendTunnel { to, message, .. } => Some((to, message)),
        _ => None,
    });
    sent.filter(|(_, message)| message.kind == kind).collect()
}

#[test]
fn what_is_known_is_found_at_once_and_queries_are_joined() {
    let now = now(NOON);
    let (mut db, own, keys) = router(now, 3);
    db.handle(now, Input::FindRouter { router: keys[1].hash(), query: QueryId(1) });
    assert!(matches!(drain(&mut db, now)[..], [Action::Found { query: QueryId(1), what: Found::Router(_) }]));
    let wanted = RouterKeys::generate(&mut rng(5));
    for query in 2..5 {
        db.handle(now, Input::FindRouter { router: wanted.hash(), query: QueryId(query) });
    }
    let asked = messages(drain(&mut db, now), Kind::DatabaseLookup);
    assert_eq!(asked.len(), 2, "two floodfills in parallel, whoever asks");
    let question = DatabaseLookup::decode(&asked[0].1.body).unwrap();
    assert_eq!((question.from, question.kind), (own.hash(), LookupKind::RouterInfo));
    assert!(question.reply_tunnel.is_none() && question.reply_key.is_none());
    db.handle(now, Input::Cancel(QueryId(3)));
    db.handle(now, Input::Learned(Says::router(NOON).sign(&wanted)));
    let found: Vec<u64> = drain(&mut db, now)
        .iter()
        .filter_map(|action| match action {
            Action::Found { query, .. } => Some(query.0),
            _ => None,
        })
        .collect();
    assert_eq!(found, [2, 4]);
    assert!(db.lookups.is_empty() && db.queries.is_empty() && db.targets.is_empty());
}

#[test]
fn without_floodfills_there_is_no_waiting() {
    let now = now(NOON);
    let (mut db, _, _) = router(now, 0);
    db.handle(now, Input::FindRouter { router: RouterHash([4; 32]), query: QueryId(1) });
    assert!(matches!(drain(&mut db, now)[..], [Action::NotFound { why: Why::NoFloodfills, .. }]));
}

#[test]
fn lookups_through_tunnels_are_sealed_and_for_the_tunnels_given() {
    let now = now(NOON);
    let (mut db, _, keys) = router(now, 4);
    let path = ReplyPath { gateway: RouterHash([9; 32]), tunnel: TunnelId(5) };
    db.handle(now, Input::ReplyPaths { client: None, paths: vec![path] });
    db.handle(now, Input::FindRouter { router: RouterHash([4; 32]), query: QueryId(1) });
    let actions = drain(&mut db, now);
    let expected = actions.iter().find_map(|action| match action {
        Action::ExpectReply { client: None, key, until } => Some((*key, *until)),
        _ => None,
    });
    let (key, until) = expected.unwrap();
    assert!(until > now.instant + Duration::from_secs(15));
    let Action::SendTunnel { client: None, to, to_key, message } = &actions[1] else { panic!("{actions:?}") };
    let floodfill = keys.iter().find(|keys| keys.hash() == *to).unwrap();
    assert_eq!(floodfill.encryption().public(), *to_key);
    let question = DatabaseLookup::decode(&message.body).unwrap();
    assert_eq!((question.from, question.reply_tunnel), (path.gateway, Some(path.tunnel)));
    assert_eq!(question.reply_key.map(|key| (key.key, key.tag)), Some((key.key, key.tag)));
    // A linked floodfill is asked directly.
    for keys in &keys {
        db.handle(now, Input::Linked(keys.hash()));
    }
    db.handle(now, Input::FindRouter { router: RouterHash([5; 32]), query: QueryId(2) });
    assert!(drain(&mut db, now).iter().all(|action| matches!(action, Action::SendDirect { .. })));
}

#[test]
fn where_no_floodfill_answers_the_tunnels_may_be_to_blame() {
    let start = now(NOON);
    let (mut db, _, keys) = router(start, 3);
    let (client, _) = client_with_tunnels(&mut db, start);
    let destination = DestinationKeys::generate(&mut rng(9)).destination().dest_hash();
    db.handle(start, Input::FindLeaseSet { destination, query: QueryId(1), client: Some(client) });
    let (mut asked, mut ended) = (Vec::new(), None);
    for tick in 0..60 {
        let at = later(start, Duration::from_millis(500 * tick));
        for action in drain(&mut db, at) {
            match action {
                Action::SendTunnel { to, .. } => asked.push(to),
                Action::NotFound { why, .. } => ended = Some((why, at.date.since(start.date))),
                _ => {}
            }
        }
    }
    assert!(asked.len() > 3 && asked.len() <= 7, "{asked:?}");
    for floodfill in &keys {
        assert!(asked.contains(&floodfill.hash()));
    }
    assert!(
        asked[3..].iter().all(|again| asked[..3].contains(again)),
        "again, once all were asked: {asked:?}"
    );
    let (why, took) = ended.unwrap();
    assert!(why == Why::Unanswered && took <= Duration::from_secs(18), "{why:?} after {took:?}");
}

#[test]
fn a_failed_send_makes_room_for_the_next_floodfill() {
    let now = now(NOON);
    let (mut db, _, _) = router(now, 5);
    db.handle(now, Input::FindRouter { router: RouterHash([4; 32]), query: QueryId(1) });
    let asked = messages(drain(&mut db, now), Kind::DatabaseLookup);
    assert_eq!(asked.len(), 2);
    db.handle(now, Input::SendFailed { message: asked[0].1.id });
    let more = messages(drain(&mut db, now), Kind::DatabaseLookup);
    assert_eq!(more.len(), 1);
    let excluded = DatabaseLookup::decode(&more[0].1.body).unwrap().excluded;
    assert!(excluded.contains(&asked[0].0) && excluded.contains(&asked[1].0));
}

fn lease_set_of(seed: u8, date: Date) -> LeaseSetRecord {
    let keys = DestinationKeys::generate(&mut rng(seed));
    LeaseSetRecord::from(&lease_set(&keys, date, Duration::from_mins(10), &mut rng(seed + 1)))
}

#[test]
fn a_publication_goes_on_until_two_floodfills_have_it() {
    let now = now(NOON);
    let (mut db, own, _) = router(now, 5);
    db.handle(now, Input::PublishRouterInfo(Says::router(NOON).sign(&own)));
    let first = messages(drain(&mut db, now), Kind::DatabaseStore);
    assert_eq!(first.len(), 2, "to as many as are wanted");
    let reply = DatabaseStore::decode(&first[0].1.body).unwrap().reply.unwrap();
    assert_eq!((reply.gateway, reply.tunnel), (own.hash(), None));
    // Neither down a tunnel nor with another token can it be acknowledged.
    let ack = DeliveryStatus { id: reply.token, at: NOON }.into_message(1, NOON);
    let forged = DeliveryStatus { id: reply.token ^ 1, at: NOON }.into_message(1, NOON);
    let tunnel = Origin::Tunnel { client: None, tag: None };
    for (origin, message) in [(tunnel, ack.clone()), (Origin::Link(first[0].0), forged)] {
        db.handle(now, Input::Received { origin, message });
        assert!(drain(&mut db, now).is_empty());
    }
    // No answer: others are tried; then a late answer still counts.
    let then = later(now, Duration::from_secs(5));
    let second = messages(drain(&mut db, then), Kind::DatabaseStore);
    assert_eq!(second.len(), 2);
    assert!(second.iter().all(|(to, _)| first.iter().all(|(before, _)| to != before)));
    db.handle(then, Input::Received { origin: Origin::Link(first[0].0), message: ack });
    let actions = drain(&mut db, then);
    assert!(matches!(actions[..], [Action::Published { what: Subject::Router, ok: true }]), "{actions:?}");
    let token = DatabaseStore::decode(&second[0].1.body).unwrap().reply.unwrap().token;
    let ack = DeliveryStatus { id: token, at: NOON }.into_message(1, then.date);
    db.handle(then, Input::Received { origin: Origin::Link(second[0].0), message: ack });
    assert!(drain(&mut db, then).is_empty());
    // Then nothing until it is time to sign a new one.
    let mut at = then;
    let mut renewed = None;
    for _ in 0..60 {
        at = later(at, Duration::from_mins(1));
        for action in drain(&mut db, at) {
            assert!(matches!(action, Action::RenewRouterInfo), "{action:?}");
            renewed.get_or_insert(at.date.since(NOON));
        }
    }
    let renewed = renewed.unwrap();
    assert!(renewed > Duration::from_mins(29) && renewed < Duration::from_mins(42), "{renewed:?}");
}

#[test]
fn what_changes_twice_is_soon_published_but_not_again_and_again() {
    let start = now(NOON);
    let (mut db, _, _) = router(start, 3);
    let (client, _) = client_with_tunnels(&mut db, start);
    let keys = DestinationKeys::generate(&mut rng(3));
    let mut rounds = Vec::new();
    let mut published = None;
    for second in 0..120 {
        let at = later(start, Duration::from_secs(second));
        // Every second until the minute is over there is another LeaseSet.
        if second < 60 {
            let set = lease_set(&keys, at.date, Duration::from_mins(10), &mut rng(4));
            db.handle(at, Input::PublishLeaseSet { client, lease_set: LeaseSetRecord::from(&set) });
            published = Some(set.published());
        }
        for (_, message) in messages(drain(&mut db, at), Kind::DatabaseStore) {
            let store = DatabaseStore::decode(&message.body).unwrap();
            let token = store.reply.unwrap().token;
            let StoreData::LeaseSet(kind, bytes) = store.data else { panic!("a LeaseSet") };
            let sent = allium_wire::LeaseSet::decode_verified(kind, bytes).unwrap().published();
            rounds.push((second, sent));
            let ack = DeliveryStatus { id: token, at: at.date }.into_message(1, at.date);
            let origin = Origin::Tunnel { client: Some(client), tag: None };
            db.handle(at, Input::Received { origin, message: ack });
        }
    }
    rounds.dedup();
    let when: Vec<u64> = rounds.iter().map(|(second, _)| *second).collect();
    assert_eq!(when[..5], [0, 3, 6, 30, 33], "{rounds:?}");
    assert!(when.len() < 10, "{rounds:?}");
    assert_eq!(rounds.last().map(|(_, sent)| *sent), published, "the last one is told in the end");
}

#[test]
fn a_publication_that_nobody_acknowledges_is_told_and_tried_again() {
    let now = now(NOON);
    let (mut db, _, _) = router(now, 3);
    let (client, path) = client_with_tunnels(&mut db, now);
    db.handle(now, Input::PublishLeaseSet { client, lease_set: lease_set_of(3, NOON) });
    let (mut stores, mut failures) = (0, 0);
    for tick in 0..120 {
        for action in drain(&mut db, later(now, Duration::from_millis(500 * tick))) {
            match action {
                Action::SendTunnel { client: Some(ClientId(1)), message, .. } => {
                    let store = DatabaseStore::decode(&message.body).unwrap();
                    assert_eq!(
                        store.reply.map(|reply| (reply.gateway, reply.tunnel)),
                        Some((path.gateway, Some(path.tunnel)))
                    );
                    stores += 1;
                }
                Action::Published { ok: false, .. } => failures += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(failures >= 1 && stores > 3, "{stores} {failures}");
    // A LeaseSet that has ended is not published any more.
    drain(&mut db, later(now, Duration::from_mins(11)));
    assert!(db.publications.is_empty());
}

#[test]
fn a_lease_set_that_is_not_found_is_stored_elsewhere() {
    let now = now(NOON);
    let (mut db, _, _) = router(now, 6);
    let client = Some(ClientId(1));
    let path = ReplyPath { gateway: RouterHash([9; 32]), tunnel: TunnelId(5) };
    db.handle(now, Input::ReplyPaths { client, paths: vec![path] });
    db.handle(now, Input::PublishLeaseSet { client: ClientId(1), lease_set: lease_set_of(3, NOON) });
    let mut stored: Vec<RouterHash> = Vec::new();
    for tick in 0..200 {
        let at = later(now, Duration::from_millis(200 * tick));
        let mut tag = None;
        let actions = drain(&mut db, at);
        assert!(actions.len() < 10);
        for action in actions {
            match action {
                Action::ExpectReply { key, .. } => tag = Some(key.tag),
                Action::SendTunnel { to, message, .. } if message.kind == Kind::DatabaseStore => {
                    stored.push(to);
                    let token = DatabaseStore::decode(&message.body).unwrap().reply.unwrap().token;
                    let message = DeliveryStatus { id: token, at: at.date }.into_message(1, at.date);
                    let origin = Origin::Tunnel { client, tag: None };
                    db.handle(at, Input::Received { origin, message });
                }
                Action::SendTunnel { to, message, .. } => {
                    assert!(!stored.contains(&to), "others are asked");
                    let question = DatabaseLookup::decode(&message.body).unwrap();
                    let no =
                        allium_wire::i2np::DatabaseSearchReply { key: question.key, peers: vec![], from: to };
                    let origin = Origin::Tunnel { client, tag };
                    db.handle(at, Input::Received { origin, message: no.into_message(2, at.date) });
                }
                Action::Published { ok, .. } => assert!(ok),
                other => panic!("{other:?}"),
            }
        }
    }
    stored.sort_unstable();
    stored.dedup();
    assert!(stored.len() >= 4, "{stored:?}");
}

#[test]
fn old_routers_are_forgotten_and_the_number_is_bounded() {
    let start = now(NOON);
    let (mut db, _, _) = router(start, 3);
    let mut config = db.config.clone();
    config.max_routers = 200;
    db.handle(start, Input::Configure(config));
    let mut rng = rng(8);
    for age in 0..400 {
        let keys = RouterKeys::generate(&mut rng);
        let info = Says::router(NOON - Duration::from_mins(age)).sign(&keys);
        db.handle(start, Input::Learned(info));
        assert!(db.len() <= 200);
    }
    let forgotten = drain(&mut db, start).iter().filter(|action| matches!(action, Action::Forget(_))).count();
    assert!(forgotten >= 200);
    assert_eq!(db.floodfills(NOON).count(), 3, "floodfills are spared");
    assert_eq!(db.candidates(NOON).count(), db.len());
    let mut at = start;
    for _ in 0..100 {
        at = later(at, Duration::from_hours(1));
        drain(&mut db, at);
    }
    assert!(db.is_empty() || db.len() <= 50, "{}", db.len());
}

#[test]
fn profiles_guide_the_choice_of_floodfills() {
    let now = now(NOON);
    let (mut db, _, keys) = router(now, 3);
    let silent = keys[0].hash();
    for _ in 0..2 {
        db.handle(now, Input::Observed(silent, Observation::Silent));
    }
    db.handle(now, Input::FindRouter { router: RouterHash([4; 32]), query: QueryId(1) });
    let asked = messages(drain(&mut db, now), Kind::DatabaseLookup);
    assert!(asked.iter().all(|(to, _)| *to != silent));
    db.handle(now, Input::Misbehaved(keys[1].hash(), 5.0));
    assert!(matches!(drain(&mut db, now)[..], [Action::Banned { .. }]));
    assert_eq!((db.floodfills(NOON).count(), db.stats(NOON).banned), (2, 1));
    let saved = db.profiles().save().unwrap();
    db.restore_profiles(Profiles::restore(&saved, 100).unwrap());
    assert_eq!(db.profiles().get(&silent).unwrap().silent_streak, 2);
}

#[test]
fn want_of_an_outbound_tunnel_uses_nothing_up() {
    let now = now(NOON);
    let (mut db, _, _) = router(now, 3);
    let (client, _) = client_with_tunnels(&mut db, now);
    db.handle(now, Input::PublishLeaseSet { client, lease_set: lease_set_of(3, NOON) });
    let destination = DestinationKeys::generate(&mut rng(9)).destination().dest_hash();
    db.handle(now, Input::FindLeaseSet { destination, query: QueryId(1), client: Some(client) });
    let mut sent = 0;
    for tick in 0..50 {
        let at = later(now, Duration::from_millis(200 * tick));
        for action in drain(&mut db, at) {
            match action {
                Action::SendTunnel { message, .. } => {
                    sent += 1;
                    db.handle(at, Input::SendFailed { message: message.id });
                }
                Action::ExpectReply { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert!((15..50).contains(&sent), "tried again about once a second: {sent}");
    let at = later(now, Duration::from_secs(12));
    let asked =
        drain(&mut db, at).into_iter().filter(|action| matches!(action, Action::SendTunnel { .. })).count();
    assert_eq!(asked, 4, "and all is sent when there is one");
    assert_eq!(db.tags.len(), 2);
}
