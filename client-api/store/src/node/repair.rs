//! Repair: blocks are offered to the other nodes that they belong to, which ask for those they lack.
//!
//! All blocks are offered now and then (a sweep). When a neighbour comes or goes, the blocks that this concerns are
//! offered soon; so are blocks just published, and popular ones, to more nodes. Offers name blocks by a few bytes, and
//! go in datagrams.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use allium_wire::{DestHash, Now};

use super::{Loading, Node, NodeAction, Timer};
use crate::place::{Place, distance};
use crate::wire::{Datagram, Item, MAX_ITEMS, Want};
use crate::{Key, Stored, Version};

/// Blocks looked at in one step of a sweep, and the time between two steps.
const STEP: usize = 512;
const STEP_TIME: Duration = Duration::from_secs(2);
/// News of neighbours that wait for their sweep.
const MAX_NEWS: usize = 64;
/// Blocks that came lately and wait to be offered.
const MAX_SPREADS: usize = 1 << 16;
/// How long a published block waits for others, so that they are offered together.
const SPREAD: Duration = Duration::from_secs(10);
/// A block that did not get where it belongs, for want of an answer or of time there, is offered again after this.
const AGAIN: Duration = Duration::from_secs(45);
/// Blocks that others want and that wait to be sent.
const MAX_PUSHES: usize = 1 << 14;
/// Blocks asked of others by answers to their offers, and how long they are awaited.
const MAX_COMING: usize = 1 << 13;
const COMING: Duration = Duration::from_mins(3);
/// In one sweep of so many, blocks that do not belong here are offered too.
const STRAY: u64 = 4;
/// Blocks named in one offer.
const PAGE: usize = MAX_ITEMS;

/// Why blocks are gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Cause {
    /// The time has come: all to all.
    Routine,
    /// A node is new: it is offered what it should hold.
    Came(DestHash, Place),
    /// A node is gone: who is next in its place is offered what it held.
    Went(Place),
}

/// A walk through all blocks.
struct Sweep {
    cause: Cause,
    /// The last block looked at.
    at: Option<Key>,
    gathered: BTreeMap<DestHash, Vec<(Key, Version)>>,
}

/// A block that waits to be sent to a node that wants it.
struct Push {
    to: DestHash,
    key: Key,
}

/// What is under way to mend the network.
pub(super) struct Repair {
    sweep: Option<Sweep>,
    /// When the next routine sweep begins, how many there were.
    routine: Option<Instant>,
    sweeps: u64,
    news: VecDeque<(Instant, Cause)>,
    spreads: BTreeMap<Key, (Instant, bool)>,
    pushes: VecDeque<Push>,
    pushing: usize,
    /// By prefix: whom a block was asked from, and until when it is awaited.
    coming: BTreeMap<[u8; 8], (DestHash, Instant)>,
}

impl Repair {
    pub(super) fn new() -> Self {
        Self {
            sweep: None,
            routine: None,
            sweeps: 0,
            news: VecDeque::new(),
            spreads: BTreeMap::new(),
            pushes: VecDeque::new(),
            pushing: 0,
            coming: BTreeMap::new(),
        }
    }

    /// A block that was awaited is here.
    pub(super) fn came(&mut self, key: &Key) {
        self.coming.remove(&Item::of(key, Version::FIXED).prefix);
    }

    pub(super) fn forget(&mut self, now: Instant) {
        self.coming.retain(|_, (_, until)| *until > now);
    }
}

impl<B: Stored> Node<B> {
    /// When there is something to sweep for next.
    pub(super) fn plan_sweep(&mut self, now: Instant) {
        if self.repair.routine.is_none() {
            let wait = self.config.sweep.mul_f64(0.75 + self.rng.unit() / 2.0);
            self.repair.routine = Some(now + wait);
        }
        let next = if self.repair.sweep.is_some() {
            Some(now + STEP_TIME)
        } else {
            let news = self.repair.news.iter().map(|(at, _)| *at).min();
            self.repair.routine.into_iter().chain(news).min()
        };
        if let Some(next) = next {
            self.timers.set(Timer::Sweep, next.max(now));
        }
    }

    /// A node came or went: if it is one of those that share blocks with this one, that is dealt with soon.
    pub(super) fn neighbour(&mut self, now: Instant, node: DestHash, came: bool) {
        let place = Place::of(&node);
        // Blocks held here that it should hold are around here.
        let reach = self.config.client.replicas * 8;
        let near = self.client.book.closest(&self.place.0, reach, |peer| peer.is_live(now));
        let far = near.get(reach - 1).map(|peer| distance(&peer.place.0, &self.place.0));
        if far.is_some_and(|far| distance(&place.0, &self.place.0) > far) || self.index.len() == 0 {
            return;
        }
        let cause = if came { Cause::Came(node, place) } else { Cause::Went(place) };
        let news = &mut self.repair.news;
        if news.len() >= MAX_NEWS {
            // Too much is going on to follow each: a routine sweep soon.
            news.clear();
            let soon = now + self.config.react;
            self.repair.routine = self.repair.routine.map(|at| at.min(soon));
        } else if !news.iter().any(|(_, before)| *before == cause) {
            let wait = self.config.react.mul_f64(0.1 + 0.9 * self.rng.unit());
            news.push_back((now + wait, cause));
        }
        self.plan_sweep(now);
    }

