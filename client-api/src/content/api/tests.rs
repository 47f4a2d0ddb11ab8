use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use allium_crypto::Rng;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{SOCKET, serve};
use crate::content::Content;

mod archives;
mod memory;

use memory::Memory;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running API.
struct Api {
    folder: TempDir,
    content: Content,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Api {
    async fn start() -> Self {
        Self::over(Memory::default()).await
    }

    async fn over(blocks: Memory) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let rng = Rng::from_seed([7; 32]);
        let content = Content::start(Arc::new(blocks), Some(folder.path().join("pins")), rng, stop.clone());
        let served = tokio::spawn(serve(folder.path().join(SOCKET), content.clone(), stop.clone()));
        let api = Self { folder, content, stop, served };
        until("it listens", async || UnixStream::connect(api.socket()).await.is_ok()).await;
        api
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    async fn client(&self) -> SendRequest<Full<Bytes>> {
        let stream = UnixStream::connect(self.socket()).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn ask(&self, method: Method, path: &str) -> Answer {
        self.send(method, path, &[], Bytes::new()).await
    }

    async fn get(&self, uri: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, &format!("/v1/get?uri={}", encoded(uri)), headers, Bytes::new()).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).unwrap();
        let mut client = self.client().await;
        let answered = async {
            let (head, body) = client.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { status: head.status, headers: head.headers, body }
        };
        timeout(PATIENCE, answered).await.expect("an answer")
    }

