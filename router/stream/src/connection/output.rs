//! Building the packets of a connection.

use std::time::{Duration, Instant};

use allium_wire::streaming::flags;
use bytes::Bytes;

use crate::config::Config;
use crate::packet::{self, Header};
use crate::path::Path;
use crate::send::Body;

use super::{CHOKE, Choked, Connection, Keys};

/// Packets after which another way may be taken.
const FLOWLET: u64 = 32;

/// A packet of a connection, ready to be sent.
pub(crate) struct Built {
    pub(crate) packet: Vec<u8>,
    pub(crate) is_retransmit: bool,
    pub(crate) path_hint: u64,
    pub(crate) first: bool,
    pub(crate) asks: bool,
    pub(crate) early: bool,
}

impl Connection {
    /// The next packet with data, a SYN or a CLOSE; lost ones first.
    pub(crate) fn next_packet(
        &mut self,
        now: Instant,
        keys: &Keys,
        config: &Config,
        path: &mut Path,
        nacks: &mut Vec<u32>,
    ) -> Option<Built> {
        let urgent = self.urgent > 0;
        self.urgent = self.urgent.saturating_sub(1);
        let built = if !self.syn_sent() {
            Some(self.syn(now, keys, config, path))
        } else if let Some((sequence, body, sends)) = self.send.resend(now, path) {
            let packet = match body {
                Body::Signed(packet) => packet.to_vec(),
                Body::Data(payload) => self.data(now, sequence, &payload, nacks),
            };
            let other = u64::from(sequence) + u64::from(sends);
            let path_hint = self.hint.wrapping_add(self.flowlet()).wrapping_add(other);
            Some(Built {
                packet,
                is_retransmit: true,
                path_hint,
                first: sequence == 0,
                asks: true,
                early: false,
            })
        } else if urgent || self.choked == Choked::No || self.send.buffer.is_empty() {
            self.fresh(now, keys, path, nacks)
        } else {
            None
        };
        if built.is_some() {
            self.last_sent = now;
            self.arm(now, path, config.syn_timeout);
        }
        built
    }

    /// Equal for packets that should go the same way. Until our first packet has arrived, that is all of them.
    fn flowlet(&self) -> u64 {
        if self.send.base() == 0 { 0 } else { self.send.counters.packets / FLOWLET }
    }

    fn resend_delay(path: &Path) -> u8 {
        path.rtt.probe_timeout(Duration::from_secs(9)).as_secs().min(255) as u8
    }

    /// Our first packet: the SYN, or the answer to the peer's.
    fn syn(&mut self, now: Instant, keys: &Keys, config: &Config, path: &mut Path) -> Built {
        let payload = self.send.buffer.take(usize::from(self.mtu));
        let last = self.shutdown && self.send.buffer.is_empty();
        let recipient = packet::hash_as_nacks(&self.peer_hash.0);
        let mut bits = flags::SYNCHRONIZE;
        if self.outgoing {
            bits |= flags::NO_ACK;
        }
        if last {
            bits |= flags::CLOSE;
            self.close_sequence = Some(0);
        }
        let header = Header {
            send_id: self.remote,
            receive_id: self.local,
            sequence: 0,
            ack_through: if self.outgoing { 0 } else { self.recv.contiguous() },
            nacks: if self.outgoing { &recipient } else { &[] },
            resend_delay: Self::resend_delay(path),
            flags: bits,
            delay_requested: None,
        };
        let packet = header.signed(Some(&keys.destination), Some(config.mtu), &payload, &keys.signing);
        self.hold_until = None;
        self.bytes_sent += payload.len() as u64;
        if !self.outgoing && !self.recv.has_gap() {
            self.recv.acknowledged(now);
        }
        self.sent_signed(now, &packet, path);
        Built { packet, is_retransmit: false, path_hint: self.hint, first: true, asks: true, early: true }
    }

    fn sent_signed(&mut self, now: Instant, packet: &[u8], path: &mut Path) {
        let size = packet.len() as u64;
        self.send.push(now, Body::Signed(Bytes::copy_from_slice(packet)), size, path);
    }

