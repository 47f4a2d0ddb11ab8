//! Which blocks a reader wants, and which segments it holds.

use std::ops::Range;

use super::segment::{Next, Segment, Slot};
use super::{Reader, Want};
use crate::block::{Key, SIZE};
use crate::tree::Role;

impl Reader {
    /// The next block to get, the most urgent first; `None` while there is no room for more, or nothing else to get.
    pub fn want(&mut self) -> Option<Want> {
        if self.failure.is_some() {
            return None;
        }
        if self.root.is_none() {
            let key = self.chk.routing;
            return self.ask(key, None, Role::Root);
        }
        if self.is_done() {
            return None;
        }
        for segment in self.window(0) {
            let needed = self.needed(0, segment);
            if needed.is_empty() && !self.options.thorough {
                continue;
            }
            if let Some(want) = self.want_of(0, segment) {
                return Some(want);
            }
        }
        for level in 1..if self.options.thorough { self.levels.len() } else { 0 } {
            for segment in self.window(level) {
                if let Some(want) = self.want_of(level, segment) {
                    return Some(want);
                }
            }
        }
        None
    }

    /// Notes that a block is under way, and for which place; `None` if it was under way already.
    fn ask(&mut self, key: Key, place: Option<super::Place>, role: Role) -> Option<Want> {
        let new = !self.asked.contains_key(&key);
        let places = self.asked.entry(key).or_default();
        places.extend(place.filter(|place| !places.contains(place)));
        new.then_some(Want { key, role })
    }

    /// The next block that a segment (or what leads to it) needs.
    fn want_of(&mut self, level: usize, number: u64) -> Option<Want> {
        if !self.open(level, number) {
            return self
                .levels_above(level, number)
                .into_iter()
                .find_map(|above| self.want_of(level + 1, above));
        }
        let needed = self.needed(level, number);
        let thorough = self.options.thorough;
        // A block that is under way for another place is waited for, and the next one asked for.
        loop {
            let segment = self.levels.get_mut(level)?.segments.get_mut(&number)?;
            match segment.next(&needed, thorough) {
                Next::Ask(at) => {
                    segment.mark(at, Slot::Asked);
                    let key = segment.key(at)?;
                    let role = match (level, segment.is_data(at)) {
                        (0, true) => Role::Data,
                        (0, false) => Role::Check,
                        _ => Role::Index,
                    };
                    if let Some(want) = self.ask(key, Some((level, number, at)), role) {
                        return Some(want);
                    }
                }
                Next::Nothing => return None,
                Next::Lost(error) => {
                    // What is read ahead fails when its turn comes: until then there is content to be had.
                    if level > 0 || self.options.thorough || number == self.base {
                        self.failure = Some(error);
                    }
                    return None;
                }
            }
        }
    }

    /// The segments of the level above that a segment's entry is in.
    fn levels_above(&self, level: usize, number: u64) -> Range<u64> {
        let (Some(held), Some(above)) = (self.levels.get(level), self.levels.get(level + 1)) else {
            return 0..0;
        };
        above.level.segments_of(&held.level.entry(number))
    }

    /// Whether a segment is held; it is from when its entry is there.
    fn open(&mut self, level: usize, number: u64) -> bool {
        let Some(held) = self.levels.get(level) else { return false };
        if held.segments.contains_key(&number) {
            return true;
        }
        let (data, place) = (held.level.data_of(number), held.level.entry(number));
        let check = held.level.params.check_of(data);
        let Some(entry) = self.bytes_of(level + 1, &place) else { return false };
        let segment = Segment::new(&entry, data, check);
        match (segment, self.levels.get_mut(level)) {
            (Some(segment), Some(held)) => {
                held.segments.insert(number, segment);
                true
            }
            _ => false,
        }
    }

    /// Bytes of a level, if all of them are held.
    fn bytes_of(&self, level: usize, range: &Range<u64>) -> Option<Vec<u8>> {
        let Some(held) = self.levels.get(level) else {
            let body = self.root.as_ref()?.body();
            return body.get(range.start as usize..range.end as usize).map(<[u8]>::to_vec);
        };
        let mut out = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let whole = held.level.params.segment_bytes();
            let plain = held.segments.get(&(at / whole))?.plain((at % whole / SIZE as u64) as usize)?;
            let from = (at % SIZE as u64) as usize;
            let to = SIZE.min(from + (range.end - at) as usize);
            out.extend_from_slice(plain.get(from..to)?);
            at += (to - from) as u64;
        }
        Some(out)
    }

    /// The segments of a level that may be held now: of content those at the reading position, of entries those that
    /// lead there.
    fn window(&self, level: usize) -> Range<u64> {
        self.window_from(self.base, level)
    }

    fn window_from(&self, base: u64, level: usize) -> Range<u64> {
        let Some(content) = self.levels.first() else { return 0..0 };
        let most = if self.options.thorough {
            content.level.segments()
        } else {
            content.level.segments_of(&self.range).end
        };
        let mut window = base.min(most)..base.saturating_add(self.options.segments).min(most);
        for (below, above) in self.levels.iter().zip(self.levels.iter().skip(1)).take(level) {
            let bytes = match window.end.checked_sub(1) {
                Some(last) if !window.is_empty() => {
                    below.level.entry(window.start).start..below.level.entry(last).end
                }
                _ => return 0..0,
            };
            window = above.level.segments_of(&bytes);
        }
        window
    }

    /// The data blocks of a segment that are needed now, by their number in it.
    pub(super) fn needed(&self, level: usize, number: u64) -> Range<usize> {
        let Some(held) = self.levels.get(level) else { return 0..0 };
        if level == 0 {
            return if self.range.is_empty() { 0..0 } else { held.level.blocks_of(number, &self.range) };
        }
        let below = self.window(level - 1);
        let Some(entries) = self.levels.get(level - 1).map(|held| held.level) else { return 0..0 };
        let bytes = match below.end.checked_sub(1) {
            Some(last) if !below.is_empty() => entries.entry(below.start).start..entries.entry(last).end,
            _ => return 0..0,
        };
        held.level.blocks_of(number, &bytes)
    }

    /// Whether no segment of content is left to be held.
    pub(super) fn is_past_end(&self) -> bool {
        self.levels.first().is_none_or(|held| self.base >= held.level.segments())
    }

    /// Moves on as far as content was given out, and lets go of segments that are not needed any more.
    pub(super) fn settle(&mut self) {
        let Some(content) = self.levels.first().map(|held| held.level) else { return };
        if self.options.thorough {
            let whole = content.params.segment_bytes();
            let reached = if self.range.is_empty() { content.segments() } else { self.range.start / whole };
            while self.base < reached && self.may_leave(self.base) {
                self.base += 1;
                self.let_go();
            }
        } else {
            self.base = self.range.start / content.params.segment_bytes();
        }
        self.let_go();
    }

    /// Whether everything that the segment after this one does without is settled.
    fn may_leave(&self, base: u64) -> bool {
        self.levels.iter().enumerate().all(|(level, held)| {
            let (now, then) = (self.window_from(base, level), self.window_from(base + 1, level));
            (now.start..then.start.min(now.end).max(now.start))
                .all(|number| held.segments.get(&number).is_some_and(Segment::is_settled))
        })
    }

    fn let_go(&mut self) {
        for level in 0..self.levels.len() {
            let window = self.window(level);
            if let Some(held) = self.levels.get_mut(level) {
                held.segments.retain(|number, _| window.contains(number));
            }
        }
    }
}
