use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// The client sections as a program's file has them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    client: Client,
    http_proxy: HttpProxy,
    socks: Socks,
    sam: Option<Sam>,
    console: Option<Console>,
    content: Option<Content>,
    service: Vec<Service>,
    tunnel: Vec<Tunnel>,
}

fn read(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error| load_error(Path::new("allium.toml"), text, &error))
}

#[test]
fn an_empty_file_runs_both_proxies() {
    let file = read("").unwrap();
    assert!(file.http_proxy.enabled && file.socks.enabled);
    assert_eq!(file.http_proxy.listen.to_string(), "127.0.0.1:4444");
    assert_eq!(file.socks.listen.to_string(), "127.0.0.1:4447");
    assert_eq!(file.client.inbound_length, Length(3));
    assert!(file.sam.is_none());
}

#[test]
fn every_key_is_read() {
    let file = read(
        r#"
[client]
inbound_length = 1
outbound_length = 2
inbound_quantity = 4
outbound_quantity = 5
[http_proxy]
enabled = true
listen = "10.78.1.1:20002"
address_helper = false
[socks]
listen = "localhost:20003"
[sam]
listen = "10.78.1.1:20004"
udp_listen = "10.78.1.1:20004"
[console]
listen = "[::1]:20005"
[[service]]
name = "web"
target = "127.0.0.1:8099"
keys = "web.dat"
inbound_length = 0
outbound_length = 7
inbound_quantity = 1
outbound_quantity = 16
max_streams = 9
[[service]]
name = "ssh"
target = "127.0.0.1:22"
[[tunnel]]
name = "irc"
listen = "127.0.0.1:6668"
destination = "irc.postman.i2p:6667"
[content]
enabled = true
quota = "2 GiB"
bootstrap = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b32.i2p"]
gateway = "127.0.0.1:8888"
fcp = "127.0.0.1:9481"
"#,
    )
    .unwrap();
    assert_eq!(file.socks.listen.to_string(), "127.0.0.1:20003");
    assert_eq!(file.service[0].outbound_quantity, Quantity(16));
    assert_eq!(file.service[0].keys.as_deref(), Some(Path::new("web.dat")));
    assert_eq!((file.service[1].inbound_length, file.service[1].max_streams), (Length(3), 512));
    assert_eq!(
        (file.tunnel[0].destination.host(), file.tunnel[0].destination.port()),
        ("irc.postman.i2p", 6667)
    );
    assert!(file.tunnel[0].pools().is_none());
    let content = file.content.as_ref().unwrap();
    assert_eq!(content.quota, ByteSize(2 << 30));
    assert_eq!(content.fcp.unwrap().port(), 9481);
    let config =
        ClientConfig { sam: file.sam, console: file.console, content: file.content, ..Default::default() };
    assert_eq!(config.not_there_yet(), ["[sam]", "[console]"]);
}

#[test]
fn a_section_that_is_switched_off_is_not_missed() {
    let file = read("[sam]\nenabled = false\n[content]\nquota = 5\n").unwrap();
    let config = ClientConfig { sam: file.sam, content: file.content, ..Default::default() };
    assert!(config.not_there_yet().is_empty());
}

#[test]
fn errors_name_file_line_and_key() {
    let cases = [
        ("[socks]\n\nport = 3\n", "allium.toml:3: key `socks.port`: unknown field `port`"),
        ("\n[[service]]\nname = \"web\"\n", "allium.toml:2: key `service.target`: missing field `target`"),
        (
            "[http_proxy]\nlisten = \"here\"\n",
            "allium.toml:2: key `http_proxy.listen`: \"here\" is no address",
        ),
        ("[client]\ninbound_length = 8\n", "allium.toml:2: key `client.inbound_length`: 8 hops"),
        ("[client]\ninbound_quantity = 0\n", "allium.toml:2: key `client.inbound_quantity`: 0 tunnels"),
        ("[nonsense]\n", "allium.toml:1: key `nonsense"),
        ("[socks]\nenabled = \"yes\"\n", "allium.toml:2: key `socks.enabled`: invalid type"),
        ("[content]\nquota = \"much\"\n", "allium.toml:2: key `content.quota`: "),
        ("[content]\nbootstrap = [\n  \"x.i2p\",\n  \"clear.net\",\n]\n", "key `content.bootstrap`: "),
        ("[socks\n", "allium.toml:1: "),
    ];
    for (text, expected) in cases {
        let said = read(text).unwrap_err();
        assert!(said.contains(expected), "{text:?}: {said}");
        assert!(!said.contains('\n'), "{said:?}");
    }
}

#[test]
fn a_tunnel_with_a_setting_has_its_own_destination() {
    let text = "[[tunnel]]\nname='a'\nlisten='127.0.0.1:1'\ndestination='a.i2p'\noutbound_length=1\n";
    let (inbound, outbound) = read(text).unwrap().tunnel[0].pools().unwrap();
    assert_eq!((inbound.length, outbound.length), (Length(3), Length(1)));
}

#[test]
fn defaults_survive_writing_and_reading() {
    let written = toml::to_string(&HttpProxy::default()).unwrap();
    let read: HttpProxy = toml::from_str(&written).unwrap();
    assert_eq!(read.listen, HttpProxy::default().listen);
}

proptest! {
    #[test]
    fn no_file_panics(text in "(\\[\\[?[a-z]{0,6}\\]?\\]?\n|[a-z_]{0,8} ?=? ?[\"\\['0-9a-zé]{0,8}\n){0,8}") {
        let _ = read(&text);
    }
}
