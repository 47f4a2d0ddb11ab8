//! The erasure code: Reed-Solomon over 16-bit words, as reed-solomon-simd (and Leopard before it) has it.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::Error;
use crate::block::SIZE;

/// Encoder and decoder, with the room that they work in (4 and 8 MiB for 128 blocks), kept for the next segment.
#[derive(Default)]
pub(crate) struct Erasure {
    encoder: Option<ReedSolomonEncoder>,
    decoder: Option<ReedSolomonDecoder>,
}

impl std::fmt::Debug for Erasure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Erasure").finish_non_exhaustive()
    }
}

impl Erasure {
    /// The check blocks of data blocks, one after the other. Each data block is [`SIZE`] bytes.
    pub(crate) fn encode<'a>(
        &mut self,
        data: impl ExactSizeIterator<Item = &'a [u8]>,
        check: usize,
    ) -> Result<Vec<u8>, Error> {
        if check == 0 {
            return Ok(Vec::new());
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => {
                encoder.reset(data.len(), check, SIZE).map_err(|_| Error::Erasure)?;
                encoder
            }
            none => {
                none.insert(ReedSolomonEncoder::new(data.len(), check, SIZE).map_err(|_| Error::Erasure)?)
            }
        };
        for block in data {
            encoder.add_original_shard(block).map_err(|_| Error::Erasure)?;
        }
        let result = encoder.encode().map_err(|_| Error::Erasure)?;
        let mut out = Vec::with_capacity(check * SIZE);
        for block in result.recovery_iter() {
            out.extend_from_slice(block);
        }
        Ok(out)
    }

    /// The data blocks that are `None`, with their numbers; at least as many check blocks have to be there.
    pub(crate) fn decode(
        &mut self,
        data: &[Option<&[u8]>],
        check: &[Option<&[u8]>],
    ) -> Result<Vec<(usize, Vec<u8>)>, Error> {
        let failed = |_| Error::Erasure;
        let decoder = match &mut self.decoder {
            Some(decoder) => {
                decoder.reset(data.len(), check.len(), SIZE).map_err(failed)?;
                decoder
            }
            none => none.insert(ReedSolomonDecoder::new(data.len(), check.len(), SIZE).map_err(failed)?),
        };
        for (number, block) in data.iter().enumerate() {
            if let Some(block) = block {
                decoder.add_original_shard(number, block).map_err(failed)?;
            }
        }
        let missing = data.iter().filter(|block| block.is_none()).count();
        let spare = check.iter().enumerate().filter_map(|(number, block)| Some((number, (*block)?)));
        for (number, block) in spare.take(missing) {
            decoder.add_recovery_shard(number, block).map_err(failed)?;
        }
        let result = decoder.decode().map_err(failed)?;
        Ok(result.restored_original_iter().map(|(number, block)| (number, block.to_vec())).collect())
    }
}

#[cfg(test)]
mod tests;
