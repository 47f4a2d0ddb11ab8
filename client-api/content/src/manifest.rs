//! Folders: one piece of content that lists files, and holds the small ones.
//!
//! A manifest is content of a tree: eight bytes that say how long the index is, the index, and then the packed files,
//! one after the other in the index's order, without gaps. A whole site is so one key, and any of its files a range of
//! one tree. Larger files have keys of their own, so that they stay the same when the rest of the site changes.
//!
//! ```text
//! content   "amf" VERSION index-length[4] index packed-files
//! index     default[2+n] count[4] entries
//! entry     path[2+n] content-type[1+n] length[8] place
//! place     0 | 1 chk[69] | 2 chk[69] | 3 uri[2+n]      packed, file, folder, link
//! ```
//!
//! Numbers are big-endian; `[2+n]` is text with its length before it. Entries are in the order of their paths, part
//! by part; no path twice, and none inside a file or a nested folder. So a manifest has one encoding, a packed byte
//! belongs to one file, and what a folder unpacks to is no longer than it says.

mod index;
mod lookup;
mod walk;

use std::collections::BTreeMap;

pub use index::Loading;
pub use lookup::{Child, Found};
pub use walk::{File, MAX_DEPTH, Walk};

use crate::keys::{Chk, RootKind};
use crate::media::MediaType;
use crate::name::{NameError, Path};
use crate::tree::MAX_LENGTH;
use crate::uri::Uri;

/// Most entries of a manifest, and of all manifests nested in it.
pub const MAX_ENTRIES: usize = 100_000;

/// Most bytes of an index.
pub const MAX_INDEX: usize = 32 << 20;

/// Bytes before the index.
pub const HEAD: usize = 8;

/// What is wrong with a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The content is no manifest, or one of a later version; its publisher's fault.
    #[error("it is not a folder that this program can read")]
    Version,
    /// The index ends too early, goes on behind its last entry, or has a field that none may have.
    #[error("the folder's index is damaged: {0}; its publisher made it so")]
    Malformed(&'static str),
    /// A path is not allowed.
    #[error("a path in the folder is not allowed: {0}")]
    Path(#[from] NameError),
    /// A path stands twice, or not in order.
    #[error("a path stands in the folder twice")]
    Twice,
    /// A path leads through a file.
    #[error("a name in the folder is both a file and a folder")]
    Clash,
    /// More than [`MAX_ENTRIES`].
    #[error("a folder has at most 100000 files")]
    Entries,
    /// An index of more than [`MAX_INDEX`] bytes.
    #[error("the folder's index is too long")]
    Index,
    /// The files together are longer than content can be, or the packed ones not as long as there is content.
    #[error("the lengths of the folder's files are not what they can be")]
    Lengths,
    /// The default document is not in the folder.
    #[error("the folder's default document is not one of its files")]
    Default,
    /// Folders in folders in folders.
    #[error("more than 8 folders are nested in each other")]
    Depth,
    /// A folder is inside itself.
    #[error("the folder contains itself")]
    Loop,
    /// The key's kind is another than the entry's.
    #[error("a file's key stands where a folder's should, or the reverse")]
    Kind,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the manifest's own content, from this byte on.
    Packed(u64),
    /// Under a key of its own.
    File(Chk),
    /// It is a folder with a manifest of its own.
    Folder(Chk),
    /// Wherever this leads.
    Link(Uri),
}

/// What stands under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The content type, if its publisher stated one.
    pub media: Option<MediaType>,
    /// Bytes; 0 for folders and links.
    pub length: u64,
    /// Where it is.
    pub place: Place,
}

impl Entry {
    /// The stated content type, or the one that the path suggests.
    pub fn media(&self, path: &Path) -> Option<MediaType> {
        self.media.clone().or_else(|| MediaType::guess(path.as_str()))
    }
}

/// A folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    entries: BTreeMap<Path, Entry>,
    default: Option<Path>,
    /// Bytes of the index.
    index: u64,
    /// Bytes of the packed files.
    packed: u64,
    /// Bytes of all files.
    total: u64,
}

