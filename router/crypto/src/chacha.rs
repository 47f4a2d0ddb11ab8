//! Raw ChaCha20: other hops' build records, encrypted lease sets, SSU2 header masks.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

/// XORs the key stream into `data`, beginning with 64-byte block number `counter` (1 almost everywhere in
/// I2P, as in the payload of RFC 8439's AEAD).
///
/// Past the last block (256 GiB from block 0) there is no key stream: `data` is then wiped.
pub fn xor(key: &[u8; 32], nonce: &[u8; 12], counter: u32, data: &mut [u8]) {
    let mut cipher = ChaCha20::new(key.into(), nonce.into());
    let sought = cipher.try_seek(u64::from(counter) * 64);
    if sought.is_err() || cipher.try_apply_keystream(data).is_err() {
        data.fill(0);
    }
}

#[cfg(test)]
mod tests;
