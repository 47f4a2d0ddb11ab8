//! Blocks on their way to the store.

use std::sync::Arc;
use std::time::Duration;

use allium_content::block::Block;
use allium_content::tree::{Params, WriteOptions, Writer, block_count};
use allium_content::{Chk, Key};
use allium_store::Why;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Blocks, Error, Progress, Source};

/// Most blocks under way for one put: 6 MiB of them.
const UNDER_WAY: usize = 192;

/// Blocks taken from the writer in one step.
const PIECES: usize = 32;

/// Bytes read from the source at a time.
const CHUNK: usize = 256 << 10;

/// Pauses between the tries to store a block.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(20),
];

/// Has a block stored; tries again for a while.
pub(super) async fn put(blocks: &dyn Blocks, block: Block) -> Result<(), Why> {
    let mut pauses = PAUSES.iter();
    loop {
        let why = match blocks.put(block.clone()).await {
            Ok(_) => return Ok(()),
            // A newer version is there, or it is no block: no try would change that.
            Err(why @ (Why::Invalid | Why::Refused(allium_store::wire::Refusal::Older))) => return Err(why),
            Err(why) => why,
        };
        match pauses.next() {
            Some(pause) => tokio::time::sleep(*pause).await,
            None => return Err(why),
        }
    }
}

/// What is said of a block that could not be stored.
pub(super) fn not_put(why: Why) -> Error {
    match why {
        Why::Invalid => Error::Unpublishable(why.to_string()),
        Why::Refused(allium_store::wire::Refusal::Older) => Error::Collision,
        other => Error::Unavailable(other.to_string()),
    }
}

/// The blocks of one put.
pub(super) struct Store {
    blocks: Arc<dyn Blocks>,
    under_way: JoinSet<Result<(), Why>>,
    only_key: bool,
    progress: watch::Sender<Progress>,
    /// Blocks given so far.
    pub(super) count: u64,
    /// Their names, for who keeps them.
    pub(super) keys: Option<Vec<Key>>,
}

impl Store {
    pub(super) fn new(
        blocks: Arc<dyn Blocks>,
        only_key: bool,
        pin: bool,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let keys = pin.then(Vec::new);
        Self { blocks, under_way: JoinSet::new(), only_key, progress, count: 0, keys }
    }

    /// More blocks and bytes are known to come.
    pub(super) fn expect(&self, blocks: u64, bytes: u64) {
        self.progress.send_modify(|progress| {
            progress.total += blocks;
            progress.required += blocks;
            progress.total_bytes = Some(progress.total_bytes.unwrap_or(0) + bytes);
        });
    }

    /// No more than what was expected comes.
    pub(super) fn finalize(&self) {
        self.progress.send_modify(|progress| progress.finalized = true);
    }

    /// Takes a block; waits for room.
    pub(super) async fn put(&mut self, block: Block) -> Result<(), Error> {
        self.count += 1;
        let total = self.count;
        self.progress.send_if_modified(|progress| {
            let more = progress.total < total;
            progress.total = progress.total.max(total);
            progress.required = progress.required.max(total);
            more
        });
        if let Some(keys) = &mut self.keys {
            keys.push(block.key());
        }
        if self.only_key {
            return Ok(());
        }
        while self.under_way.len() >= UNDER_WAY {
            self.join().await?;
        }
        let blocks = Arc::clone(&self.blocks);
        self.under_way.spawn(async move { put(&*blocks, block).await });
        Ok(())
    }

    async fn join(&mut self) -> Result<bool, Error> {
        match self.under_way.join_next().await {
            None => Ok(false),
            Some(Ok(Ok(()))) => {
                self.progress.send_modify(|progress| progress.blocks += 1);
                Ok(true)
            }
            Some(Ok(Err(why))) => {
                self.progress.send_modify(|progress| progress.failed += 1);
                Err(not_put(why))
            }
            Some(Err(_)) => Err(Error::Stopped),
        }
    }

    /// Waits until all blocks are stored.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
        while self.join().await? {}
        Ok(())
    }

    /// Stores a tree; gives its key and its length.
    pub(super) async fn tree(
        &mut self,
        options: WriteOptions,
        mut parts: Parts,
    ) -> Result<(Chk, u64), Error> {
        let media = options.media.as_ref().map_or(0, |media| media.as_str().len());
        let expected = parts.length();
        if let Some(length) = expected {
            self.expect(block_count(length, media, Params::default()), length);
        }
        let mut writer = Writer::new(options);
        while let Some(mut chunk) = parts.next().await? {
            self.progress.send_modify(|progress| progress.bytes += chunk.len() as u64);
            loop {
                writer = self.write(writer, &mut chunk).await?;
                if chunk.is_empty() {
                    break;
                }
            }
        }
        if expected.is_none() {
            let length = writer.length();
            let so_far = self.count;
            self.expect(block_count(length, media, Params::default()).saturating_sub(so_far), length);
        }
        writer.finish();
        while writer.chk().is_none() {
            writer = self.write(writer, &mut Bytes::new()).await?;
        }
        let chk = writer.chk().cloned().ok_or(Error::Stopped)?;
        Ok((chk, writer.length()))
    }

    /// Lets the writer take bytes and stores what blocks it gives, off the threads that wait for the network.
    async fn write(&mut self, mut writer: Writer, chunk: &mut Bytes) -> Result<Writer, Error> {
        loop {
            let mut given = std::mem::take(chunk);
            let step = tokio::task::spawn_blocking(move || {
                let taken = writer.push(&given)?;
                drop(given.split_to(taken));
                let mut pieces = Vec::new();
                while pieces.len() < PIECES
                    && let Some(piece) = writer.poll()?
                {
                    pieces.push(piece.block);
                }
                Ok((writer, given, pieces))
            });
            let stepped: Result<_, allium_content::tree::Error> = step.await.map_err(|_| Error::Stopped)?;
            let (returned, rest, pieces) =
                stepped.map_err(|error| Error::Unpublishable(error.to_string()))?;
            *chunk = rest;
            writer = returned;
            let more = pieces.len() == PIECES;
            for block in pieces {
                self.put(block.into()).await?;
            }
            if !more {
                return Ok(writer);
            }
        }
    }
}

