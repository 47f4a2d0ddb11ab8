//! Questions by datagram: sent together, sent again, answered or not.

use std::time::{Duration, Instant};

use allium_wire::DestHash;
use bytes::Bytes;

use super::{Client, Event, SECOND_CHANCE, Timer};
use crate::io::{Action, RequestId};
use crate::wire::{Answer, Datagram, Item, MAX_CLOSEST, Want};
use crate::{Key, Stored, Version};

/// How often a datagram is sent before it counts as not answered.
const TRIES: u8 = 3;
/// Keys asked for in one datagram: fewer than may be, so that the answer names enough nodes for each.
const KEYS: usize = 24;
/// Strangers told of in an answer that are asked in their turn.
const MEET: usize = 4;

/// What a key is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Lookup(u64),
    Settle(RequestId),
    /// To hear from a known peer.
    News,
    /// To see whether a stranger answers.
    Meet,
    /// To see whether a peer that owes the answer to a frame is there. Silence says nothing new.
    Owing,
}

/// What a datagram asks.
enum Question {
    Find(Vec<(Key, Purpose)>),
    Offer(Vec<Key>),
}

/// A datagram that waits for its answer.
pub(super) struct Ask {
    to: DestHash,
    question: Question,
    bytes: Bytes,
    sent: Instant,
    tries: u8,
}

impl<B: Stored> Client<B> {
    /// Whether a datagram to this node waits for its answer, or will soon.
    pub(super) fn is_asked(&self, node: &DestHash) -> bool {
        self.outbox.contains_key(node) || self.asks.values().any(|ask| ask.to == *node)
    }

    /// Asks a node for a key, together with what else it is asked in this step.
    pub(super) fn ask_soon(&mut self, node: DestHash, key: Key, purpose: Purpose) {
        self.outbox.entry(node).or_default().push((key, purpose));
    }

    /// Sends what was gathered.
    pub(super) fn send_questions(&mut self, now: Instant) {
        while let Some((to, mut asked)) = self.outbox.pop_first() {
            while !asked.is_empty() {
                let later = asked.split_off(asked.len().min(KEYS));
                let id = self.rng.u64();
                let keys = asked.iter().map(|(key, _)| *key).collect();
                let bytes = Datagram::Find { id, node: self.own.is_some(), keys }.encode();
                self.send_ask(now, id, to, Question::Find(asked), bytes);
                asked = later;
            }
        }
    }

    /// Offers blocks to a node; ends in an [`Event::Offered`].
    pub(crate) fn offer(&mut self, now: Instant, to: DestHash, wide: bool, blocks: &[(Key, Version)]) {
        let id = self.rng.u64();
        let items = blocks.iter().map(|(key, version)| Item::of(key, *version)).collect();
        let bytes = Datagram::Offer { id, wide, items }.encode();
        let keys = blocks.iter().map(|(key, _)| *key).collect();
        self.send_ask(now, id, to, Question::Offer(keys), bytes);
    }

    fn send_ask(&mut self, now: Instant, id: u64, to: DestHash, question: Question, bytes: Bytes) {
        self.stats.asked += 1;
        self.timers.set(Timer::Ask(id), now + self.book.patience(&to));
        self.actions.push_back(Action::Datagram { to, bytes: bytes.clone() });
        self.asks.insert(id, Ask { to, question, bytes, sent: now, tries: 1 });
    }

