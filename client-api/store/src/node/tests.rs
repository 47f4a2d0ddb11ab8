use allium_content::block::Block;

use super::*;
use crate::testing::{
    Sent, actions, after, ask_node, content, datagrams, frames, honest, node, signed, start,
};
use crate::wire::{Item, PutKind, Refusal, Want};
use crate::{DiskError, Stored, Version};

fn with(config: NodeConfig, records: Vec<Record>) -> Node<Block> {
    Node::new(config, node(200), records, start(), Rng::from_seed([9; 32]))
}

fn a_node() -> Node<Block> {
    with(NodeConfig::default(), Vec::new())
}

fn put(id: u64, block: &Block) -> Frame {
    Frame::Put { id, kind: PutKind::Fresh, idle: 0, bytes: Stored::encode(block) }
}

fn answer(node: &mut Node<Block>, now: Now, from: DestHash, frame: &Frame) -> Vec<Frame> {
    let done = ask_node(node, now, from, frame);
    frames(&done).into_iter().filter(|(to, _)| *to == from).map(|(_, frame)| frame).collect()
}

fn refused(id: u64, why: Refusal) -> Vec<Frame> {
    vec![Frame::Refused { id, why }]
}

#[test]
fn a_block_is_acknowledged_when_it_is_on_disk_and_not_before() {
    let (mut node, block) = (a_node(), content(1));
    let key = Stored::key(&block);
    node.handle(start(), NodeInput::Frame { from: self::node(1), bytes: put(7, &block).encode() });
    // A second one who puts the same block meanwhile waits for the same write.
    node.handle(start(), NodeInput::Frame { from: self::node(2), bytes: put(8, &block).encode() });
    let done = actions(&mut node, start());
    let [NodeAction::Save { token, record, bytes }] = &done[..] else { panic!("{done:?}") };
    assert_eq!((record.key, record.size as usize, bytes), (key, bytes.len(), &Stored::encode(&block)));
    assert!(!node.holds(&key));
    node.handle(start(), NodeInput::Saved { token: *token, outcome: Ok(()) });
    let done = frames(&actions(&mut node, start()));
    assert_eq!(done, [(self::node(1), Frame::Stored { id: 7 }), (self::node(2), Frame::Stored { id: 8 })]);
    assert!(node.holds(&key));

    node.handle(start(), NodeInput::Frame { from: self::node(1), bytes: Frame::Get { id: 9, key }.encode() });
    let token = actions(&mut node, start())
        .into_iter()
        .find_map(|action| if let NodeAction::Load { token, .. } = action { Some(token) } else { None });
    node.handle(start(), NodeInput::Loaded { token: token.unwrap(), outcome: Ok(Stored::encode(&block)) });
    let bytes = Stored::encode(&block);
    assert_eq!(frames(&actions(&mut node, start())), [(self::node(1), Frame::Block { id: 9, bytes })]);
}

#[test]
fn a_write_that_failed_is_not_acknowledged() {
    let (mut node, block) = (a_node(), content(1));
    node.handle(start(), NodeInput::Frame { from: self::node(1), bytes: put(7, &block).encode() });
    let done = actions(&mut node, start());
    let [NodeAction::Save { token, .. }] = &done[..] else { panic!("{done:?}") };
    node.handle(start(), NodeInput::Saved { token: *token, outcome: Err(DiskError::Failed) });
    let failed = Frame::Refused { id: 7, why: Refusal::Failed };
    assert_eq!(frames(&actions(&mut node, start())), [(self::node(1), failed)]);
    assert!(!node.holds(&Stored::key(&block)));
    assert_eq!(node.reserved, 0);
}

#[test]
fn an_older_version_is_refused_and_a_newer_one_replaces() {
    let mut node = a_node();
    let from = self::node(1);
    let versions = [signed(1, 3, 0), signed(1, 4, 0), signed(1, 5, 0)];
    assert_eq!(answer(&mut node, start(), from, &put(1, &versions[1])), [Frame::Stored { id: 1 }]);
    assert_eq!(answer(&mut node, start(), from, &put(2, &versions[0])), refused(2, Refusal::Older));
    assert_eq!(answer(&mut node, start(), from, &put(3, &versions[1])), [Frame::Stored { id: 3 }]);
    assert_eq!(answer(&mut node, start(), from, &put(4, &versions[2])), [Frame::Stored { id: 4 }]);
    assert_eq!(node.stats().blocks, 1);
    assert_eq!(node.records().next().unwrap().version, Stored::version(&versions[2]));
}

