use allium_wire::DestHash;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use super::*;
use crate::testing::{connection, router_with_echo};

struct Proxy {
    socks: Arc<Socks>,
    router: crate::router::Router,
    echo: DestHash,
}

fn proxy() -> Proxy {
    let (router, echo, destination) = router_with_echo();
    let socks = Arc::new(Socks::new(destination, Arc::new(Names::new(None)), Tasks::default()));
    Proxy { socks, router, echo }
}

impl Proxy {
    fn client(&self) -> DuplexStream {
        let (ours, theirs) = connection(64 * 1024);
        tokio::spawn(Arc::clone(&self.socks).serve(theirs));
        ours
    }

    /// The reply code to a SOCKS 5 request for `host`.
    async fn ask(&self, host: &str) -> u8 {
        let mut client = self.client();
        client.write_all(&[5, 1, 0]).await.unwrap();
        client.write_all(&request(host)).await.unwrap();
        let mut reply = [0; 12];
        client.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply[..2], [5, 0]);
        reply[3]
    }
}

fn request(host: &str) -> Vec<u8> {
    [&[5, 1, 0, 3, host.len() as u8], host.as_bytes(), &[0, 80]].concat()
}

#[tokio::test(start_paused = true)]
async fn a_whole_conversation() {
    let proxy = proxy();
    let mut client = proxy.client();
    client.write_all(&[5, 1, 0]).await.unwrap();
    let mut method = [0; 2];
    client.read_exact(&mut method).await.unwrap();
    client.write_all(&request(&proxy.echo.b32())).await.unwrap();
    let mut reply = [0; 10];
    client.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply[1], 0);
    client.write_all(b"hello").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "hello");
}

#[tokio::test(start_paused = true)]
async fn early_data_leaves_in_one_write() {
    let proxy = proxy();
    let mut client = proxy.client();
    let all = [&[5, 1, 0][..], &request(&proxy.echo.b32()), b"early data"].concat();
    client.write_all(&all).await.unwrap();
    let mut answer = [0; 12 + 10];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[12..], b"early data");
    assert_eq!(proxy.router.writes(), [10]);
}

#[tokio::test(start_paused = true)]
async fn socks_4a_works_too() {
    let proxy = proxy();
    let mut client = proxy.client();
    let all = [&[4, 1, 0, 80, 0, 0, 0, 1, 0][..], proxy.echo.b32().as_bytes(), b"\0ping"].concat();
    client.write_all(&all).await.unwrap();
    let mut answer = [0; 8 + 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, &[0, 0x5a, 0, 0, 0, 0, 0, 0, b'p', b'i', b'n', b'g']);
}

#[tokio::test(start_paused = true)]
async fn replies_say_what_is_the_matter() {
    let proxy = proxy();
    for host in ["example.org", "127.0.0.1", "localhost", "-.i2p"] {
        assert_eq!(proxy.ask(host).await, 2, "{host}");
    }
    assert_eq!(proxy.ask("unknown.i2p").await, 4);
    assert_eq!(proxy.ask(&DestHash([99; 32]).b32()).await, 4);
    assert_eq!(proxy.ask(&format!("{}.b32.i2p", "a".repeat(56))).await, 8);
    let failures = [
        (ConnectError::NoTunnels("starting".into()), 3),
        (ConnectError::LeaseSetNotFound, 4),
        (ConnectError::Expired, 4),
        (ConnectError::Refused, 5),
        (ConnectError::TimedOut, 6),
        (ConnectError::Incompatible("old keys".into()), 1),
        (ConnectError::Closed, 1),
    ];
    for (error, code) in failures {
        let hash = DestHash([100 + code; 32]);
        proxy.router.fail(hash, error.clone());
        assert_eq!(proxy.ask(&hash.b32()).await, code, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn silent_and_dripping_clients_are_dropped() {
    let proxy = proxy();
    let start = Instant::now();
    let mut client = proxy.client();
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), PATIENCE.as_secs());

    let start = Instant::now();
    let mut client = proxy.client();
    for byte in request(&proxy.echo.b32()) {
        tokio::time::sleep(Duration::from_secs(3)).await;
        if client.write_all(&[byte]).await.is_err() {
            break;
        }
    }
    assert!(start.elapsed() <= PATIENCE + Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn other_protocols_are_closed() {
    let proxy = proxy();
    let mut client = proxy.client();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_breaks_the_connection() {
    let proxy = proxy();
    let rude = proxy.router.destination(crate::testing::config("rude")).unwrap();
    let mut client = proxy.client();
    client.write_all(&[&[5, 1, 0][..], &request(&rude.hash().b32())].concat()).await.unwrap();
    let mut stream = rude.accept().await.unwrap();
    assert_eq!((stream.port(), stream.peer()), (80, proxy.socks.destination.hash()));
    stream.reset();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 12, "the greeting's and the request's answers, and no more");
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_connections() {
    let proxy = proxy();
    let mut client = proxy.client();
    client.write_all(&[&[5, 1, 0][..], &request(&proxy.echo.b32())].concat()).await.unwrap();
    client.read_exact(&mut [0; 12]).await.unwrap();
    proxy.socks.tasks.stop().cancel();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}
