//! Sizes and times that several parts share.

use std::time::Duration;

/// No LeaseSet of any kind is longer, bytes.
pub(crate) const MAX_LEASE_SET: usize = 8192;
/// How far ahead of our clock a publication date may be.
pub(crate) const MAX_FUTURE: Duration = Duration::from_mins(2);
/// A lease ends at most this far ahead.
pub(crate) const MAX_LEASE: Duration = Duration::from_mins(16);
/// A RouterInfo published longer ago is neither flooded nor accepted by a floodfill of a large network.
pub(crate) const MAX_FLOOD_AGE: Duration = Duration::from_hours(1);
/// A RouterInfo published longer ago is never accepted.
pub(crate) const MAX_STORE_AGE: Duration = Duration::from_hours(72);
/// I2NP messages of this crate are valid this long.
pub(crate) const MESSAGE_LIFE: Duration = Duration::from_secs(15);
/// Hashes in an answer to a failed lookup.
pub(crate) const ANSWER_FLOODFILLS: usize = 3;
/// Hashes in an answer to an exploration.
pub(crate) const ANSWER_EXPLORATION: usize = 8;
/// Hashes of a search reply that are looked at.
pub(crate) const READ_PEERS: usize = 16;
/// Floodfills that a store is flooded to, for today's key.
pub(crate) const FLOOD_TODAY: usize = 3;
/// Floodfills that a store is flooded to as well shortly before midnight, for tomorrow's key.
pub(crate) const FLOOD_TOMORROW: usize = 2;
