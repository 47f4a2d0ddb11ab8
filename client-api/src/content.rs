//! Key-addressed content: publishing under a key, and fetching by one.
//!
//! ```text
//! api / gateway / fcp  ->  Content  ->  dyn Blocks  =  store::Shell (allium-store's engines, a destination each, a disk)
//! ```
//! [`Content`] turns files and folders into blocks and back, and knows what is pinned; [`Blocks`] finds, gets and puts
//! single blocks. The formats are those of `allium_content`, the network's those of `allium_store`.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use allium_content::manifest::Manifest;
use allium_content::uri::{Insert, Uri};
use allium_content::{Chk, MediaType, Path};
use bytes::Bytes;
use serde::Serialize;
use tokio::io::AsyncRead;

pub mod blocks;
mod documents;
mod editions;
mod fetch;
mod folder;
mod jobs;
mod open;
mod pins;
mod publish;
mod reading;
mod sending;
mod service;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use blocks::{Blocks, Placed, StoreStatus};
pub use jobs::Job;
pub use pins::Healed;
pub use reading::Reading;
pub use service::Content;

/// How far a job has come. Counts never shrink; totals may grow while more becomes known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Bytes of content read from the source, or given to the reader.
    pub bytes: u64,
    /// Of so many, where that is known.
    pub total_bytes: Option<u64>,
    /// Blocks stored or fetched.
    pub blocks: u64,
    /// Blocks that could not be had (a get goes on as long as others of their segments can).
    pub failed: u64,
    /// Of the blocks known so far, so many are needed.
    pub required: u64,
    /// Blocks known of so far.
    pub total: u64,
    /// Whether `total` is the final number.
    pub finalized: bool,
}

/// What went wrong, and whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's URI is none, or not of the right kind.
    #[error("this is no key that can be used here: {0}")]
    Uri(#[from] allium_content::uri::Error),
    /// Nobody has it.
    #[error("nobody has it: {0}")]
    NotFound(String),
    /// The store network can't be asked now; later perhaps.
    #[error("the store network can't be asked: {0}")]
    Unavailable(String),
    /// The key leads to something, but not to such a path.
    #[error("the folder has no {0:?}")]
    NoSuchPath(String),
    /// A folder where a file was wanted, or the reverse.
    #[error("{0}")]
    WrongKind(String),
    /// Its publisher made it wrong.
    #[error("its publisher made it wrong: {0}")]
    Invalid(String),
    /// It is larger than the caller allows.
    #[error("it has {length} bytes, more than the {limit} that are allowed")]
    TooLarge {
        /// Its length.
        length: u64,
        /// The caller's limit.
        limit: u64,
    },
    /// What was to be published can't be (its publisher's fault: a name, a folder, a size).
    #[error("it can't be published: {0}")]
    Unpublishable(String),
    /// The source of what is published, or a file of this machine, failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The edition or document exists with other content.
    #[error("another document is there under this name already")]
    Collision,
    /// The router is stopping, or the job was given up.
    #[error("it was given up: the router is stopping")]
    Stopped,
}

/// Bytes to be published.
pub enum Source {
    /// In memory.
    Bytes(Bytes),
    /// A file of this machine.
    File(PathBuf),
    /// A stream; its length where it is known.
    Stream(Box<dyn AsyncRead + Send + Unpin>, Option<u64>),
}

/// What stands at a path of a folder that is published.
pub enum Part {
    /// Bytes: small ones are packed into the folder, large ones get a key of their own.
    Data(Source),
    /// Content that is published already.
    Stored {
        /// Its key.
        chk: Chk,
        /// Its length.
        length: u64,
    },
    /// Another key of any kind.
    Link(Uri),
}

/// What is to be published.
pub enum Upload {
    /// A file.
    File(Source),
    /// A folder.
    Folder {
        /// Its files, in any order; a path twice is an error.
        entries: Vec<(Path, Option<MediaType>, Part)>,
        /// The document that stands for the folder, such as `index.html`.
        default: Option<Path>,
    },
    /// A name for something that is published already (for SSK, USK, KSK).
    Redirect(Uri),
}

/// How it is to be published.
#[derive(Clone, Debug)]
pub struct PutOptions {
    /// Under which key.
    pub to: Insert,
    /// Its content type, where the name does not tell it.
    pub media: Option<MediaType>,
    /// Fresh keys, so that nobody who has the same bytes can tell that they are stored.
    pub private: bool,
    /// Only work out the key: nothing is stored.
    pub only_key: bool,
    /// Keep it on this node whatever the quota says.
    pub pin: bool,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self {
            to: Insert::Chk { path: Path::default() },
            media: None,
            private: false,
            only_key: false,
            pin: false,
        }
    }
}

/// What was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// The key to read it with, its name included (for a USK with the edition).
    pub uri: Uri,
    /// The content's own key.
    pub chk: Option<Chk>,
    /// Bytes of content; of a folder, of all its files.
    pub length: u64,
    /// Blocks stored.
    pub blocks: u64,
}

/// What a URI leads to.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A file.
    File(File),
    /// A folder (the URI's path names the folder itself or a folder within it).
    Folder(Folder),
}

/// A file that can be read.
#[derive(Clone, Debug)]
pub struct File {
    /// The URI with everything resolved that changes: a USK's edition is the one found.
    pub uri: Uri,
    /// What holds its bytes: the file's own CHK, or its folder's.
    pub(crate) body: FileBody,
    /// Bytes.
    pub length: u64,
    /// Content type: from the folder, the content, or the name.
    pub media: Option<MediaType>,
    /// BLAKE3 of the content, where that is known without reading it.
    pub hash: Option<[u8; 32]>,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(crate) enum FileBody {
    /// In a signed block.
    Inline(Bytes),
    /// In this range of a CHK's content.
    Range(Chk, Range<u64>),
}

/// A folder that can be listed.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The URI with everything resolved that changes.
    pub uri: Uri,
    /// Its key.
    pub chk: Chk,
    /// Its manifest.
    pub manifest: Arc<Manifest>,
    /// Where in the manifest the URI's path leads: empty for the folder itself.
    pub at: Path,
}

/// A file of a folder, folders in folders included.
#[derive(Clone, Debug)]
pub struct Listed {
    /// From the folder that was listed.
    pub path: Path,
    /// Ready to be read.
    pub file: ListedBody,
    /// Content type.
    pub media: Option<MediaType>,
}

/// What a [`Listed`] is.
#[derive(Clone, Debug)]
pub enum ListedBody {
    /// A file.
    File(File),
    /// A link to another key.
    Link(Uri),
}

/// Limits of an open.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Longer content is refused.
    pub max_length: u64,
    /// Whether a folder leads to its default document, if it has one.
    pub default_document: bool,
    /// Look for the newest edition even where the URI names one that exists.
    pub newest: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { max_length: u64::MAX, default_document: false, newest: false }
    }
}

/// What is pinned.
#[derive(Clone, Debug, Serialize)]
pub struct Pinned {
    /// The URI as it was pinned.
    pub uri: String,
    /// Blocks that belong to it.
    pub blocks: u64,
    /// Of those, here.
    pub here: u64,
}

/// The state of the service.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ContentStatus {
    /// The store.
    pub store: StoreStatus,
    /// Jobs under way.
    pub jobs: usize,
    /// What is pinned.
    pub pins: Vec<Pinned>,
}
