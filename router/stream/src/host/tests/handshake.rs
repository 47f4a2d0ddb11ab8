//! Opening, closing, refusing, pinging.

use allium_crypto::Rng;
use allium_crypto::sign::SigningKey;
use allium_wire::streaming::{Packet, flags};
use allium_wire::{Destination, DestinationKeys, Now};
use bytes::Bytes;

use crate::packet::{Header, hash_as_nacks};
use crate::testing::app::{Service, bytes};
use crate::testing::link::Link;
use crate::testing::{Sim, at, host, ms, start};
use crate::{Config, ConnectionId, Error, Event, Host, Reason, Transmit};

fn keys(seed: u8) -> DestinationKeys {
    DestinationKeys::generate(&mut Rng::from_seed([seed; 32]))
}

fn now() -> Now {
    at(start(), ms(1))
}

/// A SYN of `keys` for the destination with this hash.
fn syn(keys: &DestinationKeys, to: &Destination, id: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        receive_id: id,
        nacks: &hash_as_nacks(&to.hash()),
        flags: flags::SYNCHRONIZE | flags::NO_ACK,
        ..Header::default()
    };
    header.signed(Some(keys.destination()), Some(1730), payload, keys.signing())
}

fn give(host: &mut Host, now: Now, packet: &[u8]) {
    host.handle_packet(now, None, 5, 80, Bytes::copy_from_slice(packet));
}

fn incoming(host: &mut Host) -> Option<ConnectionId> {
    loop {
        if let Event::Incoming { id, .. } = host.poll_event()? {
            return Some(id);
        }
    }
}

fn drain(host: &mut Host, now: Now) -> Vec<Transmit> {
    std::iter::from_fn(|| host.poll_transmit(now)).collect()
}

fn decode(transmit: &Transmit) -> Packet {
    Packet::decode(&Bytes::from(transmit.packet.clone()), None).expect("a packet")
}

#[test]
fn a_syn_is_answered_once_and_its_copy_again() {
    let (mut host, to) = host(1, Config::default());
    let peer = keys(9);
    let time = start();
    let packet = syn(&peer, &to, 77, b"request");
    give(&mut host, at(time, ms(0)), &packet);
    let id = incoming(&mut host).expect("a connection");
    assert_eq!(
        host.peer(id).map(|(peer, theirs, ours)| (peer.clone(), theirs, ours)),
        Some((peer.destination().clone(), 5, 80))
    );
    assert!(drain(&mut host, at(time, ms(1))).is_empty(), "the answer waits for data");
    let answers = drain(&mut host, at(time, ms(25)));
    assert_eq!(answers.len(), 1);
    let answer = decode(&answers[0]);
    assert!(answers[0].first && !answers[0].is_retransmit);
    assert_eq!((answer.send_id, answer.receive_id, answer.sequence, answer.ack_through), (77, id.0, 0, 0));
    assert_eq!(answer.max_size, Some(1812));
    assert!(answer.nacks.is_empty() && answer.has(flags::SYNCHRONIZE) && !answer.has(flags::NO_ACK));
    answer.verify(&to, now().date).expect("a signature");
    // The answer was lost: the copy is answered by the same packet, and makes no second connection.
    give(&mut host, at(time, ms(3600)), &packet);
    assert!(incoming(&mut host).is_none());
    let again = drain(&mut host, at(time, ms(3601)));
    assert!(again.iter().any(|again| again.packet == answers[0].packet && again.is_retransmit));
    assert_eq!(host.host_stats().connections, 1);
    let mut buffer = [0; 100];
    assert_eq!(host.read(id, &mut buffer), Ok(Some(7)));
    assert_eq!(&buffer[..7], b"request");
    assert_eq!(host.read(id, &mut buffer), Ok(None));
    // It wants an answer itself; what acknowledges data alone does not.
    assert!(answers[0].asks && answers[0].early);
    let data = Header { send_id: id.0, receive_id: 77, sequence: 1, ack_through: 0, ..Header::default() };
    give(&mut host, at(time, ms(3700)), &data.plain(b"more"));
    let acks = drain(&mut host, at(time, ms(3800)));
    assert!(acks.len() == 1 && !acks[0].asks && !acks[0].early, "the SYN is known to have arrived: {acks:?}");
}

