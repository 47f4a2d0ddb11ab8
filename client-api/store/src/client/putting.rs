//! Puts: a block goes to some of the nodes closest to its key, which spread it; later it is looked whether they did.

use std::time::{Duration, Instant};

use allium_wire::DestHash;
use bytes::Bytes;

use super::asking::Purpose;
use super::carrying::{Cargo, Trials, Tried};
use super::lookup::Waiter;
use super::{Client, Task, Timer};
use crate::io::{Action, RequestId, Why};
use crate::wire::{Frame, PutKind, Refusal};
use crate::{Key, Stored};

/// Nodes that say they have a newer version before it is believed.
const OLDER: usize = 2;
/// How often it is looked whether a block has spread.
const LOOKS: u8 = 3;
/// How often puts that may have spread are looked at, and how many at a time.
const TICK: Duration = Duration::from_secs(5);
const AT_A_TIME: usize = 2048;
/// How long a put waits for nodes that are busy or silent before it asks them again.
const PAUSE: Duration = Duration::from_secs(5);

/// How far a put has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Waiting,
    /// Not on enough disks yet.
    Storing,
    /// On enough disks for its giver; it is looked at again at that time.
    Resting(Instant),
    /// So many nodes have been asked whether they have it and have not answered.
    Checking(usize),
    /// It is sent to some who do not have it.
    Mending,
}

/// A put that has not ended.
pub(super) struct Put {
    key: Key,
    /// Not kept for ever: see [`Config::retained`](crate::Config::retained).
    bytes: Option<Bytes>,
    ends: Instant,
    phase: Phase,
    tried: Trials,
    /// Who has it by its own word.
    holders: Vec<DestHash>,
    goal: usize,
    flights: usize,
    /// Flights beyond those needed, because some are slow.
    extra: usize,
    seeking: bool,
    looked: bool,
    refusal: Option<Refusal>,
    looks: u8,
}

impl Put {
    pub(super) fn is_settling(&self) -> bool {
        matches!(self.phase, Phase::Resting(_) | Phase::Checking(_) | Phase::Mending)
    }

    fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::Storing | Phase::Mending)
    }
}

impl<B: Stored> Client<B> {
    pub(super) fn put(&mut self, now: Instant, id: RequestId, block: &B) {
        let bytes = block.encode();
        if bytes.len() > B::MAX {
            return self.fail(id, Why::Invalid);
        }
        let settling = self.puts.len() - self.running_puts.min(self.puts.len());
        let full = settling >= self.config.backlog || self.waiting_puts.len() >= self.config.put_backlog;
        if self.puts.contains_key(&id) || full {
            return self.fail(id, Why::Busy);
        }
        let put = Put {
            key: block.key(),
            bytes: Some(bytes),
            ends: now,
            phase: Phase::Waiting,
            tried: Trials::default(),
            holders: Vec::new(),
            goal: self.config.copies,
            flights: 0,
            extra: 0,
            seeking: false,
            looked: false,
            refusal: None,
            looks: 0,
        };
        self.puts.insert(id, put);
        self.waiting_puts.push_back(id);
        self.start_puts(now);
    }

    fn start_puts(&mut self, now: Instant) {
        if std::mem::replace(&mut self.starting, true) {
            return;
        }
        while self.running_puts < self.config.puts {
            let Some(id) = self.waiting_puts.pop_front() else { break };
            let Some(put) = self.puts.get_mut(&id) else { continue };
            put.phase = Phase::Storing;
            put.ends = now + self.config.put_time;
            self.running_puts += 1;
            let (key, ends) = (put.key, put.ends);
            self.timers.set(Timer::Put(id), ends);
            self.renew_region(now, key);
            self.drive_put(now, id);
        }
        self.starting = false;
    }

    pub(super) fn drive_put(&mut self, now: Instant, id: RequestId) {
        while let Some(put) = self.puts.get(&id).filter(|put| put.is_sending()) {
            if put.holders.len() >= put.goal || put.bytes.is_none() {
                return self.put_enough(now, id);
            }
            if put.flights >= put.goal - put.holders.len() + put.extra || put.seeking {
                return;
            }
            let key = put.key;
            if !put.looked && !self.knows_region(now, &key) {
                return self.seek_keepers(now, id, key, false);
            }
            let open = self.book.closest(&key.0, self.config.replicas * 3, |peer| {
                peer.is_live(now) && !put.holders.contains(&peer.node)
            });
            let open: Vec<_> = open.into_iter().filter(|peer| !put.tried.has(&peer.node)).collect();
            let proper = open.iter().take(self.config.replicas);
            // The closest of them, but who is doubted after the others.
            let next = proper.filter(|peer| peer.has_room()).min_by_key(|peer| peer.doubted);
            if let Some(node) = next.map(|peer| peer.node) {
                self.send_put(now, id, node);
                continue;
            }
            match open.first().map(|peer| peer.node) {
                Some(node) => return self.stall(now, node, Task::Put(id)),
                None if !put.looked => return self.seek_keepers(now, id, key, true),
                None => return self.nobody_takes(now, id),
            }
        }
    }

