//! What was read of late, so that it need not be fetched again: a page's pictures share their folder's first blocks.

use std::collections::BTreeMap;

/// Values by key; those used longest ago go when all together weigh too much.
pub(super) struct Recent<K, V> {
    held: BTreeMap<K, (u64, usize, V)>,
    /// Which was used when.
    used: BTreeMap<u64, K>,
    uses: u64,
    weight: usize,
    most: usize,
}

impl<K: Ord + Clone, V: Clone> Recent<K, V> {
    /// Room for values that weigh this much together.
    pub(super) fn new(most: usize) -> Self {
        Self { held: BTreeMap::new(), used: BTreeMap::new(), uses: 0, weight: 0, most }
    }

    /// A value, if it is still here.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let (used, _, value) = self.held.get_mut(key)?;
        self.uses += 1;
        self.used.remove(used);
        self.used.insert(self.uses, key.clone());
        *used = self.uses;
        Some(value.clone())
    }

    /// Remembers a value, unless it alone weighs too much.
    pub(super) fn put(&mut self, key: K, weight: usize, value: V) {
        self.remove(&key);
        if weight > self.most {
            return;
        }
        self.uses += 1;
        self.weight += weight;
        self.used.insert(self.uses, key.clone());
        self.held.insert(key, (self.uses, weight, value));
        while self.weight > self.most
            && let Some((_, oldest)) = self.used.first_key_value()
        {
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some((used, weight, _)) = self.held.remove(key) {
            self.used.remove(&used);
            self.weight -= weight;
        }
    }
}
