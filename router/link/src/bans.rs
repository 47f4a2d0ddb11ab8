//! Whom to turn away, and for how long.

use crate::Offence;
use allium_wire::RouterHash;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Routers and addresses that are turned away, each until its ban runs out.
///
/// Addresses count by whole IPv4 address and by IPv6 /64, which one host commands. Loopback addresses, which
/// many share, are never banned. Both tables hold at most `limit` entries; those that end soonest go first.
#[derive(Debug)]
pub struct Bans {
    routers: Table<RouterHash>,
    addresses: Table<IpAddr>,
}

impl Bans {
    /// No bans yet; at most `limit` routers and as many addresses (at least one).
    pub fn new(limit: usize) -> Self {
        Self { routers: Table::new(limit), addresses: Table::new(limit) }
    }

    /// Notes an offence of a router; true where it is banned now.
    pub fn router_offended(&mut self, router: RouterHash, now: Instant, offence: Offence) -> bool {
        self.routers.strike(router, now, offence)
    }

    /// Notes an offence from an address; true where it is banned now.
    pub fn address_offended(&mut self, address: IpAddr, now: Instant, offence: Offence) -> bool {
        let address = block(address);
        !address.is_loopback() && self.addresses.strike(address, now, offence)
    }

    /// Bans a router for as long as given, say because the user asked for it.
    pub fn ban_router(&mut self, router: RouterHash, now: Instant, time: Duration) {
        self.routers.ban(router, now, time);
    }

    /// Until when this router is banned, if it is.
    pub fn router(&self, router: &RouterHash, now: Instant) -> Option<Instant> {
        self.routers.until(router, now)
    }

    /// Until when this address is banned, if it is.
    pub fn address(&self, address: IpAddr, now: Instant) -> Option<Instant> {
        self.addresses.until(&block(address), now)
    }

    /// Lifts the ban of a router and forgets its strikes.
    pub fn pardon(&mut self, router: &RouterHash) {
        self.routers.entries.remove(router);
    }

    /// Routers and addresses that are remembered, banned or not yet.
    pub fn len(&self) -> (usize, usize) {
        (self.routers.entries.len(), self.addresses.entries.len())
    }

    /// Whether nobody is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

/// What one host commands: an IPv4 address, or the first half of an IPv6 address.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

/// Longer bans than this are as good as this: bans are forgotten with the process.
const BAN_MAX: Duration = Duration::from_hours(365 * 24);

#[derive(Debug)]
struct Table<K> {
    entries: BTreeMap<K, Entry>,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    offence: Offence,
    strikes: u32,
    banned: bool,
    ends: Instant,
}

impl<K: Ord + Copy> Table<K> {
    fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), limit: limit.max(1) }
    }

    fn until(&self, key: &K, now: Instant) -> Option<Instant> {
        self.entries.get(key).filter(|entry| entry.banned && entry.ends > now).map(|entry| entry.ends)
    }

    fn strike(&mut self, key: K, now: Instant, offence: Offence) -> bool {
        let mut entry = match self.entries.get(&key).copied().filter(|entry| entry.ends > now) {
            Some(old) => Entry { offence: old.offence.max(offence), strikes: old.strikes + 1, ..old },
            None => Entry { offence, strikes: 1, banned: false, ends: now },
        };
        entry.banned |= entry.strikes >= entry.offence.strikes();
        let time = if entry.banned { entry.offence.sentence() } else { Offence::MEMORY };
        entry.ends = entry.ends.max(now + time);
        self.insert(key, now, entry);
        entry.banned
    }

    fn ban(&mut self, key: K, now: Instant, time: Duration) {
        let offence = Offence::Protocol;
        self.insert(
            key,
            now,
            Entry { offence, strikes: offence.strikes(), banned: true, ends: now + time.min(BAN_MAX) },
        );
    }

    fn insert(&mut self, key: K, now: Instant, entry: Entry) {
        if self.entries.len() >= self.limit && !self.entries.contains_key(&key) {
            self.entries.retain(|_, entry| entry.ends > now);
            let mut ends: Vec<Instant> = self.entries.values().map(|entry| entry.ends).collect();
            ends.sort_unstable();
            let surplus = (ends.len() + 1).saturating_sub(self.limit);
            if surplus > 0
                && let Some(cut) = ends.get((ends.len() / 8).max(surplus) - 1).copied()
            {
                self.entries.retain(|_, entry| entry.ends > cut);
            }
        }
        self.entries.insert(key, entry);
    }
}

#[cfg(test)]
mod tests;