#[test]
fn junk_gets_its_sender_banned() {
    let mut node = a_node();
    let (flooder, other) = (self::node(1), self::node(2));
    let junk = Frame::Put { id: 1, kind: PutKind::Fresh, idle: 0, bytes: Bytes::from_static(b"junk") };
    let done = ask_node(&mut node, start(), flooder, &junk);
    assert_eq!(frames(&done), [(flooder, Frame::Refused { id: 1, why: Refusal::Junk })]);
    assert!(done.contains(&NodeAction::Close(flooder)));
    assert!(ask_node(&mut node, after(1), flooder, &put(2, &content(1))).is_empty(), "it is not listened to");
    let find = Datagram::Find { id: 3, node: false, keys: Vec::new() }.encode();
    node.handle(after(1), NodeInput::Datagram { from: flooder, bytes: find });
    assert!(actions(&mut node, after(1)).is_empty());
    assert_eq!(answer(&mut node, after(1), other, &put(4, &content(1))), [Frame::Stored { id: 4 }]);
    assert_eq!(answer(&mut node, after(601), flooder, &put(5, &content(2))), [Frame::Stored { id: 5 }]);
    // The second time it takes longer.
    ask_node(&mut node, after(602), flooder, &junk);
    assert!(ask_node(&mut node, after(602 + 700), flooder, &put(6, &content(3))).is_empty());

    let mut late = a_node();
    for id in 0..2000 {
        let nothing_asked = Frame::Block { id, bytes: Stored::encode(&content(1)) };
        late.handle(start(), NodeInput::Frame { from: flooder, bytes: nothing_asked.encode() });
    }
    assert!(late.is_banned(start().instant, &flooder), "blocks that nobody asked for");
    late.handle(start(), NodeInput::Frame { from: other, bytes: Bytes::from(vec![1; 100_000]) });
    assert!(late.is_banned(start().instant, &other), "absurd lengths");
}

#[test]
fn who_asks_too_much_is_told_so() {
    let config = NodeConfig { frames: (10, 1), datagrams: (5, 1), ..NodeConfig::default() };
    let mut node = with(config, Vec::new());
    let (greedy, other, key) = (self::node(1), self::node(2), Stored::key(&content(1)));
    for id in 0..10 {
        assert_eq!(
            answer(&mut node, start(), greedy, &Frame::Get { id, key }),
            [Frame::Missing { id, busy: false }]
        );
    }
    let busy = [Frame::Missing { id: 11, busy: true }];
    assert_eq!(answer(&mut node, start(), greedy, &Frame::Get { id: 11, key }), busy);
    assert_eq!(answer(&mut node, start(), greedy, &put(12, &content(1))), refused(12, Refusal::Busy));
    assert_eq!(answer(&mut node, start(), other, &put(13, &content(1))), [Frame::Stored { id: 13 }]);
    let find = |id| Datagram::Find { id, node: false, keys: vec![key] }.encode();
    for id in 0..20 {
        node.handle(start(), NodeInput::Datagram { from: greedy, bytes: find(id) });
    }
    assert_eq!(datagrams(&actions(&mut node, start())).len(), 5);
}

