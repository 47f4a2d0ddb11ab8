//! Streams with a peer whose packets are changed.

use std::sync::LazyLock;

use allium_stream::{Config, Event, Host};
use allium_wire::DestinationKeys;
use bytes::Bytes;

use crate::samples::{SITE, after, edited, pieces, rng};

static CLIENT: LazyLock<DestinationKeys> = LazyLock::new(|| DestinationKeys::generate(&mut rng(8)));

fn host(keys: &DestinationKeys, seed: u8) -> Host {
    let config = Config { accept: true, max_connections: 8, max_paths: 8, ..Config::default() };
    Host::new(keys.destination().clone(), keys.signing().clone(), config, rng(seed))
}

/// The first packet of a stream.
pub(crate) static SYN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut client = host(&CLIENT, 1);
    let first = Bytes::from_static(b"some first bytes");
    client.connect(after(0), SITE.destination().clone(), 80, 1, first).expect("room");
    client.poll_transmit(after(10)).or_else(|| client.poll_transmit(after(2000))).expect("a SYN").packet
});

/// A client and a server, whose packets are dropped, changed, or come twice.
pub fn stream_host(data: &[u8]) {
    let mut hosts = [host(&CLIENT, 1), host(&SITE, 2)];
    let hashes = [hosts[0].hash(), hosts[1].hash()];
    let first = Bytes::from_static(b"some first bytes");
    let connection = hosts[0].connect(after(0), SITE.destination().clone(), 80, 1, first).expect("room");
    let mut time = 0;
    let mut last: [Vec<u8>; 2] = [SYN.clone(), Vec::new()];
    for piece in pieces(data) {
        let Some((&[how, wait], piece)) = piece.split_first_chunk() else { continue };
        time += u64::from(wait) * 30;
        let now = after(time);
        let side = usize::from(how & 1);
        if how & 2 != 0 {
            let _ = hosts[0].write(connection, piece);
        }
        for from in [side, 1 - side] {
            let mut most = 200;
            while let Some(transmit) = hosts[from].poll_transmit(now) {
                most -= 1;
                assert!(most > 0, "a moment holds no end of packets");
                if how & 4 == 0 {
                    hosts[1 - from].handle_packet(
                        now,
                        Some(hashes[from]),
                        1,
                        80,
                        Bytes::from(transmit.packet.clone()),
                    );
                }
                last[from] = transmit.packet;
            }
        }
        let hint = (how & 16 == 0).then_some(hashes[side]);
        let changed = Bytes::from(edited(&last[side], piece));
        hosts[1 - side].handle_packet(now, hint, 1, 80, changed);
        for host in &mut hosts {
            while let Some(event) = host.poll_event() {
                if let Event::Incoming { id, .. } = event {
                    let _ = host.write(id, b"an answer");
                }
            }
            let open: Vec<_> = host.connections().collect();
            for id in open {
                let _ = host.read_chunk(id, 4096);
            }
            assert!(host.host_stats().connections <= 64);
            let _ = host.deadline();
        }
        if how & 64 != 0 {
            hosts[0].close(connection);
        }
    }
}
