//! The store network: datagrams and frames of hostile nodes and clients.

use std::collections::BTreeMap;

use allium_content::OwnerKey;
use allium_content::block::{Block, ContentBlock, Key, SIZE};
use allium_content::signed::{SignedBlock, Slot, Target};
use allium_store::wire::{Answer, Datagram, Frame, Item, PutKind, Refusal, Want};
use allium_store::{
    Action, Client, Config, DiskError, Input, Node, NodeAction, NodeConfig, NodeInput, RequestId, Stored,
    Version,
};
use allium_wire::{DestHash, Engine};
use bytes::Bytes;

use crate::samples::{after, edited, pieces, rng};

const QUOTA: u64 = 3 << 15;

fn content(number: u8) -> Block {
    ContentBlock::decode(vec![number; SIZE].into()).expect("the size of a block").into()
}

fn signed(version: u64) -> Block {
    let owner = OwnerKey::generate(&mut rng(9));
    let target = Target::Inline { media: None, data: Bytes::from_static(b"hello") };
    SignedBlock::seal(&owner, Slot::Document("a"), version, &target).expect("it fits").into()
}

fn peer(number: u8) -> DestHash {
    DestHash([number % 5 + 1; 32])
}

fn datagram(which: u8, id: u64) -> Datagram {
    let key = |number| Stored::key(&content(number));
    match which % 4 {
        0 => Datagram::Find { id, node: which & 4 != 0, keys: vec![key(1), Key([which; 32])] },
        1 => {
            let answer = Answer { have: which & 4 != 0, closest: vec![0, 1] };
            Datagram::Found { id, nodes: vec![peer(which), DestHash([which; 32])], answers: vec![answer] }
        }
        2 => {
            let items = vec![Item::of(&key(1), Version::FIXED), Item::of(&key(which), Version::FIXED)];
            Datagram::Offer { id, wide: which & 4 != 0, items }
        }
        _ => Datagram::Wanted { id, wants: vec![Want::Send] },
    }
}

fn frame(which: u8, id: u64) -> Frame {
    let block = if which & 8 == 0 { content(which >> 4) } else { signed(u64::from(which >> 4)) };
    let bytes = Stored::encode(&block);
    match which % 6 {
        0 => Frame::Get { id, key: Stored::key(&block) },
        1 => Frame::Block { id, bytes },
        2 => Frame::Missing { id, busy: which & 16 != 0 },
        3 => Frame::Put { id, kind: PutKind::Fresh, idle: u32::from(which), bytes },
        4 => Frame::Stored { id },
        _ => Frame::Refused { id, why: if which & 8 == 0 { Refusal::Full } else { Refusal::Older } },
    }
}

/// Datagrams and frames: what reads is written the same.
pub fn store_wire(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let bytes = edited(&datagram(*which, 1).encode(), data);
    if let Ok(read) = Datagram::decode(&bytes) {
        assert_eq!(read.encode(), bytes);
    }
    let bytes = Bytes::from(edited(&frame(*which, 1).encode(), data));
    if let Ok(read) = Frame::decode(&bytes, Block::MAX) {
        assert_eq!(read.encode(), bytes);
    }
}

/// What the last questions were, so that answers can fit them.
#[derive(Default)]
struct Asked(Vec<(DestHash, u64)>);

impl Asked {
    fn note(&mut self, to: DestHash, bytes: &Bytes) {
        if let Some(id) = bytes.get(2..10).and_then(|id| id.first_chunk()) {
            self.0.push((to, u64::from_be_bytes(*id)));
        }
    }

    /// Who sends the next message and under which number: of one of the questions, or any.
    fn pick(&self, from: u8) -> (DestHash, u64) {
        let open = self.0.len().saturating_sub(usize::from(from >> 3));
        match open.checked_sub(1).and_then(|index| self.0.get(index)) {
            Some(asked) if from & 4 == 0 => *asked,
            _ => (peer(from), u64::from(from)),
        }
    }
}

