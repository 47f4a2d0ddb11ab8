//! The running store: the engines of `allium_store`, a destination for each, and a disk.
//!
//! ```text
//! Content -> Shell -> Asker  (Client, a transient destination)   what this node's people get and put
//!                 \-> Keeper (Node, the destination of content.dat) <-> Disk   what this node keeps for all
//! ```
//! Nothing links the two destinations: they have tunnels and channels of their own, and the client asks its own node
//! only as it asks any other. What is on this node's disk is read from there, which nobody else sees.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use allium_content::block::{Block, Key};
use allium_crypto::Rng;
use allium_router::BoxFuture;
use allium_store::{Client, ClientStats, Config, DiskError, Node, NodeConfig, NodeStats, RequestId, Why};
use allium_wire::DestHash;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::blocks::{Blocks, Placed, StoreStatus};
use crate::StartError;
use crate::config::Destination;
use crate::listen::Tasks;
use crate::names::Names;
use crate::router::{Clock, LocalDestination, PoolConfig, Router, Store};

mod asker;
mod disk;
mod keeper;
mod line;
mod peers;

use asker::{Asker, Maker};
use disk::{Answer, Disk};
use keeper::{Keeper, KeeperStatus};
use line::Line;

/// The folder of the store's files, within the data folder.
pub(crate) const FOLDER: &str = "content";

/// How long a request waits for the first tunnels and peers.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often peers are looked for while there are none.
const SEARCH: Duration = Duration::from_secs(5);
/// How often the node's peers are told to the client, and written down.
const NEWS: Duration = Duration::from_mins(3);

/// What a store is made of.
pub(crate) struct Setup {
    /// The node's destination.
    pub(crate) node: LocalDestination,
    /// Where the client's are made.
    pub(crate) router: Router,
    /// Their tunnels.
    pub(crate) pools: (PoolConfig, PoolConfig),
    /// The most bytes of blocks.
    pub(crate) quota: u64,
    /// Nodes to know from the start.
    pub(crate) bootstrap: Vec<Destination>,
    /// What their names mean.
    pub(crate) names: Arc<Names>,
    /// The data folder; without one, blocks are in memory.
    pub(crate) store: Option<Store>,
    pub(crate) rng: Rng,
    pub(crate) tasks: Tasks,
}

/// The running store.
pub(crate) struct Shell {
    own: DestHash,
    node: LocalDestination,
    disk: Disk,
    asker: mpsc::UnboundedSender<asker::Ask>,
    keeper: mpsc::Sender<keeper::Ask>,
    puts: Semaphore,
    next: AtomicU64,
    ready: watch::Receiver<bool>,
}

impl Shell {
    /// Starts it. It ends with `setup.tasks`.
    pub(crate) async fn start(setup: Setup) -> Result<Arc<Self>, StartError> {
        let Setup { node: destination, router, pools, quota, bootstrap, names, store, mut rng, tasks } =
            setup;
        let folder = store.as_ref().map(|store| store.path(FOLDER));
        let path = folder.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
        let failed = |why: String| StartError::Content { path: path.clone(), why };
        let closed = || failed("its destination is closed: the router is stopping".to_owned());
        let (disk, records) = Disk::open(folder, &tasks).await.map_err(|error| failed(error.to_string()))?;
        let clock = Arc::new(Clock::system());
        let own = destination.hash();
        tracing::info!(blocks = records.len(), address = %own.b32(), "the content store begins");
        let config = NodeConfig { quota, ..NodeConfig::default() };
        let node = Node::new(config, own, records, clock.now(), rng.fork());
        let (keeper, asked) = mpsc::channel(64);
        let line = Line::new(destination.clone(), true, tasks.clone()).ok_or_else(closed)?;
        tasks.spawn(
            Keeper::new(node, line, disk.clone(), asked, Arc::clone(&clock)).run(tasks.stop().clone()),
        );

        let config = Config::default();
        let client = Client::new(config, rng.fork());
        let maker = Maker { router, pools, tasks: tasks.clone() };
        let transient = maker.make().ok_or_else(closed)?;
        let line = Line::new(transient.clone(), false, tasks.clone()).ok_or_else(closed)?;
        let (asker, asked) = mpsc::unbounded_channel();
        tasks.spawn(Asker::new(client, maker, line, asked, clock).run(tasks.stop().clone()));
        let (set_ready, ready) = watch::channel(false);
        let shell = Arc::new(Self {
            own,
            node: destination,
            disk,
            asker,
            keeper,
            puts: Semaphore::new(config.puts),
            next: AtomicU64::new(1),
            ready,
        });
        let search =
            Search { shell: Arc::clone(&shell), bootstrap, names, store, transient, ready: set_ready };
        let stop = tasks.stop().clone();
        tasks.spawn(search.run(stop));
        Ok(shell)
    }

