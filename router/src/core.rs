//! The task that owns the network database and the tunnel pools: it decides, others carry.

mod builds;
mod disk;
mod netdb;
mod pools;
mod state;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_link::Blame;
use allium_netdb::{ClientId, LeaseSetRecord, NetDb, QueryId, Why};
use allium_tunnel::TunnelTests;
use allium_wire::i2np::Message;
use allium_wire::{DestHash, Engine, LeaseSet, RouterHash, RouterInfo};
use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::destination::{Inbox, Paths};
use crate::shared::Shared;
use crate::status::Status;
use crate::switch::{Batch, Source};

use builds::Pending;
pub(crate) use disk::PROFILES_FILE;
pub use pools::PoolConfig;
use pools::{Pools, TunnelKey};

/// Whose tunnels: a client's, or (`None`) the router's own exploratory ones.
pub(crate) type PoolId = Option<ClientId>;

/// What the core is told.
pub(crate) enum Input {
    /// A message for the network database, or a tunnel test that came back.
    Message {
        source: Source,
        message: Message,
    },
    /// The answer to a build of ours.
    BuildReply {
        id: u32,
        records: BytesMut,
    },
    /// A RouterInfo that a peer sent over the link.
    RouterInfoBlock {
        from: RouterHash,
        info: Bytes,
        flood: bool,
    },
    /// Somebody has messages for this router, and there is no link.
    Dial(RouterHash),
    LinkUp {
        peer: RouterHash,
        info: Option<Box<RouterInfo>>,
    },
    LinkDown {
        peer: RouterHash,
    },
    DialFailed {
        peer: RouterHash,
        blame: Blame,
    },
    /// The clock was corrected.
    ClockMoved,
    /// Routers from a reseed bundle or the disk.
    Learned(Vec<RouterInfo>),
    /// A local destination wants tunnels.
    Open(Box<Client>),
    Close(ClientId),
    /// A local destination looks for another's LeaseSet.
    FindLeaseSet {
        client: ClientId,
        destination: DestHash,
        answer: oneshot::Sender<Result<LeaseSet, Why>>,
    },
    /// A local destination's messages go unanswered: its tunnels may be to blame.
    Unanswered(ClientId),
    /// A local destination's LeaseSet is to be published.
    Publish {
        client: ClientId,
        lease_set: LeaseSetRecord,
    },
    Status(oneshot::Sender<Status>),
}

/// A local destination, as the core knows it.
pub(crate) struct Client {
    pub(crate) id: ClientId,
    pub(crate) name: String,
    pub(crate) address: DestHash,
    pub(crate) service: bool,
    pub(crate) inbound: PoolConfig,
    pub(crate) outbound: PoolConfig,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) paths: Arc<Paths>,
}

/// What an answer from the network database is for.
enum Query {
    Dial(RouterHash),
    LeaseSet(oneshot::Sender<Result<LeaseSet, Why>>),
}

/// How many inputs are taken before what they ask for is done.
const INPUTS: usize = 64;

/// The core's state; see the modules for what works on it.
pub(crate) struct Core {
    shared: Arc<Shared>,
    netdb: NetDb,
    rng: Rng,
    pools: BTreeMap<PoolId, Pools>,
    pending: BTreeMap<u32, Pending>,
    tests: TunnelTests<TunnelKey>,
    queries: BTreeMap<QueryId, Query>,
    next_query: u64,
    /// Messages of the database's that wait for a link.
    unsent: BTreeMap<RouterHash, Vec<u32>>,
    candidates: Option<(Instant, Vec<allium_tunnel::select::Candidate>)>,
    disk: disk::Writer,
    batch: Batch,
    started: Instant,
    housekeeping: Instant,
    said: state::Said,
    inbox: mpsc::Receiver<Input>,
    queue: VecDeque<Input>,
}

const HOUSEKEEPING: Duration = Duration::from_secs(2);