    fn seek_keepers(&mut self, now: Instant, id: RequestId, key: Key, anew: bool) {
        if let Some(put) = self.puts.get_mut(&id) {
            put.seeking = true;
        }
        if !self.seek(now, key, Waiter::Put(id), anew) {
            self.put_sought(now, id, &key, true);
        }
    }

    /// The lookup that a put waited for is over.
    pub(super) fn put_sought(&mut self, now: Instant, id: RequestId, key: &Key, in_vain: bool) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        put.seeking = false;
        put.looked |= in_vain || put.key == *key;
        self.drive_put(now, id);
    }

    fn send_put(&mut self, now: Instant, id: RequestId, to: DestHash) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        let Some(bytes) = put.bytes.clone() else { return };
        put.flights += 1;
        put.tried.set(to, Tried::Flying);
        self.stats.pushed += 1;
        self.launch(now, to, Cargo::Put(id), |id| Frame::Put { id, kind: PutKind::Fresh, idle: 0, bytes });
    }

    /// A slow node: one more gets the block. Whether it did.
    pub(super) fn hedge_put(&mut self, now: Instant, id: RequestId) -> bool {
        let Some(put) = self.puts.get_mut(&id).filter(|put| put.extra < 2) else { return false };
        put.extra += 1;
        let before = put.flights;
        self.drive_put(now, id);
        self.puts.get(&id).is_some_and(|put| put.flights > before)
    }

    pub(super) fn put_tried(
        &mut self,
        now: Instant,
        id: RequestId,
        node: DestHash,
        tried: Tried,
        refusal: Option<Refusal>,
    ) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        put.flights = put.flights.saturating_sub(1);
        put.tried.set(node, tried);
        if tried == Tried::Good && !put.holders.contains(&node) {
            put.holders.push(node);
        }
        if let Some(refusal) = refusal {
            // One node alone is not believed that there is a newer version.
            let both = put.refusal == Some(Refusal::Older) && refusal == Refusal::Older;
            if both && put.phase == Phase::Storing && put.tried.count(Tried::Bad) >= OLDER {
                return self.put_failed(now, id, Why::Refused(Refusal::Older));
            }
            put.refusal = Some(refusal);
        }
        self.drive_put(now, id);
    }

    /// Nobody is left who could take the block.
    fn nobody_takes(&mut self, now: Instant, id: RequestId) {
        let Some(put) = self.puts.get_mut(&id).filter(|put| put.flights == 0) else { return };
        if put.phase == Phase::Mending {
            return self.put_settled(id);
        }
        let here = self.book.iter().filter(|peer| peer.is_live(now)).count();
        if !put.holders.is_empty() && here <= put.holders.len() {
            return self.put_enough(now, id);
        }
        if now + PAUSE < put.ends && put.tried.forgive() {
            put.looked = false;
            self.timers.set(Timer::Put(id), now + PAUSE);
            return;
        }
        let why = match put.refusal {
            Some(refusal) => Why::Refused(refusal),
            None if self.book.len() == 0 => Why::NoPeers,
            None => Why::Unanswered,
        };
        self.put_failed(now, id, why);
    }

    pub(super) fn put_due(&mut self, now: Instant, id: RequestId) {
        let Some(put) = self.puts.get(&id).filter(|put| put.phase == Phase::Storing) else { return };
        if now < put.ends {
            self.timers.set(Timer::Put(id), put.ends);
            return self.drive_put(now, id);
        }
        let why = put.refusal.map_or(Why::Unanswered, Why::Refused);
        self.put_failed(now, id, why);
    }

    fn put_failed(&mut self, now: Instant, id: RequestId, why: Why) {
        self.drop_put(now, id);
        self.fail(id, why);
    }

    /// Forgets a put, and begins the next one that waits.
    pub(super) fn drop_put(&mut self, now: Instant, id: RequestId) {
        let Some(put) = self.puts.remove(&id) else { return };
        self.timers.cancel(Timer::Put(id));
        match put.phase {
            Phase::Storing => {
                self.running_puts = self.running_puts.saturating_sub(1);
                self.start_puts(now);
            }
            Phase::Resting(at) => {
                self.settling.remove(&(at, id));
            }
            Phase::Waiting | Phase::Checking(_) | Phase::Mending => {}
        }
        if put.phase != Phase::Storing {
            self.retained_bytes =
                self.retained_bytes.saturating_sub(put.bytes.map_or(0, |bytes| bytes.len()));
        }
    }

    /// The block is on as many disks as were wanted.
    fn put_enough(&mut self, now: Instant, id: RequestId) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        if put.phase == Phase::Mending {
            return self.put_settled(id);
        }
        let (holders, size) = (put.holders.len(), put.bytes.as_ref().map_or(0, Bytes::len));
        self.timers.cancel(Timer::Put(id));
        self.stats.stored += 1;
        self.actions.push_back(Action::Stored { id, holders });
        self.rest(now, id);
        self.retained_bytes += size;
        self.retained.push_back(id);
        self.let_go();
        self.running_puts = self.running_puts.saturating_sub(1);
        self.start_puts(now);
    }

    /// Keeps no more blocks of stored puts than it may; the oldest go first.
    fn let_go(&mut self) {
        while self.retained_bytes > self.config.retained || self.retained.len() > self.config.backlog {
            let Some(oldest) = self.retained.pop_front() else { return };
            let bytes = self.puts.get_mut(&oldest).and_then(|put| put.bytes.take());
            self.retained_bytes = self.retained_bytes.saturating_sub(bytes.map_or(0, |bytes| bytes.len()));
        }
    }

    fn rest(&mut self, now: Instant, id: RequestId) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        let at = now + self.config.settle * (1 << put.looks.min(8));
        put.phase = Phase::Resting(at);
        self.settling.insert((at, id));
        self.timers.no_later(Timer::Settle, at.max(now + TICK));
    }

    /// Looks whether blocks have spread to the nodes that they belong to.
    pub(super) fn settle(&mut self, now: Instant) {
        for _ in 0..AT_A_TIME {
            let Some((_, id)) = self.settling.first().copied().filter(|(at, _)| *at <= now) else { break };
            self.settling.pop_first();
            self.check(now, id);
        }
        if let Some((at, _)) = self.settling.first() {
            self.timers.set(Timer::Settle, (*at).max(now + TICK));
        }
    }

    fn check(&mut self, now: Instant, id: RequestId) {
        let Some(put) = self.puts.get_mut(&id) else { return };
        put.looks += 1;
        let key = put.key;
        let near = self.book.closest(&key.0, self.config.replicas, |peer| peer.is_live(now));
        let near: Vec<_> =
            near.iter().map(|peer| peer.node).filter(|node| !put.holders.contains(node)).collect();
        if near.is_empty() {
            return self.put_settled(id);
        }
        put.phase = Phase::Checking(near.len());
        for node in near {
            self.ask_soon(node, key, Purpose::Settle(id));
        }
    }

    /// A node said whether it has a block that was put (or said nothing).
    pub(super) fn settle_answered(&mut self, now: Instant, id: RequestId, answer: Option<(DestHash, bool)>) {
        let replicas = self.config.replicas;
        let Some(put) = self.puts.get_mut(&id) else { return };
        let Phase::Checking(open) = put.phase else { return };
        if let Some((node, true)) = answer {
            put.holders.push(node);
        }
        put.phase = Phase::Checking(open.saturating_sub(1));
        if open > 1 {
            return;
        }
        if put.holders.len() >= replicas || put.looks > LOOKS {
            self.put_settled(id);
        } else if put.bytes.is_some() {
            (put.phase, put.goal) = (Phase::Mending, replicas);
            (put.tried, put.extra) = (Trials::default(), 0);
            self.drive_put(now, id);
        } else {
            self.rest(now, id);
        }
    }

    fn put_settled(&mut self, id: RequestId) {
        let Some(put) = self.puts.remove(&id) else { return };
        self.retained_bytes = self.retained_bytes.saturating_sub(put.bytes.map_or(0, |bytes| bytes.len()));
        self.actions.push_back(Action::Spread { id, holders: put.holders.len() });
    }
}
