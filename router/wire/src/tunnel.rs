//! What is inside a tunnel message: checksum, padding, delivery instructions, fragments (tunnel-message).

use allium_crypto::hash::sha256_of;

use crate::{Error, Reader, RouterHash, TunnelId};

/// Bytes of a TunnelData body: tunnel id, IV, and what is encrypted.
pub const DATA: usize = 1028;
/// Bytes of the tunnel id.
pub const ID: usize = 4;
/// Bytes of the IV.
pub const IV: usize = 16;
/// Bytes that the layers encrypt, beside the IV.
pub const PAYLOAD: usize = 1008;
/// Bytes for instructions and fragments: the payload without checksum and the zero byte.
pub const SPACE: usize = 1003;
/// Where within the body the checksum stands.
const CHECKSUM: usize = ID + IV;

/// Where an outbound endpoint is to deliver a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Here: the only target in inbound tunnels.
    Local,
    /// Into a tunnel.
    Tunnel {
        /// The tunnel's gateway.
        gateway: RouterHash,
        /// Its id there.
        tunnel: TunnelId,
    },
    /// To a router.
    Router(RouterHash),
}

impl Target {
    /// Bytes of the instructions for a whole message.
    pub fn whole_len(&self) -> usize {
        match self {
            Self::Local => 3,
            Self::Router(_) => 35,
            Self::Tunnel { .. } => 39,
        }
    }

    /// Bytes of the instructions for a first fragment.
    pub fn first_len(&self) -> usize {
        self.whole_len() + 4
    }
}

/// Bytes of the instructions for a later fragment.
pub const FOLLOW_ON: usize = 7;

/// The instructions before a message or fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// A whole message follows.
    Whole(Target),
    /// The first fragment of a message follows.
    First {
        /// Where the message is to go.
        target: Target,
        /// The message's number.
        message: u32,
    },
    /// A later fragment follows.
    FollowOn {
        /// The message's number.
        message: u32,
        /// The fragment's, 1 to 63.
        number: u8,
        /// Whether it is the last.
        last: bool,
    },
}

impl Instructions {
    /// Appends them, for a fragment of `length` bytes.
    pub fn encode(&self, length: usize, out: &mut Vec<u8>) {
        match self {
            Self::Whole(target) | Self::First { target, .. } => {
                let fragmented = if matches!(self, Self::First { .. }) { 8 } else { 0 };
                match target {
                    Target::Local => out.push(fragmented),
                    Target::Tunnel { gateway, tunnel } => {
                        out.push(1 << 5 | fragmented);
                        out.extend_from_slice(&tunnel.0.to_be_bytes());
                        out.extend_from_slice(gateway.as_bytes());
                    }
                    Target::Router(router) => {
                        out.push(2 << 5 | fragmented);
                        out.extend_from_slice(router.as_bytes());
                    }
                }
                if let Self::First { message, .. } = self {
                    out.extend_from_slice(&message.to_be_bytes());
                }
            }
            Self::FollowOn { message, number, last } => {
                out.push(0x80 | (number & 63) << 1 | u8::from(*last));
                out.extend_from_slice(&message.to_be_bytes());
            }
        }
        out.extend_from_slice(&(length as u16).to_be_bytes());
    }

    /// Takes instructions off a reader, and the length of the fragment that follows.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Invalid`] for a later fragment with number 0, or a target of no known type.
    pub fn decode(reader: &mut Reader<'_>) -> Result<(Self, usize), Error> {
        let flag = reader.u8()?;
        let instructions = if flag & 0x80 != 0 {
            let (number, last) = (flag >> 1 & 63, flag & 1 != 0);
            if number == 0 {
                return Err(Error::Invalid("a fragment's number"));
            }
            Self::FollowOn { message: reader.u32()?, number, last }
        } else {
            let target = match flag >> 5 & 3 {
                0 => Target::Local,
                1 => {
                    let tunnel = TunnelId(reader.u32()?);
                    Target::Tunnel { gateway: RouterHash(reader.array()?), tunnel }
                }
                2 => Target::Router(RouterHash(reader.array()?)),
                _ => return Err(Error::Invalid("a delivery type")),
            };
            if flag & 8 != 0 { Self::First { target, message: reader.u32()? } } else { Self::Whole(target) }
        };
        Ok((instructions, usize::from(reader.u16()?)))
    }
}

/// The checksum over instructions and fragments.
pub fn checksum(iv: &[u8], content: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = sha256_of(&[content, iv]);
    [a, b, c, d]
}

/// Where within a decrypted body the first instructions begin, its checksum checked.
///
/// # Errors
/// Where the body is not 1028 bytes, there is no zero byte, or the checksum does not fit.
pub fn content_at(body: &[u8]) -> Result<usize, Error> {
    const SHORT: Error = Error::Truncated("a tunnel message");
    if body.len() != DATA {
        return Err(SHORT);
    }
    let iv = body.get(ID..CHECKSUM).ok_or(SHORT)?;
    let sum = body.get(CHECKSUM..CHECKSUM + 4).ok_or(SHORT)?;
    let padded = body.get(CHECKSUM + 4..).ok_or(SHORT)?;
    let zero =
        padded.iter().position(|byte| *byte == 0).ok_or(Error::Invalid("a tunnel message's padding"))?;
    let at = CHECKSUM + 4 + zero + 1;
    let content = body.get(at..).ok_or(SHORT)?;
    if checksum(iv, content) != sum {
        return Err(Error::Invalid("a tunnel message's checksum"));
    }
    Ok(at)
}

#[cfg(test)]
mod tests;
