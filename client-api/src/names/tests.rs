use std::io::Write;

use allium_crypto::Rng;
use allium_wire::DestinationKeys;
use proptest::prelude::*;

use super::*;

fn destination(seed: u8) -> Destination {
    DestinationKeys::generate(&mut Rng::from_seed([seed; 32])).destination().clone()
}

fn error(host: &str) -> NameError {
    match Host::read(host) {
        Err(error) => error,
        Ok(_) => panic!("{host} was accepted"),
    }
}

#[test]
fn b32_is_the_hash() {
    let hash = DestHash([7; 32]);
    for host in
        [hash.b32(), hash.b32().to_uppercase(), format!("www.{}", hash.b32()), format!("{}.", hash.b32())]
    {
        assert_eq!(address(&host), Some(hash), "{host}");
    }
}

#[test]
fn b33_is_said_to_be_unsupported() {
    assert_eq!(error(&format!("{}.b32.i2p", "a".repeat(56))), NameError::Encrypted);
    assert!(matches!(error("abc.b32.i2p"), NameError::Invalid { .. }));
    assert!(matches!(error(&format!("{}.b32.i2p", "1".repeat(52))), NameError::Invalid { .. }));
}

#[test]
fn base64_is_the_destination_and_keeps_its_case() {
    let destination = destination(1);
    let encoded = destination.to_base64();
    for host in [encoded.clone(), format!("{encoded}.i2p"), format!("{encoded}.I2P")] {
        assert_eq!(address(&host), Some(destination.dest_hash()));
    }
    assert!(matches!(error(&format!("{encoded}AAAA")), NameError::Invalid { .. }));
    assert!(matches!(error(&"!".repeat(516)), NameError::Invalid { .. }));
    assert!(matches!(error(&"A".repeat(5000)), NameError::Invalid { .. }));
}

#[test]
fn the_clear_net_is_refused() {
    for host in
        ["example.org", "i2p", "127.0.0.1", "[::1]", "localhost", "", "x.i2p.example.org", "example.alt"]
    {
        assert!(matches!(error(host), NameError::NotI2p(_)), "{host}");
    }
}

#[test]
fn trap_62_names_follow_the_rules() {
    let longest = format!("{}.i2p", "a".repeat(63));
    let good = ["a.i2p", "i2p-projekt.i2p", "xn--bcher-kva.i2p", "a.b.c.i2p", "0.i2p", &longest];
    for name in good {
        assert!(matches!(Host::read(name), Ok(Host::Name(_))), "{name}");
    }
    let too_long = format!("{}.i2p", "a".repeat(64));
    let bad = [
        ".i2p",
        "-a.i2p",
        ".a.i2p",
        "a-.i2p",
        "a..b.i2p",
        "a.-b.i2p",
        "a-.b.i2p",
        "a--b.i2p",
        "xn--a--b.i2p",
        "a_b.i2p",
        "a b.i2p",
        "é.i2p",
        "proxy.i2p",
        "a.console.i2p",
        "b32.i2p",
        &too_long,
    ];
    for name in bad {
        assert!(matches!(error(name), NameError::Invalid { .. }), "{name}");
    }
    assert!(matches!(Host::read("NAME.i2p.alt"), Ok(Host::Name(name)) if name == "name.i2p"));
}

#[test]
fn hosts_are_read_line_by_line() {
    let (one, two) = (destination(1), destination(2));
    let mut text = format!(
        "\u{feff}# comment\r\n;also\r\n\r\nOne.i2p={}#!date=1#sig=x\r\none.i2p={}\nbad..i2p={}\nnothing\n",
        one.to_base64(),
        two.to_base64(),
        two.to_base64(),
    )
    .into_bytes();
    text.extend_from_slice(b"\xff\xfe=x\n");
    text.extend_from_slice(&b"x".repeat(100_000));
    text.extend_from_slice(format!("\ntwo.i2p = {}", two.to_base64()).as_bytes());
    let (hosts, skipped) = hosts::parse(text.as_slice()).unwrap();
    assert_eq!(hosts.get("one.i2p"), Some(&one.dest_hash()));
    assert_eq!(hosts.get("two.i2p"), Some(&two.dest_hash()));
    assert_eq!((hosts.len(), skipped), (2, 4));
}

#[tokio::test]
async fn a_changed_file_is_read_again() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.txt");
    let names = Names::new(Some(path.clone()));
    assert_eq!(names.resolve("one.i2p").await.unwrap_err(), NameError::Unknown("one.i2p".into()));

    let (one, two) = (destination(1), destination(2));
    std::fs::write(&path, format!("one.i2p={}\n", one.to_base64())).unwrap();
    assert!(names.known("one.i2p").await.is_none(), "the file is not looked at for each name");
    tokio::time::advance(LOOK_EVERY).await;
    assert_eq!(names.known("one.i2p").await, Some(one.dest_hash()));

    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(file, "two.i2p={}", two.to_base64()).unwrap();
    tokio::time::advance(LOOK_EVERY).await;
    assert_eq!(names.known("two.i2p").await, Some(two.dest_hash()));

    std::fs::remove_file(&path).unwrap();
    tokio::time::advance(LOOK_EVERY).await;
    assert!(names.known("two.i2p").await.is_none());
}

#[tokio::test]
async fn remembered_names_are_bounded() {
    let names = Names::new(None);
    for n in 0..2 * REMEMBERED {
        names.remember(&format!("{n}.i2p"), DestHash([n as u8; 32]));
    }
    assert_eq!(names.book().remembered.len(), REMEMBERED);
    names.remember("zz.i2p", DestHash([9; 32]));
    assert_eq!(names.known("zz.i2p").await, Some(DestHash([9; 32])));
}

proptest! {
    #[test]
    fn no_host_panics(host in "\\PC{0,80}") {
        let _ = Host::read(&host);
        let _ = Host::read(&format!("{host}.i2p"));
        let _ = Host::read(&host.repeat(20));
    }

    #[test]
    fn no_file_panics(text in proptest::collection::vec(any::<u8>(), 0..2000)) {
        hosts::parse(text.as_slice()).unwrap();
    }

    #[test]
    fn an_accepted_name_reads_the_same_again(host in "[a-zA-Z0-9.-]{1,40}") {
        if let Ok(Host::Name(name)) = Host::read(&format!("{host}.i2p")) {
            prop_assert!(matches!(Host::read(&name), Ok(Host::Name(again)) if again == name));
        }
    }
}
