//! Long build records, which Java routers still send for some of their tunnels: answered, never made
//! (tunnel-creation-ecies, "Build Request Records").

use allium_crypto::aead;
use allium_crypto::aes_cbc;
use allium_crypto::layer::Layer;
use allium_crypto::zeroize::Zeroize;
use allium_wire::i2np::{Kind, Message, TunnelGateway};
use allium_wire::{Now, RouterHash};
use bytes::BytesMut;

use super::MOST;
use super::answer::{Answer, Decision, Responder};
use super::request::{Request, Role, put_options};
use crate::{Error, MESSAGE_LIFETIME, Sending};

/// A record as it travels.
const RECORD: usize = 528;
/// A reply in the clear.
const REPLY: usize = RECORD - aead::TAG;

/// Where in a message's body its records begin, and what kind of message answers it.
fn layout(kind: Kind, body: &[u8]) -> Result<(usize, Kind), Error> {
    let (at, count, reply) = match kind {
        Kind::TunnelBuild => (0, MOST, Kind::TunnelBuildReply),
        Kind::VariableTunnelBuild => {
            let count = usize::from(*body.first().ok_or(allium_wire::Error::Truncated("build records"))?);
            (1, count, Kind::VariableTunnelBuildReply)
        }
        _ => return Err(Error::Misbehaved("not a build message")),
    };
    if count == 0 || count > MOST || body.len() != at + count * RECORD {
        return Err(allium_wire::Error::Invalid("the number of build records").into());
    }
    Ok((at, reply))
}

impl Responder {
    /// Answers a VariableTunnelBuild or TunnelBuild that `from` brought; otherwise as [`Responder::answer`].
    ///
    /// # Errors
    /// As [`Responder::answer`].
    pub fn answer_long(
        &mut self,
        now: Now,
        from: Option<RouterHash>,
        (kind, mut body): (Kind, BytesMut),
        decide: impl FnOnce(&Request) -> Decision,
    ) -> Result<Answer, Error> {
        let (at, reply_kind) = layout(kind, &body)?;
        let prefix = &self.us.0[..16];
        let slot = body[at..].chunks(RECORD).position(|r| &r[..16] == prefix).ok_or(Error::NotForUs)?;
        let own = at + slot * RECORD;
        let (state, plain) = self.unseal(&mut body[own..own + RECORD])?;
        let (request, mut keys) = Request::decode_long(plain)?;
        self.check(now, from, &request)?;
        let decision = decide(&request);
        let code = match decision {
            Decision::Accept { .. } => 0,
            Decision::Reject(code) => code.max(1),
            Decision::Drop => return Err(Error::Dropped),
        };
        let mut reply: [u8; REPLY] = self.rng.array();
        put_options(&mut reply, &[]);
        reply[REPLY - 1] = code;
        for (i, record) in body[at..].chunks_mut(RECORD).enumerate() {
            if i == slot {
                let (data, tag) = record.split_at_mut(REPLY);
                data.copy_from_slice(&reply);
                tag.copy_from_slice(&aead::Key::new(&state.ck()).seal(0, &state.h(), data));
            } else {
                aes_cbc::encrypt(&keys.reply, &keys.reply_iv, record);
            }
        }
        let layer = Layer::new(&keys.layer, &keys.iv);
        keys.layer.zeroize();
        keys.iv.zeroize();
        keys.reply.zeroize();
        let accepted = matches!(decision, Decision::Accept { .. });
        let hop = accepted.then(|| self.hop(now, from, &request, layer));
        let expires = now.date + MESSAGE_LIFETIME;
        let endpoint = request.role == Role::OutboundEndpoint;
        let next =
            Message::new(if endpoint { reply_kind } else { kind }, request.next_message, expires, body);
        let message = if endpoint {
            TunnelGateway::wrap(request.next_tunnel, &next).into_message(self.rng.u32(), expires)
        } else {
            next
        };
        let send = Sending { to: request.next, message };
        Ok(Answer { request, hop, send })
    }
}

#[cfg(test)]
mod tests;