impl Core {
    pub(crate) fn new(shared: Arc<Shared>, netdb: NetDb, inbox: mpsc::Receiver<Input>) -> Self {
        let now = shared.clock.now();
        let mut rng = shared.fork_rng();
        let tests = TunnelTests::new(rng.fork());
        let mut core = Self {
            disk: disk::Writer::new(&shared),
            shared,
            netdb,
            rng,
            pools: BTreeMap::new(),
            pending: BTreeMap::new(),
            tests,
            queries: BTreeMap::new(),
            next_query: 0,
            unsent: BTreeMap::new(),
            candidates: None,
            batch: Batch::new(),
            started: now.instant,
            housekeeping: now.instant,
            said: state::Said::default(),
            inbox,
            queue: VecDeque::new(),
        };
        core.open_exploratory();
        core
    }

    /// Runs until the router stops.
    pub(crate) async fn run(mut self) {
        let stop = self.shared.stop.clone();
        self.netdb.handle(self.shared.clock.now(), allium_netdb::Input::Bootstrap);
        loop {
            self.pump();
            let deadline = self.deadline();
            let input = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                input = self.inbox.recv() => input,
                () = Clock::sleep_until(Some(deadline)) => None,
            };
            self.queue.extend(input);
            while self.queue.len() < INPUTS {
                let Ok(input) = self.inbox.try_recv() else { break };
                self.queue.push_back(input);
            }
            while let Some(input) = self.queue.pop_front() {
                self.handle(input);
            }
        }
        self.disk.finish(&self.netdb);
    }

    fn deadline(&self) -> Instant {
        let pools = self.pools.values().flat_map(Pools::deadlines);
        let engines = [self.netdb.deadline(), self.tests.deadline()].into_iter().flatten();
        pools.chain(engines).fold(self.housekeeping, Instant::min)
    }

    fn handle(&mut self, input: Input) {
        let now = self.shared.clock.now();
        match input {
            Input::Message { source, message } => self.message(now, source, message),
            Input::BuildReply { id, records } => self.build_reply(now, id, &records),
            Input::RouterInfoBlock { from, info, flood } => self.router_info_block(now, from, info, flood),
            Input::Dial(peer) => self.dial(now, peer),
            Input::LinkUp { peer, info } => self.link_up(now, peer, info),
            Input::LinkDown { peer } => self.link_down(now, peer),
            Input::DialFailed { peer, blame } => self.dial_failed(now, peer, blame),
            Input::ClockMoved => {
                self.renew_router_info(now);
                self.netdb.handle(now, allium_netdb::Input::Bootstrap);
                self.routers_changed(now);
            }
            Input::Learned(infos) => {
                for info in infos {
                    self.netdb.handle(now, allium_netdb::Input::Learned(info));
                }
                self.netdb.handle(now, allium_netdb::Input::Bootstrap);
                self.routers_changed(now);
            }
            Input::Open(client) => self.open_client(now, *client),
            Input::Close(id) => self.close_client(now, id),
            Input::FindLeaseSet { client, destination, answer } => {
                self.next_query += 1;
                let query = QueryId(self.next_query);
                self.queries.insert(query, Query::LeaseSet(answer));
                let client = Some(client);
                self.netdb.handle(now, allium_netdb::Input::FindLeaseSet { destination, query, client });
            }
            Input::Unanswered(client) => self.doubt(now, Some(client), None),
            Input::Publish { client, lease_set } => {
                self.netdb.handle(now, allium_netdb::Input::PublishLeaseSet { client, lease_set });
            }
            Input::Status(answer) => {
                let _ = answer.send(self.status(now));
            }
        }
    }

    /// Does all that the engines want done.
    fn pump(&mut self) {
        let now = self.shared.clock.now();
        loop {
            let mut idle = true;
            while let Some(action) = self.netdb.poll(now) {
                idle = false;
                self.netdb_action(now, action);
            }
            while let Some(pairing) = self.tests.expired(now) {
                idle = false;
                self.test_failed(now, pairing.tested);
            }
            idle &= !self.pump_pools(now);
            if idle {
                break;
            }
        }
        if self.housekeeping <= now.instant {
            self.housekeeping = now.instant + HOUSEKEEPING;
            self.queries.retain(|_, query| !matches!(query, Query::LeaseSet(answer) if answer.is_closed()));
            self.disk.write(&self.shared, &self.netdb, now);
            self.say_news(now);
        }
        self.batch.flush(&self.shared);
    }
}
