//! The data folder: keys, the network database's files, profiles. Writes are atomic: a file is whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use allium_wire::RouterHash;

/// A router's data folder.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// Why the data folder could not be used, and which file it was about.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}")]
pub struct StoreError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl StoreError {
    /// What `doing` (such as "can't write") met at `path`.
    pub fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.to_owned(), source }
    }

    /// Whether the file simply is not there.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

impl Store {
    /// Opens `dir`, making it (0700) where it is missing.
    ///
    /// # Errors
    /// Where the folder can neither be found nor made.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        make_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `name` within the folder; an absolute path stands for itself.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads a file, `None` where it is missing.
    ///
    /// # Errors
    /// Where it is there and can't be read, or exceeds `limit` bytes.
    pub fn read(&self, name: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name);
        read_limited(&path, limit)
    }

    /// Writes a file in one step, readable by its owner alone, and waits until the disk has it.
    ///
    /// # Errors
    /// Where the disk is full or refuses; the old file is untouched then.
    pub fn write_secret(&self, name: impl AsRef<Path>, data: &[u8]) -> Result<(), StoreError> {
        write_atomic(&self.path(name), data, true)
    }

    /// Writes a file in one step.
    ///
    /// # Errors
    /// Where the disk is full or refuses; the old file is untouched then.
    pub fn write(&self, name: impl AsRef<Path>, data: &[u8]) -> Result<(), StoreError> {
        write_atomic(&self.path(name), data, false)
    }

    /// Removes a file; one that is not there is removed already.
    pub fn remove(&self, name: impl AsRef<Path>) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Where a router's info is kept: `netDb/rX/routerInfo-….dat`, as every router keeps them.
    pub fn router_info_name(hash: &RouterHash) -> PathBuf {
        let name = hash.base64();
        let first = name.chars().next().unwrap_or('A');
        PathBuf::from(format!("netDb/r{first}/routerInfo-{name}.dat"))
    }

    /// The contents of every `routerInfo-….dat` below `netDb`, at most `limit` of them, in the order of their names.
    pub fn router_infos(&self, limit: usize) -> Vec<(PathBuf, Vec<u8>)> {
        read_router_infos(&self.path("netDb"), limit)
    }
}

/// Every `routerInfo-….dat` in `dir` and the folders directly below it.
pub fn read_router_infos(dir: &Path, limit: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    folders.extend(entries(dir).into_iter().filter(|path| path.is_dir()));
    for folder in folders {
        for path in entries(&folder) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let named =
                name.strip_prefix("routerInfo-").is_some_and(|rest| rest.strip_suffix(".dat").is_some());
            if files.len() < limit
                && named
                && let Ok(Some(data)) = read_limited(&path, 8192)
            {
                files.push((path, data));
            }
        }
    }
    files
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// Reads the file at `path`, `None` where it is missing.
///
/// # Errors
/// Where it can't be read or is longer than `limit` bytes.
pub fn read_limited(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
    use std::io::Read;
    let failed = |source| StoreError::new("can't read", path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut data = Vec::new();
    file.take(limit + 1).read_to_end(&mut data).map_err(failed)?;
    if data.len() as u64 > limit {
        return Err(failed(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("longer than {limit} bytes"),
        )));
    }
    Ok(Some(data))
}

/// Makes a folder and those above it; a new one is its owner's alone.
///
/// # Errors
/// Where the disk refuses.
pub fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|source| StoreError::new("can't make the folder", dir, source))
}

/// Writes `data` beside `path` and renames it into place. A secret is 0600 and on the disk when this returns.
///
/// # Errors
/// Where the disk is full or refuses; `path` is as it was then.
pub fn write_atomic(path: &Path, data: &[u8], secret: bool) -> Result<(), StoreError> {
    let failed = |source| StoreError::new("can't write", path, source);
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if secret { 0o600 } else { 0o644 });
    let written = options.open(&beside).and_then(|mut file| {
        file.write_all(data)?;
        if secret { file.sync_all() } else { Ok(()) }
    });
    let renamed = written.and_then(|()| fs::rename(&beside, path));
    if let Err(source) = renamed {
        let _ = fs::remove_file(&beside);
        return Err(failed(source));
    }
    if secret && let Some(parent) = path.parent() {
        // The rename itself must survive a power cut too; a folder that can't be synced is no reason to fail.
        let _ = File::open(parent).and_then(|dir| dir.sync_all());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