    /// Publishes, and gives what was done.
    async fn put(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Value {
        self.send(Method::PUT, path, headers, body.into()).await.done()
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("a header {name}")).to_str().unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn json(&self) -> Value {
        self.lines().remove(0)
    }

    fn done(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        assert_eq!(self.header("content-type"), "application/x-ndjson");
        let mut last = self.lines().pop().expect("a line");
        assert!(last["done"].is_object(), "{last}");
        last["done"].take()
    }

    /// The code of an error, wherever it stands.
    fn code(&self) -> String {
        let last = self.lines().pop().expect("a line");
        assert!(last["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{last}");
        last["error"]["code"].as_str().unwrap().to_owned()
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn uri(done: &Value) -> String {
    done["uri"].as_str().unwrap().to_owned()
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Bytes that don't repeat.
fn noise(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.into()
}

#[tokio::test]
async fn a_file_comes_back_whole_and_in_parts() {
    let api = Api::start().await;
    let bytes = noise(200_000);
    let done = api.put("/v1/file?to=CHK@/noise.txt", &[], bytes.clone()).await;
    assert_eq!(done["length"], 200_000);
    let uri = uri(&done);
    assert!(uri.starts_with("allium:CHK@") && uri.ends_with("/noise.txt"), "{uri}");

    let whole = api.get(&uri, &[]).await;
    assert_eq!((whole.status, &whole.body), (StatusCode::OK, &bytes));
    assert_eq!(whole.header("content-length"), "200000");
    assert!(whole.header("content-type").starts_with("text/plain"));
    assert_eq!(whole.header("x-allium-uri"), uri);
    let etag = whole.header("etag").to_owned();

    let part = api.get(&uri, &[("range", "bytes=40000-150000"), ("if-range", &etag)]).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.body, bytes.slice(40_000..150_001));
    assert_eq!(part.header("content-range"), "bytes 40000-150000/200000");
    let end = api.get(&uri, &[("range", "bytes=-5")]).await;
    assert_eq!(end.body, bytes.slice(199_995..));
    let other = api.get(&uri, &[("range", "bytes=5-"), ("if-range", "\"old\"")]).await;
    assert_eq!((other.status, other.body.len()), (StatusCode::OK, 200_000));
    let behind = api.get(&uri, &[("range", "bytes=200000-")]).await;
    assert_eq!(behind.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(behind.header("content-range"), "bytes */200000");
    let head = api.ask(Method::HEAD, &format!("/v1/get?uri={}", encoded(&uri))).await;
    assert_eq!((head.header("content-length"), head.body.len()), ("200000", 0));

    let opened = api.ask(Method::GET, &format!("/v1/open?uri={}", encoded(&uri))).await.json();
    assert_eq!(opened["kind"], "file");
    assert_eq!(opened["hash"], blake3::hash(&bytes).to_hex().as_str());
    assert_eq!(opened["etag"], etag);
}

#[tokio::test]
async fn options_have_effect() {
    let api = Api::start().await;
    let bytes = noise(50_000);
    let first = uri(&api.put("/v1/file?only_key=1", &[], bytes.clone()).await);
    assert_eq!(api.get(&first, &[]).await.code(), "not_found", "only the key was worked out");
    assert_eq!(uri(&api.put("/v1/file", &[], bytes.clone()).await), first, "the same bytes, the same key");
    let private = uri(&api.put("/v1/file?private=1", &[], bytes.clone()).await);
    assert_ne!(private, first);
    assert_eq!(api.get(&private, &[]).await.body, bytes);
    let typed = uri(&api.put("/v1/file?media=image/x-own", &[], bytes.clone()).await);
    assert_eq!(api.get(&typed, &[]).await.header("content-type"), "image/x-own");
    let short = api.ask(Method::GET, &format!("/v1/get?max=49999&uri={}", encoded(&first))).await;
    assert_eq!((short.status, short.code().as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
    let empty = uri(&api.put("/v1/file", &[], "").await);
    let empty = api.get(&empty, &[]).await;
    assert_eq!((empty.status, empty.body.len(), empty.header("content-length")), (StatusCode::OK, 0, "0"));
}

#[tokio::test]
async fn owners_publish_with_a_secret_that_stands_in_no_query() {
    let api = Api::start().await;
    let keys = api.ask(Method::POST, "/v1/keygen").await;
    assert_eq!(keys.header("cache-control"), "no-store");
    let keys = keys.json();
    let (insert, public) = (keys["insert"].as_str().unwrap(), keys["public"].as_str().unwrap());

    let query = format!("/v1/file?to={}", encoded(&format!("{insert}text.txt")));
    let refused = api.send(Method::PUT, &query, &[], "x".into()).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::BAD_REQUEST, "secret_in_query"));

    let ssk = format!("{insert}text.txt");
    let done = api.put("/v1/file", &[("allium-to", &ssk)], "first").await;
    assert_eq!(uri(&done), format!("{public}text.txt"));
    assert_eq!(api.get(&uri(&done), &[]).await.body, "first");

    let usk = format!("{}site/-0/", insert.replacen("SSK@", "USK@", 1));
    for edition in 0..3 {
        let done = api.put("/v1/file", &[("allium-to", &usk)], format!("edition {edition}")).await;
        assert!(uri(&done).contains(&format!("/site/{edition}/")), "{done}");
    }
    let newest = format!("{}site/-0/", public.replacen("SSK@", "USK@", 1));
    let newest = api.get(&newest, &[]).await;
    assert_eq!(newest.body, "edition 2");
    assert!(newest.header("x-allium-uri").contains("/site/2/"));

    let target = uri(&api.put("/v1/file?to=KSK@word", &[], "of a word").await);
    let redirect = format!("/v1/redirect?uri={}", encoded(&target));
    let to = format!("{insert}elsewhere");
    let named = api.send(Method::POST, &redirect, &[("allium-to", &to)], Bytes::new()).await.done();
    assert_eq!(api.get(&uri(&named), &[]).await.body, "of a word");
    assert_eq!(api.ask(Method::POST, &redirect).await.code(), "unpublishable");
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let api = Api::start().await;
    let nobody = format!("CHK@{},{},oQABAAA", "a".repeat(42) + "A", "b".repeat(42) + "A");
    let freenet = format!("CHK@{0},{0},AAMC--8", "a".repeat(43));
    for (method, path, status, code) in [
        (Method::GET, "/v1/get".to_owned(), 400, "bad_request"),
        (Method::GET, "/v1/get?uri=nonsense".to_owned(), 400, "bad_uri"),
        (Method::GET, format!("/v1/get?uri={freenet}"), 400, "bad_uri"),
        (Method::GET, format!("/v1/get?uri={nobody}"), 404, "not_found"),
        (Method::GET, format!("/v1/open?uri={nobody}"), 404, "not_found"),
        (Method::GET, "/v1/open?uri=KSK@unknown".to_owned(), 404, "not_found"),
        (Method::GET, "/v1/open?uri=%ff".to_owned(), 400, "bad_request"),
        (Method::GET, "/v1/open?uri=KSK@a&uri=KSK@b".to_owned(), 400, "bad_request"),
        (Method::GET, "/v1/open?uri=KSK@a&nwest=1".to_owned(), 400, "bad_request"),
        (Method::GET, "/v1/open?uri=KSK@a&newest=maybe".to_owned(), 400, "bad_request"),
        (Method::GET, "/v1/get?uri=KSK@a&max=many".to_owned(), 400, "bad_request"),
        (Method::PUT, "/v1/file?privat=1".to_owned(), 400, "bad_request"),
        (Method::PUT, "/v1/file?media=nonsense".to_owned(), 400, "bad_request"),
        (Method::PUT, format!("/v1/file?to={nobody}"), 400, "bad_uri"),
        (Method::POST, format!("/v1/pin?uri={nobody}"), 404, "not_found"),
        (Method::POST, "/v1/file".to_owned(), 404, "no_such_request"),
        (Method::GET, "/".to_owned(), 404, "no_such_request"),
    ] {
        let answer = api.ask(method, &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{path}: {:?}",
            answer.body
        );
    }
}

#[tokio::test]
async fn content_is_pinned_healed_and_counted() {
    let api = Api::start().await;
    let uri = uri(&api.put("/v1/file?pin=1", &[], noise(100_000)).await);
    let of = |what: &str| format!("/v1/{what}?uri={}", encoded(&uri));
    let status = api.ask(Method::GET, "/v1/status").await.json();
    assert_eq!(status["store"]["ready"], true);
    assert_eq!(status["pins"][0]["uri"], uri);
    let pinned = api.ask(Method::POST, &of("pin")).await.done();
    assert_eq!(pinned["blocks"], pinned["here"]);
    let healed = api.ask(Method::POST, &of("heal")).await.done();
    assert_eq!((&healed["missing"], &healed["restored"]), (&0.into(), &0.into()));
    assert_eq!(api.ask(Method::POST, &of("unpin")).await.json()["unpinned"], true);
    assert_eq!(api.ask(Method::POST, &of("unpin")).await.json()["unpinned"], false);
}

#[tokio::test]
async fn a_client_that_goes_away_gives_up_its_job() {
    let api = Api::over(Memory::silent()).await;
    for path in ["/v1/get?uri=KSK@a", "/v1/open?uri=KSK@a", "/v1/pin?uri=KSK@a"] {
        let method = if path.contains("pin") { "POST" } else { "GET" };
        let mut stream = UnixStream::connect(api.socket()).await.unwrap();
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        until("the job runs", async || api.content.status().await.jobs > 0).await;
        drop(stream);
        until("the job was given up", async || api.content.status().await.jobs == 0).await;
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_publishes_nothing() {
    let api = Api::start().await;
    let mut stream = UnixStream::connect(api.socket()).await.unwrap();
    let head = "PUT /v1/file?to=KSK@half HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).await.unwrap();
    until("the job runs", async || api.content.status().await.jobs > 0).await;
    drop(stream);
    until("the job ended", async || api.content.status().await.jobs == 0).await;
    assert_eq!(api.get("KSK@half", &[]).await.code(), "not_found");
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_gone_at_the_end() {
    let api = Api::start().await;
    let mode = std::fs::metadata(api.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = serve(api.socket(), api.content.clone(), api.stop.clone()).await;
    assert!(second.unwrap_err().to_string().contains("runs already"));
    let idle = UnixStream::connect(api.socket()).await.unwrap();
    api.stop.cancel();
    timeout(PATIENCE, api.served).await.expect("it ends").unwrap().unwrap();
    drop(idle);
    let socket = api.folder.path().join(SOCKET);
    assert!(!socket.exists());
    // A router that was killed leaves its socket.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(socket.clone(), api.content, stop.clone()));
    until("it listens again", async || UnixStream::connect(&socket).await.is_ok()).await;
    stop.cancel();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn junk_ends_the_connection_and_nothing_else() {
    let api = Api::start().await;
    let long = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    for junk in [&b"\x00\x01\x02\r\n\r\n"[..], b"GET\r\n\r\n", long.as_bytes()] {
        let mut stream = UnixStream::connect(api.socket()).await.unwrap();
        // The other side may be gone before all is written.
        let _ = stream.write_all(junk).await;
        let mut said = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the connection ends");
        assert!(said.is_empty() || said.starts_with(b"HTTP/1.1 4"), "{:?}", String::from_utf8_lossy(&said));
    }
    assert_eq!(api.ask(Method::GET, "/v1/status").await.status, StatusCode::OK);
}
