//! What a node holds: a record of each block, in memory.

use std::collections::{BTreeMap, BTreeSet};

use allium_wire::Date;

use crate::io::Record;
use crate::wire::Item;
use crate::{Key, Version};

/// A use is noted when the last one noted is this many seconds old.
const NOTED: u32 = 600;

/// One block held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) size: u32,
    pub(super) version: Version,
    /// When it was last wanted, seconds.
    pub(super) wanted: u32,
    pub(super) pinned: bool,
    /// It belongs here: this node is among those closest to the key. Others go first.
    pub(super) near: bool,
}

/// All blocks held, and in which order they go.
pub(super) struct Index {
    held: BTreeMap<Key, Held>,
    /// Those not pinned; the first goes first.
    order: BTreeSet<(bool, u32, Key)>,
    pinned: usize,
    bytes: u64,
    pinned_bytes: u64,
    quota: u64,
}

/// There is no room for a block.
pub(super) struct NoRoom;

impl Index {
    pub(super) fn new(quota: u64, records: Vec<Record>) -> Self {
        let (held, order) = (BTreeMap::new(), BTreeSet::new());
        let mut index = Self { held, order, pinned: 0, bytes: 0, pinned_bytes: 0, quota };
        for record in records {
            let Record { key, size, version, wanted, pinned } = record;
            index.insert(key, Held { size, version, wanted: wanted.seconds(), pinned, near: true });
        }
        index
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn pinned(&self) -> usize {
        self.pinned
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn quota(&self) -> u64 {
        self.quota
    }

    pub(super) fn set_quota(&mut self, quota: u64) {
        self.quota = quota;
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Held> {
        self.held.get(key)
    }

    /// The record of a block, to be written.
    pub(super) fn record(&self, key: &Key) -> Option<Record> {
        let held = self.held.get(key)?;
        let (size, version, pinned) = (held.size, held.version, held.pinned);
        Some(Record { key: *key, size, version, wanted: Date::from_seconds(held.wanted.into()), pinned })
    }

    /// The keys after this one, in order.
    pub(super) fn after(&self, key: Option<&Key>) -> impl Iterator<Item = (&Key, &Held)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.held.range((key.map_or(Unbounded, Excluded), Unbounded))
    }

    /// What is held of an offered block: its version tag.
    pub(super) fn find(&self, item: &Item) -> Option<u16> {
        let (mut low, mut high) = ([0; 32], [0xff; 32]);
        low.iter_mut().zip(item.prefix).for_each(|(byte, prefix)| *byte = prefix);
        high.iter_mut().zip(item.prefix).for_each(|(byte, prefix)| *byte = prefix);
        self.held.range(Key(low)..=Key(high)).next().map(|(_, held)| held.version.tag())
    }

    fn insert(&mut self, key: Key, held: Held) {
        self.remove(&key);
        self.bytes += u64::from(held.size);
        if held.pinned {
            self.pinned += 1;
            self.pinned_bytes += u64::from(held.size);
        } else {
            self.order.insert((held.near, held.wanted, key));
        }
        self.held.insert(key, held);
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Held> {
        let held = self.held.remove(key)?;
        self.bytes -= u64::from(held.size);
        if held.pinned {
            self.pinned -= 1;
            self.pinned_bytes -= u64::from(held.size);
        } else {
            self.order.remove(&(held.near, held.wanted, *key));
        }
        Some(held)
    }

    /// Takes a block in, in place of the one of that key. Room must have been made.
    pub(super) fn put(&mut self, key: Key, held: Held) {
        let pinned = held.pinned || self.held.get(&key).is_some_and(|before| before.pinned);
        self.insert(key, Held { pinned, ..held });
    }

    /// Whether a block of this size would be taken, wanted then and near or not; `reserved` bytes are promised to others.
    pub(super) fn would_take(&self, size: u32, near: bool, wanted: u32, reserved: u64) -> bool {
        let over = (self.bytes + reserved + u64::from(size)).saturating_sub(self.quota);
        over == 0 || (self.gives_way(near, wanted) && u64::from(size) + self.pinned_bytes <= self.quota)
    }

    /// Whether the first to go is less worth than a newcomer.
    fn gives_way(&self, near: bool, wanted: u32) -> bool {
        self.order
            .first()
            .is_some_and(|(first_near, first_wanted, _)| (*first_near, *first_wanted) < (near, wanted))
    }

    /// Removes what must go for a block, if it is worth it; nothing that is `busy`. The removed keys are to be deleted
    /// on disk.
    pub(super) fn make_room(
        &mut self,
        key: &Key,
        new: &Held,
        reserved: u64,
        busy: impl Fn(&Key) -> bool,
    ) -> Result<Vec<Key>, NoRoom> {
        if new.pinned {
            return Ok(Vec::new());
        }
        let replaced = self.held.get(key).map_or(0, |held| u64::from(held.size));
        let mut over = (self.bytes + reserved + u64::from(new.size)).saturating_sub(self.quota + replaced);
        let mut going = Vec::new();
        for (near, wanted, other) in &self.order {
            if over == 0 || (*near, *wanted) >= (new.near, new.wanted) {
                break;
            }
            if other != key && !busy(other) {
                over = over.saturating_sub(self.held.get(other).map_or(0, |held| held.size.into()));
                going.push(*other);
            }
        }
        if over > 0 {
            return Err(NoRoom);
        }
        for key in &going {
            self.remove(key);
        }
        Ok(going)
    }

    /// Removes what is above the quota, and is not `busy`.
    pub(super) fn shrink(&mut self, reserved: u64, busy: impl Fn(&Key) -> bool) -> Vec<Key> {
        let mut over = (self.bytes + reserved).saturating_sub(self.quota);
        let mut going = Vec::new();
        for (_, _, key) in self.order.iter().filter(|(_, _, key)| !busy(key)) {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(self.held.get(key).map_or(0, |held| held.size.into()));
            going.push(*key);
        }
        for key in &going {
            self.remove(key);
        }
        going
    }

    /// Somebody wanted a block. Whether that is worth noting.
    pub(super) fn touch(&mut self, key: &Key, now: u32) -> bool {
        let Some(held) = self.held.get(key).copied() else { return false };
        let noted = now.saturating_sub(held.wanted) >= NOTED;
        if noted {
            self.insert(*key, Held { wanted: now, ..held });
        }
        noted
    }

    /// Whether a block belongs here has become known.
    pub(super) fn set_near(&mut self, key: &Key, near: bool) {
        if let Some(held) = self.held.get(key).copied().filter(|held| held.near != near) {
            self.insert(*key, Held { near, ..held });
        }
    }

    /// Pins a block or not; whether it is here.
    pub(super) fn set_pinned(&mut self, key: &Key, pinned: bool) -> bool {
        let Some(held) = self.held.get(key).copied() else { return false };
        self.insert(*key, Held { pinned, ..held });
        true
    }
}

#[cfg(test)]
mod tests;
