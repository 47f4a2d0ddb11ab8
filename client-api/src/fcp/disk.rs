//! Files of this machine that clients name: which of them a client may have the router read and write.
//!
//! The router may be able to read what the client is not. So a client shows first that it can itself read and write in
//! a folder (`TestDDARequest`), or that it knows the file (`FileHash`). Nothing is ever overwritten.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use allium_crypto::ct_eq;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::codes::{Code, Refusal};
use super::held::{self, Shelf};
use super::wire::Message;

/// The most folders that one connection may test.
const FOLDERS: usize = 256;
/// Longer than what a client is asked to write.
const LONGER: u64 = 256;

/// What one client has shown that it can do, folder by folder (without links in their paths).
#[derive(Default)]
pub(super) struct Disk {
    tests: BTreeMap<PathBuf, Test>,
    shown: BTreeMap<PathBuf, Shown>,
}

/// What a client can do in a folder.
#[derive(Clone, Copy, Default)]
struct Shown {
    read: bool,
    write: bool,
}

/// A test under way. What it wrote goes when it is dropped.
struct Test {
    read: Option<(Scratch, String)>,
    write: Option<(PathBuf, String)>,
}

/// A file that goes when it is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes a file of it whose name nothing has yet.
    pub(super) async fn become_file(self, path: &Path) -> io::Result<()> {
        match tokio::fs::hard_link(&self.0, path).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // Some file systems have no links.
            Err(_) if tokio::fs::try_exists(path).await? => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => tokio::fs::rename(&self.0, path).await,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Where it can't be removed, its folder is gone or not ours any more.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A file that a client named, found and allowed. Opened when it is read, and only if it still is the same file.
#[derive(Debug)]
pub(super) struct Named {
    path: PathBuf,
    identity: Identity,
    pub(super) length: u64,
}

/// What tells two files apart whose names are the same.
#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    #[cfg(unix)]
    fn of(found: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(found.dev(), found.ino())
    }

    #[cfg(not(unix))]
    fn of(_: &std::fs::Metadata) -> Self {
        Self(0, 0)
    }
}

fn yes(message: &Message, field: &str) -> bool {
    message.get(field).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// An absolute folder without links.
async fn folder(path: &str) -> Result<PathBuf, Refusal> {
    if !Path::new(path).is_absolute() {
        return Err(Refusal::new(Code::InvalidField, "Directory is no absolute path"));
    }
    let found = tokio::fs::canonicalize(path).await;
    match found {
        Ok(found) if found.is_dir() => Ok(found),
        _ => Err(Refusal::new(Code::FileNotFound, "there is no such folder, or the router may not see it")),
    }
}

impl Disk {
    /// `TestDDARequest`: what a client has to do to show what it can.
    pub(super) async fn request(&mut self, message: &Message, shelf: &Shelf) -> Result<Message, Refusal> {
        let named = message.get("Directory").ok_or_else(|| Refusal::missing("Directory"))?;
        let folder = folder(named).await?;
        let (read, write) = (yes(message, "WantReadDirectory"), yes(message, "WantWriteDirectory"));
        if !read && !write {
            let why = "neither WantReadDirectory nor WantWriteDirectory is true";
            return Err(Refusal::new(Code::InvalidField, why));
        }
        if self.tests.len() + self.shown.len() >= FOLDERS {
            return Err(Refusal::new(Code::Internal, "this connection has tested too many folders"));
        }
        let mut reply = Message::new("TestDDAReply").with("Directory", named);
        // The texts begin with a letter: some clients take digits for numbers.
        let text = || format!("allium-{:032x}", u128::from_be_bytes(shelf.random()));
        let mut test = Test { read: None, write: None };
        if read {
            let (path, content) = (folder.join(format!(".{}.read", text())), text());
            let written = write_secret(&path, &content).await;
            if written.is_ok() {
                reply = reply.with("ReadFilename", path.display());
                test.read = Some((Scratch(path), content));
            } else if !write {
                return Err(Refusal::new(
                    Code::DiskDenied,
                    "the router can't write the file there by which it finds out whether you can read",
                ));
            }
        }
        if write {
            let (path, content) = (folder.join(format!(".{}.write", text())), text());
            reply = reply.with("WriteFilename", path.display()).with("ContentToWrite", &content);
            test.write = Some((path, content));
        }
        self.tests.insert(folder, test);
        Ok(reply)
    }

    /// `TestDDAResponse`: what the client has shown.
    pub(super) async fn response(&mut self, message: &Message) -> Result<Message, Refusal> {
        let named = message.get("Directory").ok_or_else(|| Refusal::missing("Directory"))?;
        let folder = folder(named).await?;
        let Some(test) = self.tests.remove(&folder) else {
            return Err(Refusal::new(Code::DiskDenied, "TestDDARequest was not asked for this folder"));
        };
        let mut reply = Message::new("TestDDAComplete").with("Directory", named);
        let mut shown = self.shown.get(&folder).copied().unwrap_or_default();
        if let Some((_scratch, content)) = &test.read {
            shown.read = message.get("ReadContent").is_some_and(|read| same(read.trim(), content));
            reply = reply.with("ReadDirectoryAllowed", shown.read);
        }
        if let Some((path, content)) = &test.write {
            shown.write = read_short(path).await.is_ok_and(|written| same(written.trim(), content));
            reply = reply.with("WriteDirectoryAllowed", shown.write);
        }
        self.shown.insert(folder, shown);
        Ok(reply)
    }

    /// A file that is to be published. Without a test of its folder, it has to be one that the client knows: that is for
    /// [`Named::has_hash`] to say.
    pub(super) async fn readable(&self, path: &str) -> Result<(Named, bool), Refusal> {
        if !Path::new(path).is_absolute() {
            return Err(Refusal::new(Code::InvalidField, "Filename is no absolute path"));
        }
        let not_found =
            || Refusal::new(Code::FileNotFound, "there is no such file, or the router may not read it");
        let path = tokio::fs::canonicalize(path).await.map_err(|_| not_found())?;
        let found = tokio::fs::symlink_metadata(&path).await.map_err(|_| not_found())?;
        if !found.is_file() {
            return Err(not_found());
        }
        let shown = path.parent().and_then(|folder| self.shown.get(folder)).is_some_and(|shown| shown.read);
        Ok((Named { identity: Identity::of(&found), length: found.len(), path }, shown))
    }

    /// Where a download may be written: nothing is there yet, and the client could write it itself.
    pub(super) async fn writable(&self, path: &str) -> Result<PathBuf, Refusal> {
        let path = Path::new(path);
        let (Some(parent), Some(name), true) = (path.parent(), path.file_name(), path.is_absolute()) else {
            return Err(Refusal::new(Code::InvalidField, "Filename is no absolute path"));
        };
        let parent = folder(&parent.to_string_lossy()).await?;
        if !self.shown.get(&parent).is_some_and(|shown| shown.write) {
            return Err(Refusal::new(Code::DiskDenied, "use TestDDARequest for this folder before"));
        }
        let path = parent.join(name);
        match tokio::fs::symlink_metadata(&path).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path),
            _ => Err(Refusal::new(Code::TargetExists, "nothing is overwritten: choose another name")),
        }
    }
}

