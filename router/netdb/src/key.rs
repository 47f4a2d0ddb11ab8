//! Routing keys and the XOR metric.
//!
//! An item is kept by the floodfills whose router hashes are closest to its *routing key*, which changes at
//! midnight UTC: SHA-256 of the item's hash followed by the date as eight ASCII digits. Router hashes are not
//! transformed. <https://geti2p.net/en/docs/how/network-database#kad>

use std::time::Duration;

use allium_crypto::hash::sha256_of;
use allium_wire::{Date, RouterHash, RoutingKey};

/// How far two keys are apart: their XOR, compared as a big-endian number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Distance(pub [u8; 32]);

/// Where an item with this hash is kept on the (UTC) day of `date`.
pub fn routing_key(hash: &[u8; 32], date: Date) -> RoutingKey {
    RoutingKey(sha256_of(&[hash, &date.yyyymmdd()]))
}

/// Where an item with this hash is kept on the day after `date`.
pub fn tomorrows_key(hash: &[u8; 32], date: Date) -> RoutingKey {
    routing_key(hash, date + Duration::from_hours(24))
}

/// The distance between two keys.
pub fn distance(a: &[u8; 32], b: &[u8; 32]) -> Distance {
    let mut out = [0; 32];
    for (out, (a, b)) in out.iter_mut().zip(a.iter().zip(b)) {
        *out = a ^ b;
    }
    Distance(out)
}

/// The `count` routers closest to the key, the closest first.
pub fn closest(
    key: &RoutingKey,
    routers: impl IntoIterator<Item = RouterHash>,
    count: usize,
) -> Vec<RouterHash> {
    if count > 64 {
        let mut all: Vec<_> =
            routers.into_iter().map(|router| (distance(&key.0, &router.0), router)).collect();
        all.sort_unstable();
        all.truncate(count);
        return all.into_iter().map(|(_, router)| router).collect();
    }
    let mut best: Vec<(Distance, RouterHash)> = Vec::with_capacity(count + 1);
    for router in routers {
        let at = distance(&key.0, &router.0);
        if best.len() >= count && best.last().is_none_or(|last| last.0 <= at) {
            continue;
        }
        let place = best.partition_point(|(other, _)| *other <= at);
        best.insert(place, (at, router));
        best.truncate(count);
    }
    best.into_iter().map(|(_, router)| router).collect()
}

#[cfg(test)]
mod tests;
