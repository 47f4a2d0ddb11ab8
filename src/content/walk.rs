//! The files of a folder that is published.

use std::path::{Path, PathBuf};

use allium_content::manifest::MAX_ENTRIES;
use anyhow::{Context, bail};

/// A file of a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// In the folder.
    pub(super) path: allium_content::Path,
    /// On this machine.
    pub(super) real: PathBuf,
    /// Bytes.
    pub(super) length: u64,
}

/// All files of a folder and the folders in it, in the order of their paths.
///
/// # Errors
/// Where a name can't be published, and for links and devices: what a link leads to may not be meant for others.
pub(super) fn files(folder: &Path) -> anyhow::Result<Vec<Found>> {
    let mut files = Vec::new();
    let mut open = vec![(folder.to_owned(), allium_content::Path::default())];
    while let Some((real, at)) = open.pop() {
        let entries =
            std::fs::read_dir(&real).with_context(|| format!("{} can't be read", real.display()))?;
        for entry in entries {
            let entry = entry?;
            let real = entry.path();
            let name = entry.file_name();
            let path = name
                .to_str()
                .with_context(|| format!("the name of {} is not UTF-8", real.display()))?
                .parse()
                .and_then(|name| at.join(&name))
                .with_context(|| format!("{} can't be published under this name", real.display()))?;
            let metadata = entry.metadata()?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                open.push((real, path));
            } else if kind.is_file() {
                files.push(Found { path, real, length: metadata.len() });
            } else if kind.is_symlink() {
                bail!("{} is a link: put what it leads to in its place, or take it out", real.display());
            } else {
                bail!("{} is neither a file nor a folder: take it out", real.display());
            }
            if files.len() > MAX_ENTRIES {
                bail!("{} has more than {MAX_ENTRIES} files", folder.display());
            }
        }
    }
    if files.is_empty() {
        bail!("{} has no files", folder.display());
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}
