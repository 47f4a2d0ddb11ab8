use allium_crypto::Rng;
use proptest::prelude::*;

use super::*;

fn sample() -> (RouterKeys, RouterInfo) {
    let mut rng = Rng::from_seed([5; 32]);
    let keys = RouterKeys::generate(&mut rng);
    let key = PublicKey(rng.array());
    let at = "127.0.0.1:4567".parse().unwrap();
    let addresses = vec![
        RouterAddress::make_ntcp2(&key, Some((at, rng.array())), ""),
        RouterAddress::make_ntcp2(&key, None, "46"),
    ];
    let options = [("router.version", "0.9.68"), ("netId", "2"), ("caps", "fXRE")].into_iter().collect();
    let info = RouterInfo::sign(&keys, Date::from_seconds(1_795_392_000), addresses, options);
    (keys, info)
}

#[test]
fn a_signed_info_reads_back() {
    let (keys, info) = sample();
    let back = RouterInfo::decode(info.bytes().clone()).unwrap().verify().unwrap();
    assert_eq!(back, info);
    assert_eq!((back.hash(), back.net_id(), back.version()), (keys.hash(), Some(2), Some((0, 9, 68))));
    let caps = back.caps();
    assert!(caps.floodfill && caps.reachable && !caps.unreachable);
    assert_eq!((caps.bandwidth, caps.congestion, caps.to_string().as_str()), ('X', Some('E'), "fXRE"));
    let addresses: Vec<_> = back.ntcp2().collect();
    assert_eq!(addresses[0].published().unwrap().0, "127.0.0.1:4567".parse().unwrap());
    assert!(addresses[1].published().is_none());
    assert_eq!(addresses[1].caps, "46");
}

#[test]
fn no_byte_can_be_changed() {
    let (_, info) = sample();
    for at in 0..info.bytes().len() {
        let mut bytes = info.bytes().to_vec();
        bytes[at] ^= 1;
        let verified = RouterInfo::decode(bytes.into()).and_then(Signed::verify);
        assert!(verified.is_err(), "byte {at}");
    }
    for length in 0..info.bytes().len() {
        assert!(RouterInfo::decode(info.bytes().slice(..length)).is_err(), "length {length}");
    }
    let longer = [info.bytes(), &b"x"[..]].concat();
    assert!(RouterInfo::decode(longer.into()).is_err());
}

#[test]
fn ntcp2_addresses_are_taken_only_whole() {
    let key = PublicKey([9; 32]);
    let good = RouterAddress::make_ntcp2(&key, Some(("[2001:db8::1]:99".parse().unwrap(), [1; 16])), "");
    assert!(good.ntcp2().unwrap().published().is_some());
    for (option, value) in [("v", "3"), ("s", "short"), ("i", "~~~")] {
        let mut bad = good.clone();
        bad.options.insert(option, value);
        assert!(bad.ntcp2().is_none(), "{option}");
    }
    for (option, value) in [("host", "example.org"), ("port", "0"), ("port", "70000")] {
        let mut bad = good.clone();
        bad.options.insert(option, value);
        assert!(bad.ntcp2().unwrap().published().is_none(), "{option}");
    }
}

proptest! {
    #[test]
    fn never_panics(at in 0..900usize, insert: Vec<u8>) {
        let (_, info) = sample();
        let mut bytes = info.bytes().to_vec();
        let at = at.min(bytes.len());
        bytes.splice(at..at, insert.iter().copied());
        let _ = RouterInfo::decode(bytes.into()).and_then(Signed::verify);
        let _ = RouterInfo::decode(insert.into());
    }
}
