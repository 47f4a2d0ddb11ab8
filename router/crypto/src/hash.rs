//! SHA-2, HMAC and HKDF as the Noise framework and I2P's ratchet use them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroize;

/// SHA-256 of the data.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// SHA-256 of the parts, one after the other.
pub fn sha256_of(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-512 of the parts, one after the other.
pub fn sha512_of(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HMAC-SHA-256 of the parts, one after the other, with a key of any length.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    tag_of(keyed(key), parts)
}

/// HMAC-SHA-256 that has taken its key in.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
    mac
}

fn tag_of(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF-SHA-256 with 64 bytes of output, as two keys (common structures, "HKDF").
///
/// I2P writes it `HKDF(salt, ikm, info, 64)`; `ikm` and `info` may be empty.
pub fn hkdf(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> ([u8; 32], [u8; 32]) {
    let mut secret = hmac_sha256(salt, &[ikm]);
    let mac = keyed(&secret);
    let first = tag_of(mac.clone(), &[info, &[1]]);
    let second = tag_of(mac, &[&first, info, &[2]]);
    secret.zeroize();
    (first, second)
}

/// HKDF-SHA-256 with 32 bytes of output: the first key of [`hkdf`].
pub fn hkdf_one(salt: &[u8; 32], ikm: &[u8], info: &[u8]) -> [u8; 32] {
    let mut secret = hmac_sha256(salt, &[ikm]);
    let first = hmac_sha256(&secret, &[info, &[1]]);
    secret.zeroize();
    first
}

#[cfg(test)]
mod tests;
