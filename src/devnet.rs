//! `allium devnet`: a private network in one process, with a sample hidden site and a sample folder under a key.

mod sample;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use allium_client_api::config::{HttpProxy, Socks};
use allium_client_api::{ClientApi, ClientConfig, Machine};
use allium_content::uri::Uri;
use allium_router::net::Tcp;
use allium_router::{Clock, Config, Router, Start, Store};
use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The network's id.
const NETWORK: u8 = 99;
/// What is known to be free is taken where it can be.
const HTTP: u16 = 4444;
const SOCKS: u16 = 4447;
const GATEWAY: u16 = 8888;
const PAGE: &str = include_str!("devnet/page.html");
/// How long the first page may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the network until it is told to stop.
pub(crate) fn run(routers: usize, dir: Option<PathBuf>) -> anyhow::Result<()> {
    crate::run::log("warn");
    let temporary = dir.is_none();
    let dir = match dir {
        Some(dir) => dir,
        None => std::env::temp_dir().join(format!("allium-devnet-{}", std::process::id())),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(network(routers, &dir));
    runtime.shutdown_background();
    if temporary {
        let _ = std::fs::remove_dir_all(&dir);
    }
    result
}

/// A port of this machine's that is free now: `wanted`, or another.
async fn free_port(wanted: u16) -> anyhow::Result<u16> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = match TcpListener::bind(at(wanted)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind(at(0)).await?,
    };
    Ok(listener.local_addr()?.port())
}

#[expect(clippy::print_stdout, reason = "what the network offers is for the person who started it")]
async fn network(routers: usize, dir: &Path) -> anyhow::Result<()> {
    println!("starting {routers} routers in {}", dir.display());
    let stop = CancellationToken::new();
    let site = sample_site(stop.clone()).await?;
    let (http, socks, gateway) = (free_port(HTTP).await?, free_port(SOCKS).await?, free_port(GATEWAY).await?);
    let mut running = Vec::new();
    for index in 0..routers {
        running.push(start(index, dir).await?);
    }
    let infos: Vec<_> = running.iter().map(|(router, _)| router.info()).collect();
    for (router, _) in &running {
        let others = infos.iter().filter(|info| info.hash() != router.hash()).cloned().collect();
        router.learn(others).await;
    }
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let proxies = Ports { http: at(http), socks: at(socks), gateway: at(gateway) };
    let apis = start_apis(&running, site, &proxies, &stop).await?;
    let (Some((_, first_store)), Some((_, last_store))) = (running.first(), running.last()) else {
        bail!("a network needs routers");
    };
    let address = address(last_store, "sample.dat")?;
    println!("hidden site   http://{address}/");
    println!("http proxy    127.0.0.1:{http}");
    println!("socks proxy   127.0.0.1:{socks}");
    println!("gateway       http://localhost:{gateway}/");
    println!("waiting for the first page through the tunnels ...");
    tokio::select! {
        biased;
        told = crate::run::told_to_stop() => return told,
        first = first_page(at(http), &address) => first?,
    }
    println!("it works; paste this:");
    println!("curl -x http://127.0.0.1:{http} http://{address}/");
    let _ = std::io::Write::flush(&mut std::io::stdout());
    tokio::select! {
        biased;
        told = crate::run::told_to_stop() => return told,
        sample = sample(&apis) => match sample {
            Ok(uri) => {
                println!("and a folder under a key, from the store of these routers:");
                println!("{} --data-dir {} get {uri}", program(), first_store.dir().display());
                println!("http://localhost:{gateway}/{}", uri.bare());
            }
            Err(error) => tracing::warn!("the store does not work: {error:#}"),
        }
    }
    let _ = std::io::Write::flush(&mut std::io::stdout());
    crate::run::told_to_stop().await?;
    println!("stopping");
    stop.cancel();
    for (router, _) in &running {
        router.stop().await;
    }
    for api in &apis {
        api.stopped().await;
    }
    Ok(())
}

/// Where the first router's proxies listen.
struct Ports {
    http: SocketAddr,
    socks: SocketAddr,
    gateway: SocketAddr,
}

