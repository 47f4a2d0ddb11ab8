//! Short tunnel build records: the request to a hop, the keys that follow from it, and the reply
//! (tunnel-creation-ecies, "Short Record Specification").

mod answer;
mod creator;
mod keys;
mod long;
mod request;

pub use answer::{Answer, Decision, Responder};
pub use creator::{Build, Built, Ends, HopKey, Outcome, Refusal};
pub use keys::GarlicKey;
pub use request::{Request, Role};

/// A record as it travels: 16 bytes of the hop's hash, ephemeral key, 154 sealed bytes, tag.
const RECORD: usize = 218;
/// A request in the clear.
const REQUEST: usize = 154;
/// A reply in the clear.
const REPLY: usize = 202;
/// Records of a build that needs no more.
const STANDARD: usize = 4;
/// Records of a build that does.
const MOST: usize = 8;

/// The one reason that routers give for refusing: no bandwidth.
pub const REJECT_BANDWIDTH: u8 = 30;

/// The nonce of a record's cipher: its place in the message.
fn nonce(slot: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4] = slot as u8;
    nonce
}

#[cfg(test)]
mod tests;