/// What a node is sent.
pub fn store_node(data: &[u8]) {
    let config = NodeConfig { quota: QUOTA, popular: 2, ..NodeConfig::default() };
    let mut node: Node<Block> = Node::new(config, DestHash([99; 32]), Vec::new(), after(0), rng(1));
    node.handle(after(0), NodeInput::Peers(vec![peer(0), peer(1)]));
    let (mut asked, mut disk) = (Asked::default(), BTreeMap::<Key, Bytes>::new());
    let mut time = 0;
    for piece in pieces(data) {
        let Some((&[which, from, wait], piece)) = piece.split_first_chunk() else { continue };
        time += u64::from(wait) * 1000;
        let (from, id) = asked.pick(from);
        let input = match which % 8 {
            0 => NodeInput::Closed(from),
            1 => NodeInput::Pin(Stored::key(&content(which >> 4))),
            2..5 => {
                NodeInput::Datagram { from, bytes: edited(&datagram(which >> 3, id).encode(), piece).into() }
            }
            _ => NodeInput::Frame { from, bytes: edited(&frame(which >> 2, id).encode(), piece).into() },
        };
        node.handle(after(time), input);
        let mut most = 5000;
        while let Some(action) = node.poll(after(time)) {
            most -= 1;
            assert!(most > 0, "one message makes no end of actions");
            match action {
                NodeAction::Datagram { to, bytes } | NodeAction::Frame { to, bytes } => {
                    asked.note(to, &bytes)
                }
                NodeAction::Save { token, record, bytes } => {
                    disk.insert(record.key, bytes);
                    node.handle(after(time), NodeInput::Saved { token, outcome: Ok(()) });
                }
                NodeAction::Load { token, key } => {
                    let bytes = disk.get(&key).cloned().filter(|_| wait != 7);
                    let outcome = bytes.ok_or(DiskError::Damaged);
                    node.handle(after(time), NodeInput::Loaded { token, outcome });
                }
                NodeAction::Delete(key) => drop(disk.remove(&key)),
                NodeAction::Close(_) | NodeAction::Note(_) => {}
            }
        }
        let pinned: u64 =
            node.records().filter(|record| record.pinned).map(|record| u64::from(record.size)).sum();
        assert!(node.stats().bytes <= QUOTA + pinned);
        assert!(
            node.records().all(|record| disk.contains_key(&record.key)),
            "what it says it holds is there"
        );
        let _ = (node.deadline(), node.known_peers(after(time)));
    }
}

/// What a client is answered.
pub fn store_client(data: &[u8]) {
    let mut client: Client<Block> = Client::new(Config::default(), rng(1));
    client.handle(after(0), Input::Peers(vec![peer(0), peer(1), peer(2)]));
    client.handle(after(0), Input::Get { id: RequestId(1), key: Stored::key(&content(0)), newest: false });
    client.handle(after(0), Input::Get { id: RequestId(2), key: Stored::key(&signed(0)), newest: true });
    client.handle(after(0), Input::Put { id: RequestId(3), block: content(1) });
    client.handle(after(0), Input::Count { id: RequestId(4), key: Stored::key(&content(0)) });
    let (mut asked, mut time) = (Asked::default(), 0);
    for piece in pieces(data) {
        let Some((&[which, from, wait], piece)) = piece.split_first_chunk() else { continue };
        time += u64::from(wait) * 100;
        let (from, id) = asked.pick(from);
        let input = match which % 8 {
            0 => Input::Closed(from),
            1 => Input::Cancel(RequestId(u64::from(which >> 4))),
            2..5 => Input::Datagram { from, bytes: edited(&datagram(which >> 3, id).encode(), piece).into() },
            _ => Input::Frame { from, bytes: edited(&frame(which >> 2, id).encode(), piece).into() },
        };
        client.handle(after(time), input);
        let mut most = 5000;
        while let Some(action) = client.poll(after(time)) {
            most -= 1;
            assert!(most > 0, "one message makes no end of actions");
            match action {
                Action::Datagram { to, bytes } | Action::Frame { to, bytes } => asked.note(to, &bytes),
                Action::Got { id: RequestId(1), block } => assert_eq!(block, content(0)),
                Action::Got { id: RequestId(2), block } => {
                    assert_eq!(Stored::key(&block), Stored::key(&signed(0)))
                }
                _ => {}
            }
        }
        let _ = (client.deadline(), client.stats());
    }
}
