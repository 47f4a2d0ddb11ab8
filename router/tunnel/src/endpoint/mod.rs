//! From tunnel messages to I2NP messages: the clear content of the last hop, put together (tunnel-message).

use crate::{Error, LARGEST};
use allium_wire::Reader;
use allium_wire::tunnel::{Instructions, Target, content_at};
use bytes::{Buf, BytesMut};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the pieces of a message are waited for.
const AGE: Duration = Duration::from_secs(20);
/// What a piece or an incomplete message costs beyond its bytes.
const OVERHEAD: usize = 64;
/// The shortest message: a standard header.
const SHORTEST: usize = 16;

/// How much a tunnel's incomplete messages may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

impl Bounds {
    /// For a tunnel of others.
    pub(crate) const TRANSIT: Self = Self { messages: 64, bytes: 256 * 1024 };
    /// For a tunnel of ours.
    pub(crate) const OWN: Self = Self { messages: 256, bytes: 1024 * 1024 };
}

/// What became of the messages of one tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reassembly {
    /// Whole messages.
    pub messages: u64,
    /// Pieces that came twice.
    pub duplicates: u64,
    /// Messages given up: too old, too large, pushed out, or with pieces that contradict each other.
    pub lost: u64,
}

/// A message of which pieces are missing.
struct Partial {
    since: Instant,
    target: Option<Target>,
    /// The pieces from the first on, as far as there is no hole.
    data: BytesMut,
    /// The number of the piece that `data` lacks next.
    next: u8,
    /// The number of the last piece, once it came.
    last: Option<u8>,
    /// Pieces beyond a hole.
    waiting: BTreeMap<u8, Box<[u8]>>,
    cost: usize,
}

/// Puts messages together, in whatever order the pieces come.
pub(crate) struct Assembler {
    bounds: Bounds,
    partials: BTreeMap<u32, Partial>,
    cost: usize,
    stats: Reassembly,
}

struct Piece<'a> {
    target: Option<Target>,
    number: u8,
    last: bool,
    bytes: &'a [u8],
}

impl Assembler {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, partials: BTreeMap::new(), cost: 0, stats: Reassembly::default() }
    }

    pub(crate) fn stats(&self) -> Reassembly {
        self.stats
    }

    /// Takes a decrypted tunnel message apart, and gives out whole messages (bytes with standard header).
    ///
    /// A message that came in one piece is split off, not copied.
    pub(crate) fn feed(
        &mut self,
        now: Instant,
        mut message: BytesMut,
        mut emit: impl FnMut(Target, BytesMut),
    ) -> Result<(), Error> {
        let at = content_at(&message).map_err(|_| Error::Checksum)?;
        message.advance(at);
        self.forget_old(now);
        while !message.is_empty() {
            let mut reader = Reader::of(&message, "a tunnel message's fragment");
            let (instructions, size) = Instructions::decode(&mut reader)?;
            let header = message.len() - reader.remaining();
            let bytes = reader.take(size)?;
            let whole = match instructions {
                Instructions::Whole(target) => {
                    message.advance(header);
                    let whole = message.split_to(size);
                    self.emit(target, whole, &mut emit);
                    continue;
                }
                Instructions::First { target, message } => {
                    self.piece(now, message, &Piece { target: Some(target), number: 0, last: false, bytes })
                }
                Instructions::FollowOn { message, number, last } => {
                    self.piece(now, message, &Piece { target: None, number, last, bytes })
                }
            };
            message.advance(header + size);
            if let Some((target, whole)) = whole {
                self.emit(target, whole, &mut emit);
            }
        }
        Ok(())
    }

    fn emit(&mut self, target: Target, whole: BytesMut, emit: &mut impl FnMut(Target, BytesMut)) {
        if whole.len() < SHORTEST {
            self.stats.lost += 1;
        } else {
            self.stats.messages += 1;
            emit(target, whole);
        }
    }

    /// Files one piece; the message, if it was the last that was missing.
    fn piece(&mut self, now: Instant, id: u32, piece: &Piece<'_>) -> Option<(Target, BytesMut)> {
        let partial = self.partials.entry(id).or_insert_with(|| {
            self.cost += OVERHEAD;
            Partial::new(now)
        });
        let before = partial.cost;
        let outcome = partial.add(piece);
        self.cost = self.cost + partial.cost - before;
        match outcome {
            Outcome::Incomplete => {
                self.bound(id);
                None
            }
            Outcome::Duplicate => {
                self.stats.duplicates += 1;
                None
            }
            Outcome::Contradiction => {
                self.drop_partial(id);
                None
            }
            Outcome::Complete => {
                let partial = self.partials.remove(&id)?;
                self.cost -= partial.cost;
                partial.target.map(|target| (target, partial.data))
            }
        }
    }

    fn drop_partial(&mut self, id: u32) {
        if let Some(partial) = self.partials.remove(&id) {
            self.cost -= partial.cost;
            self.stats.lost += 1;
        }
    }

    /// Pushes out the oldest until the bounds are kept; the newcomer last.
    fn bound(&mut self, newcomer: u32) {
        while self.partials.len() > self.bounds.messages || self.cost > self.bounds.bytes {
            let oldest = self.partials.iter().filter(|(id, _)| **id != newcomer).min_by_key(|(_, p)| p.since);
            let id = oldest.map_or(newcomer, |(id, _)| *id);
            self.drop_partial(id);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let old = |p: &Partial| p.since + AGE <= now;
        if !self.partials.values().any(old) {
            return;
        }
        let ids: Vec<u32> = self.partials.iter().filter(|(_, p)| old(p)).map(|(id, _)| *id).collect();
        for id in ids {
            self.drop_partial(id);
        }
    }
}

enum Outcome {
    Incomplete,
    Complete,
    Duplicate,
    Contradiction,
}

impl Partial {
    fn new(since: Instant) -> Self {
        Self {
            since,
            target: None,
            data: BytesMut::new(),
            next: 0,
            last: None,
            waiting: BTreeMap::new(),
            cost: OVERHEAD,
        }
    }

    fn add(&mut self, piece: &Piece<'_>) -> Outcome {
        let number = piece.number;
        if number < self.next || self.waiting.contains_key(&number) {
            return Outcome::Duplicate;
        }
        let beyond = self.waiting.last_key_value().is_some_and(|(n, _)| *n > number) || self.next > number;
        let second_last = piece.last && self.last.is_some();
        if (piece.last && beyond) || second_last || self.last.is_some_and(|last| number > last) {
            return Outcome::Contradiction;
        }
        if piece.last {
            self.last = Some(number);
        }
        self.target = self.target.or(piece.target);
        self.cost += piece.bytes.len();
        if number == self.next {
            self.append(piece.bytes);
            while let Some(bytes) = self.waiting.remove(&self.next) {
                self.cost -= OVERHEAD;
                self.append(&bytes);
            }
        } else {
            self.cost += OVERHEAD;
            self.waiting.insert(number, piece.bytes.into());
        }
        if self.cost > LARGEST + OVERHEAD * (self.waiting.len() + 1) {
            return Outcome::Contradiction;
        }
        if self.last.is_some_and(|last| last < self.next) { Outcome::Complete } else { Outcome::Incomplete }
    }

    fn append(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
        self.next += 1;
    }
}

#[cfg(test)]
mod tests;
