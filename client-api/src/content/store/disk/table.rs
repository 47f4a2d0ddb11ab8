//! The index and the slots together: batches of operations, each with one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use allium_content::block::SIZE;
use allium_store::{DiskError, Key, Record};
use bytes::Bytes;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};

use super::row::{self, IN_INDEX, Row};
use super::slots::{Medium, Slots};
use super::{Answer, Held, Operation, lock};

const ROWS: TableDefinition<'_, [u8; 32], [u8; row::LENGTH]> = TableDefinition::new("rows");
/// Blocks that are too short for a slot.
const SMALL: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("small");
/// Memory for the index.
const CACHE: usize = 16 << 20;
/// The most bytes of blocks of a store in memory.
const IN_MEMORY: usize = 1 << 30;
/// Changes of records that wait for company.
const NOTES: usize = 256;

/// Why the store's files can't be used.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum OpenError {
    /// They are damaged.
    #[error("its index is damaged: {0}")]
    Damaged(String),
    /// Another process has them open.
    #[error("another allium uses it: stop that first")]
    InUse,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<redb::Error> for OpenError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Shortens `redb`'s many errors to one.
fn any<E: Into<redb::Error>>(error: E) -> redb::Error {
    error.into()
}

/// A store that was opened, and what it holds.
pub(in super::super) struct Opened {
    pub(super) table: Table,
    pub(super) records: Vec<Record>,
}

/// The store's files.
pub(super) struct Table {
    index: Database,
    slots: Slots,
    held: Arc<Mutex<Held>>,
    /// Changes of records that were not written yet.
    notes: BTreeMap<Key, Record>,
}

/// What a batch is going to change.
#[derive(Default)]
struct Changes {
    /// Blocks written, with the bytes of those that go into the index; `None` for blocks removed.
    blocks: BTreeMap<Key, Option<(Row, Bytes)>>,
    answers: Vec<Answer>,
    /// Slots written that nothing else knows of.
    taken: Vec<u32>,
}

impl Table {
    /// Opens the store in `folder`, or a new one in memory.
    pub(super) fn open(folder: Option<PathBuf>) -> Result<Opened, OpenError> {
        Self::open_with(folder, Arc::default(), IN_MEMORY)
    }

    /// Opens it again after a failure; who knew what it holds goes on knowing.
    pub(super) fn reopen(folder: Option<PathBuf>, held: Arc<Mutex<Held>>) -> Result<Self, OpenError> {
        Self::open_with(folder, held, IN_MEMORY).map(|opened| opened.table)
    }