#[test]
fn the_quota_holds_and_pinned_blocks_stay() {
    let config = NodeConfig { quota: 4 << 15, ..NodeConfig::default() };
    let mut node = with(config, Vec::new());
    let blocks: Vec<_> = (0..10).map(content).collect();
    ask_node(&mut node, start(), self::node(1), &put(0, &blocks[0]));
    node.handle(start(), NodeInput::Pin(Stored::key(&blocks[0])));
    assert!(matches!(actions(&mut node, start())[..], [NodeAction::Note(Record { pinned: true, .. })]));
    for (id, block) in blocks.iter().enumerate().skip(1) {
        let done = answer(&mut node, after(id as u64), self::node(1), &put(id as u64, block));
        assert_eq!(done, [Frame::Stored { id: id as u64 }]);
        assert!(node.stats().bytes <= config.quota);
    }
    let kept: Vec<bool> = blocks.iter().map(|block| node.holds(&Stored::key(block))).collect();
    assert_eq!(kept, [true, false, false, false, false, false, false, true, true, true]);
    assert_eq!(node.stats().evicted, 6);
    // What is asked for stays longer.
    let key = Stored::key(&blocks[7]);
    ask_node(&mut node, after(1000), self::node(2), &Frame::Get { id: 1, key });
    ask_node(&mut node, after(1001), self::node(1), &put(20, &content(20)));
    assert!(node.holds(&key) && !node.holds(&Stored::key(&blocks[8])));
    // Repair of what nobody wanted for long takes nothing from others.
    let old = Frame::Put { id: 21, kind: PutKind::Repair, idle: 2000, bytes: Stored::encode(&content(21)) };
    assert_eq!(answer(&mut node, after(1002), self::node(1), &old), refused(21, Refusal::Full));
    node.handle(after(1003), NodeInput::Quota(1 << 15));
    assert_eq!((node.stats().blocks, node.stats().pinned), (1, 1));
    assert!(node.holds(&Stored::key(&blocks[0])));
    node.handle(after(1003), NodeInput::Unpin(Stored::key(&blocks[0])));
    assert_eq!(node.stats().pinned, 0);
}

#[test]
fn a_block_of_which_a_newer_version_is_written_is_not_deleted() {
    let size = Stored::encode(&signed(1, 0, 0)).len() as u64;
    let mut node = with(NodeConfig { quota: size * 2, ..NodeConfig::default() }, Vec::new());
    ask_node(&mut node, start(), self::node(1), &put(1, &signed(1, 1, 0)));
    node.handle(after(9), NodeInput::Frame { from: self::node(1), bytes: put(2, &signed(1, 2, 0)).encode() });
    node.handle(after(9), NodeInput::Frame { from: self::node(1), bytes: put(3, &signed(2, 1, 0)).encode() });
    node.handle(after(9), NodeInput::Quota(0));
    let done = actions(&mut node, after(9));
    assert!(!done.iter().any(|action| matches!(action, NodeAction::Delete(_))), "{done:?}");
}

#[test]
fn damage_that_somebody_else_saw_is_looked_at_and_dropped() {
    let (mut node, block) = (a_node(), content(1));
    let key = Stored::key(&block);
    ask_node(&mut node, start(), self::node(1), &put(1, &block));
    let mut check = |outcome: Result<Bytes, DiskError>| {
        node.handle(after(1), NodeInput::Check(Stored::key(&content(2))));
        node.handle(after(1), NodeInput::Check(key));
        node.handle(after(1), NodeInput::Check(key));
        let loads = actions(&mut node, after(1)).into_iter().filter_map(|action| match action {
            NodeAction::Load { token, key } => Some((token, key)),
            _ => None,
        });
        let loads: Vec<_> = loads.collect();
        let [(token, loaded)] = loads[..] else { panic!("{loads:?}") };
        assert_eq!(loaded, key);
        node.handle(after(1), NodeInput::Loaded { token, outcome });
        let deleted = actions(&mut node, after(1)).contains(&NodeAction::Delete(key));
        assert_eq!(deleted, !node.holds(&key));
        deleted
    };
    assert!(!check(Ok(Stored::encode(&block))), "it was read in the middle of something");
    assert!(!check(Err(DiskError::Failed)));
    assert!(check(Ok(Stored::encode(&content(2)))));
    assert_eq!(node.stats().damaged, 1);
}