#[test]
fn data_written_at_once_goes_with_the_answer() {
    let (mut host, to) = host(1, Config::default());
    let time = start();
    give(&mut host, at(time, ms(0)), &syn(&keys(9), &to, 77, b"request"));
    let id = incoming(&mut host).expect("a connection");
    assert_eq!(host.write(id, &bytes(0, 5000)), Ok(5000));
    let answers = drain(&mut host, at(time, ms(1)));
    assert_eq!(answers.len(), 3);
    assert_eq!(decode(&answers[0]).payload, bytes(0, 1730), "the peer takes no more");
    assert_eq!(decode(&answers[1]).payload, bytes(1730, 1730));
    assert!(answers.iter().all(|answer| answer.path_hint == answers[0].path_hint));
}

#[test]
fn what_is_not_for_us_or_not_signed_creates_nothing() {
    let (mut host, to) = host(1, Config::default());
    let peer = keys(9);
    let now = now();
    let other = keys(10);
    give(&mut host, now, &syn(&peer, other.destination(), 77, b"replayed"));
    assert_eq!(host.host_stats().misdirected, 1);
    let unbound = Header { receive_id: 78, flags: flags::SYNCHRONIZE | flags::NO_ACK, ..Header::default() };
    let unbound = unbound.signed(Some(peer.destination()), None, b"old", peer.signing());
    give(&mut host, now, &unbound);
    assert_eq!(host.host_stats().misdirected, 2);
    let mut forged = syn(&peer, &to, 79, b"forged");
    *forged.last_mut().unwrap() ^= 1;
    give(&mut host, now, &forged);
    let by_other = Header {
        receive_id: 80,
        nacks: &hash_as_nacks(&to.hash()),
        flags: flags::SYNCHRONIZE | flags::NO_ACK,
        ..Header::default()
    };
    give(&mut host, now, &by_other.signed(Some(peer.destination()), None, b"x", other.signing()));
    assert_eq!(host.host_stats().forged, 2);
    let stats = host.host_stats();
    assert_eq!((stats.connections, stats.paths), (0, 0));
    assert!(host.poll_event().is_none() && host.poll_transmit(now).is_none());
    let (mut lenient, _) = crate::testing::host(1, Config { accept_unbound: true, ..Config::default() });
    give(&mut lenient, now, &unbound);
    assert!(incoming(&mut lenient).is_some());
}

/// Takes the signature out of a signed packet with a `FROM` option and a maximum size.
fn without_signature(packet: &[u8], nacks: usize) -> Vec<u8> {
    let at = 17 + nacks * 4 + 1;
    let mut packet = packet.to_vec();
    let bits = u16::from_be_bytes([packet[at], packet[at + 1]]) & !flags::SIGNATURE_INCLUDED;
    packet[at..at + 2].copy_from_slice(&bits.to_be_bytes());
    let options = usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]]));
    packet[at + 2..at + 4].copy_from_slice(&(options as u16 - 64).to_be_bytes());
    packet.drain(at + 4 + options - 64..at + 4 + options);
    packet
}

#[test]
fn a_session_may_prove_what_no_signature_does() {
    let peer = keys(9);
    let (mut host, to) = host(1, Config::default());
    let now = now();
    let unsigned = Bytes::from(without_signature(&syn(&peer, &to, 77, b"hello"), 8));
    host.handle_packet(now, None, 5, 80, unsigned.clone());
    host.handle_packet(now, Some(to.dest_hash()), 5, 80, unsigned.clone());
    assert_eq!(host.host_stats().forged, 2);
    host.handle_packet(now, Some(peer.destination().dest_hash()), 5, 80, unsigned);
    let id = incoming(&mut host).expect("a connection");
    // The same holds for its CLOSE.
    let close =
        Header { send_id: id.0, receive_id: 77, sequence: 1, flags: flags::CLOSE, ..Header::default() };
    let close = Bytes::from(close.plain(&[]));
    host.handle_packet(now, None, 5, 80, close.clone());
    assert_eq!(host.host_stats().forged, 3);
    host.handle_packet(now, Some(peer.destination().dest_hash()), 5, 80, close);
    let mut buffer = [0; 10];
    assert_eq!(host.read(id, &mut buffer), Ok(Some(5)));
    assert_eq!(host.read(id, &mut buffer), Ok(Some(0)));
}

