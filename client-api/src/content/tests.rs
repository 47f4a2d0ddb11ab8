use std::sync::Arc;

use allium_content::signed::{SignedBlock, Slot, Target};
use allium_content::uri::{Edition, Insert, Uri};
use allium_content::{Key, Name, OwnerKey, Path};
use allium_crypto::Rng;
use bytes::Bytes;
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::testing::Memory;
use super::*;

struct Service {
    memory: Arc<Memory>,
    content: Content,
    stop: CancellationToken,
}

fn service_over(memory: Arc<Memory>, state: Option<PathBuf>) -> Service {
    let stop = CancellationToken::new();
    let blocks: Arc<dyn Blocks> = Arc::clone(&memory) as _;
    let content = Content::start(blocks, state, Rng::from_seed([7; 32]), stop.clone());
    Service { memory, content, stop }
}

fn service() -> Service {
    service_over(Arc::default(), None)
}

fn pattern(length: usize) -> Bytes {
    let mut bytes = vec![0; length];
    Rng::from_seed([length as u8; 32]).fill(&mut bytes);
    bytes.into()
}

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn data(bytes: &Bytes) -> Part {
    Part::Data(Source::Bytes(bytes.clone()))
}

impl Service {
    async fn put(&self, bytes: &Bytes, to: Insert) -> Result<Published, Error> {
        let upload = Upload::File(Source::Bytes(bytes.clone()));
        self.content.put(upload, PutOptions { to, ..PutOptions::default() }).end().await
    }

    async fn folder(&self, entries: Vec<(&str, Part)>, default: Option<&str>) -> Result<Published, Error> {
        let entries = entries.into_iter().map(|(at, part)| (path(at), None, part)).collect();
        let upload = Upload::Folder { entries, default: default.map(path) };
        self.content.put(upload, PutOptions::default()).end().await
    }

    async fn file(&self, uri: &Uri) -> Result<File, Error> {
        let options = OpenOptions { default_document: true, ..OpenOptions::default() };
        match self.content.open(uri.clone(), options).end().await? {
            Opened::File(file) => Ok(file),
            Opened::Folder(_) => Err(Error::WrongKind("a folder".to_owned())),
        }
    }

    async fn read(&self, file: &File, range: Range<u64>) -> Result<Vec<u8>, Error> {
        let mut reading = self.content.read(file, range);
        let mut out = Vec::new();
        while let Some(piece) = reading.next().await {
            out.extend_from_slice(&piece?);
        }
        Ok(out)
    }

    async fn get(&self, uri: &Uri) -> Result<Vec<u8>, Error> {
        let file = self.file(uri).await?;
        self.read(&file, 0..u64::MAX).await
    }

