//! Measures the store in a private network of one process: how fast a file is put, and got at another node.
//!
//! ```text
//! cargo run --release -p allium-client-api --example store_speed -- [ROUTERS [MEGABYTES [TUNNELS]]]
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use allium_client_api::config::{ByteSize, Content as Section, Destination};
use allium_client_api::content::{Content, OpenOptions, Opened, PutOptions, Source, Upload};
use allium_client_api::{ClientApi, ClientConfig, Machine};
use allium_crypto::Rng;
use allium_router::net::Tcp;
use allium_router::{Clock, Config, Quantity, Router, Start, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

async fn free_port() -> Outcome<SocketAddr> {
    Ok(tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?)
}

async fn start(index: u8, dir: &Path) -> Outcome<(Router, Store)> {
    let store = Store::open(&dir.join(format!("router-{index}")))?;
    let at = free_port().await?;
    let mut config = Config::default();
    config.network.id = 99;
    config.network.allow_local = true;
    config.network.floodfill = index < 3;
    config.reseed.urls = Some(Vec::new());
    config.ntcp2.bind = vec![at];
    config.ntcp2.publish = vec![at];
    let rng = Rng::from_seed([index; 32]);
    let start = Start { config, store: Some(store.clone()), net: Arc::new(Tcp), clock: Clock::system(), rng };
    Ok((Router::start(start).await?, store))
}

async fn content(
    (router, store): &(Router, Store),
    (index, tunnels): (u8, u8),
    first: Option<&str>,
    stop: &CancellationToken,
) -> Outcome<ClientApi> {
    let bootstrap = first.map(|first| Destination::try_from(first.to_owned())).transpose()?;
    let section = Section {
        enabled: true,
        quota: ByteSize(1 << 30),
        bootstrap: bootstrap.into_iter().collect(),
        gateway: None,
        inbound_quantity: Quantity(tunnels),
        outbound_quantity: Quantity(tunnels),
        ..Section::default()
    };
    let mut config = ClientConfig { content: Some(section), ..ClientConfig::default() };
    (config.http_proxy.enabled, config.socks.enabled) = (false, false);
    let rng = Rng::from_seed([index + 100; 32]);
    let machine = Machine { net: Arc::new(Tcp), store: Some(store.clone()), rng };
    Ok(ClientApi::start(router, &config, machine, stop.clone()).await?)
}

async fn ready(content: &Content, peers: usize) {
    loop {
        let status = content.status().await.store;
        if status.ready && status.peers >= peers {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
fn say(what: &str, bytes: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what:<14} {bytes} bytes in {seconds:.1} s: {:.2} MB/s", bytes as f64 / 1e6 / seconds);
}

async fn get(content: &Content, uri: allium_content::uri::Uri, bytes: u64) -> Outcome<()> {
    let begun = Instant::now();
    let Opened::File(file) = content.open(uri, OpenOptions::default()).end().await? else {
        return Err("a folder".into());
    };
    let mut reading = content.read(&file, 0..file.length);
    let mut length = 0;
    while let Some(piece) = reading.next().await {
        length += piece?.len() as u64;
    }
    say("get", length, begun);
    if length == bytes { Ok(()) } else { Err("not all of it came".into()) }
}

#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn measure(routers: u8, bytes: u64, tunnels: u8, dir: &Path) -> Outcome<()> {
    let stop = CancellationToken::new();
    let mut running = Vec::new();
    for index in 0..routers {
        running.push(start(index, dir).await?);
    }
    let infos: Vec<_> = running.iter().map(|(router, _)| router.info()).collect();
    for (router, _) in &running {
        router.learn(infos.iter().filter(|info| info.hash() != router.hash()).cloned().collect()).await;
    }
    let (mut apis, mut first): (Vec<ClientApi>, Option<String>) = (Vec::new(), None);
    for (index, router) in (0..).zip(&running) {
        let api = content(router, (index, tunnels), first.as_deref(), &stop).await?;
        if let (None, Some(content)) = (&first, api.content()) {
            first = Some(content.status().await.store.address);
        }
        apis.push(api);
    }
    let services: Vec<_> = apis.iter().filter_map(ClientApi::content).collect();
    let begun = Instant::now();
    for service in &services {
        ready(service, usize::from(routers) / 2).await;
    }
    println!("ready after {:.1} s", begun.elapsed().as_secs_f64());
    let (Some(publisher), Some(reader)) = (services.first(), services.last()) else { return Ok(()) };
    let mut data = vec![0; bytes as usize];
    Rng::from_seed([7; 32]).fill(&mut data);
    let begun = Instant::now();
    let upload = Upload::File(Source::Bytes(data.into()));
    let published = publisher.put(upload, PutOptions::default()).end().await?;
    say("put", bytes, begun);
    for (name, count) in publisher.status().await.store.counters {
        print!("{name}={count} ");
    }
    println!();
    for _ in 0..2 {
        get(reader, published.uri.clone(), bytes).await?;
    }
    for (name, count) in reader.status().await.store.counters {
        print!("{name}={count} ");
    }
    println!();
    stop.cancel();
    for (router, _) in &running {
        router.stop().await;
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let mut numbers = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let routers = numbers.next().transpose()?.unwrap_or(20);
    let megabytes = numbers.next().transpose()?.unwrap_or(100);
    let tunnels = numbers.next().transpose()?.unwrap_or(4);
    let dir = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = measure(routers.try_into()?, megabytes * 1_000_000, tunnels.try_into()?, dir.path());
    let outcome = runtime.block_on(measured);
    runtime.shutdown_background();
    outcome
}
