//! Datagrams of a destination: the handle that sends and receives them.
//!
//! What costs something, signing and checking signatures, is done by the tasks that send and receive, not by the
//! destination's driver.

use std::sync::Arc;

use allium_wire::datagram::{Datagram1, Datagram2, Datagram3};
use allium_wire::payload::{Protocol, Unwrapped};
use allium_wire::{Date, DestHash, Error, Mapping};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::mail::{Arrival, Arrivals, Letter, Mail, Selector};
use super::{ConnectError, LocalDestination, Target};

/// The most bytes of a datagram, its own header included: as much as goes into one garlic message beside our LeaseSet.
const LARGEST: usize = 59_392;

/// The kinds of datagrams. They are told apart by their protocol number alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DatagramKind {
    /// Datagram 1 (protocol 17): the sender's destination and its signature of the payload. What one receiver got
    /// can be sent on to another, who can't tell.
    One,
    /// Datagram 2 (protocol 19): the same, and the signature covers for whom it is.
    Two,
    /// Datagram 3 (protocol 20): the sender's hash, 32 bytes instead of 455, unsigned: anybody can write anybody's
    /// hash there. [`Datagram::proven`] says where something else proves it.
    Three,
    /// Nothing but the payload, under this protocol number: [`DatagramKind::RAW`] unless both sides agree on another.
    /// The receiver does not learn to whom to answer (its router does: it is told our LeaseSet).
    Raw(u8),
}

impl DatagramKind {
    /// A raw datagram with the protocol number that raw datagrams have (18).
    pub const RAW: Self = Self::Raw(18);

    /// The kind that this protocol number says.
    fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Datagram => Self::One,
            Protocol::Datagram2 => Self::Two,
            Protocol::Datagram3 => Self::Three,
            Protocol::Raw | Protocol::Streaming | Protocol::Other(_) => Self::Raw(protocol.into()),
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            Self::One => Protocol::Datagram,
            Self::Two => Protocol::Datagram2,
            Self::Three => Protocol::Datagram3,
            Self::Raw(number) => number.into(),
        }
    }

    /// Its protocol number, unless that means something else than it says.
    fn number(self) -> Result<u8, DatagramError> {
        match self {
            Self::Raw(number @ (6 | 17 | 19 | 20)) => Err(DatagramError::Reserved(number)),
            _ => Ok(self.protocol().into()),
        }
    }
}

/// The ports of a datagram; 0 where there is none to speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// The sender's.
    pub from: u16,
    /// The receiver's.
    pub to: u16,
}

/// A datagram that came.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Its kind.
    pub kind: DatagramKind,
    /// Who sent it; `None` for raw ones. Answers can be sent there.
    pub from: Option<Target>,
    /// Whether `from` is proven: by its signature, or, for kind 3, because it came in a garlic session of that very
    /// destination.
    pub proven: bool,
    /// The ports.
    pub ports: Ports,
    /// What the sender wrote into the options of kind 2 or 3.
    pub options: Mapping,
    /// What.
    pub payload: Bytes,
}

/// Why a datagram was not sent, or none can be received.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DatagramError {
    /// The payload is too long (the caller's fault).
    #[error("a datagram of this kind holds at most {0} bytes")]
    TooLong(usize),
    /// Another protocol's number (the caller's fault).
    #[error("protocol {0} is not for raw datagrams")]
    Reserved(u8),
    /// Somebody else listens there (the caller's fault).
    #[error("datagrams of this kind to this port are received already")]
    InUse,
    /// More is to be sent than can be: try again later, or slower.
    #[error("too many datagrams wait to be sent")]
    Full,
    /// There is no way to the destination, or the local one is closed.
    #[error(transparent)]
    Unreachable(#[from] ConnectError),
}

/// Sends datagrams from a destination, and receives those of one kind, to one port, or all; see
/// [`LocalDestination::datagrams`]. Keeps the destination open.
pub struct Datagrams {
    destination: LocalDestination,
    mail: Arc<Mail>,
    selector: Selector,
    arrivals: Arc<Arrivals>,
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.mail.forget(self.selector);
    }
}

impl Datagrams {
    pub(super) fn open(
        destination: &LocalDestination,
        kind: Option<DatagramKind>,
        port: Option<u16>,
    ) -> Result<Self, DatagramError> {
        let mail = destination.0.mail.clone();
        let selector = (kind.map(DatagramKind::number).transpose()?, port);
        let arrivals = mail.listen(selector)?;
        Ok(Self { destination: destination.clone(), mail, selector, arrivals })
    }

    /// The destination that sends and receives.
    pub fn destination(&self) -> &LocalDestination {
        &self.destination
    }

