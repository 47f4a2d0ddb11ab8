//! What the service asks of the store network.

use allium_content::block::{Block, Key};
use allium_router::BoxFuture;
use allium_store::Why;
use serde::Serialize;

/// Where a block went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Nodes that have it on disk by their own word.
    pub holders: usize,
}

/// The state of the store, for people.
#[derive(Clone, Debug, Default, Serialize)]
pub struct StoreStatus {
    /// Whether blocks can be got and put now; else why not.
    pub ready: bool,
    /// What is missing, for people.
    pub why_not: Option<String>,
    /// The store's own address (`….b32.i2p`), for others' `bootstrap`.
    pub address: String,
    /// Nodes known that answer.
    pub peers: usize,
    /// Blocks on this node's disk.
    pub blocks: u64,
    /// Of those, pinned.
    pub pinned: u64,
    /// Bytes of blocks on this node's disk.
    pub bytes: u64,
    /// The most it may be.
    pub quota: u64,
    /// Gets under way.
    pub gets: usize,
    /// Puts that too few nodes hold yet.
    pub puts: usize,
    /// Puts that are held, and still spreading to further nodes.
    pub spreading: usize,
    /// Every counter of the engines, by name.
    pub counters: Vec<(String, u64)>,
}

/// Single blocks by key. Calls may be dropped, which gives up what was asked.
pub trait Blocks: Send + Sync + 'static {
    /// Finds a block; waits its turn. With `newest`, the newest version that several nodes have.
    fn get(&self, key: Key, newest: bool) -> BoxFuture<'_, Result<Block, Why>>;

    /// Has a block kept; ends when as many nodes hold it as a put asks for. Waits for room before it takes the block's
    /// memory.
    fn put(&self, block: Block) -> BoxFuture<'_, Result<Placed, Why>>;

    /// How many nodes hold a block.
    fn count(&self, key: Key) -> BoxFuture<'_, Result<usize, Why>>;

    /// Keep these on this node whatever the quota says, and fetch what is not here.
    fn pin(&self, keys: Vec<Key>) -> BoxFuture<'_, ()>;

    /// Keep these like any others from now on.
    fn unpin(&self, keys: Vec<Key>) -> BoxFuture<'_, ()>;

    /// Which of these are on this node's disk, in their order.
    fn here(&self, keys: Vec<Key>) -> BoxFuture<'_, Vec<bool>>;

    /// The state of the store.
    fn status(&self) -> BoxFuture<'_, StoreStatus>;
}
