use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::testing::{ms, start};

fn receiver() -> Receiver {
    Receiver::new(&Config { receive_buffer: 10_000, receive_window: 1000, ..Config::default() })
}

fn data(length: usize) -> Bytes {
    Bytes::from(vec![1; length])
}

#[test]
fn order_gaps_and_copies() {
    let mut receiver = receiver();
    let mut nacks = Vec::new();
    assert_eq!(receiver.accept(0, data(1), false), Arrival::InOrder);
    assert_eq!(receiver.accept(3, data(3), false), Arrival::Early);
    assert_eq!(receiver.accept(3, data(3), false), Arrival::Duplicate);
    assert_eq!(receiver.accept(0, data(1), false), Arrival::Duplicate);
    assert_eq!(receiver.acknowledgement(&mut nacks), 3);
    assert_eq!(nacks, [1, 2]);
    assert_eq!(receiver.contiguous(), 0);
    assert_eq!(receiver.accept(1, data(1), false), Arrival::InOrder);
    assert_eq!(receiver.accept(2, data(1), false), Arrival::InOrder);
    assert_eq!(receiver.acknowledgement(&mut nacks), 3);
    assert!(nacks.is_empty() && !receiver.has_gap());
    assert_eq!((receiver.readable(), receiver.packets, receiver.duplicates), (6, 4, 2));
    assert_eq!(receiver.accept(1003, data(1), false), Arrival::Early);
    assert_eq!(receiver.accept(1004, data(1), false), Arrival::Refused);
}

#[test]
fn the_last_packet_ends_it() {
    let mut receiver = receiver();
    receiver.accept(0, data(1), false);
    receiver.accept(2, data(0), true);
    receiver.accept(3, data(5), false);
    assert!(!receiver.finished());
    receiver.accept(1, data(1), false);
    assert!(receiver.finished());
    assert_eq!((receiver.readable(), receiver.contiguous()), (2, 2));
    assert_eq!(receiver.accept(4, data(1), false), Arrival::Duplicate);
}

#[test]
fn no_more_than_255_gaps_are_told() {
    let mut receiver = Receiver::new(&Config::default());
    for sequence in (0..1000).step_by(2) {
        receiver.accept(sequence, data(1), false);
    }
    let mut nacks = Vec::new();
    assert_eq!(receiver.acknowledgement(&mut nacks), 510);
    assert_eq!(nacks.len(), 255);
    assert_eq!(nacks.last(), Some(&509));
}

#[test]
fn bulk_is_acknowledged_less_often() {
    let begin = start();
    let mut receiver = Receiver::new(&Config::default());
    let mut acks = [0, 0];
    for sequence in 0..2000u32 {
        let now = begin + Duration::from_micros(u64::from(sequence) * 500);
        let arrival = receiver.accept(sequence, data(1), false);
        receiver.plan_ack(now, arrival, Some(0.7), false);
        if receiver.ack_at.is_some_and(|at| at <= now) {
            receiver.acknowledged(now);
            acks[usize::from(sequence > 200)] += 1;
        }
        receiver.read_chunk(10);
    }
    assert!(acks[0] > 8 && (50..80).contains(&acks[1]), "{acks:?}");
}

#[test]
fn a_wish_for_an_ack_is_met_soon_and_not_too_often() {
    let now = start();
    let mut receiver = Receiver::new(&Config::default());
    let arrival = receiver.accept(0, data(1), false);
    receiver.plan_ack(now, arrival, Some(0.7), false);
    assert_eq!(receiver.ack_at, Some(now + ms(40)));
    receiver.plan_ack(now, arrival, Some(0.7), true);
    assert_eq!(receiver.ack_at, Some(now));
    receiver.acknowledged(now);
    receiver.plan_ack(now, arrival, Some(0.7), true);
    assert_eq!(receiver.ack_at, Some(now + ms(8)));
}

#[test]
fn choking_begins_at_half_and_ends_at_a_quarter() {
    let mut receiver = receiver();
    for sequence in 0..6 {
        assert_eq!(receiver.choke(), None);
        receiver.accept(sequence, data(1000), false);
    }
    assert_eq!(receiver.choke(), Some(true));
    for _ in 0..3 {
        receiver.read_chunk(1000);
    }
    assert_eq!(receiver.choke(), Some(true));
    receiver.read_chunk(1000);
    assert_eq!(receiver.choke(), Some(false));
    assert!(receiver.unchoke_due);
    for _ in 0..UNCHOKES {
        receiver.acknowledged(start());
    }
    assert_eq!((receiver.choke(), receiver.ack_at), (None, None));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    /// Against a plain set: what is acknowledged is what came, and what is read is in order.
    #[test]
    fn like_a_set(sequences in proptest::collection::vec(0u32..60, 1..200)) {
        let mut receiver = Receiver::new(&Config::default());
        let mut came = std::collections::BTreeSet::new();
        let mut nacks = Vec::new();
        for sequence in sequences {
            let arrival = receiver.accept(sequence, Bytes::copy_from_slice(&[sequence as u8]), false);
            prop_assert_eq!(arrival == Arrival::Duplicate, !came.insert(sequence));
            let through = receiver.acknowledgement(&mut nacks);
            if came.contains(&0) {
                prop_assert_eq!(Some(&through), came.last());
                let missing: Vec<u32> = (0..through).filter(|sequence| !came.contains(sequence)).collect();
                prop_assert_eq!(&nacks, &missing);
            }
        }
        let mut read = Vec::new();
        while let Some(chunk) = receiver.read_chunk(7) {
            read.extend_from_slice(&chunk);
        }
        let expected: Vec<u8> = (0u8..60).take_while(|&sequence| came.contains(&u32::from(sequence))).collect();
        prop_assert_eq!(read, expected);
    }
}
