use super::*;

#[test]
fn bandwidth_reads_units_and_names_its_letter() {
    for (text, bytes, letter) in [
        ("256 KB/s", 256_000, 'P'),
        ("10KB/s", 10_000, 'K'),
        ("2 MB/s", 2_000_000, 'X'),
        ("50 kb/s", 50_000, 'M'),
        ("12345", 12_345, 'L'),
    ] {
        let read = Bandwidth::parse(text).unwrap();
        assert_eq!((read.0, read.letter()), (bytes, letter), "{text}");
    }
    for text in ["", "fast", "12 parsecs", "0 KB/s", "99999999999999999999 MB/s"] {
        assert!(Bandwidth::parse(text).is_err(), "{text}");
    }
}

#[test]
fn addresses_are_one_or_a_list() {
    let read: Ntcp2 =
        toml::from_str("bind = \"127.0.0.1:1\"\npublish = [\"10.0.0.1:2\", \"[::1]:3\"]").unwrap();
    assert_eq!(read.bind, ["127.0.0.1:1".parse().unwrap()]);
    assert_eq!(read.publish.len(), 2);
    assert!(toml::from_str::<Ntcp2>("bind = \"localhost:1\"").is_err());
    assert!(toml::from_str::<Ntcp2>("bond = \"127.0.0.1:1\"").is_err());
}

#[test]
fn lengths_and_quantities_are_bounded() {
    assert!(toml::from_str::<Tunnels>("exploratory_length = 8").is_err());
    assert!(toml::from_str::<Tunnels>("exploratory_quantity = 0").is_err());
    assert!(toml::from_str::<Tunnels>("exploratory_length = 0\nexploratory_quantity = 16").is_ok());
}
