//! Gets: the nodes closest to the key are asked, one after the other, more at once where one is slow.

use std::time::{Duration, Instant};

use allium_wire::DestHash;
use bytes::Bytes;

use super::carrying::{Cargo, Trials, Tried};
use super::lookup::Waiter;
use super::{Client, Task, Timer};
use crate::book::Peer;
use crate::io::{Action, RequestId, Why};
use crate::wire::{Frame, PutKind};
use crate::{Key, Stored};

/// So many nodes must say that they do not have a block before it is believed (or all, if there are fewer).
const SEVERAL: usize = 3;
/// Of those that should have it, so many may be silent.
const UNHEARD: usize = 1;
/// Nodes asked for a block at once, at most: all of them, and those who are not doubted.
const AT_ONCE_DOUBTED: u8 = 8;
const AT_ONCE: u8 = 4;
/// So many are asked at once when some said that they do not have it.
const AFTER_MISSES: u8 = 3;
/// Answers awaited for a block that can have newer versions, and how long after the first.
const OPINIONS: usize = 3;
const OPINIONS_TIME: Duration = Duration::from_secs(5);
/// How often a get starts over with those who were silent or busy.
const ROUNDS: u8 = 3;
/// How long it waits before that.
const PAUSE: Duration = Duration::from_secs(3);
/// Blocks on their way to nodes that should have had them.
const BACKS: usize = 16;

/// A get that has not ended.
pub(super) struct Get<B> {
    key: Key,
    /// Several nodes are to be heard, for there may be a newer version.
    newest: bool,
    ends: Instant,
    running: bool,
    tried: Trials,
    /// Nodes that said they have it.
    hints: Vec<DestHash>,
    /// It waits for a lookup.
    seeking: bool,
    /// The lookup waits for late nodes: who is known is asked meanwhile.
    goes_on: bool,
    /// The key itself has been looked up.
    looked: bool,
    /// The newest version so far.
    best: Option<B>,
    flights: u8,
    /// How many flights there may be.
    allow: u8,
    rounds: u8,
}

/// What to do next for a get.
enum Next {
    Ask(DestHash),
    /// All that could be asked are at their windows: this one is waited for.
    Wait(DestHash),
    Seek {
        anew: bool,
    },
    Pending,
    Nobody,
}

impl<B: Stored> Client<B> {
    pub(super) fn get(&mut self, now: Instant, id: RequestId, key: Key, newest: bool) {
        if self.gets.contains_key(&id) || self.waiting_gets.len() >= self.config.backlog {
            return self.fail(id, Why::Busy);
        }
        let get = Get {
            key,
            ends: now,
            running: false,
            tried: Trials::default(),
            hints: Vec::new(),
            seeking: false,
            goes_on: false,
            looked: false,
            best: None,
            flights: 0,
            allow: if newest { OPINIONS as u8 } else { 1 },
            newest,
            rounds: 0,
        };
        self.gets.insert(id, get);
        self.waiting_gets.push_back(id);
        self.start_gets(now);
    }

    fn start_gets(&mut self, now: Instant) {
        if std::mem::replace(&mut self.starting, true) {
            return;
        }
        while self.running_gets < self.config.gets {
            let Some(id) = self.waiting_gets.pop_front() else { break };
            let Some(get) = self.gets.get_mut(&id) else { continue };
            get.running = true;
            get.ends = now + self.config.get_time;
            self.running_gets += 1;
            let (key, ends) = (get.key, get.ends);
            self.timers.set(Timer::Get(id), ends);
            self.renew_region(now, key);
            self.drive_get(now, id);
        }
        self.starting = false;
    }

    pub(super) fn drive_get(&mut self, now: Instant, id: RequestId) {
        while let Some(get) = self.gets.get(&id).filter(|get| get.running && get.flights < get.allow) {
            let key = get.key;
            match self.next_holder(now, get) {
                Next::Ask(node) => {
                    // Who is doubted is asked beside others, and not waited for.
                    if self.book.is_doubted(&node)
                        && get.allow < AT_ONCE_DOUBTED
                        && self.may_hedge(now)
                        && let Some(get) = self.gets.get_mut(&id)
                    {
                        get.allow += 1;
                        self.hedged();
                    }
                    self.fetch(now, id, node);
                }
                Next::Wait(node) => return self.stall(now, node, Task::Get(id)),
                Next::Seek { anew } => {
                    if let Some(get) = self.gets.get_mut(&id) {
                        get.seeking = true;
                    }
                    if !self.seek(now, key, Waiter::Get(id), anew) {
                        return self.get_sought(now, id, &key, true);
                    }
                    return;
                }
                Next::Pending => return,
                Next::Nobody => return self.nobody_left(now, id),
            }
        }
    }

