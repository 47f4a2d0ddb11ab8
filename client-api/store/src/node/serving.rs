//! Answers to those who look for blocks and nodes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use allium_wire::{DestHash, Now};
use bytes::Bytes;

use super::{Loading, Node};
use crate::io::{DiskError, NodeAction};
use crate::wire::{Answer, Datagram, Frame, MAX_CLOSEST, MAX_NODES, PutKind};
use crate::{Key, Stored};

/// Blocks being read for others at most, for all of them and for one.
const MAX_LOADS: usize = 512;
/// Over this time gets of a block are counted.
const HEAT: Duration = Duration::from_mins(10);
/// Blocks whose gets are counted.
const MAX_HEAT: usize = 4096;

/// How often blocks are got, to see which are popular.
pub(super) struct Heat {
    enough: u32,
    counts: BTreeMap<Key, (u32, Instant)>,
}

impl Heat {
    pub(super) fn new(enough: u32) -> Self {
        Self { enough: enough.max(1), counts: BTreeMap::new() }
    }

    /// Counts a get; whether that made the block popular.
    fn count(&mut self, now: Instant, key: Key) -> bool {
        if self.counts.len() >= MAX_HEAT && !self.counts.contains_key(&key) {
            return false;
        }
        let (count, since) = self.counts.entry(key).or_insert((0, now));
        if now.saturating_duration_since(*since) > HEAT {
            (*count, *since) = (0, now);
        }
        *count += 1;
        *count == self.enough
    }

    pub(super) fn forget(&mut self, now: Instant) {
        self.counts.retain(|_, (_, since)| now.saturating_duration_since(*since) <= HEAT);
    }
}

impl<B: Stored> Node<B> {
    /// Which nodes are closest, and whether the blocks are here.
    pub(super) fn answer_find(&mut self, now: Instant, from: DestHash, id: u64, node: bool, keys: &[Key]) {
        // With many keys in a question, fewer nodes for each fit the answer; they are mostly the same ones.
        let mut nodes: Vec<DestHash> = Vec::new();
        let mut indices: BTreeMap<DestHash, u8> = BTreeMap::new();
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            let near = self.client.book.closest(&key.0, MAX_CLOSEST, |peer| {
                // Who did not answer the last time is not told on.
                peer.is_live(now) && peer.fails == 0 && peer.node != from
            });
            let mut closest = Vec::with_capacity(near.len());
            for peer in near {
                let known = indices.get(&peer.node).copied();
                let index = known.or_else(|| {
                    let index = u8::try_from(nodes.len()).ok().filter(|_| nodes.len() < MAX_NODES)?;
                    nodes.push(peer.node);
                    indices.insert(peer.node, index);
                    Some(index)
                });
                closest.extend(index);
            }
            answers.push(Answer { have: self.index.get(key).is_some(), closest });
        }
        self.stats.answered += 1;
        let bytes = Datagram::Found { id, nodes, answers }.encode();
        self.actions.push_back(NodeAction::Datagram { to: from, bytes });
        if node {
            self.client.heard_of(now, from);
        }
    }

    pub(super) fn answer_get(&mut self, now: Now, from: DestHash, id: u64, key: Key) {
        if !self.frames.allow(&from.0, now.instant) || self.loading.len() >= MAX_LOADS {
            self.stats.dropped += 1;
            return self.send(from, &Frame::Missing { id, busy: true });
        }
        if self.index.get(&key).is_none() {
            self.stats.missing += 1;
            return self.send(from, &Frame::Missing { id, busy: false });
        }
        if self.index.touch(&key, now.date.seconds()) {
            self.note(&key);
        }
        if self.heat.count(now.instant, key) {
            self.spread_soon(now.instant, key, true);
        }
        self.load(key, Loading::Serve { to: from, id });
    }

    /// A block seems to be damaged: it is read to see whether it is.
    pub(super) fn check(&mut self, key: Key) {
        let checked = |(loading, what): &(Key, Loading)| *loading == key && matches!(what, Loading::Check);
        if self.index.get(&key).is_some() && !self.loading.values().any(checked) {
            self.load(key, Loading::Check);
        }
    }

    /// A block was read, or could not be.
    pub(super) fn loaded(&mut self, now: Now, token: u64, outcome: Result<Bytes, DiskError>) {
        let Some((key, what)) = self.loading.remove(&token) else { return };
        let outcome =
            outcome.and_then(|bytes| if bytes.len() <= B::MAX { Ok(bytes) } else { Err(DiskError::Damaged) });
        let wrong = |bytes: &Bytes| !B::decode(bytes).is_ok_and(|block| block.key() == key);
        let damaged = matches!(what, Loading::Check) && outcome.as_ref().is_ok_and(wrong);
        if damaged || outcome == Err(DiskError::Damaged) {
            self.damaged(now.instant, key);
        }
        match (what, outcome) {
            (Loading::Serve { to, id }, Ok(bytes)) => {
                self.stats.served += 1;
                self.send(to, &Frame::Block { id, bytes });
            }
            (Loading::Serve { to, id }, Err(why)) => {
                self.send(to, &Frame::Missing { id, busy: why == DiskError::Failed });
            }
            (Loading::Push { to }, Ok(bytes)) => {
                let wanted = self.index.get(&key).map_or(0, |held| held.wanted);
                let idle = now.date.seconds().saturating_sub(wanted);
                self.stats.repaired += 1;
                self.client.push(now.instant, (to, key), PutKind::Repair, idle, bytes);
            }
            (Loading::Push { .. }, Err(_)) => self.pushed(now.instant, key, true),
            (Loading::Check, _) => {}
        }
    }

    /// A block on disk is not what was written: it goes, and comes back from the network.
    fn damaged(&mut self, now: Instant, key: Key) {
        // It may have gone or been written anew since it was read.
        if self.saving_keys.contains_key(&key) {
            return;
        }
        let Some(held) = self.index.remove(&key) else { return };
        self.stats.damaged += 1;
        self.actions.push_back(NodeAction::Delete(key));
        self.fetch(now, key, held.pinned);
    }
}
