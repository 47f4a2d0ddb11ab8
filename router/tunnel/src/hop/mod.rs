//! Hops of others' tunnels, as [`crate::build::Responder`] makes them.

use crate::endpoint::{Assembler, Bounds, Reassembly};
use crate::filter::IvFilter;
use crate::gateway::{self, Packer};
use crate::{Error, MESSAGE_LIFETIME, Sending};
use allium_crypto::Rng;
use allium_crypto::layer::Layer;
use allium_wire::i2np::{Kind, Message, TunnelGateway};
use allium_wire::tunnel::{DATA, Target};
use allium_wire::{Now, RouterHash, TunnelId};
use bytes::BytesMut;
use std::time::Instant;

/// Where in its tunnel a hop is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The id under which it receives.
    pub receive: TunnelId,
    /// The only router from which tunnel data is taken; None until the first comes.
    pub from: Option<RouterHash>,
    /// The next hop (at an outbound endpoint: the gateway of the reply tunnel, no longer of use).
    pub next: RouterHash,
    /// The id under which the next hop receives.
    pub next_tunnel: TunnelId,
    /// When the hop is to be forgotten.
    pub expires: Instant,
}

impl Place {
    /// Whether a message may come now, and from this router.
    fn check(&mut self, now: Now, from: RouterHash) -> Result<(), Error> {
        if self.expires <= now.instant {
            return Err(Error::Expired);
        }
        if *self.from.get_or_insert(from) != from {
            return Err(Error::Stranger);
        }
        Ok(())
    }
}

/// A hop of someone's tunnel.
pub enum Hop {
    /// In the middle, or the last of an inbound tunnel.
    Participant(Participant),
    /// The first of an inbound tunnel.
    InboundGateway(InboundGateway),
    /// The last of an outbound tunnel.
    OutboundEndpoint(OutboundEndpoint),
}

impl Hop {
    /// Where it is.
    pub fn place(&self) -> &Place {
        match self {
            Self::Participant(hop) => &hop.place,
            Self::InboundGateway(hop) => &hop.place,
            Self::OutboundEndpoint(hop) => &hop.place,
        }
    }

    /// Tunnel messages that went through it.
    pub fn relayed(&self) -> u64 {
        match self {
            Self::Participant(hop) => hop.relayed,
            Self::InboundGateway(hop) => hop.relayed,
            Self::OutboundEndpoint(hop) => hop.relayed,
        }
    }
}

/// A hop that relays.
pub struct Participant {
    place: Place,
    layer: Layer,
    filter: IvFilter,
    rng: Rng,
    relayed: u64,
}

