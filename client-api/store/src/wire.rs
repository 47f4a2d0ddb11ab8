//! What nodes and clients send each other. Layouts: docs/content.md, "Protocol: the store network".
//!
//! Questions and short answers are [`Datagram`]s, which may be lost; blocks go in [`Frame`]s over a reliable ordered
//! channel. An answer repeats the 64-bit random number of its question. Integers are big-endian.

use allium_wire::{DestHash, Error, Reader};
use bytes::{BufMut, Bytes, BytesMut};

use crate::{Key, Version};

/// The version of the protocol, first byte of every datagram and frame.
pub const VERSION: u8 = 1;
/// No datagram is longer, bytes.
pub const MAX_DATAGRAM: usize = 8192;
/// No frame is longer than this and the encoding of one block, bytes.
pub const FRAME_OVERHEAD: usize = 16;
/// Keys that one [`Datagram::Find`] may ask for.
pub const MAX_KEYS: usize = 64;
/// Nodes that one [`Datagram::Found`] may name.
pub const MAX_NODES: usize = 200;
/// Nodes that one [`Datagram::Found`] may name for each key.
pub const MAX_CLOSEST: usize = 16;
/// Blocks that one [`Datagram::Offer`] may name.
pub const MAX_ITEMS: usize = 700;

/// A message that may be lost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Datagram {
    /// Which nodes are closest to these keys, and do you have the blocks?
    Find {
        /// Comes back in the answer.
        id: u64,
        /// The asker is itself a node, and wants to be known.
        node: bool,
        /// At most [`MAX_KEYS`].
        keys: Vec<Key>,
    },
    /// The answer.
    Found {
        /// The question's.
        id: u64,
        /// All nodes named; at most [`MAX_NODES`].
        nodes: Vec<DestHash>,
        /// One for each key, in the order asked.
        answers: Vec<Answer>,
    },
    /// The sender holds these blocks, which belong to the receiver too.
    Offer {
        /// Comes back in the answer.
        id: u64,
        /// They are popular: a node further from them than usual is asked to take them.
        wide: bool,
        /// At most [`MAX_ITEMS`].
        items: Vec<Item>,
    },
    /// The answer.
    Wanted {
        /// The offer's.
        id: u64,
        /// One for each item, in the order offered.
        wants: Vec<Want>,
    },
}

/// What a node knows of one key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// It has the block.
    pub have: bool,
    /// The closest nodes that it knows, itself not among them: indices in [`Datagram::Found`]'s list, the closest
    /// first; at most [`MAX_CLOSEST`].
    pub closest: Vec<u8>,
}

/// A block that is offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// The first bytes of its key.
    pub prefix: [u8; 8],
    /// Two bytes that tell its version from others.
    pub tag: u16,
}

impl Item {
    /// What stands for a block in an offer.
    pub fn of(key: &Key, version: Version) -> Self {
        Self { prefix: key.0.first_chunk().copied().unwrap_or_default(), tag: version.tag() }
    }
}

/// What is said to an offered block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// It is here already.
    Have,
    /// Send it.
    Send,
    /// It was asked for elsewhere, or much else is on its way: another offer later will tell.
    Coming,
    /// There is no room for it, or it belongs elsewhere.
    NoRoom,
}

/// A message over a reliable ordered channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Give me this block.
    Get {
        /// Comes back in the answer.
        id: u64,
        /// Which.
        key: Key,
    },
    /// Here it is.
    Block {
        /// The question's.
        id: u64,
        /// The encoded block.
        bytes: Bytes,
    },
    /// There is none.
    Missing {
        /// The question's.
        id: u64,
        /// Whether it is only that you ask too much.
        busy: bool,
    },
    /// Keep this block.
    Put {
        /// Comes back in the answer.
        id: u64,
        /// What for.
        kind: PutKind,
        /// How many seconds ago somebody last wanted it.
        idle: u32,
        /// The encoded block.
        bytes: Bytes,
    },
    /// It is on disk.
    Stored {
        /// The question's.
        id: u64,
    },
    /// It is not kept.
    Refused {
        /// The question's.
        id: u64,
        /// Why not.
        why: Refusal,
    },
}

/// Why a block is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PutKind {
    /// It is published: the receiver sees to it that the others whom it belongs to get it.
    Fresh,
    /// It was offered and wanted.
    Repair,
    /// The sender looked for it here in vain, and found it elsewhere.
    Found,
}

/// Why a block is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The quota is full of blocks that are wanted more.
    #[error("the node's quota is full")]
    Full,
    /// A newer version is here.
    #[error("the node has a newer version")]
    Older,
    /// You send too much; later perhaps.
    #[error("the node has too much to do")]
    Busy,
    /// It does not verify.
    #[error("the block does not verify")]
    Junk,
    /// The disk failed.
    #[error("the node could not write it")]
    Failed,
}

