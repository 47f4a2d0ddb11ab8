//! Peers that do not keep to the rules.

use allium_crypto::Rng;
use allium_wire::streaming::flags;
use allium_wire::{Destination, DestinationKeys, Now};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::packet::{Header, hash_as_nacks};
use crate::testing::app::bytes;
use crate::testing::{at, host, ms, start};
use crate::{Config, ConnectionId, Event, Host};

/// A host and a peer that has opened a connection to it with stream ID 77.
fn opened(config: Config) -> (Host, DestinationKeys, ConnectionId, std::time::Instant) {
    let (mut host, to): (Host, Destination) = host(1, config);
    let peer = DestinationKeys::generate(&mut Rng::from_seed([9; 32]));
    let header = Header {
        receive_id: 77,
        nacks: &hash_as_nacks(&to.hash()),
        flags: flags::SYNCHRONIZE | flags::NO_ACK,
        ..Header::default()
    };
    let time = start();
    let syn = header.signed(Some(peer.destination()), Some(1812), b"", peer.signing());
    host.handle_packet(at(time, ms(0)), None, 5, 80, syn.into());
    let Some(Event::Incoming { id, .. }) = host.poll_event() else { panic!("no connection") };
    (host, peer, id, time)
}

fn give(host: &mut Host, now: Now, header: Header<'_>, payload: &[u8]) {
    host.handle_packet(now, None, 5, 80, header.plain(payload).into());
}

#[test]
fn absurd_acknowledgements_change_nothing() {
    let (mut host, _, id, time) = opened(Config::default());
    host.write(id, &bytes(0, 500_000)).expect("room");
    let sent = std::iter::from_fn(|| host.poll_transmit(at(time, ms(1)))).count() as u32;
    let before = host.stats(id).expect("stats");
    let now = at(time, ms(2));
    for ack_through in [sent, sent + 1, 1 << 20, u32::MAX] {
        give(&mut host, now, Header { send_id: id.0, receive_id: 77, ack_through, ..Header::default() }, b"");
    }
    assert_eq!(host.host_stats().absurd_acks, 4);
    let after = host.stats(id).expect("stats");
    assert_eq!((before.unacknowledged, before.in_flight), (after.unacknowledged, after.in_flight));
}

#[test]
fn a_flood_of_nacks_is_no_flood_of_packets() {
    let (mut host, _, id, time) = opened(Config::default());
    host.write(id, &bytes(0, 1_000_000)).expect("room");
    let mut sent = 0;
    for step in 0..2000 {
        let now = at(time, ms(step));
        sent += std::iter::from_fn(|| host.poll_transmit(now)).count();
        let highest = host.stats(id).expect("stats").packets_sent as u32 - 1;
        let nacks: Vec<u32> = (0..highest.min(255)).rev().collect();
        let header = Header {
            send_id: id.0,
            receive_id: 77,
            ack_through: highest,
            nacks: &nacks,
            ..Header::default()
        };
        give(&mut host, now, header, b"");
    }
    let stats = host.stats(id).expect("stats");
    assert!(sent < 3000 && stats.retransmits < 1500, "{sent} {stats:?}");
}

#[test]
fn what_is_far_ahead_is_not_kept() {
    let (mut host, _, id, time) = opened(Config { receive_buffer: 1 << 20, ..Config::default() });
    let now = at(time, ms(5));
    let mut rng = Rng::from_seed([1; 32]);
    for sequence in [4097, 1 << 20, u32::MAX - 1, u32::MAX] {
        give(
            &mut host,
            now,
            Header { send_id: id.0, receive_id: 77, sequence, ..Header::default() },
            &[1; 1000],
        );
    }
    assert_eq!(host.stats(id).expect("stats").packets_received, 1);
    for _ in 0..20_000 {
        let sequence = 2 + rng.below(6000) as u32;
        give(
            &mut host,
            now,
            Header { send_id: id.0, receive_id: 77, sequence, ..Header::default() },
            &[1; 1000],
        );
    }
    let kept = host.stats(id).expect("stats").packets_received;
    assert!(kept < 1 + (1 << 20) / 1000, "{kept}");
    // The one that is missing still gets in, and all that was kept comes out.
    give(
        &mut host,
        now,
        Header { send_id: id.0, receive_id: 77, sequence: 1, ..Header::default() },
        &[1; 1000],
    );
    assert!(matches!(host.read_chunk(id, 4096), Ok(Some(chunk)) if chunk.len() == 1000));
}