    /// No answer in time: sends it again, or gives it up.
    pub(super) fn ask_due(&mut self, now: Instant, id: u64) {
        let Some(ask) = self.asks.get_mut(&id) else { return };
        let to = ask.to;
        if ask.tries < TRIES {
            ask.tries += 1;
            let patience = self.book.patience(&to) * (1 + u32::from(ask.tries)) / 2;
            self.timers.set(Timer::Ask(id), now + patience);
            self.actions.push_back(Action::Datagram { to, bytes: ask.bytes.clone() });
            self.stats.asked += 1;
            self.stats.again += 1;
            let lost = ask.tries == TRIES || self.book.is_doubted(&to);
            let asked = if let Question::Find(asked) = &ask.question { asked.as_slice() } else { &[] };
            for purpose in asked.iter().map(|(_, purpose)| *purpose).collect::<Vec<_>>() {
                if let Purpose::Lookup(lookup) = purpose {
                    self.lookup_late(now, lookup, &to, lost);
                }
            }
            if lost {
                self.book.doubt(&to);
            }
            return;
        }
        let Some(ask) = self.asks.remove(&id) else { return };
        let counts = match &ask.question {
            Question::Find(asked) => asked.iter().any(|(_, purpose)| *purpose != Purpose::Owing),
            Question::Offer(_) => true,
        };
        if counts && self.book.silent(now, &to, ask.sent) {
            self.events.push(Event::Gone(to));
        }
        if self.book.get(&to).is_some_and(|peer| peer.proven) {
            // Who owes something is asked until that is given up.
            let wait = if self.owes(&to) { Duration::ZERO } else { SECOND_CHANCE };
            self.timers.no_later(Timer::Doubted(to), now + wait);
        }
        match ask.question {
            Question::Find(asked) => {
                for (_, purpose) in asked {
                    match purpose {
                        Purpose::Lookup(lookup) => self.lookup_failed(now, lookup, &to),
                        Purpose::Settle(put) => self.settle_answered(now, put, None),
                        Purpose::Meet => self.strangers = self.strangers.saturating_sub(1),
                        Purpose::News | Purpose::Owing => {}
                    }
                }
            }
            Question::Offer(keys) => self.events.push(Event::Offered { to, keys, wants: None }),
        }
    }

    /// Takes the question that an answer belongs to, and notes that the peer answered.
    fn answered(
        &mut self,
        now: Instant,
        from: DestHash,
        id: u64,
        fits: impl Fn(&Question) -> bool,
    ) -> Option<Question> {
        if !self.asks.get(&id).is_some_and(|ask| ask.to == from && fits(&ask.question)) {
            return None;
        }
        let ask = self.asks.remove(&id)?;
        self.timers.cancel(Timer::Ask(id));
        self.timers.cancel(Timer::Doubted(from));
        // Who answers and yet owes frames is doubted still: its channel may be dead.
        let owes = self.book.is_doubted(&from) && self.owes(&from);
        if !owes {
            self.book.trust(&from);
        }
        // An answer to a datagram that was sent again may belong to either.
        let took = (ask.tries == 1).then(|| now.saturating_duration_since(ask.sent));
        if self.book.answered(now, from, took) {
            self.events.push(Event::New(from));
        }
        if owes {
            self.renew_channel(now, from);
        }
        Some(ask.question)
    }

    pub(super) fn found(
        &mut self,
        now: Instant,
        from: DestHash,
        id: u64,
        nodes: &[DestHash],
        answers: &[Answer],
    ) {
        let fits =
            |question: &Question| matches!(question, Question::Find(asked) if asked.len() == answers.len());
        let Some(Question::Find(asked)) = self.answered(now, from, id, fits) else { return };
        for ((_, purpose), answer) in asked.into_iter().zip(answers) {
            let named = answer.closest.iter().take(MAX_CLOSEST);
            let named: Vec<DestHash> =
                named.filter_map(|index| nodes.get(usize::from(*index)).copied()).collect();
            match purpose {
                Purpose::Lookup(lookup) => self.lookup_answered(now, lookup, from, answer.have, &named),
                Purpose::Settle(put) => self.settle_answered(now, put, Some((from, answer.have))),
                Purpose::Meet => self.strangers = self.strangers.saturating_sub(1),
                Purpose::News | Purpose::Owing => {
                    let unknown = named.into_iter().filter(|node| self.book.get(node).is_none());
                    for node in unknown.take(MEET).collect::<Vec<_>>() {
                        self.meet(node);
                    }
                }
            }
        }
    }

    pub(super) fn wanted(&mut self, now: Instant, from: DestHash, id: u64, wants: Vec<Want>) {
        let fits =
            |question: &Question| matches!(question, Question::Offer(keys) if keys.len() == wants.len());
        if let Some(Question::Offer(keys)) = self.answered(now, from, id, fits) {
            self.events.push(Event::Offered { to: from, keys, wants: Some(wants) });
        }
    }
}
