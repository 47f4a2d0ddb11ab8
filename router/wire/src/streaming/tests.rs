use proptest::prelude::*;

use super::*;
use crate::vectors::{hex, java};

fn java_packet(name: &str) -> Bytes {
    hex(&java()["streaming"], name).into()
}

#[test]
fn java_syn_reads_and_verifies() {
    let vectors = java();
    let syn = Packet::decode(&java_packet("syn"), None).unwrap();
    assert!(syn.has(flags::SYNCHRONIZE) && syn.is_signed());
    assert_eq!((syn.send_id, syn.receive_id, syn.sequence), (0, 0x1122_3344, 0));
    let to = Destination::from_bytes(&hex(&vectors["streaming"], "to_destination")).unwrap();
    let hash: Vec<u8> = syn.nacks.iter().flat_map(|word| word.to_be_bytes()).collect();
    assert_eq!(hash, to.hash());
    let from = syn.from.clone().unwrap();
    assert_eq!(from.hash().to_vec(), hex(&vectors["lease_sets"], "destination_hash"));
    assert_eq!(syn.max_size, Some(1812));
    assert_eq!(&syn.payload[..], b"GET / HTTP/1.0\r\n\r\n");
    syn.verify(&from, Date(0)).unwrap();
    assert!(syn.verify(&to, Date(0)).is_err());
}

#[test]
fn java_data_and_close_read() {
    let data = Packet::decode(&java_packet("data_nacks_9_11_delay_250"), None).unwrap();
    assert_eq!((data.sequence, data.ack_through, data.nacks.as_slice()), (7, 12, &[9, 11][..]));
    assert_eq!((data.delay_requested, &data.payload[..]), (Some(250), &b"seven"[..]));
    let from = Packet::decode(&java_packet("syn"), None).unwrap().from.unwrap();
    let close = Packet::decode(&java_packet("close"), Some(&from)).unwrap();
    assert!(close.has(flags::CLOSE));
    close.verify(&from, Date(0)).unwrap();
}

#[test]
fn no_byte_of_a_signed_packet_can_be_changed() {
    let bytes = java_packet("syn");
    let from = Packet::decode(&bytes, None).unwrap().from.unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        let checked = Packet::decode(&bad.into(), None).and_then(|packet| packet.verify(&from, Date(0)));
        assert!(checked.is_err(), "byte {at}");
    }
}

proptest! {
    #[test]
    fn never_panics(at in 0..80usize, insert: Vec<u8>) {
        let mut bytes = java_packet("syn").to_vec();
        bytes.splice(at..at, insert.iter().copied());
        let _ = Packet::decode(&bytes.into(), None);
        let _ = Packet::decode(&insert.into(), None);
    }
}
