//! Blocks in, content out.

mod segment;
#[cfg(test)]
mod tests;
mod wanted;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::Bytes;

use self::segment::{Segment, Slot};
use super::erasure::Erasure;
use super::shape::Level;
use super::{Error, Role, Root};
use crate::block::{ContentBlock, Key, SIZE};
use crate::keys::Chk;

/// How content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Longer content is refused.
    pub max_length: u64,
    /// Segments held at a time, of which the last ones are read ahead: 1 to 8. Each is 4 MiB for content that was
    /// cut as usual (and check blocks, where data blocks are missing).
    pub segments: u64,
    /// Whether to ask for every block, check blocks too, so that whatever is missing is found and rebuilt.
    pub thorough: bool,
}

impl Default for Options {
    /// Two segments of content of any length, and of each no more blocks than needed.
    fn default() -> Self {
        Self { max_length: super::MAX_LENGTH, segments: 2, thorough: false }
    }
}

/// A block that the reader asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Which.
    pub key: Key,
    /// What it is.
    pub role: Role,
}

/// The place of a block in its tree: level, segment, number in the segment.
type Place = (usize, u64, usize);

/// A level of the tree, and the segments of it that are held.
#[derive(Debug)]
struct Held {
    level: Level,
    segments: BTreeMap<u64, Segment>,
}

/// Finds out which blocks a range of content needs, verifies what comes, and puts what is missing together again.
///
/// [`Self::want`] gives the blocks to get, in the order of their urgency, until there are as many under way as the
/// reader has room for. Each is answered once by [`Self::block`] or [`Self::missing`]; [`Self::late`] says in between
/// that it takes long. [`Self::read`] gives the content as soon as it is there, in order. Blocks that were missing and
/// could be rebuilt come out of [`Self::healed`], to be stored again.
#[derive(Debug)]
pub struct Reader {
    options: Options,
    chk: Chk,
    root: Option<Root>,
    /// From the content up.
    levels: Vec<Held>,
    /// The lowest segment of content that is still needed.
    base: u64,
    /// What is to be read; cut to the content's length once that is known.
    range: Range<u64>,
    /// The hash of the content so far, while it is read from its beginning.
    hasher: Option<blake3::Hasher>,
    /// Blocks under way, and what each is for.
    asked: BTreeMap<Key, Vec<Place>>,
    healed: VecDeque<ContentBlock>,
    erasure: Erasure,
    failure: Option<Error>,
}

impl Reader {
    /// A reader of all of a CHK's content.
    pub fn new(chk: Chk, options: Options) -> Self {
        Self {
            options: Options { segments: options.segments.clamp(1, 8), ..options },
            chk,
            root: None,
            levels: Vec::new(),
            base: 0,
            range: 0..u64::MAX,
            hasher: Some(blake3::Hasher::new()),
            asked: BTreeMap::new(),
            healed: VecDeque::new(),
            erasure: Erasure::default(),
            failure: None,
        }
    }

    /// Reads these bytes from now on, instead of what was to be read before. A range past the end is cut.
    pub fn select(&mut self, range: Range<u64>) {
        self.range = range;
        if self.range.start > 0 {
            self.hasher = None;
        } else {
            self.hasher = Some(blake3::Hasher::new());
        }
        self.cut();
        self.settle();
    }

    /// What the root says, once it came.
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// Where the next byte given out will be.
    pub fn position(&self) -> u64 {
        self.range.start
    }

    /// Blocks asked for and not answered.
    pub fn under_way(&self) -> usize {
        self.asked.len()
    }

    /// Whether all that is to be read was given out (and, if thorough, every block was asked for).
    pub fn is_done(&self) -> bool {
        let settled = || self.levels.iter().flat_map(|held| held.segments.values()).all(Segment::is_settled);
        self.root.is_some()
            && self.range.is_empty()
            && (!self.options.thorough || self.is_past_end() && settled())
    }

    /// What stopped the reading, if anything did.
    pub fn failure(&self) -> Option<Error> {
        self.failure
    }

    /// Asks again for what was missing: after a while, or with more nodes to ask.
    pub fn retry(&mut self) {
        if matches!(self.failure, Some(Error::Lost { .. } | Error::RootLost)) {
            self.failure = None;
        }
        for segment in self.levels.iter_mut().flat_map(|held| held.segments.values_mut()) {
            segment.forget_missing();
        }
    }

