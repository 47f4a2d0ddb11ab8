//! The driver's part in datagrams: whole messages, each sealed and sent as a streaming packet is, but never again.

use allium_wire::payload::Unwrapped;
use allium_wire::{DestHash, Now};

use super::{BURST, Driver, Turn};
use crate::core::Input;
use crate::destination::ConnectError;
use crate::destination::datagrams::DatagramError;
use crate::destination::mail::Parcel;

/// How many bytes are sealed before what came in is looked at.
const BURST_BYTES: usize = 128 << 10;
/// Datagrams to one peer that may wait for its LeaseSet.
const WAITING: usize = 256;

impl Driver {
    /// Sends some of the datagrams that wait, once there are tunnels and a LeaseSet of ours. True where more wait.
    pub(super) fn post(&mut self, now: Now) -> bool {
        if self.lease_set.is_none() || !self.opening.paths.ready(false) {
            return false;
        }
        let mut bytes = 0;
        for _ in 0..BURST {
            let Some(parcel) = self.opening.mail.take() else { return false };
            bytes += parcel.letter.body.len();
            self.datagram(now, parcel);
            if bytes >= BURST_BYTES {
                break;
            }
        }
        true
    }

    /// Seals a datagram, and queues it for a tunnel; or lets it wait for its receiver's LeaseSet.
    fn datagram(&mut self, now: Now, parcel: Parcel) {
        let to = parcel.letter.to;
        if to == self.hash {
            self.to_ourselves(parcel);
            return;
        }
        let peer = self.peers.entry(to, now.instant);
        let (Some(key), true) = (peer.key, peer.reachable(now.date)) else {
            if peer.parcels.len() < WAITING {
                peer.parcels.push(parcel);
            } else {
                parcel.failed(DatagramError::Full);
            }
            self.look_for(to);
            return;
        };
        let silence = peer.post(now);
        if silence.doubt {
            self.shared.tell_core(Input::Unanswered(self.opening.id));
        }
        if silence.refresh {
            self.look_for(to);
        }
        let letter = &parcel.letter;
        let Some(message) = self.seal(now, &key, (letter.protocol, letter.ports), &letter.body) else {
            let why = "nothing can be sealed to its LeaseSet's key".to_owned();
            parcel.failed(ConnectError::Incompatible(why).into());
            return;
        };
        // Each is its own: a way is kept for as many as it is for packets.
        let hint = self.rng.u64();
        if self.queue(now, to, message, Turn::Any(hint)) {
            parcel.sent();
        } else {
            parcel.failed(DatagramError::Full);
        }
    }

    /// A destination has no session with itself.
    fn to_ourselves(&self, mut parcel: Parcel) {
        let letter = &mut parcel.letter;
        let data = std::mem::take(&mut letter.body).into();
        let (protocol, from_port, to_port) = (letter.protocol, letter.ports.from, letter.ports.to);
        self.opening.mail.deliver(Some(self.hash), Unwrapped { protocol, from_port, to_port, data });
        parcel.sent();
    }

    /// Sends the datagrams that waited for a LeaseSet, or says why they can't be sent.
    pub(super) fn release(&mut self, now: Now, hash: DestHash, error: Option<&ConnectError>) {
        let Some(peer) = self.peers.get(&hash) else { return };
        for parcel in std::mem::take(&mut peer.parcels) {
            match error {
                Some(error) => parcel.failed(error.clone().into()),
                None => self.datagram(now, parcel),
            }
        }
    }

    /// Gives up the datagrams for which no tunnels came.
    pub(super) fn give_up_datagrams(&mut self, now: Now) {
        for parcel in self.opening.mail.overdue(now.instant) {
            parcel.failed(super::no_tunnels().into());
        }
    }
}