impl Datagram {
    /// The bytes of it. Lists longer than their limits are cut.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(VERSION);
        match self {
            Self::Find { id, node, keys } => {
                out.put_u8(1);
                out.put_u64(*id);
                out.put_u8(u8::from(*node));
                let keys = keys.get(..MAX_KEYS).unwrap_or(keys);
                out.put_u8(keys.len() as u8);
                for key in keys {
                    out.put_slice(&key.0);
                }
            }
            Self::Found { id, nodes, answers } => {
                out.put_u8(2);
                out.put_u64(*id);
                let nodes = nodes.get(..MAX_NODES).unwrap_or(nodes);
                out.put_u8(nodes.len() as u8);
                for node in nodes {
                    out.put_slice(&node.0);
                }
                let answers = answers.get(..MAX_KEYS).unwrap_or(answers);
                out.put_u8(answers.len() as u8);
                for answer in answers {
                    let closest = answer.closest.get(..MAX_CLOSEST).unwrap_or(&answer.closest);
                    out.put_u8(u8::from(answer.have) << 7 | closest.len() as u8);
                    out.put_slice(closest);
                }
            }
            Self::Offer { id, wide, items } => {
                out.put_u8(3);
                out.put_u64(*id);
                out.put_u8(u8::from(*wide));
                let items = items.get(..MAX_ITEMS).unwrap_or(items);
                out.put_u16(items.len() as u16);
                for item in items {
                    out.put_slice(&item.prefix);
                    out.put_u16(item.tag);
                }
            }
            Self::Wanted { id, wants } => {
                out.put_u8(4);
                out.put_u64(*id);
                let wants = wants.get(..MAX_ITEMS).unwrap_or(wants);
                out.put_u16(wants.len() as u16);
                for four in wants.chunks(4) {
                    let byte = four.iter().enumerate().map(|(at, want)| want.code() << (2 * at));
                    out.put_u8(byte.fold(0, |all, bits| all | bits));
                }
            }
        }
        out.freeze()
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// The sender's fault, except [`Error::Unsupported`]: a version or kind that this program does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_DATAGRAM {
            return Err(Error::TooLong("a store datagram"));
        }
        let mut reader = Reader::of(bytes, "a store datagram");
        let (kind, id) = head(&mut reader)?;
        let read = match kind {
            1 => {
                let node = flag(reader.u8()?)?;
                let count = at_most(reader.u8()?.into(), MAX_KEYS)?;
                let keys = list(count, &mut reader, 32, |reader| Ok(Key(reader.array()?)))?;
                Self::Find { id, node, keys }
            }
            2 => decode_found(id, &mut reader)?,
            3 => {
                let wide = flag(reader.u8()?)?;
                let count = at_most(reader.u16()?.into(), MAX_ITEMS)?;
                let item = |reader: &mut Reader<'_>| Ok(Item { prefix: reader.array()?, tag: reader.u16()? });
                Self::Offer { id, wide, items: list(count, &mut reader, 10, item)? }
            }
            4 => {
                let count = at_most(reader.u16()?.into(), MAX_ITEMS)?;
                let packed = reader.take(count.div_ceil(4))?;
                let codes = packed.iter().flat_map(|byte| [0, 2, 4, 6].map(|shift| byte >> shift & 3));
                if codes.clone().skip(count).any(|code| code != 0) {
                    return Err(Error::Invalid("the padding of wants"));
                }
                Self::Wanted { id, wants: codes.take(count).map(Want::of).collect() }
            }
            _ => return Err(Error::Unsupported("this kind of store datagram")),
        };
        reader.finish()?;
        Ok(read)
    }
}

fn decode_found(id: u64, reader: &mut Reader<'_>) -> Result<Datagram, Error> {
    let count = at_most(reader.u8()?.into(), MAX_NODES)?;
    let nodes = list(count, reader, 32, |reader| Ok(DestHash(reader.array()?)))?;
    let known = nodes.len();
    let count = at_most(reader.u8()?.into(), MAX_KEYS)?;
    let answers = list(count, reader, 1, |reader| {
        let head = reader.u8()?;
        let closest = reader.take(at_most((head & 0x7f).into(), MAX_CLOSEST)?)?.to_vec();
        if closest.iter().any(|index| usize::from(*index) >= known) {
            return Err(Error::Invalid("the index of a node"));
        }
        Ok(Answer { have: head & 0x80 != 0, closest })
    })?;
    Ok(Datagram::Found { id, nodes, answers })
}