    fn id(&self) -> RequestId {
        RequestId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits a while for tunnels and peers, where there are none yet.
    async fn ready(&self) {
        let mut ready = self.ready.clone();
        let _ = tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await;
    }

    /// Asks the client, and waits for its answer. If that is given up, so is the request.
    async fn ask<T>(
        &self,
        ask: impl FnOnce(RequestId, oneshot::Sender<Result<T, Why>>) -> asker::Ask,
    ) -> Result<T, Why> {
        let id = self.id();
        let (answer, answered) = oneshot::channel();
        let mut given_up = GivenUp { asker: &self.asker, id: Some(id) };
        let sent = self.asker.send(ask(id, answer));
        let outcome = match sent {
            Ok(()) => answered.await.unwrap_or(Err(Why::Unanswered)),
            Err(_) => Err(Why::Unanswered),
        };
        given_up.id = None;
        outcome
    }

    /// A block of this node's disk. If it is damaged the node hears of it, and fetches it anew.
    async fn local(&self, key: Key) -> Option<Block> {
        if !self.disk.holds(&key) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.disk.load(key, Answer::new(move |outcome| drop(answer.send(outcome))));
        let block = match answered.await.ok()? {
            Ok(bytes) => Block::decode(bytes).ok().filter(|block| block.key() == key),
            Err(DiskError::Damaged) => None,
            Err(DiskError::Failed) => return None,
        };
        if block.is_none() {
            let _ = self.keeper.send(keeper::Ask::Check(key)).await;
        }
        block
    }

    async fn keeper_status(&self) -> Option<KeeperStatus> {
        let (answer, answered) = oneshot::channel();
        self.keeper.send(keeper::Ask::Status(answer)).await.ok()?;
        answered.await.ok()
    }

    async fn asker_status(&self) -> Option<(ClientStats, u64)> {
        let (answer, answered) = oneshot::channel();
        self.asker.send(asker::Ask::Status(answer)).ok()?;
        answered.await.ok()
    }
}

/// Tells the client that nobody waits any more.
struct GivenUp<'a> {
    asker: &'a mpsc::UnboundedSender<asker::Ask>,
    id: Option<RequestId>,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let _ = self.asker.send(asker::Ask::Cancel(id));
        }
    }
}

impl Blocks for Shell {
    fn get(&self, key: Key, newest: bool) -> BoxFuture<'_, Result<Block, Why>> {
        Box::pin(async move {
            let local = self.local(key).await;
            if let Some(block) = local.as_ref().filter(|block| !newest || block.version().is_none()) {
                return Ok(block.clone());
            }
            self.ready().await;
            let found = self.ask(|id, answer| asker::Ask::Get { id, key, newest, answer }).await;
            match (found, local) {
                (Ok(found), Some(local)) if local.supersedes(&found) => Ok(local),
                (Err(_), Some(local)) => Ok(local),
                (found, _) => found,
            }
        })
    }

    fn put(&self, block: Block) -> BoxFuture<'_, Result<Placed, Why>> {
        Box::pin(async move {
            self.ready().await;
            let _room = self.puts.acquire().await;
            let holders = self.ask(|id, answer| asker::Ask::Put { id, block, answer }).await?;
            Ok(Placed { holders })
        })
    }

    fn count(&self, key: Key) -> BoxFuture<'_, Result<usize, Why>> {
        Box::pin(async move {
            self.ready().await;
            self.ask(|id, answer| asker::Ask::Count { id, key, answer }).await
        })
    }

    fn pin(&self, keys: Vec<Key>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.keeper.send(keeper::Ask::Pin(keys)).await;
        })
    }

    fn unpin(&self, keys: Vec<Key>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.keeper.send(keeper::Ask::Unpin(keys)).await;
        })
    }

    fn here(&self, keys: Vec<Key>) -> BoxFuture<'_, Vec<bool>> {
        Box::pin(async move { keys.iter().map(|key| self.disk.holds(key)).collect() })
    }

    fn status(&self) -> BoxFuture<'_, StoreStatus> {
        Box::pin(async move {
            let (keeper, asker) = tokio::join!(self.keeper_status(), self.asker_status());
            let (Some(keeper), Some((asker, unsent))) = (keeper, asker) else {
                let why_not = Some("the router is stopping".to_owned());
                return StoreStatus { why_not, address: self.own.b32(), ..StoreStatus::default() };
            };
            let why_not = if asker.peers > 0 {
                None
            } else if *self.ready.borrow() {
                Some("no node of the store answers: is `bootstrap` set, and is one of them up?".to_owned())
            } else {
                Some("it has no tunnels, or no node of the store has answered yet".to_owned())
            };
            let mut counters = node_counters(&keeper.stats);
            counters.extend(client_counters("node_", &keeper.stats.client));
            counters.extend(client_counters("client_", &asker));
            counters.push(("node_channels".to_owned(), keeper.channels as u64));
            counters.push(("node_unsent".to_owned(), keeper.unsent));
            counters.push(("client_unsent".to_owned(), unsent));
            StoreStatus {
                ready: why_not.is_none(),
                why_not,
                address: self.own.b32(),
                peers: asker.peers,
                blocks: keeper.stats.blocks as u64,
                pinned: keeper.stats.pinned as u64,
                bytes: keeper.stats.bytes,
                quota: keeper.stats.quota,
                gets: asker.gets,
                puts: asker.puts,
                spreading: asker.settling,
                counters,
            }
        })
    }
}

