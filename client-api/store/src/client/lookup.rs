//! Lookups: which nodes are closest to a key, and which of them have the block.

use std::time::{Duration, Instant};

use allium_wire::DestHash;

use super::asking::Purpose;
use super::{Client, Timer};
use crate::io::{Action, RequestId, Why};
use crate::place::{Distance, Place, distance, shared};
use crate::wire::MAX_CLOSEST;
use crate::{Key, Stored};

/// How long a lookup may take.
const LIFE: Duration = Duration::from_secs(40);
/// Lookups at once.
const MAX_LOOKUPS: usize = 4096;
/// With so many lookups under way, keys close to each other share one.
const AT_ONCE: usize = 24;
/// Candidates that a lookup keeps.
const MOST: usize = 64;
/// Strangers that one answer may add to those that have not answered yet.
const UNPROVEN: usize = 6;

/// Who waits for a lookup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiter {
    Get(RequestId),
    Put(RequestId),
    Count(RequestId),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    New,
    Asked,
    /// No answer to the first datagram; one may still come.
    Late,
    Answered,
    /// No answer to two datagrams, or to one of who is doubted; one may still come.
    Failed,
}

/// What a lookup does next.
enum Next {
    Ask(DestHash),
    /// Nothing until an answer comes.
    Wait,
    /// Only those who are late are waited for.
    Late,
    Done,
}

/// A node that may be among the closest.
struct Candidate {
    node: DestHash,
    distance: Distance,
    state: State,
    /// It answered us before.
    proven: bool,
    /// It owed an answer already when it was asked: never waited for.
    doubted: bool,
    /// Who told of it.
    by: Option<DestHash>,
}

/// A lookup that runs.
pub(super) struct Lookup {
    key: Key,
    /// The closest first.
    seen: Vec<Candidate>,
    /// Answered that they have the block.
    have: Vec<DestHash>,
    waiters: Vec<Waiter>,
}

impl Lookup {
    fn find(&mut self, node: &DestHash) -> Option<&mut Candidate> {
        self.seen.iter_mut().find(|candidate| candidate.node == *node)
    }

    fn add(&mut self, node: DestHash, proven: bool, by: Option<DestHash>) {
        let distance = distance(&Place::of(&node).0, &self.key.0);
        let at = self.seen.partition_point(|candidate| candidate.distance < distance);
        if at < MOST && self.seen.get(at).is_none_or(|candidate| candidate.node != node) {
            self.seen.insert(at, Candidate { node, distance, state: State::New, proven, doubted: false, by });
            self.seen.truncate(MOST);
        }
    }

    fn answered(&self) -> usize {
        self.seen.iter().filter(|candidate| candidate.state == State::Answered).count()
    }

    fn next(&self, width: usize, parallel: usize) -> Next {
        let counts = |candidate: &&Candidate| match candidate.state {
            State::Failed => false,
            State::Late => !candidate.doubted,
            State::New | State::Asked | State::Answered => true,
        };
        let best = || self.seen.iter().filter(counts).take(width);
        let asked = best().filter(|candidate| candidate.state == State::Asked).count();
        let new = best().find(|candidate| candidate.state == State::New).map(|candidate| candidate.node);
        // Who is late is waited for while few have answered.
        let late = best().any(|candidate| candidate.state == State::Late) && self.answered() < width * 2 / 3;
        match new {
            Some(node) if asked < parallel => Next::Ask(node),
            None if asked == 0 => {
                if late {
                    Next::Late
                } else {
                    Next::Done
                }
            }
            _ => Next::Wait,
        }
    }
}

impl<B: Stored> Client<B> {
    /// Whether the nodes around a key are known well enough to ask them outright.
    pub(super) fn knows_region(&self, now: Instant, key: &Key) -> bool {
        self.regions.covers(now, key)
    }

    /// Looks up anew what is known of the nodes around a key if it is old.
    pub(super) fn renew_region(&mut self, now: Instant, key: Key) {
        if self.regions.is_due(now, &key) {
            self.explore(now, key);
        }
    }

