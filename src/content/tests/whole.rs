//! The commands against the API of a service over a store in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use allium_client_api::content::api::{SOCKET, serve};
use allium_client_api::content::{Blocks, Content, Placed, StoreStatus};
use allium_content::block::{Block, Key};
use allium_crypto::Rng;
use allium_router::BoxFuture;
use allium_store::Why;
use clap::Parser;
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::content::client::{Client, Refused};
use crate::content::partial::{Mark, Partial};
use crate::content::{Command, Get, Put, ask, fetch, keygen, publish};

#[derive(Default)]
struct Memory(Mutex<BTreeMap<Key, Block>>);

impl Memory {
    fn has(&self, key: Key) -> Option<Block> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }
}

fn done<T: Send + 'static>(result: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(result))
}

impl Blocks for Memory {
    fn get(&self, key: Key, _newest: bool) -> BoxFuture<'_, Result<Block, Why>> {
        done(self.has(key).ok_or(Why::Absent))
    }

    fn put(&self, block: Block) -> BoxFuture<'_, Result<Placed, Why>> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = blocks.get(&block.key()).is_none_or(|held| block.supersedes(held));
        if newer {
            blocks.insert(block.key(), block);
        }
        done(Ok(Placed { holders: 2 }))
    }

    fn count(&self, key: Key) -> BoxFuture<'_, Result<usize, Why>> {
        done(Ok(self.has(key).map_or(0, |_| 2)))
    }

    fn pin(&self, _keys: Vec<Key>) -> BoxFuture<'_, ()> {
        done(())
    }

    fn unpin(&self, _keys: Vec<Key>) -> BoxFuture<'_, ()> {
        done(())
    }

    fn here(&self, keys: Vec<Key>) -> BoxFuture<'_, Vec<bool>> {
        done(keys.into_iter().map(|key| self.has(key).is_some()).collect())
    }

    fn status(&self) -> BoxFuture<'_, StoreStatus> {
        done(StoreStatus { ready: true, ..StoreStatus::default() })
    }
}

struct Node {
    folder: TempDir,
    stop: CancellationToken,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Parser)]
struct PutLine {
    #[command(flatten)]
    put: Put,
}

#[derive(Parser)]
struct GetLine {
    #[command(flatten)]
    get: Get,
}

impl Node {
    async fn start() -> Self {
        let folder = tempdir().unwrap();
        let stop = CancellationToken::new();
        let blocks = Arc::new(Memory::default());
        let content = Content::start(blocks, None, Rng::from_seed([3; 32]), stop.clone());
        let socket = folder.path().join(SOCKET);
        tokio::spawn(serve(socket.clone(), content, stop.clone()));
        while UnixStream::connect(&socket).await.is_err() {
            tokio::task::yield_now().await;
        }
        Self { folder, stop }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    async fn client(&self) -> Client {
        Client::connect(self.folder.path()).await.unwrap()
    }

    async fn put(&self, words: &[&str]) -> anyhow::Result<String> {
        let line = PutLine::try_parse_from([&["put"], words].concat())?;
        let done = publish::run(&mut self.client().await, line.put).await?;
        Ok(done["uri"].as_str().unwrap().to_owned())
    }

    async fn get(&self, words: &[&str]) -> anyhow::Result<Value> {
        let line = GetLine::try_parse_from([&["get"], words].concat())?;
        fetch::run(&mut self.client().await, &line.get).await
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_file_comes_back_and_an_interrupted_get_goes_on() {
    let node = Node::start().await;
    let bytes = noise(300_000);
    let (from, to) = (node.at("from.bin"), node.at("to.bin"));
    std::fs::write(&from, &bytes).unwrap();
    let uri = node.put(&[&from]).await.unwrap();
    assert!(uri.ends_with("/from.bin"), "{uri}");
    assert!(node.put(&["--name", "other.txt", &from]).await.unwrap().ends_with("/other.txt"));
    let got = node.get(&[&uri, "-o", &to]).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), bytes);
    assert_eq!(got["hash"], blake3::hash(&bytes).to_hex().as_str());
    let before = count(&node.at(""));
    assert!(node.get(&[&uri, "-o", &to]).await.unwrap_err().to_string().contains("--force"));
    std::fs::write(&to, "changed").unwrap();
    node.get(&[&uri, "-o", &to, "--force"]).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), bytes);
    assert_eq!(count(&node.at("")), before, "nothing is left beside it");

    // What an interrupted get left is kept: a byte that is changed in it is noticed only when all is there.
    std::fs::remove_file(&to).unwrap();
    let opened = node.client().await;
    let mark = mark(opened, &uri).await;
    let mut partial = Partial::open(format!("{to}.part").into(), mark).unwrap();
    let mut half = bytes[..150_000].to_vec();
    half[7] ^= 1;
    partial.write(&half).unwrap();
    drop(partial);
    assert!(node.get(&[&uri, "-o", &to]).await.unwrap_err().to_string().contains("get it again"));
    assert!(!Path::new(&to).exists());
    let mut partial = Partial::open(format!("{to}.part").into(), mark_of(&node, &uri).await).unwrap();
    partial.write(&bytes[..150_000]).unwrap();
    drop(partial);
    node.get(&[&uri, "-o", &to]).await.unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), bytes);
}

async fn mark_of(node: &Node, uri: &str) -> Mark {
    mark(node.client().await, uri).await
}

