//! A program of its own on allium's router: a destination that answers datagrams.
//!
//! ```text
//! cargo run --example datagram-echo -- FOLDER ADDRESS:PORT NETWORK HOPS
//! ```
//!
//! What comes is sent back: the same kind, the ports swapped. A raw datagram names in its first 32 bytes the hash of the
//! destination that is to have the answer. FOLDER keeps the router, and the destination's keys in `web.dat`; the router
//! listens at ADDRESS:PORT and is part of the private network with the number NETWORK.

use std::path::Path;
use std::sync::Arc;

use allium_crypto::Rng;
use allium_router::net::Tcp;
use allium_router::{
    Clock, Config, Datagram, DatagramKind, DestinationConfig, Length, PoolConfig, Ports, Quantity, Router,
    Start, Store, Target,
};
use allium_wire::{DestHash, DestinationKeys};
use anyhow::Context;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

const KEYS: &str = "web.dat";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("ALLIUM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(false).init();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, at, network, hops] = words.as_slice() else {
        anyhow::bail!("usage: datagram-echo FOLDER ADDRESS:PORT NETWORK HOPS");
    };
    let at = at.parse().context("ADDRESS:PORT")?;
    let hops = Length(hops.parse().context("HOPS")?);
    let mut config = Config::default();
    config.network.id = network.parse().context("NETWORK")?;
    config.network.allow_local = true;
    config.reseed.urls = Some(Vec::new());
    config.ntcp2.bind = vec![at];
    config.ntcp2.publish = vec![at];
    let mut seed = [0; 32];
    #[expect(clippy::disallowed_methods, reason = "a program of its own")]
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))?;
    let mut rng = Rng::from_seed(seed);
    let store = Store::open(Path::new(folder))?;
    let keys = keys(&store, &mut rng)?;
    let start = Start { config, store: Some(store), net: Arc::new(Tcp), clock: Clock::system(), rng };
    let router = Router::start(start).await?;
    let pool = PoolConfig { length: hops, quantity: Quantity(2) };
    let destination = router.destination(DestinationConfig {
        name: "echo".to_owned(),
        keys: Some(keys),
        inbound: pool,
        outbound: pool,
        publish: true,
    })?;
    info!("answers datagrams at {}", destination.hash().b32());
    let datagrams = destination.datagrams(None, None)?;
    while let Some(datagram) = datagrams.recv().await {
        let Datagram { kind, ports, payload, .. } = &datagram;
        let ports = Ports { from: ports.to, to: ports.from };
        let to = whom(&datagram);
        info!("{} bytes, {kind:?}, {ports:?}, from {to:?}", payload.len());
        let Some(to) = to else { continue };
        if let Err(error) = datagrams.try_send(&to, *kind, ports, payload) {
            warn!("no answer to {}: {error}", to.hash().b32());
        }
    }
    Ok(())
}

/// Who is to have the answer.
fn whom(datagram: &Datagram) -> Option<Target> {
    match datagram.kind {
        DatagramKind::Raw(_) => datagram.payload.first_chunk().map(|hash| Target::Hash(DestHash(*hash))),
        _ => datagram.from.clone(),
    }
}

fn keys(store: &Store, rng: &mut Rng) -> anyhow::Result<DestinationKeys> {
    if let Some(file) = store.read(KEYS, 4096)? {
        return Ok(DestinationKeys::decode(&file)?);
    }
    let keys = DestinationKeys::generate(rng);
    store.write_secret(KEYS, &keys.encode())?;
    Ok(keys)
}