impl Want {
    fn code(self) -> u8 {
        match self {
            Self::Have => 0,
            Self::Send => 1,
            Self::Coming => 2,
            Self::NoRoom => 3,
        }
    }

    fn of(code: u8) -> Self {
        match code {
            0 => Self::Have,
            1 => Self::Send,
            2 => Self::Coming,
            _ => Self::NoRoom,
        }
    }
}

impl Frame {
    /// The bytes of it, without a length.
    pub fn encode(&self) -> Bytes {
        let carried = match self {
            Self::Block { bytes, .. } | Self::Put { bytes, .. } => bytes.len(),
            _ => 32,
        };
        let mut out = BytesMut::with_capacity(FRAME_OVERHEAD + carried);
        out.put_u8(VERSION);
        match self {
            Self::Get { id, key } => {
                out.put_u8(1);
                out.put_u64(*id);
                out.put_slice(&key.0);
            }
            Self::Block { id, bytes } => {
                out.put_u8(2);
                out.put_u64(*id);
                out.put_slice(bytes);
            }
            Self::Missing { id, busy } => {
                out.put_u8(3);
                out.put_u64(*id);
                out.put_u8(u8::from(*busy));
            }
            Self::Put { id, kind, idle, bytes } => {
                out.put_u8(4);
                out.put_u64(*id);
                out.put_u8(kind.code());
                out.put_u32(*idle);
                out.put_slice(bytes);
            }
            Self::Stored { id } => {
                out.put_u8(5);
                out.put_u64(*id);
            }
            Self::Refused { id, why } => {
                out.put_u8(6);
                out.put_u64(*id);
                out.put_u8(why.code());
            }
        }
        out.freeze()
    }

    /// Reads a frame; a block in it shares the bytes. `longest` is the longest encoding of a block.
    ///
    /// # Errors
    /// The sender's fault, except [`Error::Unsupported`]: a version or kind that this program does not know.
    pub fn decode(bytes: &Bytes, longest: usize) -> Result<Self, Error> {
        if bytes.len() > longest + FRAME_OVERHEAD {
            return Err(Error::TooLong("a store frame"));
        }
        let mut reader = Reader::of(bytes, "a store frame");
        let (kind, id) = head(&mut reader)?;
        let read = match kind {
            1 => Self::Get { id, key: Key(reader.array()?) },
            2 => Self::Block { id, bytes: bytes.slice_ref(reader.rest()) },
            3 => Self::Missing { id, busy: flag(reader.u8()?)? },
            4 => {
                let (kind, idle) = (PutKind::of(reader.u8()?)?, reader.u32()?);
                Self::Put { id, kind, idle, bytes: bytes.slice_ref(reader.rest()) }
            }
            5 => Self::Stored { id },
            6 => Self::Refused { id, why: Refusal::of(reader.u8()?)? },
            _ => return Err(Error::Unsupported("this kind of store frame")),
        };
        reader.finish()?;
        Ok(read)
    }
}

impl PutKind {
    fn code(self) -> u8 {
        match self {
            Self::Fresh => 0,
            Self::Repair => 1,
            Self::Found => 2,
        }
    }

    fn of(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Fresh),
            1 => Ok(Self::Repair),
            2 => Ok(Self::Found),
            _ => Err(Error::Unsupported("this reason to send a block")),
        }
    }
}

impl Refusal {
    fn code(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Older => 1,
            Self::Busy => 2,
            Self::Junk => 3,
            Self::Failed => 4,
        }
    }

    fn of(code: u8) -> Result<Self, Error> {
        match code {
            0 => Ok(Self::Full),
            1 => Ok(Self::Older),
            2 => Ok(Self::Busy),
            3 => Ok(Self::Junk),
            4 => Ok(Self::Failed),
            _ => Err(Error::Unsupported("this refusal")),
        }
    }
}

/// The version is checked; gives kind and number.
fn head(reader: &mut Reader<'_>) -> Result<(u8, u64), Error> {
    match reader.u8()? {
        VERSION => Ok((reader.u8()?, reader.u64()?)),
        _ => Err(Error::Unsupported("this version of the store protocol")),
    }
}

fn flag(byte: u8) -> Result<bool, Error> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::Invalid("a flag")),
    }
}

fn at_most(count: usize, most: usize) -> Result<usize, Error> {
    if count > most { Err(Error::TooLong("a list")) } else { Ok(count) }
}

/// `count` things of at least `size` bytes each: refused before anything is allocated if they can't be there.
fn list<T>(
    count: usize,
    reader: &mut Reader<'_>,
    size: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    if reader.remaining() < count * size {
        return Err(Error::Truncated("a list"));
    }
    let mut out = Vec::with_capacity(count);
    for _ in 0..count {
        out.push(read(reader)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
