//! The duplicate filter of a hop (tunnel-implementation, "Participant Processing"; spec trap 39).
//!
//! What was seen is remembered as 32-bit fingerprints in buckets of one cache line each. A bucket is a short
//! queue: a new fingerprint pushes out the bucket's oldest, so the filter needs no clock and never outgrows its
//! bound. It starts empty, grows with use, and at its bound remembers about the last 131 000 messages.

use allium_crypto::Rng;

/// Fingerprints in a bucket (64 bytes, one cache line).
const SLOTS: usize = 16;
/// Buckets of a filter that has seen anything at all: 1 KiB.
const SMALLEST: usize = 16;
/// Buckets of the largest filter: 512 KiB.
const LARGEST: usize = 8192;

type Bucket = [u32; SLOTS];

/// Remembers 16-byte values for a while, and says whether one was seen before.
///
/// A false alarm happens about twice in a million at the largest size, less below it.
pub struct IvFilter {
    key: [u64; 2],
    buckets: Vec<Bucket>,
    seen: usize,
    largest: usize,
}

impl IvFilter {
    /// An empty filter (no memory used yet) whose hash is keyed from `rng`.
    pub fn new(rng: &mut Rng) -> Self {
        Self::bounded(rng, LARGEST)
    }

    /// As [`IvFilter::new`], with at most `buckets` (a power of two, at least 16) of 16 values each.
    pub fn bounded(rng: &mut Rng, buckets: usize) -> Self {
        let largest = buckets.clamp(SMALLEST, LARGEST * 16).next_power_of_two();
        Self { key: [rng.u64(), rng.u64() | 1], buckets: Vec::new(), seen: 0, largest }
    }

    /// The value a hop filters on: IV XOR first ciphertext block, of a tunnel message without its tunnel id
    /// (1024 bytes: IV, data).
    pub fn value(message: &[u8; 1024]) -> [u8; 16] {
        let mut value = [0; 16];
        for (i, byte) in value.iter_mut().enumerate() {
            *byte = message[i] ^ message[i + 16];
        }
        value
    }

    /// Remembers `value`; false if it was there already.
    pub fn insert(&mut self, value: &[u8; 16]) -> bool {
        let (base, fingerprint) = self.hash(value);
        self.grow();
        let at = Self::index(base, fingerprint, self.buckets.len());
        let Some(bucket) = self.buckets.get_mut(at) else { return true };
        if bucket.iter().filter(|slot| **slot == fingerprint).count() > 0 {
            return false;
        }
        bucket.copy_within(..SLOTS - 1, 1);
        bucket[0] = fingerprint;
        self.seen += 1;
        true
    }

    /// Whether `value` is remembered; changes nothing.
    pub fn contains(&self, value: &[u8; 16]) -> bool {
        let (base, fingerprint) = self.hash(value);
        self.buckets
            .get(Self::index(base, fingerprint, self.buckets.len()))
            .is_some_and(|b| b.contains(&fingerprint))
    }

    /// Bytes of memory held.
    pub fn memory(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// Four bits that choose among the first sixteen buckets, and a fingerprint that is never 0 (0 is an empty
    /// slot). The fingerprint's low bits choose further as the table grows, so that growing needs no more than it.
    fn hash(&self, value: &[u8; 16]) -> (usize, u32) {
        let number = u128::from_le_bytes(*value);
        let (low, high) = (number as u64 ^ self.key[0], (number >> 64) as u64 ^ self.key[1]);
        let once = fold(low, high | 1) ^ low.rotate_left(23) ^ high.rotate_left(47);
        let hash = fold(once ^ self.key[1], self.key[0] | 1);
        ((hash >> 60) as usize, (hash as u32).max(1))
    }

    fn index(base: usize, fingerprint: u32, buckets: usize) -> usize {
        (base | ((fingerprint as usize) << 4)) & buckets.wrapping_sub(1)
    }

    /// Doubles the table while it is more than a third used, so that full buckets are rare, and below its bound.
    fn grow(&mut self) {
        if self.buckets.is_empty() {
            self.buckets = vec![[0; SLOTS]; SMALLEST];
        }
        if self.buckets.len() >= self.largest || self.seen < self.buckets.len() * SLOTS / 3 {
            return;
        }
        // A bucket's entries go to itself or to its twin in the new half; which one, the next bit says.
        let half = self.buckets.len();
        let mut grown = vec![[0; SLOTS]; half * 2];
        for (at, bucket) in self.buckets.iter().enumerate() {
            let (mut stay, mut go) = (0, 0);
            for &fingerprint in bucket.iter().take_while(|f| **f != 0) {
                let moved = Self::index(at & (SMALLEST - 1), fingerprint, half * 2) >= half;
                let (to, next) = if moved { (at + half, &mut go) } else { (at, &mut stay) };
                grown[to][*next] = fingerprint;
                *next += 1;
            }
        }
        self.buckets = grown;
    }
}

/// The 128-bit product, folded: every input bit reaches every output bit.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests;
