use std::path::Path;

use bytes::BytesMut;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::content::testing::Memory;
use crate::testing::connection;
use wire::{Message, Parser, Step};

mod disk;
mod hostile;
mod persistent;
mod publishing;

/// A node, all of whose network is in memory.
pub(super) struct Node {
    fcp: Arc<Fcp>,
    blocks: Arc<Memory>,
    folder: TempDir,
}

pub(super) fn node() -> Node {
    let folder = TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let blocks = Arc::new(Memory::default());
    let content = Content::start(Arc::clone(&blocks) as Arc<_>, None, Rng::from_seed([1; 32]), stop.clone());
    let spool = folder.path().join("fcp");
    let fcp = Arc::new(Fcp::new(content, spool, Rng::from_seed([2; 32]), Tasks::new(stop)));
    Node { fcp, blocks, folder }
}

/// A client's end of a connection.
pub(super) struct Client {
    pipe: DuplexStream,
    parser: Parser,
    input: BytesMut,
    salt: String,
}

/// `Name key=value key=value` as a message; an empty value is none.
pub(super) fn message(text: &str) -> Message {
    let mut words = text.split(' ');
    let message = Message::new(words.next().unwrap());
    words.fold(message, |message, word| {
        let (key, value) = word.split_once('=').unwrap();
        message.with(key, value)
    })
}

impl Node {
    pub(super) fn connect(&self) -> Client {
        let (pipe, theirs) = connection(256 * 1024);
        tokio::spawn(Arc::clone(&self.fcp).serve(theirs));
        Client { pipe, parser: Parser::default(), input: BytesMut::new(), salt: String::new() }
    }

    /// A client that has said hello.
    pub(super) async fn client(&self, name: &str) -> Client {
        let mut client = self.connect();
        client.say(&format!("ClientHello Name={name} ExpectedVersion=2.0")).await;
        let hello = client.hear("NodeHello").await;
        assert_eq!((hello.get("FCPVersion"), hello.get("Node")), (Some("2.0"), Some("allium")));
        client.salt = hello.get("ConnectionIdentifier").unwrap().to_owned();
        client
    }

    /// From now on the store answers nothing that it is asked for.
    pub(super) fn stall(&self) {
        let mut state = self.blocks.state();
        state.stuck = state.blocks.keys().copied().collect();
    }

    /// Waits until the store is asked for something, or for nothing any more.
    pub(super) async fn until_asked(&self, asked: bool) {
        while (self.blocks.state().under_way > 0) != asked {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Client {
    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        self.pipe.write_all(bytes).await.unwrap();
    }

    pub(super) async fn send(&mut self, message: &Message, data: Option<&[u8]>) {
        let mut out = BytesMut::new();
        message.encode(data.map(|data| data.len() as u64), &mut out);
        out.extend_from_slice(data.unwrap_or_default());
        self.raw(&out).await;
    }

    pub(super) async fn say(&mut self, text: &str) {
        self.send(&message(text), None).await;
    }

    pub(super) async fn say_with(&mut self, text: &str, data: &[u8]) {
        self.send(&message(text), Some(data)).await;
    }

    /// The next thing that the node says; `None` once it has closed.
    async fn step(&mut self) -> Option<Step> {
        loop {
            match self.parser.step(&mut self.input).expect("the node writes messages") {
                Step::More => {}
                step => return Some(step),
            }
            if self.pipe.read_buf(&mut self.input).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// The next message, with its data; `None` once the node has closed.
    pub(super) async fn next(&mut self) -> Option<(Message, Vec<u8>)> {
        let Step::Message(message, more) = self.step().await? else { panic!("data without a message") };
        let mut data = Vec::new();
        if more {
            self.parser.expect(message.get("DataLength").unwrap().parse().unwrap());
            while let Step::Data(bytes) = self.step().await? {
                data.extend_from_slice(&bytes);
            }
        }
        Some((message, data))
    }

    /// The next message, which has to be called so.
    pub(super) async fn hear(&mut self, name: &str) -> Message {
        let (message, _) = self.next().await.expect("the connection is open");
        assert_eq!(message.name, name, "{:?}", message.get("ExtraDescription"));
        message
    }

    /// The next message of that name, whatever comes before it.
    pub(super) async fn wait_for(&mut self, name: &str) -> (Message, Vec<u8>) {
        loop {
            let (message, data) = self.next().await.expect("the connection is open");
            if message.name == name {
                return (message, data);
            }
            let failed = message.name.ends_with("Failed") || message.name.ends_with("Error");
            assert!(!failed, "{}: {:?}", message.name, message.get("ExtraDescription"));
        }
    }

    /// The number of the error that comes next.
    pub(super) async fn error(&mut self) -> u16 {
        self.hear("ProtocolError").await.get("Code").unwrap().parse().unwrap()
    }

    /// Publishes, and returns the URI.
    pub(super) async fn put(&mut self, uri: &str, data: &[u8]) -> String {
        self.say_with(&format!("ClientPut Identifier=put URI={uri}"), data).await;
        self.wait_for("PutSuccessful").await.0.get("URI").unwrap().to_owned()
    }

    /// Fetches.
    pub(super) async fn get(&mut self, uri: &str) -> Vec<u8> {
        self.say(&format!("ClientGet Identifier=get ReturnType=direct URI={uri}")).await;
        self.wait_for("AllData").await.1
    }

    /// A new key pair, to publish with and to read: `SSK@…/`.
    pub(super) async fn keys(&mut self) -> (String, String) {
        self.say("GenerateSSK Identifier=keys").await;
        let pair = self.hear("SSKKeypair").await;
        assert_eq!(pair.get("Identifier"), Some("keys"));
        let key = |field| pair.get(field).unwrap().to_owned();
        (key("InsertURI"), key("RequestURI"))
    }
}

#[tokio::test]
async fn a_client_says_hello_and_leaves() {
    let node = node();
    let mut client = node.client("one").await;
    client.say("Void").await;
    client.say("ClientHello Name=again").await;
    assert_eq!(client.error().await, 2);
    client.say("Disconnect").await;
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn what_is_said_of_the_node_is_honest() {
    let node = node();
    let mut client = node.client("one").await;
    client.say("GetNode Identifier=__global WithVolatile=true").await;
    let data = client.hear("NodeData").await;
    assert_eq!((data.get("Identifier"), data.get("myName")), (Some("__global"), Some("allium")));
    assert!(data.get("volatile.storePeers").is_some());
    client.say("GetConfig Identifier=1").await;
    client.hear("ConfigData").await;
    client.say("ListPeers Identifier=1").await;
    client.hear("EndListPeers").await;
    client.say("Shutdown Identifier=1").await;
    assert_eq!(client.error().await, 24);
    client.say("FCPPluginMessage Identifier=1 PluginName=x").await;
    assert_eq!(client.error().await, 32);
    client.say("AddPeer Identifier=1").await;
    assert_eq!(client.error().await, 16);
    client.say("MakeCoffee Identifier=1").await;
    assert_eq!(client.error().await, 7);
}
