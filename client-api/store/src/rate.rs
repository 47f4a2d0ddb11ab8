//! Token buckets per peer, so that no one keeps a node busy alone.

use std::time::{Duration, Instant};

use allium_crypto::{HashMap, Seeded};

/// How much one key may do: `burst` at once, then one more every `every`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) burst: u32,
    pub(crate) every: Duration,
}

/// One bucket: empty when `debt` reaches the burst.
struct Bucket {
    debt: u32,
    paid: Instant,
}

/// The buckets of many peers, of which a bounded number is remembered.
pub(crate) struct Buckets {
    limit: Limit,
    most: usize,
    debtors: HashMap<[u8; 32], Bucket>,
}

impl Buckets {
    /// Buckets for at most `most` keys; a new key beyond them is refused until old ones are paid off.
    pub(crate) fn new(limit: Limit, most: usize, hasher: Seeded) -> Self {
        Self { limit, most, debtors: HashMap::with_hasher(hasher) }
    }

    /// Whether this key may act once more now.
    pub(crate) fn allow(&mut self, key: &[u8; 32], now: Instant) -> bool {
        if self.debtors.len() >= self.most && !self.debtors.contains_key(key) {
            self.sweep(now);
            if self.debtors.len() >= self.most {
                return false;
            }
        }
        let limit = self.limit;
        let bucket = self.debtors.entry(*key).or_insert(Bucket { debt: 0, paid: now });
        bucket.pay(limit, now);
        if bucket.debt >= limit.burst {
            return false;
        }
        bucket.debt += 1;
        true
    }

    /// Forgets the keys that owe nothing.
    pub(crate) fn sweep(&mut self, now: Instant) {
        let limit = self.limit;
        self.debtors.retain(|_, bucket| {
            bucket.pay(limit, now);
            bucket.debt > 0
        });
    }
}

impl Bucket {
    fn pay(&mut self, limit: Limit, now: Instant) {
        let passed = now.saturating_duration_since(self.paid).as_nanos();
        let earned = passed / limit.every.as_nanos().max(1);
        if earned >= u128::from(self.debt) {
            (self.debt, self.paid) = (0, now);
        } else if let Ok(earned) = u32::try_from(earned) {
            self.debt -= earned;
            self.paid += limit.every.saturating_mul(earned);
        }
    }
}