    /// Sets the files aside and begins new ones.
    pub(super) fn open_anew(folder: Option<PathBuf>) -> Result<Opened, OpenError> {
        for name in ["index.redb", "blocks"] {
            if let Some(folder) = &folder {
                match std::fs::rename(folder.join(name), folder.join(format!("{name}.damaged"))) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Self::open(folder)
    }

    /// As [`Self::open`], with at most so many bytes where it is in memory.
    pub(super) fn open_with(
        folder: Option<PathBuf>,
        held: Arc<Mutex<Held>>,
        most: usize,
    ) -> Result<Opened, OpenError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        let (index, medium) = match folder {
            Some(folder) => {
                allium_router::store::make_dir(&folder).map_err(io::Error::other)?;
                let index = FileBackend::new(file(&folder, "index.redb")?);
                let index = index.and_then(|backend| builder.create_with_backend(backend));
                (index, Medium::File(file(&folder, "blocks")?))
            }
            None => (
                builder.create_with_backend(InMemoryBackend::new()),
                Medium::Memory(bytes::BytesMut::new(), most),
            ),
        };
        let index = index.map_err(|error| match error {
            DatabaseError::Storage(StorageError::Io(error)) if error.kind() != io::ErrorKind::InvalidData => {
                OpenError::Io(error)
            }
            other => any(other).into(),
        })?;
        let rows = rows(&index)?;
        let used = rows.iter().map(|row| row.slot).filter(|slot| *slot != IN_INDEX).collect();
        let slots = Slots::new(medium, &used);
        *lock(&held) = rows.iter().map(|row| (row.record.key, row.slot)).collect();
        let records = rows.into_iter().map(|row| row.record).collect();
        Ok(Opened { table: Self { index, slots, held, notes: BTreeMap::new() }, records })
    }

    /// What is held, kept up to date.
    pub(super) fn held(&self) -> Arc<Mutex<Held>> {
        Arc::clone(&self.held)
    }

    /// Whether changes of records wait to be written.
    pub(super) fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    /// Does all of this, and answers. With `all`, changes of records are written that could wait.
    ///
    /// # Errors
    /// Where the index could not be written: the files are to be opened again.
    pub(super) fn run(&mut self, operations: Vec<Operation>, all: bool) -> Result<(), OpenError> {
        let mut changes = Changes::default();
        for operation in operations {
            match operation {
                Operation::Load { key, answer } => answer.tell(self.load(&key, &changes)),
                Operation::Save { record, bytes, answer } => self.save(record, bytes, answer, &mut changes),
                Operation::Delete(key) => {
                    self.notes.remove(&key);
                    changes.blocks.insert(key, None);
                }
                Operation::Note(record) => drop(self.notes.insert(record.key, record)),
            }
        }
        if changes.blocks.is_empty() && (self.notes.is_empty() || !all && self.notes.len() < NOTES) {
            return Ok(());
        }
        match self.commit(&changes) {
            Ok(freed) => {
                self.notes.clear();
                self.done(changes, freed);
                Ok(())
            }
            Err(error) => Err(error), // the answers say by their end that it failed
        }
    }

    fn load(&self, key: &Key, changes: &Changes) -> Result<Bytes, DiskError> {
        let (row, small) = match changes.blocks.get(key) {
            Some(None) => return Err(DiskError::Damaged),
            Some(Some((row, small))) => (*row, Some(small.clone())),
            None => {
                let read = self.index.begin_read().map_err(|_| DiskError::Failed)?;
                let rows = read.open_table(ROWS).map_err(|_| DiskError::Failed)?;
                let row = rows.get(key.0).map_err(|_| DiskError::Failed)?.ok_or(DiskError::Damaged)?;
                let row = Row::decode(*key, &row.value()).ok_or(DiskError::Damaged)?;
                let mut small = None;
                if row.slot == IN_INDEX {
                    let table = read.open_table(SMALL).map_err(|_| DiskError::Failed)?;
                    let bytes = table.get(key.0).map_err(|_| DiskError::Failed)?.ok_or(DiskError::Damaged)?;
                    small = Some(Bytes::copy_from_slice(bytes.value()));
                }
                (row, small)
            }
        };
        let bytes = match small.filter(|_| row.slot == IN_INDEX) {
            Some(small) => small,
            None => {
                self.slots.read(row.slot, row.record.size as usize).map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => DiskError::Damaged,
                    _ => DiskError::Failed,
                })?
            }
        };
        if row::sum(&bytes) == row.sum { Ok(bytes) } else { Err(DiskError::Damaged) }
    }

    fn save(&mut self, record: Record, bytes: Bytes, answer: Answer, changes: &mut Changes) {
        let sum = row::sum(&bytes);
        let mut row = Row { record, slot: IN_INDEX, sum };
        let mut small = bytes;
        if small.len() == SIZE {
            row.slot = self.slots.take();
            if let Err(error) = self.slots.write(row.slot, &small) {
                self.slots.give_back(row.slot);
                tracing::warn!(%error, "a block could not be written");
                return answer.tell(Err(DiskError::Failed));
            }
            changes.taken.push(row.slot);
            small = Bytes::new();
        }
        self.notes.remove(&record.key);
        changes.blocks.insert(record.key, Some((row, small)));
        changes.answers.push(answer);
    }

    /// Writes a batch into the index. Gives the slots that are not needed any more.
    fn commit(&self, changes: &Changes) -> Result<Vec<u32>, OpenError> {
        if !changes.taken.is_empty() {
            self.slots.sync()?;
        }
        let mut used: BTreeSet<u32> = BTreeSet::new();
        let mut freed = Vec::new();
        let write = self.index.begin_write().map_err(any)?;
        {
            let mut rows = write.open_table(ROWS).map_err(any)?;
            let mut smalls = write.open_table(SMALL).map_err(any)?;
            for (key, change) in &changes.blocks {
                let before = if let Some((row, small)) = change {
                    used.insert(row.slot);
                    if row.slot == IN_INDEX {
                        smalls.insert(key.0, small.as_ref()).map_err(any)?;
                    } else {
                        smalls.remove(key.0).map_err(any)?;
                    }
                    rows.insert(key.0, row.encode()).map_err(any)?
                } else {
                    smalls.remove(key.0).map_err(any)?;
                    rows.remove(key.0).map_err(any)?
                };
                freed.extend(before.and_then(|row| Row::decode(*key, &row.value())).map(|row| row.slot));
            }
            for (key, record) in &self.notes {
                let row = rows.get(key.0).map_err(any)?.and_then(|row| Row::decode(*key, &row.value()));
                // What is noted of a version that is not here is not of interest.
                if let Some(row) = row.filter(|row| row.record.version == record.version) {
                    rows.insert(key.0, Row { record: *record, ..row }.encode()).map_err(any)?;
                }
            }
        }
        write.commit().map_err(any)?;
        // A slot that was written and replaced within this batch is free as well.
        freed.extend(changes.taken.iter().filter(|slot| !used.contains(slot)));
        freed.retain(|slot| *slot != IN_INDEX);
        Ok(freed)
    }

    fn done(&mut self, changes: Changes, freed: Vec<u32>) {
        let mut held = lock(&self.held);
        for (key, change) in changes.blocks {
            match change {
                Some((row, _)) => held.insert(key, row.slot),
                None => held.remove(&key),
            };
        }
        drop(held);
        for slot in freed {
            self.slots.give_back(slot);
        }
        self.slots.trim();
        changes.answers.into_iter().for_each(|answer| answer.tell(Ok(Bytes::new())));
    }
}

/// All rows that can be used.
fn rows(index: &Database) -> Result<Vec<Row>, redb::Error> {
    let write = index.begin_write()?;
    write.open_table(ROWS)?;
    write.open_table(SMALL)?;
    write.commit()?;
    let mut used = BTreeSet::new();
    let mut out = Vec::new();
    for entry in index.begin_read()?.open_table(ROWS)?.iter()? {
        let (key, row) = entry?;
        let row = Row::decode(Key(key.value()), &row.value());
        // Two blocks can't be in one slot, and a block fits its slot.
        let sound =
            |row: &Row| row.slot == IN_INDEX || row.record.size as usize == SIZE && used.insert(row.slot);
        out.extend(row.filter(sound));
    }
    Ok(out)
}

/// A file that its owner alone can read.
fn file(folder: &Path, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).open(folder.join(name))
}
