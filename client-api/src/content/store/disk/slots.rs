//! The file of content blocks: slots of 32 KiB.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use allium_content::block::SIZE;
use bytes::{Bytes, BytesMut};

/// Free slots at the end of the file that are given back to the file system.
const TAIL: u32 = 256;

/// Where the bytes are.
pub(super) enum Medium {
    File(File),
    /// In memory: for nodes without a data folder. At most so many bytes.
    Memory(BytesMut, usize),
}

/// The slots, and which of them are free.
pub(super) struct Slots {
    medium: Medium,
    free: BTreeSet<u32>,
    /// All slots beyond are free.
    end: u32,
}

fn offset(slot: u32) -> u64 {
    u64::from(slot) * SIZE as u64
}

impl Slots {
    /// Slots of which `used` are taken.
    pub(super) fn new(medium: Medium, used: &BTreeSet<u32>) -> Self {
        let end = used.last().map_or(0, |last| last + 1);
        let free = (0..end).filter(|slot| !used.contains(slot)).collect();
        let mut slots = Self { medium, free, end };
        slots.truncate();
        slots
    }

    /// A slot that was free.
    pub(super) fn take(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.end += 1;
            self.end - 1
        })
    }

    /// A slot is free again.
    pub(super) fn give_back(&mut self, slot: u32) {
        self.free.insert(slot);
    }

    /// Gives free space at the end back, where there is much.
    pub(super) fn trim(&mut self) {
        let before = self.end;
        let mut end = self.end;
        while end > 0 && self.free.contains(&(end - 1)) {
            end -= 1;
        }
        if before - end >= TAIL {
            self.end = end;
            self.free.split_off(&end);
            self.truncate();
        }
    }

    fn truncate(&mut self) {
        let length = offset(self.end);
        match &mut self.medium {
            // If it fails the file is only longer than it must be.
            Medium::File(file) => drop(file.set_len(length)),
            Medium::Memory(bytes, _) => bytes.truncate(length as usize),
        }
    }

    pub(super) fn write(&mut self, slot: u32, block: &[u8]) -> io::Result<()> {
        match &mut self.medium {
            Medium::File(file) => file.write_all_at(block, offset(slot)),
            Medium::Memory(bytes, most) => {
                let begin = offset(slot) as usize;
                if begin + SIZE > *most {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                if bytes.len() < begin + SIZE {
                    bytes.resize(begin + SIZE, 0);
                }
                let to = bytes.get_mut(begin..begin + block.len()).ok_or(io::ErrorKind::InvalidInput)?;
                to.copy_from_slice(block);
                Ok(())
            }
        }
    }

    /// The first `length` bytes of a slot.
    pub(super) fn read(&self, slot: u32, length: usize) -> io::Result<Bytes> {
        match &self.medium {
            Medium::File(file) => {
                let mut block = vec![0; length.min(SIZE)];
                file.read_exact_at(&mut block, offset(slot))?;
                Ok(block.into())
            }
            Medium::Memory(bytes, _) => {
                let begin = offset(slot) as usize;
                let block = bytes.get(begin..begin + length.min(SIZE)).ok_or(io::ErrorKind::UnexpectedEof)?;
                Ok(Bytes::copy_from_slice(block))
            }
        }
    }

    /// Waits until everything written is there to stay.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.medium {
            Medium::File(file) => file.sync_data(),
            Medium::Memory(..) => Ok(()),
        }
    }
}
