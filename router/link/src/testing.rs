//! What the tests of several modules need.

use allium_crypto::Rng;
use allium_crypto::x25519::{PublicKey, StaticSecret};
use allium_wire::{Date, Now, RouterAddress, RouterInfo, RouterKeys};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Some instant, the same for the whole test run.
#[expect(clippy::disallowed_methods, reason = "an Instant cannot be had otherwise")]
pub(crate) fn instant() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// 2026-11-20, and so many milliseconds.
pub(crate) fn now(millis: u64) -> Now {
    Now { instant: instant() + Duration::from_millis(millis), date: Date(1_795_132_800_000 + millis) }
}

/// A router with its keys.
pub(crate) struct Peer {
    pub(crate) keys: RouterKeys,
    pub(crate) local: crate::ntcp2::Local,
}

impl Peer {
    pub(crate) fn new(seed: u8) -> Self {
        let mut rng = Rng::from_seed([seed; 32]);
        let keys = RouterKeys::generate(&mut rng);
        let hash = keys.hash();
        let static_key = StaticSecret::generate(&mut rng);
        Self { local: crate::ntcp2::Local { hash, static_key, iv: rng.array(), net_id: 2 }, keys }
    }

    /// What another router knows of this one.
    pub(crate) fn known(&self) -> crate::ntcp2::PeerKeys {
        crate::ntcp2::PeerKeys {
            hash: self.local.hash,
            static_key: self.local.static_key.public(),
            iv: self.local.iv,
        }
    }

    /// Its RouterInfo, published at that date.
    pub(crate) fn info(&self, published: Date) -> RouterInfo {
        self.info_with(published, "2", &self.local.static_key.public())
    }

    pub(crate) fn info_with(&self, published: Date, net_id: &str, static_key: &PublicKey) -> RouterInfo {
        let address = RouterAddress::make_ntcp2(static_key, None, "4");
        let options = [("caps", "LU"), ("netId", net_id), ("router.version", "0.9.68")];
        RouterInfo::sign(&self.keys, published, vec![address], options.into_iter().collect())
    }
}
