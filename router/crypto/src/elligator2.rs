//! Elligator2: X25519 public keys as strings that look random (ECIES ratchet, "Elligator2").
//!
//! About half of all public keys have a representative. A representative has 254 bits that matter; the two
//! top bits are random on the wire and ignored when decoding. Noise hashes take the decoded key.

use subtle::Choice;

use crate::Rng;
use crate::field::Field;
use crate::x25519::{PublicKey, StaticSecret};

/// The coefficient A of Curve25519, v^2 = u^3 + A u^2 + u.
const A: Field = Field::small(486_662);

/// A key pair whose public key has a representative, and that representative with two random top bits.
pub fn generate(rng: &mut Rng) -> (StaticSecret, [u8; 32]) {
    loop {
        let secret = StaticSecret::generate(rng);
        let [tweak] = rng.array();
        if let Some(representative) = invert(Field::from_bytes(&secret.public().0), tweak) {
            return (secret, representative);
        }
    }
}

/// The representative of a public key, if it has one: nearly every second key has. A key that is not on the
/// curve (but on its twist) has none.
///
/// Bit 0 of `tweak` says which of the two representatives; bits 6 and 7 become the top bits of the result.
pub fn representative(public: &PublicKey, tweak: u8) -> Option<[u8; 32]> {
    let u = Field::from_bytes(&public.0);
    if bool::from(is_on_curve(u)) { invert(u, tweak) } else { None }
}

/// The inverse map, for the `u` of a point that is on the curve.
fn invert(u: Field, tweak: u8) -> Option<[u8; 32]> {
    let other = u.add(A);
    // Tweak 0: r^2 = -u / (2 (u + A)); tweak 1: r^2 = -(u + A) / (2 u). Both are squares, or none is.
    let swap = Choice::from(tweak & 1);
    let above = Field::select(u, other, swap).neg();
    let below = Field::select(other, u, swap);
    let (square, root) = Field::sqrt_ratio(above, below.add(below));
    if !bool::from(square) {
        return None;
    }
    let root = Field::select(root, root.neg(), root.is_upper_half());
    let mut bytes = root.to_bytes();
    bytes[31] |= tweak & 0xc0;
    Some(bytes)
}

/// The public key of a representative. Every string of 32 bytes is one.
pub fn decode(representative: &[u8; 32]) -> PublicKey {
    let mut bytes = *representative;
    bytes[31] &= 0x3f;
    let square = Field::from_bytes(&bytes).square();
    // u = -A / (1 + 2 r^2) if that is on the curve, else -A - u. 1 + 2 r^2 is never 0: -1/2 is no square.
    let u = A.neg().mul(square.add(square).add(Field::ONE).invert());
    let u = Field::select(A.neg().sub(u), u, is_on_curve(u));
    PublicKey(u.to_bytes())
}

/// Whether u^3 + A u^2 + u is a square.
fn is_on_curve(u: Field) -> Choice {
    let right_side = u.square().add(A.mul(u)).add(Field::ONE).mul(u);
    Field::sqrt_ratio(right_side, Field::ONE).0
}

#[cfg(test)]
mod tests;
