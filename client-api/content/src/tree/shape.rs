//! How many blocks, segments and levels content of some length has.

use std::ops::Range;

use super::Error;
use crate::block::SIZE;

/// Most bytes of content: 256 TiB.
pub const MAX_LENGTH: u64 = 1 << 48;

/// Bytes of a routing or encryption key.
const KEY: u64 = 32;

/// Least check blocks of a segment, if it has any: a small last segment keeps as many spares as this.
const LEAST_CHECK: usize = 3;

/// How many data and check blocks a whole segment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    data: u16,
    check: u16,
}

impl Default for Params {
    /// 128 data and 64 check blocks.
    fn default() -> Self {
        Self { data: 128, check: 64 }
    }
}

impl Params {
    /// Other numbers: 16 to 256 data blocks, and at most as many check blocks.
    ///
    /// # Errors
    /// [`Error::Params`] for any other.
    pub fn new(data: u16, check: u16) -> Result<Self, Error> {
        if !(16..=256).contains(&data) || check > data {
            return Err(Error::Params);
        }
        Ok(Self { data, check })
    }

    /// Data blocks of a whole segment.
    pub fn data(self) -> usize {
        usize::from(self.data)
    }

    /// Check blocks of a whole segment.
    pub fn check(self) -> usize {
        usize::from(self.check)
    }

    /// Check blocks of a segment with so many data blocks: in proportion, rounded up, and at least three.
    pub fn check_of(self, data: usize) -> usize {
        (data * self.check()).div_ceil(self.data().max(1)).max(LEAST_CHECK.min(self.check()))
    }

    /// Bytes of content in a whole segment.
    pub(crate) fn segment_bytes(self) -> u64 {
        self.data() as u64 * SIZE as u64
    }

    /// Bytes of the entry of a segment with so many data blocks.
    fn entry_bytes(self, data: usize) -> u64 {
        KEY * (1 + data + self.check_of(data)) as u64
    }
}

/// One level of a tree: content, or the entries of the level below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) params: Params,
    /// Bytes.
    pub(crate) length: u64,
}

impl Level {
    /// Data blocks.
    pub(crate) fn blocks(self) -> u64 {
        self.length.div_ceil(SIZE as u64)
    }

    pub(crate) fn segments(self) -> u64 {
        self.blocks().div_ceil(self.params.data() as u64)
    }

    /// Data blocks of a segment.
    pub(crate) fn data_of(self, segment: u64) -> usize {
        let before = segment.saturating_mul(self.params.data() as u64);
        self.blocks().saturating_sub(before).min(self.params.data() as u64) as usize
    }

    /// Where a segment's entry is among all entries.
    pub(crate) fn entry(self, segment: u64) -> Range<u64> {
        let start = segment.saturating_mul(self.params.entry_bytes(self.params.data()));
        start..start + self.params.entry_bytes(self.data_of(segment))
    }

    /// Bytes of all entries.
    pub(crate) fn entries(self) -> u64 {
        self.segments().checked_sub(1).map_or(0, |last| self.entry(last).end)
    }

    /// The segments that bytes are in; an empty range for no bytes.
    pub(crate) fn segments_of(self, bytes: &Range<u64>) -> Range<u64> {
        let segment = self.params.segment_bytes();
        bytes.start / segment..bytes.end.div_ceil(segment)
    }

    /// The data blocks of one segment that bytes are in, by their number in the segment.
    pub(crate) fn blocks_of(self, segment: u64, bytes: &Range<u64>) -> Range<usize> {
        let first = segment.saturating_mul(self.params.segment_bytes());
        let whole = self.data_of(segment) as u64;
        let start = bytes.start.saturating_sub(first) / SIZE as u64;
        let end = bytes.end.saturating_sub(first).div_ceil(SIZE as u64).min(whole);
        start.min(end) as usize..end as usize
    }

    /// All blocks of the level, check blocks too.
    fn all_blocks(self) -> u64 {
        let Some(last) = self.segments().checked_sub(1) else { return 0 };
        let whole = (self.params.data() + self.params.check()) as u64;
        let data = self.data_of(last);
        last * whole + (data + self.params.check_of(data)) as u64
    }
}

/// The levels of a tree from the content up, whose root has room for so many bytes; none if the content is in the
/// root.
pub(crate) fn levels(length: u64, room: usize, params: Params) -> Vec<Level> {
    let mut levels = Vec::new();
    let mut length = length;
    while length > room as u64 {
        let level = Level { params, length };
        length = level.entries();
        levels.push(level);
    }
    levels
}

/// How many blocks content of a length is, with a content type of so many characters: for progress bars.
pub fn block_count(length: u64, media: usize, params: Params) -> u64 {
    let levels = levels(length, super::root::room(media), params);
    1 + levels.iter().map(|level| level.all_blocks()).sum::<u64>()
}

#[cfg(test)]
mod tests;
