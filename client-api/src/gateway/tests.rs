use std::collections::BTreeMap;

use allium_content::block::{Block, Key};
use allium_router::BoxFuture;
use allium_store::Why;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::content::{Blocks, Placed, StoreStatus};
use crate::testing::connection;

mod content;
mod parts;
mod publish;

/// A store in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<Key, Block>>);

impl Blocks for Memory {
    fn get(&self, key: Key, _newest: bool) -> BoxFuture<'_, Result<Block, Why>> {
        let found = self.0.lock().unwrap().get(&key).cloned().ok_or(Why::Absent);
        Box::pin(async { found })
    }

    fn put(&self, block: Block) -> BoxFuture<'_, Result<Placed, Why>> {
        self.0.lock().unwrap().insert(block.key(), block);
        Box::pin(async { Ok(Placed { holders: 2 }) })
    }

    fn count(&self, key: Key) -> BoxFuture<'_, Result<usize, Why>> {
        let count = self.0.lock().unwrap().contains_key(&key).into();
        Box::pin(async move { Ok(count) })
    }

    fn pin(&self, _keys: Vec<Key>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn unpin(&self, _keys: Vec<Key>) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn here(&self, keys: Vec<Key>) -> BoxFuture<'_, Vec<bool>> {
        let here = keys.iter().map(|key| self.0.lock().unwrap().contains_key(key)).collect();
        Box::pin(async { here })
    }

    fn status(&self) -> BoxFuture<'_, StoreStatus> {
        Box::pin(async {
            StoreStatus { ready: true, address: "<abc>.b32.i2p".into(), ..StoreStatus::default() }
        })
    }
}

/// A gateway, and browsers that tests play by hand.
struct World {
    gateway: Arc<Gateway>,
    content: Content,
}

fn world() -> World {
    let (tasks, mut rng) = (Tasks::default(), Rng::from_seed([7; 32]));
    let content = Content::start(Arc::new(Memory::default()), None, rng.fork(), tasks.stop().clone());
    World { gateway: Arc::new(Gateway::new(content.clone(), tasks, rng)), content }
}

impl World {
    fn client(&self) -> DuplexStream {
        let (ours, theirs) = connection(256 * 1024);
        tokio::spawn(Arc::clone(&self.gateway).serve(theirs));
        ours
    }

    /// Everything the gateway says to a request, until it closes.
    async fn ask(&self, request: &[u8]) -> String {
        let mut client = self.client();
        client.write_all(request).await.unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).await.unwrap();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// The answer to a GET with these headers.
    async fn get_with(&self, path: &str, headers: &str) -> String {
        let host = if headers.contains("Host:") { "" } else { "Host: 127.0.0.1:8888\r\n" };
        let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n");
        self.ask(request.as_bytes()).await
    }

    async fn get(&self, path: &str) -> String {
        self.get_with(path, "").await
    }

    /// The answer to a form.
    async fn post(&self, path: &str, headers: &str, form: &[(&str, Option<&str>, &str)]) -> String {
        let mut body = String::new();
        for (name, file, value) in form {
            let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
            let part = format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
            body.extend([part.as_str(), value, "\r\n"]);
        }
        body += "--xyz--\r\n";
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8888\r\nConnection: close\r\n{headers}\
             Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: {length}\r\n\r\n"
        );
        self.ask((head + &body).as_bytes()).await
    }
}

/// The value of a header.
fn header<'a>(reply: &'a str, name: &str) -> Option<&'a str> {
    let head = reply.split("\r\n\r\n").next().unwrap();
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn status(reply: &str) -> u16 {
    reply.split(' ').nth(1).unwrap().parse().unwrap()
}