    fn next_holder(&self, now: Instant, get: &Get<B>) -> Next {
        let open = |node: &DestHash| !get.tried.has(node);
        let live = |node: &DestHash| self.book.get(node).is_some_and(|peer| !peer.is_shunned(now));
        let hints = get.hints.iter().copied().filter(|node| open(node) && live(node));
        let (doubted_hints, hints): (Vec<_>, Vec<_>) = hints.partition(|node| self.book.is_doubted(node));
        if let Some(next) = self.ask_or_wait(&hints) {
            return next;
        }
        if get.seeking && !get.goes_on {
            return self.ask_or_wait(&doubted_hints).unwrap_or(Next::Pending);
        }
        if !get.seeking && !get.looked && !self.knows_region(now, &get.key) {
            let seek = if get.best.is_some() { Next::Nobody } else { Next::Seek { anew: false } };
            return self.ask_or_wait(&doubted_hints).unwrap_or(seek);
        }
        let reach = if get.looked { self.config.replicas * 2 + 2 } else { self.config.replicas + 2 };
        let near = self.book.closest(&get.key.0, reach, |peer| peer.is_live(now));
        let near = near.into_iter().filter(|peer| open(&peer.node));
        let (doubted, near): (Vec<_>, Vec<_>) = near.partition(|peer| peer.doubted);
        // Of those that should have it, in any order; of the others only when those are through.
        let limit = self.config.replicas.saturating_sub(get.tried.count(Tried::Missing)).max(1);
        let near: Vec<_> = near.into_iter().take(limit).map(|peer| peer.node).collect();
        let doubted: Vec<_> = doubted.into_iter().map(|peer| peer.node).collect();
        let next = self.ask_or_wait(&near).or_else(|| self.ask_or_wait(&doubted_hints));
        if let Some(next) = next.or_else(|| self.ask_or_wait(&doubted)) {
            return next;
        }
        // A lookup helps if some do not have the block, or all that should have it are silent.
        let silent = get.tried.count(Tried::Flying);
        let early = silent > 0 && silent < self.config.replicas && get.tried.count(Tried::Missing) == 0;
        if get.seeking || early && !get.looked && get.best.is_none() {
            Next::Pending
        } else if !get.looked && get.best.is_none() {
            Next::Seek { anew: true }
        } else {
            Next::Nobody
        }
    }

    /// Of nodes in the order of their distance, one to ask, or to wait for if all are at their windows.
    fn ask_or_wait(&self, nodes: &[DestHash]) -> Option<Next> {
        let ready = nodes.iter().copied().filter(|node| self.book.get(node).is_some_and(Peer::has_room));
        let best = self.best_of(ready).map(Next::Ask);
        best.or_else(|| nodes.first().map(|node| Next::Wait(*node)))
    }

    /// Of nodes in the order of their distance, the one to ask first: closeness counts, and more so whether it gave
    /// what it should have, and how much is under way with it.
    fn best_of(&self, nodes: impl Iterator<Item = DestHash>) -> Option<DestHash> {
        let cost = |rank: usize, node: &DestHash| {
            let Some(peer) = self.book.get(node) else { return u32::MAX };
            let load = f32::from(peer.used) / f32::from(peer.window.max(1));
            let slow = peer.blocks.mean().map_or(0.0, |time| time.as_secs_f32().min(10.0) / 4.0);
            let cost = rank as f32 * 0.7
                + (1.0 - peer.reliability()) * 6.0
                + load * 2.0
                + slow
                + f32::from(peer.fails);
            (cost * 1000.0) as u32
        };
        nodes.enumerate().min_by_key(|(rank, node)| cost(*rank, node)).map(|(_, node)| node)
    }

    fn fetch(&mut self, now: Instant, id: RequestId, node: DestHash) {
        let Some(get) = self.gets.get_mut(&id) else { return };
        get.flights += 1;
        get.tried.set(node, Tried::Flying);
        let key = get.key;
        self.stats.fetches += 1;
        self.launch(now, node, Cargo::Get(id), |id| Frame::Get { id, key });
    }

