//! A file that is not all there yet: its bytes in one file, and beside it a note that says of what they are, so that
//! an interrupted get goes on where it stopped.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// The longest note.
const LONGEST: u64 = 64 * 1024;
/// Bytes that are read at a time.
const PIECE: usize = 64 * 1024;

/// Which bytes a file is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The router's mark of them: another one for other bytes.
    pub(super) etag: String,
    /// How many.
    pub(super) length: u64,
    /// Their BLAKE3 hash, where it is known.
    pub(super) hash: Option<String>,
}

/// A file on its way.
pub(super) struct Partial {
    bytes: PathBuf,
    note: PathBuf,
    file: File,
    hasher: blake3::Hasher,
    have: u64,
    mark: Mark,
}

/// A path with something behind its last name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

impl Partial {
    /// Opens what an interrupted get of the same bytes left at `bytes`, or begins anew.
    ///
    /// # Errors
    /// Where something else stands there: only what this program wrote itself is replaced.
    pub(super) fn open(bytes: PathBuf, mark: Mark) -> anyhow::Result<Self> {
        let note = with_suffix(&bytes, ".json");
        let known = read_note::<Mark>(&note)?;
        let length = match bytes.symlink_metadata() {
            Ok(metadata) if known.is_some() && metadata.is_file() => Some(metadata.len()),
            Ok(_) => bail!("{} is in the way, and not from an interrupted get: remove it", bytes.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("{} can't be used", bytes.display())),
        };
        let goes_on = known.as_ref() == Some(&mark) && length.is_some_and(|length| length <= mark.length);
        if !goes_on {
            write_note(&note, &mark)?;
        }
        let mut options = OpenOptions::new();
        let file = match length {
            Some(_) => options.read(true).write(true).truncate(!goes_on).open(&bytes),
            None => options.read(true).write(true).create_new(true).open(&bytes),
        };
        let file = file.with_context(|| format!("{} can't be written", bytes.display()))?;
        let mut partial = Self { bytes, note, file, hasher: blake3::Hasher::new(), have: 0, mark };
        partial.read_again()?;
        Ok(partial)
    }

    /// Takes the bytes that are there into the hash.
    fn read_again(&mut self) -> anyhow::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let read = self
                .file
                .read(&mut piece)
                .with_context(|| format!("{} can't be read", self.bytes.display()))?;
            let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else { return Ok(()) };
            self.hasher.update(piece);
            self.have += read as u64;
        }
    }

    /// Bytes that are there.
    pub(super) fn have(&self) -> u64 {
        self.have
    }

    /// Which bytes it is to have.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Adds bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.file.write_all(bytes).with_context(|| format!("{} can't be written", self.bytes.display()))?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// Checks that all is there and right, and on the disk. What is wrong is removed, to be fetched anew.
    pub(super) fn finish(self) -> anyhow::Result<Finished> {
        let hash = self.hasher.finalize().to_hex();
        let right = self.have == self.mark.length
            && self.mark.hash.as_deref().is_none_or(|known| known == hash.as_str());
        if !right {
            let name = self.bytes.display().to_string();
            self.remove();
            bail!("what came is not what the key says, and was removed ({name}): get it again");
        }
        self.file.sync_all().with_context(|| format!("{} can't be written", self.bytes.display()))?;
        Ok(Finished { bytes: self.bytes, note: self.note, hash: hash.to_string() })
    }

    /// Removes it if nothing came: what nobody has leaves no file.
    pub(super) fn remove_if_empty(self) {
        if self.have == 0 {
            self.remove();
        }
    }

    fn remove(self) {
        let _ = std::fs::remove_file(&self.bytes);
        let _ = std::fs::remove_file(&self.note);
    }
}

/// A file that is all there, to be put into its place.
#[derive(Debug)]
pub(super) struct Finished {
    bytes: PathBuf,
    note: PathBuf,
    /// Its BLAKE3 hash.
    pub(super) hash: String,
}

impl Finished {
    /// Puts it to `target`, where nothing may be unless `force` is given.
    pub(super) fn place(self, target: &Path, force: bool) -> anyhow::Result<()> {
        if !force && target.symlink_metadata().is_ok() {
            bail!("{} exists already: --force overwrites it", target.display());
        }
        std::fs::rename(&self.bytes, target)
            .with_context(|| format!("{} can't be written", target.display()))?;
        let _ = std::fs::remove_file(&self.note);
        Ok(())
    }
}

/// Reads a note; `None` where there is none, or none that makes sense.
pub(super) fn read_note<T: for<'a> Deserialize<'a>>(note: &Path) -> anyhow::Result<Option<T>> {
    if note.symlink_metadata().is_ok_and(|metadata| !metadata.is_file()) {
        bail!("{} is in the way: remove it", note.display());
    }
    let text = allium_router::store::read_limited(note, LONGEST)?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Writes a note.
pub(super) fn write_note(note: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    Ok(allium_router::store::write_atomic(note, &serde_json::to_vec(value)?, false)?)
}
