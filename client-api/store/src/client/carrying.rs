//! Blocks under way: asked for or sent in frames, within a window for each peer.

use std::time::{Duration, Instant};

use allium_wire::DestHash;
use bytes::Bytes;

use super::{Client, Event, Timer};
use crate::io::{Action, RequestId};
use crate::wire::{Frame, PutKind, Refusal};
use crate::{Key, Stored};

/// How long a peer may take over a block.
const LIFE: Duration = Duration::from_secs(30);
/// A channel over which nothing came for so long is given up for another if the peer answers datagrams.
const STUCK: Duration = Duration::from_secs(3);
/// What one block that was got earns of asking for another one twice.
const HEDGE: f32 = 0.1;
/// Most that is saved of it.
const HEDGES: f32 = 64.0;
/// What each second gives back of it, and up to how many.
const HEDGES_EACH_SECOND: f32 = 4.0;
const HEDGES_AT_REST: f32 = 16.0;

/// What a frame is sent for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cargo {
    Get(RequestId),
    Put(RequestId),
    /// For repair.
    Push(Key),
    /// A block goes where it was looked for in vain.
    Back,
}

/// A frame that waits for its answer.
pub(super) struct Flight {
    to: DestHash,
    cargo: Cargo,
    sent: Instant,
    /// The peer sent nothing for longer than it may: it was doubted for this.
    quiet: bool,
    /// Most blocks have come after this time.
    late: bool,
    /// Somebody else was asked as well.
    hedged: bool,
}

impl Flight {
    pub(super) fn is_with(&self, node: &DestHash) -> bool {
        self.to == *node
    }

    /// Whether it gives a node what it should have had.
    pub(super) fn is_back(&self) -> bool {
        self.cargo == Cargo::Back
    }
}

/// How one node answered to one task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tried {
    /// Not yet.
    Flying,
    /// It has (or takes) the block.
    Good,
    /// It does not have it.
    Missing,
    /// It has an older one.
    Stale,
    /// Not now.
    Busy,
    /// It did not answer.
    Silent,
    /// It sent something else, or would not take it.
    Bad,
}

/// Whom one task asked and what came of it.
#[derive(Default)]
pub(super) struct Trials(Vec<(DestHash, Tried)>);

impl Trials {
    pub(super) fn has(&self, node: &DestHash) -> bool {
        self.0.iter().any(|(tried, _)| tried == node)
    }

    pub(super) fn set(&mut self, node: DestHash, what: Tried) {
        match self.0.iter_mut().find(|(tried, _)| *tried == node) {
            Some((_, before)) => *before = what,
            None => self.0.push((node, what)),
        }
    }

    pub(super) fn count(&self, what: Tried) -> usize {
        self.0.iter().filter(|(_, tried)| *tried == what).count()
    }

    pub(super) fn those(&self, what: Tried) -> impl Iterator<Item = DestHash> {
        self.0.iter().filter(move |(_, tried)| *tried == what).map(|(node, _)| *node)
    }

    /// As if the node had not been asked.
    pub(super) fn forget(&mut self, node: &DestHash) {
        self.0.retain(|(tried, _)| tried != node);
    }

    pub(super) fn of(&self, node: &DestHash) -> Option<Tried> {
        self.0.iter().find(|(tried, _)| tried == node).map(|(_, tried)| *tried)
    }

    /// Forgets those who may do better the next time; whether there were any.
    pub(super) fn forgive(&mut self) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, tried)| !matches!(tried, Tried::Busy | Tried::Silent));
        self.0.len() < before
    }
}

impl<B: Stored> Client<B> {
    /// Sends a frame that will be answered. `frame` is given its number.
    pub(super) fn launch(
        &mut self,
        now: Instant,
        to: DestHash,
        cargo: Cargo,
        frame: impl FnOnce(u64) -> Frame,
    ) {
        let id = self.rng.u64();
        let bytes = frame(id).encode();
        self.book.occupy(&to);
        let flight = Flight { to, cargo, sent: now, quiet: false, late: false, hedged: false };
        self.flights.insert(id, flight);
        self.watch_flight(now, id);
        self.actions.push_back(Action::Frame { to, bytes });
    }

    /// Sends a block to a node that wants it, or (`Found`) should have it; ends in an [`Event::Pushed`] if for repair.
    pub(crate) fn push(
        &mut self,
        now: Instant,
        (to, key): (DestHash, Key),
        kind: PutKind,
        idle: u32,
        bytes: Bytes,
    ) {
        let cargo = if kind == PutKind::Repair { Cargo::Push(key) } else { Cargo::Back };
        self.stats.pushed += 1;
        self.launch(now, to, cargo, |id| Frame::Put { id, kind, idle, bytes });
    }

