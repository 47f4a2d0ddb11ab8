use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::program::{PATIENCE, allium, collect, signal};

/// Fetches a page through a proxy, as curl does.
async fn curl(proxy: &str, url: &str) -> String {
    let mut stream = TcpStream::connect(proxy.strip_prefix("http://").unwrap()).await.unwrap();
    let host = url.strip_prefix("http://").unwrap().trim_end_matches('/');
    let request = format!(
        "GET {url} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut page)).await.expect("the page comes").unwrap();
    page
}

#[tokio::test]
async fn the_line_it_prints_gives_the_page() {
    let home = tempfile::tempdir().unwrap();
    let network = home.path().join("network");
    let mut child = allium(home.path(), &["devnet", "--routers", "5", "--dir", network.to_str().unwrap()])
        .spawn()
        .unwrap();
    let log = collect(child.stderr.take().unwrap());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let command = timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("a line with curl");
            if line.starts_with("curl ") {
                return line;
            }
        }
    });
    let command = command.await.expect("the network works in time");
    let words: Vec<&str> = command.split(' ').collect();
    let [_, "-x", proxy, url] = words[..] else { panic!("{command:?} can't be pasted") };
    let page = curl(proxy, url).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, include_str!("../../src/devnet/page.html"));
    let unknown = curl(proxy, &format!("http://{}.b32.i2p/", "a".repeat(52))).await;
    assert!(unknown.starts_with("HTTP/1.1 5"), "{unknown}");

    signal(child.id().unwrap(), "TERM").await;
    let ended = timeout(Duration::from_secs(20), child.wait()).await.expect("it ends").unwrap();
    assert!(ended.success(), "{}", log.await.unwrap());
    assert!(network.join("router-4/router.keys").exists(), "a folder that was asked for is kept");
}
