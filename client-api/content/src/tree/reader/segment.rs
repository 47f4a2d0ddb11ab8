//! A segment that is being read.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::block::{ContentBlock, Key, SIZE};
use crate::codec;
use crate::keys::CryptoKey;
use crate::tree::Error;
use crate::tree::erasure::Erasure;

/// What is known of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Not asked for.
    Idle,
    /// Asked for.
    Asked,
    /// Asked for long ago.
    Late,
    /// Nobody has it.
    Missing,
    /// Its plaintext.
    Plain(Bytes),
}

impl Slot {
    /// The plaintext, if it is here.
    fn plain(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(plain) => Some(plain),
            _ => None,
        }
    }
}

/// As many blocks more than there are late ones may be asked for in their place.
const SPARE: usize = 8;

/// Blocks of a segment, data blocks first.
#[derive(Debug)]
pub(super) struct Segment {
    crypto: CryptoKey,
    keys: Vec<Key>,
    slots: Vec<Slot>,
    data: usize,
}

/// What a segment would have next.
pub(super) enum Next {
    /// This block.
    Ask(usize),
    /// Nothing before what is under way came.
    Nothing,
    /// It can't be had.
    Lost(Error),
}

impl Segment {
    /// Reads an entry for so many data and check blocks.
    pub(super) fn new(entry: &[u8], data: usize, check: usize) -> Option<Self> {
        let mut reader = codec::Reader::new(entry);
        let crypto = CryptoKey(reader.array()?);
        let (keys, rest) = reader.rest().as_chunks::<32>();
        if keys.len() != data + check || !rest.is_empty() {
            return None;
        }
        let keys: Vec<_> = keys.iter().map(|key| Key(*key)).collect();
        Some(Self { crypto, slots: vec![Slot::Idle; keys.len()], keys, data })
    }

    pub(super) fn key(&self, at: usize) -> Option<Key> {
        self.keys.get(at).copied()
    }

    pub(super) fn is_data(&self, at: usize) -> bool {
        at < self.data
    }

    /// The plaintext of a block.
    pub(super) fn plain(&self, at: usize) -> Option<&Bytes> {
        match self.slots.get(at) {
            Some(Slot::Plain(plain)) => Some(plain),
            _ => None,
        }
    }

    /// Puts a block down that was asked for here.
    pub(super) fn put(&mut self, at: usize, block: &ContentBlock) {
        let plain = || Slot::Plain(block.open(&self.crypto, at as u32).into());
        if let (Some(slot), Some(key)) = (self.slots.get_mut(at), self.keys.get(at))
            && *key == block.key()
            && slot.plain().is_none()
        {
            *slot = plain();
        }
    }

    /// Notes what became of a block; one that is here stays.
    pub(super) fn mark(&mut self, at: usize, to: Slot) {
        if let Some(slot) = self.slots.get_mut(at)
            && slot.plain().is_none()
        {
            *slot = to;
        }
    }

    /// Nobody has a block: it is to be stored again at once if it was rebuilt meanwhile.
    pub(super) fn miss(&mut self, at: usize) -> Option<ContentBlock> {
        if let Some(plain) = self.plain(at) {
            return ContentBlock::seal(plain, &self.crypto, at as u32).ok();
        }
        self.mark(at, Slot::Missing);
        None
    }

    pub(super) fn forget_missing(&mut self) {
        for slot in &mut self.slots {
            if *slot == Slot::Missing {
                *slot = Slot::Idle;
            }
        }
    }

