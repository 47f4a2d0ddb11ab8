use super::*;
use crate::vectors::{array, java};

#[test]
fn trap_14_masks_of_the_first_frames() {
    let part = java("ntcp2_handshake");
    let part = &part["data_phase"];
    let mut lengths = Lengths::new(array(part, "sip_alice_to_bob"));
    for n in 1..=3 {
        let expected = part[format!("length_mask_alice_to_bob_frame_{n}")].as_u64().unwrap();
        assert_eq!(u64::from(lengths.next_mask()), expected);
    }
}
