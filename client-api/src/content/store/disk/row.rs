//! A row of the index: what is known of a block, in 49 bytes.

use allium_store::{Key, Record, Version};
use allium_wire::Date;

/// Bytes of a row.
pub(super) const LENGTH: usize = 49;
/// The slot of a block that is in the index itself.
pub(super) const IN_INDEX: u32 = u32::MAX;

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) record: Record,
    pub(super) slot: u32,
    /// The first bytes of BLAKE3 of the block's.
    pub(super) sum: [u8; 16],
}

/// The checksum of a block's bytes.
pub(super) fn sum(bytes: &[u8]) -> [u8; 16] {
    let hash = blake3::hash(bytes);
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

impl Row {
    /// Size, version's number and tie, wanted, pinned, slot, checksum; integers are big-endian.
    pub(super) fn encode(&self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        let Record { size, version, wanted, pinned, .. } = self.record;
        let parts: [&[u8]; 7] = [
            &size.to_be_bytes(),
            &version.number.to_be_bytes(),
            &version.tie.to_be_bytes(),
            &wanted.0.to_be_bytes(),
            &[u8::from(pinned)],
            &self.slot.to_be_bytes(),
            &self.sum,
        ];
        for (to, from) in out.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        out
    }

    pub(super) fn decode(key: Key, row: &[u8; LENGTH]) -> Option<Self> {
        let (size, rest) = row.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (tie, rest) = rest.split_first_chunk()?;
        let (wanted, rest) = rest.split_first_chunk()?;
        let (pinned, rest) = rest.split_first()?;
        let (slot, sum) = rest.split_first_chunk()?;
        let version = Version { number: u64::from_be_bytes(*number), tie: u64::from_be_bytes(*tie) };
        let wanted = Date(u64::from_be_bytes(*wanted));
        let record = Record { key, size: u32::from_be_bytes(*size), version, wanted, pinned: *pinned != 0 };
        Some(Self { record, slot: u32::from_be_bytes(*slot), sum: *sum.first_chunk()? })
    }
}
