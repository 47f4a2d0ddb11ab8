//! Content by its CHK: which blocks are asked for, when, and what comes of it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use allium_content::block::{Block, ContentBlock};
use allium_content::tree::{self, Params, ReadOptions, Reader, Root, Want};
use allium_content::{Chk, Key, MediaType, RootKind, block};
use allium_store::Why;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Blocks, Error, Progress};

/// Most blocks under way for one reading, those that are late not counted.
const UNDER_WAY: usize = 128;

/// Most blocks under way, late ones too.
const UNDER_WAY_AND_LATE: usize = 2 * UNDER_WAY;

/// Pieces of content taken from the reader in one step.
const PIECES: usize = 16;

/// A block that can't be had for so long is given up.
const PATIENCE: Duration = Duration::from_secs(50);

/// Pauses between the questions for a block that could not be asked for.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(8)];

/// The pause before too many lost blocks of a segment are asked for again.
const AGAIN: Duration = Duration::from_secs(2);

/// A block is late after three times the usual, and between these.
const LATE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(15));

/// Most rebuilt blocks that wait to be stored again while content is read.
const HEALING: usize = 64;

/// Gets a block; asks again for a while if nodes can't be asked.
pub(super) async fn get(blocks: &dyn Blocks, key: Key, newest: bool) -> Result<Block, Why> {
    let tries = async {
        let mut pauses = PAUSES.iter();
        loop {
            match blocks.get(key, newest).await {
                Ok(block) if block.key() == key => return Ok(block),
                Ok(_) | Err(Why::Absent | Why::Invalid) => return Err(Why::Absent),
                Err(why) => match pauses.next() {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(why),
                },
            }
        }
    };
    timeout(PATIENCE, tries).await.unwrap_or(Err(Why::Unanswered))
}

/// What is said of a block that could not be had.
pub(super) fn not_had(why: Why, what: &str) -> Error {
    match why {
        Why::Absent | Why::Invalid => Error::NotFound(what.to_owned()),
        other => Error::Unavailable(other.to_string()),
    }
}

/// What one block came to.
struct Answer {
    key: Key,
    result: Result<Block, Why>,
    took: Duration,
}

/// What the reader is told in one step.
#[derive(Default)]
struct Told {
    blocks: Vec<ContentBlock>,
    missing: Vec<Key>,
    late: Vec<Key>,
    room: usize,
    pieces: usize,
}

/// What the reader said to it.
#[derive(Default)]
struct Said {
    wants: Vec<Want>,
    pieces: Vec<Bytes>,
    healed: Vec<ContentBlock>,
    failure: Option<tree::Error>,
    done: bool,
}

/// One step of a reader, off the threads that wait for the network.
fn step(reader: &mut Reader, told: Told) -> Said {
    let mut said = Said::default();
    for block in &told.blocks {
        // A failure is kept by the reader, and comes with what it can't give.
        let _ = reader.block(block);
    }
    for key in told.missing {
        reader.missing(key);
    }
    for key in told.late {
        reader.late(key);
    }
    while said.pieces.len() < told.pieces {
        match reader.read() {
            Ok(Some(piece)) => said.pieces.push(piece),
            Ok(None) => break,
            Err(error) => {
                // What came before it is given out first; the failure stays.
                said.failure = Some(error).filter(|_| said.pieces.is_empty());
                break;
            }
        }
    }
    said.failure = said.failure.or_else(|| reader.failure().filter(|_| said.pieces.is_empty()));
    while said.wants.len() < told.room
        && let Some(want) = reader.want()
    {
        said.wants.push(want);
    }
    said.failure = said.failure.or_else(|| reader.failure().filter(|_| said.pieces.is_empty()));
    while let Some(block) = reader.healed() {
        said.healed.push(block);
    }
    said.done = reader.is_done();
    said
}

/// A range of content on its way.
pub(super) struct Fetch {
    blocks: Arc<dyn Blocks>,
    /// Absent only while a step is made, and for ever if one was given up.
    reader: Option<Reader>,
    root: Option<Root>,
    range: Range<u64>,
    thorough: bool,
    gets: JoinSet<Answer>,
    /// Since when blocks are under way; those that were called late have none.
    since: BTreeMap<Key, Option<Instant>>,
    /// What a get usually takes.
    usual: Duration,
    pieces: VecDeque<Bytes>,
    /// Blocks that were rebuilt, on their way to the store.
    heals: JoinSet<bool>,
    to_heal: VecDeque<ContentBlock>,
    /// Why blocks could not be asked for, if that happened.
    why: Option<Why>,
    tried_again: bool,
    progress: watch::Sender<Progress>,
    /// Every key that was asked for, for who wants to know.
    pub(super) keys: Option<Vec<Key>>,
    /// Blocks that nobody has.
    pub(super) missing: u64,
    /// Rebuilt blocks that are stored again.
    pub(super) restored: u64,
}

