use allium_crypto::Rng;
use allium_wire::DestinationKeys;

use super::*;

const NOW: Date = Date(1_795_392_000_000);
const US: DestHash = DestHash([1; 32]);

fn keys() -> DestinationKeys {
    DestinationKeys::generate(&mut Rng::from_seed([1; 32]))
}

fn arrive(kind: DatagramKind, data: Vec<u8>, session: Option<DestHash>) -> Result<Datagram, Error> {
    let unwrapped = Unwrapped { protocol: kind.protocol(), from_port: 1, to_port: 2, data: data.into() };
    read(Arrival { unwrapped, session }, &US, NOW)
}

#[test]
fn the_hash_of_kind_3_is_a_claim_that_only_the_session_proves() {
    let claimed = keys().destination().dest_hash();
    let data = Datagram3::encode(&claimed, &Mapping::new(), b"it is me").unwrap();
    for (session, proven) in [(Some(claimed), true), (Some(DestHash([2; 32])), false), (None, false)] {
        let datagram = arrive(DatagramKind::Three, data.clone(), session).unwrap();
        assert_eq!((datagram.from.unwrap().hash(), datagram.proven), (claimed, proven), "{session:?}");
    }
}

#[test]
fn signatures_are_checked_whatever_the_session() {
    let (keys, options) = (keys(), Mapping::new());
    let from = keys.destination().dest_hash();
    let one = Datagram1::sign(&keys, b"payload");
    let two = Datagram2::sign(&keys, &US, &options, b"payload").unwrap();
    for (kind, data) in [(DatagramKind::One, one), (DatagramKind::Two, two)] {
        for session in [None, Some(from), Some(DestHash([2; 32]))] {
            let datagram = arrive(kind, data.clone(), session).unwrap();
            assert_eq!((datagram.from.unwrap().hash(), datagram.proven), (from, true));
            assert_eq!(
                (datagram.kind, datagram.ports, &datagram.payload[..]),
                (kind, PORTS, &b"payload"[..])
            );
            let mut bad = data.clone();
            *bad.last_mut().unwrap() ^= 1;
            assert!(arrive(kind, bad, session).is_err(), "{kind:?}");
        }
    }
    let elsewhere = Datagram2::sign(&keys, &DestHash([2; 32]), &options, b"payload").unwrap();
    assert!(arrive(DatagramKind::Two, elsewhere, Some(from)).is_err());
}

const PORTS: Ports = Ports { from: 1, to: 2 };

#[test]
fn other_protocols_are_raw() {
    for number in [0, 6, 18, 21, 255] {
        let datagram = arrive(DatagramKind::Raw(number), b"payload".to_vec(), Some(US)).unwrap();
        assert!(datagram.from.is_none() && !datagram.proven);
        assert_eq!((datagram.kind, &datagram.payload[..]), (DatagramKind::Raw(number), &b"payload"[..]));
    }
    for number in [6, 17, 19, 20] {
        assert!(matches!(DatagramKind::Raw(number).number(), Err(DatagramError::Reserved(n)) if n == number));
    }
    assert_eq!(DatagramKind::RAW.number().unwrap(), 18);
}
