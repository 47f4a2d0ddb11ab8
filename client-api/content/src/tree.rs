//! Content of any length as blocks: written and read as a stream, any range of it, verified block by block.
//!
//! Content is cut into data blocks of 32 KiB, which are taken together in segments of (by default) 128. To each
//! segment come check blocks (64), made by a Reed-Solomon code: any 128 of the 192 give back all of them. For each
//! segment there is an entry: the key that its blocks are encrypted under, and the routing keys of its blocks. All
//! entries, one after the other, are content again, and cut in the same way, until what is left fits into one block:
//! the root, which the CHK names. Content that fits into the root itself has that one block only.
//!
//! Every block is named by its hash, so whoever has the CHK can check each block by itself. How many levels there
//! are, and how long each is, follows from the content's length alone: a tree can't loop, and nothing in it decides
//! how much is allocated.
//!
//! [`Writer`] takes bytes and gives blocks, [`Reader`] says which blocks it wants, takes them and gives bytes. Both
//! hold a segment or two, whatever the length.

mod erasure;
mod reader;
mod root;
mod shape;
mod writer;

pub use reader::{Options as ReadOptions, Reader, Want};
pub use root::Root;
pub use shape::{MAX_LENGTH, Params, block_count};
pub use writer::{Options as WriteOptions, Piece, Writer};

/// What a block is in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The one block that can't be rebuilt from others: worth more copies.
    Root,
    /// Holds (or protects, as check block) routing keys of other blocks.
    Index,
    /// Holds content.
    Data,
    /// Replaces a data block that is missing.
    Check,
}

/// What went wrong with content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's parameters: data blocks 16 to 256, check blocks no more than those.
    #[error("a segment has 16 to 256 data blocks and at most as many check blocks")]
    Params,
    /// The content is longer than [`MAX_LENGTH`] or what the reader allows.
    #[error("the content is longer than {0} bytes, the most that is allowed")]
    TooLong(u64),
    /// The root block is not what a publisher should make; its publisher's fault.
    #[error("the content's root block is invalid: {0}")]
    Root(&'static str),
    /// The key says folder and the root says file, or the reverse; the fault of who made the key.
    #[error("the key is for a folder and the content is a file, or the reverse")]
    Kind,
    /// The network doesn't have the root block; the content may be gone, or was never put.
    #[error("nobody has the content's first block")]
    RootLost,
    /// The network has too few blocks of a segment; more may come back.
    #[error("too many blocks are lost: of a segment {have} are left, and {need} are needed")]
    Lost {
        /// Blocks of the segment that are not missing.
        have: usize,
        /// As many as it has data blocks.
        need: usize,
    },
    /// A block that was rebuilt is not the one that the content names; its publisher's fault.
    #[error("the content's blocks contradict each other: its publisher made them so")]
    Inconsistent,
    /// All blocks were right, but their content doesn't have the hash that the root states; its publisher's fault.
    #[error("the content does not have the hash that its publisher stated")]
    Hash,
    /// The erasure code refused valid parameters: a defect of this program.
    #[error("the erasure code failed; this is a defect")]
    Erasure,
}

#[cfg(test)]
mod tests;
