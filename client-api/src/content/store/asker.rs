//! The task of the client: finds, gets and puts blocks for this node's people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use allium_content::block::{Block, Key};
use allium_store::{Action, Client, ClientStats, Input, RequestId, Why};
use allium_wire::{DestHash, Engine};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::line::{Heard, Line};
use crate::listen::Tasks;
use crate::router::{Clock, DestinationConfig, LocalDestination, PoolConfig, Router};

/// After this time a destination is replaced by another when nothing is under way.
const RENEW: Duration = Duration::from_hours(4);
/// How often that is looked at.
const LOOK: Duration = Duration::from_mins(5);

/// What the client's task is asked.
pub(super) enum Ask {
    Get { id: RequestId, key: Key, newest: bool, answer: oneshot::Sender<Result<Block, Why>> },
    Put { id: RequestId, block: Block, answer: oneshot::Sender<Result<usize, Why>> },
    Count { id: RequestId, key: Key, answer: oneshot::Sender<Result<usize, Why>> },
    Cancel(RequestId),
    Peers(Vec<DestHash>),
    Status(oneshot::Sender<(ClientStats, u64)>),
}

/// Who waits for an answer.
enum Waiting {
    Block(oneshot::Sender<Result<Block, Why>>),
    Count(oneshot::Sender<Result<usize, Why>>),
}

/// Makes the client's destinations.
pub(super) struct Maker {
    pub(super) router: Router,
    pub(super) pools: (PoolConfig, PoolConfig),
    pub(super) tasks: Tasks,
}

impl Maker {
    /// A destination with new keys, which is not published.
    pub(super) fn make(&self) -> Option<LocalDestination> {
        let (inbound, outbound) = self.pools;
        let name = "content".to_owned();
        let config = DestinationConfig { name, keys: None, inbound, outbound, publish: false };
        self.router.destination(config).ok()
    }
}

/// The client, and what it is carried by.
pub(super) struct Asker {
    client: Client<Block>,
    maker: Maker,
    line: Line,
    asks: mpsc::UnboundedReceiver<Ask>,
    waiting: BTreeMap<RequestId, Waiting>,
    clock: Arc<Clock>,
}

impl Asker {
    pub(super) fn new(
        client: Client<Block>,
        maker: Maker,
        line: Line,
        asks: mpsc::UnboundedReceiver<Ask>,
        clock: Arc<Clock>,
    ) -> Self {
        Self { client, maker, line, asks, waiting: BTreeMap::new(), clock }
    }

    /// Runs until it is told to stop, or the destination is closed.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut look = tokio::time::interval(LOOK);
        let (mut since, mut next) = (Instant::now(), None);
        loop {
            self.follow();
            let deadline = self.client.deadline();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.ask(ask),
                    None => return,
                },
                heard = self.line.heard() => match heard {
                    Some(heard) => self.client.handle(self.clock.now(), input(heard)),
                    None => return,
                },
                () = Clock::sleep_until(deadline) => {}
                _ = look.tick() => self.renew(&mut since, &mut next),
            }
        }
    }

    /// A destination that was used for hours is left for a new one, once that had time for its tunnels and nobody would
    /// miss the old one.
    fn renew(&mut self, since: &mut Instant, next: &mut Option<LocalDestination>) {
        if since.elapsed() < RENEW {
            return;
        }
        let Some(destination) = next.take() else {
            *next = self.maker.make();
            return;
        };
        let stats = self.client.stats();
        if stats.gets + stats.puts + stats.settling > 0 || !self.waiting.is_empty() {
            *next = Some(destination);
        } else if let Some(line) = Line::new(destination, false, self.maker.tasks.clone()) {
            for peer in self.line.peers() {
                self.client.handle(self.clock.now(), Input::Closed(peer));
            }
            self.line = line;
            *since = Instant::now();
        }
    }

    fn ask(&mut self, ask: Ask) {
        let now = self.clock.now();
        match ask {
            Ask::Get { id, key, newest, answer } => {
                self.waiting.insert(id, Waiting::Block(answer));
                self.client.handle(now, Input::Get { id, key, newest });
            }
            Ask::Put { id, block, answer } => {
                self.waiting.insert(id, Waiting::Count(answer));
                self.client.handle(now, Input::Put { id, block });
            }
            Ask::Count { id, key, answer } => {
                self.waiting.insert(id, Waiting::Count(answer));
                self.client.handle(now, Input::Count { id, key });
            }
            Ask::Cancel(id) => {
                if self.waiting.remove(&id).is_some() {
                    self.client.handle(now, Input::Cancel(id));
                }
            }
            Ask::Peers(peers) => self.client.handle(now, Input::Peers(peers)),
            Ask::Status(answer) => drop(answer.send((self.client.stats(), self.line.unsent))),
        }
    }

    /// Carries out what the client wants.
    fn follow(&mut self) {
        while let Some(action) = self.client.poll(self.clock.now()) {
            match action {
                Action::Datagram { to, bytes } => self.line.datagram(to, &bytes),
                Action::Frame { to, bytes } => self.line.frame(to, bytes),
                Action::Close(peer) => self.line.close(&peer),
                Action::Got { id, block } => {
                    if let Some(Waiting::Block(answer)) = self.waiting.remove(&id) {
                        let _ = answer.send(Ok(block));
                    }
                }
                // What spreads later is of interest to the counters alone.
                Action::Stored { id, holders } | Action::Spread { id, holders } => {
                    if let Some(Waiting::Count(answer)) = self.waiting.remove(&id) {
                        let _ = answer.send(Ok(holders));
                    }
                }
                Action::Failed { id, why } => match self.waiting.remove(&id) {
                    Some(Waiting::Block(answer)) => drop(answer.send(Err(why))),
                    Some(Waiting::Count(answer)) => drop(answer.send(Err(why))),
                    None => {}
                },
            }
        }
    }
}

fn input(heard: Heard) -> Input<Block> {
    match heard {
        Heard::Datagram { from, bytes } => Input::Datagram { from, bytes },
        Heard::Frame { from, bytes } => Input::Frame { from, bytes },
        Heard::Closed(peer) => Input::Closed(peer),
    }
}
