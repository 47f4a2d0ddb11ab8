use proptest::prelude::*;

use super::*;
use crate::hash::sha256;
use crate::vectors::{array, java};

fn body() -> Body {
    std::array::from_fn(|i| {
        let i = i + 4; // the tunnel id comes first
        ((7 * i + i / 256) % 256) as u8
    })
}

#[test]
fn trap_37_a_hop_encrypts_the_iv_before_and_after_the_data() {
    let part = java("tunnel_hop");
    let layer = Layer::new(&array(&part, "layer_key"), &array(&part, "iv_key"));
    let mut body = body();
    layer.encrypt(&mut body);
    assert_eq!(body[..16], array::<16>(&part, "iv_after"));
    assert_eq!(body[16..80], array::<64>(&part, "data_after_first_64"));
    assert_eq!(sha256(&body[16..]), array(&part, "data_after_sha256"));
    layer.decrypt(&mut body);
    assert_eq!(body, self::body());
}

#[test]
fn any_number_of_messages_at_once() {
    let layer = Layer::new(&[1; 32], &[2; 32]);
    for count in 0..20u8 {
        let mut bodies: Vec<Body> =
            (0..count).map(|n| std::array::from_fn(|i| n.wrapping_mul(i as u8))).collect();
        let before = bodies.clone();
        layer.encrypt_batch(&mut bodies.iter_mut().collect::<Vec<_>>());
        let mut singly = before.clone();
        for body in &mut singly {
            layer.encrypt(body);
        }
        assert_eq!(bodies, singly);
        layer.decrypt_batch(&mut bodies.iter_mut().collect::<Vec<_>>());
        assert_eq!(bodies, before);
    }
}

proptest! {
    /// The creator peels the hops' layers in reverse order.
    #[test]
    fn three_hops_and_back(keys: [[u8; 32]; 6], start: [u8; 32]) {
        let hops = [0, 2, 4].map(|at| Layer::new(&keys[at], &keys[at + 1]));
        let first = std::array::from_fn(|i| start[i % 32] ^ i as u8);
        let mut body = first;
        for hop in &hops {
            hop.encrypt(&mut body);
        }
        prop_assert_ne!(body, first);
        for hop in hops.iter().rev() {
            hop.decrypt(&mut body);
        }
        prop_assert_eq!(body, first);
    }
}
