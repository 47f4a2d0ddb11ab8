//! The task of the node: keeps blocks for all.

use std::sync::Arc;

use allium_content::block::Block;
use allium_store::{Key, KnownPeer, Node, NodeAction, NodeInput, NodeStats};
use allium_wire::{DestHash, Engine};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::disk::{Answer, Disk};
use super::line::{Heard, Line};
use crate::router::Clock;

/// How much is taken in before anything else is looked at.
const STEP: usize = 32;

/// What the node's task is asked.
pub(super) enum Ask {
    Pin(Vec<Key>),
    Unpin(Vec<Key>),
    /// A block that was read from the disk is damaged.
    Check(Key),
    Peers(Vec<DestHash>),
    Status(oneshot::Sender<KeeperStatus>),
}

/// What it says of itself.
pub(super) struct KeeperStatus {
    pub(super) stats: NodeStats,
    pub(super) peers: Vec<KnownPeer>,
    pub(super) channels: usize,
    pub(super) unsent: u64,
}

/// The node, and what it is carried by.
pub(super) struct Keeper {
    node: Node<Block>,
    line: Line,
    disk: Disk,
    done: mpsc::UnboundedReceiver<NodeInput>,
    doing: mpsc::UnboundedSender<NodeInput>,
    asks: mpsc::Receiver<Ask>,
    clock: Arc<Clock>,
}

impl Keeper {
    pub(super) fn new(
        node: Node<Block>,
        line: Line,
        disk: Disk,
        asks: mpsc::Receiver<Ask>,
        clock: Arc<Clock>,
    ) -> Self {
        let (doing, done) = mpsc::unbounded_channel();
        Self { node, line, disk, done, doing, asks, clock }
    }

    /// Runs until it is told to stop, or the destination is closed.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut results = Vec::with_capacity(STEP);
        loop {
            self.follow();
            let deadline = self.node.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // All of them, before new work is taken in.
                _ = self.done.recv_many(&mut results, STEP) => {
                    for result in results.drain(..) {
                        self.node.handle(self.clock.now(), result);
                    }
                }
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.ask(ask),
                    None => return,
                },
                heard = self.line.heard() => match heard {
                    Some(heard) => self.node.handle(self.clock.now(), input(heard)),
                    None => return,
                },
                () = Clock::sleep_until(deadline) => {}
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        let now = self.clock.now();
        match ask {
            Ask::Pin(keys) => keys.into_iter().for_each(|key| self.node.handle(now, NodeInput::Pin(key))),
            Ask::Unpin(keys) => keys.into_iter().for_each(|key| self.node.handle(now, NodeInput::Unpin(key))),
            Ask::Check(key) => self.node.handle(now, NodeInput::Check(key)),
            Ask::Peers(peers) => self.node.handle(now, NodeInput::Peers(peers)),
            Ask::Status(answer) => {
                let _ = answer.send(KeeperStatus {
                    stats: self.node.stats(),
                    peers: self.node.known_peers(now),
                    channels: self.line.channels(),
                    unsent: self.line.unsent,
                });
            }
        }
    }

    /// Carries out what the node wants.
    fn follow(&mut self) {
        while let Some(action) = self.node.poll(self.clock.now()) {
            match action {
                NodeAction::Datagram { to, bytes } => self.line.datagram(to, &bytes),
                NodeAction::Frame { to, bytes } => self.line.frame(to, bytes),
                NodeAction::Close(peer) => self.line.close(&peer),
                NodeAction::Load { token, key } => {
                    let doing = self.doing.clone();
                    let tell = move |outcome| drop(doing.send(NodeInput::Loaded { token, outcome }));
                    self.disk.load(key, Answer::new(tell));
                }
                NodeAction::Save { token, record, bytes } => {
                    let doing = self.doing.clone();
                    let tell = move |outcome: Result<_, _>| {
                        drop(doing.send(NodeInput::Saved { token, outcome: outcome.map(drop) }));
                    };
                    self.disk.save(record, bytes, Answer::new(tell));
                }
                NodeAction::Delete(key) => self.disk.delete(key),
                NodeAction::Note(record) => self.disk.note(record),
            }
        }
    }
}

fn input(heard: Heard) -> NodeInput {
    match heard {
        Heard::Datagram { from, bytes } => NodeInput::Datagram { from, bytes },
        Heard::Frame { from, bytes } => NodeInput::Frame { from, bytes },
        Heard::Closed(peer) => NodeInput::Closed(peer),
    }
}
