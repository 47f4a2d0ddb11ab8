use proptest::prelude::*;

use super::*;
use crate::testing::{clove, rng};

#[test]
fn messages_stay_whole_in_tunnel_messages() {
    // I2NP messages of 964 bytes go whole; beyond, 960 in the first fragment and 996 in each further one.
    for (message, left) in
        [(20, 944), (963, 1), (964, 0), (965, 991), (1956, 0), (1957, 995), (2952, 0), (2953, 995)]
    {
        assert_eq!(room(message - 20), left, "{message}");
    }
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let cloves = [clove(1, 0), clove(2, 100)];
    let next_key = NextKey { flags: 5, id: 0, key: Some(allium_crypto::x25519::PublicKey([7; 32])) };
    let answer = NextKey { flags: 2, id: 513, key: None };
    let extras = Extras { next_keys: [Some(answer), Some(next_key)], acks: 2, ack_request: true };
    let mut out = Vec::new();
    write_extras(&mut out, &extras);
    for clove in &cloves {
        write_clove(&mut out, clove);
    }
    assert_eq!(out.len(), 6 + 38 + 4 + cloves_len(&cloves).unwrap());
    write_acks(&mut out, [(0, 1), (65535, 2)]);
    write_padding(&mut out, Some(5));
    write_padding(&mut out, None);
    let found = read(BytesMut::from(&out[..])).unwrap();
    assert_eq!(found.cloves, cloves);
    assert_eq!(found.next_keys, [answer, next_key]);
    assert_eq!(found.acks, [(0, 1), (65535, 2)]);
    assert!(found.ack_request && !found.terminates && found.date.is_none());
}

#[test]
fn a_handshake_payload_begins_with_its_date() {
    let cloves = [clove(3, 50)];
    let payload = handshake(&mut rng(1), Some(Date::from_seconds(77)), &cloves, 96).unwrap();
    assert_eq!(payload[..7], [0, 0, 4, 0, 0, 0, 77]);
    let found = read(BytesMut::from(&payload[..])).unwrap();
    assert_eq!((found.date, &found.cloves[..]), (Some(77), &cloves[..]));
    // A DateTime further back does not count.
    let late = [&[254, 0, 0][..0], &[9, 0, 1, 0], &payload].concat();
    assert_eq!(read(BytesMut::from(&late[..])).unwrap().date, None);
}

#[test]
fn too_much_is_an_error_and_not_a_broken_message() {
    assert!(cloves_len(&[clove(1, 60_000)]).is_ok());
    assert_eq!(cloves_len(&[clove(1, 30_000), clove(2, 31_000)]), Err(Error::TooLong));
    assert_eq!(handshake(&mut rng(1), None, &[clove(1, 61_000)], 0), Err(Error::TooLong));
}

#[test]
fn of_very_many_cloves_only_some_are_taken() {
    let mut out = Vec::new();
    (0..1000).for_each(|id| write_clove(&mut out, &clove(id, 0)));
    assert_eq!(read(BytesMut::from(&out[..])).unwrap().cloves.len(), MOST_CLOVES);
}

#[test]
fn nothing_follows_padding() {
    assert!(read(BytesMut::from(&[254, 0, 1, 0, 9, 0, 1, 0][..])).is_err());
    assert!(read(BytesMut::from(&[4, 0, 1, 0, 9, 0, 1, 0][..])).is_err());
    assert!(read(BytesMut::from(&[4, 0, 1, 0, 254, 0, 1, 0][..])).unwrap().terminates);
    assert!(read(BytesMut::from(&[9, 0, 2, 0][..])).is_err());
    assert!(read(BytesMut::from(&[99, 0, 2, 0, 0, 200, 0, 0][..])).is_ok(), "unknown blocks are skipped");
}

proptest! {
    #[test]
    fn padding_is_short_and_never_takes_another_tunnel_message(seed: u8, ciphertext in 24_usize..8000) {
        let tunnel_messages = |message: usize| if message <= 964 { 1 } else { 1 + (message - 960).div_ceil(996) };
        let with = ciphertext + padding(&mut rng(seed), ciphertext).map_or(0, |len| {
            assert!((1..=15).contains(&len));
            3 + len
        });
        prop_assert_eq!(tunnel_messages(ciphertext + 20), tunnel_messages(with + 20));
    }

    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(BytesMut::from(&bytes[..]));
    }
}
