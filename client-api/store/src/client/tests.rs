use std::collections::BTreeSet;

use allium_content::block::Block;

use super::*;
use crate::testing::{Sent, after, content, converse, honest, node, signed, start, wait};
use crate::wire::Refusal;

fn client(peers: &[DestHash]) -> Client<Block> {
    let mut client = Client::new(Config::default(), Rng::from_seed([5; 32]));
    client.handle(start(), Input::Peers(peers.to_vec()));
    client
}

fn get(client: &mut Client<Block>, now: Now, id: u64, key: Key, newest: bool) {
    client.handle(now, Input::Get { id: RequestId(id), key, newest });
}

fn put(client: &mut Client<Block>, now: Now, id: u64, block: &Block) {
    client.handle(now, Input::Put { id: RequestId(id), block: block.clone() });
}

fn nodes(count: u8) -> Vec<DestHash> {
    (1..=count).map(node).collect()
}

fn got(actions: &[Action<Block>]) -> Option<&Block> {
    actions.iter().find_map(|action| if let Action::Got { block, .. } = action { Some(block) } else { None })
}

#[test]
fn a_block_is_found_at_a_node_that_another_one_names() {
    let (all, block) = (nodes(20), content(1));
    let mut client = client(&all[..1]);
    get(&mut client, start(), 1, Stored::key(&block), false);
    let holder = all[9];
    let done = converse(&mut client, start(), |to, sent| {
        honest(if to == holder { std::slice::from_ref(&block) } else { &[] }, &all[..10], sent)
    });
    assert_eq!(got(&done), Some(&block));
    let known: BTreeSet<_> = client.known_peers(start()).into_iter().map(|peer| peer.node).collect();
    assert!(known.contains(&holder) && !known.contains(&all[19]));
}

#[test]
fn wrong_bytes_cost_their_sender_the_acquaintance() {
    let (all, block) = (nodes(3), content(1));
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&block), false);
    let mut liars = BTreeSet::new();
    let done = converse(&mut client, start(), |to, sent| match sent {
        // Whoever is asked first lies.
        Sent::Frame(Frame::Get { id, .. }) if liars.is_empty() || liars.contains(&to) => {
            liars.insert(to);
            Some(Sent::Frame(Frame::Block { id: *id, bytes: Stored::encode(&content(2)) }))
        }
        _ => honest(std::slice::from_ref(&block), &all, sent),
    });
    assert_eq!(got(&done), Some(&block));
    let liar = *liars.first().unwrap();
    assert!(done.iter().any(|action| matches!(action, Action::Close(peer) if *peer == liar)));
    assert!(client.known_peers(start()).iter().all(|peer| peer.node != liar));
    get(&mut client, after(1), 2, Stored::key(&content(3)), false);
    converse(&mut client, after(1), |to, sent| {
        assert_ne!(to, liar, "it is not asked again");
        honest(&[], &all, sent)
    });
}

#[test]
fn one_node_that_does_not_find_is_not_believed() {
    let (all, block) = (nodes(8), content(1));
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&block), false);
    // The last of those asked has it, and says so only when asked for the block itself.
    let mut asked = BTreeSet::new();
    let done = converse(&mut client, start(), |to, sent| {
        asked.insert(to);
        let blocks = if asked.len() == 8 && to == all[7] { std::slice::from_ref(&block) } else { &[] };
        honest(blocks, &all, sent)
    });
    assert!(matches!(done[..], [Action::Failed { why: Why::Absent, .. }]) || got(&done).is_some());
    assert!(asked.len() >= 8, "all were asked: {asked:?}");
}

#[test]
fn what_nobody_has_ends_within_a_minute() {
    let all = nodes(30);
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&content(1)), false);
    let done = converse(&mut client, start(), |_, sent| honest(&[], &all[..16], sent));
    assert!(matches!(done[..], [Action::Failed { why: Why::Absent, .. }]), "{done:?}");

    let mut silence = self::client(&all);
    get(&mut silence, start(), 1, Stored::key(&content(1)), true);
    let (at, done) = wait(&mut silence, |_, _| None);
    assert!(matches!(done[..], [Action::Failed { why: Why::Unanswered, .. }]), "{done:?}");
    assert!(at.instant <= after(60).instant);

    let mut alone = self::client(&[]);
    get(&mut alone, start(), 1, Stored::key(&content(1)), false);
    assert!(matches!(
        converse(&mut alone, start(), |_, _| None)[..],
        [Action::Failed { why: Why::NoPeers, .. }]
    ));
}

