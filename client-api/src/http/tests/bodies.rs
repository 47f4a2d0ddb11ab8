//! Bodies, in both directions and every framing.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_small_body_travels_with_its_head() {
    let world = world();
    let mut client =
        world.ask("POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").await;
    let mut stream = world.accept().await;
    let (asked, body) = message(&mut stream, 5).await;
    assert!(asked.contains("Content-Length: 5\r\n"), "{asked}");
    assert_eq!(body, "hello");
    assert_eq!(world.router.writes(), [asked.len() + 5]);
    stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 201"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_follows_its_head_closely_travels_with_it() {
    let world = world();
    let mut client =
        world.ask("POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    client.write_all(b"hello").await.unwrap();
    let (asked, body) = message(&mut world.accept().await, 5).await;
    assert_eq!((body.as_str(), world.router.writes()), ("hello", vec![asked.len() + 5]));
}

#[tokio::test(start_paused = true)]
async fn a_late_body_does_not_hold_up_its_head() {
    let world = world();
    let mut client =
        world.ask("POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n").await;
    let mut stream = world.accept().await;
    head(&mut stream).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    client.write_all(b"hello").await.unwrap();
    let mut body = [0; 5];
    stream.read_exact(&mut body).await.unwrap();
    assert_eq!(&body, b"hello");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_the_word_gets_it() {
    let world = world();
    let ask =
        "POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    let mut client = world.ask(ask).await;
    assert!(head(&mut client).await.starts_with("HTTP/1.1 100"));
    client.write_all(b"hello").await.unwrap();
    let (asked, body) = message(&mut world.accept().await, 5).await;
    assert!(!asked.to_ascii_lowercase().contains("expect"), "{asked}");
    assert_eq!(body, "hello");
}

#[tokio::test(start_paused = true)]
async fn chunks_pass_both_ways() {
    let world = world();
    let ask = "POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
               3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
    let mut client = world.ask(ask).await;
    let mut stream = world.accept().await;
    let asked = head(&mut stream).await;
    assert!(asked.to_ascii_lowercase().contains("transfer-encoding: chunked\r\n"), "{asked}");
    let mut sent = String::new();
    while !sent.ends_with("0\r\n\r\n") {
        sent.push(char::from(stream.read_u8().await.unwrap()));
    }
    assert!(sent.contains("abc") && sent.contains("de"), "{sent}");
    stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
    let answered = head(&mut client).await;
    assert!(answered.contains("transfer-encoding: chunked\r\n"), "{answered}");
    for piece in ["one", "two"] {
        stream.write_all(format!("3\r\n{piece}\r\n").as_bytes()).await.unwrap();
        let mut chunk = [0; 8];
        client.read_exact(&mut chunk).await.unwrap();
        assert_eq!(chunk, format!("3\r\n{piece}\r\n").as_bytes(), "each piece is forwarded at once");
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut end = [0; 5];
    client.read_exact(&mut end).await.unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

#[tokio::test(start_paused = true)]
async fn a_body_may_end_with_the_stream() {
    let world = world();
    let mut client = world.ask(&GET.replace("HTTP/1.1", "HTTP/1.0")).await;
    let mut stream = world.accept().await;
    assert!(head(&mut stream).await.starts_with("GET /page?q=1 HTTP/1.1\r\n"));
    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nall there is").await.unwrap();
    drop(stream);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nall there is"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn head_and_not_modified_have_no_body() {
    let world = world();
    let mut client = world.ask(&GET.replace("GET", "HEAD")).await;
    let mut stream = world.accept().await;
    assert!(head(&mut stream).await.starts_with("HEAD "));
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n").await.unwrap();
    let answered = head(&mut client).await;
    assert!(answered.contains("content-length: 12345\r\n"), "{answered}");
    client.write_all(GET.as_bytes()).await.unwrap();
    head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n").await.unwrap();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 304"));
    client.write_all(GET.as_bytes()).await.unwrap();
    head(&mut stream).await;
}

#[tokio::test(start_paused = true)]
async fn big_bodies_are_streamed_and_held_back() {
    const SIZE: usize = 8 << 20;
    let world = world();
    let ask = format!("POST http://name.i2p/ HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n");
    let client = world.ask(&ask).await;
    let (mut read, mut write) = tokio::io::split(client);
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let upload = tokio::spawn(async move {
        let piece: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
        for _ in 0..SIZE / piece.len() {
            write.write_all(&piece).await.unwrap();
            counter.fetch_add(piece.len(), std::sync::atomic::Ordering::Relaxed);
        }
        write
    });
    let mut stream = world.accept().await;
    head(&mut stream).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = sent.load(std::sync::atomic::Ordering::Relaxed);
    assert!(held < 2 << 20, "{held} bytes were taken for a site that reads nothing");
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n").as_bytes()).await.unwrap();
    let site = tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(stream);
        tokio::io::copy(&mut (&mut from).take(SIZE as u64), &mut to).await.unwrap();
    });
    head(&mut read).await;
    let mut body = vec![0; SIZE];
    read.read_exact(&mut body).await.unwrap();
    assert!(body.iter().enumerate().all(|(n, byte)| *byte == n as u8));
    let _open = upload.await.unwrap();
    site.await.unwrap();
}
