//! The key space: where blocks and nodes are in it, and how far apart.

use std::fmt;

use allium_wire::DestHash;

pub use allium_content::block::Key;

/// Where a node is in the key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub [u8; 32]);

impl Place {
    /// The place of the node with this destination: BLAKE3 in key derivation mode, context
    /// `allium store 2026 place of a node`, of the destination's 32-byte hash.
    ///
    /// Another network that hashes destinations in another way has its nodes in other places, and nobody chooses a
    /// place outright; but whoever makes destinations until one is close to a given key finds it, a few thousand tries
    /// for each node that is there already.
    pub fn of(node: &DestHash) -> Self {
        Self(blake3::derive_key("allium store 2026 place of a node", &node.0))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.0;
        write!(formatter, "Place({a:02x}{b:02x})")
    }
}

/// How far two points are apart: their exclusive or, as a number in two halves.
pub(crate) type Distance = [u128; 2];

/// The distance of two points.
pub(crate) fn distance(a: &[u8; 32], b: &[u8; 32]) -> Distance {
    let ([a0, a1], [b0, b1]) = (halves(a), halves(b));
    [a0 ^ b0, a1 ^ b1]
}

fn halves(point: &[u8; 32]) -> Distance {
    let (first, rest) = point.split_at(16);
    let number = |half: &[u8]| half.first_chunk().copied().map_or(0, u128::from_be_bytes);
    [number(first), number(rest)]
}

/// How many of their first bits two points share: 0 to 256.
pub(crate) fn shared(a: &[u8; 32], b: &[u8; 32]) -> u16 {
    let [high, low] = distance(a, b);
    let bits = if high == 0 { 128 + low.leading_zeros() } else { high.leading_zeros() };
    bits as u16
}

/// The bit after the first `depth` ones; false beyond the end.
pub(crate) fn bit(point: &[u8; 32], depth: u16) -> bool {
    point.get(usize::from(depth / 8)).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}

/// The first `depth` bits, the rest zero.
pub(crate) fn masked(point: &[u8; 32], depth: u16) -> [u8; 32] {
    let mut out = [0; 32];
    let whole = usize::from(depth / 8);
    for (index, (out, byte)) in out.iter_mut().zip(point).enumerate() {
        if index < whole {
            *out = *byte;
        } else if index == whole {
            *out = byte & !(0xff_u8.checked_shr(u32::from(depth % 8)).unwrap_or(0));
        }
    }
    out
}

#[cfg(test)]
mod tests;