    /// The most bytes of payload that a datagram of this kind holds. Beyond some 10 kB they are lost more and more
    /// often, because each kilobyte goes through the tunnels by itself.
    pub fn most(&self, kind: DatagramKind) -> usize {
        let header = match kind {
            DatagramKind::One => self.destination.destination().bytes().len() + 64,
            DatagramKind::Two => self.destination.destination().bytes().len() + 2 + 64,
            DatagramKind::Three => 32 + 2,
            DatagramKind::Raw(_) => 0,
        };
        LARGEST - header
    }

    /// Sends a datagram; returns when a tunnel has taken it, which may be after a lookup of the receiver's LeaseSet.
    /// Whether it arrives nobody tells. Several can be under way at a time.
    ///
    /// # Errors
    /// [`DatagramError::TooLong`], [`DatagramError::Reserved`]; [`DatagramError::Unreachable`] where the receiver's
    /// LeaseSet is not found, or tunnels of our own are missing for half a minute; [`DatagramError::Full`] where
    /// hundreds wait for the same LeaseSet.
    pub async fn send(
        &self,
        to: &Target,
        kind: DatagramKind,
        ports: Ports,
        payload: &[u8],
    ) -> Result<(), DatagramError> {
        let room = self.mail.room(self.check(kind, payload)?).await?;
        let (answer, answered) = oneshot::channel();
        self.mail.post(self.write(to, kind, ports, payload)?, room, Some(answer))?;
        answered.await.unwrap_or(Err(ConnectError::Closed.into()))
    }

    /// Queues a datagram, without waiting for anything. What can't be sent later on is counted
    /// (`datagrams_unsent`), and nobody told.
    ///
    /// # Errors
    /// As [`Self::send`], as far as it is known at once; [`DatagramError::Full`] where 4 MiB wait to be sent.
    pub fn try_send(
        &self,
        to: &Target,
        kind: DatagramKind,
        ports: Ports,
        payload: &[u8],
    ) -> Result<(), DatagramError> {
        let room = self.mail.try_room(self.check(kind, payload)?)?;
        self.mail.post(self.write(to, kind, ports, payload)?, room, None)
    }

    /// Bytes of a datagram with this payload.
    fn check(&self, kind: DatagramKind, payload: &[u8]) -> Result<usize, DatagramError> {
        kind.number()?;
        let most = self.most(kind);
        if payload.len() > most {
            return Err(DatagramError::TooLong(most));
        }
        Ok(LARGEST - most + payload.len())
    }

    fn write(
        &self,
        to: &Target,
        kind: DatagramKind,
        ports: Ports,
        payload: &[u8],
    ) -> Result<Letter, DatagramError> {
        let (keys, to, options) = (&self.destination.0.keys, to.hash(), Mapping::new());
        let body = match kind {
            DatagramKind::One => Ok(Datagram1::sign(keys, payload)),
            DatagramKind::Two => Datagram2::sign(keys, &to, &options, payload),
            DatagramKind::Three => Datagram3::encode(&self.destination.hash(), &options, payload),
            DatagramKind::Raw(_) => Ok(payload.to_vec()),
        };
        let body = body.map_err(|_| DatagramError::TooLong(self.most(kind)))?;
        Ok(Letter { to, protocol: kind.protocol(), ports, body })
    }

    /// The next datagram; `None` once the destination is closed. Those whose signature does not verify, or that are no
    /// datagrams at all, are counted (`datagrams_refused`) and passed over. May be cancelled, and called by several
    /// tasks.
    pub async fn recv(&self) -> Option<Datagram> {
        loop {
            let arrival = self.arrivals.next().await?;
            let (counters, clock) = (&self.mail.shared.counters, &self.mail.shared.clock);
            if let Ok(datagram) = read(arrival, &self.destination.hash(), clock.now().date) {
                counters.datagrams_received.one();
                return Some(datagram);
            }
            counters.datagrams_refused.one();
            tokio::task::yield_now().await; // a flood of bad ones is not to keep others from running
        }
    }
}

/// Reads what came for the destination `own`, and checks who it is from.
fn read(Arrival { unwrapped, session }: Arrival, own: &DestHash, now: Date) -> Result<Datagram, Error> {
    let Unwrapped { protocol, from_port, to_port, data } = unwrapped;
    let kind = DatagramKind::of(protocol);
    let (from, proven, options, payload) = match kind {
        DatagramKind::One => {
            let Datagram1 { from, payload } = Datagram1::open(&data)?;
            (Some(Target::Destination(Box::new(from))), true, Mapping::new(), payload)
        }
        DatagramKind::Two => {
            let Datagram2 { from, options, payload } = Datagram2::open(&data, own, now)?;
            (Some(Target::Destination(Box::new(from))), true, options, payload)
        }
        DatagramKind::Three => {
            let Datagram3 { from, options, payload } = Datagram3::decode(&data)?;
            (Some(Target::Hash(from)), session == Some(from), options, payload)
        }
        DatagramKind::Raw(_) => (None, false, Mapping::new(), data),
    };
    Ok(Datagram { kind, from, proven, ports: Ports { from: from_port, to: to_port }, options, payload })
}

#[cfg(test)]
mod tests;
