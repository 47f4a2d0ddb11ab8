//! The creator's ends of its own tunnels.

use crate::endpoint::{Assembler, Bounds, Reassembly};
use crate::filter::IvFilter;
use crate::gateway::{self, Packer};
use crate::hop::{deliver, tunnel_data};
use crate::{Error, LARGEST, Sending};
use allium_crypto::Rng;
use allium_crypto::layer::Layer;
use allium_wire::i2np::Message;
use allium_wire::tunnel::{DATA, Target};
use allium_wire::{Now, RouterHash, TunnelId};
use bytes::BytesMut;
use std::time::Instant;

/// A hop of a tunnel of ours.
pub struct OwnHop {
    /// The router.
    pub router: RouterHash,
    /// The id under which it receives.
    pub receive: TunnelId,
    /// Its keys.
    pub layer: Layer,
}

/// A tunnel of ours that leads out, through any number of hops or none.
pub struct Outbound {
    hops: Vec<OwnHop>,
    expires: Instant,
    packer: Packer,
    scratch: Vec<u8>,
}

impl Outbound {
    /// A tunnel through these hops, in the order of the messages' way.
    pub fn new(hops: Vec<OwnHop>, expires: Instant, rng: Rng) -> Self {
        Self { hops, expires, packer: Packer::new(rng), scratch: Vec::new() }
    }

    /// A tunnel of no hops: messages go straight to where they should.
    pub fn direct(expires: Instant, rng: Rng) -> Self {
        Self::new(Vec::new(), expires, rng)
    }

    /// The routers it leads through.
    pub fn hops(&self) -> impl ExactSizeIterator<Item = RouterHash> {
        self.hops.iter().map(|hop| hop.router)
    }

    /// The router that gets what [`Outbound::wrap`] makes; None if there are no hops.
    pub fn first(&self) -> Option<RouterHash> {
        self.hops.first().map(|hop| hop.router)
    }

    /// When its hops forget it.
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// Sends one message: to `out` go the TunnelData messages for the first hop, or, without hops, the message
    /// for its target.
    ///
    /// # Errors
    /// [`Error::TooLong`]; [`Error::Misbehaved`] for the target "local", which makes no sense here.
    pub fn wrap(
        &mut self,
        now: Now,
        target: Target,
        message: &Message,
        out: &mut Vec<Sending>,
    ) -> Result<(), Error> {
        self.wrap_all(now, &[(target, message)], out)
    }

    /// Sends several messages at once: they may share tunnel messages, and cost less.
    ///
    /// # Errors
    /// As [`Outbound::wrap`]; then none is sent.
    pub fn wrap_all(
        &mut self,
        now: Now,
        messages: &[(Target, &Message)],
        out: &mut Vec<Sending>,
    ) -> Result<(), Error> {
        if messages.iter().any(|(target, _)| *target == Target::Local) {
            return Err(Error::Misbehaved("local delivery from an outbound tunnel"));
        }
        if messages.iter().any(|(_, message)| message.body.len() + 16 > LARGEST) {
            return Err(Error::TooLong);
        }
        let Some(first) = self.hops.first() else {
            self.send_directly(now, messages, out);
            return Ok(());
        };
        self.scratch.clear();
        let mut ends = Vec::with_capacity(messages.len());
        for (_, message) in messages {
            message.encode_standard(&mut self.scratch);
            ends.push(self.scratch.len());
        }
        let mut rest = &self.scratch[..];
        let mut start = 0;
        let mut items = Vec::with_capacity(messages.len());
        for ((target, _), end) in messages.iter().zip(ends) {
            let (bytes, after) = rest.split_at(end - start);
            items.push((*target, bytes));
            (rest, start) = (after, end);
        }
        let mut packed = self.packer.pack(first.receive, &items)?;
        gateway::decrypt(self.hops.iter().rev().map(|hop| &hop.layer), &mut packed);
        let to = first.router;
        out.extend(packed.into_iter().map(|data| tunnel_data(to, now, data, self.packer.rng())));
        Ok(())
    }

    fn send_directly(&mut self, now: Now, messages: &[(Target, &Message)], out: &mut Vec<Sending>) {
        for (target, message) in messages {
            if let Target::Router(to) = target {
                out.push(Sending { to: *to, message: (*message).clone() });
                continue;
            }
            self.scratch.clear();
            message.encode_standard(&mut self.scratch);
            out.extend(deliver(*target, self.scratch.as_slice().into(), now, self.packer.rng()));
        }
    }
}

