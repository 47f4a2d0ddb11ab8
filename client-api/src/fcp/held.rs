//! Data on its way: what clients upload until it is published, and what was fetched until they have it.
//!
//! Little is kept in memory, as long as there is room. Anything else goes into a file of its own, encrypted under a key
//! that is only in memory, so that what is left of it after a crash says nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use allium_crypto::{Rng, chacha};
use bytes::{Buf, Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::content::Source;

/// What is no longer than this may be kept in memory.
const SMALL: u64 = 1 << 20;
/// The most that is kept in memory together, in KiB.
const MEMORY: usize = 32 * 1024;
/// The most files at a time.
const FILES: usize = 1024;
/// Encrypted as one piece, under a nonce of its own.
const CHUNK: usize = 64 * 1024;
/// What the files are called, behind a number of their own.
const SUFFIX: &str = ".held";

/// Where data is kept.
pub(super) struct Shelf {
    folder: PathBuf,
    rng: Mutex<Rng>,
    memory: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

/// Data that is whole. Its file goes when it is dropped.
pub(super) enum Held {
    Memory { bytes: Bytes, _room: OwnedSemaphorePermit },
    File(Spool),
}

/// An encrypted file.
pub(super) struct Spool {
    path: PathBuf,
    key: Zeroizing<[u8; 32]>,
    length: u64,
    _room: OwnedSemaphorePermit,
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a temporary file can't be removed");
        }
    }
}

/// Data that is coming in.
pub(super) enum Filling {
    Memory(BytesMut, OwnedSemaphorePermit),
    /// The bytes that do not fill a chunk yet, and how many chunks are written.
    File(File, Spool, BytesMut, u64),
}

impl Shelf {
    /// Keeps files in this folder, and removes those that an earlier run left there.
    pub(super) fn new(folder: PathBuf, rng: Rng) -> Self {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                // What can't be removed is in nobody's way.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        let memory = Arc::new(Semaphore::new(MEMORY));
        Self { folder, rng: Mutex::new(rng), memory, files: Arc::new(Semaphore::new(FILES)) }
    }

    /// Random bytes.
    pub(super) fn random<const N: usize>(&self) -> [u8; N] {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).array()
    }

    /// What a download is called until it is whole, beside what it will be.
    pub(super) fn part_of(&self, path: &Path) -> PathBuf {
        path.with_file_name(format!(".allium-{:016x}.part", u64::from_be_bytes(self.random())))
    }

    /// Room for so many bytes.
    pub(super) async fn fill(&self, length: u64) -> io::Result<Filling> {
        if length <= SMALL {
            let kibibytes = (length >> 10) as u32 + 1;
            if let Ok(room) = Arc::clone(&self.memory).try_acquire_many_owned(kibibytes) {
                return Ok(Filling::Memory(BytesMut::new(), room));
            }
        }
        let room = Arc::clone(&self.files).try_acquire_owned();
        let room = room.map_err(|_| io::Error::other("too many requests have their data on disk"))?;
        let path = self.folder.join(format!("{:032x}{SUFFIX}", u128::from_be_bytes(self.random())));
        tokio::fs::create_dir_all(&self.folder).await?;
        let file = create(&path, true).await?;
        let spool = Spool { path, key: Zeroizing::new(self.random()), length: 0, _room: room };
        Ok(Filling::File(file, spool, BytesMut::with_capacity(CHUNK), 0))
    }
}

/// Makes a new file; with `secret`, for this user's eyes only.
pub(super) async fn create(path: &Path, secret: bool) -> io::Result<File> {
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secret {
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = secret;
    options.open(path).await
}

/// XORs a chunk with its key stream.
fn cipher(key: &[u8; 32], number: u64, chunk: &mut [u8]) {
    let mut nonce = [0; 12];
    for (place, byte) in nonce.iter_mut().zip(number.to_le_bytes()) {
        *place = byte;
    }
    chacha::xor(key, &nonce, 0, chunk);
}

impl Filling {
    pub(super) async fn push(&mut self, mut data: Bytes) -> io::Result<()> {
        match self {
            Self::Memory(held, _) => held.extend_from_slice(&data),
            Self::File(file, spool, chunk, number) => {
                spool.length += data.len() as u64;
                while data.has_remaining() {
                    let take = (CHUNK - chunk.len()).min(data.len());
                    chunk.extend_from_slice(&data.split_to(take));
                    if chunk.len() == CHUNK {
                        cipher(&spool.key, *number, chunk);
                        file.write_all(chunk).await?;
                        chunk.clear();
                        *number += 1;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn finish(self) -> io::Result<Held> {
        match self {
            Self::Memory(held, room) => Ok(Held::Memory { bytes: held.freeze(), _room: room }),
            Self::File(mut file, spool, mut chunk, number) => {
                cipher(&spool.key, number, &mut chunk);
                file.write_all(&chunk).await?;
                file.flush().await?;
                Ok(Held::File(spool))
            }
        }
    }
}

impl Held {
    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory { bytes, .. } => bytes.len() as u64,
            Self::File(spool) => spool.length,
        }
    }

    /// What is published from it, once.
    pub(super) fn source(self) -> Source {
        let length = self.length();
        Source::Stream(Box::new(Reader::new(Arc::new(self))), Some(length))
    }
}

/// Reads held data from its beginning.
pub(super) struct Reader {
    held: Arc<Held>,
    at: At,
    /// The chunk under way, encrypted.
    chunk: BytesMut,
    /// Decrypted, and not read yet.
    ready: Bytes,
}

enum At {
    Start,
    Opening(Pin<Box<dyn Future<Output = io::Result<File>> + Send>>),
    /// How many chunks are read.
    File(File, u64),
    End,
}

impl Reader {
    pub(super) fn new(held: Arc<Held>) -> Self {
        Self { held, at: At::Start, chunk: BytesMut::new(), ready: Bytes::new() }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut out = BytesMut::with_capacity(CHUNK);
        Ok(if self.read_buf(&mut out).await? == 0 { None } else { Some(out.freeze()) })
    }

    /// Makes the next chunk ready; none is at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match (&*self.held, &mut self.at) {
                (_, At::End) => return Poll::Ready(Ok(())),
                (Held::Memory { bytes, .. }, _) => {
                    self.ready = bytes.clone();
                    self.at = At::End;
                }
                (Held::File(spool), At::Start) => {
                    self.at = At::Opening(Box::pin(File::open(spool.path.clone())));
                }
                (_, At::Opening(opening)) => {
                    let file = ready!(opening.as_mut().poll(cx))?;
                    self.at = At::File(file, 0);
                }
                (Held::File(spool), At::File(file, number)) => {
                    let whole = (spool.length - *number * CHUNK as u64).min(CHUNK as u64) as usize;
                    let had = self.chunk.len();
                    if had == whole {
                        cipher(&spool.key, *number, &mut self.chunk);
                        self.ready = self.chunk.split().freeze();
                        if whole < CHUNK {
                            self.at = At::End;
                        } else {
                            *number += 1;
                        }
                        return Poll::Ready(Ok(()));
                    }
                    self.chunk.resize(whole, 0);
                    let mut room = ReadBuf::new(self.chunk.get_mut(had..).unwrap_or_default());
                    let polled = Pin::new(file).poll_read(cx, &mut room);
                    let got = room.filled().len();
                    self.chunk.truncate(had + got);
                    ready!(polled)?;
                    if got == 0 {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ready.is_empty() {
            ready!(self.poll_chunk(cx))?;
        }
        let take = self.ready.len().min(out.remaining());
        out.put_slice(&self.ready.split_to(take));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
