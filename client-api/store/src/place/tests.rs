use proptest::prelude::*;

use super::*;

#[test]
fn places_are_fixed_by_the_destination() {
    let place = Place::of(&DestHash([7; 32]));
    assert_eq!(place, Place::of(&DestHash([7; 32])));
    assert_ne!(place, Place::of(&DestHash([8; 32])));
    assert_ne!(place.0, *blake3::hash(&[7; 32]).as_bytes(), "another context, another place");
}

proptest! {
    #[test]
    fn shared_bits_are_the_leading_zeros_of_the_distance(a: [u8; 32], b: [u8; 32], depth in 0u16..=256) {
        let mut near = a;
        if depth < 256 {
            near[usize::from(depth / 8)] ^= 0x80 >> (depth % 8);
        }
        prop_assert_eq!(shared(&a, &near), depth);
        prop_assert_eq!(shared(&a, &b), shared(&b, &a));
        let bytes: [u8; 32] = std::array::from_fn(|index| a[index] ^ b[index]);
        prop_assert_eq!(distance(&a, &b), distance(&bytes, &[0; 32]));
        prop_assert_eq!(distance(&a, &b) < distance(&near, &b), bytes < std::array::from_fn(|i| near[i] ^ b[i]));
        if depth < 256 {
            prop_assert_ne!(bit(&a, depth), bit(&near, depth));
        }
    }

    #[test]
    fn a_mask_keeps_what_it_says(a: [u8; 32], depth in 0u16..=256) {
        let cut = masked(&a, depth);
        prop_assert!(shared(&a, &cut) >= depth);
        for at in depth..256 {
            prop_assert!(!bit(&cut, at));
        }
    }
}
