//! Content in, blocks out.

use super::erasure::Erasure;
use super::root::{Root, room};
use super::shape::{MAX_LENGTH, Params};
use super::{Error, Role};
use crate::block::{ContentBlock, SIZE};
use crate::keys::{Chk, CryptoKey, RootKind, Secrecy, context};
use crate::media::{self, MediaType};

/// How content is written.
#[derive(Clone, Debug)]
pub struct Options {
    /// A file, or a folder's manifest.
    pub kind: RootKind,
    /// The content type, which becomes a part of the root: with another one the same bytes have another CHK. Leave it
    /// out where the name in a URI or manifest tells it.
    pub media: Option<MediaType>,
    /// How it is cut into segments.
    pub params: Params,
    /// Whether others get the same keys for the same bytes.
    pub secrecy: Secrecy,
}

impl Default for Options {
    /// A file without a type, in segments of 128 and 64 blocks, with the key that its bytes have for everybody.
    fn default() -> Self {
        Self { kind: RootKind::Data, media: None, params: Params::default(), secrecy: Secrecy::default() }
    }
}

/// A block of the content, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The block.
    pub block: ContentBlock,
    /// What it is.
    pub role: Role,
}

/// A segment whose blocks are being given out.
#[derive(Debug)]
struct Segment {
    level: usize,
    crypto: CryptoKey,
    /// Data blocks, whole.
    data: Vec<u8>,
    /// Check blocks.
    check: Vec<u8>,
    /// The next block's number.
    next: u32,
    /// What the level above gets: encryption key, routing keys.
    entry: Vec<u8>,
}

impl Segment {
    /// Seals the next block.
    fn seal(&mut self) -> Result<Option<Piece>, Error> {
        let count = self.data.len() / SIZE;
        let number = self.next as usize;
        let (from, at) = if number < count { (&self.data, number) } else { (&self.check, number - count) };
        let Some(plain) = from.get(at * SIZE..(at + 1) * SIZE) else { return Ok(None) };
        let block = ContentBlock::seal(plain, &self.crypto, self.next).map_err(|_| Error::Erasure)?;
        self.entry.extend_from_slice(&block.key().0);
        self.next += 1;
        let role = match (self.level, number < count) {
            (0, true) => Role::Data,
            (0, false) => Role::Check,
            _ => Role::Index,
        };
        Ok(Some(Piece { block, role }))
    }
}

/// Cuts, encrypts and protects content that comes as a stream. Holds at most two segments (some 16 MiB).
///
/// In turn: [`Self::push`] bytes until it takes no more, [`Self::poll`] until there is nothing; after the last bytes
/// [`Self::finish`], then [`Self::poll`] until there is nothing, and [`Self::chk`] is the content's key. The same
/// bytes and options give the same blocks in the same order.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    hasher: blake3::Hasher,
    length: u64,
    /// What each level has that is in no segment yet.
    levels: Vec<Vec<u8>>,
    segment: Option<Segment>,
    erasure: Erasure,
    finished: bool,
    chk: Option<Chk>,
}

impl Writer {
    /// A writer of nothing yet.
    pub fn new(mut options: Options) -> Self {
        options.media = options.media.filter(|media| media.as_str() != media::UNKNOWN);
        Self {
            options,
            hasher: blake3::Hasher::new(),
            length: 0,
            levels: vec![Vec::new()],
            segment: None,
            erasure: Erasure::default(),
            finished: false,
            chk: None,
        }
    }