#[test]
fn one_silent_node_does_not_hold_up_what_others_do_not_have_and_several_do() {
    for (silent, soon) in [(1, true), (2, false)] {
        let (mut all, key) = (nodes(8), Stored::key(&content(1)));
        all.sort_by_key(|node| crate::place::distance(&Place::of(node).0, &key.0));
        let mut client = client(&all);
        converse(&mut client, start(), |_, sent| honest(&[], &all, sent));
        get(&mut client, after(1), 1, key, false);
        let (at, done) =
            wait(
                &mut client,
                |to, sent| {
                    if all[..silent].contains(&to) { None } else { honest(&[], &all, sent) }
                },
            );
        assert!(matches!(done[..], [Action::Failed { .. }]), "{done:?}");
        let took = at.instant - start().instant;
        assert_eq!(at.instant < after(15).instant, soon, "{took:?} {done:?}");
    }
}

#[test]
fn a_multitude_of_hopeless_gets_ends() {
    let mut config = Config { gets: 1, ..Config::default() };
    config.backlog = 50_000;
    let mut client: Client<Block> = Client::new(config, Rng::from_seed([5; 32]));
    for id in 0..40_000 {
        get(&mut client, start(), id, Key([7; 32]), false);
    }
    let mut failed = 0;
    while let Some(action) = client.poll(start()) {
        failed += usize::from(matches!(action, Action::Failed { .. }));
    }
    assert_eq!(failed, 40_000);
    assert_eq!(client.stats().gets, 0);
}

#[test]
fn a_lost_question_is_asked_again() {
    let (all, block) = (nodes(1), content(1));
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&block), false);
    let mut lost = BTreeSet::new();
    let mut answer = |_, sent: &Sent| match sent {
        Sent::Datagram(Datagram::Find { id, .. }) if lost.insert(*id) => None,
        _ => honest(std::slice::from_ref(&block), &[], sent),
    };
    let before = converse(&mut client, start(), &mut answer);
    assert!(before.is_empty());
    let (_, done) = wait(&mut client, answer);
    assert_eq!(got(&done), Some(&block));
    assert!(client.stats().again > 0);
}

#[test]
fn answers_of_others_are_no_answers() {
    let (all, block) = (nodes(2), content(1));
    let mut client = client(&all[..1]);
    get(&mut client, start(), 1, Stored::key(&block), false);
    let mut ids = Vec::new();
    converse(&mut client, start(), |_, sent| {
        if let Sent::Datagram(Datagram::Find { id, keys, .. }) = sent {
            ids.push((*id, keys.len()));
        }
        None
    });
    for (id, keys) in ids {
        for (from, id) in [(all[1], id), (all[0], id ^ 1)] {
            let answers = vec![crate::wire::Answer { have: true, closest: Vec::new() }; keys];
            let bytes = Datagram::Found { id, nodes: Vec::new(), answers }.encode();
            client.handle(start(), Input::Datagram { from, bytes });
        }
    }
    assert_eq!(client.stats().peers, 0);
    let block = Frame::Block { id: 7, bytes: Stored::encode(&block) };
    client.handle(start(), Input::Frame { from: all[1], bytes: block.encode() });
    assert!(converse(&mut client, start(), |_, _| None).is_empty());
}

#[test]
fn who_names_many_strangers_is_followed_to_a_few() {
    let mut client = client(&nodes(1));
    let made_up: Vec<_> = (100..116).map(node).collect();
    let mut asked = BTreeSet::new();
    converse(&mut client, start(), |to, sent| {
        asked.insert(to);
        if to == node(1) { honest(&[], &made_up, sent) } else { None }
    });
    assert!(asked.len() <= 7, "{asked:?}");
    assert_eq!(client.stats().peers, 1, "who did not answer is not known");
}

