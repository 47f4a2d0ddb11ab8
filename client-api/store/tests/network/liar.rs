//! Nodes that lie, each in its way.

use allium_crypto::Rng;
use allium_store::wire::{Datagram, Frame, Want};
use allium_store::{NodeAction, Stored};
use allium_wire::DestHash;
use bytes::Bytes;

use crate::toy::Toy;

/// How a node lies. Otherwise it does what a node does, so that others know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Liar {
    /// Gives other bytes than those asked for.
    Wrong,
    /// Has nothing, whatever it has.
    NotFound,
    /// Does not answer when asked for a block, and seldom otherwise.
    Silent,
    /// Floods others with junk.
    Flood,
    /// Names nodes that are not there, and says that it has everything.
    False,
    /// Says that it keeps what it is given, and keeps nothing.
    Forget,
    /// Gives an old version of what is signed.
    Replay,
}

impl Liar {
    pub(crate) const ALL: [Self; 7] =
        [Self::Wrong, Self::NotFound, Self::Silent, Self::Flood, Self::False, Self::Forget, Self::Replay];

    /// What it does in place of what an honest node would do.
    pub(crate) fn twist(self, rng: &mut Rng, action: NodeAction) -> Option<NodeAction> {
        match action {
            NodeAction::Frame { to, bytes } => {
                let frame = self.twist_frame(rng, Frame::decode(&bytes, Toy::MAX).ok()?)?;
                Some(NodeAction::Frame { to, bytes: frame.encode() })
            }
            NodeAction::Datagram { to, bytes } => {
                let datagram = self.twist_datagram(rng, Datagram::decode(&bytes).ok()?)?;
                Some(NodeAction::Datagram { to, bytes: datagram.encode() })
            }
            other => Some(other),
        }
    }

    fn twist_frame(self, rng: &mut Rng, frame: Frame) -> Option<Frame> {
        match (self, frame) {
            (Self::Wrong, Frame::Block { id, .. }) => {
                let other = Toy::Content(rng.array());
                Some(Frame::Block { id, bytes: other.encode() })
            }
            (Self::Replay, Frame::Block { id, bytes }) => match Toy::decode(&bytes).ok()? {
                Toy::Signed { signer, .. } => {
                    Some(Frame::Block { id, bytes: Toy::Signed { signer, version: 0 }.encode() })
                }
                content @ Toy::Content(_) => Some(Frame::Block { id, bytes: content.encode() }),
            },
            (Self::NotFound | Self::Forget, Frame::Block { id, .. }) => {
                Some(Frame::Missing { id, busy: false })
            }
            (Self::Silent, Frame::Stored { .. })
            | (Self::Silent | Self::False, Frame::Block { .. } | Frame::Missing { .. }) => None,
            (_, frame) => Some(frame),
        }
    }

    fn twist_datagram(self, rng: &mut Rng, datagram: Datagram) -> Option<Datagram> {
        match (self, datagram) {
            (Self::NotFound, Datagram::Found { id, nodes, mut answers }) => {
                for answer in &mut answers {
                    answer.have = false;
                }
                Some(Datagram::Found { id, nodes, answers })
            }
            (Self::Silent, Datagram::Found { .. }) if rng.chance(0.7) => None,
            (Self::False, Datagram::Found { id, nodes, mut answers }) => {
                for answer in &mut answers {
                    answer.have = true;
                }
                let nodes = nodes.iter().map(|_| DestHash(rng.array())).collect();
                Some(Datagram::Found { id, nodes, answers })
            }
            (Self::Forget, Datagram::Found { id, nodes, mut answers }) => {
                for answer in &mut answers {
                    answer.have = true;
                }
                Some(Datagram::Found { id, nodes, answers })
            }
            (Self::Forget | Self::False, Datagram::Wanted { id, wants }) => {
                Some(Datagram::Wanted { id, wants: vec![Want::Have; wants.len()] })
            }
            (_, datagram) => Some(datagram),
        }
    }

    /// What it answers at once to a frame, without looking further.
    pub(crate) fn answer(self, from: DestHash, bytes: &Bytes) -> Option<(DestHash, Bytes)> {
        match (self, Frame::decode(bytes, Toy::MAX)) {
            (Self::Forget, Ok(Frame::Put { id, .. })) => Some((from, Frame::Stored { id }.encode())),
            (Self::Forget, Ok(Frame::Get { id, .. })) => {
                Some((from, Frame::Missing { id, busy: false }.encode()))
            }
            _ => None,
        }
    }
}