    /// The next new packet: data, or the CLOSE.
    fn fresh(&mut self, now: Instant, keys: &Keys, path: &mut Path, nacks: &mut Vec<u32>) -> Option<Built> {
        let closing = self.shutdown && self.close_sequence.is_none();
        if self.send.buffer.is_empty() && !closing || self.send.next() == u32::MAX {
            return None;
        }
        let sequence = self.send.next();
        let payload = self.send.buffer.take(usize::from(self.mtu));
        self.bytes_sent += payload.len() as u64;
        let path_hint = self.hint.wrapping_add(self.flowlet());
        let packet = if closing && self.send.buffer.is_empty() {
            self.close_sequence = Some(sequence);
            let header = Header {
                flags: flags::CLOSE,
                resend_delay: Self::resend_delay(path),
                ..self.header(now, sequence, payload.len(), nacks)
            };
            let packet = header.signed(None, None, &payload, &keys.signing);
            self.sent_signed(now, &packet, path);
            packet
        } else {
            let packet = self.data(now, sequence, &payload, nacks);
            let pace = path.rtt.smoothed().unwrap_or(0.3) / 10.0;
            if now >= self.next_ask {
                self.next_ask = now + Duration::from_secs_f64(pace.clamp(0.01, 0.1));
            }
            self.send.push(now, Body::Data(payload), packet.len() as u64, path);
            packet
        };
        let early = self.send.base() == 0;
        Some(Built { packet, is_retransmit: false, path_hint, first: false, asks: true, early })
    }

    fn data(&mut self, now: Instant, sequence: u32, payload: &[u8], nacks: &mut Vec<u32>) -> Vec<u8> {
        self.header(now, sequence, payload.len(), nacks).plain(payload)
    }

    /// The header of a packet with this many bytes of payload. What was received is acknowledged in it if
    /// there is room; a packet never grows beyond what fits into two tunnel messages.
    fn header<'a>(
        &mut self,
        now: Instant,
        sequence: u32,
        length: usize,
        nacks: &'a mut Vec<u32>,
    ) -> Header<'a> {
        let mut ack_through = self.recv.acknowledgement(nacks);
        if length + nacks.len() * 4 > usize::from(self.mtu) {
            nacks.clear();
            ack_through = self.recv.contiguous();
        }
        // The last packet for now, and one every so often, ask for an acknowledgement.
        let asks = self.send.buffer.is_empty() || sequence < 8 || now >= self.next_ask;
        let delay_requested = match self.recv.choke() {
            Some(true) => Some(CHOKE),
            Some(false) => Some(0),
            None => asks.then_some(0),
        };
        if !self.recv.has_gap() || !nacks.is_empty() {
            self.recv.acknowledged(now);
        }
        Header {
            send_id: self.remote,
            receive_id: self.local,
            sequence,
            ack_through,
            nacks,
            resend_delay: 0,
            flags: if self.is_answered() { 0 } else { flags::NO_ACK },
            delay_requested,
        }
    }

    /// A plain ACK.
    pub(crate) fn ack(&mut self, now: Instant, nacks: &mut Vec<u32>) -> Built {
        let ack_through = self.recv.acknowledgement(nacks);
        let choke = self.recv.choke();
        let keepalive = choke.is_none() && std::mem::take(&mut self.keepalive);
        let delay_requested = match choke {
            Some(true) => Some(CHOKE),
            Some(false) => Some(0),
            None => keepalive.then_some(0),
        };
        let header = Header {
            send_id: self.remote,
            receive_id: self.local,
            ack_through,
            nacks,
            delay_requested,
            ..Header::default()
        };
        let packet = header.plain(&[]);
        self.recv.acknowledged(now);
        self.last_sent = now;
        let path_hint =
            self.hint.wrapping_add(if self.send.base() == 0 { 0 } else { self.recv.packets / FLOWLET });
        let early = self.send.base() == 0;
        Built { packet, is_retransmit: false, path_hint, first: false, asks: keepalive, early }
    }

    /// A RESET.
    pub(crate) fn reset(&self, keys: &Keys) -> Vec<u8> {
        let header = Header {
            send_id: self.remote,
            receive_id: self.local,
            ack_through: self.recv.contiguous(),
            flags: flags::RESET,
            ..Header::default()
        };
        header.signed(None, None, &[], &keys.signing)
    }
}
