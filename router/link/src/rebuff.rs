//! How to turn away a stranger who may be probing for routers.

use allium_crypto::Rng;
use std::time::Duration;

/// What to do with a connection whose handshake failed: say nothing, read on until this many more bytes have
/// come or this much time has passed, then reset it.
///
/// A fixed answer would let anyone who sends noise recognise a router by how it hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebuff {
    /// Bytes to read and drop.
    pub read_bytes: usize,
    /// Time after which to close in any case.
    pub delay: Duration,
}

impl Rebuff {
    /// A fresh draw; each connection needs its own.
    pub fn new(rng: &mut Rng) -> Self {
        Self { read_bytes: rng.range(64..2048) as usize, delay: Duration::from_millis(rng.range(700..9_000)) }
    }
}

#[cfg(test)]
mod tests;