fn body(reply: &str) -> &str {
    reply.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn only_the_gateways_own_names_are_answered() {
    let world = world();
    for host in ["127.0.0.1:8888", "localhost:8888", "LOCALHOST", "[::1]:8888", "192.168.1.2:8888"] {
        assert_eq!(status(&world.get_with("/", &format!("Host: {host}\r\n")).await), 200, "{host}");
    }
    for host in ["evil.example:8888", "localhost.evil.example", "abc.localhost", "u@localhost", "127.0.0.1.x"]
    {
        assert_eq!(status(&world.get_with("/", &format!("Host: {host}\r\n")).await), 421, "{host}");
    }
    assert_eq!(status(&world.get_with("/", "Host: localhost\r\nHost: localhost\r\n").await), 421);
}

#[tokio::test]
async fn own_pages_are_not_on_the_origins_of_sites() {
    let world = world();
    let host = format!("Host: {}.localhost:8888\r\n", "a".repeat(52));
    let front = world.get_with("/", &host).await;
    assert_eq!((status(&front), header(&front, "location")), (307, Some("http://localhost:8888/")));
    assert_eq!(status(&world.get_with("/-/status", &host).await), 404);
    let request = format!("POST /-/publish HTTP/1.1\r\n{host}Content-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&world.ask(request.as_bytes()).await), 403);
}

#[tokio::test]
async fn own_pages_run_nothing_and_escape_what_they_show() {
    let world = world();
    let page = world.get("/-/status").await;
    assert_eq!(status(&page), 200);
    assert!(page.contains("&lt;abc&gt;.b32.i2p"), "{page}");
    let policy = header(&page, "content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("script") && !policy.contains("sandbox"));
    assert_eq!(header(&page, "cache-control"), Some("no-store"));
    assert_eq!(header(&page, "set-cookie"), None);
    // Under `no-referrer` a browser sends its forms with `Origin: null`.
    assert_eq!(header(&page, "referrer-policy"), Some("same-origin"));
}

#[tokio::test]
async fn pages_from_elsewhere_learn_nothing() {
    let world = world();
    let image = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n";
    assert_eq!(status(&world.get_with("/-/status", image).await), 403);
    assert_eq!(status(&world.get_with("/KSK@word", image).await), 403);
    let frame = "Sec-Fetch-Site: same-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n";
    assert_eq!(status(&world.get_with("/", frame).await), 403);
    let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    assert_eq!(status(&world.get_with("/", link).await), 200);
}

#[tokio::test]
async fn a_form_needs_its_token_and_its_origin() {
    let world = world();
    let token = world.gateway.token.text().to_owned();
    let file = ("file", Some("a.txt"), "text");
    for form in [&[file][..], &[("token", None, "wrong"), file], &[file, ("token", None, &token)]] {
        assert_eq!(status(&world.post("/-/publish", "", form).await), 403);
    }
    let whole = [("token", None, token.as_str()), file];
    for elsewhere in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: none\r\n",
    ] {
        assert_eq!(status(&world.post("/-/publish", elsewhere, &whole).await), 403, "{elsewhere}");
    }
    let nothing = [("token", None, token.as_str()), ("file", Some(""), "")];
    let page = world.post("/-/publish", "Origin: http://127.0.0.1:8888\r\n", &nothing).await;
    assert_eq!(status(&page), 400);
    assert!(page.contains("Choose a file"), "{page}");
}

#[tokio::test]
async fn what_is_no_key_says_why() {
    let world = world();
    let cut = world.get("/CHK@abc,def,ghi").await;
    assert_eq!(status(&cut), 400);
    assert!(cut.contains("key"), "{cut}");
    assert_eq!(status(&world.get("/favicon.ico").await), 404);
    assert_eq!(status(&world.get("/-/jobs/none").await), 404);
    assert_eq!(
        status(&world.ask(b"PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await),
        405
    );
    let go = world.get("/-/go?key=allium%3AKSK%40a+b").await;
    assert_eq!((status(&go), header(&go, "location")), (307, Some("/KSK@a%20b")));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_whole_head_is_dropped() {
    let world = world();
    let said = world.ask(b"GET / HTTP/1.1\r\nHost: loc").await;
    assert!(said.is_empty() || said.contains("408"), "{said}");
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(2 * LONGEST_HEAD));
    assert_eq!(status(&world.ask(long.as_bytes()).await), 431);
}