#[test]
fn a_flood_before_any_syn_is_bounded() {
    let (mut host, _, _, time) = opened(Config::default());
    for id in 0..50_000u32 {
        let header = Header { receive_id: 1000 + id, sequence: 1, ..Header::default() };
        give(&mut host, at(time, ms(1)), header, &[0; 1500]);
    }
    assert!(host.early_bytes() <= 1 << 20);
    give(&mut host, at(time, ms(4000)), Header { receive_id: 1, sequence: 1, ..Header::default() }, b"");
    assert!(host.early_bytes() < 1000);
    assert_eq!(host.host_stats().connections, 1);
}

#[test]
fn a_peer_that_ignores_choking_loses_its_packets() {
    let (mut host, _, id, time) = opened(Config { receive_buffer: 100_000, ..Config::default() });
    for sequence in 1..2000 {
        let now = at(time, ms(u64::from(sequence)));
        give(
            &mut host,
            now,
            Header { send_id: id.0, receive_id: 77, sequence, ..Header::default() },
            &[1; 1000],
        );
        while host.poll_transmit(now).is_some() {}
    }
    assert!(host.stats(id).expect("stats").bytes_received <= 125_000);
}

/// A step of an attacker who knows the stream IDs.
#[derive(Clone, Debug)]
enum Step {
    Packet { sequence: u32, ack: u32, nacks: Vec<u32>, flags: u16, delay: Option<u16>, length: usize },
    Raw(Vec<u8>),
    Write(usize),
    Read(usize),
    Wait(u64),
    Shutdown,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || prop_oneof![0u32..40, any::<u32>(), 4000u32..5000];
    let bits = prop_oneof![Just(0u16), any::<u16>(), Just(flags::CLOSE), Just(flags::SYNCHRONIZE)];
    let nacks = proptest::collection::vec(number(), 0..300);
    let packet = (number(), number(), nacks, bits, any::<Option<u16>>(), 0usize..2000).prop_map(
        |(sequence, ack, nacks, flags, delay, length)| Step::Packet {
            sequence,
            ack,
            nacks,
            flags,
            delay,
            length,
        },
    );
    let step = prop_oneof![
        6 => packet,
        1 => proptest::collection::vec(any::<u8>(), 0..600).prop_map(Step::Raw),
        2 => (0usize..30_000).prop_map(Step::Write),
        1 => (0usize..3000).prop_map(Step::Read),
        3 => (0u64..5000).prop_map(Step::Wait),
        1 => Just(Step::Shutdown),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_loops(steps in steps(), known: bool) {
        let (mut host, peer, id, time) = opened(Config { receive_buffer: 200_000, ..Config::default() });
        let hint = known.then(|| peer.destination().dest_hash());
        let mut elapsed = 0;
        for step in steps {
            let now = at(time, ms(elapsed));
            match step {
                Step::Packet { sequence, ack, nacks, flags, delay, length } => {
                    let header = Header {
                        send_id: id.0,
                        receive_id: 77,
                        sequence,
                        ack_through: ack,
                        nacks: &nacks,
                        resend_delay: 0,
                        flags: flags & !flags::DELAY_REQUESTED,
                        delay_requested: delay,
                    };
                    host.handle_packet(now, hint, 5, 80, header.plain(&vec![3; length]).into());
                }
                Step::Raw(bytes) => host.handle_packet(now, hint, 5, 80, Bytes::from(bytes)),
                Step::Write(length) => drop(host.write(id, &vec![1; length])),
                Step::Read(length) => drop(host.read(id, &mut vec![0; length])),
                Step::Wait(time) => elapsed += time,
                Step::Shutdown => drop(host.shutdown(id)),
            }
            let now = at(time, ms(elapsed));
            let sent = std::iter::from_fn(|| host.poll_transmit(now)).take(10_000).count();
            prop_assert!(sent < 5000);
            prop_assert!(std::iter::from_fn(|| host.poll_event()).take(100).count() < 100);
        }
        host.close(id);
        let mut polls = 0;
        while host.host_stats().connections > 0 {
            let Some(deadline) = host.deadline() else { break };
            let now = deadline.max(time + ms(elapsed)).saturating_duration_since(time);
            elapsed = elapsed.max(now.as_nanos().div_ceil(1_000_000) as u64);
            while host.poll_transmit(at(time, ms(elapsed))).is_some() {}
            polls += 1;
            prop_assert!(polls < 5000, "it ends");
        }
        prop_assert_eq!(host.host_stats().connections, 0);
    }
}