#[test]
fn a_transient_key_signs_for_its_destination() {
    let (mut host, to) = host(1, Config::default());
    let peer = keys(9);
    let transient = SigningKey::from_seed([42; 32]);
    // Expiry, type 7, key, and the destination's signature over these.
    let mut offline = (u32::MAX).to_be_bytes().to_vec();
    offline.extend_from_slice(&[0, 7]);
    offline.extend_from_slice(&transient.public());
    let voucher = peer.signing().sign(&[&offline]);
    offline.extend_from_slice(&voucher);
    let header = Header {
        receive_id: 77,
        nacks: &hash_as_nacks(&to.hash()),
        flags: flags::SYNCHRONIZE | flags::NO_ACK | flags::OFFLINE_SIGNATURE,
        ..Header::default()
    };
    let mut packet = header.signed(Some(peer.destination()), Some(1812), b"hi", &transient);
    let options_at = 17 + 32 + 3;
    let length = u16::from_be_bytes([packet[options_at], packet[options_at + 1]]) + offline.len() as u16;
    packet[options_at..options_at + 2].copy_from_slice(&length.to_be_bytes());
    let signature_at = packet.len() - 2 - 64;
    packet.splice(signature_at..signature_at, offline.iter().copied());
    let signature_at = packet.len() - 2 - 64;
    packet[signature_at..signature_at + 64].fill(0);
    let signature = transient.sign(&[&packet]);
    packet[signature_at..signature_at + 64].copy_from_slice(&signature);
    let now = now();
    give(&mut host, now, &packet);
    let id = incoming(&mut host).expect("a connection");
    // Later packets are signed by the transient key and do not say so again.
    let close =
        Header { send_id: id.0, receive_id: 77, sequence: 1, flags: flags::CLOSE, ..Header::default() };
    give(&mut host, now, &close.signed(None, None, b"", peer.signing()));
    assert_eq!(host.host_stats().forged, 0, "the destination's own key is as good");
    let (mut second, _) = crate::testing::host(1, Config::default());
    give(&mut second, now, &packet);
    let id = incoming(&mut second).expect("a connection");
    let close =
        Header { send_id: id.0, receive_id: 77, sequence: 1, flags: flags::CLOSE, ..Header::default() };
    give(&mut second, now, &close.signed(None, None, b"", &SigningKey::from_seed([43; 32])));
    assert_eq!(second.host_stats().forged, 1);
    give(&mut second, now, &close.signed(None, None, b"", &transient));
    assert_eq!(second.host_stats().forged, 1);
    let mut buffer = [0; 10];
    assert_eq!(second.read(id, &mut buffer), Ok(Some(2)));
    assert_eq!(second.read(id, &mut buffer), Ok(Some(0)));
}

#[test]
fn packets_before_the_syn_wait_for_it() {
    let (mut host, to) = host(1, Config::default());
    let peer = keys(9);
    let time = start();
    for sequence in (1..5).rev() {
        let header = Header { receive_id: 77, sequence, flags: flags::NO_ACK, ..Header::default() };
        give(&mut host, at(time, ms(0)), &header.plain(&bytes(u64::from(sequence) * 100, 100)));
    }
    assert!(host.poll_event().is_none() && host.deadline().is_none());
    give(&mut host, at(time, ms(150)), &syn(&peer, &to, 77, &bytes(0, 100)));
    let id = incoming(&mut host).expect("a connection");
    let mut buffer = [0; 1000];
    assert_eq!(host.read(id, &mut buffer), Ok(Some(500)));
    assert_eq!(&buffer[..500], bytes(0, 500));
    // But not for ever.
    let header = Header { receive_id: 78, sequence: 1, ..Header::default() };
    give(&mut host, at(time, ms(1000)), &header.plain(b"x"));
    give(
        &mut host,
        at(time, ms(5000)),
        &Header { receive_id: 79, sequence: 1, ..Header::default() }.plain(b"x"),
    );
    give(&mut host, at(time, ms(5000)), &syn(&peer, &to, 78, b"late"));
    let id = incoming(&mut host).expect("a connection");
    assert_eq!(host.read(id, &mut buffer), Ok(Some(4)));
}