/// A folder in the making.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    entries: BTreeMap<Path, Entry>,
    default: Option<Path>,
}

impl Builder {
    /// An empty folder.
    pub fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, path: Path, entry: Entry) -> Result<(), Error> {
        if path.is_empty() {
            return Err(NameError::Empty.into());
        }
        if self.entries.contains_key(&path) {
            return Err(Error::Twice);
        }
        if self.entries.len() == MAX_ENTRIES {
            return Err(Error::Entries);
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// A file that is packed into the manifest.
    ///
    /// # Errors
    /// [`Error::Twice`], [`Error::Entries`], [`Error::Path`] for the empty path.
    pub fn pack(&mut self, path: Path, media: Option<MediaType>, length: u64) -> Result<(), Error> {
        self.add(path, Entry { media, length, place: Place::Packed(0) })
    }

    /// A file, or a folder with its own manifest, under a key of its own. A folder's type and length say nothing and
    /// are left out.
    ///
    /// # Errors
    /// As [`Self::pack`].
    pub fn place(
        &mut self,
        path: Path,
        media: Option<MediaType>,
        length: u64,
        chk: Chk,
    ) -> Result<(), Error> {
        match chk.root {
            RootKind::Data => self.add(path, Entry { media, length, place: Place::File(chk) }),
            RootKind::Manifest => self.add(path, Entry { media: None, length: 0, place: Place::Folder(chk) }),
        }
    }

    /// A file that is to be found under another key of any kind.
    ///
    /// # Errors
    /// As [`Self::pack`].
    pub fn link(&mut self, path: Path, media: Option<MediaType>, to: Uri) -> Result<(), Error> {
        self.add(path, Entry { media, length: 0, place: Place::Link(to) })
    }

    /// The file that is shown when no path is given.
    pub fn default_document(&mut self, path: Path) {
        self.default = Some(path);
    }

    /// The folder.
    ///
    /// # Errors
    /// [`Error::Clash`], [`Error::Default`], [`Error::Lengths`], [`Error::Index`].
    pub fn finish(self) -> Result<Manifest, Error> {
        let mut manifest = Manifest { entries: self.entries, default: self.default, ..Manifest::default() };
        manifest.index = manifest.encode_index().len() as u64;
        if manifest.index > MAX_INDEX as u64 {
            return Err(Error::Index);
        }
        manifest.check()?;
        Ok(manifest)
    }
}

impl Manifest {
    /// The entries in their order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&Path, &Entry)> {
        self.entries.iter()
    }

    /// The entry of a path.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// The file that is shown when no path is given.
    pub fn default_document(&self) -> Option<&Path> {
        self.default.as_ref()
    }

    /// The packed files in the order in which their bytes follow the index.
    pub fn packed(&self) -> impl Iterator<Item = (&Path, &Entry)> {
        self.entries.iter().filter(|(_, entry)| matches!(entry.place, Place::Packed(_)))
    }

    /// Bytes of the manifest's content: head, index and packed files.
    pub fn content_length(&self) -> u64 {
        HEAD as u64 + self.index + self.packed
    }

    /// Bytes of all files, those in nested folders and links not counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Checks what is true of every manifest, and finds where the packed files are.
    fn check(&mut self) -> Result<(), Error> {
        // What is inside a path stands right behind it.
        let paths = self.entries.keys().zip(self.entries.keys().skip(1));
        if paths.into_iter().any(|(path, next)| next.is_inside(path)) {
            return Err(Error::Clash);
        }
        if let Some(default) = &self.default {
            let entry = self.entries.get(default).ok_or(Error::Default)?;
            if matches!(entry.place, Place::Folder(_)) {
                return Err(Error::Default);
            }
        }
        for entry in self.entries.values_mut() {
            self.total = self.total.saturating_add(entry.length);
            if let Place::Packed(at) = &mut entry.place {
                *at = HEAD as u64 + self.index + self.packed;
                self.packed = self.packed.saturating_add(entry.length);
            }
        }
        if self.total > MAX_LENGTH { Err(Error::Lengths) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
