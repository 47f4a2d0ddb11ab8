//! A store that is one map, and loses and refuses what a test wants it to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use allium_content::block::{Block, Key};
use allium_router::BoxFuture;
use allium_store::Why;

use super::{Blocks, Placed, StoreStatus};

/// Blocks in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<State>);

/// What the store has and does.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) blocks: BTreeMap<Key, Block>,
    pub(crate) pinned: BTreeSet<Key>,
    /// Nobody can be asked.
    pub(crate) down: bool,
    /// Puts that are refused before one is taken.
    pub(crate) refuse: usize,
    /// Gets of these never end.
    pub(crate) stuck: BTreeSet<Key>,
    /// Gets and puts under way, and the most there ever were.
    pub(crate) under_way: usize,
    pub(crate) most: usize,
    pub(crate) gets: u64,
}

impl Memory {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self) -> Inside<'_> {
        let mut state = self.state();
        state.under_way += 1;
        state.most = state.most.max(state.under_way);
        Inside(self)
    }
}

/// One call under way.
struct Inside<'a>(&'a Memory);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

impl Blocks for Memory {
    fn get(&self, key: Key, _newest: bool) -> BoxFuture<'_, Result<Block, Why>> {
        Box::pin(async move {
            let _inside = self.enter();
            tokio::task::yield_now().await;
            if self.state().stuck.contains(&key) {
                std::future::pending::<()>().await;
            }
            let mut state = self.state();
            state.gets += 1;
            if state.down {
                return Err(Why::NoPeers);
            }
            state.blocks.get(&key).cloned().ok_or(Why::Absent)
        })
    }

    fn put(&self, block: Block) -> BoxFuture<'_, Result<Placed, Why>> {
        Box::pin(async move {
            let _inside = self.enter();
            tokio::task::yield_now().await;
            let mut state = self.state();
            if state.down {
                return Err(Why::NoPeers);
            }
            if state.refuse > 0 {
                state.refuse -= 1;
                return Err(Why::Busy);
            }
            let newer = state.blocks.get(&block.key()).is_none_or(|held| block.supersedes(held));
            if newer {
                state.blocks.insert(block.key(), block);
            }
            Ok(Placed { holders: 2 })
        })
    }

    fn count(&self, key: Key) -> BoxFuture<'_, Result<usize, Why>> {
        Box::pin(async move { Ok(if self.state().blocks.contains_key(&key) { 2 } else { 0 }) })
    }

    fn pin(&self, keys: Vec<Key>) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.state().pinned.extend(keys) })
    }

    fn unpin(&self, keys: Vec<Key>) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.state().pinned.retain(|key| !keys.contains(key)) })
    }

    fn here(&self, keys: Vec<Key>) -> BoxFuture<'_, Vec<bool>> {
        Box::pin(async move {
            let state = self.state();
            keys.iter().map(|key| state.blocks.contains_key(key)).collect()
        })
    }

    fn status(&self) -> BoxFuture<'_, StoreStatus> {
        Box::pin(async { StoreStatus { ready: true, ..StoreStatus::default() } })
    }
}