    /// The next step of the sweep that runs, or the beginning of the next one.
    pub(super) fn sweep(&mut self, now: Instant) {
        if self.repair.sweep.is_none() {
            let news = self.repair.news.iter().position(|(at, _)| *at <= now);
            let cause = if let Some((_, cause)) = news.and_then(|index| self.repair.news.remove(index)) {
                cause
            } else if self.repair.routine.is_some_and(|at| at <= now) {
                self.repair.routine = None;
                self.repair.sweeps += 1;
                Cause::Routine
            } else {
                return self.plan_sweep(now);
            };
            self.repair.sweep = Some(Sweep { cause, at: None, gathered: BTreeMap::new() });
        }
        // Whoever still has to be sent much is not offered more.
        if self.repair.pushes.len() < MAX_PUSHES / 2 {
            self.sweep_step(now);
        }
        self.plan_sweep(now);
    }

    fn sweep_step(&mut self, now: Instant) {
        let Some(mut sweep) = self.repair.sweep.take() else { return };
        let step: Vec<_> =
            self.index.after(sweep.at.as_ref()).take(STEP).map(|(key, held)| (*key, *held)).collect();
        let over = step.len() < STEP;
        for (key, held) in step {
            sweep.at = Some(key);
            let (near, others) = self.others(now, &key, self.config.client.replicas);
            if near != held.near {
                self.index.set_near(&key, near);
            }
            let whom = match sweep.cause {
                Cause::Routine if near || self.repair.sweeps.is_multiple_of(STRAY) => others,
                Cause::Routine => Vec::new(),
                Cause::Came(node, _) => others.into_iter().filter(|other| *other == node).collect(),
                Cause::Went(place) => self.heirs(&key, &place, others),
            };
            for node in whom {
                sweep.gathered.entry(node).or_default().push((key, held.version));
            }
        }
        let full = sweep.gathered.iter().filter(|(_, blocks)| over || blocks.len() >= PAGE);
        let full: Vec<DestHash> = full.map(|(node, _)| *node).collect();
        for node in full {
            let blocks = sweep.gathered.remove(&node).unwrap_or_default();
            self.offer_all(now, node, false, &blocks);
        }
        if !over {
            self.repair.sweep = Some(sweep);
        }
    }

    /// The other nodes that a block belongs to, the closest first, and whether it belongs here as well.
    fn others(&self, now: Instant, key: &Key, replicas: usize) -> (bool, Vec<DestHash>) {
        let near = self.client.book.closest(&key.0, replicas, |peer| peer.is_live(now));
        let own = distance(&self.place.0, &key.0);
        let last = near.get(replicas.saturating_sub(1));
        let here = last.is_none_or(|peer| distance(&peer.place.0, &key.0) > own);
        let count = if here { replicas.saturating_sub(1) } else { replicas };
        (here, near.iter().take(count).map(|peer| peer.node).collect())
    }

    /// Who has to take over from a node at that place: the last of those that hold the block now, if that one held it.
    fn heirs(&self, key: &Key, gone: &Place, others: Vec<DestHash>) -> Vec<DestHash> {
        let Some(last) = others.last().copied() else { return others };
        let reach = distance(&Place::of(&last).0, &key.0).max(distance(&self.place.0, &key.0));
        if distance(&gone.0, &key.0) > reach { Vec::new() } else { vec![last] }
    }

    fn offer_all(&mut self, now: Instant, to: DestHash, wide: bool, blocks: &[(Key, Version)]) {
        for page in blocks.chunks(PAGE) {
            self.stats.offered += page.len() as u64;
            self.client.offer(now, to, wide, page);
        }
    }

    /// A block came lately, or is popular (`wide`): others are offered it soon.
    pub(super) fn spread_soon(&mut self, now: Instant, key: Key, wide: bool) {
        if self.repair.spreads.len() >= MAX_SPREADS {
            return;
        }
        // Those closer to the key go first, so that the others find that it is done.
        let (_, others) = self.others(now, &key, self.config.client.replicas);
        let own = distance(&self.place.0, &key.0);
        let before = others.iter().filter(|node| distance(&Place::of(node).0, &key.0) < own).count();
        let due = now + SPREAD * (1 + before.min(4) as u32);
        self.repair.spreads.entry(key).and_modify(|(_, before)| *before |= wide).or_insert((due, wide));
        self.timers.no_later(Timer::Spread, due);
    }

