//! What tests of several modules need: a beginning of time, real blocks, and others who answer as they are told.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use allium_content::OwnerKey;
use allium_content::block::{Block, ContentBlock, SIZE, SignedBlock};
use allium_content::signed::{Slot, Target};
use allium_crypto::Rng;
use allium_wire::{Date, DestHash, Engine, Now};
use bytes::Bytes;

use crate::wire::{Answer, Datagram, Frame};
use crate::{Action, Client, Input, Node, NodeAction, NodeInput, Stored};

/// When tests begin.
pub(crate) fn start() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "some instant to count from")]
    let instant = *START.get_or_init(Instant::now);
    Now { instant, date: Date::from_seconds(1_795_392_000) }
}

/// So many seconds later.
pub(crate) fn after(seconds: u64) -> Now {
    let passed = Duration::from_secs(seconds);
    Now { instant: start().instant + passed, date: start().date + passed }
}

/// An immutable block.
pub(crate) fn content(number: u64) -> Block {
    let mut bytes = vec![0; SIZE];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    ContentBlock::decode(bytes.into()).unwrap().into()
}

/// A version of the one block of an owner; those of one version differ by the byte.
pub(crate) fn signed(owner: u8, version: u64, byte: u8) -> Block {
    let owner = OwnerKey::generate(&mut Rng::from_seed([owner; 32]));
    let target = Target::Inline { media: None, data: Bytes::copy_from_slice(&[byte]) };
    SignedBlock::seal(&owner, Slot::Newest("site"), version, &target).unwrap().into()
}

pub(crate) fn node(number: u8) -> DestHash {
    DestHash([number; 32])
}

/// Something that was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    Datagram(Datagram),
    Frame(Frame),
}

impl Sent {
    pub(crate) fn datagram(bytes: &Bytes) -> Self {
        Self::Datagram(Datagram::decode(bytes).unwrap())
    }

    pub(crate) fn frame(bytes: &Bytes) -> Self {
        Self::Frame(Frame::decode(bytes, Block::MAX).unwrap())
    }
}

/// What a node answers that has these blocks and knows those nodes.
pub(crate) fn honest(blocks: &[Block], nodes: &[DestHash], sent: &Sent) -> Option<Sent> {
    let block = |key: &crate::Key| blocks.iter().find(|block| block.key() == *key);
    match sent {
        Sent::Datagram(Datagram::Find { id, keys, .. }) => {
            let closest: Vec<u8> = (0..nodes.len() as u8).collect();
            let answer = |key| Answer { have: block(key).is_some(), closest: closest.clone() };
            let answers = keys.iter().map(answer).collect();
            Some(Sent::Datagram(Datagram::Found { id: *id, nodes: nodes.to_vec(), answers }))
        }
        Sent::Frame(Frame::Get { id, key }) => Some(Sent::Frame(match block(key) {
            Some(block) => Frame::Block { id: *id, bytes: Stored::encode(block) },
            None => Frame::Missing { id: *id, busy: false },
        })),
        Sent::Frame(Frame::Put { id, .. }) => Some(Sent::Frame(Frame::Stored { id: *id })),
        _ => None,
    }
}

/// Lets a client talk with others, without delay, until there is nothing to say; `answer` sees each message and whom it
/// is for. Gives the client's other actions.
pub(crate) fn converse(
    client: &mut Client<Block>,
    now: Now,
    mut answer: impl FnMut(DestHash, &Sent) -> Option<Sent>,
) -> Vec<Action<Block>> {
    let mut rest = Vec::new();
    while let Some(action) = client.poll(now) {
        let (to, sent) = match action {
            Action::Datagram { to, bytes } => (to, Sent::datagram(&bytes)),
            Action::Frame { to, bytes } => (to, Sent::frame(&bytes)),
            other => {
                rest.push(other);
                continue;
            }
        };
        match answer(to, &sent) {
            Some(Sent::Datagram(datagram)) => {
                client.handle(now, Input::Datagram { from: to, bytes: datagram.encode() });
            }
            Some(Sent::Frame(frame)) => client.handle(now, Input::Frame { from: to, bytes: frame.encode() }),
            None => {}
        }
    }
    rest
}

/// Goes on to each of a client's deadlines until something else than a message comes of it.
pub(crate) fn wait(
    client: &mut Client<Block>,
    mut answer: impl FnMut(DestHash, &Sent) -> Option<Sent>,
) -> (Now, Vec<Action<Block>>) {
    loop {
        let at = client.deadline().expect("it waits for something");
        let passed = at - start().instant;
        let now = Now { instant: at, date: start().date + passed };
        let rest = converse(client, now, &mut answer);
        if !rest.is_empty() {
            return (now, rest);
        }
    }
}

/// All that a node wants done now.
pub(crate) fn actions(node: &mut Node<Block>, now: Now) -> Vec<NodeAction> {
    std::iter::from_fn(|| node.poll(now)).collect()
}

/// What a node does about a frame; its disk writes at once.
pub(crate) fn ask_node(node: &mut Node<Block>, now: Now, from: DestHash, frame: &Frame) -> Vec<NodeAction> {
    node.handle(now, NodeInput::Frame { from, bytes: frame.encode() });
    let mut done = actions(node, now);
    let tokens: Vec<u64> = done
        .iter()
        .filter_map(|action| if let NodeAction::Save { token, .. } = action { Some(*token) } else { None })
        .collect();
    for token in tokens {
        node.handle(now, NodeInput::Saved { token, outcome: Ok(()) });
        done.extend(actions(node, now));
    }
    done
}

/// The frames among actions, and whom they are for.
pub(crate) fn frames(actions: &[NodeAction]) -> Vec<(DestHash, Frame)> {
    let frame = |action: &NodeAction| match action {
        NodeAction::Frame { to, bytes } => Some((*to, Frame::decode(bytes, Block::MAX).unwrap())),
        _ => None,
    };
    actions.iter().filter_map(frame).collect()
}

/// The datagrams among actions, and whom they are for.
pub(crate) fn datagrams(actions: &[NodeAction]) -> Vec<(DestHash, Datagram)> {
    let datagram = |action: &NodeAction| match action {
        NodeAction::Datagram { to, bytes } => Some((*to, Datagram::decode(bytes).unwrap())),
        _ => None,
    };
    actions.iter().filter_map(datagram).collect()
}