    /// Whether every block is here or known to be missing.
    pub(super) fn is_settled(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Plain(_) | Slot::Missing))
    }

    fn count(&self, of: impl Fn(&Slot) -> bool) -> usize {
        self.slots.iter().filter(|slot| of(slot)).count()
    }

    /// The next block to ask for, of data blocks that are needed and others that replace them.
    pub(super) fn next(&self, needed: &Range<usize>, thorough: bool) -> Next {
        let wanted = || self.slots.get(needed.clone()).unwrap_or_default().iter();
        if let Some(at) = wanted().position(|slot| *slot == Slot::Idle) {
            return Next::Ask(needed.start + at);
        }
        let idle = || self.slots.iter().position(|slot| *slot == Slot::Idle).map(Next::Ask);
        let missing = wanted().any(|slot| *slot == Slot::Missing);
        let have = self.count(|slot| *slot != Slot::Missing);
        if missing && have < self.data {
            return Next::Lost(Error::Lost { have, need: self.data });
        }
        let coming = self.count(|slot| matches!(slot, Slot::Plain(_) | Slot::Asked));
        let lacking = self.data.saturating_sub(coming);
        let late = wanted().filter(|slot| **slot == Slot::Late).count();
        // Others replace a late block only if that takes few of them, a missing one whatever it takes.
        if lacking > 0 && (missing || late > 0 && lacking <= late + SPARE) {
            return idle().unwrap_or(Next::Nothing);
        }
        if thorough { idle().unwrap_or(Next::Nothing) } else { Next::Nothing }
    }

    /// Rebuilds the data blocks that are not here, if some of them are needed (or thoroughness asks for it) and enough
    /// others are here; then the check blocks that are missing. What was missing is handed to `healed`.
    pub(super) fn rebuild(
        &mut self,
        needed: &Range<usize>,
        thorough: bool,
        erasure: &mut Erasure,
        healed: &mut VecDeque<ContentBlock>,
    ) -> Result<(), Error> {
        let (data, check) = self.slots.split_at_checked(self.data).unwrap_or_default();
        let absent = data.iter().filter(|slot| slot.plain().is_none()).count();
        let spare = check.iter().filter(|slot| slot.plain().is_some()).count();
        let wanted = |slot: &Slot| slot.plain().is_none();
        let missing = |slots: &[Slot]| slots.contains(&Slot::Missing);
        // Who is thorough waits until it is known which blocks are missing.
        let of_use = if thorough {
            self.is_settled() && missing(data)
        } else {
            data.get(needed.clone()).is_some_and(|slots| slots.iter().any(wanted))
        };
        if absent > 0 && spare >= absent && of_use {
            self.rebuild_data(erasure, healed)?;
        }
        let (data, check) = self.slots.split_at_checked(self.data).unwrap_or_default();
        let waiting = thorough && !self.is_settled();
        if missing(check) && !waiting && data.iter().all(|slot| slot.plain().is_some()) {
            self.rebuild_check(erasure, healed)?;
        }
        Ok(())
    }

    fn rebuild_data(
        &mut self,
        erasure: &mut Erasure,
        healed: &mut VecDeque<ContentBlock>,
    ) -> Result<(), Error> {
        let (data, check) = self.slots.split_at_checked(self.data).unwrap_or_default();
        let (data, check): (Vec<_>, Vec<_>) =
            (data.iter().map(Slot::plain).collect(), check.iter().map(Slot::plain).collect());
        for (at, plain) in erasure.decode(&data, &check)? {
            self.restore(at, plain, healed)?;
        }
        Ok(())
    }

    fn rebuild_check(
        &mut self,
        erasure: &mut Erasure,
        healed: &mut VecDeque<ContentBlock>,
    ) -> Result<(), Error> {
        let (data, check) = self.slots.split_at_checked(self.data).unwrap_or_default();
        let data: Vec<_> = data.iter().filter_map(Slot::plain).collect();
        let encoded = erasure.encode(data.into_iter(), check.len())?;
        for (number, plain) in encoded.chunks_exact(SIZE).enumerate() {
            if self.slots.get(self.data + number) == Some(&Slot::Missing) {
                self.restore(self.data + number, plain.to_vec(), healed)?;
            }
        }
        Ok(())
    }

    /// Puts down a block that was rebuilt, if sealing it gives the block that the entry names.
    fn restore(
        &mut self,
        at: usize,
        plain: Vec<u8>,
        healed: &mut VecDeque<ContentBlock>,
    ) -> Result<(), Error> {
        let block = ContentBlock::seal(&plain, &self.crypto, at as u32).map_err(|_| Error::Erasure)?;
        if self.key(at) != Some(block.key()) {
            return Err(Error::Inconsistent);
        }
        let slot = self.slots.get_mut(at).ok_or(Error::Erasure)?;
        if *slot == Slot::Missing {
            healed.push_back(block);
        }
        *slot = Slot::Plain(plain.into());
        Ok(())
    }
}
