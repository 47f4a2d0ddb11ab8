//! The timers of all connections and paths.

use std::collections::BTreeSet;
use std::time::Instant;

/// Whose timer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Connection(u32),
    Path(usize),
}

/// Deadlines in order. A deadline that moves to later is left where it is, and set anew when it comes.
#[derive(Default)]
pub(super) struct Timers(BTreeSet<(Instant, Key)>);

impl Timers {
    /// Sets or (with `None`) removes the timer of `key`; `noted` is where its owner keeps what is set.
    pub(super) fn set(&mut self, key: Key, noted: &mut Option<Instant>, deadline: Option<Instant>) {
        match (*noted, deadline) {
            (Some(set), Some(wanted)) if set <= wanted => return,
            (Some(set), _) => {
                self.0.remove(&(set, key));
            }
            (None, _) => {}
        }
        if let Some(wanted) = deadline {
            self.0.insert((wanted, key));
        }
        *noted = deadline;
    }

    /// The first deadline.
    pub(super) fn first(&self) -> Option<Instant> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes a timer that is due; its owner must then note that it has none.
    pub(super) fn due(&mut self, now: Instant) -> Option<Key> {
        let &(at, key) = self.0.first()?;
        if at > now {
            return None;
        }
        self.0.pop_first();
        Some(key)
    }
}
