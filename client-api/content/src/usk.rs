//! The search for the newest edition of a USK.
//!
//! Each edition is a document of its own, `name-N`; publishers count up by one. So the search asks for the next few
//! after the newest one known, and for some further ahead, each twice as far: a reader who was away for a thousand
//! editions finds the newest in a dozen steps, as long as some on the way are still stored. The document
//! [`Slot::Newest`](crate::signed::Slot::Newest) says the number at once where it can be had; it goes in by
//! [`Search::found`].

use std::collections::BTreeSet;

use crate::uri::Edition;

/// As many editions after the newest are asked for, without gaps.
const NEXT: u64 = 4;

/// The furthest one ahead is 2 to this power.
const FURTHEST: u32 = 10;

/// Most editions that one search asks for.
const MOST: usize = 300;

/// A search. [`Self::wants`] says which editions to look up; each is answered by [`Self::found`] or
/// [`Self::missing`].
#[derive(Clone, Debug)]
pub struct Search {
    /// Where the search began.
    from: u64,
    newest: Option<u64>,
    /// All that were ever asked for.
    asked: BTreeSet<u64>,
    under_way: BTreeSet<u64>,
}

impl Search {
    /// A search from an edition on, which is itself looked up first.
    pub fn new(edition: Edition) -> Self {
        Self { from: edition.number(), newest: None, asked: BTreeSet::new(), under_way: BTreeSet::new() }
    }

    /// Editions to be looked up now, that were not asked for before; the likeliest first.
    pub fn wants(&mut self) -> Vec<u64> {
        let base = self.newest.unwrap_or(self.from);
        let near = 0..=NEXT;
        let far = (0..=FURTHEST).map(|power| 1 << power).filter(|ahead| *ahead > NEXT);
        let mut wants = Vec::new();
        for ahead in near.chain(far) {
            let Some(edition) = base.checked_add(ahead).filter(|edition| *edition <= Edition::MAX) else {
                break;
            };
            if self.newest == Some(edition) || self.asked.len() >= MOST || !self.asked.insert(edition) {
                continue;
            }
            self.under_way.insert(edition);
            wants.push(edition);
        }
        wants
    }

    /// There is this edition (one that was asked for, or that the owner's hint names).
    pub fn found(&mut self, edition: u64) {
        self.under_way.remove(&edition);
        if edition >= self.from {
            self.newest = self.newest.max(Some(edition));
        }
    }

    /// Nobody has this edition.
    pub fn missing(&mut self, edition: u64) {
        self.under_way.remove(&edition);
    }

    /// The newest edition found so far; never one older than the search began with.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Whether the search is over: nothing is to be asked for, and no answer that could matter is awaited.
    pub fn is_done(&self) -> bool {
        let base = self.newest.unwrap_or(self.from);
        let awaited = self.under_way.iter().any(|edition| self.newest.is_none_or(|newest| *edition > newest));
        !awaited && self.clone().wants().is_empty() && base <= Edition::MAX
    }
}

#[cfg(test)]
mod tests;
