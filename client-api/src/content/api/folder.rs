//! `PUT /v1/folder`: publishes a tar archive's files as a folder, in one pass.
//!
//! Small files stay in memory, to be packed into the folder, as long as all together are not too many; any other is
//! published under a key of its own when it comes. So a folder of any size needs the memory of its small files alone.

use std::collections::BTreeSet;
use std::pin::Pin;

use allium_content::manifest::MAX_ENTRIES;
use allium_content::uri::Insert;
use allium_content::{MediaType, Path};
use bytes::Bytes;
use futures_core::Stream;
use hyper::Request;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tar::{Archive, Entry, EntryType};

use super::answer::{self, Failure, Reply, Teller};
use super::publish::{OPTIONS, published, reader};
use super::query::Query;
use crate::content::{Content, Error, Part, Progress, Published, PutOptions, Source, Upload};

/// The longest file that is kept in memory.
const SMALL: u64 = 32 * 1024;
/// The most that is kept in memory of one folder.
const MEMORY: u64 = 64 << 20;

/// `PUT /v1/folder`.
pub(super) async fn put(
    request: Request<Incoming>,
    query: &Query,
    content: Content,
) -> Result<Reply, Failure> {
    query.only(&[&OPTIONS[..], &["default"]].concat())?;
    let options = query.put_options(request.headers())?;
    let default: Option<Path> = query.maybe("default")?;
    if matches!(&options.to, Insert::Chk { path } if !path.is_empty()) {
        let said = "a folder's CHK has no name behind it: a path there leads into the folder".to_owned();
        return Err(Error::Unpublishable(said).into());
    }
    let body = reader(request.into_body());
    answer::long(|teller| {
        let packing = Packing::new(content, options, teller);
        packing.publish(body, default)
    })
    .await
}

type Entries = Vec<(Path, Option<MediaType>, Part)>;

/// A folder on its way from an archive to the store.
struct Packing {
    content: Content,
    options: PutOptions,
    teller: Teller,
    entries: Entries,
    paths: BTreeSet<Path>,
    /// Bytes in memory.
    held: u64,
    /// What is done.
    done: Progress,
}

impl Packing {
    fn new(content: Content, options: PutOptions, teller: Teller) -> Self {
        Self {
            content,
            options,
            teller,
            entries: Vec::new(),
            paths: BTreeSet::new(),
            held: 0,
            done: Progress::default(),
        }
    }
    /// Publishes the files of the archive `body` as a folder.
    async fn publish(
        mut self,
        body: impl AsyncRead + Send + Unpin + 'static,
        default: Option<Path>,
    ) -> Result<serde_json::Value, Failure> {
        let mut entries = Archive::new(body).entries().map_err(|error| broken(&error))?;
        while let Some(entry) = std::future::poll_fn(|cx| Pin::new(&mut entries).poll_next(cx)).await {
            self.take(entry.map_err(|error| broken(&error))?).await?;
        }
        let upload = Upload::Folder { entries: std::mem::take(&mut self.entries), default };
        // What is pinned is what the folder leads to, its large files too: when all is there.
        let pin = self.options.pin && !self.options.only_key;
        let options = PutOptions { pin: false, ..self.options.clone() };
        let job = self.content.put(upload, options);
        let before = self.done.clone();
        let folder =
            self.teller.follow(job, |now| Progress { bytes: before.bytes, ..sum(&before, now) }).await?;
        if pin {
            self.teller.follow(self.content.pin(folder.uri.clone()), |_| before.clone()).await?;
        }
        // The large files' blocks and bytes were published before the folder's own.
        Ok(published(&Published { blocks: folder.blocks + before.blocks, length: before.bytes, ..folder }))
    }

    /// Takes an entry of the archive.
    async fn take<R>(&mut self, mut entry: Entry<R>) -> Result<(), Failure>
    where
        R: AsyncRead + Send + Unpin + 'static,
        Entry<R>: AsyncRead + Send,
    {
        let Some(path) = file_path(&entry)? else { return Ok(()) };
        if self.paths.len() == MAX_ENTRIES {
            return Err(Failure::archive(format!("a folder has at most {MAX_ENTRIES} files")));
        }
        if !self.paths.insert(path.clone()) {
            return Err(Failure::archive(format!(
                "{path:?} stands in the archive twice",
                path = path.as_str()
            )));
        }
        let length = entry.effective_size();
        let part = if length <= SMALL && self.held + length <= MEMORY {
            let mut bytes = Vec::with_capacity(length as usize);
            entry.read_to_end(&mut bytes).await.map_err(|error| broken(&error))?;
            self.held += length;
            self.done.bytes += length;
            Part::Data(Source::Bytes(Bytes::from(bytes)))
        } else {
            self.store(entry, length).await?
        };
        self.teller.tell(self.done.clone());
        self.entries.push((path, None, part));
        Ok(())
    }

    /// Publishes a large file under a key of its own.
    async fn store<R>(&mut self, entry: R, length: u64) -> Result<Part, Failure>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let options = PutOptions {
            to: Insert::Chk { path: Path::default() },
            media: None,
            pin: false,
            ..self.options.clone()
        };
        let source = Source::Stream(Box::new(entry), Some(length));
        let before = self.done.clone();
        let job = self.content.put(Upload::File(source), options);
        let stored = self.teller.follow(job, |now| sum(&before, now)).await?;
        self.done.bytes += length;
        self.done.blocks += stored.blocks;
        self.done.required += stored.blocks;
        self.done.total += stored.blocks;
        let chk = stored.chk.ok_or_else(|| {
            Error::Invalid("a file of the folder was published without a key of its own".to_owned())
        })?;
        Ok(Part::Stored { chk, length })
    }
}

/// How far the whole is, `now` being how far one job is and `before` what was done before it.
fn sum(before: &Progress, now: &Progress) -> Progress {
    Progress {
        bytes: before.bytes + now.bytes,
        total_bytes: None,
        blocks: before.blocks + now.blocks,
        failed: before.failed + now.failed,
        required: before.required + now.required,
        total: before.total + now.total,
        finalized: false,
    }
}

/// The path of an archive's file; `None` for what a folder does without: folders, and headers for all that follows.
fn file_path<R: AsyncRead + Unpin>(entry: &Entry<R>) -> Result<Option<Path>, Failure> {
    let bytes = entry.path_bytes().map_err(|error| broken(&error))?;
    let shown = String::from_utf8_lossy(&bytes);
    let what = match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Failure::archive(format!("the name {shown:?} is not UTF-8")))?;
            let text = text.trim_start_matches("./");
            let path: Path = text
                .parse()
                .map_err(|error| Failure::archive(format!("the name {shown:?} can't be used: {error}")))?;
            if path.is_empty() || text.ends_with('/') {
                return Err(Failure::archive(format!("{shown:?} is no name of a file")));
            }
            return Ok(Some(path));
        }
        EntryType::Directory | EntryType::XGlobalHeader => return Ok(None),
        EntryType::Symlink | EntryType::Link => "a link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "neither a file nor a folder",
    };
    Err(Failure::archive(format!("{shown:?} is {what}: a folder holds files only")))
}

fn broken(error: &std::io::Error) -> Failure {
    Failure::archive(format!("the archive is damaged, or ends too early: {error}"))
}