    /// The next content in order, a block of it at most; `None` while it isn't there yet, and at the end.
    ///
    /// # Errors
    /// What stopped the reading, after all content that could still be had; [`Error::Hash`] at the end.
    pub fn read(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(root) = &self.root else { return self.failure.map_or(Ok(None), Err) };
        let stated = root.hash;
        let length = root.length;
        let bytes = if root.is_single() {
            root.body().slice(self.range.start as usize..self.range.end as usize)
        } else {
            self.held_content().unwrap_or_default()
        };
        if bytes.is_empty() && !self.range.is_empty() {
            return self.failure.map_or(Ok(None), Err);
        }
        self.range.start += bytes.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes);
            if self.range.start == length && *hasher.finalize().as_bytes() != stated {
                self.failure = Some(Error::Hash);
                return Err(Error::Hash);
            }
        }
        if !bytes.is_empty() {
            self.settle();
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// The next bytes of the range, as far as the block goes that they are in.
    fn held_content(&self) -> Option<Bytes> {
        let held = self.levels.first()?;
        let whole = held.level.params.segment_bytes();
        let (segment, inside) = (self.range.start / whole, self.range.start % whole);
        let plain = held.segments.get(&segment)?.plain((inside / SIZE as u64) as usize)?;
        let from = (inside % SIZE as u64) as usize;
        let most = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        Some(plain.slice(from..SIZE.min(from.saturating_add(most))))
    }

    /// A block that was missing and is rebuilt, to be stored again.
    pub fn healed(&mut self) -> Option<ContentBlock> {
        self.healed.pop_front()
    }

    /// Takes a block, and says whether it was asked for.
    ///
    /// # Errors
    /// What the content's publisher did wrong: the reading has failed.
    pub fn block(&mut self, block: &ContentBlock) -> Result<bool, Error> {
        let Some(places) = self.asked.remove(&block.key()) else { return Ok(false) };
        if self.root.is_none() {
            self.open_root(block).inspect_err(|error| self.failure = Some(*error))?;
            return Ok(true);
        }
        for (level, number, slot) in places {
            let Some(segment) = self.segment(level, number) else { continue };
            segment.put(slot, block);
            self.rebuild(level, number).inspect_err(|error| self.failure = Some(*error))?;
        }
        self.settle();
        Ok(true)
    }

    fn open_root(&mut self, block: &ContentBlock) -> Result<(), Error> {
        let root = Root::open(&self.chk, block)?;
        if root.length > self.options.max_length {
            return Err(Error::TooLong(self.options.max_length));
        }
        let held = |level: &Level| Held { level: *level, segments: BTreeMap::new() };
        self.levels = root.levels().iter().map(held).collect();
        self.root = Some(root);
        self.cut();
        self.settle();
        Ok(())
    }

    /// Nobody has the block: others of its segment will be asked for.
    pub fn missing(&mut self, key: Key) {
        let Some(places) = self.asked.remove(&key) else { return };
        if self.root.is_none() {
            self.failure = Some(Error::RootLost);
        }
        for (level, number, at) in places {
            if let Some(segment) = self.segment(level, number) {
                let rebuilt = segment.miss(at);
                self.healed.extend(rebuilt);
            }
            if let Err(error) = self.rebuild(level, number) {
                self.failure = Some(error);
            }
        }
        self.settle();
    }

    /// The block takes long: another of its segment will be asked for too, and whichever comes first is used.
    pub fn late(&mut self, key: Key) {
        for (level, number, at) in self.asked.get(&key).cloned().unwrap_or_default() {
            if let Some(segment) = self.segment(level, number) {
                segment.mark(at, Slot::Late);
            }
        }
    }

    fn segment(&mut self, level: usize, number: u64) -> Option<&mut Segment> {
        self.levels.get_mut(level)?.segments.get_mut(&number)
    }

    /// Puts a segment's missing blocks together again, if it can be done and is of use.
    fn rebuild(&mut self, level: usize, number: u64) -> Result<(), Error> {
        let needed = self.needed(level, number);
        let Some(segment) = self.levels.get_mut(level).and_then(|held| held.segments.get_mut(&number)) else {
            return Ok(());
        };
        segment.rebuild(&needed, self.options.thorough, &mut self.erasure, &mut self.healed)
    }

    fn cut(&mut self) {
        if let Some(root) = &self.root {
            self.range.end = self.range.end.min(root.length);
            self.range.start = self.range.start.min(self.range.end);
            // Nothing is read of nothing: its hash is known to be that.
            let whole = self.range == (0..root.length);
            self.hasher = self.hasher.take().filter(|_| whole);
        }
    }
}
