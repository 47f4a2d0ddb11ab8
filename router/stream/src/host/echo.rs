//! Pings and pongs (streaming, "Ping / Pong").

use std::collections::VecDeque;
use std::time::Instant;

use allium_wire::streaming::flags;
use allium_wire::{DestHash, Now};

use crate::event::Event;
use crate::packet::Header;

use super::input::Received;
use super::{Control, Host, MOST_CONTROL};

/// The payload that comes back at most.
const MOST_PAYLOAD: usize = 32;
/// Pings that may wait for their answers.
const MOST_PINGS: usize = 64;

/// Pings that were not answered yet.
#[derive(Default)]
pub(super) struct Pings(VecDeque<(u32, DestHash, Instant)>);

impl Host {
    /// Asks a destination for a sign of life; the answer is an [`Event::Pong`] with the number that this
    /// returns. At most 32 bytes of `payload` are sent.
    pub fn ping(&mut self, now: Now, to: DestHash, to_port: u16, from_port: u16, payload: &[u8]) -> u32 {
        self.last_now = Some(now.instant);
        let id = self.stream_id();
        let payload = payload.get(..payload.len().min(MOST_PAYLOAD)).unwrap_or_default();
        let header = Header { send_id: id, flags: flags::ECHO, ..Header::default() };
        let packet = header.signed(Some(&self.keys.destination), None, payload, &self.keys.signing);
        if self.control.len() < MOST_CONTROL {
            self.control.push_back(Control { to, from_port, to_port, packet });
            self.pings.0.push_back((id, to, now.instant));
            while self.pings.0.len() > MOST_PINGS {
                self.pings.0.pop_front();
            }
        }
        id
    }

    pub(super) fn handle_echo(&mut self, now: Now, received: &Received) {
        if received.packet.send_id == 0 { self.pong(now, received) } else { self.answer_ping(now, received) }
    }

    fn answer_ping(&mut self, now: Now, received: &Received) {
        let packet = &received.packet;
        let Some(from) = &packet.from else {
            self.stats.unusable += 1;
            return;
        };
        if !self.config.answer_pings || self.control.len() >= MOST_CONTROL / 2 {
            return;
        }
        if !received.is_from(from, None, now) {
            self.stats.forged += 1;
            return;
        }
        let header = Header { receive_id: packet.send_id, flags: flags::ECHO, ..Header::default() };
        let payload = packet.payload.slice(..packet.payload.len().min(MOST_PAYLOAD));
        self.control.push_back(Control {
            to: from.dest_hash(),
            from_port: received.to_port,
            to_port: received.from_port,
            packet: header.plain(&payload),
        });
    }

    fn pong(&mut self, now: Now, received: &Received) {
        let id = received.packet.receive_id;
        let Some(index) = self.pings.0.iter().position(|&(ping, ..)| ping == id) else {
            self.stats.unusable += 1;
            return;
        };
        if let Some((ping, peer, sent)) = self.pings.0.remove(index) {
            let rtt = now.instant.saturating_duration_since(sent);
            self.events.push_back(Event::Pong { ping, peer, rtt, payload: received.packet.payload.clone() });
        }
    }
}
