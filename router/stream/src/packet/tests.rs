use allium_wire::DestinationKeys;
use allium_wire::streaming::Packet;
use bytes::Bytes;
use hex_literal::hex;

use super::*;

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../tests/vectors/java.json")).expect("vectors")
}

fn hex(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().expect("hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn signer() -> SigningKey {
    let file = hex(&vectors()["lease_sets"]["destination_key_file"]);
    DestinationKeys::decode(&file).expect("keys").signing().clone()
}

#[test]
fn java_data_is_what_we_write() {
    let expected = hex(&vectors()["streaming"]["data_nacks_9_11_delay_250"]);
    let header = Header {
        send_id: 0x5566_7788,
        receive_id: 0x1122_3344,
        sequence: 7,
        ack_through: 12,
        nacks: &[9, 11],
        resend_delay: 3,
        flags: 0,
        delay_requested: Some(250),
    };
    assert_eq!(header.plain(b"seven"), expected);
}

#[test]
fn java_syn_is_what_we_write() {
    let vectors = vectors();
    let expected = hex(&vectors["streaming"]["syn"]);
    let packet = Packet::decode(&Bytes::from(expected.clone()), None).expect("a SYN");
    let from = packet.from.clone().expect("a sender");
    let to = Destination::from_bytes(&hex(&vectors["streaming"]["to_destination"])).expect("a destination");
    let header = Header {
        receive_id: 0x1122_3344,
        nacks: &hash_as_nacks(&to.hash()),
        resend_delay: packet.resend_delay,
        flags: flag::SYNCHRONIZE | flag::NO_ACK,
        ..Header::default()
    };
    assert_eq!(packet.nacks, header.nacks);
    let ours = header.signed(Some(&from), packet.max_size, &packet.payload, &signer());
    let theirs = Bytes::from(expected);
    assert_eq!(packet.flags, Packet::decode(&Bytes::from(ours.clone()), None).expect("ours").flags);
    assert_eq!(ours, theirs);
}

#[test]
fn java_close_is_what_we_write() {
    let expected = hex(&vectors()["streaming"]["close"]);
    let header = Header {
        send_id: 0x5566_7788,
        receive_id: 0x1122_3344,
        sequence: 8,
        ack_through: 12,
        flags: flag::CLOSE,
        ..Header::default()
    };
    let close = Packet::decode(&Bytes::from(expected.clone()), None).expect("a CLOSE");
    assert_eq!(
        (close.sequence, close.ack_through, close.flags),
        (8, 12, flag::CLOSE | flag::SIGNATURE_INCLUDED)
    );
    assert_eq!(header.signed(None, None, &[], &signer()), expected);
}

#[test]
fn a_plain_ack_has_22_bytes() {
    let header = Header { send_id: 1, receive_id: 2, ack_through: 3, ..Header::default() };
    assert_eq!(header.plain(&[]), hex!("00000001 00000002 00000000 00000003 00 00 0000 0000"));
}

#[test]
fn no_more_nacks_than_the_field_holds() {
    let nacks: Vec<u32> = (0..300).collect();
    let packet = Header { nacks: &nacks, ..Header::default() }.plain(b"x");
    let packet = Packet::decode(&Bytes::from(packet), None).expect("a packet");
    assert_eq!(packet.nacks.len(), 255);
    assert_eq!(&packet.payload[..], b"x");
}