impl Fetch {
    /// All of a CHK's content.
    pub(super) fn new(
        blocks: Arc<dyn Blocks>,
        chk: Chk,
        thorough: bool,
        progress: watch::Sender<Progress>,
    ) -> Self {
        progress.send_modify(|progress| {
            progress.total = progress.total.max(progress.blocks + 1);
            progress.required = progress.required.max(progress.blocks + 1);
        });
        Self {
            blocks,
            reader: Some(Reader::new(chk, ReadOptions { thorough, ..ReadOptions::default() })),
            root: None,
            range: 0..u64::MAX,
            thorough,
            gets: JoinSet::new(),
            since: BTreeMap::new(),
            usual: LATE.0,
            pieces: VecDeque::new(),
            heals: JoinSet::new(),
            to_heal: VecDeque::new(),
            why: None,
            tried_again: false,
            progress,
            keys: None,
            missing: 0,
            restored: 0,
        }
    }

    /// Gives these bytes from now on.
    pub(super) fn select(&mut self, range: Range<u64>) {
        self.pieces.clear();
        self.range = range.clone();
        if let Some(reader) = &mut self.reader {
            reader.select(range);
        }
    }

    /// What the root says.
    pub(super) async fn root(&mut self) -> Result<&Root, Error> {
        while self.root.is_none() {
            self.step(0).await?;
        }
        self.root.as_ref().ok_or(Error::Stopped)
    }

    /// The next bytes, in order; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                self.progress.send_modify(|progress| progress.bytes += piece.len() as u64);
                return Ok(Some(piece));
            }
            if self.step(PIECES).await? && self.pieces.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Tells the reader what came, and does what it asks for; waits if there is nothing to tell. Whether all is done.
    async fn step(&mut self, pieces: usize) -> Result<bool, Error> {
        let mut told = Told { pieces, ..Told::default() };
        while let Some(answer) = self.gets.try_join_next() {
            self.take(answer, &mut told);
        }
        self.call_late(&mut told);
        let late = self.since.values().filter(|since| since.is_none()).count();
        told.room = (UNDER_WAY + late).min(UNDER_WAY_AND_LATE).saturating_sub(self.since.len());
        let mut reader = self.reader.take().ok_or(Error::Stopped)?;
        let stepped = tokio::task::spawn_blocking(move || {
            let said = step(&mut reader, told);
            (reader, said)
        });
        let (reader, said) = stepped.await.map_err(|_| Error::Stopped)?;
        if self.root.is_none()
            && let Some(root) = reader.root()
        {
            self.root = Some(root.clone());
            self.count_blocks();
        }
        self.reader = Some(reader);
        let idle = said.wants.is_empty() && said.pieces.is_empty();
        for want in said.wants {
            self.ask(want);
        }
        self.pieces.extend(said.pieces);
        self.heal(said.healed).await;
        if let Some(failure) = said.failure {
            self.fail(failure).await?;
        } else if !said.done && idle && (pieces > 0 || self.root.is_none()) {
            self.wait().await?;
        }
        Ok(said.done)
    }

    fn ask(&mut self, want: Want) {
        if let Some(keys) = &mut self.keys {
            keys.push(want.key);
        }
        self.since.insert(want.key, Some(Instant::now()));
        let blocks = Arc::clone(&self.blocks);
        self.gets.spawn(async move {
            let began = Instant::now();
            let result = get(&*blocks, want.key, false).await;
            Answer { key: want.key, result, took: began.elapsed() }
        });
    }

    /// Waits until a block comes, or one is late.
    async fn wait(&mut self) -> Result<(), Error> {
        let limit = self.late_after();
        let oldest = self.since.values().flatten().min().copied();
        let late = oldest.map_or_else(|| Instant::now() + PATIENCE, |oldest| oldest + limit);
        let mut told = Told::default();
        tokio::select! {
            answer = self.gets.join_next() => match answer {
                Some(answer) => self.take(answer, &mut told),
                // Nothing is under way and nothing is wanted: a defect, rather than to wait for ever.
                None => return Err(Error::Invalid("its blocks lead nowhere".to_owned())),
            },
            () = tokio::time::sleep_until(late) => self.call_late(&mut told),
        }
        self.tell(told).await
    }

    /// Tells the reader something without asking it anything.
    async fn tell(&mut self, told: Told) -> Result<(), Error> {
        let mut reader = self.reader.take().ok_or(Error::Stopped)?;
        let told = tokio::task::spawn_blocking(move || {
            let said = step(&mut reader, told);
            (reader, said.healed)
        });
        let (reader, healed) = told.await.map_err(|_| Error::Stopped)?;
        self.reader = Some(reader);
        self.heal(healed).await;
        Ok(())
    }

    fn take(&mut self, answer: Result<Answer, tokio::task::JoinError>, told: &mut Told) {
        let Ok(answer) = answer else { return };
        self.since.remove(&answer.key);
        match answer.result {
            Ok(Block::Content(block)) => {
                self.usual = (self.usual * 7 + answer.took) / 8;
                told.blocks.push(block);
                self.progress.send_modify(|progress| progress.blocks += 1);
                return;
            }
            Ok(Block::Signed(_)) | Err(Why::Absent | Why::Invalid) => {}
            Err(why) => self.why = Some(why),
        }
        self.missing += 1;
        told.missing.push(answer.key);
        self.progress.send_modify(|progress| progress.failed += 1);
    }

    fn late_after(&self) -> Duration {
        (self.usual * 3).clamp(LATE.0, LATE.1)
    }

    fn call_late(&mut self, told: &mut Told) {
        let limit = self.late_after();
        for (key, since) in &mut self.since {
            if since.is_some_and(|began| began.elapsed() >= limit) {
                *since = None;
                told.late.push(*key);
            }
        }
    }

    /// Stores rebuilt blocks again: all of them for who is thorough, else as many as there is room for.
    async fn heal(&mut self, healed: Vec<ContentBlock>) {
        self.to_heal.extend(healed);
        while let Some(stored) = self.heals.try_join_next() {
            self.restored += u64::from(stored.unwrap_or(false));
        }
        loop {
            while self.heals.len() < HEALING
                && let Some(block) = self.to_heal.pop_front()
            {
                let blocks = Arc::clone(&self.blocks);
                self.heals.spawn(async move { super::sending::put(&*blocks, block.into()).await.is_ok() });
            }
            if !self.thorough {
                self.to_heal.clear();
            }
            if self.to_heal.is_empty() {
                return;
            }
            if let Some(stored) = self.heals.join_next().await {
                self.restored += u64::from(stored.unwrap_or(false));
            }
        }
    }

    /// Waits until all that was rebuilt is stored again.
    pub(super) async fn healed(&mut self) {
        while let Some(stored) = self.heals.join_next().await {
            self.restored += u64::from(stored.unwrap_or(false));
        }
    }

    /// What a failure comes to: another try, once, if blocks are lost.
    async fn fail(&mut self, failure: tree::Error) -> Result<(), Error> {
        let lost = matches!(failure, tree::Error::Lost { .. });
        if lost && !self.tried_again {
            self.tried_again = true;
            tokio::time::sleep(AGAIN).await;
            if let Some(reader) = &mut self.reader {
                reader.retry();
            }
            return Ok(());
        }
        Err(match failure {
            tree::Error::RootLost | tree::Error::Lost { .. } => match self.why {
                Some(why) => Error::Unavailable(why.to_string()),
                None => Error::NotFound(failure.to_string()),
            },
            other => Error::Invalid(other.to_string()),
        })
    }

    /// The numbers of blocks, now that the root is known.
    fn count_blocks(&self) {
        let Some(root) = &self.root else { return };
        let required = needed(root, &self.range);
        let total = if self.thorough { root.blocks() } else { required };
        let bytes = self.range.end.min(root.length).saturating_sub(self.range.start);
        self.progress.send_modify(|progress| {
            // The root is counted already.
            progress.required += required - 1;
            progress.total += total - 1;
            progress.total_bytes = Some(progress.total_bytes.unwrap_or(0).max(progress.bytes + bytes));
            progress.finalized = true;
        });
    }
}

