//! Arithmetic modulo 2^255 - 19, in constant time, over formally verified limbs.

use fiat_crypto::curve25519_64::{
    fiat_25519_add, fiat_25519_carry, fiat_25519_carry_mul, fiat_25519_carry_square, fiat_25519_from_bytes,
    fiat_25519_loose_field_element as Loose, fiat_25519_opp, fiat_25519_relax, fiat_25519_selectznz,
    fiat_25519_sub, fiat_25519_tight_field_element as Tight, fiat_25519_to_bytes,
};
use subtle::{Choice, ConstantTimeEq};

/// An element of the field.
#[derive(Clone, Copy)]
pub(crate) struct Field(Tight);

impl Field {
    pub(crate) const ZERO: Self = Self(Tight([0; 5]));
    pub(crate) const ONE: Self = Self(Tight([1, 0, 0, 0, 0]));

    /// A small number.
    pub(crate) const fn small(number: u32) -> Self {
        Self(Tight([number as u64, 0, 0, 0, 0]))
    }

    /// From 32 little-endian bytes; the top bit is ignored, and numbers from 2^255 - 19 on wrap around.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut bytes = *bytes;
        bytes[31] &= 0x7f;
        let mut out = Self::ZERO;
        fiat_25519_from_bytes(&mut out.0, &bytes);
        out
    }

    /// The one canonical encoding, little-endian.
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut out = [0; 32];
        fiat_25519_to_bytes(&mut out, &self.0);
        out
    }

    fn loose(self) -> Loose {
        let mut out = Loose([0; 5]);
        fiat_25519_relax(&mut out, &self.0);
        out
    }

    fn carry(loose: &Loose) -> Self {
        let mut out = Self::ZERO;
        fiat_25519_carry(&mut out.0, loose);
        out
    }

    pub(crate) fn add(self, other: Self) -> Self {
        let mut out = Loose([0; 5]);
        fiat_25519_add(&mut out, &self.0, &other.0);
        Self::carry(&out)
    }

    pub(crate) fn sub(self, other: Self) -> Self {
        let mut out = Loose([0; 5]);
        fiat_25519_sub(&mut out, &self.0, &other.0);
        Self::carry(&out)
    }

    pub(crate) fn neg(self) -> Self {
        let mut out = Loose([0; 5]);
        fiat_25519_opp(&mut out, &self.0);
        Self::carry(&out)
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        let mut out = Self::ZERO;
        fiat_25519_carry_mul(&mut out.0, &self.loose(), &other.loose());
        out
    }

    pub(crate) fn square(self) -> Self {
        let mut out = Self::ZERO;
        fiat_25519_carry_square(&mut out.0, &self.loose());
        out
    }

    /// `self` to the power of 2^n.
    fn squares(self, n: usize) -> Self {
        (0..n).fold(self, |x, _| x.square())
    }

    /// `self` to the power of 2^250 - 1, and of 11: the parts from which the powers below are made.
    fn pow_2_250_1(self) -> (Self, Self) {
        let x2 = self.square();
        let x9 = x2.squares(2).mul(self);
        let x11 = x9.mul(x2);
        let ones5 = x11.square().mul(x9); // 2^5 - 1
        let ones10 = ones5.squares(5).mul(ones5);
        let ones20 = ones10.squares(10).mul(ones10);
        let ones40 = ones20.squares(20).mul(ones20);
        let ones50 = ones40.squares(10).mul(ones10);
        let ones100 = ones50.squares(50).mul(ones50);
        let ones200 = ones100.squares(100).mul(ones100);
        (ones200.squares(50).mul(ones50), x11)
    }

    /// `self` to the power of (p - 5) / 8 = 2^252 - 3.
    fn pow_p58(self) -> Self {
        self.pow_2_250_1().0.squares(2).mul(self)
    }

    /// The inverse; 0 for 0.
    pub(crate) fn invert(self) -> Self {
        let (ones, x11) = self.pow_2_250_1();
        ones.squares(5).mul(x11)
    }

    /// `(true, square root of u / v)`, or `(false, _)` if that is no square. 0 for `u` 0; false for `v` 0.
    pub(crate) fn sqrt_ratio(u: Self, v: Self) -> (Choice, Self) {
        let v3 = v.square().mul(v);
        let v7 = v3.square().mul(v);
        let root = u.mul(v3).mul(u.mul(v7).pow_p58());
        let check = v.mul(root.square());
        let flipped = check.equals(u.neg());
        let root = Self::select(root, root.mul(sqrt_of_minus_one()), flipped);
        (check.equals(u) | flipped, root)
    }

    pub(crate) fn equals(self, other: Self) -> Choice {
        self.to_bytes().ct_eq(&other.to_bytes())
    }

    /// `b` if `choose_b`, else `a`.
    pub(crate) fn select(a: Self, b: Self, choose_b: Choice) -> Self {
        let mut out = [0; 5];
        fiat_25519_selectznz(&mut out, choose_b.unwrap_u8(), &a.0.0, &b.0.0);
        Self(Tight(out))
    }

    /// Whether the number is in the upper half, above (p - 1) / 2: then twice it, reduced, is odd.
    pub(crate) fn is_upper_half(self) -> Choice {
        Choice::from(self.add(self).to_bytes()[0] & 1)
    }
}

/// A square root of -1: 2^((p - 1) / 4), where (p - 1) / 4 = 2 (p - 5) / 8 + 1.
fn sqrt_of_minus_one() -> Field {
    let two = Field::small(2);
    two.pow_p58().square().mul(two)
}

#[cfg(test)]
mod tests;
