//! Who this router is: its keys, kept in the data folder, and what it tells the network of itself.

use std::net::SocketAddr;

use allium_crypto::Rng;
use allium_crypto::x25519::StaticSecret;
use allium_crypto::zeroize::Zeroizing;
use allium_wire::{Capabilities, Date, Mapping, RouterAddress, RouterInfo, RouterKeys};

use crate::StartError;
use crate::config::Config;
use crate::shared::Shared;
use crate::store::Store;

/// The protocols' level that this router keeps to.
const VERSION: &str = "0.9.68";
const KEYS_FILE: &str = "router.keys";
const NTCP2_FILE: &str = "ntcp2.keys";
const PORT_FILE: &str = "port";
pub(crate) const INFO_FILE: &str = "router.info";

/// A router's long-term secrets.
pub(crate) struct Identity {
    pub(crate) keys: RouterKeys,
    pub(crate) ntcp2_key: StaticSecret,
    pub(crate) ntcp2_iv: [u8; 16],
    /// The port of a router that was not told one.
    pub(crate) port: u16,
}

impl Identity {
    /// Reads the keys, or makes them at the first start. Without a folder they live as long as the router.
    pub(crate) fn load(store: Option<&Store>, rng: &mut Rng) -> Result<Self, StartError> {
        let read = |file: &[u8]| RouterKeys::decode(file).ok();
        let keys = load(store, KEYS_FILE, rng, RouterKeys::generate, RouterKeys::encode, read)?;
        let make = |rng: &mut Rng| (StaticSecret::generate(rng), rng.array::<16>());
        // The layout that i2pd gives this file: public key, private key, IV.
        let encode = |(key, iv): &(StaticSecret, [u8; 16])| {
            let mut out = Zeroizing::new(Vec::with_capacity(80));
            out.extend_from_slice(key.public().as_bytes());
            out.extend_from_slice(&*key.to_bytes());
            out.extend_from_slice(iv);
            out
        };
        let decode = |file: &[u8]| {
            let (public, rest) = file.split_first_chunk::<32>()?;
            let (secret, rest) = rest.split_first_chunk::<32>()?;
            let key = StaticSecret::from_bytes(*secret);
            (key.public().as_bytes() == public).then_some((key, rest.try_into().ok()?))
        };
        let (ntcp2_key, ntcp2_iv) = load(store, NTCP2_FILE, rng, make, encode, decode)?;
        let make = |rng: &mut Rng| rng.range(9151..30_778) as u16;
        let encode = |port: &u16| Zeroizing::new(format!("{port}\n").into_bytes());
        let decode = |file: &[u8]| std::str::from_utf8(file).ok()?.trim().parse().ok();
        let port = load(store, PORT_FILE, rng, make, encode, decode)?;
        Ok(Self { keys, ntcp2_key, ntcp2_iv, port })
    }
}

/// Reads a file of keys, or makes keys and writes them.
fn load<T>(
    store: Option<&Store>,
    name: &'static str,
    rng: &mut Rng,
    make: impl FnOnce(&mut Rng) -> T,
    encode: impl FnOnce(&T) -> Zeroizing<Vec<u8>>,
    decode: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, StartError> {
    let Some(store) = store else { return Ok(make(rng)) };
    if let Some(file) = store.read(name, 4096)?.map(Zeroizing::new) {
        return decode(&file).ok_or_else(|| StartError::Keys(store.path(name)));
    }
    let made = make(rng);
    store.write_secret(name, &encode(&made))?;
    Ok(made)
}

/// The addresses that others may dial.
pub(crate) fn published(config: &Config) -> Vec<SocketAddr> {
    if config.ntcp2.enabled { config.ntcp2.publish.clone() } else { Vec::new() }
}

/// Signs a RouterInfo of this router as it is now.
pub(crate) fn router_info(shared: &Shared, date: Date) -> RouterInfo {
    let network = &shared.config.network;
    let local = &shared.links.local;
    let key = local.static_key.public();
    let mut addresses: Vec<RouterAddress> = shared
        .published
        .iter()
        .map(|at| RouterAddress::make_ntcp2(&key, Some((*at, local.iv)), ""))
        .collect();
    if addresses.is_empty() && shared.config.ntcp2.enabled {
        addresses.push(RouterAddress::make_ntcp2(&key, None, "4"));
    }
    let reachable = !shared.published.is_empty();
    let caps = Capabilities {
        bandwidth: network.bandwidth.map_or('X', crate::config::Bandwidth::letter),
        reachable,
        unreachable: !reachable,
        hidden: false,
        floodfill: network.floodfill && reachable,
        congestion: (!network.transit).then_some('G'),
    };
    let options: Mapping = [
        ("caps", caps.to_string()),
        ("netId", network.id.to_string()),
        ("router.version", VERSION.to_owned()),
    ]
    .into_iter()
    .collect();
    RouterInfo::sign(&shared.keys, date, addresses, options)
}
