//! The root: what content is, and where its blocks are.

use bytes::Bytes;

use super::shape::{Level, MAX_LENGTH, Params, levels};
use super::{Error, Role};
use crate::block::{ContentBlock, SIZE};
use crate::codec::{Reader, is_zero};
use crate::keys::{Chk, RootKind, Secrecy, context};
use crate::media::MediaType;
use crate::tree::Piece;

const VERSION: u8 = 1;

/// Bytes of a root before the content type: `VERSION kind depth length[8] hash[32] data[2] check[2] type-length`.
const HEADER: usize = 1 + 1 + 1 + 8 + 32 + 2 + 2 + 1;

/// Bytes that a root has for content or entries, beside a content type of so many characters.
pub(crate) fn room(media: usize) -> usize {
    SIZE.saturating_sub(HEADER + media)
}

/// What the root of a piece of content says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// A file, or a folder's manifest.
    pub kind: RootKind,
    /// Bytes of the content.
    pub length: u64,
    /// BLAKE3 of the whole content, as `b3sum` prints it.
    pub hash: [u8; 32],
    /// The content type, if its publisher stated one.
    pub media: Option<MediaType>,
    params: Params,
    levels: Vec<Level>,
    body: Bytes,
}

impl Root {
    /// The description of content whose top level (or all of it) is `body`.
    pub(crate) fn new(
        kind: RootKind,
        length: u64,
        hash: [u8; 32],
        media: Option<MediaType>,
        params: Params,
        body: Bytes,
    ) -> Self {
        let levels = levels(length, room(media.as_ref().map_or(0, |media| media.as_str().len())), params);
        Self { kind, length, hash, media, params, levels, body }
    }

    /// How the content is cut; for content in the root alone this says nothing.
    pub fn params(&self) -> Params {
        self.params
    }

    /// Whether the root is the only block: no check blocks protect it.
    pub fn is_single(&self) -> bool {
        self.levels.is_empty()
    }

    /// Blocks of the whole tree, root and check blocks included.
    pub fn blocks(&self) -> u64 {
        super::block_count(
            self.length,
            self.media.as_ref().map_or(0, |media| media.as_str().len()),
            self.params,
        )
    }

    /// The levels from the content up.
    pub(crate) fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The content, or the entries of the highest level.
    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    fn encode(&self) -> Vec<u8> {
        let media = self.media.as_ref().map_or("", MediaType::as_str);
        let mut out = Vec::with_capacity(SIZE);
        out.extend_from_slice(&[VERSION, self.kind.code(), self.levels.len() as u8]);
        out.extend_from_slice(&self.length.to_be_bytes());
        out.extend_from_slice(&self.hash);
        let (data, check) = if self.is_single() { (0, 0) } else { (self.params.data(), self.params.check()) };
        out.extend_from_slice(&(data as u16).to_be_bytes());
        out.extend_from_slice(&(check as u16).to_be_bytes());
        out.push(media.len() as u8); // 127 at most
        out.extend_from_slice(media.as_bytes());
        out.extend_from_slice(&self.body);
        out.resize(SIZE, 0);
        out
    }

    /// The root block, and the key of the content.
    pub(crate) fn seal(&self, secrecy: &Secrecy) -> Result<(Piece, Chk), Error> {
        let plain = self.encode();
        let crypto = secrecy.key(context::ROOT_CRYPTO, &[&plain]);
        let block = ContentBlock::seal(&plain, &crypto, 0).map_err(|_| Error::Root("too long"))?;
        let chk = Chk { routing: block.key(), crypto, root: self.kind };
        Ok((Piece { block, role: Role::Root }, chk))
    }

    /// Reads the root of a CHK.
    ///
    /// # Errors
    /// [`Error::Root`] or [`Error::Kind`]: it is no root that a publisher should make, or no root at all.
    pub fn open(chk: &Chk, block: &ContentBlock) -> Result<Self, Error> {
        if block.key() != chk.routing {
            return Err(Error::Root("it is another block"));
        }
        let root = Self::decode(&block.open(&chk.crypto, 0).into())?;
        if root.kind == chk.root { Ok(root) } else { Err(Error::Kind) }
    }

    fn decode(plain: &Bytes) -> Result<Self, Error> {
        let short = Error::Root("too short");
        let mut reader = Reader::new(plain);
        if reader.u8().ok_or(short)? != VERSION {
            return Err(Error::Root("it is of another version, or was not made by allium"));
        }
        let kind = RootKind::from_code(reader.u8().ok_or(short)?).ok_or(Error::Root("its kind"))?;
        let depth = reader.u8().ok_or(short)?;
        let length = reader.u64().ok_or(short)?;
        let hash = reader.array().ok_or(short)?;
        let (data, check) = (reader.u16().ok_or(short)?, reader.u16().ok_or(short)?);
        let media = match reader.short_text().ok_or(Error::Root("its content type"))? {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::Root("its content type"))?),
        };
        if length > MAX_LENGTH {
            return Err(Error::Root("its length"));
        }
        let params = match (depth, data, check) {
            (0, 0, 0) => Params::default(),
            (0, ..) => return Err(Error::Root("its segments")),
            _ => Params::new(data, check).map_err(|_| Error::Root("its segments"))?,
        };
        let room = reader.rest().len();
        let levels = levels(length, room, params);
        if levels.len() != usize::from(depth) {
            return Err(Error::Root("its depth"));
        }
        let body = levels.last().map_or(length, |top| top.entries()) as usize; // at most `room`
        let (body, zeros) = reader.rest().split_at_checked(body).ok_or(short)?;
        if !is_zero(zeros) {
            return Err(Error::Root("its end"));
        }
        let body = plain.slice_ref(body);
        Ok(Self { kind, length, hash, media, params, levels, body })
    }
}

#[cfg(test)]
mod tests;