/// Sources one after the other, as one stream.
pub(super) struct Parts {
    /// Bytes in front.
    head: Option<Bytes>,
    sources: std::vec::IntoIter<(Source, Option<u64>)>,
    open: Option<Open>,
    length: Option<u64>,
}

/// A source that is being read, and what its length has to be.
struct Open {
    stream: Box<dyn AsyncRead + Send + Unpin>,
    read: u64,
    length: Option<u64>,
}

impl Parts {
    /// Some bytes, then sources of these lengths (where they are known).
    pub(super) fn new(head: Bytes, sources: Vec<(Source, Option<u64>)>) -> Self {
        let length = sources.iter().try_fold(head.len() as u64, |sum, (_, length)| Some(sum + (*length)?));
        Self {
            head: Some(head).filter(|head| !head.is_empty()),
            sources: sources.into_iter(),
            open: None,
            length,
        }
    }

    /// How long all of it is.
    fn length(&self) -> Option<u64> {
        self.length
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(head) = self.head.take() {
                return Ok(Some(head));
            }
            if let Some(open) = &mut self.open {
                let mut chunk = BytesMut::with_capacity(CHUNK);
                while chunk.len() < CHUNK && open.stream.read_buf(&mut chunk).await? > 0 {}
                open.read += chunk.len() as u64;
                let over = open.length.is_some_and(|length| open.read > length);
                let short = open.length.is_some_and(|length| open.read < length);
                if over || short && chunk.is_empty() {
                    return Err(changed(open.length, open.read));
                }
                if chunk.is_empty() {
                    self.open = None;
                    continue;
                }
                return Ok(Some(chunk.freeze()));
            }
            let Some((source, length)) = self.sources.next() else { return Ok(None) };
            let stream: Box<dyn AsyncRead + Send + Unpin> = match source {
                Source::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes)),
                Source::File(path) => Box::new(tokio::fs::File::open(path).await?),
                Source::Stream(stream, _) => stream,
            };
            self.open = Some(Open { stream, read: 0, length });
        }
    }
}

fn changed(expected: Option<u64>, read: u64) -> Error {
    let expected = expected.unwrap_or_default();
    Error::Io(std::io::Error::new(
        std::io::ErrorKind::UnexpectedEof,
        format!(
            "what was to be published has another length than it was said to have: {read} instead of {expected}"
        ),
    ))
}

/// How long a source is, where that can be known without reading it.
pub(super) fn length(source: &Source) -> impl Future<Output = Result<Option<u64>, Error>> + Send + 'static {
    let known = match source {
        Source::Bytes(bytes) => Ok(Some(bytes.len() as u64)),
        Source::Stream(_, length) => Ok(*length),
        Source::File(path) => Err(path.clone()),
    };
    async move {
        match known {
            Ok(known) => Ok(known),
            Err(path) => {
                let about = tokio::fs::metadata(path).await?;
                Ok(about.is_file().then_some(about.len()))
            }
        }
    }
}

/// Reads the beginning of a source: all of it if it is no longer than `most`, or the source with what was read in
/// front again.
pub(super) async fn peek(source: Source, most: usize) -> Result<Result<Bytes, Source>, Error> {
    let length = length(&source).await?;
    if length.is_some_and(|length| length > most as u64) {
        return Ok(Err(source));
    }
    let mut stream: Box<dyn AsyncRead + Send + Unpin> = match source {
        Source::Bytes(bytes) => return Ok(Ok(bytes)),
        Source::File(path) => Box::new(tokio::fs::File::open(path).await?),
        Source::Stream(stream, _) => stream,
    };
    let mut head = BytesMut::with_capacity(most + 1);
    while head.len() <= most && stream.read_buf(&mut head).await? > 0 {}
    if let Some(length) = length
        && head.len() as u64 != length
    {
        return Err(changed(Some(length), head.len() as u64));
    }
    if head.len() <= most {
        return Ok(Ok(head.freeze()));
    }
    let rest = std::io::Cursor::new(head.freeze()).chain(stream);
    Ok(Err(Source::Stream(Box::new(rest), length)))
}
