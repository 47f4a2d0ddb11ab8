//! Seeded randomness and the hasher made of it.

use std::convert::Infallible;
use std::hash::BuildHasher;
use std::ops::Range;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng, TryCryptoRng, TryRng};
use siphasher::sip::SipHasher13;
use zeroize::Zeroize;

/// A cryptographic random number generator (ChaCha12) with a 32-byte seed.
///
/// It is not `Clone`, so that no two parts of a router draw the same numbers: [`Rng::fork`] gives each
/// component its own. One seed always gives the same numbers.
pub struct Rng(ChaCha12Rng);

opaque_debug!(Rng, Seeded);

impl Rng {
    /// The generator with this seed.
    pub fn from_seed(mut seed: [u8; 32]) -> Self {
        let rng = Self(ChaCha12Rng::from_seed(seed));
        seed.zeroize();
        rng
    }

    /// An independent generator, seeded from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::from_seed(self.array())
    }

    /// Fills `out` with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// `N` random bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }

    /// Any 32-bit number.
    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Any 64-bit number.
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`, each equally likely; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // The high half of a 64 x 64 bit product; the few low halves that would favour some results are redrawn.
        let unfair = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.u64()) * u128::from(n);
            if product as u64 >= unfair {
                return (product >> 64) as u64;
            }
        }
    }

    /// A number of the range, each equally likely; its start if it is empty.
    pub fn range(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// A number in `0.0..1.0`, in steps of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with probability `p`: never for 0.0 (or less, or NaN), always for 1.0 (or more).
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Puts the items into a random order, each order equally likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }

    /// One of the items, each equally likely; none of no items.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len() as u64) as usize)
    }

    /// A hasher for [`HashMap`](crate::HashMap) and [`HashSet`](crate::HashSet), with keys drawn from here.
    pub fn hasher(&mut self) -> Seeded {
        Seeded { keys: (self.u64(), self.u64()) }
    }
}

impl TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(out)
    }
}

impl TryCryptoRng for Rng {}

/// Builds SipHash-1-3 hashers with keys from an [`Rng`]: unknown to peers, repeatable in tests.
#[derive(Clone)]
pub struct Seeded {
    keys: (u64, u64),
}

impl BuildHasher for Seeded {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.keys.0, self.keys.1)
    }
}

#[cfg(test)]
mod tests;
