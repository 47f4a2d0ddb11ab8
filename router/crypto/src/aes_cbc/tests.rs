use hex_literal::hex;
use proptest::prelude::*;

use super::*;

/// NIST SP 800-38A, F.2.5 and F.2.6.
#[test]
fn two_blocks() {
    let key = hex!("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let iv = hex!("000102030405060708090a0b0c0d0e0f");
    let plain = hex!("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let cipher = hex!("f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d");
    let mut data = plain;
    assert_eq!(encrypt(&key, &iv, &mut data), cipher[16..]);
    assert_eq!(data, cipher);
    assert_eq!(decrypt(&key, &iv, &mut data), cipher[16..]);
    assert_eq!(data, plain);
}

proptest! {
    /// NTCP2 encrypts Y with the IV that X left behind.
    #[test]
    fn the_chain_goes_on(key: [u8; 32], iv: [u8; 16], x: [u8; 32], y: [u8; 32]) {
        let mut both = [x, y].concat();
        encrypt(&key, &iv, &mut both);
        let (mut x_sealed, mut y_sealed) = (x, y);
        let next = encrypt(&key, &iv, &mut x_sealed);
        encrypt(&key, &next, &mut y_sealed);
        prop_assert_eq!(&[x_sealed, y_sealed].concat(), &both);

        let next = decrypt(&key, &iv, &mut x_sealed);
        decrypt(&key, &next, &mut y_sealed);
        prop_assert_eq!((x_sealed, y_sealed), (x, y));
    }

    #[test]
    fn a_rest_shorter_than_a_block_stays(data in prop::collection::vec(any::<u8>(), 0..100)) {
        let whole = data.len() / 16 * 16;
        let mut changed = data.clone();
        let next = encrypt(&[1; 32], &[2; 16], &mut changed);
        prop_assert_eq!(&changed[whole..], &data[whole..]);
        prop_assert_eq!(&next[..], changed[..whole].last_chunk::<16>().unwrap_or(&[2; 16]));
        decrypt(&[1; 32], &[2; 16], &mut changed);
        prop_assert_eq!(changed, data);
    }
}
