use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use allium_content::block::{Block, Key};
use allium_router::BoxFuture;
use allium_store::Why;

use crate::content::{Blocks, Placed, StoreStatus};

#[derive(Default)]
pub(super) struct Memory {
    blocks: Mutex<BTreeMap<Key, Block>>,
    silent: bool,
}

impl Memory {
    /// One that never answers a get.
    pub(super) fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }

    fn has(&self, key: Key) -> Option<Block> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }
}

fn done<T: Send + 'static>(result: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(result))
}

impl Blocks for Memory {
    fn get(&self, key: Key, _newest: bool) -> BoxFuture<'_, Result<Block, Why>> {
        if self.silent {
            return Box::pin(std::future::pending());
        }
        done(self.has(key).ok_or(Why::Absent))
    }

    fn put(&self, block: Block) -> BoxFuture<'_, Result<Placed, Why>> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = blocks.get(&block.key()).is_none_or(|held| block.supersedes(held));
        if newer {
            blocks.insert(block.key(), block);
        }
        done(Ok(Placed { holders: 2 }))
    }

    fn count(&self, key: Key) -> BoxFuture<'_, Result<usize, Why>> {
        done(Ok(self.has(key).map_or(0, |_| 2)))
    }

    fn pin(&self, _keys: Vec<Key>) -> BoxFuture<'_, ()> {
        done(())
    }

    fn unpin(&self, _keys: Vec<Key>) -> BoxFuture<'_, ()> {
        done(())
    }

    fn here(&self, keys: Vec<Key>) -> BoxFuture<'_, Vec<bool>> {
        done(keys.into_iter().map(|key| self.has(key).is_some()).collect())
    }

    fn status(&self) -> BoxFuture<'_, StoreStatus> {
        done(StoreStatus { ready: true, ..StoreStatus::default() })
    }
}
