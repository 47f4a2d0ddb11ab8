use proptest::prelude::*;

use super::*;

impl std::fmt::Debug for Field {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:02x?}", self.to_bytes())
    }
}

fn field() -> impl Strategy<Value = Field> {
    any::<[u8; 32]>().prop_map(|bytes| Field::from_bytes(&bytes))
}

#[test]
fn numbers_wrap_around() {
    let mut bytes = [0xff; 32];
    bytes[31] = 0x7f;
    assert_eq!(Field::from_bytes(&bytes).to_bytes(), Field::small(18).to_bytes());
    assert!(bool::from(Field::ZERO.sub(Field::ONE).is_upper_half()));
    assert!(!bool::from(Field::ZERO.is_upper_half()) && !bool::from(Field::ONE.is_upper_half()));
}

#[test]
fn a_root_of_minus_one() {
    assert!(bool::from(sqrt_of_minus_one().square().equals(Field::ONE.neg())));
}

#[test]
fn ratios_with_zero() {
    let (square, root) = Field::sqrt_ratio(Field::ZERO, Field::small(5));
    assert!(bool::from(square & root.equals(Field::ZERO)));
    assert!(!bool::from(Field::sqrt_ratio(Field::small(5), Field::ZERO).0));
}

proptest! {
    #[test]
    fn inverse_and_roots(x in field(), y in field()) {
        let one = x.mul(x.invert());
        prop_assert!(bool::from(one.equals(Field::ONE) | x.equals(Field::ZERO)));
        let (square, root) = Field::sqrt_ratio(x.square(), y.square());
        prop_assert!(bool::from(square));
        prop_assert!(bool::from(root.mul(y).square().equals(x.square())));
        // 2 is no square, so of x and 2 x exactly one is.
        let twice = Field::sqrt_ratio(x.add(x), Field::ONE).0;
        prop_assert!(bool::from(twice ^ Field::sqrt_ratio(x, Field::ONE).0));
    }

    #[test]
    fn one_half_is_upper(x in field()) {
        prop_assert!(bool::from(x.is_upper_half() ^ x.neg().is_upper_half()));
    }

    #[test]
    fn sums_and_products(x in field(), y in field(), z in field()) {
        prop_assert!(bool::from(x.add(y).sub(y).equals(x)));
        prop_assert!(bool::from(x.add(y).mul(z).equals(x.mul(z).add(y.mul(z)))));
        prop_assert!(bool::from(x.add(y).square().equals(x.add(y).mul(x.add(y)))));
    }
}
