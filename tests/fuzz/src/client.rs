//! What programs of this machine say to the router.

use allium_client_api::config::{Client, HttpProxy, Service, Socks, Tunnel};
use allium_router::config::{Network, Ntcp2, Reseed, Tunnels};
use bytes::BytesMut;
use serde::Deserialize;

#[allow(dead_code, reason = "the proxy's own module, whole")]
#[path = "../../../client-api/src/socks/wire.rs"]
mod negotiation;

#[allow(dead_code, reason = "the server's own module, whole")]
#[path = "../../../client-api/src/fcp/wire.rs"]
mod messages;

/// The sections of the configuration.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(dead_code, reason = "to be read is all")]
struct File {
    network: Network,
    reseed: Reseed,
    ntcp2: Ntcp2,
    tunnels: Tunnels,
    client: Client,
    http_proxy: HttpProxy,
    socks: Socks,
    service: Vec<Service>,
    tunnel: Vec<Tunnel>,
}

const SAMPLE: &str = "[network]\nid = 77\nbandwidth = \"256 KB/s\"\n[reseed]\nurls = []\n[ntcp2]\nbind = \"127.0.0.1:1\"\n\
    publish = [\"[::1]:2\"]\n[tunnels]\nexploratory_length = 2\n[http_proxy]\nlisten = \"127.0.0.1:4444\"\n\
    [[service]]\nname = \"web\"\ntarget = \"127.0.0.1:8080\"\nkeys = \"web.dat\"\n\
    [[tunnel]]\nname = \"irc\"\nlisten = \"127.0.0.1:6668\"\ndestination = \"irc.example.i2p\"\n";

/// Configuration files.
pub fn config(data: &[u8]) {
    if let Ok(text) = String::from_utf8(crate::samples::edited(SAMPLE.as_bytes(), data)) {
        let _ = toml::from_str::<File>(&text);
    }
}

/// SOCKS clients, whose bytes come in any pieces.
pub fn socks(data: &[u8]) {
    let Some((size, data)) = data.split_first() else { return };
    let mut state = negotiation::Negotiation::default();
    let mut input = BytesMut::new();
    for piece in data.chunks(usize::from(*size).max(1)) {
        input.extend_from_slice(piece);
        loop {
            let before = input.len();
            match state.step(&mut input) {
                negotiation::Step::More => break,
                negotiation::Step::Send(_) => assert!(input.len() < before, "an answer to nothing"),
                negotiation::Step::Connect(_) | negotiation::Step::Refuse(..) => return,
            }
        }
        assert!(input.len() <= negotiation::LONGEST + piece.len(), "it asks for more without end");
    }
}

/// FCP clients, whose bytes come in any pieces.
pub fn fcp(data: &[u8]) {
    let Some(([size, length], data)) = data.split_first_chunk() else { return };
    let sample = b"ClientHello\nName=a\nExpectedVersion=2.0\nEndMessage\nClientPut\nIdentifier=1\nURI=CHK@\n\
        UploadFrom=direct\nDataLength=5\nData\nhelloVoid\nEnd\n";
    let data = crate::samples::edited(sample, data);
    let mut parser = messages::Parser::default();
    let mut input = BytesMut::new();
    for piece in data.chunks(usize::from(*size).max(1)) {
        input.extend_from_slice(piece);
        loop {
            match parser.step(&mut input) {
                Ok(messages::Step::More) => break,
                Ok(messages::Step::Message(message, behind)) => {
                    written_is_read(&message);
                    if behind {
                        parser.expect(u64::from(*length));
                    }
                }
                Ok(messages::Step::Data(data)) => assert!(!data.is_empty()),
                Ok(messages::Step::DataEnd) => {}
                Err(fault) => {
                    assert!(!fault.to_string().is_empty());
                    return;
                }
            }
        }
        assert!(input.len() <= messages::MAX_LINE + piece.len(), "it asks for more without end");
        assert!(parser.within(&input) || input.is_empty());
    }
}

fn written_is_read(message: &messages::Message) {
    let mut written = BytesMut::new();
    message.encode(None, &mut written);
    let read = messages::Parser::default().step(&mut written);
    assert_eq!(read, Ok(messages::Step::Message(message.clone(), false)));
}
