use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::program::{Home, free_port, until};

/// So many bytes that look random, different for each `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(step).collect()
}

/// Connects from the `n`-th address of this machine: one that misbehaved may be refused for a while.
async fn dial(n: u64, to: SocketAddr) -> std::io::Result<TcpStream> {
    let from = Ipv4Addr::new(127, 1, (n / 200) as u8, (1 + n % 200) as u8);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(to).await
}

/// Sends bytes, and gives what came back before the other end closed.
async fn send(n: u64, to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut stream) = dial(n, to).await else { return answer };
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    answer
}

/// Stands between routers, and notes what the one that dials says.
async fn eavesdrop(listener: TcpListener, to: SocketAddr, heard: Arc<Mutex<Vec<u8>>>) {
    while let Ok((client, _)) = listener.accept().await {
        let heard = heard.clone();
        tokio::spawn(async move {
            let server = TcpStream::connect(to).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                heard.lock().unwrap().extend_from_slice(&buffer[..n]);
                let _ = to_server.write_all(&buffer[..n]).await;
            }
        });
    }
}

#[tokio::test]
async fn a_port_for_routers_bears_anything() {
    let home = Home::new("").await;
    let ear = TcpListener::bind("127.0.0.1:0").await.unwrap();
    home.configure(&format!("publish = \"{}\"", ear.local_addr().unwrap()), "");
    let router = home.start().await;
    // A true peer, through somebody who listens.
    let heard = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(eavesdrop(ear, home.ntcp2, heard.clone()));
    let seeds = home.path().join("seeds");
    std::fs::create_dir(&seeds).unwrap();
    std::fs::copy(home.data().join("router.info"), seeds.join("routerInfo-it.dat")).unwrap();
    let other = Home::new(&format!("[reseed]\nurls = []\nfile = \"{}\"\n", seeds.display())).await;
    let peer = other.start().await;
    until("the peer is connected", async || router.status().await["peers"].as_u64() > Some(0)).await;
    peer.stop().await;
    until("the peer is gone", async || router.status().await["peers"] == 0).await;
    let recorded = heard.lock().unwrap().clone();
    assert!(recorded.len() > 64);

    let before = router.memory();
    // A whole session once more, and its beginning.
    for (n, length) in [recorded.len(), 64, 63].into_iter().enumerate() {
        let answer = send(2000 + n as u64, home.ntcp2, &recorded[..length]).await;
        assert!(answer.is_empty(), "a replay is not answered");
    }
    // Held open, a byte each: more than one address may have at once.
    let mut held = Vec::new();
    for n in 0..100 {
        if let Ok(mut stream) = dial(3000, home.ntcp2).await {
            let _ = stream.write_all(&[n]).await;
            held.push(stream);
        }
    }
    // Noise of all lengths, much of it at once.
    let mut tasks = Vec::new();
    for n in 0..1000u64 {
        let (at, bytes) = (home.ntcp2, noise(n, (n * n % 5000) as usize));
        tasks.push(tokio::spawn(async move { drop(send(n / 3, at, &bytes).await) }));
        if tasks.len() == 100 {
            for task in tasks.drain(..) {
                task.await.unwrap();
            }
        }
    }
    assert_eq!(router.status().await["network"], 77, "it answers still");
    assert!(router.status().await["counters"]["handshakes_refused"].as_u64() > Some(500));
    let grown = router.memory().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes more");
    drop(held);
    let (ended, log) = router.stop().await;
    assert!(ended.success() && !log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn a_proxy_bears_rude_clients() {
    let (http, socks) = (free_port().await, free_port().await);
    let [http, socks] = [http, socks].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listen = format!("[http_proxy]\nlisten = \"{http}\"\n[socks]\nlisten = \"{socks}\"\n");
    let home = Home::new(&listen).await;
    let router = home.start().await;
    let before = router.memory();
    let mut silent = Vec::new();
    for port in [http, socks] {
        for _ in 0..200 {
            silent.push(TcpStream::connect(port).await.unwrap());
        }
    }
    let huge = [b"GET http://a.i2p/ HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 4 << 20]].concat();
    let answer = String::from_utf8_lossy(&send(0, http, &huge).await).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let many =
        [b"GET http://a.i2p/ HTTP/1.1\r\n".to_vec(), b"A: b\r\n".repeat(100_000), b"\r\n".to_vec()].concat();
    let answer = String::from_utf8_lossy(&send(0, http, &many).await).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    for n in 0..200 {
        for port in [http, socks] {
            let _ = send(0, port, &noise(n, 300)).await;
        }
    }
    // A polite client stays until it has its answer.
    let mut polite = TcpStream::connect(http).await.unwrap();
    let request = b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    polite.write_all(request).await.unwrap();
    let mut clear = Vec::new();
    let _ = timeout(Duration::from_secs(30), polite.read_to_end(&mut clear)).await;
    assert!(clear.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&clear));
    let grown = router.memory().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes more");
    drop(silent);
    let (ended, log) = router.stop().await;
    assert!(ended.success() && !log.contains("panicked"), "{log}");
}
