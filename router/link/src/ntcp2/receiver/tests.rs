use super::*;
use crate::ntcp2::xk::Xk;
use crate::ntcp2::{FRAME_TARGET, Sender};
use crate::testing::now;
use allium_crypto::Rng;
use allium_crypto::x25519::StaticSecret;
use allium_wire::i2np::{self, Kind, Message};
use allium_wire::{Date, Now};
use proptest::prelude::*;

/// The two ends of one direction, without a handshake.
fn pair() -> (Sender, Receiver) {
    let mut rng = Rng::from_seed([5; 32]);
    let bob = StaticSecret::generate(&mut rng);
    let (to, _) = Xk::new(&bob.public()).split();
    let (from, _) = Xk::new(&bob.public()).split();
    (Sender::new(to, now(0).instant, rng), Receiver::new(from))
}

fn message(id: u32, len: usize) -> Message {
    Message { kind: Kind::TunnelData, id, expires: Date(1_795_132_860_000), body: BytesMut::zeroed(len) }
}

/// Takes the next frame off the bytes.
fn next(receiver: &mut Receiver, bytes: &mut &[u8]) -> Result<Frame, Error> {
    let (head, rest) = bytes.split_first_chunk().unwrap();
    let len = receiver.length(*head)?;
    let (frame, rest) = rest.split_at(len);
    *bytes = rest;
    receiver.open(frame.into())
}

/// What a frame of these very blocks brings.
fn raw(blocks: &[u8]) -> Result<Vec<Result<Event, Error>>, Error> {
    let (mut sender, mut receiver) = pair();
    let mut out = Vec::new();
    sender.raw(&mut out, blocks);
    Ok(next(&mut receiver, &mut &out[..])?.collect())
}

fn block(kind: u8, data: &[u8]) -> Vec<u8> {
    [&frame::header(kind, data.len())[..], data].concat()
}

#[test]
fn messages_come_back_in_order_and_as_parts_of_the_frame() {
    let (mut sender, mut receiver) = pair();
    let messages: Vec<_> = (0..40).map(|id| message(id, 1028)).collect();
    let mut out = Vec::new();
    let (mut sent, mut counts) = (0, Vec::new());
    while sent < messages.len() {
        let count = sender.seal(&mut out, now(0), &messages[sent..]).unwrap();
        counts.push(count);
        sent += count;
    }
    assert_eq!(counts, [15, 15, 10]);
    let mut bytes = &out[..];
    let mut id = 0;
    while !bytes.is_empty() {
        for event in next(&mut receiver, &mut bytes).unwrap() {
            let Event::I2np(came) = event.unwrap() else { panic!() };
            assert_eq!((came.id, came.kind, came.body.len()), (id, Kind::TunnelData, 1028));
            assert_eq!(came.expires, messages[0].expires);
            id += 1;
        }
    }
    assert_eq!(id, 40);
    assert_eq!((sender.frames(), receiver.frames()), (3, 3));
}

#[test]
fn no_messages_make_no_frame() {
    let (mut sender, _) = pair();
    let mut out = Vec::new();
    assert_eq!(sender.seal(&mut out, now(0), []), Ok(0));
    assert!(out.is_empty());
}

#[test]
fn a_large_message_has_a_frame_to_itself_and_a_larger_one_has_none() {
    let most = i2np::MAX;
    for len in [0, FRAME_TARGET, most - 1, most] {
        let (mut sender, mut receiver) = pair();
        let mut out = Vec::new();
        assert_eq!(sender.seal(&mut out, now(0), &[message(1, len), message(2, FRAME_TARGET)]), Ok(1));
        let events: Vec<_> = next(&mut receiver, &mut &out[..]).unwrap().collect();
        let [Ok(Event::I2np(came))] = &events[..] else { panic!("{events:?}") };
        assert_eq!(came.body.len(), len);
    }
    let (mut sender, _) = pair();
    let mut out = vec![7];
    let error = sender.seal(&mut out, now(0), &[message(1, most + 1)]).unwrap_err();
    assert_eq!(error, Error::Oversize(most + 1));
    assert_eq!(sender.seal(&mut out, now(0), &[message(1, 9), message(1, most + 1)]), Ok(1));
    assert_eq!(out[0], 7);
}

