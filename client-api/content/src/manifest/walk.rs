//! All files of a folder and of the folders nested in it.

use std::collections::VecDeque;

use super::{Entry, Error, MAX_ENTRIES, Manifest, Place};
use crate::keys::{Chk, RootKind};
use crate::name::Path;
use crate::tree::MAX_LENGTH;

/// Most folders nested in each other, for whoever follows a path as well.
pub const MAX_DEPTH: usize = 8;

/// Most manifests.
const MAX_MANIFESTS: usize = 1000;

/// A file of a folder, or of one nested in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path from the outermost folder.
    pub path: Path,
    /// The manifest that it is in, and in whose content it is if it is packed.
    pub manifest: Chk,
    /// What that manifest says of it.
    pub entry: Entry,
}

/// A manifest to be read: its path, and those that it is nested in, itself the last.
#[derive(Debug)]
struct Open {
    path: Path,
    chain: Vec<Chk>,
}

/// Goes through a folder with all that are nested in it, within bounds: 8 deep, 1000 manifests, [`MAX_ENTRIES`]
/// entries, and none in itself.
///
/// In turn: [`Self::want`] says which manifest to read, [`Self::supply`] takes it, [`Self::file`] gives the files.
#[derive(Debug)]
pub struct Walk {
    open: VecDeque<Open>,
    files: VecDeque<File>,
    manifests: usize,
    entries: usize,
    total: u64,
}

impl Walk {
    /// Of the folder under this key.
    ///
    /// # Errors
    /// [`Error::Kind`] if the key is a file's.
    pub fn new(chk: Chk) -> Result<Self, Error> {
        if chk.root != RootKind::Manifest {
            return Err(Error::Kind);
        }
        let open = VecDeque::from([Open { path: Path::default(), chain: vec![chk] }]);
        Ok(Self { open, files: VecDeque::new(), manifests: 0, entries: 0, total: 0 })
    }

    /// The manifest to be read next; `None` when all were.
    pub fn want(&self) -> Option<&Chk> {
        self.open.front()?.chain.last()
    }

    /// Takes the manifest that [`Self::want`] named.
    ///
    /// # Errors
    /// [`Error::Loop`], [`Error::Depth`], [`Error::Entries`], [`Error::Lengths`], or [`Error::Path`] for paths that
    /// are too long together. The walk is over then.
    pub fn supply(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let Some(Open { path: folder, chain }) = self.open.pop_front() else { return Ok(()) };
        let Some(own) = chain.last() else { return Ok(()) };
        self.manifests += 1;
        self.entries += manifest.entries().len();
        self.total = self.total.saturating_add(manifest.total());
        let checked = if self.manifests > MAX_MANIFESTS || self.entries > MAX_ENTRIES {
            Err(Error::Entries)
        } else if self.total > MAX_LENGTH {
            Err(Error::Lengths)
        } else {
            manifest.entries().try_for_each(|(path, entry)| {
                let path = folder.join(path)?;
                if let Place::Folder(chk) = &entry.place {
                    return self.nest(path, chk, &chain);
                }
                self.files.push_back(File { path, manifest: own.clone(), entry: entry.clone() });
                Ok(())
            })
        };
        if checked.is_err() {
            self.open.clear();
            self.files.clear();
        }
        checked
    }

    fn nest(&mut self, path: Path, chk: &Chk, chain: &[Chk]) -> Result<(), Error> {
        if chain.contains(chk) {
            return Err(Error::Loop);
        }
        if chain.len() > MAX_DEPTH {
            return Err(Error::Depth);
        }
        if self.open.len() >= MAX_MANIFESTS {
            return Err(Error::Entries);
        }
        let chain = chain.iter().chain([chk]).cloned().collect();
        self.open.push_back(Open { path, chain });
        Ok(())
    }

    /// The next file of the manifests that were supplied.
    pub fn file(&mut self) -> Option<File> {
        self.files.pop_front()
    }

    /// Bytes of all files so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether every file was given out.
    pub fn is_done(&self) -> bool {
        self.open.is_empty() && self.files.is_empty()
    }
}
