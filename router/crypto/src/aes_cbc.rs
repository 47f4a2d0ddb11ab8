//! AES-256-CBC without padding: the obfuscation of NTCP2's ephemeral keys.

use aes::{Aes256, Block};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, IvState, KeyInit};
use cbc::{Decryptor, Encryptor};

/// Encrypts the whole 16-byte blocks of `data` in place (a shorter rest stays as it is); the result is the IV
/// with which the next message of the same chain goes on, i.e. the last block of ciphertext.
pub fn encrypt(key: &[u8; 32], iv: &[u8; 16], data: &mut [u8]) -> [u8; 16] {
    let mut cipher = Encryptor::inner_iv_init(Aes256::new(key.into()), iv.into());
    cipher.encrypt_blocks(Block::slice_as_chunks_mut(data).0);
    cipher.iv_state().into()
}

/// Decrypts the whole 16-byte blocks of `data` in place (a shorter rest stays as it is); the result is the IV
/// with which the next message of the same chain goes on, i.e. the last block of ciphertext.
pub fn decrypt(key: &[u8; 32], iv: &[u8; 16], data: &mut [u8]) -> [u8; 16] {
    let mut cipher = Decryptor::inner_iv_init(Aes256::new(key.into()), iv.into());
    cipher.decrypt_blocks(Block::slice_as_chunks_mut(data).0);
    cipher.iv_state().into()
}

#[cfg(test)]
mod tests;