#[test]
fn other_blocks_come_back() {
    let (mut sender, mut receiver) = pair();
    let mut out = Vec::new();
    let options = PaddingOptions { send_max: 3, receive_delay: 0x0102, ..PaddingOptions::default() };
    sender.router_info(&mut out, b"an info", true).unwrap();
    sender.date_time(&mut out, Now { date: Date(1_499), ..now(0) }).unwrap();
    sender.date_time(&mut out, Now { date: Date(1_500), ..now(0) }).unwrap();
    sender.options(&mut out, &options).unwrap();
    sender.terminate(&mut out, Reason::IdleTimeout, 77).unwrap();
    let mut bytes = &out[..];
    let mut events = Vec::new();
    while !bytes.is_empty() {
        events.extend(next(&mut receiver, &mut bytes).unwrap().map(Result::unwrap));
    }
    let [
        Event::RouterInfo { info, flood: true },
        Event::DateTime(1),
        Event::DateTime(2),
        Event::Options(came),
        Event::Termination { reason: Reason::IdleTimeout, received: 77 },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((&info[..], came), (&b"an info"[..], &options));
    assert_eq!(sender.date_time(&mut out, now(0)), Err(Error::Closed));
    assert_eq!(sender.seal(&mut out, now(0), &[message(1, 1)]), Err(Error::Closed));
    assert!(matches!(sender.router_info(&mut out, &vec![0; 65_516], false), Err(Error::Oversize(65_516))));
}

#[test]
fn the_time_is_told_now_and_then() {
    let (mut sender, mut receiver) = pair();
    for (minutes, told) in [(0, false), (14, false), (15, true), (16, false), (29, false), (30, true)] {
        let mut out = Vec::new();
        sender.seal(&mut out, now(minutes * 60_000), &[message(1, 1)]).unwrap();
        let events: Vec<_> = next(&mut receiver, &mut &out[..]).unwrap().collect();
        assert_eq!(events.iter().any(|event| matches!(event, Ok(Event::DateTime(_)))), told, "{minutes} min");
    }
}

#[test]
fn padding_stays_within_what_the_peer_takes() {
    let sizes = |ratio: Option<u8>| {
        let (mut sender, _) = pair();
        if let Some(receive_max) = ratio {
            sender.limit_padding(&PaddingOptions { receive_max, ..PaddingOptions::default() });
        }
        let size = |sender: &mut Sender| {
            let mut out = Vec::new();
            sender.seal(&mut out, now(0), &[message(1, 88)]).unwrap();
            out.len() - 2 - TAG - 100
        };
        (0..100).map(|_| size(&mut sender)).collect::<Vec<_>>()
    };
    assert!(sizes(Some(0)).iter().all(|size| *size == 0));
    assert!(sizes(Some(1)).iter().all(|size| *size <= 6));
    let free = sizes(None);
    assert!(free.iter().all(|size| (3..=34).contains(size)));
    assert!(free.contains(&3) && free.iter().any(|size| *size > 25));
}

#[test]
fn a_frame_too_short_for_its_tag_ends_the_direction() {
    for len in 0..16_u16 {
        let (_, mut receiver) = pair();
        let mask = pair().1.next_mask();
        let error = receiver.length((len ^ mask).to_be_bytes()).unwrap_err();
        assert_eq!(error, Error::Length(Stage::Data, len.into()));
        assert_eq!(receiver.length([0; 2]).unwrap_err(), Error::Closed);
        assert_eq!(receiver.open(BytesMut::zeroed(32)).unwrap_err(), Error::Closed);
    }
    let (_, mut receiver) = pair();
    assert_eq!(receiver.open(BytesMut::zeroed(15)).unwrap_err(), Error::Authentication(Stage::Data));
}

#[test]
fn every_flipped_bit_is_an_error_and_the_last() {
    let (mut sender, _) = pair();
    let mut out = Vec::new();
    sender.seal(&mut out, now(0), &[message(1, 30)]).unwrap();
    for at in 2..out.len() {
        let (_, mut receiver) = pair();
        let mut changed = out.clone();
        changed[at] ^= 1 << (at % 8);
        let error = next(&mut receiver, &mut &changed[..]).unwrap_err();
        assert_eq!(error, Error::Authentication(Stage::Data));
        assert_eq!(receiver.open(out[2..].into()).unwrap_err(), Error::Closed);
    }
}

#[test]
fn replayed_and_reordered_frames_do_not_open() {
    let (mut sender, mut receiver) = pair();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    sender.seal(&mut one, now(0), &[message(1, 30)]).unwrap();
    sender.seal(&mut two, now(0), &[message(2, 30)]).unwrap();
    assert!(receiver.open(one[2..].into()).is_ok());
    assert!(receiver.open(one[2..].into()).is_err());
    assert!(pair().1.open(two[2..].into()).is_err());
}

#[test]
fn nonces_are_never_used_twice() {
    let (mut sender, mut receiver) = pair();
    sender.set_frames(u64::MAX - 1);
    let mut out = Vec::new();
    assert_eq!(sender.seal(&mut out, now(0), &[message(1, 1)]), Ok(1));
    let len = out.len();
    assert_eq!(sender.seal(&mut out, now(0), &[message(1, 1)]), Err(Error::Exhausted));
    assert_eq!(sender.terminate(&mut out, Reason::Normal, 0), Err(Error::Exhausted));
    assert_eq!(out.len(), len);
    receiver.frames = u64::MAX;
    assert_eq!(receiver.open(out[2..].into()).unwrap_err(), Error::Exhausted);
}

#[test]
fn blocks_out_of_order_or_size_refuse_the_whole_frame() {
    let good = block(3, &[18, 0, 0, 0, 1, 0, 0, 0, 9, 42]);
    let (padding, termination) = (block(254, &[0; 3]), block(4, &[0; 9]));
    let blocks: &[&[u8]] = &[
        &[&padding[..], &good].concat(),
        &[&padding[..], &padding].concat(),
        &[&termination[..], &good].concat(),
        &[&termination[..], &termination].concat(),
        &[&termination[..], &padding, &padding].concat(),
        &block(0, &[0; 3]),
        &block(0, &[0; 5]),
        &block(1, &[0; 11]),
        &block(2, &[0]),
        &block(3, &[0; 8]),
        &block(4, &[0; 8]),
        &[3],
        &[3, 0],
        &[3, 0, 1],
        &[&good[..], &[254, 255, 255]].concat(),
        &good[..good.len() - 1],
    ];
    for blocks in blocks {
        let error = raw(blocks).unwrap_err();
        assert!(matches!(error, Error::Blocks(Stage::Data, _)), "{blocks:?}: {error}");
        assert_eq!(error.reason(), Reason::PayloadFormat);
    }
}

#[test]
fn unknown_blocks_and_padding_are_skipped() {
    assert!(raw(&[]).unwrap().is_empty());
    let good = block(3, &[18, 0, 0, 0, 1, 0, 0, 0, 9, 42]);
    let (padding, termination) = (block(254, &[0; 3]), block(4, &[0, 0, 0, 0, 0, 0, 0, 5, 99, 1, 2]));
    let frame = [&block(224, b"news")[..], &good, &block(5, &[]), &termination, &block(77, &[1]), &padding];
    let events = raw(&frame.concat()).unwrap();
    let [Ok(Event::I2np(message)), Ok(Event::Termination { reason: Reason::Other(99), received: 5 })] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(message.body[..], [42]);
    assert_eq!(message.expires, Date(9000));
}

proptest! {
    #[test]
    fn any_blocks_open_or_fail_but_never_panic(blocks in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(events) = raw(&blocks) {
            prop_assert!(events.len() <= blocks.len() / 3);
        }
    }

    #[test]
    fn any_sequence_of_small_blocks_opens_or_fails(
        kinds in proptest::collection::vec((prop_oneof![0..6_u8, Just(254)], 0..20_usize), 0..12),
    ) {
        let blocks: Vec<u8> = kinds.iter().flat_map(|(kind, len)| block(*kind, &vec![1; *len])).collect();
        let _ = raw(&blocks);
    }

    #[test]
    fn noise_never_opens(noise in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(pair().1.open(noise[..].into()).is_err());
    }

    #[test]
    fn any_messages_come_back(lens in proptest::collection::vec(0..6000_usize, 1..30)) {
        let (mut sender, mut receiver) = pair();
        let messages: Vec<_> = lens.iter().zip(0..).map(|(len, id)| message(id, *len)).collect();
        let (mut out, mut sent) = (Vec::new(), 0);
        while sent < messages.len() {
            let count = sender.seal(&mut out, now(0), &messages[sent..]).unwrap();
            prop_assert!(count > 0);
            sent += count;
        }
        let (mut bytes, mut came) = (&out[..], Vec::new());
        while !bytes.is_empty() {
            for event in next(&mut receiver, &mut bytes).unwrap() {
                if let Event::I2np(message) = event.unwrap() {
                    came.push((message.id, message.body.len()));
                }
            }
        }
        let expected: Vec<_> = messages.iter().map(|message| (message.id, message.body.len())).collect();
        prop_assert_eq!(came, expected);
    }
}