#[test]
fn the_newest_version_wins_over_replayed_ones() {
    let all = nodes(6);
    let [old, new] = [signed(1, 4, 0), signed(1, 5, 0)];
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&old), true);
    let mut backs = Vec::new();
    let done = converse(&mut client, start(), |to, sent| {
        if let Sent::Frame(Frame::Put { bytes, .. }) = sent {
            backs.push(bytes.clone());
        }
        let held = if to == all[0] || to == all[2] { &new } else { &old };
        honest(std::slice::from_ref(held), &all, sent)
    });
    let found = got(&done).expect("found");
    // Three of six are heard: at least one of four with an old one, and one of two with the new one unless none is.
    assert!(client.stats().fetches >= 3);
    if *found == new {
        assert!(
            backs.iter().all(|bytes| *bytes == Stored::encode(&new)),
            "who has an old one gets the new one"
        );
    }
    get(&mut client, after(1), 2, Stored::key(&old), true);
    let done = converse(&mut client, after(1), |_, sent| honest(std::slice::from_ref(&new), &all, sent));
    assert_eq!(got(&done), Some(&new));
}

#[test]
fn a_put_is_done_when_two_have_it_and_watched_until_it_has_spread() {
    let (all, block) = (nodes(10), content(1));
    let mut client = client(&all);
    put(&mut client, start(), 1, &block);
    let mut holders = BTreeSet::new();
    let mut spread = false;
    let answer = |holders: &mut BTreeSet<DestHash>, spread: bool, to: DestHash, sent: &Sent| {
        if let Sent::Frame(Frame::Put { .. }) = sent {
            holders.insert(to);
        }
        let has = spread || holders.contains(&to);
        honest(if has { std::slice::from_ref(&block) } else { &[] }, &all, sent)
    };
    let done = converse(&mut client, start(), |to, sent| answer(&mut holders, spread, to, sent));
    assert!(matches!(done[..], [Action::Stored { holders: 2, .. }]), "{done:?}");
    assert_eq!(holders.len(), 2);
    spread = true;
    let (_, done) = wait(&mut client, |to, sent| answer(&mut holders, spread, to, sent));
    assert!(matches!(done[..], [Action::Spread { holders: 4, .. }]), "{done:?}");
    assert_eq!(holders.len(), 2, "the nodes did the rest");
}

#[test]
fn a_put_that_does_not_spread_is_mended() {
    let (all, block) = (nodes(10), content(1));
    let mut client = client(&all);
    put(&mut client, start(), 1, &block);
    let mut holders = BTreeSet::new();
    let mut answer = |to: DestHash, sent: &Sent| {
        if let Sent::Frame(Frame::Put { .. }) = sent {
            holders.insert(to);
        }
        honest(if holders.contains(&to) { std::slice::from_ref(&block) } else { &[] }, &all, sent)
    };
    converse(&mut client, start(), &mut answer);
    let (_, done) = wait(&mut client, &mut answer);
    assert!(matches!(done[..], [Action::Spread { holders: 4, .. }]), "{done:?}");
    assert_eq!(holders.len(), 4);
}

#[test]
fn refusals_send_a_put_elsewhere_or_back() {
    let (all, block) = (nodes(10), content(1));
    let mut full = client(&all);
    put(&mut full, start(), 1, &block);
    let mut refused = 0;
    let done = converse(&mut full, start(), |_, sent| match sent {
        Sent::Frame(Frame::Put { id, .. }) if refused < 3 => {
            refused += 1;
            Some(Sent::Frame(Frame::Refused { id: *id, why: Refusal::Full }))
        }
        _ => honest(&[], &all, sent),
    });
    assert!(matches!(done[..], [Action::Stored { holders: 2, .. }]), "{done:?}");

    for (why, lying) in [(Refusal::Older, 10), (Refusal::Full, 10), (Refusal::Older, 1)] {
        let mut client = client(&all);
        put(&mut client, start(), 1, &signed(1, 4, 0));
        let mut refused = 0;
        let done = converse(&mut client, start(), |_, sent| match sent {
            Sent::Frame(Frame::Put { id, .. }) if refused < lying => {
                refused += 1;
                Some(Sent::Frame(Frame::Refused { id: *id, why }))
            }
            _ => honest(&[], &all, sent),
        });
        match done[..] {
            [Action::Failed { why: Why::Refused(said), .. }] => assert_eq!((said, lying), (why, 10)),
            [Action::Stored { holders: 2, .. }] => assert_eq!(lying, 1, "one alone is not believed"),
            _ => panic!("{done:?}"),
        }
    }
}

