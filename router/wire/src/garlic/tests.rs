use proptest::prelude::*;

use super::*;
use crate::Date;
use crate::i2np::Kind;

fn clove(delivery: Delivery) -> Block {
    let message = Message::new(Kind::Data, 7, Date::from_seconds(9), BytesMut::from(&b"body"[..]));
    Block::Clove(Clove { delivery, message })
}

#[test]
fn every_block_reads_back() {
    let gateway = RouterHash([4; 32]);
    let blocks = vec![
        Block::DateTime(1_795_392_000),
        Block::NextKey { flags: 5, id: 3, key: Some(PublicKey([1; 32])) },
        Block::NextKey { flags: 2, id: 3, key: None },
        Block::Ack(vec![(1, 2), (3, 65535)]),
        Block::AckRequest,
        clove(Delivery::Local),
        clove(Delivery::Destination(DestHash([2; 32]))),
        clove(Delivery::Router(gateway)),
        clove(Delivery::Tunnel { gateway, tunnel: TunnelId(77) }),
        Block::Termination(1),
        Block::Padding(11),
    ];
    let mut out = Vec::new();
    for block in &blocks {
        encode_block(block, &mut out);
    }
    assert_eq!(decode_blocks(&out).unwrap(), blocks);
    // A hash goes before a tunnel's id here, unlike in tunnels' delivery instructions.
    let mut out = Vec::new();
    Delivery::Tunnel { gateway, tunnel: TunnelId(77) }.encode(&mut out);
    assert_eq!((out[0], &out[1..33], &out[33..]), (0x60, &[4; 32][..], &[0, 0, 0, 77][..]));
}

#[test]
fn order_is_kept_and_the_unknown_skipped() {
    assert_eq!(decode_blocks(&[99, 0, 1, 5, 9, 0, 1, 0]).unwrap(), [Block::Unknown(99), Block::AckRequest]);
    assert!(decode_blocks(&[254, 0, 0, 9, 0, 1, 0]).is_err(), "after padding");
    assert!(decode_blocks(&[4, 0, 1, 0, 9, 0, 1, 0]).is_err(), "after termination");
    assert!(decode_blocks(&[9, 0, 2, 0]).is_err(), "beyond the end");
}

proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = decode_blocks(&bytes);
    }
}
