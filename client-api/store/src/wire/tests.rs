use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LONGEST: usize = 4096;

fn answers() -> impl Strategy<Value = (Vec<DestHash>, Vec<Answer>)> {
    vec(any::<[u8; 32]>(), 1..MAX_NODES).prop_flat_map(|nodes| {
        let most = nodes.len() as u8;
        let answer = (any::<bool>(), vec(0..most, 0..MAX_CLOSEST))
            .prop_map(|(have, closest)| Answer { have, closest });
        (Just(nodes.into_iter().map(DestHash).collect()), vec(answer, 0..=MAX_KEYS))
    })
}

fn datagrams() -> impl Strategy<Value = Datagram> {
    let keys = vec(any::<[u8; 32]>().prop_map(Key), 0..=MAX_KEYS);
    let item = any::<([u8; 8], u16)>().prop_map(|(prefix, tag)| Item { prefix, tag });
    prop_oneof![
        (any::<u64>(), any::<bool>(), keys).prop_map(|(id, node, keys)| Datagram::Find { id, node, keys }),
        (any::<u64>(), answers()).prop_map(|(id, (nodes, answers))| Datagram::Found { id, nodes, answers }),
        (any::<u64>(), any::<bool>(), vec(item, 0..=MAX_ITEMS))
            .prop_map(|(id, wide, items)| Datagram::Offer { id, wide, items }),
        (any::<u64>(), vec((0u8..4).prop_map(Want::of), 0..=MAX_ITEMS))
            .prop_map(|(id, wants)| Datagram::Wanted { id, wants }),
    ]
}

fn frames() -> impl Strategy<Value = Frame> {
    let bytes = || vec(any::<u8>(), 0..LONGEST).prop_map(Bytes::from);
    prop_oneof![
        any::<(u64, [u8; 32])>().prop_map(|(id, key)| Frame::Get { id, key: Key(key) }),
        (any::<u64>(), bytes()).prop_map(|(id, bytes)| Frame::Block { id, bytes }),
        any::<(u64, bool)>().prop_map(|(id, busy)| Frame::Missing { id, busy }),
        (any::<u64>(), 0u8..3, any::<u32>(), bytes()).prop_map(|(id, kind, idle, bytes)| Frame::Put {
            id,
            kind: PutKind::of(kind).unwrap(),
            idle,
            bytes
        }),
        any::<u64>().prop_map(|id| Frame::Stored { id }),
        (any::<u64>(), 0u8..5).prop_map(|(id, why)| Frame::Refused { id, why: Refusal::of(why).unwrap() }),
    ]
}

proptest! {
    #[test]
    fn datagrams_read_as_they_were_written(datagram in datagrams(), cut: prop::sample::Index) {
        let bytes = datagram.encode();
        prop_assert!(bytes.len() <= MAX_DATAGRAM);
        prop_assert_eq!(Datagram::decode(&bytes), Ok(datagram));
        prop_assert!(Datagram::decode(&bytes[..cut.index(bytes.len())]).is_err(), "none is a prefix of another");
    }

    #[test]
    fn frames_read_as_they_were_written(frame in frames()) {
        let bytes = frame.encode();
        prop_assert_eq!(Frame::decode(&bytes, LONGEST), Ok(frame));
    }

    #[test]
    fn any_bytes_are_read_or_refused(kind in 0u8..8, bytes in vec(any::<u8>(), 0..600), known: bool) {
        let mut bytes = bytes;
        if known && bytes.len() > 1 {
            (bytes[0], bytes[1]) = (VERSION, kind);
        }
        if let Ok(datagram) = Datagram::decode(&bytes) {
            prop_assert_eq!(&datagram.encode()[..], &bytes[..], "there is one way to write each");
        }
        let bytes = Bytes::from(bytes);
        if let Ok(frame) = Frame::decode(&bytes, LONGEST) {
            prop_assert_eq!(frame.encode(), bytes);
        }
    }
}

#[test]
fn a_question_in_bytes() {
    let find = Datagram::Find { id: 0x0102_0304_0506_0708, node: true, keys: vec![Key([9; 32])] };
    let mut bytes = vec![1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
    bytes.extend([9; 32]);
    assert_eq!(&find.encode()[..], &bytes[..]);
}

#[test]
fn wants_are_packed_four_to_a_byte() {
    let wants = vec![Want::Send, Want::Have, Want::NoRoom, Want::Coming, Want::Send];
    let bytes = Datagram::Wanted { id: 1, wants }.encode();
    assert_eq!(&bytes[10..], &[0, 5, 0b1011_0001, 0b01]);
    let mut padded = bytes.to_vec();
    padded[13] |= 0b100;
    assert_eq!(Datagram::decode(&padded), Err(Error::Invalid("the padding of wants")));
}

#[test]
fn what_is_too_long_is_refused() {
    let block = Frame::Block { id: 1, bytes: Bytes::from(vec![0; LONGEST + 7]) }.encode();
    assert_eq!(Frame::decode(&block, LONGEST), Err(Error::TooLong("a store frame")));
    assert_eq!(Datagram::decode(&[1; MAX_DATAGRAM + 1]), Err(Error::TooLong("a store datagram")));
    // A list that says to be longer than the bytes that follow allocates nothing.
    let lies = [&[VERSION, 3][..], &[0; 8], &[0], &700u16.to_be_bytes()].concat();
    assert_eq!(Datagram::decode(&lies), Err(Error::Truncated("a list")));
    let wrong_index = [&[VERSION, 2][..], &[0; 8], &[0, 1, 1, 0]].concat();
    assert_eq!(Datagram::decode(&wrong_index), Err(Error::Invalid("the index of a node")));
}

#[test]
fn a_later_version_is_not_the_senders_fault() {
    assert!(matches!(Datagram::decode(&[2, 1]), Err(Error::Unsupported(_))));
    let later = Bytes::from_static(&[VERSION, 99, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(matches!(Frame::decode(&later, LONGEST), Err(Error::Unsupported(_))));
}