    /// Looks for the nodes closest to a key; the waiter is driven on when they are known. False if nobody can be asked.
    /// Unless `anew`, or few lookups run, one that runs for a key close by will do.
    pub(super) fn seek(&mut self, now: Instant, key: Key, waiter: Waiter, anew: bool) -> bool {
        let own = anew || self.lookups.len() < AT_ONCE;
        let depth = if own { 256 } else { self.likely_depth(now, &key) };
        let near = self.lookups.values_mut().find(|lookup| shared(&lookup.key.0, &key.0) >= depth);
        if let Some(lookup) = near {
            lookup.waiters.push(waiter);
            return true;
        }
        match self.begin_lookup(now, key) {
            Some(id) => {
                if let Some(lookup) = self.lookups.get_mut(&id) {
                    lookup.waiters.push(waiter);
                }
                self.drive_lookup(now, id);
                true
            }
            None => false,
        }
    }

    /// Looks around a key for the sake of the peers found.
    pub(super) fn explore(&mut self, now: Instant, key: Key) {
        if self.lookups.values().any(|lookup| lookup.key == key) {
            return;
        }
        if let Some(id) = self.begin_lookup(now, key) {
            self.drive_lookup(now, id);
        }
    }

    pub(super) fn count(&mut self, now: Instant, id: RequestId, key: Key) {
        if self.lookups.len() >= MAX_LOOKUPS {
            self.fail(id, Why::Busy);
        } else if !self.seek(now, key, Waiter::Count(id), true) {
            self.fail(id, Why::NoPeers);
        }
    }

    /// How many first bits a region around the key has that one lookup will cover, by the peers known.
    fn likely_depth(&self, now: Instant, key: &Key) -> u16 {
        let width = self.config.width;
        let near = self.book.closest(&key.0, width, |peer| peer.is_live(now));
        let last = near.get(width.saturating_sub(1));
        last.map_or(0, |peer| shared(&peer.place.0, &key.0) + 1)
    }

    fn begin_lookup(&mut self, now: Instant, key: Key) -> Option<u64> {
        if !self.book.iter().any(|peer| peer.is_live(now)) {
            self.recall_anchors(now);
        }
        let first = self.book.closest(&key.0, self.config.width * 2, |peer| !peer.is_shunned(now));
        let first: Vec<_> = first.into_iter().map(|peer| (peer.node, peer.is_live(now))).collect();
        if first.is_empty() {
            return None;
        }
        let mut lookup = Lookup { key, seen: Vec::new(), have: Vec::new(), waiters: Vec::new() };
        for (node, proven) in first {
            lookup.add(node, proven, None);
        }
        let id = self.next_lookup;
        self.next_lookup += 1;
        self.stats.lookups += 1;
        self.lookups.insert(id, lookup);
        self.timers.set(Timer::Lookup(id), now + LIFE);
        Some(id)
    }

    fn drive_lookup(&mut self, now: Instant, id: u64) {
        let (width, parallel) = (self.config.width, self.config.parallel);
        while let Some(lookup) = self.lookups.get_mut(&id) {
            let key = lookup.key;
            match lookup.next(width, parallel) {
                Next::Ask(node) => {
                    let doubted = self.book.is_doubted(&node);
                    if let Some(candidate) = lookup.find(&node) {
                        candidate.state = if doubted { State::Late } else { State::Asked };
                        candidate.doubted = doubted;
                    }
                    self.ask_soon(node, key, Purpose::Lookup(id));
                }
                Next::Done => return self.finish_lookup(now, id),
                Next::Late => return self.wait_for_late(now, id),
                Next::Wait => return,
            }
        }
    }