    /// A node said in a lookup whether it has a block.
    pub(super) fn hint(&mut self, now: Instant, id: RequestId, key: &Key, node: DestHash, have: bool) {
        let Some(get) = self.gets.get_mut(&id).filter(|get| get.key == *key) else { return };
        if have && !get.hints.contains(&node) {
            get.hints.push(node);
            self.drive_get(now, id);
        } else if !have && !get.tried.has(&node) {
            get.tried.set(node, Tried::Missing);
        }
    }

    /// The lookup that a get waited for is over.
    pub(super) fn get_sought(&mut self, now: Instant, id: RequestId, key: &Key, in_vain: bool) {
        let Some(get) = self.gets.get_mut(&id) else { return };
        (get.seeking, get.goes_on) = (false, false);
        get.looked |= in_vain || get.key == *key;
        self.drive_get(now, id);
    }

    /// The lookup that a get waits for is held up by nodes that are late.
    pub(super) fn get_goes_on(&mut self, now: Instant, id: RequestId) {
        if let Some(get) = self.gets.get_mut(&id).filter(|get| get.seeking && !get.goes_on) {
            get.goes_on = true;
            self.drive_get(now, id);
        }
    }

    /// What a node was asked got lost on its way: it may be asked again.
    pub(super) fn ask_again(&mut self, now: Instant, id: RequestId, node: &DestHash) {
        let Some(get) = self.gets.get_mut(&id) else { return };
        get.flights = get.flights.saturating_sub(1);
        get.tried.forget(node);
        self.drive_get(now, id);
    }

    /// A node is slow, or sends nothing at all: one more may be asked. Whether it was.
    pub(super) fn hedge_get(&mut self, now: Instant, id: RequestId, quiet: bool) -> bool {
        let most = if quiet { AT_ONCE_DOUBTED } else { AT_ONCE };
        let Some(get) = self.gets.get_mut(&id).filter(|get| get.allow < most) else { return false };
        get.allow += 1;
        let before = get.flights;
        self.drive_get(now, id);
        self.gets.get(&id).is_some_and(|get| get.flights > before)
    }

    pub(super) fn get_tried(&mut self, now: Instant, id: RequestId, node: DestHash, tried: Tried) {
        let Some(get) = self.gets.get_mut(&id) else { return };
        get.flights = get.flights.saturating_sub(1);
        get.tried.set(node, tried);
        let misses = get.tried.count(Tried::Missing).min(usize::from(AFTER_MISSES)) as u8;
        get.allow = get.allow.max((1 + misses).min(AFTER_MISSES));
        if !self.is_agreed(now, id) {
            self.drive_get(now, id);
        }
    }

    pub(super) fn block_arrived(
        &mut self,
        now: Instant,
        id: RequestId,
        from: DestHash,
        bytes: &Bytes,
        took: Duration,
    ) {
        // A get that has ended in the meantime says nothing of the key: the block is not looked at.
        let Some(key) = self.gets.get(&id).map(|get| get.key) else {
            return self.book.served(now, &from, took);
        };
        let Some(block) = B::decode(bytes).ok().filter(|block| block.key() == key) else {
            self.get_tried(now, id, from, Tried::Bad);
            return self.accuse(now, from);
        };
        self.book.served(now, &from, took);
        let Some(get) = self.gets.get_mut(&id) else { return };
        get.flights = get.flights.saturating_sub(1);
        get.tried.set(from, Tried::Good);
        let fixed = block.version().is_fixed();
        match &get.best {
            Some(best) if best.version() > block.version() => get.tried.set(from, Tried::Stale),
            Some(best) if best.version() == block.version() => {}
            before => {
                if before.is_some() {
                    let older: Vec<_> = get.tried.those(Tried::Good).filter(|node| *node != from).collect();
                    for node in older {
                        get.tried.set(node, Tried::Stale);
                    }
                }
                get.best = Some(block);
            }
        }
        if fixed || !get.newest {
            return self.got(now, id);
        }
        get.allow = get.allow.max(AT_ONCE);
        if get.tried.count(Tried::Good) == 1 {
            get.ends = get.ends.min(now + OPINIONS_TIME);
            self.timers.set(Timer::Get(id), get.ends);
        }
        if !self.is_agreed(now, id) {
            self.drive_get(now, id);
        }
    }

    /// Ends a get for which enough nodes have been heard, when the block can have newer versions.
    fn is_agreed(&mut self, now: Instant, id: RequestId) -> bool {
        let Some(get) = self.gets.get(&id).filter(|get| get.best.is_some()) else { return false };
        let heard = get.tried.count(Tried::Good) + get.tried.count(Tried::Stale);
        let agreed = heard >= OPINIONS;
        if agreed {
            self.got(now, id);
        }
        agreed
    }