    /// Takes the flight that an answer belongs to.
    fn land(&mut self, now: Instant, from: DestHash, id: u64) -> Option<Flight> {
        if self.flights.get(&id).is_none_or(|flight| flight.to != from) {
            return None;
        }
        self.timers.cancel(Timer::Flight(id));
        self.book.release(&from);
        self.book.spoke(now, &from);
        self.flights.remove(&id)
    }

    /// A frame was not answered so far: somebody else is asked as well if that was not done too often; later it is
    /// given up.
    pub(super) fn flight_due(&mut self, now: Instant, id: u64) {
        let Some(flight) = self.flights.get(&id) else { return };
        let (to, sent) = (flight.to, flight.sent);
        if now >= sent + LIFE {
            self.lose(now, id);
            if self.book.silent(now, &to, sent) {
                self.events.push(Event::Gone(to));
            }
            self.unstall(now, &to);
            return;
        }
        let quiet = now >= self.quiet_at(flight);
        let late = now >= sent + self.book.most_blocks_take(&to);
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let fell_quiet = quiet && !flight.quiet;
        let (cargo, hedge) = (flight.cargo, !flight.hedged && (fell_quiet || late && !flight.late));
        flight.quiet |= quiet;
        flight.late |= late;
        self.watch_flight(now, id);
        if fell_quiet {
            self.doubt(now, to);
        }
        if hedge && self.may_hedge(now) {
            self.hedge(now, id, cargo, quiet);
        }
    }

    /// A peer owes something for longer than answers take. It is asked whether it is there.
    pub(super) fn doubt(&mut self, now: Instant, node: DestHash) {
        if self.book.doubt(&node) {
            self.timers.no_later(Timer::Doubted(node), now);
        }
    }

    /// Whether a peer owes the answer to a frame for so long that it was doubted.
    pub(super) fn owes(&self, node: &DestHash) -> bool {
        self.flights.values().any(|flight| flight.quiet && flight.to == *node)
    }

    /// A peer that owes blocks for long answered a datagram: it is there again, and its channel perhaps not. What it
    /// owes is asked for over another one, unless it was lately.
    pub(super) fn renew_channel(&mut self, now: Instant, node: DestHash) {
        let Some(peer) = self.book.get(&node) else { return };
        let long = STUCK.max(self.book.most_blocks_take(&node));
        let lately = |at: Option<Instant>, time| at.is_some_and(|at| now < at + time);
        if lately(peer.spoke, long) || lately(peer.renewed, LIFE) {
            return;
        }
        let owed: Vec<_> = self.flights.iter().filter(|(_, flight)| flight.to == node).collect();
        let gets: Vec<_> = owed
            .iter()
            .filter_map(
                |(id, flight)| if let Cargo::Get(get) = flight.cargo { Some((**id, get)) } else { None },
            )
            .collect();
        // Blocks that are being sent are left to their channel.
        if gets.len() < owed.len() || !owed.iter().any(|(_, flight)| now >= flight.sent + long) {
            return;
        }
        for (id, _) in &gets {
            self.flights.remove(id);
            self.timers.cancel(Timer::Flight(*id));
            self.book.release(&node);
        }
        if let Some(peer) = self.book.get_mut(&node) {
            peer.renewed = Some(now);
        }
        self.actions.push_back(Action::Close(node));
        for (_, get) in gets {
            self.ask_again(now, get, &node);
        }
        self.unstall(now, &node);
    }

    /// When a peer will have sent nothing for too long.
    fn quiet_at(&self, flight: &Flight) -> Instant {
        let spoke = self.book.get(&flight.to).and_then(|peer| peer.spoke);
        spoke.unwrap_or(flight.sent).max(flight.sent) + self.book.hush(&flight.to)
    }

    /// Sets the time when a flight is looked at next.
    fn watch_flight(&mut self, now: Instant, id: u64) {
        let Some(flight) = self.flights.get(&id) else { return };
        let quiet = Some(self.quiet_at(flight)).filter(|_| !flight.quiet);
        let late = Some(flight.sent + self.book.most_blocks_take(&flight.to)).filter(|_| !flight.late);
        let next = [quiet, late].into_iter().flatten().min().unwrap_or(flight.sent + LIFE);
        self.timers.set(Timer::Flight(id), next.min(flight.sent + LIFE).max(now));
    }

    /// Whether one more may be asked twice: that is earned, and comes back with time.
    pub(super) fn may_hedge(&mut self, now: Instant) -> bool {
        let passed = self.reckoned.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.reckoned = Some(now);
        if self.hedges < HEDGES_AT_REST {
            self.hedges = (self.hedges + passed.as_secs_f32() * HEDGES_EACH_SECOND).min(HEDGES_AT_REST);
        }
        self.hedges >= 1.0
    }

