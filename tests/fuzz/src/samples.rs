//! Valid bytes to begin with, and the fuzzer's way to change them.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_crypto::x25519::StaticSecret;
use allium_wire::{
    Date, DestinationKeys, Lease, LeaseSet2, Mapping, Now, RouterAddress, RouterHash, RouterInfo, RouterKeys,
    TunnelId,
};

/// When all of this happens.
pub(crate) const DATE: Date = Date(1_793_491_200_000);
/// The network's id.
pub(crate) const NET: u8 = 77;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The present, so many milliseconds after the start.
pub(crate) fn after(millis: u64) -> Now {
    let later = Duration::from_millis(millis);
    Now { instant: *START + later, date: DATE + later }
}

/// Always the same randomness.
pub(crate) fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

/// A router that publishes an address.
pub(crate) struct Peer {
    pub(crate) keys: RouterKeys,
    pub(crate) static_key: StaticSecret,
    pub(crate) iv: [u8; 16],
    pub(crate) info: RouterInfo,
}

impl Peer {
    fn new(seed: u8) -> Self {
        let mut rng = rng(seed);
        let keys = RouterKeys::generate(&mut rng);
        let static_key = StaticSecret::generate(&mut rng);
        let iv = rng.array();
        let at = ([127, seed, 0, 1], 4567).into();
        let address = RouterAddress::make_ntcp2(&static_key.public(), Some((at, iv)), "");
        let options = [("caps", "XfR"), ("netId", "77"), ("router.version", "0.9.68")];
        let info = RouterInfo::sign(&keys, DATE, vec![address], options.into_iter().collect::<Mapping>());
        Self { keys, static_key, iv, info }
    }

    pub(crate) fn hash(&self) -> RouterHash {
        self.keys.hash()
    }
}

/// Two routers.
pub(crate) static ALICE: LazyLock<Peer> = LazyLock::new(|| Peer::new(1));
/// See [`ALICE`].
pub(crate) static BOB: LazyLock<Peer> = LazyLock::new(|| Peer::new(2));
/// A destination.
pub(crate) static SITE: LazyLock<DestinationKeys> = LazyLock::new(|| DestinationKeys::generate(&mut rng(3)));
/// Its ratchet key.
pub(crate) static RATCHET: LazyLock<StaticSecret> = LazyLock::new(|| StaticSecret::generate(&mut rng(4)));
/// Its LeaseSet.
pub(crate) static LEASE_SET: LazyLock<LeaseSet2> = LazyLock::new(|| {
    let lease =
        |n: u32| Lease { gateway: BOB.hash(), tunnel: TunnelId(n), expires: DATE + Duration::from_secs(500) };
    LeaseSet2::sign(&SITE, &RATCHET.public(), DATE, &[lease(1), lease(2)])
});

/// The fuzzer's bytes: as they are, or as changes to a sample, four bytes each.
pub(crate) fn edited(sample: &[u8], data: &[u8]) -> Vec<u8> {
    let Some((how, rest)) = data.split_first() else { return sample.to_vec() };
    if how % 4 == 0 {
        return rest.to_vec();
    }
    let mut bytes = sample.to_vec();
    for edit in rest.chunks_exact(4) {
        let [what, high, low, value] = [edit[0], edit[1], edit[2], edit[3]];
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        match what % 6 {
            0 | 1 if at < bytes.len() => bytes[at] = value,
            2 if at < bytes.len() => bytes[at] ^= 1 << (value % 8),
            3 => bytes.truncate(at),
            4 => bytes.insert(at, value),
            _ if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.push(value),
        }
    }
    bytes
}

/// Splits the fuzzer's bytes into pieces, each with its length before it.
pub(crate) fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)) % 1500;
        let (piece, rest) = rest.split_at(length.min(rest.len()));
        data = rest;
        Some(piece)
    })
    .take(24)
}