fn same(said: &str, content: &str) -> bool {
    said.len() == content.len() && ct_eq(said.as_bytes(), content.as_bytes())
}

async fn write_secret(path: &Path, content: &str) -> io::Result<()> {
    let mut file = held::create(path, true).await?;
    let written = async {
        file.write_all(content.as_bytes()).await?;
        file.flush().await
    };
    let written = written.await;
    if written.is_err() {
        drop(Scratch(path.to_owned()));
    }
    written
}

/// What a client wrote: the beginning of it, and only if it is a file of its own.
async fn read_short(path: &Path) -> io::Result<String> {
    if !tokio::fs::symlink_metadata(path).await?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::new();
    tokio::fs::File::open(path).await?.take(LONGER).read_to_string(&mut text).await?;
    Ok(text)
}

impl Named {
    /// What it is called.
    pub(super) fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    fn open(&self) -> io::Result<tokio::fs::File> {
        let file = std::fs::File::open(&self.path)?;
        let found = file.metadata()?;
        if !found.is_file() || Identity::of(&found) != self.identity {
            return Err(io::Error::other("the file was replaced by another one"));
        }
        Ok(tokio::fs::File::from_std(file))
    }

    /// Whether the client knows it: whether `hash` is that of what the router said, the request's identifier and the
    /// file, with minus signs between them.
    pub(super) async fn has_hash(&self, hash: &str, salt: &str, id: &str) -> io::Result<bool> {
        let mut hasher = Sha256::new();
        hasher.update(format!("{salt}-{id}-"));
        let mut file = self.open()?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let got = file.read(&mut buffer).await?;
            match buffer.get(..got) {
                None | Some([]) => break,
                Some(read) => hasher.update(read),
            }
        }
        Ok(base64(hash).is_some_and(|hash| ct_eq(&hash, &hasher.finalize())))
    }

    /// Its bytes.
    pub(super) fn reader(self) -> FileReader {
        FileReader::Closed(self)
    }
}

/// Reads a file; opens it when the first bytes are asked for, so that a folder of many is not as many open files.
pub(super) enum FileReader {
    Closed(Named),
    Open(tokio::fs::File),
}

impl AsyncRead for FileReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Self::Closed(named) = &*self {
            *self = Self::Open(named.open()?);
        }
        match &mut *self {
            Self::Open(file) => Pin::new(file).poll_read(cx, out),
            Self::Closed(_) => Poll::Ready(Ok(())),
        }
    }
}

/// Base64 with the usual alphabet, padded or not.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(32);
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}