#[test]
fn damage_on_disk_is_dropped_and_healed() {
    let (mut node, block) = (a_node(), content(1));
    let key = Stored::key(&block);
    let friend = self::node(1);
    node.handle(start(), NodeInput::Peers(vec![friend]));
    ask_node(&mut node, start(), friend, &put(1, &block));
    node.handle(start(), NodeInput::Pin(key));
    actions(&mut node, start());
    node.handle(
        after(1),
        NodeInput::Frame { from: self::node(2), bytes: Frame::Get { id: 5, key }.encode() },
    );
    let load = actions(&mut node, after(1)).into_iter().find_map(|action| match action {
        NodeAction::Load { token, .. } => Some(token),
        _ => None,
    });
    node.handle(after(1), NodeInput::Loaded { token: load.unwrap(), outcome: Err(DiskError::Damaged) });
    assert!(!node.holds(&key));
    // What it asks the friend for is answered; what it wants to write is written.
    let mut queue = actions(&mut node, after(1));
    assert!(queue.contains(&NodeAction::Delete(key)));
    let missing = Frame::Missing { id: 5, busy: false };
    assert!(frames(&queue).contains(&(self::node(2), missing)));
    while let Some(action) = queue.pop() {
        let sent = match action {
            NodeAction::Datagram { to, bytes } if to == friend => Sent::datagram(&bytes),
            NodeAction::Frame { to, bytes } if to == friend => Sent::frame(&bytes),
            NodeAction::Save { token, record, .. } => {
                assert!(record.pinned, "it is pinned as it was");
                node.handle(after(2), NodeInput::Saved { token, outcome: Ok(()) });
                continue;
            }
            _ => continue,
        };
        match honest(std::slice::from_ref(&block), &[], &sent) {
            Some(Sent::Datagram(datagram)) => {
                node.handle(after(2), NodeInput::Datagram { from: friend, bytes: datagram.encode() });
            }
            Some(Sent::Frame(frame)) => {
                node.handle(after(2), NodeInput::Frame { from: friend, bytes: frame.encode() });
            }
            None => {}
        }
        queue.extend(actions(&mut node, after(2)));
    }
    assert!(node.holds(&key));
    assert_eq!((node.stats().damaged, node.stats().healed, node.stats().pinned), (1, 1, 1));
}

#[test]
fn offers_are_answered_by_what_is_here() {
    let mut node = a_node();
    let [old, new, other] = [signed(1, 1, 0), signed(1, 2, 0), content(5)];
    ask_node(&mut node, start(), self::node(1), &put(1, &old));
    let item = |block: &Block| Item::of(&Stored::key(block), Stored::version(block));
    let mut wants = |from: DestHash, items: Vec<Item>| {
        let bytes = Datagram::Offer { id: 4, wide: false, items }.encode();
        node.handle(start(), NodeInput::Datagram { from, bytes });
        let answers = datagrams(&actions(&mut node, start()));
        let wants = answers.into_iter().find_map(|(_, datagram)| match datagram {
            Datagram::Wanted { id: 4, wants } => Some(wants),
            _ => None,
        });
        wants.unwrap()
    };
    let all = vec![item(&old), item(&new), item(&other)];
    assert_eq!(wants(self::node(1), all.clone()), [Want::Have, Want::Send, Want::Send]);
    assert_eq!(
        wants(self::node(1), all.clone()),
        [Want::Have, Want::Send, Want::Send],
        "its answer may be lost"
    );
    assert_eq!(wants(self::node(2), all), [Want::Have, Want::Coming, Want::Coming]);
}

/// A node that knows some others, which have answered it.
fn among(config: NodeConfig, count: u8) -> Node<Block> {
    let mut node = with(config, Vec::new());
    let peers: Vec<_> = (1..=count).map(self::node).collect();
    node.handle(start(), NodeInput::Peers(peers.clone()));
    loop {
        let questions = datagrams(&actions(&mut node, start()));
        if questions.is_empty() {
            return node;
        }
        for (to, datagram) in questions {
            if let Some(Sent::Datagram(found)) =
                honest(&[], &peers[..16.min(peers.len())], &Sent::Datagram(datagram))
            {
                node.handle(start(), NodeInput::Datagram { from: to, bytes: found.encode() });
            }
        }
    }
}

/// The next offers that a node makes: when, whom to, their numbers, whether they are wide.
fn next_offers(node: &mut Node<Block>, block: &Block) -> (Now, Vec<(DestHash, u64, bool)>) {
    loop {
        let at = node.deadline().unwrap();
        assert!(at < after(700).instant, "soon");
        let now = Now { instant: at, date: start().date };
        let offer = |(to, datagram)| match datagram {
            Datagram::Offer { id, wide, items } => {
                assert_eq!(items, [Item::of(&Stored::key(block), Version::FIXED)]);
                Some((to, id, wide))
            }
            _ => None,
        };
        let offers: Vec<_> = datagrams(&actions(node, now)).into_iter().filter_map(offer).collect();
        if !offers.is_empty() {
            return (now, offers);
        }
    }
}