impl Participant {
    /// A hop at this place with these keys.
    pub fn new(place: Place, layer: Layer, rng: &mut Rng) -> Self {
        Self { place, layer, filter: IvFilter::new(rng), rng: rng.fork(), relayed: 0 }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Tunnel messages that went through it.
    pub fn relayed(&self) -> u64 {
        self.relayed
    }

    /// Works on one tunnel message (1028 bytes) in place: filters, encrypts, and writes the next tunnel id.
    ///
    /// # Errors
    /// The message is to be dropped: another size, a duplicate, a stranger's, or too late.
    pub fn process(&mut self, now: Now, from: RouterHash, message: &mut [u8]) -> Result<(), Error> {
        self.place.check(now, from)?;
        let body = admit(&mut self.filter, message)?;
        self.layer.encrypt(body);
        self.address(message);
        Ok(())
    }

    /// Works on several tunnel messages at once, which is faster; those to be dropped are removed. The result is
    /// how many were.
    ///
    /// # Errors
    /// All are to be dropped: a stranger's, or too late.
    pub fn process_batch(
        &mut self,
        now: Now,
        from: RouterHash,
        messages: &mut Vec<BytesMut>,
    ) -> Result<usize, Error> {
        self.place.check(now, from)?;
        let before = messages.len();
        messages.retain_mut(|message| admit(&mut self.filter, message).is_ok());
        gateway::encrypt(&self.layer, messages);
        for message in messages.iter_mut() {
            self.address(message);
        }
        Ok(before - messages.len())
    }

    /// [`Participant::process`], and the I2NP message to send on, with an id and expiration of its own.
    pub fn relay(&mut self, now: Now, from: RouterHash, mut data: BytesMut) -> Result<Sending, Error> {
        self.process(now, from, &mut data)?;
        Ok(tunnel_data(self.place.next, now, data, &mut self.rng))
    }

    /// [`Participant::process_batch`], and the I2NP messages to send on.
    pub fn relay_batch(
        &mut self,
        now: Now,
        from: RouterHash,
        mut data: Vec<BytesMut>,
        out: &mut Vec<Sending>,
    ) -> Result<usize, Error> {
        let dropped = self.process_batch(now, from, &mut data)?;
        out.extend(data.into_iter().map(|data| tunnel_data(self.place.next, now, data, &mut self.rng)));
        Ok(dropped)
    }

    fn address(&mut self, message: &mut [u8]) {
        message[..4].copy_from_slice(&self.place.next_tunnel.0.to_be_bytes());
        self.relayed += 1;
    }
}

/// The hop where messages enter an inbound tunnel.
pub struct InboundGateway {
    place: Place,
    layer: Layer,
    packer: Packer,
    relayed: u64,
}

impl InboundGateway {
    /// A hop at this place with these keys.
    pub fn new(place: Place, layer: Layer, rng: &mut Rng) -> Self {
        Self { place, layer, packer: Packer::new(rng.fork()), relayed: 0 }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Tunnel messages that went through it.
    pub fn relayed(&self) -> u64 {
        self.relayed
    }

    /// Packs the contents of TunnelGateway messages (I2NP with standard header), given at once, into tunnel
    /// messages for the next hop, which they may share.
    ///
    /// # Errors
    /// [`Error::Expired`], or [`Error::TooLong`] if a message is too large; then none is packed.
    pub fn push<B: AsRef<[u8]>>(&mut self, now: Now, messages: &[B]) -> Result<Vec<BytesMut>, Error> {
        if self.place.expires <= now.instant {
            return Err(Error::Expired);
        }
        let items: Vec<(Target, &[u8])> = messages.iter().map(|m| (Target::Local, m.as_ref())).collect();
        let mut packed = self.packer.pack(self.place.next_tunnel, &items)?;
        gateway::encrypt(&self.layer, &mut packed);
        self.relayed += packed.len() as u64;
        Ok(packed)
    }

    /// [`InboundGateway::push`], and the I2NP messages to send on.
    pub fn relay<B: AsRef<[u8]>>(
        &mut self,
        now: Now,
        messages: &[B],
        out: &mut Vec<Sending>,
    ) -> Result<(), Error> {
        let next = self.place.next;
        for data in self.push(now, messages)? {
            out.push(tunnel_data(next, now, data, self.packer.rng()));
        }
        Ok(())
    }
}

/// The hop where messages leave an outbound tunnel.
pub struct OutboundEndpoint {
    place: Place,
    layer: Layer,
    filter: IvFilter,
    assembler: Assembler,
    rng: Rng,
    relayed: u64,
    undeliverable: u64,
}

impl OutboundEndpoint {
    /// A hop at this place with these keys.
    pub fn new(place: Place, layer: Layer, rng: &mut Rng) -> Self {
        Self {
            place,
            layer,
            filter: IvFilter::new(rng),
            assembler: Assembler::new(Bounds::TRANSIT),
            rng: rng.fork(),
            relayed: 0,
            undeliverable: 0,
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Tunnel messages that went through it.
    pub fn relayed(&self) -> u64 {
        self.relayed
    }

    /// Messages that were for "local" delivery, which an outbound tunnel does not know, or no messages.
    pub fn undeliverable(&self) -> u64 {
        self.undeliverable
    }

    /// What became of the messages.
    pub fn reassembly(&self) -> Reassembly {
        self.assembler.stats()
    }

    /// Takes one tunnel message (1028 bytes), and puts what becomes complete with it to `out`: messages for
    /// routers, and TunnelGateways for the gateways of tunnels.
    ///
    /// # Errors
    /// As [`Participant::process`]; or what comes out is damaged or malformed.
    pub fn process(
        &mut self,
        now: Now,
        from: RouterHash,
        mut message: BytesMut,
        out: &mut Vec<Sending>,
    ) -> Result<(), Error> {
        self.place.check(now, from)?;
        let body = admit(&mut self.filter, &mut message)?;
        self.layer.encrypt(body);
        self.assemble(now, message, out)
    }

    /// [`OutboundEndpoint::process`] for several at once, which is faster. What is to be dropped is; the result is how
    /// many were.
    ///
    /// # Errors
    /// All are to be dropped: a stranger's, or too late.
    pub fn process_batch(
        &mut self,
        now: Now,
        from: RouterHash,
        mut messages: Vec<BytesMut>,
        out: &mut Vec<Sending>,
    ) -> Result<usize, Error> {
        self.place.check(now, from)?;
        let before = messages.len();
        messages.retain_mut(|message| admit(&mut self.filter, message).is_ok());
        gateway::encrypt(&self.layer, &mut messages);
        let mut good = 0;
        for message in messages {
            good += usize::from(self.assemble(now, message, out).is_ok());
        }
        Ok(before - good)
    }

    fn assemble(&mut self, now: Now, message: BytesMut, out: &mut Vec<Sending>) -> Result<(), Error> {
        self.relayed += 1;
        let (rng, undeliverable) = (&mut self.rng, &mut self.undeliverable);
        self.assembler.feed(now.instant, message, |target, message| {
            match deliver(target, message, now, rng) {
                Some(sending) => out.push(sending),
                None => *undeliverable += 1,
            }
        })
    }
}

/// The part of a tunnel message that is encrypted, if its size is right and it was not seen before.
fn admit<'a>(filter: &mut IvFilter, message: &'a mut [u8]) -> Result<&'a mut [u8; 1024], Error> {
    if message.len() != DATA {
        return Err(Error::Misbehaved("a tunnel message of another size"));
    }
    let body = message.last_chunk_mut().ok_or(Error::Misbehaved("a tunnel message of another size"))?;
    if filter.insert(&IvFilter::value(body)) { Ok(body) } else { Err(Error::Duplicate) }
}

/// A TunnelData message for the next hop.
pub(crate) fn tunnel_data(to: RouterHash, now: Now, data: BytesMut, rng: &mut Rng) -> Sending {
    let expires = now.date + MESSAGE_LIFETIME;
    Sending { to, message: Message { kind: Kind::TunnelData, id: rng.u32(), expires, body: data } }
}

/// What leaves an outbound tunnel; None for "local" delivery and for what is no I2NP message.
pub(crate) fn deliver(target: Target, message: BytesMut, now: Now, rng: &mut Rng) -> Option<Sending> {
    match target {
        Target::Local => None,
        Target::Router(to) => Some(Sending { to, message: Message::decode_standard(message).ok()? }),
        Target::Tunnel { tunnel, gateway } => {
            let inner = TunnelGateway { tunnel, message };
            Some(Sending { to: gateway, message: inner.into_message(rng.u32(), now.date + MESSAGE_LIFETIME) })
        }
    }
}

#[cfg(test)]
mod tests;