#[test]
fn only_the_peer_can_break_a_connection() {
    let (mut host, to) = host(1, Config::default());
    let peer = keys(9);
    let now = now();
    give(&mut host, now, &syn(&peer, &to, 77, b""));
    let id = incoming(&mut host).expect("a connection");
    let reset = Header { send_id: id.0, receive_id: 77, flags: flags::RESET, ..Header::default() };
    let mut forged = reset.signed(None, None, &[], peer.signing());
    forged[40] ^= 1;
    give(&mut host, now, &forged);
    give(&mut host, now, &reset.signed(None, None, &[], keys(10).signing()));
    give(&mut host, now, &reset.plain(&[]));
    assert_eq!(host.host_stats().forged, 3);
    assert_eq!(host.write(id, b"still here"), Ok(10));
    give(&mut host, now, &reset.signed(None, None, &[], peer.signing()));
    assert!(
        std::iter::from_fn(|| host.poll_event())
            .any(|event| matches!(event, Event::Closed(_, Reason::Reset)))
    );
    assert_eq!(host.write(id, b"no more"), Err(Error::Over(Reason::Reset)));
    assert_eq!(host.read(id, &mut [0; 9]), Err(Error::Over(Reason::Reset)));
}

#[test]
fn no_one_there() {
    let link = Link { cut: true, ..Link::default() };
    let mut sim = Sim::new(1, &link, [Config::default(), Config::default()]);
    let id = sim.upload(100);
    sim.run_for(ms(30_000));
    assert!((7..10).contains(&sim.sides[0].sent), "one every four seconds: {}", sim.sides[0].sent);
    sim.run_for(ms(90_000));
    assert_eq!(sim.sides[0].app.streams[&id].closed, Some(Reason::TimedOut));
}

#[test]
fn a_lost_syn_is_sent_again() {
    let mut sim = Sim::new(1, &Link { cut: true, ..Link::default() }, [Config::default(), Config::default()]);
    sim.sides[1].app.service = Service::Serve(100);
    sim.upload(100);
    sim.run_for(ms(100));
    sim.sides[0].link.cut = false;
    sim.sides[1].link.cut = false;
    let time = sim.run(ms(10_000), |sim| sim.sides[0].app.received() == 100);
    assert!(time < ms(6500), "{time:?}");
}

#[test]
fn those_who_accept_nothing_refuse() {
    let mut sim =
        Sim::new(1, &Link::default(), [Config::default(), Config { accept: false, ..Config::default() }]);
    let id = sim.connect(&bytes(0, 7));
    sim.run(ms(2000), |sim| {
        sim.sides[0].app.streams.get(&id).is_some_and(|s| s.closed == Some(Reason::Refused))
    });
    assert_eq!(sim.sides[1].host.host_stats().refused, 1);
    assert_eq!(sim.sides[1].host.host_stats().connections, 0);
}

#[test]
fn limits_hold() {
    let config = Config { max_connections_per_peer: 3, max_connections: 5, ..Config::default() };
    let (mut host, to) = host(1, config);
    let now = now();
    for id in 1..=10 {
        give(&mut host, now, &syn(&keys(9), &to, id, b""));
    }
    assert_eq!((host.host_stats().connections, host.host_stats().refused), (3, 7));
    for id in 1..=10 {
        give(&mut host, now, &syn(&keys(10), &to, id + 100, b""));
    }
    assert_eq!(host.host_stats().connections, 5);
    let full = host.connect(now, keys(11).destination().clone(), 1, 2, Bytes::new());
    assert_eq!(full, Err(Error::TooMany));
    let resets = drain(&mut host, now);
    assert!(resets.iter().all(|reset| decode(reset).has(flags::RESET)));
    assert_eq!(resets.len(), 15);
}