/// Bytes that a root has for content or entries.
fn room(media: Option<&MediaType>) -> u64 {
    let header = 48 + media.map_or(0, |media| media.as_str().len());
    block::SIZE.saturating_sub(header) as u64
}

/// Blocks that have to be fetched for a range, the root counted, if none is missing.
fn needed(root: &Root, range: &Range<u64>) -> u64 {
    let params: Params = root.params();
    let entry = 32 * (1 + params.data() + params.check()) as u64;
    let whole = (params.data() * block::SIZE) as u64;
    let room = room(root.media.as_ref());
    let mut range = range.start.min(root.length)..range.end.min(root.length);
    let (mut length, mut count) = (root.length, 1);
    while length > room && !range.is_empty() {
        count += range.end.div_ceil(block::SIZE as u64) - range.start / block::SIZE as u64;
        let last = length.div_ceil(block::SIZE as u64) % params.data() as u64;
        let last = if last == 0 { params.data() } else { last as usize };
        let entries = (length.div_ceil(whole) - 1) * entry + 32 * (1 + last + params.check_of(last)) as u64;
        range = range.start / whole * entry..(range.end.div_ceil(whole) * entry).min(entries);
        length = entries;
    }
    count
}

/// Whether a root is the one that its key and what is known of its content say.
pub(super) fn agrees(root: &Root, chk: &Chk, end: u64) -> Result<(), Error> {
    let fits = if chk.root == RootKind::Data { root.length == end } else { root.length >= end };
    if fits { Ok(()) } else { Err(Error::Invalid("a folder says that a file has another length".to_owned())) }
}