    async fn idle(&self) {
        while self.content.status().await.jobs > 0 || self.memory.state().under_way > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn every_kind_of_key_leads_to_what_was_published() {
    let it = service();
    let owner = it.content.new_owner();
    for length in [0, 10, 900, 40_000, 5_000_000] {
        let bytes = pattern(length);
        let names = [
            Insert::Chk { path: path("a.txt") },
            Insert::Ssk { owner: owner.clone(), name: name(&format!("doc{length}.txt")) },
            Insert::Usk { owner: owner.clone(), name: name("site.txt"), edition: Edition::Newest(0) },
            Insert::Ksk { word: name(&format!("word{length}.txt")) },
        ];
        for to in names {
            let published = it.put(&bytes, to).await.unwrap();
            assert_eq!(published.length, length as u64);
            let file = it.file(&published.uri).await.unwrap();
            assert_eq!(file.media.as_ref().unwrap().essence(), "text/plain");
            assert_eq!(file.hash, Some(*blake3::hash(&bytes).as_bytes()));
            assert_eq!(it.read(&file, 0..u64::MAX).await.unwrap(), bytes, "{length}");
            let (from, to) = (length as u64 / 3, length as u64 / 2);
            assert_eq!(it.read(&file, from..to).await.unwrap(), bytes[from as usize..to as usize]);
        }
    }
    it.idle().await;
}

#[tokio::test]
async fn only_the_key_stores_nothing_and_private_keys_are_fresh() {
    let it = service();
    let put = async |private, only_key| {
        let options = PutOptions { private, only_key, ..PutOptions::default() };
        let upload = Upload::File(Source::Bytes(pattern(100_000)));
        it.content.put(upload, options).end().await.unwrap()
    };
    let key = put(false, true).await;
    assert!(it.memory.state().blocks.is_empty());
    assert_eq!(put(false, false).await.uri, key.uri);
    assert_eq!(it.memory.state().blocks.len() as u64, key.blocks);
    let (one, two) = (put(true, false).await.uri, put(true, false).await.uri);
    assert!(one != two && one != key.uri);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let it = service();
    let to = || Insert::Ssk { owner: OwnerKey::from_word("owner"), name: name("doc") };
    it.put(&pattern(9), to()).await.unwrap();
    it.put(&pattern(9), to()).await.unwrap();
    assert!(matches!(it.put(&pattern(8), to()).await, Err(Error::Collision)));
    let edition = |edition| Insert::Usk { owner: OwnerKey::from_word("owner"), name: name("site"), edition };
    it.put(&pattern(9), edition(Edition::Known(4))).await.unwrap();
    let other = it.put(&pattern(8), edition(Edition::Known(4))).await;
    assert!(matches!(other, Err(Error::Collision)));
}

#[tokio::test]
async fn a_newer_edition_is_found_by_who_has_an_older_one() {
    let it = service();
    let owner = it.content.new_owner();
    let to = || Insert::Usk { owner: owner.clone(), name: name("site"), edition: Edition::Newest(0) };
    let first = it.put(&pattern(10), to()).await.unwrap().uri;
    let mut watch = it.content.watch_editions(owner.reader(), name("site"), 0);
    watch.wait_for(|edition| *edition == Some(0)).await.unwrap();
    let second = it.put(&pattern(50_000), to()).await.unwrap().uri;
    watch.wait_for(|edition| *edition == Some(1)).await.unwrap();
    assert_eq!(it.get(&first).await.unwrap(), pattern(10));
    // With the hint, and without.
    for _ in 0..2 {
        let newest = OpenOptions { newest: true, ..OpenOptions::default() };
        let Opened::File(file) = it.content.open(first.clone(), newest).end().await.unwrap() else {
            panic!("no file")
        };
        assert_eq!(file.uri, second);
        assert_eq!(it.read(&file, 0..u64::MAX).await.unwrap(), pattern(50_000));
        let hint = owner.reader().locate(Slot::Newest("site"));
        it.memory.state().blocks.remove(&hint);
    }
    let found = it.content.newest(owner.reader(), name("site"), 0).end().await.unwrap();
    assert_eq!(found, Some(1));
    assert_eq!(it.content.newest(owner.reader(), name("none"), 0).end().await.unwrap(), None);
    drop(watch);
    it.idle().await;
}

#[tokio::test]
async fn folders_come_back_as_they_were() {
    let it = service();
    let (small, large) = (pattern(1000), pattern(200_000));
    let inner = it.folder(vec![("deep.txt", data(&small))], None).await.unwrap();
    let target = it.put(&small, Insert::Ksk { word: name("linked") }).await.unwrap().uri;
    let entries = vec![
        ("index.html", data(&small)),
        ("empty", data(&Bytes::new())),
        ("img/large.png", data(&large)),
        ("img/index.html", data(&small)),
        ("nested", Part::Stored { chk: inner.chk.unwrap(), length: 0 }),
        ("link", Part::Link(target)),
    ];
    let site = it.folder(entries, Some("index.html")).await.unwrap();
    assert_eq!(site.length, 2 * 1000 + 200_000);
    for (at, bytes, media) in [
        ("", &small, "text/html"),
        ("img", &small, "text/html"),
        ("img/large.png", &large, "image/png"),
        ("nested/deep.txt", &small, "text/plain"),
    ] {
        let file = it.file(&site.uri.clone().with_path(path(at))).await.unwrap();
        assert_eq!(file.media.as_ref().unwrap().essence(), media);
        assert_eq!(it.read(&file, 0..u64::MAX).await.unwrap(), bytes[..], "{at}");
    }
    assert_eq!(it.get(&site.uri.clone().with_path(path("link"))).await.unwrap(), small);
    assert_eq!(it.get(&site.uri.clone().with_path(path("empty"))).await.unwrap(), b"");
    for missing in ["no", "img/no", "index.html/no", "nested/no"] {
        let found = it.file(&site.uri.clone().with_path(path(missing))).await;
        assert!(matches!(found, Err(Error::NoSuchPath(_))), "{missing}");
    }
    let opened = it.content.open(site.uri.clone(), OpenOptions::default()).end().await.unwrap();
    let Opened::Folder(folder) = opened else { panic!("no folder") };
    let listed = it.content.list(&folder).end().await.unwrap();
    let paths: Vec<_> = listed.iter().map(|listed| listed.path.as_str()).collect();
    let expected = ["empty", "img/index.html", "img/large.png", "index.html", "link", "nested/deep.txt"];
    assert_eq!(paths, expected);
    for listed in listed {
        let ListedBody::File(file) = listed.file else { continue };
        assert_eq!(it.read(&file, 0..u64::MAX).await.unwrap().len() as u64, file.length);
    }
}

#[tokio::test]
async fn what_is_no_folder_is_refused_by_its_path() {
    let it = service();
    let one = pattern(1);
    for (entries, default, said) in [
        (vec![("a", data(&one)), ("a", data(&one))], None, "a: "),
        (vec![("a", data(&one)), ("a/b", data(&one))], None, "a: "),
        (vec![("a", data(&one))], Some("b"), "b: "),
    ] {
        let Err(Error::Unpublishable(why)) = it.folder(entries, default).await else { panic!("{said}") };
        assert!(why.starts_with(said), "{why}");
    }
    assert!(it.memory.state().blocks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn lost_blocks_are_rebuilt_until_too_many_are() {
    let it = service();
    let bytes = pattern(5_000_000);
    let uri = it.put(&bytes, Insert::Chk { path: Path::default() }).await.unwrap().uri;
    let Uri::Chk { chk, .. } = &uri else { panic!("no CHK") };
    let file = it.file(&uri).await.unwrap();
    // Of 128 + 64 blocks and of 25 + 13, as many as there are check blocks in the smaller one may be lost.
    let keys: Vec<Key> =
        it.memory.state().blocks.keys().filter(|key| **key != chk.routing).copied().collect();
    keys.iter().take(13).for_each(|key| drop(it.memory.state().blocks.remove(key)));
    let before = it.memory.state().blocks.len();
    assert_eq!(it.read(&file, 0..u64::MAX).await.unwrap(), bytes);
    assert_eq!(it.read(&file, 3_000_000..3_000_100).await.unwrap(), bytes[3_000_000..3_000_100]);
    it.idle().await;
    assert!(it.memory.state().blocks.len() >= before);
    let healed = it.content.heal(uri.clone()).end().await.unwrap();
    assert_eq!(healed.missing, healed.restored);
    assert_eq!(it.memory.state().blocks.len(), keys.len() + 1);
    assert_eq!(healed.blocks as usize, keys.len() + 1);
    keys.iter().take(160).for_each(|key| drop(it.memory.state().blocks.remove(key)));
    assert!(matches!(it.read(&file, 0..u64::MAX).await, Err(Error::NotFound(_))));
    // Another node, which remembers nothing.
    let it = service_over(Arc::clone(&it.memory), None);
    it.memory.state().blocks.clear();
    assert!(matches!(it.file(&uri).await, Err(Error::NotFound(_))));
    it.memory.state().down = true;
    assert!(matches!(it.file(&uri).await, Err(Error::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_ends_within_a_minute() {
    let it = service();
    let uri = it.put(&pattern(10), Insert::Ksk { word: name("w") }).await.unwrap().uri;
    let keys: Vec<_> = it.memory.state().blocks.keys().copied().collect();
    it.memory.state().stuck.extend(keys);
    let opened = tokio::time::timeout(std::time::Duration::from_secs(60), it.file(&uri)).await;
    assert!(matches!(opened, Ok(Err(Error::Unavailable(_)))));
}

#[tokio::test(start_paused = true)]
async fn an_edition_that_was_found_does_not_wait_for_nodes_that_say_nothing() {
    let it = service();
    let owner = it.content.new_owner();
    let to = || Insert::Usk { owner: owner.clone(), name: name("site"), edition: Edition::Newest(0) };
    it.put(&pattern(10), to()).await.unwrap();
    // Nobody says whether there is a next edition; and then, nobody says what the hint is.
    let next = owner.reader().locate(Slot::Document("site-1"));
    let hint = owner.reader().locate(Slot::Newest("site"));
    for stuck in [next, hint] {
        it.memory.state().stuck = [stuck].into();
        let began = tokio::time::Instant::now();
        let found = it.content.newest(owner.reader(), name("site"), 0).end().await.unwrap();
        assert_eq!(found, Some(0));
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn puts_are_tried_again_and_cancelled_jobs_leave_nothing() {
    let it = service();
    it.memory.state().refuse = 20;
    let uri = it.put(&pattern(300_000), Insert::Chk { path: Path::default() }).await.unwrap().uri;
    assert_eq!(it.get(&uri).await.unwrap(), pattern(300_000));
    let keys: Vec<_> = it.memory.state().blocks.keys().copied().collect();
    it.memory.state().stuck.extend(keys);
    let it = service_over(Arc::clone(&it.memory), None);
    let job = it.content.open(uri, OpenOptions::default());
    while it.memory.state().under_way == 0 {
        tokio::task::yield_now().await;
    }
    drop(job);
    it.idle().await;
    it.memory.state().down = true;
    let failed = it.put(&pattern(3), Insert::Chk { path: Path::default() }).await;
    assert!(matches!(failed, Err(Error::Unavailable(_))));
    it.stop.cancel();
    let stopped = it.put(&pattern(3), Insert::Chk { path: Path::default() }).await;
    assert!(matches!(stopped, Err(Error::Stopped)));
}

#[tokio::test]
async fn few_blocks_are_under_way_and_slow_readers_stop_the_reading() {
    let it = service();
    let bytes = pattern(30_000_000);
    let uri = it.put(&bytes, Insert::Chk { path: Path::default() }).await.unwrap().uri;
    assert!(it.memory.state().most <= 192);
    let file = it.file(&uri).await.unwrap();
    it.memory.state().gets = 0;
    let mut reading = it.content.read(&file, 0..u64::MAX);
    let mut got = reading.next().await.unwrap().unwrap().len();
    for _ in 0..2000 {
        tokio::task::yield_now().await;
    }
    // Two segments of 128 blocks, the root, entries.
    assert!(it.memory.state().gets <= 2 * 128 + 8 + 16);
    while let Some(piece) = reading.next().await {
        got += piece.unwrap().len();
    }
    assert_eq!(got, bytes.len());
}

#[tokio::test]
async fn pins_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("pins.json");
    let it = service_over(Arc::default(), Some(state.clone()));
    let one = it.put(&pattern(100_000), Insert::Chk { path: Path::default() }).await.unwrap();
    let pinned = it.content.pin(one.uri.clone()).end().await.unwrap();
    assert_eq!((pinned.blocks, pinned.here), (one.blocks, one.blocks));
    let options = PutOptions { pin: true, ..PutOptions::default() };
    let two = it.content.put(Upload::File(Source::Bytes(pattern(9))), options).end().await.unwrap();
    assert_eq!(it.memory.state().pinned.len() as u64, one.blocks + 1);
    it.memory.state().pinned.clear();
    let again = service_over(Arc::clone(&it.memory), Some(state.clone()));
    again.idle().await;
    assert_eq!(it.memory.state().pinned.len() as u64, one.blocks + 1);
    assert_eq!(again.content.status().await.pins.len(), 2);
    assert!(again.content.unpin(&one.uri).await.unwrap());
    assert!(!again.content.unpin(&one.uri).await.unwrap());
    assert_eq!(it.memory.state().pinned.len(), 1);
    assert!(again.content.unpin(&two.uri).await.unwrap());
    std::fs::write(&state, "{").unwrap();
    assert!(service_over(Arc::default(), Some(state.clone())).content.status().await.pins.is_empty());
    assert!(state.with_extension("damaged").exists());
}

#[tokio::test]
async fn redirects_are_followed_and_loops_are_not() {
    let it = service();
    let target = it.put(&pattern(50_000), Insert::Chk { path: Path::default() }).await.unwrap().uri;
    let redirect = async |to: &Uri, word: &str| {
        let options = PutOptions { to: Insert::Ksk { word: name(word) }, ..PutOptions::default() };
        it.content.put(Upload::Redirect(to.clone()), options).end().await
    };
    let one = redirect(&target, "one").await.unwrap().uri;
    let two = redirect(&one, "two").await.unwrap().uri;
    assert_eq!(it.get(&two).await.unwrap(), pattern(50_000));
    let this: Uri = "KSK@loop".parse().unwrap();
    redirect(&this, "loop").await.unwrap();
    assert!(matches!(it.file(&this).await, Err(Error::Invalid(_))));
    let deeper: Uri = "KSK@deeper/a".parse().unwrap();
    redirect(&deeper, "deeper").await.unwrap();
    assert!(matches!(it.file(&deeper).await, Err(Error::Invalid(_))));
    let chk = Upload::Redirect(this);
    let refused = it.content.put(chk, PutOptions::default()).end().await;
    assert!(matches!(refused, Err(Error::Unpublishable(_))));
}

#[tokio::test]
async fn lies_are_the_publishers_fault() {
    let it = service();
    let owner = it.content.new_owner();
    let stored = it.put(&pattern(50_000), Insert::Chk { path: Path::default() }).await.unwrap().chk.unwrap();
    let lie = Part::Stored { chk: stored.clone(), length: 7 };
    let folder = it.folder(vec![("lie", lie)], None).await.unwrap().uri;
    let read = it.get(&folder.with_path(path("lie"))).await;
    assert!(matches!(read, Err(Error::Invalid(_))));
    let limit = OpenOptions { max_length: 49_999, ..OpenOptions::default() };
    let opened = it.content.open(Uri::from(stored.clone()), limit).end().await;
    assert!(matches!(opened, Err(Error::TooLarge { length: 50_000, .. })));
    // A key that says that a file is a folder.
    let folder = Chk { root: allium_content::RootKind::Manifest, ..stored.clone() };
    assert!(matches!(it.file(&folder.into()).await, Err(Error::Invalid(_))));
    // Another owner's document at this owner's place is none.
    let uri = Insert::Ssk { owner: owner.clone(), name: name("doc") }.public().unwrap();
    let other = OwnerKey::from_word("other");
    let block = SignedBlock::seal(&other, Slot::Document("doc"), 0, &Target::Redirect(stored)).unwrap();
    let key = owner.reader().locate(Slot::Document("doc"));
    it.memory.state().blocks.insert(key, block.into());
    assert!(matches!(it.file(&uri).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn folders_nest_as_deep_as_is_allowed() {
    let it = service();
    let mut inner = Part::Data(Source::Bytes(pattern(5)));
    let mut folders = Vec::new();
    for _ in 0..11 {
        let folder = it.folder(vec![("a", inner)], None).await.unwrap();
        let chk = folder.chk.unwrap();
        inner = Part::Stored { chk: chk.clone(), length: 0 };
        folders.push(chk);
    }
    for (depth, chk) in folders.into_iter().enumerate() {
        let uri = Uri::from(chk);
        let opened = it.content.open(uri.clone(), OpenOptions::default()).end().await.unwrap();
        let Opened::Folder(folder) = opened else { panic!("no folder") };
        let listed = it.content.list(&folder).end().await;
        let file = it.file(&uri.with_path(path(&vec!["a"; depth + 1].join("/")))).await;
        if depth <= allium_content::manifest::MAX_DEPTH {
            assert_eq!((listed.unwrap().len(), file.unwrap().length), (1, 5));
        } else {
            assert!(matches!((listed, file), (Err(Error::Invalid(_)), Err(Error::Invalid(_)))), "{depth}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn blocks_that_take_long_are_replaced() {
    let it = service();
    let bytes = pattern(2_000_000);
    let uri = it.put(&bytes, Insert::Chk { path: Path::default() }).await.unwrap().uri;
    let Uri::Chk { chk, .. } = &uri else { panic!("no CHK") };
    let file = it.file(&uri).await.unwrap();
    let stuck: Vec<Key> =
        it.memory.state().blocks.keys().filter(|key| **key != chk.routing).take(5).copied().collect();
    it.memory.state().stuck.extend(stuck);
    let began = tokio::time::Instant::now();
    assert_eq!(it.read(&file, 0..u64::MAX).await.unwrap(), bytes);
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
    it.idle().await;
}

#[tokio::test]
async fn who_waits_for_editions_hears_of_the_end() {
    let it = service();
    let mut watch = it.content.watch_editions(it.content.new_owner().reader(), name("site"), 0);
    it.stop.cancel();
    assert!(watch.changed().await.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_range_is_read_unless_too_much_is_lost(
        length in 33_000usize..1_500_000, from in 0f64..1.0, until in 0f64..1.0, lost in 0f64..1.0, seed: u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let it = service();
            let bytes = pattern(length);
            let uri = it.put(&bytes, Insert::Chk { path: Path::default() }).await.unwrap().uri;
            let file = it.file(&uri).await.unwrap();
            let Uri::Chk { chk, .. } = &uri else { panic!("no CHK") };
            let mut keys: Vec<Key> = it.memory.state().blocks.keys().copied().collect();
            keys.retain(|key| *key != chk.routing);
            let data = length.div_ceil(32 << 10);
            let check = keys.len() - data;
            let mut rng = Rng::from_seed([seed as u8; 32]);
            let lose = (lost * 1.5 * check as f64) as usize;
            for _ in 0..lose {
                let key = keys.swap_remove(rng.below(keys.len() as u64) as usize);
                it.memory.state().blocks.remove(&key);
            }
            let range = (length as f64 * from.min(until)) as u64..(length as f64 * from.max(until)) as u64;
            let part = it.read(&file, range.clone()).await;
            let all = it.read(&file, 0..u64::MAX).await;
            if lose <= check {
                assert_eq!(part.unwrap(), bytes[range.start as usize..range.end as usize]);
                assert_eq!(all.unwrap(), bytes);
                it.idle().await;
            } else {
                assert!(matches!(all, Err(Error::NotFound(_))));
            }
        });
    }
}
