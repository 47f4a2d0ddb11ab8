//! Deadlines of many things.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// At most one deadline for each thing.
pub(crate) struct Timers<K> {
    set: BTreeMap<K, Instant>,
    order: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn new() -> Self {
        Self { set: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Sets the deadline of a thing, in place of the one it had.
    pub(crate) fn set(&mut self, what: K, at: Instant) {
        if let Some(before) = self.set.insert(what, at) {
            self.order.remove(&(before, what));
        }
        self.order.insert((at, what));
    }

    /// Sets the deadline of a thing unless it has an earlier one.
    pub(crate) fn no_later(&mut self, what: K, at: Instant) {
        if self.set.get(&what).is_none_or(|before| *before > at) {
            self.set(what, at);
        }
    }

    pub(crate) fn cancel(&mut self, what: K) {
        if let Some(before) = self.set.remove(&what) {
            self.order.remove(&(before, what));
        }
    }

    /// Takes a deadline that has come.
    pub(crate) fn due(&mut self, now: Instant) -> Option<K> {
        let (at, what) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.cancel(what);
        Some(what)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }
}
