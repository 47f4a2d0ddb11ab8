//! The layer of encryption that each hop of a tunnel adds (tunnel implementation, "participant processing").

use aes::cipher::consts::U16;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockModeDecrypt,
    BlockModeEncrypt, BlockSizeUser, InnerIvInit, KeyInit,
};
use aes::{Aes256, Block};
use cbc::{Decryptor, Encryptor};

/// Messages that are worked on at once: enough to hide the latency of AES rounds.
const LANES: usize = 8;

/// Blocks of a message, its IV among them.
const BLOCKS: usize = 64;

/// What a hop encrypts of a tunnel message: the IV (16 bytes) and the data (1008), without the tunnel id.
type Body = [u8; 1024];

/// The cipher of one hop: a layer key and an IV key, both expanded.
///
/// A hop's step is AES-256 of the IV with the IV key, AES-256-CBC of the data with the layer key and that IV,
/// and AES-256 of the IV once more.
pub struct Layer {
    layer: Aes256,
    iv: Aes256,
}

opaque_debug!(Layer);

impl Layer {
    /// Expands both keys.
    pub fn new(layer_key: &[u8; 32], iv_key: &[u8; 32]) -> Self {
        Self { layer: Aes256::new(layer_key.into()), iv: Aes256::new(iv_key.into()) }
    }

    /// The hop's step, in place.
    pub fn encrypt(&self, body: &mut Body) {
        let ([iv, data @ ..], _) = Block::slice_as_chunks_mut(body) else { return };
        self.iv.encrypt_block(iv);
        Encryptor::inner_iv_init(&self.layer, iv).encrypt_blocks(data);
        self.iv.encrypt_block(iv);
    }

    /// The inverse of [`encrypt`](Self::encrypt), for the tunnel's creator.
    pub fn decrypt(&self, body: &mut Body) {
        let ([iv, data @ ..], _) = Block::slice_as_chunks_mut(body) else { return };
        self.iv.decrypt_block(iv);
        Decryptor::inner_iv_init(&self.layer, iv).decrypt_blocks(data);
        self.iv.decrypt_block(iv);
    }

    /// The hop's step for several messages; several at once are faster than one after the other.
    pub fn encrypt_batch(&self, bodies: &mut [&mut Body]) {
        for lanes in bodies.chunks_mut(LANES) {
            match lanes {
                [body] => self.encrypt(body),
                lanes => self.encrypt_lanes(lanes),
            }
        }
    }

    /// The inverse of [`encrypt_batch`](Self::encrypt_batch).
    pub fn decrypt_batch(&self, bodies: &mut [&mut Body]) {
        for lanes in bodies.chunks_mut(LANES) {
            self.decrypt_lanes(lanes);
        }
    }

    /// CBC decryption is parallel: this hands the cipher all blocks of all messages at once, in whole groups of the
    /// size that it is quickest with. The first block of each group is the message's IV, and what becomes of it here is
    /// of no use.
    fn decrypt_lanes(&self, lanes: &mut [&mut Body]) {
        let mut ivs = [Block::default(); LANES];
        let ivs = &mut ivs[..lanes.len().min(LANES)];
        for (iv, body) in ivs.iter_mut().zip(lanes.iter()) {
            iv.copy_from_slice(&body[..16]);
        }
        self.iv.decrypt_blocks(ivs);
        let mut plain = [Block::default(); LANES * BLOCKS];
        let plain = &mut plain[..ivs.len() * BLOCKS];
        for (blocks, body) in plain.chunks_exact_mut(BLOCKS).zip(lanes.iter()) {
            Block::slice_as_flattened_mut(blocks).copy_from_slice(&body[..]);
        }
        self.layer.decrypt_blocks(plain);
        for ((blocks, body), iv) in plain.chunks_exact_mut(BLOCKS).zip(lanes.iter_mut()).zip(ivs.iter()) {
            let bytes = Block::slice_as_flattened_mut(blocks);
            for (x, y) in bytes[16..32].iter_mut().zip(iv) {
                *x ^= y;
            }
            for (x, y) in bytes[32..].iter_mut().zip(&body[16..1008]) {
                *x ^= y;
            }
            body[16..].copy_from_slice(&bytes[16..]);
        }
        self.iv.decrypt_blocks(ivs);
        for (iv, body) in ivs.iter().zip(lanes) {
            body[..16].copy_from_slice(iv);
        }
    }

    /// CBC encryption is serial within a message: this takes one block of each message in turn.
    fn encrypt_lanes(&self, lanes: &mut [&mut Body]) {
        let mut chain = [Block::default(); LANES];
        let chain = &mut chain[..lanes.len().min(LANES)];
        for (iv, body) in chain.iter_mut().zip(lanes.iter()) {
            iv.copy_from_slice(&body[..16]);
        }
        self.iv.encrypt_blocks(chain);
        let mut ivs = [Block::default(); LANES];
        ivs[..chain.len()].copy_from_slice(chain);
        self.layer.encrypt_with_backend(Interleaved { chain, lanes });
        self.iv.encrypt_blocks(&mut ivs);
        for (iv, body) in ivs.iter().zip(lanes) {
            body[..16].copy_from_slice(iv);
        }
    }
}

/// CBC over several messages in step, with one key schedule.
struct Interleaved<'a, 'b> {
    chain: &'a mut [Block],
    lanes: &'a mut [&'b mut Body],
}

impl BlockSizeUser for Interleaved<'_, '_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Interleaved<'_, '_> {
    #[expect(clippy::inline_always, reason = "only inside the backend are AES instructions known to exist")]
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        for at in (16..1024).step_by(16) {
            for (chain, body) in self.chain.iter_mut().zip(self.lanes.iter()) {
                for (x, y) in chain.iter_mut().zip(&body[at..at + 16]) {
                    *x ^= y;
                }
            }
            for chain in self.chain.iter_mut() {
                backend.encrypt_block_inplace(chain);
            }
            for (chain, body) in self.chain.iter().zip(self.lanes.iter_mut()) {
                body[at..at + 16].copy_from_slice(chain);
            }
        }
    }
}

#[cfg(test)]
mod tests;
