use std::path::Path;

use allium_content::block::SIZE;
use allium_store::Version;
use allium_wire::Date;
use tokio::sync::oneshot;

use super::*;

fn record(number: u8, size: usize) -> Record {
    let version = Version { number: u64::from(size != SIZE), tie: 0 };
    Record { key: Key([number; 32]), size: size as u32, version, wanted: Date(1000), pinned: false }
}

fn block(number: u8) -> Bytes {
    vec![number; SIZE].into()
}

async fn save(disk: &Disk, number: u8, bytes: Bytes) -> Result<(), DiskError> {
    let (answer, answered) = oneshot::channel();
    disk.save(record(number, bytes.len()), bytes, Answer::new(|outcome| drop(answer.send(outcome))));
    answered.await.expect("an answer").map(drop)
}

async fn load(disk: &Disk, number: u8) -> Result<Bytes, DiskError> {
    let (answer, answered) = oneshot::channel();
    disk.load(Key([number; 32]), Answer::new(|outcome| drop(answer.send(outcome))));
    answered.await.expect("an answer")
}

struct Running {
    disk: Disk,
    tasks: Tasks,
}

impl Running {
    async fn open(folder: Option<&Path>) -> (Self, Vec<Record>) {
        let tasks = Tasks::new(CancellationToken::new());
        let (disk, mut records) = Disk::open(folder.map(Path::to_owned), &tasks).await.expect("it opens");
        records.sort_by_key(|record| record.key);
        (Self { disk, tasks }, records)
    }

    async fn close(self) {
        self.tasks.stop().cancel();
        self.tasks.ended().await;
    }
}

#[tokio::test]
async fn what_is_saved_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (running, records) = Running::open(Some(folder.path())).await;
    assert!(records.is_empty());
    save(&running.disk, 1, block(1)).await.unwrap();
    save(&running.disk, 2, vec![7; 1173].into()).await.unwrap();
    save(&running.disk, 3, block(3)).await.unwrap();
    running.disk.note(Record { pinned: true, wanted: Date(5000), ..record(1, SIZE) });
    running.disk.delete(Key([3; 32]));
    assert_eq!(load(&running.disk, 1).await.unwrap(), block(1));
    assert_eq!(load(&running.disk, 3).await, Err(DiskError::Damaged));
    running.close().await;

    let (running, records) = Running::open(Some(folder.path())).await;
    let pinned = Record { pinned: true, wanted: Date(5000), ..record(1, SIZE) };
    assert_eq!(records, [pinned, record(2, 1173)]);
    assert_eq!(load(&running.disk, 1).await.unwrap(), block(1));
    assert_eq!(load(&running.disk, 2).await.unwrap(), vec![7; 1173]);
    assert!(running.disk.holds(&Key([2; 32])) && !running.disk.holds(&Key([3; 32])));
    running.close().await;
    for name in ["index.redb", "blocks"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_copy_of_the_files_at_that_moment() {
    // A copy of the files while the store is open is what a machine finds that lost its power.
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::open(Some(folder.path())).await;
    for number in 0..20 {
        save(&running.disk, number, block(number)).await.unwrap();
        if number % 3 == 2 {
            running.disk.delete(Key([number - 1; 32]));
        }
    }
    let after = tempfile::tempdir().unwrap();
    for name in ["index.redb", "blocks"] {
        std::fs::copy(folder.path().join(name), after.path().join(name)).unwrap();
    }
    let (crashed, records) = Running::open(Some(after.path())).await;
    assert!(records.len() >= 14);
    for number in (0..20).filter(|number| number % 3 != 1) {
        assert_eq!(load(&crashed.disk, number).await.unwrap(), block(number));
    }
    crashed.close().await;
    running.close().await;
}

#[tokio::test]
async fn a_flipped_bit_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::open(Some(folder.path())).await;
    save(&running.disk, 1, block(1)).await.unwrap();
    running.close().await;
    let path = folder.path().join("blocks");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let (running, records) = Running::open(Some(folder.path())).await;
    assert_eq!(records.len(), 1);
    assert_eq!(load(&running.disk, 1).await, Err(DiskError::Damaged));
    running.close().await;
}

#[tokio::test]
async fn damaged_files_are_set_aside_and_files_in_use_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.redb"), vec![0x55; 20_000]).unwrap();
    let (running, records) = Running::open(Some(folder.path())).await;
    assert!(records.is_empty() && folder.path().join("index.redb.damaged").exists());
    let tasks = Tasks::new(CancellationToken::new());
    let second = Disk::open(Some(folder.path().to_owned()), &tasks).await;
    assert!(matches!(second.err(), Some(OpenError::InUse)));
    save(&running.disk, 1, block(1)).await.unwrap();
    running.close().await;
}

#[tokio::test]
async fn files_do_not_grow_when_blocks_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::open(Some(folder.path())).await;
    for number in 0..200u8 {
        save(&running.disk, number, block(number)).await.unwrap();
        if number >= 10 {
            running.disk.delete(Key([number - 10; 32]));
        }
    }
    running.close().await;
    let length = |name| std::fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(length("blocks") <= 13 * SIZE as u64, "{}", length("blocks"));
    assert!(length("index.redb") <= 2 << 20, "{}", length("index.redb"));
}

#[test]
fn a_full_disk_fails_the_block_and_goes_on() {
    let mut table = Table::open_with(None, Arc::default(), 2 * SIZE).unwrap().table;
    let outcomes: Arc<Mutex<Vec<bool>>> = Arc::default();
    let save = |number: u8| {
        let outcomes = Arc::clone(&outcomes);
        let answer = Answer::new(move |outcome| outcomes.lock().unwrap().push(outcome.is_ok()));
        Operation::Save { record: record(number, SIZE), bytes: block(number), answer }
    };
    table.run(vec![save(1), save(2)], false).unwrap();
    table.run(vec![save(3)], false).unwrap();
    table.run(vec![Operation::Delete(Key([1; 32])), save(4)], false).unwrap();
    table.run(vec![save(5)], false).unwrap();
    assert_eq!(*outcomes.lock().unwrap(), [true, true, false, false, true]);
}