    /// Asks somebody else as well.
    fn hedge(&mut self, now: Instant, id: u64, cargo: Cargo, quiet: bool) {
        if let Some(flight) = self.flights.get_mut(&id) {
            flight.hedged = true;
        }
        let more = match cargo {
            Cargo::Get(get) => self.hedge_get(now, get, quiet),
            Cargo::Put(put) => self.hedge_put(now, put),
            Cargo::Push(_) | Cargo::Back => false,
        };
        if more {
            self.hedged();
        }
    }

    /// One was asked twice.
    pub(super) fn hedged(&mut self) {
        self.hedges -= 1.0;
        self.stats.hedged += 1;
    }

    /// A flight will not be answered.
    fn lose(&mut self, now: Instant, id: u64) {
        let Some(flight) = self.flights.remove(&id) else { return };
        self.timers.cancel(Timer::Flight(id));
        self.book.release(&flight.to);
        self.book.overloaded(&flight.to);
        self.book.disappointed(&flight.to, 1.0);
        if self.book.is_doubted(&flight.to) {
            self.timers.no_later(Timer::Doubted(flight.to), now);
        }
        self.tried(now, flight.to, flight.cargo, Tried::Silent);
    }

    /// What a frame was sent for did not happen.
    fn tried(&mut self, now: Instant, node: DestHash, cargo: Cargo, tried: Tried) {
        match cargo {
            Cargo::Get(get) => self.get_tried(now, get, node, tried),
            Cargo::Put(put) => self.put_tried(now, put, node, tried, None),
            Cargo::Push(key) => {
                let settled = matches!(tried, Tried::Good | Tried::Bad);
                self.events.push(Event::Pushed { key, settled });
            }
            Cargo::Back => {}
        }
    }

    /// The channel with a peer is gone, and what was under way with it.
    pub(super) fn closed(&mut self, now: Instant, peer: DestHash) {
        let lost = self.flights.iter().filter(|(_, flight)| flight.to == peer);
        let first = lost.clone().map(|(_, flight)| flight.sent).min();
        let lost: Vec<_> = lost.map(|(id, _)| *id).collect();
        if first.is_some_and(|sent| self.book.silent(now, &peer, sent)) {
            self.events.push(Event::Gone(peer));
        }
        for id in lost {
            self.lose(now, id);
        }
        for task in self.stalled.remove(&peer).into_iter().flatten() {
            self.drive(now, task);
        }
    }

    pub(super) fn block_came(&mut self, now: Instant, from: DestHash, id: u64, bytes: &Bytes) {
        let Some(flight) = self.land(now, from, id) else { return };
        let Cargo::Get(get) = flight.cargo else {
            self.tried(now, from, flight.cargo, Tried::Bad);
            return self.accuse(now, from);
        };
        let took = now.saturating_duration_since(flight.sent);
        self.hedges = (self.hedges + HEDGE).min(HEDGES);
        self.block_arrived(now, get, from, bytes, took);
        self.unstall(now, &from);
    }

    pub(super) fn block_missing(&mut self, now: Instant, from: DestHash, id: u64, busy: bool) {
        let Some(flight) = self.land(now, from, id) else { return };
        let Cargo::Get(get) = flight.cargo else { return self.tried(now, from, flight.cargo, Tried::Bad) };
        if busy {
            self.book.overloaded(&from);
        } else {
            // It may have lost it, or be new; or it lies.
            self.book.disappointed(&from, 0.3);
        }
        self.get_tried(now, get, from, if busy { Tried::Busy } else { Tried::Missing });
        self.unstall(now, &from);
    }

    pub(super) fn block_kept(&mut self, now: Instant, from: DestHash, id: u64, refused: Option<Refusal>) {
        let Some(flight) = self.land(now, from, id) else { return };
        match refused {
            None => self.book.served(now, &from, now.saturating_duration_since(flight.sent)),
            Some(Refusal::Busy) => self.book.overloaded(&from),
            Some(_) => {}
        }
        let tried = match refused {
            None => Tried::Good,
            Some(Refusal::Busy | Refusal::Failed) => Tried::Busy,
            Some(_) => Tried::Bad,
        };
        match flight.cargo {
            Cargo::Put(put) => self.put_tried(now, put, from, tried, refused),
            Cargo::Get(_) => self.tried(now, from, flight.cargo, Tried::Bad),
            Cargo::Push(_) | Cargo::Back => self.tried(now, from, flight.cargo, tried),
        }
        self.unstall(now, &from);
    }
}
