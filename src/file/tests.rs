use super::*;

fn error(text: &str) -> String {
    parse(Path::new("allium.toml"), text).unwrap_err().to_string()
}

#[test]
fn the_printed_default_is_the_default() {
    let (router, client) = parse(Path::new("default.toml"), DEFAULT).unwrap();
    let (plain_router, plain_client) = parse(Path::new("empty.toml"), "").unwrap();
    assert_eq!(format!("{router:?}"), format!("{plain_router:?}"));
    assert_eq!(format!("{client:?}"), format!("{plain_client:?}"));
    // With every example uncommented it must still be read.
    let examples: String = DEFAULT
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    parse(Path::new("examples.toml"), &examples).unwrap();
}

#[test]
fn mistakes_name_file_line_and_key() {
    let unknown = error("[network]\nid = 77\nflodfill = true\n");
    assert!(unknown.starts_with("allium.toml:3:") && unknown.contains("flodfill"), "{unknown}");
    let wrong = error("[tunnels]\n\nexploratory_length = 9\n");
    assert!(wrong.starts_with("allium.toml:3:") && wrong.contains("exploratory_length"), "{wrong}");
    let section = error("[ntpc2]\n");
    assert!(section.starts_with("allium.toml:1:") && section.contains("ntpc2"), "{section}");
    let address = error("[ntcp2]\nbind = \"localhost\"\n");
    assert!(address.contains(":2:") && address.contains("bind"), "{address}");
}

#[test]
fn what_a_test_network_writes_is_read() {
    let text = r#"
[network]
id = 77
allow_local = true
floodfill = true
[reseed]
urls = []
[ntcp2]
enabled = true
bind = "127.10.0.1:20000"
publish = "127.10.0.1:20000"
[ssu2]
enabled = false
bind = "127.10.0.1:20001"
publish = "127.10.0.1:20001"
[http_proxy]
listen = "127.0.0.1:20002"
[socks]
listen = "127.0.0.1:20003"
[sam]
listen = "127.0.0.1:20004"
udp_listen = "127.0.0.1:20004"
[console]
listen = "127.0.0.1:20005"
[[service]]
name = "web"
target = "127.0.0.1:8099"
keys = "web.dat"
inbound_length = 3
outbound_length = 3
[content]
enabled = true
quota = "2 GiB"
bootstrap = ["abc.b32.i2p"]
gateway = "127.0.0.1:20006"
fcp = "127.0.0.1:20007"
"#;
    let (router, client) = parse(Path::new("allium.toml"), text).unwrap();
    assert_eq!((router.network.id, router.network.floodfill), (77, true));
    assert_eq!(client.services.len(), 1);
}