    /// Takes bytes, and says how many: fewer than given when there are blocks to be polled first, none after
    /// [`Self::finish`].
    ///
    /// # Errors
    /// [`Error::TooLong`] past [`MAX_LENGTH`].
    pub fn push(&mut self, data: &[u8]) -> Result<usize, Error> {
        if self.finished || self.segment.is_some() {
            return Ok(0);
        }
        let whole = self.options.params.segment_bytes() as usize;
        let Some(held) = self.levels.first_mut() else { return Ok(0) };
        let taken = data.get(..data.len().min(whole - held.len())).unwrap_or_default();
        if self.length + taken.len() as u64 > MAX_LENGTH {
            return Err(Error::TooLong(MAX_LENGTH));
        }
        held.extend_from_slice(taken);
        self.hasher.update(taken);
        self.length += taken.len() as u64;
        if held.len() == whole {
            self.begin(0)?;
        }
        Ok(taken.len())
    }

    /// There are no more bytes.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next block to be stored. The root comes last.
    ///
    /// # Errors
    /// [`Error::Erasure`], a defect.
    pub fn poll(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            if let Some(segment) = &mut self.segment {
                if let Some(piece) = segment.seal()? {
                    return Ok(Some(piece));
                }
                self.end()?;
            } else if self.finished && self.chk.is_none() {
                if let Some(root) = self.close()? {
                    return Ok(Some(root));
                }
            } else {
                return Ok(None);
            }
        }
    }

    /// Bytes taken so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The content's key, once the root was polled.
    pub fn chk(&self) -> Option<&Chk> {
        self.chk.as_ref()
    }

    /// Takes a segment (all, if less is there) from what a level has.
    fn begin(&mut self, level: usize) -> Result<(), Error> {
        let params = self.options.params;
        let Some(held) = self.levels.get_mut(level) else { return Ok(()) };
        let rest = held.split_off(held.len().min(params.segment_bytes() as usize));
        let mut data = std::mem::replace(held, rest);
        data.resize(data.len().next_multiple_of(SIZE), 0);
        let count = data.len() / SIZE;
        let check = params.check_of(count);
        // The numbers of blocks belong to the key: with other ones, the check blocks are others.
        let numbers = [(count as u16).to_be_bytes(), (check as u16).to_be_bytes()];
        let crypto = self.options.secrecy.key(context::SEGMENT_CRYPTO, &[numbers.as_flattened(), &data]);
        let check = self.erasure.encode(data.chunks_exact(SIZE), check)?;
        let entry = crypto.as_bytes().to_vec();
        self.segment = Some(Segment { level, crypto, data, check, next: 0, entry });
        Ok(())
    }

    /// Hands the entry of the segment that was given out to the level above.
    fn end(&mut self) -> Result<(), Error> {
        let Some(mut segment) = self.segment.take() else { return Ok(()) };
        let above = segment.level + 1;
        if self.levels.len() <= above {
            self.levels.push(Vec::new());
        }
        if segment.level == 0
            && let Some(held) = self.levels.first_mut()
        {
            segment.data.clear();
            *held = segment.data; // the next segment's room
        }
        let whole = self.options.params.segment_bytes() as usize;
        let Some(held) = self.levels.get_mut(above) else { return Ok(()) };
        held.extend_from_slice(&segment.entry);
        if held.len() >= whole { self.begin(above) } else { Ok(()) }
    }

    /// After the end: begins the lowest level's last segment, or makes the root of what fits into it.
    fn close(&mut self) -> Result<Option<Piece>, Error> {
        let media = self.options.media.as_ref().map_or(0, |media| media.as_str().len());
        let highest = self.levels.len() - 1;
        let Some(level) = self.levels.iter().position(|held| !held.is_empty()).or(Some(highest)) else {
            return Ok(None);
        };
        let fits = self.levels.get(level).is_some_and(|held| held.len() <= room(media));
        if level < highest || !fits {
            self.begin(level)?;
            return Ok(None);
        }
        let body = self.levels.pop().unwrap_or_default();
        let hash = *self.hasher.finalize().as_bytes();
        let Options { kind, media, params, secrecy } = &self.options;
        let root = Root::new(*kind, self.length, hash, media.clone(), *params, body.into());
        let (piece, chk) = root.seal(secrecy)?;
        self.chk = Some(chk);
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests;
