//! What goes wrong, and what the client is told.

use super::*;

#[tokio::test(start_paused = true)]
async fn pages_say_why() {
    let world = world();
    let nobody = DestHash([77; 32]);
    let late = DestHash([78; 32]);
    world.router.fail(late, ConnectError::TimedOut);
    let cases = [
        ("http://example.org/", "403", "clear net"),
        ("http://127.0.0.1:7657/", "403", "clear net"),
        ("http://[::1]/", "403", "clear net"),
        ("http://unknown.i2p/", "502", "hosts.txt"),
        ("http://a--b.i2p/", "400", "xn--"),
        ("https://name.i2p/", "400", "CONNECT"),
        ("ftp://name.i2p/", "400", "CONNECT"),
        ("http://proxy.i2p/", "400", "It works"),
        ("/", "400", "It works"),
        ("/<script>", "400", ""),
        ("*", "400", ""),
        (&format!("http://{}/", nobody.b32()), "503", "LeaseSet"),
        (&format!("http://{}/", late.b32()), "504", "in time"),
        (&format!("http://{}.b32.i2p/", "a".repeat(56)), "501", "encrypted"),
    ];
    for (target, status, text) in cases {
        let page = world.page(&format!("GET {target} HTTP/1.1\r\nHost: name.i2p\r\n\r\n")).await;
        assert!(page.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {page}");
        assert!(page.contains(text), "{target}: {page}");
    }
    let refused = world.page("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    assert!(refused.contains("\r\nproxy-connection: close\r\n"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_the_first_byte_is_a_bad_gateway() {
    let world = world();
    for case in 0..3 {
        let mut client = world.ask(GET).await;
        let mut stream = world.accept().await;
        head(&mut stream).await;
        let text = match case {
            0 => {
                stream.reset();
                "broke off"
            }
            1 => {
                drop(stream);
                "closed the connection"
            }
            _ => {
                stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
                "not HTTP"
            }
        };
        let mut page = String::new();
        client.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 502 ") && page.contains(text), "{case}: {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_that_never_answers_is_a_timeout() {
    let world = world();
    let start = Instant::now();
    let mut client = world.ask(GET).await;
    let mut stream = world.accept().await;
    head(&mut stream).await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 504 "));
    assert_eq!(start.elapsed().as_secs(), 180);
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "and its stream is closed");
}

#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_in_the_middle_is_not_made_whole() {
    let world = world();
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut client = world.ask(GET).await;
        let mut stream = world.accept().await;
        head(&mut stream).await;
        let half = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello\r\n");
        stream.write_all(half.as_bytes()).await.unwrap();
        head(&mut client).await;
        stream.reset();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert!(!rest.ends_with("0\r\n\r\n") && rest.len() < 100, "{framing}: {rest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn endless_headers_are_refused() {
    let world = world();
    let mut client = world.ask("GET http://name.i2p/ HTTP/1.1\r\nX-Long: ").await;
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0usize;
    while sent < 1 << 30 && client.write_all(&piece).await.is_ok() {
        sent += piece.len();
        tokio::task::yield_now().await;
    }
    assert!(sent < 2 << 20, "{sent} bytes were read");
    assert!(head(&mut client).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET http://name.i2p/ HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(500));
    assert!(world.page(&many).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test(start_paused = true)]
async fn endless_headers_of_a_site_are_an_error() {
    let world = world();
    let mut client = world.ask(GET).await;
    let mut stream = world.accept().await;
    head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ").await.unwrap();
    while stream.write_all(&vec![b'x'; 16 * 1024]).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(head(&mut client).await.starts_with("HTTP/1.1 502 "));
}

#[tokio::test(start_paused = true)]
async fn slow_clients_time_out() {
    let world = world();
    let start = Instant::now();
    let mut client = world.client();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(start.elapsed(), HEAD);

    let start = Instant::now();
    let mut client = world.ask("GET http://name").await;
    while client.write_all(b"x").await.is_ok() && start.elapsed() < 3 * HEAD {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(start.elapsed() <= HEAD + Duration::from_secs(5));

    let mut client =
        world.ask("POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf").await;
    let mut stream = world.accept().await;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert!(all.ends_with(b"half"), "and then the stream was given up");
    let mut page = String::new();
    let _ = client.read_to_string(&mut page).await;
}

#[tokio::test(start_paused = true)]
async fn malformed_requests_are_bad_requests() {
    let world = world();
    for request in [
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
        "GET http://name.i2p/ HTTP/1.1\r\nbad header\r\n\r\n",
        "POST http://name.i2p/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST http://name.i2p/ HTTP/1.1\r\nContent-Length: x\r\n\r\nab",
        "GET http://name.i2p:99999/ HTTP/1.1\r\n\r\n",
        "GET http://name.i2p:/ HTTP/1.1\r\n\r\n",
    ] {
        let page = world.page(request).await;
        assert!(page.starts_with("HTTP/1.1 400 "), "{request:?}: {page}");
    }
}