    fn nobody_left(&mut self, now: Instant, id: RequestId) {
        let absent = self.gets.get(&id).is_some_and(|get| self.is_absent(now, get));
        let Some(get) = self.gets.get_mut(&id) else { return };
        // Who is doubted is not waited for if enough is known without it.
        let waits =
            get.tried.those(Tried::Flying).any(|node| self.book.get(&node).is_some_and(|peer| !peer.doubted));
        if waits || get.flights > 0 && get.best.is_none() && !absent {
            return;
        }
        if get.best.is_some() {
            return self.got(now, id);
        }
        let again = now + PAUSE * (1 + u32::from(get.rounds));
        if get.rounds < ROUNDS && again < get.ends && !absent && get.tried.forgive() {
            get.rounds += 1;
            (get.looked, get.allow) = (false, 2);
            get.hints.clear();
            self.timers.set(Timer::Get(id), again);
            return;
        }
        self.get_failed(now, id);
    }

    fn get_failed(&mut self, now: Instant, id: RequestId) {
        let Some(get) = self.gets.get(&id) else { return };
        let why = if self.book.len() == 0 {
            Why::NoPeers
        } else if get.tried.count(Tried::Missing) > 0 && !get.is_held() && self.unheard(now, get) <= UNHEARD {
            Why::Absent
        } else {
            Why::Unanswered
        };
        self.stats.failed += 1;
        self.end_get(now, id, Some(why));
    }

    /// Whether so many said that they do not have it that it is believed.
    fn is_absent(&self, now: Instant, get: &Get<B>) -> bool {
        let enough = get.looked && get.tried.count(Tried::Missing) >= SEVERAL && !get.is_held();
        enough && self.unheard(now, get) <= UNHEARD
    }

    /// How many of those that should have it did not answer.
    fn unheard(&self, now: Instant, get: &Get<B>) -> usize {
        let known = |peer: &Peer| peer.proven && !peer.is_shunned(now);
        let should = self.book.closest(&get.key.0, self.config.replicas, known);
        let silent = |node| matches!(get.tried.of(node), Some(Tried::Flying | Tried::Silent));
        should.iter().filter(|peer| silent(&peer.node)).count()
    }

    /// The pause is over, or all of the time.
    pub(super) fn get_due(&mut self, now: Instant, id: RequestId) {
        let Some(get) = self.gets.get(&id) else { return };
        if now < get.ends {
            self.timers.set(Timer::Get(id), get.ends);
            return self.drive_get(now, id);
        }
        if get.best.is_some() { self.got(now, id) } else { self.get_failed(now, id) }
    }

    /// Gives the block, also to a node that should have had it.
    fn got(&mut self, now: Instant, id: RequestId) {
        let Some(get) = self.gets.get_mut(&id) else { return };
        let Some(block) = get.best.take() else { return };
        let key = get.key;
        let should = self.book.closest(&key.0, self.config.replicas, |peer| peer.is_live(now));
        let lacks = |node: &DestHash| matches!(get.tried.of(node), Some(Tried::Missing | Tried::Stale));
        let lacking: Vec<_> = should.into_iter().map(|peer| peer.node).filter(lacks).collect();
        self.stats.got += 1;
        self.end_get(now, id, None);
        let most = if block.version().is_fixed() { 1 } else { 2 };
        let under_way = self.flights.values().filter(|flight| flight.is_back()).count();
        for node in lacking.into_iter().take(most.min(BACKS.saturating_sub(under_way))) {
            if self.book.get(&node).is_some_and(Peer::has_room) {
                self.push(now, (node, block.key()), PutKind::Found, 0, block.encode());
            }
        }
        self.actions.push_back(Action::Got { id, block });
    }

    /// Forgets a get, says why if it failed, and begins the next one that waits.
    pub(super) fn end_get(&mut self, now: Instant, id: RequestId, why: Option<Why>) {
        let Some(get) = self.gets.remove(&id) else { return };
        self.timers.cancel(Timer::Get(id));
        if let Some(why) = why {
            self.fail(id, why);
        }
        if get.running {
            self.running_gets = self.running_gets.saturating_sub(1);
            self.start_gets(now);
        }
    }
}

impl<B> Get<B> {
    /// Whether somebody seems to have it, and did not give it yet.
    fn is_held(&self) -> bool {
        let open =
            |node| matches!(self.tried.of(node), None | Some(Tried::Flying | Tried::Busy | Tried::Silent));
        self.hints.iter().any(open)
    }
}
