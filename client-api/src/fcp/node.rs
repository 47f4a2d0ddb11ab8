//! What a client is told of the node.

use super::asked::flag;
use super::wire::Message;
use crate::content::Content;

/// Freenet's build whose messages are spoken: clients refuse older ones.
const BUILD: u32 = 1503;

/// `NodeHello`; `salt` is the connection's identifier.
pub(super) fn hello(salt: &str) -> Message {
    Message::new("NodeHello")
        .with("FCPVersion", "2.0")
        .with("Node", "allium")
        .with("Version", format_args!("Fred,0.7,1.0,{BUILD}"))
        .with("Build", BUILD)
        .with("Revision", env!("CARGO_PKG_VERSION"))
        .with("ExtBuild", 29)
        .with("ExtRevision", 29)
        .with("Testnet", false)
        .with("NodeLanguage", "ENGLISH")
        // The names that `Codecs` may have in it; nothing is compressed.
        .with("CompressionCodecs", "4 - GZIP(0), BZIP2(1), LZMA(2), LZMA_NEW(3)")
        .with("ConnectionIdentifier", salt)
}

/// `NodeData`.
pub(super) async fn data(content: &Content, asked: &Message) -> Message {
    let data = Message::new("NodeData")
        .with("myName", "allium")
        .with("version", format_args!("allium,{}", env!("CARGO_PKG_VERSION")))
        .with("opennet", false)
        .with("testnet", false)
        .with_some("Identifier", asked.get("Identifier"));
    if !flag(asked, "WithVolatile") {
        return data;
    }
    let store = content.status().await.store;
    data.with("volatile.storeReady", store.ready)
        .with("volatile.storePeers", store.peers)
        .with("volatile.storeBlocks", store.blocks)
        .with("volatile.storeBytes", store.bytes)
        .with("volatile.storeQuota", store.quota)
}

/// `ConfigData`: the configuration is a file, and nothing of it is shown over FCP.
pub(super) fn config(asked: &Message) -> Message {
    Message::new("ConfigData").with_some("Identifier", asked.get("Identifier"))
}

/// The end of a list of peers that has none: there are no friends to be added over FCP.
pub(super) fn no_peers(asked: &Message) -> Message {
    Message::new("EndListPeers").with_some("Identifier", asked.get("Identifier"))
}

/// `UnknownNodeIdentifier`.
pub(super) fn no_such_peer(asked: &Message) -> Message {
    Message::new("UnknownNodeIdentifier")
        .with_some("NodeIdentifier", asked.get("NodeIdentifier"))
        .with_some("Identifier", asked.get("Identifier"))
}