/// Starts what each router offers: all have a store, the first one the proxies too, the last one the site.
async fn start_apis(
    running: &[(Router, Store)],
    site: SocketAddr,
    ports: &Ports,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<ClientApi>> {
    let mut rng = crate::run::system_rng()?;
    let mut configs = Vec::new();
    for (index, (_, store)) in running.iter().enumerate() {
        let mut config = quiet();
        config.content = Some(sample::section(Vec::new()));
        if index == 0 {
            config.http_proxy = HttpProxy { enabled: true, listen: ports.http, ..HttpProxy::default() };
            config.socks = Socks { enabled: true, listen: ports.socks };
        }
        if index + 1 == running.len() {
            let service = format!("name = \"sample\"\ntarget = \"{site}\"\nkeys = \"sample.dat\"");
            config.services.push(toml::from_str(&service).context("the sample service")?);
        }
        allium_client_api::make_keys(&config, store, &mut rng)?;
        configs.push(config);
    }
    let nodes = running.iter().take(3).map(|(_, store)| sample::node(store));
    let nodes = nodes.collect::<anyhow::Result<Vec<_>>>()?;
    let mut apis = Vec::new();
    for (index, ((router, store), mut config)) in running.iter().zip(configs).enumerate() {
        let mut section = sample::section(nodes.clone());
        section.gateway = (index == 0).then_some(ports.gateway);
        config.content = Some(section);
        let machine = Machine { net: Arc::new(Tcp), store: Some(store.clone()), rng: rng.fork() };
        apis.push(ClientApi::start(router, &config, machine, stop.clone()).await?);
    }
    Ok(apis)
}

/// Publishes the sample folder from the last router, and reads it at the first.
async fn sample(apis: &[ClientApi]) -> anyhow::Result<Uri> {
    let contents: Vec<_> = apis.iter().filter_map(ClientApi::content).collect();
    let (Some(reader), Some(publisher)) = (contents.first(), contents.last()) else {
        bail!("the routers have no store");
    };
    sample::publish(publisher, reader).await
}

/// This program, as it can be called again.
fn program() -> String {
    let path = std::env::current_exe().ok();
    path.map_or_else(|| "allium".to_owned(), |path| path.display().to_string())
}

/// A configuration without proxies and services.
fn quiet() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.http_proxy.enabled = false;
    config.socks.enabled = false;
    config
}

async fn start(index: usize, dir: &Path) -> anyhow::Result<(Router, Store)> {
    let store = Store::open(&dir.join(format!("router-{index}")))?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port(0).await?));
    let mut config = Config::default();
    config.network.id = NETWORK;
    config.network.allow_local = true;
    config.network.floodfill = index < 3;
    config.reseed.urls = Some(Vec::new());
    config.ntcp2.bind = vec![at];
    config.ntcp2.publish = vec![at];
    let rng = crate::run::system_rng()?;
    let start = Start { config, store: Some(store.clone()), net: Arc::new(Tcp), clock: Clock::system(), rng };
    Ok((Router::start(start).await?, store))
}

/// The address of the destination whose keys are in this file.
fn address(store: &Store, file: &str) -> anyhow::Result<String> {
    let keys = store.read(file, 64 << 10)?.with_context(|| format!("{file} is not there"))?;
    Ok(allium_wire::DestinationKeys::decode(&keys)?.destination().dest_hash().b32())
}

/// A web server with one page; gives its address.
async fn sample_site(stop: CancellationToken) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let at = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            if let Ok((stream, _)) = accepted {
                tokio::spawn(serve_page(stream));
            }
        }
    });
    Ok(at)
}

async fn serve_page(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let n = stream.read(&mut buffer).await?;
        if n == 0 || head.len() > 64 << 10 {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..n]);
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PAGE}",
        PAGE.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Fetches the page through the proxy until it comes.
async fn first_page(proxy: SocketAddr, address: &str) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let tried = tokio::time::timeout(Duration::from_secs(20), fetch(proxy, address)).await;
        if matches!(tried, Ok(Ok(true))) {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            bail!("no page came within {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn fetch(proxy: SocketAddr, address: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(proxy).await?;
    let request = format!("GET http://{address}/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(PAGE.as_bytes()))
}