/// A tunnel of ours that leads in, through any number of hops or none.
pub struct Inbound {
    us: RouterHash,
    receive: TunnelId,
    hops: Vec<OwnHop>,
    expires: Instant,
    filter: IvFilter,
    assembler: Assembler,
    undeliverable: u64,
}

impl Inbound {
    /// A tunnel through these hops, in the order of the messages' way, to us, who receive under `receive`.
    pub fn new(
        us: RouterHash,
        receive: TunnelId,
        hops: Vec<OwnHop>,
        expires: Instant,
        rng: &mut Rng,
    ) -> Self {
        let (filter, assembler) = (IvFilter::new(rng), Assembler::new(Bounds::OWN));
        Self { us, receive, hops, expires, filter, assembler, undeliverable: 0 }
    }

    /// A tunnel of no hops: we are the gateway, and TunnelGateway messages for `receive` come to us.
    pub fn direct(us: RouterHash, receive: TunnelId, expires: Instant, rng: &mut Rng) -> Self {
        Self::new(us, receive, Vec::new(), expires, rng)
    }

    /// The routers it leads through.
    pub fn hops(&self) -> impl ExactSizeIterator<Item = RouterHash> {
        self.hops.iter().map(|hop| hop.router)
    }

    /// Where others send messages for us: gateway and tunnel id, as in a lease.
    pub fn gateway(&self) -> (RouterHash, TunnelId) {
        self.hops.first().map_or((self.us, self.receive), |hop| (hop.router, hop.receive))
    }

    /// The id under which the tunnel's messages come to us.
    pub fn receive(&self) -> TunnelId {
        self.receive
    }

    /// When its hops forget it.
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// Messages that were no messages, or asked for delivery elsewhere, which only an attacker's do.
    pub fn undeliverable(&self) -> u64 {
        self.undeliverable
    }

    /// What became of the messages.
    pub fn reassembly(&self) -> Reassembly {
        self.assembler.stats()
    }

    /// Takes one TunnelData (1028 bytes) that the last hop sent, and puts what becomes complete with it to `out`.
    ///
    /// # Errors
    /// Another size, a duplicate, a stranger's, damaged or malformed.
    pub fn unwrap(
        &mut self,
        now: Now,
        from: RouterHash,
        data: BytesMut,
        out: &mut Vec<Message>,
    ) -> Result<(), Error> {
        let mut one = [data];
        self.admit(from, &one[0])?;
        gateway::decrypt(self.hops.iter().rev().map(|hop| &hop.layer), &mut one);
        let [data] = one;
        self.assemble(now, data, out)
    }

    /// [`Inbound::unwrap`] for several at once. What is to be dropped is; the result is how many were.
    pub fn unwrap_batch(
        &mut self,
        now: Now,
        from: RouterHash,
        mut data: Vec<BytesMut>,
        out: &mut Vec<Message>,
    ) -> usize {
        let before = data.len();
        data.retain(|data| self.admit(from, data).is_ok());
        gateway::decrypt(self.hops.iter().rev().map(|hop| &hop.layer), &mut data);
        let mut good = 0;
        for data in data {
            good += usize::from(self.assemble(now, data, out).is_ok());
        }
        before - good
    }

    /// The message in a TunnelGateway that came to us as the gateway of a tunnel of no hops.
    ///
    /// # Errors
    /// There are hops, or it is no message.
    pub fn accept(&mut self, message: BytesMut) -> Result<Message, Error> {
        if !self.hops.is_empty() {
            return Err(Error::Misbehaved("a gateway message at a tunnel's end"));
        }
        Ok(Message::decode_standard(message)?)
    }

    /// A message of the right size, from the last hop, that was not seen before.
    fn admit(&mut self, from: RouterHash, data: &BytesMut) -> Result<(), Error> {
        if self.hops.last().is_none_or(|hop| hop.router != from) {
            return Err(Error::Stranger);
        }
        if data.len() != DATA {
            return Err(Error::Misbehaved("a tunnel message of another size"));
        }
        let seen = data.last_chunk().is_some_and(|body| !self.filter.insert(&IvFilter::value(body)));
        if seen { Err(Error::Duplicate) } else { Ok(()) }
    }

    fn assemble(&mut self, now: Now, data: BytesMut, out: &mut Vec<Message>) -> Result<(), Error> {
        let undeliverable = &mut self.undeliverable;
        self.assembler.feed(now.instant, data, |target, message| match Message::decode_standard(message) {
            Ok(message) if target == Target::Local => out.push(message),
            _ => *undeliverable += 1,
        })
    }
}

#[cfg(test)]
mod tests;