fn node_counters(stats: &NodeStats) -> Vec<(String, u64)> {
    let counters = [
        ("answered", stats.answered),
        ("served", stats.served),
        ("missing", stats.missing),
        ("taken", stats.taken),
        ("refused", stats.refused),
        ("dropped", stats.dropped),
        ("evicted", stats.evicted),
        ("offered", stats.offered),
        ("repaired", stats.repaired),
        ("damaged", stats.damaged),
        ("healed", stats.healed),
    ];
    counters.into_iter().map(|(name, count)| (format!("node_{name}"), count)).collect()
}

fn client_counters(whose: &str, stats: &ClientStats) -> Vec<(String, u64)> {
    let counters = [
        ("peers", stats.peers as u64),
        ("lookups", stats.lookups),
        ("asked", stats.asked),
        ("again", stats.again),
        ("fetches", stats.fetches),
        ("hedged", stats.hedged),
        ("got", stats.got),
        ("failed", stats.failed),
        ("pushed", stats.pushed),
        ("stored", stats.stored),
        ("junk", stats.junk),
    ];
    counters.into_iter().map(|(name, count)| (format!("{whose}{name}"), count)).collect()
}

/// Looks for peers: first those of the configuration and of the last run, then what the node learns.
struct Search {
    shell: Arc<Shell>,
    bootstrap: Vec<Destination>,
    names: Arc<Names>,
    store: Option<Store>,
    transient: LocalDestination,
    ready: watch::Sender<bool>,
}

impl Search {
    async fn run(self, stop: tokio_util::sync::CancellationToken) {
        let mut known = Vec::new();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.search(&mut known) => {}
        }
        self.remember(&known).await;
    }

    async fn search(&self, known: &mut Vec<(DestHash, u64)>) {
        let last = self.store.as_ref().map(peers::load).unwrap_or_default();
        tokio::join!(self.shell.node.ready(), self.transient.ready());
        self.tell(last).await;
        let mut written = tokio::time::Instant::now();
        loop {
            let Some((client, _)) = self.shell.asker_status().await else { return };
            let Some(node) = self.shell.keeper_status().await else { return };
            *known = node.peers.iter().map(|peer| (peer.node, peer.heard.0)).collect();
            self.ready
                .send_if_modified(|ready| !std::mem::replace(ready, client.peers > 0) && client.peers > 0);
            if client.peers == 0 || node.peers.is_empty() {
                self.tell(peers::resolve(&self.names, &self.bootstrap).await).await;
            }
            // The client learns what the node knows; not the reverse.
            let mut nodes: Vec<_> = known.iter().map(|(node, _)| *node).collect();
            nodes.push(self.shell.own);
            if client.peers < nodes.len() || written.elapsed() >= NEWS {
                let _ = self.shell.asker.send(asker::Ask::Peers(nodes));
            }
            if written.elapsed() >= NEWS {
                self.remember(known).await;
                written = tokio::time::Instant::now();
            }
            let alone = client.peers == 0 || node.peers.is_empty();
            tokio::time::sleep(if alone { SEARCH } else { NEWS / 6 }).await;
        }
    }

    async fn tell(&self, nodes: Vec<DestHash>) {
        if !nodes.is_empty() {
            let _ = self.shell.keeper.send(keeper::Ask::Peers(nodes.clone())).await;
            let _ = self.shell.asker.send(asker::Ask::Peers(nodes));
        }
    }

    async fn remember(&self, known: &[(DestHash, u64)]) {
        if let Some(store) = self.store.as_ref().filter(|_| !known.is_empty()) {
            peers::save(store, known.to_vec()).await;
        }
    }
}

#[cfg(test)]
mod tests;