#[test]
fn a_network_of_one_node_stores_too() {
    let mut client = client(&nodes(1));
    put(&mut client, start(), 1, &content(1));
    let done = converse(&mut client, start(), |_, sent| honest(&[], &[], sent));
    assert!(matches!(done[..], [Action::Stored { holders: 1, .. }]), "{done:?}");
}

#[test]
fn a_slow_node_is_not_waited_for() {
    let (all, block) = (nodes(6), content(1));
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&block), false);
    let mut slow = None;
    let mut answer = |to: DestHash, sent: &Sent| match sent {
        Sent::Frame(Frame::Get { .. }) if slow.is_none_or(|slow| slow == to) => {
            slow = Some(to);
            None
        }
        _ => honest(std::slice::from_ref(&block), &all, sent),
    };
    assert!(converse(&mut client, start(), &mut answer).is_empty());
    let (at, done) = wait(&mut client, answer);
    assert_eq!(got(&done), Some(&block));
    assert!(at.instant <= after(10).instant);
    assert_eq!(client.stats().hedged, 1);
}

#[test]
fn a_closed_channel_sends_gets_elsewhere() {
    let (all, block) = (nodes(6), content(1));
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&block), false);
    let mut first = None;
    let mut answer = |to: DestHash, sent: &Sent| match sent {
        Sent::Frame(Frame::Get { .. }) if first.is_none_or(|first| first == to) => {
            first = Some(to);
            None
        }
        _ => honest(std::slice::from_ref(&block), &all, sent),
    };
    converse(&mut client, start(), &mut answer);
    client.handle(after(1), Input::Closed(first.unwrap()));
    let done = converse(&mut client, after(1), |_, sent| honest(std::slice::from_ref(&block), &all, sent));
    assert_eq!(got(&done), Some(&block));
}

#[test]
fn no_more_is_under_way_with_a_peer_than_its_window_and_lookups_are_few() {
    let all = nodes(3);
    let blocks: Vec<_> = (0..400).map(content).collect();
    let mut client = client(&all);
    converse(&mut client, start(), |_, sent| honest(&[], &all, sent));
    for (id, block) in blocks.iter().enumerate() {
        get(&mut client, after(1), id as u64, Stored::key(block), false);
    }
    let mut under_way: BTreeMap<DestHash, Vec<Sent>> = BTreeMap::new();
    let mut found = 0;
    for second in 1.. {
        let done = converse(&mut client, after(second), |to, sent| match sent {
            Sent::Frame(_) => {
                under_way.entry(to).or_default().push(sent.clone());
                None
            }
            Sent::Datagram(_) => honest(&[], &all, sent),
        });
        found += done.iter().filter(|action| matches!(action, Action::Got { .. })).count();
        if found == blocks.len() {
            break;
        }
        assert!(second < 100, "{found}");
        for (node, sent) in std::mem::take(&mut under_way) {
            assert!(sent.len() <= 64);
            for sent in sent {
                let Some(Sent::Frame(frame)) = honest(&blocks, &all, &sent) else { panic!() };
                client.handle(after(second), Input::Frame { from: node, bytes: frame.encode() });
            }
        }
    }
    assert!(client.stats().lookups <= 2, "{:?}", client.stats());
}

#[test]
fn what_is_cancelled_is_not_answered() {
    let (all, block) = (nodes(3), content(1));
    let mut client = client(&all);
    get(&mut client, start(), 1, Stored::key(&block), false);
    put(&mut client, start(), 2, &block);
    client.handle(start(), Input::Cancel(RequestId(1)));
    client.handle(start(), Input::Cancel(RequestId(2)));
    let done = converse(&mut client, start(), |_, sent| honest(std::slice::from_ref(&block), &all, sent));
    assert!(done.is_empty(), "{done:?}");
    assert_eq!((client.stats().gets, client.stats().puts), (0, 0));
}

#[test]
fn holders_are_counted() {
    let (all, block) = (nodes(12), content(1));
    let mut client = client(&all);
    client.handle(start(), Input::Count { id: RequestId(3), key: Stored::key(&block) });
    let done = converse(&mut client, start(), |to, sent| {
        honest(if to.0[0] <= 3 { std::slice::from_ref(&block) } else { &[] }, &all, sent)
    });
    assert!(matches!(done[..], [Action::Spread { id: RequestId(3), holders: 3 }]), "{done:?}");
}
