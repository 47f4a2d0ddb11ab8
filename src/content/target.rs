//! Where a get writes. Names in a folder are a stranger's: none may lead out of the target, or through a link in it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use allium_content::uri::Uri;
use anyhow::{Context, bail};

/// The name that content has on disk where none is asked for: the one in the key.
pub(super) fn default_name(uri: &Uri) -> String {
    let name = match (uri.path().name(), uri) {
        (Some(name), _) => name.to_owned(),
        (None, Uri::Ssk { name, .. } | Uri::Usk { name, .. }) => name.to_string(),
        (None, Uri::Ksk { word, .. }) => word.to_string(),
        (None, Uri::Chk { .. }) => {
            uri.bare().chars().take("CHK@".len() + 8).collect::<String>().replace('@', "-")
        }
    };
    // A stranger's name must not become a hidden file, or an option of some program.
    match name.strip_prefix(['.', '-']) {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

/// Where a file goes: what was asked for, in it if that is a folder, or the name in the key.
pub(super) fn of_file(output: Option<&Path>, uri: &Uri) -> PathBuf {
    match output {
        Some(path) if path.is_dir() => path.join(default_name(uri)),
        Some(path) => path.to_owned(),
        None => PathBuf::from(default_name(uri)),
    }
}

/// Where a folder goes.
pub(super) fn of_folder(output: Option<&Path>, uri: &Uri) -> PathBuf {
    output.map_or_else(|| PathBuf::from(default_name(uri)), Path::to_owned)
}

/// Refuses a file that is there already.
pub(super) fn check_file(target: &Path, force: bool) -> anyhow::Result<()> {
    match target.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => bail!("{} is a folder", target.display()),
        Ok(_) if !force => bail!("{} exists already: --force overwrites it", target.display()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} can't be used", target.display()))
        }
        _ => Ok(()),
    }
}

/// Checks the paths of all files of a folder before anything is written.
///
/// # Errors
/// For a path twice, one that goes through a file, through a link on disk, or to a file that is there already.
pub(super) fn check_folder<'a>(
    target: &Path,
    paths: impl Iterator<Item = &'a allium_content::Path>,
    force: bool,
) -> anyhow::Result<()> {
    if target.exists() && !target.is_dir() {
        bail!("{} exists already, and is no folder", target.display());
    }
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for path in paths {
        if path.is_empty() || !files.insert(path.clone()) {
            bail!("the folder has {:?} twice; its publisher made it so", path.as_str());
        }
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| !folder.is_empty()) {
            above = folder.parent();
            if !folders.insert(folder) {
                break;
            }
        }
    }
    if let Some(both) = files.iter().find(|path| folders.contains(path)) {
        bail!("{:?} is both a file and a folder; its publisher made it so", both.as_str());
    }
    for folder in &folders {
        let on_disk = target.join(folder.as_str());
        if on_disk.symlink_metadata().is_ok_and(|metadata| !metadata.is_dir()) {
            bail!("{} is in the way: it is no folder", on_disk.display());
        }
    }
    files.iter().try_for_each(|path| check_file(&target.join(path.as_str()), force))
}

/// Makes the folders that a file needs, below the target; goes through no link.
pub(super) fn make_folders(target: &Path, path: &allium_content::Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(target).with_context(|| format!("{} can't be made", target.display()))?;
    let mut at = target.to_owned();
    for part in path.parent().unwrap_or_default().parts() {
        at.push(part);
        match std::fs::create_dir(&at) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !at.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    bail!("{} is in the way: it is no folder", at.display());
                }
            }
            made => made.with_context(|| format!("{} can't be made", at.display()))?,
        }
    }
    Ok(())
}
