use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::{Service, Tunnel};
use crate::testing::{MemoryNet, router_with_echo, send_back};

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn service(text: &str) -> Service {
    toml::from_str(text).unwrap()
}

async fn start(
    router: &router::Router,
    net: &MemoryNet,
    config: &ClientConfig,
    folder: &Path,
) -> Result<ClientApi, StartError> {
    let store = router::Store::open(folder).unwrap();
    let machine = Machine { net: Arc::new(net.clone()), store: Some(store), rng: Rng::from_seed([1; 32]) };
    ClientApi::start(router, config, machine, CancellationToken::new()).await
}

#[tokio::test]
async fn everything_starts_works_and_stops() {
    let (router, echo, _) = router_with_echo();
    let (net, folder) = (MemoryNet::default(), tempfile::tempdir().unwrap());
    let tunnel = format!("name='t'\nlisten='127.0.0.1:6668'\ndestination='{}:7'\n", echo.b32());
    let config = ClientConfig {
        services: vec![service("name='web'\ntarget='127.0.0.1:8080'\nkeys='web.dat'")],
        tunnels: vec![toml::from_str::<Tunnel>(&tunnel).unwrap()],
        ..ClientConfig::default()
    };
    let stop = CancellationToken::new();
    let store = router::Store::open(folder.path()).unwrap();
    let machine = Machine { net: Arc::new(net.clone()), store: Some(store), rng: Rng::from_seed([1; 32]) };
    let api = ClientApi::start(&router, &config, machine, stop.clone()).await.unwrap();

    let made = router.made();
    let names: Vec<_> = made.iter().map(|(name, _, publish)| (name.as_str(), *publish)).collect();
    assert_eq!(names[2..], [("client", false), ("web", true)], "the proxies and the tunnel share one");

    let mut program = router::Net::listen(&net, at(8080)).await.unwrap();
    tokio::spawn(async move {
        while let Ok(connection) = program.accept().await {
            tokio::spawn(send_back(connection));
        }
    });
    let mut client = net.dial(at(4447)).await.unwrap();
    let web = made[3].1.b32();
    let ask = [&[4, 1, 0, 80, 0, 0, 0, 1, 0][..], web.as_bytes(), b"\0ping"].concat();
    client.write_all(&ask).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[8..], b"ping");

    let mut browser = net.dial(at(4444)).await.unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut page = String::new();
    browser.read_to_string(&mut page).await.unwrap();
    assert!(page.contains("HTTP proxy for I2P"));

    stop.cancel();
    api.stopped().await;
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(net.dial(at(4444)).await.is_err());
}

#[tokio::test]
async fn a_service_keeps_its_address() {
    let (net, folder) = (MemoryNet::default(), tempfile::tempdir().unwrap());
    let off = ClientConfig {
        http_proxy: config::HttpProxy { enabled: false, ..Default::default() },
        socks: config::Socks { enabled: false, ..Default::default() },
        services: vec![service("name='web'\ntarget='127.0.0.1:8080'\nkeys='keys/web.dat'")],
        ..ClientConfig::default()
    };
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let router = router::Router::default();
        start(&router, &net, &off, folder.path()).await.unwrap();
        hashes.push(router.made());
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0].len(), 1);
    let file = folder.path().join("keys/web.dat");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    std::fs::write(&file, b"something else").unwrap();
    let error = start(&router::Router::default(), &net, &off, folder.path()).await.err().unwrap();
    assert!(matches!(error, StartError::Keys { .. }), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"something else", "never replaced");
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_which() {
    let (net, folder) = (MemoryNet::default(), tempfile::tempdir().unwrap());
    let _taken = router::Net::listen(&net, at(4447)).await.unwrap();
    let router = router::Router::default();
    let error = start(&router, &net, &ClientConfig::default(), folder.path()).await.err().unwrap();
    assert!(error.to_string().starts_with("socks proxy can't listen at 127.0.0.1:4447"), "{error}");
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert!(net.dial(at(4444)).await.is_err(), "nothing is left running");
}