#[test]
fn a_reset_ends_both_sides() {
    let mut sim =
        Sim::new(1, &Link { delay: ms(50), ..Link::default() }, [Config::default(), Config::default()]);
    let id = sim.connect(&bytes(0, 5));
    sim.run(ms(1000), |sim| sim.sides[0].app.streams.get(&id).is_some_and(|s| s.connected));
    let now = sim.now();
    sim.sides[0].host.reset(now, id);
    sim.run_for(ms(500));
    let there = sim.sides[1].app.incoming[0];
    assert_eq!(sim.sides[1].app.streams[&there].closed, Some(Reason::Reset));
    sim.sides[1].host.close(there);
    sim.run_for(ms(200_000));
    assert!(sim.sides.iter().all(|side| side.host.host_stats().connections == 0));
}

#[test]
fn a_peer_that_goes_on_sending_to_no_one_is_reset() {
    let mut sim =
        Sim::new(1, &Link { delay: ms(50), ..Link::default() }, [Config::default(), Config::default()]);
    let id = sim.connect(&bytes(0, 5));
    sim.sides[1].app.service = Service::Serve(50_000_000);
    sim.run(ms(3000), |sim| sim.sides[0].app.received() > 1_000_000);
    sim.sides[0].host.close(id);
    sim.run(ms(3000), |sim| sim.sides[1].app.streams.values().all(|s| s.closed == Some(Reason::Reset)));
}

#[test]
fn pings_are_answered() {
    let mut sim = Sim::new(1, &Link::default(), [Config::default(), Config::default()]);
    let to = sim.sides[1].destination.dest_hash();
    let now = sim.now();
    let ping = sim.sides[0].host.ping(now, to, 1, 2, &[7; 40]);
    let time = sim.run(ms(2000), |sim| !sim.sides[0].app.pongs.is_empty());
    assert!(time < ms(720));
    assert_eq!(sim.sides[0].app.pongs, [(ping, vec![7; 32])]);
    let header = Header { send_id: 5, flags: flags::ECHO, ..Header::default() };
    let now = sim.now();
    give(
        &mut sim.sides[1].host,
        now,
        &header.signed(Some(keys(8).destination()), None, b"", keys(9).signing()),
    );
    give(&mut sim.sides[1].host, now, &header.plain(b""));
    assert!(sim.sides[1].host.poll_transmit(now).is_none());
}

#[test]
fn quiet_connections_are_kept_alive() {
    let mut sim = Sim::new(1, &Link::default(), [Config::default(), Config::default()]);
    sim.connect(&bytes(0, 5));
    sim.run_for(ms(10_000));
    let sent = [sim.sides[0].sent, sim.sides[1].sent];
    sim.run_for(ms(70_000));
    assert_eq!(sent, [sim.sides[0].sent, sim.sides[1].sent]);
    sim.run_for(ms(40_000));
    assert!(sim.sides[0].sent > sent[0] && sim.sides[0].sent < sent[0] + 4);
}

#[test]
fn a_host_can_talk_to_itself() {
    let (mut host, to) = host(1, Config::default());
    let time = start();
    let mut elapsed = ms(0);
    let id = host.connect(at(time, elapsed), to, 80, 5, Bytes::from(bytes(0, 20_000))).expect("room");
    let mut received = 0;
    let mut there = None;
    while received < 20_000 {
        elapsed += ms(1);
        let now = at(time, elapsed);
        for transmit in drain(&mut host, now) {
            host.handle_packet(now, None, transmit.from_port, transmit.to_port, transmit.packet.into());
        }
        there = there.or(incoming(&mut host));
        let Some(there) = there else { continue };
        while let Ok(Some(chunk)) = host.read_chunk(there, 4096) {
            assert_eq!(chunk, bytes(received, chunk.len()));
            received += chunk.len() as u64;
        }
        assert!(elapsed < ms(5000));
    }
    assert!(host.stats(id).is_some());
}
