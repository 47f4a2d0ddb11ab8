//! What a path in a folder leads to.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{Entry, Manifest, Place};
use crate::keys::Chk;
use crate::name::Path;

/// What a path in a folder leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A file, packed, under its own key, or a link.
    File {
        /// Its path, which is another than the one sought when that was a folder's with a default document.
        path: &'a Path,
        /// What the manifest says of it.
        entry: &'a Entry,
    },
    /// A nested folder, in which the rest of the path is to be sought.
    Nested {
        /// The folder's manifest.
        chk: &'a Chk,
        /// What is left of the path.
        rest: Path,
    },
    /// A folder without a default document: see [`Manifest::list`].
    Folder,
    /// Nothing.
    Nothing,
}

/// What is directly in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child<'a> {
    /// A file, a link, or a nested folder.
    Entry(&'a Entry),
    /// A folder of this manifest.
    Folder,
}

impl Manifest {
    /// What a path leads to. A folder leads to its default document: the manifest's own, or in other folders the file
    /// of the same name.
    pub fn find(&self, path: &Path) -> Found<'_> {
        if let Some((path, entry)) = self.entries.get_key_value(path)
            && !matches!(entry.place, Place::Folder(_))
        {
            return Found::File { path, entry };
        }
        let mut above = Some(path.clone());
        while let Some(at) = above {
            if let Some(Entry { place: Place::Folder(chk), .. }) = self.entries.get(&at) {
                return Found::Nested { chk, rest: path.strip(&at).unwrap_or_default() };
            }
            above = at.parent();
        }
        if let Some((path, entry)) = self.default_of(path) {
            return Found::File { path, entry };
        }
        if path.is_empty() || self.inside(path).next().is_some() { Found::Folder } else { Found::Nothing }
    }

    /// A folder's default document.
    fn default_of(&self, folder: &Path) -> Option<(&Path, &Entry)> {
        let default = self.default.as_ref()?;
        if folder.is_empty() {
            return self.entries.get_key_value(default);
        }
        let name: Path = default.name()?.parse().ok()?;
        let found = self.entries.get_key_value(&folder.join(&name).ok()?)?;
        (!matches!(found.1.place, Place::Folder(_))).then_some(found)
    }

    /// What is directly in a folder, by name; empty if there is no such folder.
    pub fn list(&self, folder: &Path) -> BTreeMap<&str, Child<'_>> {
        let mut children = BTreeMap::new();
        for (path, entry) in self.inside(folder) {
            let skip = if folder.is_empty() { 0 } else { folder.as_str().len() + 1 };
            let rest = path.as_str().get(skip..).unwrap_or_default();
            match rest.split_once('/') {
                Some((name, _)) => children.insert(name, Child::Folder),
                None => children.insert(rest, Child::Entry(entry)),
            };
        }
        children
    }

    /// The entries inside a folder, at any depth.
    fn inside<'a, 'b>(
        &'a self,
        folder: &'b Path,
    ) -> impl Iterator<Item = (&'a Path, &'a Entry)> + use<'a, 'b> {
        self.entries
            .range::<Path, _>((Bound::Excluded(folder), Bound::Unbounded))
            .take_while(move |(path, _)| path.is_inside(folder))
    }
}
