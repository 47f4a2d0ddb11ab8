//! The table of all tags that the sessions of one destination listen for.

use allium_crypto::{HashMap, Rng};

use crate::tagset::{Listen, Tag};

/// How wide the window of a busy tag set may be: packets of one stream, striped over tunnels, overtake each other by
/// as much as is in flight.
pub(crate) const WIDE: u16 = 4096;
/// How wide it may be when the table is nearly full.
const NARROW: u16 = 64;

/// What a tag stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The session.
    pub(crate) slot: u32,
    /// The receive tag set, within the session.
    pub(crate) set: u32,
    /// The message number, within the set.
    pub(crate) number: u16,
}

/// Tags, each with its place; about 24 bytes a tag.
pub(crate) struct Table {
    places: HashMap<Tag, Place>,
    limit: usize,
}

impl Table {
    pub(crate) fn new(rng: &mut Rng, limit: usize) -> Self {
        Self { places: HashMap::with_hasher(rng.hasher()), limit }
    }

    pub(crate) fn get(&self, tag: Tag) -> Option<Place> {
        self.places.get(&tag).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether sessions must go to make room.
    pub(crate) fn is_over(&self) -> bool {
        self.places.len() > self.limit
    }

    /// How far ahead a tag set may look now.
    pub(crate) fn most(&self) -> u16 {
        if self.places.len() > self.limit / 4 * 3 {
            return NARROW;
        }
        // A small table must hold several busy sessions too.
        u16::try_from(self.limit / 5).map_or(WIDE, |share| share.clamp(NARROW, WIDE))
    }

    /// The part of the table that a tag set of a session sees.
    pub(crate) fn of(&mut self, slot: u32, set: u32) -> Listener<'_> {
        Listener { table: self, slot, set }
    }

    pub(crate) fn remove(&mut self, tag: Tag) {
        self.places.remove(&tag);
    }
}

/// See [`Table::of`].
pub(crate) struct Listener<'a> {
    table: &'a mut Table,
    slot: u32,
    set: u32,
}

impl Listen for Listener<'_> {
    fn add(&mut self, tag: Tag, number: u16) {
        self.table.places.insert(tag, Place { slot: self.slot, set: self.set, number });
    }

    fn remove(&mut self, tag: Tag) {
        self.table.remove(tag);
    }
}