    /// Offers a block to others once more.
    fn spread_again(&mut self, due: Instant, key: Key) {
        if self.repair.spreads.len() < MAX_SPREADS && self.index.get(&key).is_some() {
            self.repair.spreads.entry(key).or_insert((due, false));
            self.timers.no_later(Timer::Spread, due);
        }
    }

    /// Offers the blocks that came lately.
    pub(super) fn spread(&mut self, now: Instant) {
        let due = self.repair.spreads.iter().filter(|(_, (at, _))| *at <= now);
        let due: Vec<_> = due.map(|(key, (_, wide))| (*key, *wide)).take(STEP).collect();
        let mut gathered: BTreeMap<(DestHash, bool), Vec<(Key, Version)>> = BTreeMap::new();
        for (key, wide) in due {
            self.repair.spreads.remove(&key);
            let Some(version) = self.version_of(&key) else { continue };
            let replicas = self.config.client.replicas * if wide { 2 } else { 1 };
            for node in self.others(now, &key, replicas).1 {
                gathered.entry((node, wide)).or_default().push((key, version));
            }
        }
        for ((node, wide), blocks) in gathered {
            self.offer_all(now, node, wide, &blocks);
        }
        if let Some(next) = self.repair.spreads.values().map(|(at, _)| *at).min() {
            self.timers.set(Timer::Spread, next.max(now + STEP_TIME));
        }
    }

    /// Says which of the blocks offered are wanted.
    pub(super) fn answer_offer(&mut self, now: Now, from: DestHash, id: u64, wide: bool, items: &[Item]) {
        let wants = items.iter().map(|item| self.want(now, from, wide, item)).collect();
        self.stats.answered += 1;
        let bytes = Datagram::Wanted { id, wants }.encode();
        self.actions.push_back(NodeAction::Datagram { to: from, bytes });
        self.client.heard_of(now.instant, from);
    }

    fn want(&mut self, now: Now, from: DestHash, wide: bool, item: &Item) -> Want {
        if self.index.find(item) == Some(item.tag) {
            return Want::Have;
        }
        let coming = self.repair.coming.get(&item.prefix).filter(|(_, until)| *until > now.instant);
        match coming {
            // The answer to its first offer may have been lost.
            Some((other, _)) if *other == from => return Want::Send,
            Some(_) => return Want::Coming,
            None => {}
        }
        let mut key = Key([0; 32]);
        key.0.iter_mut().zip(item.prefix).for_each(|(byte, prefix)| *byte = prefix);
        let replicas = self.config.client.replicas;
        let near = self.is_near(now.instant, &key.0, replicas * 2);
        if !(near || wide && self.is_near(now.instant, &key.0, replicas * 4))
            || !self.has_room(&key, near, now.date.seconds())
        {
            return Want::NoRoom;
        }
        if self.repair.coming.len() >= MAX_COMING {
            return Want::Coming;
        }
        self.repair.coming.insert(item.prefix, (from, now.instant + COMING));
        Want::Send
    }

    /// A node said what it wants of an offer, or did not answer. What it said that others will send is offered again, in
    /// case that they do not.
    pub(super) fn offered(&mut self, now: Instant, to: DestHash, keys: &[Key], wants: Option<Vec<Want>>) {
        let Some(wants) = wants else {
            return keys.iter().for_each(|key| self.spread_again(now + AGAIN, *key));
        };
        for (key, want) in keys.iter().zip(wants) {
            match want {
                Want::Send if self.repair.pushes.len() < MAX_PUSHES => {
                    self.repair.pushes.push_back(Push { to, key: *key });
                }
                Want::Send => self.spread_again(now + AGAIN, *key),
                Want::Coming => self.spread_again(now + COMING, *key),
                Want::Have | Want::NoRoom => {}
            }
        }
        self.push_more();
    }

    /// A block that was sent for repair is where it should be (or is not wanted there); or did not arrive.
    pub(super) fn pushed(&mut self, now: Instant, key: Key, settled: bool) {
        self.repair.pushing = self.repair.pushing.saturating_sub(1);
        if !settled {
            self.spread_again(now + AGAIN, key);
        }
        self.push_more();
    }

    fn push_more(&mut self) {
        while self.repair.pushing < self.config.repairs {
            let Some(Push { to, key }) = self.repair.pushes.pop_front() else { return };
            if self.index.get(&key).is_some() {
                self.repair.pushing += 1;
                self.load(key, Loading::Push { to });
            }
        }
    }
}