#[test]
fn what_others_lack_is_sent_to_them() {
    let (mut node, block) = (among(NodeConfig::default(), 6), content(1));
    ask_node(&mut node, start(), self::node(1), &put(1, &block));
    let (now, offers) = next_offers(&mut node, &block);
    assert!(now.instant < after(120).instant, "a block that was published is offered soon");
    assert!(offers.len() >= 3, "{offers:?}");
    let (to, id, wide) = offers[0];
    assert!(!wide);
    let bytes = Datagram::Wanted { id, wants: vec![Want::Send] }.encode();
    node.handle(now, NodeInput::Datagram { from: to, bytes });
    let done = actions(&mut node, now);
    let [NodeAction::Load { token, .. }] = &done[..] else { panic!("{done:?}") };
    node.handle(now, NodeInput::Loaded { token: *token, outcome: Ok(Stored::encode(&block)) });
    let done = frames(&actions(&mut node, now));
    assert!(
        matches!(&done[..], [(peer, Frame::Put { kind: PutKind::Repair, .. })] if *peer == to),
        "{done:?}"
    );
}

#[test]
fn popular_blocks_are_offered_to_more_nodes() {
    let mut node = among(NodeConfig { popular: 3, ..NodeConfig::default() }, 16);
    let block = content(1);
    let key = Stored::key(&block);
    let repaired = Frame::Put { id: 1, kind: PutKind::Repair, idle: 0, bytes: Stored::encode(&block) };
    ask_node(&mut node, start(), self::node(1), &repaired);
    for id in 0..3 {
        ask_node(&mut node, start(), self::node(1), &Frame::Get { id, key });
    }
    let (_, offers) = next_offers(&mut node, &block);
    assert!(offers.len() >= 7 && offers.iter().all(|(.., wide)| *wide), "{offers:?}");
}

#[test]
fn answers_name_live_nodes_and_never_the_asker() {
    let mut node = a_node();
    let peers: Vec<_> = (1..=30).map(self::node).collect();
    node.handle(start(), NodeInput::Peers(peers.clone()));
    // Half of them answer.
    for _ in 0..10 {
        for (to, datagram) in datagrams(&actions(&mut node, start())) {
            let sent = Sent::Datagram(datagram);
            let answer = honest(&[], &[], &sent).filter(|_| to.0[0] % 2 == 0);
            if let Some(Sent::Datagram(found)) = answer {
                node.handle(start(), NodeInput::Datagram { from: to, bytes: found.encode() });
            }
        }
    }
    let keys: Vec<_> = (0..64).map(|byte| Key([byte; 32])).collect();
    let find = Datagram::Find { id: 77, node: false, keys }.encode();
    node.handle(start(), NodeInput::Datagram { from: self::node(2), bytes: find });
    let answers = datagrams(&actions(&mut node, start()));
    let (_, Datagram::Found { nodes, answers, .. }) = &answers[0] else { panic!("{answers:?}") };
    assert!(!nodes.is_empty() && nodes.iter().all(|node| node.0[0] % 2 == 0 && node.0[0] != 2), "{nodes:?}");
    assert_eq!(answers.len(), 64);
}

#[test]
fn a_restart_remembers_what_is_on_disk() {
    let mut node = a_node();
    for id in 0..5 {
        ask_node(&mut node, start(), self::node(1), &put(id, &content(id)));
    }
    let records: Vec<_> = node.records().collect();
    let again = with(NodeConfig::default(), records.clone());
    assert_eq!(again.records().collect::<Vec<_>>(), records);
    assert_eq!(again.stats().bytes, 5 << 15);
    let small = with(NodeConfig { quota: 2 << 15, ..NodeConfig::default() }, records);
    assert_eq!(small.stats().blocks, 2, "a smaller quota holds from the start");
}