    /// Only those who are late are waited for: gets ask those who are known meanwhile.
    fn wait_for_late(&mut self, now: Instant, id: u64) {
        let Some(lookup) = self.lookups.get(&id).filter(|lookup| lookup.answered() > 0) else { return };
        for waiter in lookup.waiters.clone() {
            if let Waiter::Get(get) = waiter {
                self.get_goes_on(now, get);
            }
        }
    }

    /// A node did not answer a datagram: another one is asked meanwhile. If it is lost, the lookup does not wait for it.
    pub(super) fn lookup_late(&mut self, now: Instant, id: u64, node: &DestHash, lost: bool) {
        let candidate = self.lookups.get_mut(&id).and_then(|lookup| lookup.find(node));
        if let Some(candidate) =
            candidate.filter(|candidate| matches!(candidate.state, State::Asked | State::Late))
        {
            candidate.state = if lost { State::Failed } else { State::Late };
            self.drive_lookup(now, id);
        }
    }

    pub(super) fn lookup_failed(&mut self, now: Instant, id: u64, node: &DestHash) {
        let Some(candidate) = self.lookups.get_mut(&id).and_then(|lookup| lookup.find(node)) else { return };
        candidate.state = State::Failed;
        if let Some(by) = candidate.by.filter(|_| !candidate.proven) {
            // Whoever names nodes that are not there is asked for blocks after others.
            self.book.disappointed(&by, 0.05);
        }
        self.drive_lookup(now, id);
    }

    pub(super) fn lookup_answered(
        &mut self,
        now: Instant,
        id: u64,
        from: DestHash,
        have: bool,
        named: &[DestHash],
    ) {
        let Some(lookup) = self.lookups.get_mut(&id) else { return };
        let key = lookup.key;
        if let Some(candidate) = lookup.find(&from) {
            candidate.state = State::Answered;
        }
        if have && !lookup.have.contains(&from) {
            lookup.have.push(from);
        }
        // Of many strangers only the closest are taken up, whatever their order.
        let mut named: Vec<_> = named.iter().take(MAX_CLOSEST).collect();
        named.sort_unstable_by_key(|node| distance(&Place::of(node).0, &key.0));
        let mut unproven = 0;
        for node in named {
            if Some(*node) == self.own || lookup.find(node).is_some() {
                continue;
            }
            let peer = self.book.get(node);
            if peer.is_some_and(|peer| peer.is_shunned(now)) {
                continue;
            }
            let proven = peer.is_some_and(|peer| peer.is_live(now));
            unproven += usize::from(!proven);
            if proven || unproven <= UNPROVEN {
                lookup.add(*node, proven, Some(from));
            }
        }
        for waiter in lookup.waiters.clone() {
            if let Waiter::Get(get) = waiter {
                self.hint(now, get, &key, from, have);
            }
        }
        self.drive_lookup(now, id);
    }

    /// A lookup is over: what it found is remembered, and who waited for it goes on.
    pub(super) fn finish_lookup(&mut self, now: Instant, id: u64) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        self.timers.cancel(Timer::Lookup(id));
        let width = self.config.width;
        let answered = lookup.seen.iter().filter(|candidate| candidate.state == State::Answered);
        let answered: Vec<_> = answered.map(|candidate| Place::of(&candidate.node)).collect();
        // All nodes closer than the last one that counts are known, so all that share more bits with the key than it.
        let depth =
            answered.get(width.saturating_sub(1)).map_or(0, |last| shared(&last.0, &lookup.key.0) + 1);
        if !answered.is_empty() {
            self.regions.learn(now, &lookup.key, depth);
        }
        for waiter in lookup.waiters {
            match waiter {
                Waiter::Get(get) => self.get_sought(now, get, &lookup.key, answered.is_empty()),
                Waiter::Put(put) => self.put_sought(now, put, &lookup.key, answered.is_empty()),
                Waiter::Count(id) if answered.is_empty() => self.fail(id, Why::Unanswered),
                Waiter::Count(id) => {
                    self.actions.push_back(Action::Spread { id, holders: lookup.have.len() });
                }
            }
        }
    }
}
