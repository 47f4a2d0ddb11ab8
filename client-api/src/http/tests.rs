use allium_wire::DestHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::*;
use crate::router::Router;
use crate::testing::{config, connection, router_with_echo};

mod bodies;
mod failures;

/// A proxy, and a site that tests play by hand.
struct World {
    router: Router,
    proxy: Arc<HttpProxy>,
    site: LocalDestination,
    echo: DestHash,
}

fn world() -> World {
    let (router, echo, destination) = router_with_echo();
    let site = router.destination(config("site")).unwrap();
    let names = Arc::new(Names::new(None));
    names.remember("name.i2p", site.hash());
    let proxy = Arc::new(HttpProxy::new(destination, names, Tasks::default(), Some(Rng::from_seed([1; 32]))));
    World { router, proxy, site, echo }
}

impl World {
    fn client(&self) -> DuplexStream {
        let (ours, theirs) = connection(256 * 1024);
        tokio::spawn(Arc::clone(&self.proxy).serve(theirs));
        ours
    }

    /// A client that has sent `request`.
    async fn ask(&self, request: &str) -> DuplexStream {
        let mut client = self.client();
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    /// Everything the proxy says to `request` until it closes.
    async fn page(&self, request: &str) -> String {
        let mut page = String::new();
        self.ask(request).await.read_to_string(&mut page).await.unwrap();
        page
    }

    async fn accept(&self) -> Stream {
        self.site.accept().await.unwrap()
    }
}

/// The head of a message, up to and including the empty line.
async fn head(from: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A head and `length` bytes of body.
async fn message(from: &mut (impl AsyncReadExt + Unpin), length: usize) -> (String, String) {
    let head = head(from).await;
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

const GET: &str = "GET http://name.i2p/page?q=1 HTTP/1.1\r\nHost: name.i2p\r\nUser-Agent: Me/1\r\n\
                   Accept-Language: de\r\nProxy-Connection: keep-alive\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_request_is_one_write_and_says_nothing_about_the_browser() {
    let world = world();
    let mut client = world.ask(GET).await;
    let mut stream = world.accept().await;
    let asked = head(&mut stream).await;
    assert_eq!(asked, "GET /page?q=1 HTTP/1.1\r\nHost: name.i2p\r\nUser-Agent: MYOB/6.66 (AN+XXX1)\r\n\r\n");
    assert_eq!(world.router.writes(), [asked.len()]);
    assert_eq!(stream.port(), 80);
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nX-A: b\r\n\r\nhello")
        .await
        .unwrap();
    let (head, body) = message(&mut client, 5).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("x-a: b\r\n"), "{head}");
    assert!(!head.contains("connection"), "{head}");
    assert_eq!(body, "hello");
}

#[tokio::test(start_paused = true)]
async fn ports_hosts_and_paths_are_passed_on() {
    let world = world();
    let _client = world.ask("GET http://user:pw@NAME.i2p:8080 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut stream = world.accept().await;
    assert_eq!(stream.port(), 8080);
    assert!(head(&mut stream).await.starts_with("GET / HTTP/1.1\r\nHost: name.i2p:8080\r\n"));
    let b32 = world.site.hash().b32();
    let _client = world.ask(&format!("GET http://{b32}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let mut stream = world.accept().await;
    assert!(head(&mut stream).await.contains(&format!("Host: {b32}\r\n")));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_kept_while_both_sides_want_it() {
    let world = world();
    let mut client = world.ask(GET).await;
    let mut stream = world.accept().await;
    for round in 0..3 {
        head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        assert_eq!(message(&mut client, 2).await.1, "ok", "round {round}");
        client.write_all(GET.as_bytes()).await.unwrap();
    }
    head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend").await.unwrap();
    drop(stream);
    assert_eq!(message(&mut client, 3).await.1, "end");
    client.write_all(GET.as_bytes()).await.unwrap();
    let mut second = world.accept().await;
    head(&mut second).await;
    second.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 204"));
    client
        .write_all(GET.replace("name.i2p/", &format!("{}/", world.site.hash().b32())).as_bytes())
        .await
        .unwrap();
    world.accept().await;
}

#[tokio::test(start_paused = true)]
async fn a_kept_stream_that_breaks_is_replaced_for_safe_requests() {
    let world = world();
    let mut client = world.ask(GET).await;
    let mut stream = world.accept().await;
    head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    message(&mut client, 2).await;
    client.write_all(GET.as_bytes()).await.unwrap();
    head(&mut stream).await;
    stream.reset();
    let mut second = world.accept().await;
    head(&mut second).await;
    second.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(message(&mut client, 2).await.1, "ok");
    client
        .write_all(b"POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        .await
        .unwrap();
    message(&mut second, 1).await;
    second.reset();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 502"), "a POST is not repeated");
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let world = world();
    let mut client = world.ask(&GET.repeat(3)).await;
    let mut stream = world.accept().await;
    for n in ["1", "2", "3"] {
        head(&mut stream).await;
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{n}").as_bytes())
            .await
            .unwrap();
    }
    for n in ["1", "2", "3"] {
        assert_eq!(message(&mut client, 1).await.1, n);
    }
}

#[tokio::test(start_paused = true)]
async fn connect_gives_a_stream() {
    let world = world();
    let b32 = world.echo.b32();
    let mut client =
        world.ask(&format!("CONNECT {b32}:6667 HTTP/1.1\r\nHost: {b32}:6667\r\n\r\nearly")).await;
    let (head, early) = message(&mut client, 5).await;
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("content-length"), "{head}");
    assert_eq!(early, "early");
    client.write_all(b"late").await.unwrap();
    client.shutdown().await.unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "late");
    assert_eq!(world.router.writes(), [5, 4]);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_a_pipe() {
    let world = world();
    let ask = "GET http://name.i2p/ws HTTP/1.1\r\nHost: name.i2p\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Key: x\r\n\r\n";
    let mut client = world.ask(ask).await;
    let mut stream = world.accept().await;
    let asked = head(&mut stream).await;
    assert!(asked.contains("Connection: Upgrade\r\n") && asked.contains("Upgrade: websocket\r\n"), "{asked}");
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: y\r\n\r\nfirst";
    stream.write_all(answer.as_bytes()).await.unwrap();
    let (switched, first) = message(&mut client, 5).await;
    assert!(switched.starts_with("HTTP/1.1 101") && switched.contains("upgrade: websocket"), "{switched}");
    assert_eq!(first, "first");
    client.write_all(b"frame").await.unwrap();
    let mut frame = [0; 5];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"frame");
    drop(stream);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_the_site_declines_is_an_ordinary_response() {
    let world = world();
    let ask = "GET http://name.i2p/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let mut client = world.ask(ask).await;
    let mut stream = world.accept().await;
    head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
    assert_eq!(message(&mut client, 2).await.1, "no");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_frees_the_stream() {
    let world = world();
    let client = world.ask(GET).await;
    let mut stream = world.accept().await;
    head(&mut stream).await;
    drop(client);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn stopping_closes_unused_connections_and_lets_answers_end() {
    let world = world();
    let mut idle = world.client();
    let mut busy = world.ask(GET).await;
    let mut stream = world.accept().await;
    head(&mut stream).await;
    world.proxy.tasks.stop().cancel();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(message(&mut busy, 2).await.1, "ok");
    assert_eq!(busy.read(&mut [0; 1]).await.unwrap(), 0);
    let start = Instant::now();
    world.proxy.tasks.ended().await;
    assert!(start.elapsed() <= GRACE);
}

#[tokio::test(start_paused = true)]
async fn address_helpers_name_destinations() {
    let world = world();
    let b32 = world.site.hash().b32();
    let ask = format!("GET http://new.i2p/p?a=1&i2paddresshelper={b32} HTTP/1.1\r\nHost: new.i2p\r\n\r\n");
    let _client = world.ask(&ask).await;
    let asked = head(&mut world.accept().await).await;
    assert!(asked.starts_with("GET /p?a=1 HTTP/1.1\r\nHost: new.i2p\r\n"), "{asked}");

    let other = DestHash([9; 32]).b32();
    let conflict = world.page(&ask.replace(&b32, &other)).await;
    assert!(conflict.starts_with("HTTP/1.1 409") && conflict.contains(&b32) && conflict.contains(&other));
    let link = conflict.split("href=\"").nth(2).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let moved = world.page(&format!("GET {link} HTTP/1.1\r\nHost: new.i2p\r\n\r\n")).await;
    assert!(
        moved.starts_with("HTTP/1.1 303") && moved.contains("location: http://new.i2p/p?a=1\r\n"),
        "{moved}"
    );
    let gone = world.page("GET http://new.i2p/ HTTP/1.1\r\nHost: new.i2p\r\n\r\n").await;
    assert!(gone.starts_with("HTTP/1.1 503"), "it leads to the other now: {gone}");
}
