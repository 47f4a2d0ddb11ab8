use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::ChildStdout;
use tokio::time::timeout;

use crate::program::{PATIENCE, allium, collect, finish, signal, text};

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

/// The next line with this in it.
async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, part: &str) -> String {
    let line = timeout(PATIENCE, async {
        loop {
            let line = lines.next_line().await.unwrap().expect("a further line");
            if line.contains(part) {
                return line;
            }
        }
    });
    line.await.expect("the line comes in time")
}

/// Publishes at one router, and reads at another: a document that an owner updates, and its next edition.
async fn publish_and_update(home: &Path, network: &Path, sample: &str) {
    let at = |router: usize| network.join(format!("router-{router}")).to_str().unwrap().to_owned();
    let run = async |router: usize, words: &[&str]| {
        let done = finish(home, &[&["--data-dir", &at(router)], words].concat()).await;
        assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
        text(&done.stdout)
    };
    run(1, &["content", "keygen", "me.key"]).await;
    let mut keys = Vec::new();
    for edition in ["first", "second"] {
        std::fs::write(home.join("news.txt"), edition).unwrap();
        let said = run(1, &["put", "--usk", "me.key", "--name", "news", "news.txt"]).await;
        keys.push(said.split_whitespace().next_back().unwrap().to_owned());
    }
    let newest = keys[0].replace("/news/0", "/news/-0");
    assert_ne!(newest, keys[0], "{keys:?}");
    run(2, &["get", &newest, "-o", "newest"]).await;
    run(2, &["get", &keys[0], "-o", "oldest"]).await;
    assert_eq!(std::fs::read_to_string(home.join("newest")).unwrap(), "second");
    assert_eq!(std::fs::read_to_string(home.join("oldest")).unwrap(), "first");
    run(3, &["content", "pin", sample]).await;
    let status = run(3, &["content", "status"]).await;
    assert!(status.contains(sample.trim_start_matches("allium:")), "{status}");
    let refused = finish(home, &["--data-dir", &at(2), "get", &keys[0], "-o", "oldest"]).await;
    assert_eq!(refused.status.code(), Some(1), "nothing is overwritten");
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
    let command = line_with(&mut lines, "curl ").await;
    let words: Vec<&str> = command.split(' ').collect();
    let [_, "-x", proxy, url] = words[..] else { panic!("{command:?} can't be pasted") };
    let page = curl(proxy, url).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, include_str!("../../src/devnet/page.html"));
    let unknown = curl(proxy, &format!("http://{}.b32.i2p/", "a".repeat(52))).await;
    assert!(unknown.starts_with("HTTP/1.1 5"), "{unknown}");

    let get = line_with(&mut lines, " get allium:").await;
    let words: Vec<&str> = get.split(' ').skip(1).chain(["-o", "copy"]).collect();
    let got = finish(home.path(), &words).await;
    assert!(got.status.success(), "{}", text(&got.stderr));
    let index = std::fs::read_to_string(home.path().join("copy/index.html")).unwrap();
    assert_eq!(index, include_str!("../../src/devnet/site/index.html"));
    let uri = get.split(' ').next_back().unwrap();
    publish_and_update(home.path(), &network, uri).await;

    signal(child.id().unwrap(), "TERM").await;
    let ended = timeout(Duration::from_secs(20), child.wait()).await.expect("it ends").unwrap();
    assert!(ended.success(), "{}", log.await.unwrap());
    assert!(network.join("router-4/router.keys").exists(), "a folder that was asked for is kept");
}