async fn mark(mut client: Client, uri: &str) -> Mark {
    let answer = client.ask(hyper::Method::GET, "/v1/open", &[("uri", uri)]).await.unwrap();
    serde_json::from_value(crate::content::client::json(answer).await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_folder_comes_back_and_nothing_is_overwritten() {
    let node = Node::start().await;
    let (from, to) = (node.at("from"), node.at("to"));
    std::fs::create_dir_all(node.at("from/deep/er")).unwrap();
    let files = [("index.html", 20), ("deep/large", 120_000), ("deep/er/small", 5), ("empty", 0)];
    for (name, length) in files {
        std::fs::write(format!("{from}/{name}"), noise(length)).unwrap();
    }
    let uri = node.put(&[&from]).await.unwrap();
    assert!(node.put(&[&from, "--name", "x"]).await.unwrap_err().to_string().contains("--name"));
    assert!(node.get(&[&uri, "-o", "-"]).await.unwrap_err().to_string().contains("folder"));
    let got = node.get(&[&uri, "-o", &to]).await.unwrap();
    assert_eq!(got["files"], 4);
    for (name, length) in files {
        assert_eq!(std::fs::read(format!("{to}/{name}")).unwrap(), noise(length), "{name}");
    }
    assert!(!Path::new(&format!("{to}.part")).exists());

    // One file in the way, and nothing is written at all.
    for (name, _) in &files[1..] {
        std::fs::remove_file(format!("{to}/{name}")).unwrap();
    }
    std::fs::write(format!("{to}/index.html"), "mine").unwrap();
    assert!(node.get(&[&uri, "-o", &to]).await.unwrap_err().to_string().contains("index.html"));
    assert_eq!(std::fs::read(format!("{to}/index.html")).unwrap(), b"mine");
    assert!(!Path::new(&format!("{to}/empty")).exists() && !Path::new(&format!("{to}.part")).exists());
    node.get(&[&uri, "-o", &to, "--force"]).await.unwrap();
    assert_eq!(std::fs::read(format!("{to}/index.html")).unwrap(), noise(20));
    // One file of the folder.
    let one = format!("{uri}/deep/er/small");
    node.get(&[&one, "-o", &node.at("from")]).await.unwrap();
    assert_eq!(std::fs::read(node.at("from/small")).unwrap(), noise(5));
}

#[tokio::test]
async fn each_kind_of_key_leads_back() {
    let node = Node::start().await;
    let (file, key, out) = (node.at("page.txt"), node.at("owner.key"), node.at("out"));
    keygen(Path::new(&key)).unwrap();
    std::fs::write(&file, "first").unwrap();
    let ssk = node.put(&[&file, "--ssk", &key]).await.unwrap();
    assert!(ssk.contains("SSK@") && ssk.ends_with("/page.txt"), "{ssk}");
    let first = node.put(&[&file, "--usk", &key, "--name", "site"]).await.unwrap();
    std::fs::write(&file, "second").unwrap();
    let second = node.put(&[&file, "--usk", &key, "--name", "site"]).await.unwrap();
    assert!(first.ends_with("/site/0/") && second.ends_with("/site/1/"), "{first} {second}");
    let ksk = node.put(&[&file, "--ksk", "word", "--media", "text/x-own"]).await.unwrap();
    assert_eq!(ksk, "allium:KSK@word");
    let newest = first.replace("/site/0/", "/site/-0/");
    for (uri, text) in [(&ssk, "first"), (&first, "first"), (&newest, "second"), (&ksk, "second")] {
        node.get(&[uri, "-o", &out, "--force"]).await.unwrap();
        assert_eq!(std::fs::read_to_string(&out).unwrap(), text, "{uri}");
    }
    assert!(node.put(&[&file, "--ksk", "word", "--ssk", &key]).await.is_err(), "one key at a time");
    assert!(node.put(&["-", "--ssk", &key]).await.unwrap_err().to_string().contains("--name"));
    assert!(node.put(&[&node.at("none")]).await.unwrap_err().to_string().contains("none"));
}

#[tokio::test]
async fn what_nobody_has_is_an_error_and_leaves_no_file() {
    let node = Node::start().await;
    let before = count(&node.at(""));
    let error = node.get(&[super::CHK, "-o", &node.at("out")]).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Refused>().unwrap().code, "not_found");
    assert_eq!(count(&node.at("")), before);
    let nobody = tempdir().unwrap();
    let error = Client::connect(nobody.path()).await.err().unwrap();
    assert!(format!("{error:#}").contains("allium run"), "{error:#}");
    // A router without a store answers at its control socket alone.
    let _control = std::os::unix::net::UnixListener::bind(crate::control::path(nobody.path())).unwrap();
    let error = Client::connect(nobody.path()).await.err().unwrap();
    assert!(format!("{error:#}").contains("[content]"), "{error:#}");
}

#[tokio::test]
async fn pins_are_kept_and_shown() {
    let node = Node::start().await;
    std::fs::write(node.at("file"), noise(100_000)).unwrap();
    let uri = node.put(&[&node.at("file"), "--pin"]).await.unwrap();
    let parsed = || uri.parse().unwrap();
    let mut client = node.client().await;
    let status = ask(&mut client, Command::Status { json: false }).await.unwrap();
    assert!(status.contains("ready     yes") && status.contains(&uri), "{status}");
    assert!(ask(&mut client, Command::Pin { uri: parsed() }).await.unwrap().contains("pinned"));
    assert!(ask(&mut client, Command::Heal { uri: parsed() }).await.unwrap().contains("0 were missing"));
    ask(&mut client, Command::Unpin { uri: parsed() }).await.unwrap();
    assert!(ask(&mut client, Command::Unpin { uri: parsed() }).await.is_err());
}
