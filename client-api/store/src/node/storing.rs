//! Blocks that come to stay: verified, given room, written, and acknowledged when they are on disk.

use std::time::Instant;

use allium_wire::{DestHash, Now};
use bytes::Bytes;

use super::Node;
use super::index::Held;
use crate::io::{NodeAction, Record};
use crate::wire::{Frame, PutKind, Refusal};
use crate::{Flaw, Key, Stored, Version};

/// Blocks being written at most.
const MAX_SAVES: usize = 256;
/// Senders of one block who wait for the same write.
const MAX_WAITING: usize = 32;

/// A block that is being written.
pub(super) struct Saving {
    key: Key,
    held: Held,
    /// Who is told when it is written, and under which number.
    waiting: Vec<(DestHash, u64)>,
    /// It was published: others are to have it soon.
    fresh: bool,
}

impl<B: Stored> Node<B> {
    pub(super) fn answer_put(
        &mut self,
        now: Now,
        (from, id): (DestHash, u64),
        kind: PutKind,
        idle: u32,
        bytes: &Bytes,
    ) {
        if !self.frames.allow(&from.0, now.instant) || self.saving.len() >= MAX_SAVES {
            self.stats.refused += 1;
            return self.send(from, &Frame::Refused { id, why: Refusal::Busy });
        }
        let block = match B::decode(bytes) {
            Ok(block) => block,
            Err(flaw) => {
                self.stats.refused += 1;
                self.send(from, &Frame::Refused { id, why: Refusal::Junk });
                if flaw == Flaw::Junk {
                    self.ban(now.instant, from);
                }
                return;
            }
        };
        let wanted = now.date.seconds().saturating_sub(idle);
        if let Err(why) = self.take(now, &block, bytes, (from, id), wanted, kind == PutKind::Fresh) {
            self.stats.refused += 1;
            self.send(from, &Frame::Refused { id, why });
        }
    }

    /// Takes a verified block: says so at once if it is here, or when it is written.
    fn take(
        &mut self,
        now: Now,
        block: &B,
        bytes: &Bytes,
        from: (DestHash, u64),
        wanted: u32,
        fresh: bool,
    ) -> Result<(), Refusal> {
        let (key, version) = (block.key(), block.version());
        self.repair.came(&key);
        if let Some(saving) = self.saving_keys.get(&key).and_then(|token| self.saving.get_mut(token)) {
            if saving.held.version != version || saving.waiting.len() >= MAX_WAITING {
                return Err(Refusal::Busy);
            }
            saving.waiting.push(from);
            saving.fresh |= fresh;
            return Ok(());
        }
        if let Some(held) = self.index.get(&key) {
            if held.version > version {
                return Err(Refusal::Older);
            }
            if held.version == version {
                if fresh && self.index.touch(&key, now.date.seconds()) {
                    self.note(&key);
                    self.spread_soon(now.instant, key, false);
                }
                self.send(from.0, &Frame::Stored { id: from.1 });
                return Ok(());
            }
        }
        let near = self.is_near(now.instant, &key.0, self.config.client.replicas * 2);
        let held = Held { size: bytes.len() as u32, version, wanted, pinned: self.is_pinned(&key), near };
        self.save(key, held, bytes.clone(), Some(from), fresh)
    }

    fn is_pinned(&self, key: &Key) -> bool {
        self.pins.contains(key) || self.index.get(key).is_some_and(|held| held.pinned)
    }

    /// Keeps a block that was fetched because it should be here.
    pub(super) fn keep_fetched(&mut self, now: Now, block: &B, pinned: bool) {
        let (key, version, bytes) = (block.key(), block.version(), block.encode());
        let older = self.index.get(&key).is_none_or(|held| held.version < version);
        if !older || self.saving_keys.contains_key(&key) {
            if pinned {
                self.pin(now.instant, key);
            }
            return;
        }
        let near = self.is_near(now.instant, &key.0, self.config.client.replicas * 2);
        let wanted = now.date.seconds();
        let held = Held { size: bytes.len() as u32, version, wanted, pinned, near };
        let _ = self.save(key, held, bytes, None, false);
    }

    fn save(
        &mut self,
        key: Key,
        held: Held,
        bytes: Bytes,
        from: Option<(DestHash, u64)>,
        fresh: bool,
    ) -> Result<(), Refusal> {
        // A block whose newer version is being written stays: its deletion would come after that on disk.
        let busy = |key: &Key| self.saving_keys.contains_key(key);
        let going = self.index.make_room(&key, &held, self.reserved, busy).map_err(|_| Refusal::Full)?;
        self.evict(going);
        self.reserved += u64::from(held.size);
        let token = self.token();
        let Held { size, version, wanted, pinned, .. } = held;
        let wanted = allium_wire::Date::from_seconds(wanted.into());
        let record = Record { key, size, version, wanted, pinned };
        self.saving.insert(token, Saving { key, held, waiting: from.into_iter().collect(), fresh });
        self.saving_keys.insert(key, token);
        self.actions.push_back(NodeAction::Save { token, record, bytes });
        Ok(())
    }

    /// A block is on disk, or could not be written.
    pub(super) fn saved(&mut self, now: Instant, token: u64, done: bool) {
        let Some(saving) = self.saving.remove(&token) else { return };
        self.saving_keys.remove(&saving.key);
        self.reserved -= u64::from(saving.held.size);
        if done {
            self.stats.taken += 1;
            let pinned = saving.held.pinned || self.pins.remove(&saving.key);
            self.index.put(saving.key, Held { pinned, ..saving.held });
            if pinned != saving.held.pinned {
                self.note(&saving.key);
            }
            if saving.fresh {
                self.spread_soon(now, saving.key, false);
            }
        } else {
            self.stats.refused += 1;
        }
        for (to, id) in saving.waiting {
            let answer =
                if done { Frame::Stored { id } } else { Frame::Refused { id, why: Refusal::Failed } };
            self.send(to, &answer);
        }
    }

    fn evict(&mut self, keys: Vec<Key>) {
        self.stats.evicted += keys.len() as u64;
        self.actions.extend(keys.into_iter().map(NodeAction::Delete));
    }

    pub(super) fn shrink(&mut self) {
        let gone = self.index.shrink(self.reserved, |key| self.saving_keys.contains_key(key));
        self.evict(gone);
    }

    /// Whether a block of which only this much is known would be new here and be kept.
    pub(super) fn has_room(&self, key: &Key, near: bool, wanted: u32) -> bool {
        let size = u32::try_from(B::MAX).unwrap_or(u32::MAX);
        let writing = self.saving_keys.contains_key(key);
        !writing && self.saving.len() < MAX_SAVES && self.index.would_take(size, near, wanted, self.reserved)
    }

    /// The version of a block held.
    pub(super) fn version_of(&self, key: &Key) -> Option<Version> {
        self.index.get(key).map(|held| held.version)
    }
}
