//! Writers and readers with a store between them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::*;
use crate::block::{ContentBlock, Key, SIZE};
use crate::keys::{Chk, Secrecy};

/// What nodes hold: blocks with their roles and numbers in the order in which they were written.
pub(super) type Store = BTreeMap<Key, (ContentBlock, Role, usize)>;

/// Bytes that don't repeat.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(b"pattern").finalize_xof().fill(&mut out);
    out
}

/// Writes content and stores it.
pub(super) fn put(content: &[u8], options: WriteOptions) -> (Chk, Store) {
    let mut writer = Writer::new(options);
    let mut store = Store::new();
    let mut rest = content;
    loop {
        let taken = writer.push(&rest[..rest.len().min(100_000)]).unwrap();
        rest = &rest[taken..];
        if rest.is_empty() {
            writer.finish();
        }
        while let Some(piece) = writer.poll().unwrap() {
            let number = store.len();
            store.entry(piece.block.key()).or_insert((piece.block, piece.role, number));
        }
        if let Some(chk) = writer.chk() {
            assert_eq!(writer.length(), content.len() as u64);
            return (chk.clone(), store);
        }
    }
}

/// Segments of 16 data and 8 check blocks.
pub(super) fn small() -> WriteOptions {
    WriteOptions { params: Params::new(16, 8).unwrap(), ..WriteOptions::default() }
}

/// What a reader got.
#[derive(Default)]
pub(super) struct Got {
    pub(super) content: Vec<u8>,
    /// Roles of the blocks it asked for, in order.
    pub(super) asked: Vec<Role>,
    pub(super) healed: Vec<Key>,
    pub(super) error: Option<Error>,
    /// Blocks that were asked for and not answered.
    pub(super) under_way: Vec<Key>,
}

/// Reads with so many blocks under way, of which the first or the last is answered first.
pub(super) fn drive(reader: &mut Reader, store: &Store, most: usize, last_first: bool) -> Got {
    let mut got = Got::default();
    let mut under_way = Vec::new();
    let mut idle = 0;
    loop {
        while under_way.len() < most {
            let Some(want) = reader.want() else { break };
            got.asked.push(want.role);
            under_way.push(want.key);
        }
        assert_eq!(under_way.len(), reader.under_way());
        idle = if under_way.is_empty() { idle + 1 } else { 0 };
        assert!(idle < 3, "it waits for nothing");
        if !under_way.is_empty() {
            let key = under_way.remove(if last_first { under_way.len() - 1 } else { 0 });
            match store.get(&key) {
                Some((block, ..)) => {
                    if let Err(error) = reader.block(block) {
                        assert_eq!(reader.failure(), Some(error));
                    }
                }
                None => reader.missing(key),
            }
        }
        loop {
            match reader.read() {
                Ok(Some(bytes)) => got.content.extend_from_slice(&bytes),
                Ok(None) => break,
                Err(error) => {
                    got.error = Some(error);
                    break;
                }
            }
        }
        got.healed.extend(std::iter::from_fn(|| reader.healed()).map(|block| block.key()));
        if got.error.is_some() || reader.is_done() && under_way.is_empty() {
            got.under_way = under_way;
            return got;
        }
    }
}

pub(super) fn get(chk: &Chk, store: &Store, most: usize, last_first: bool) -> Got {
    drive(&mut Reader::new(chk.clone(), ReadOptions::default()), store, most, last_first)
}

/// Removes some blocks, by their roles and numbers in the order of writing, and says which.
pub(super) fn lose(store: &mut Store, mut which: impl FnMut(Role, usize) -> bool) -> Vec<Key> {
    let mut all: Vec<_> = store.iter().map(|(key, (_, role, number))| (*number, *role, *key)).collect();
    all.sort_unstable();
    all.retain(|(number, role, _)| which(*role, *number));
    for (.., key) in &all {
        store.remove(key);
    }
    all.into_iter().map(|(.., key)| key).collect()
}

/// Lengths where something changes.
const LENGTHS: &[usize] = &[
    0,
    1,
    1000,
    SIZE - 48,
    SIZE - 47,
    SIZE,
    SIZE + 1,
    16 * SIZE - 1,
    16 * SIZE,
    16 * SIZE + 1,
    33 * SIZE + 17,
    40 * 16 * SIZE,
    42 * 16 * SIZE + 5,
];

#[test]
fn what_is_written_reads_the_same_at_every_length() {
    let content = pattern(*LENGTHS.last().unwrap());
    for length in LENGTHS {
        let (chk, store) = put(&content[..*length], small());
        let blocks = block_count(*length as u64, 0, small().params);
        assert_eq!(store.len() as u64, blocks, "{length}");
        for (most, last_first) in [(1, false), (10, false), (1000, true)] {
            let got = get(&chk, &store, most, last_first);
            assert_eq!((got.error, got.content.len()), (None, *length));
            assert!(got.content == content[..*length], "{length}");
            assert!(!got.asked.contains(&Role::Check), "check blocks are not needed");
            assert!(got.healed.is_empty());
        }
    }
}

#[test]
fn the_same_bytes_are_the_same_key_for_everybody_unless_private() {
    let content = pattern(100_000);
    let private =
        |secret| WriteOptions { secrecy: Secrecy::Private([secret; 32].into()), ..WriteOptions::default() };
    let usual = put(&content, WriteOptions::default());
    assert_eq!(put(&content, WriteOptions::default()).0, usual.0);
    let secret = put(&content, private(1));
    assert_eq!(put(&content, private(1)).0, secret.0, "an interrupted put goes on");
    for other in [&secret, &put(&content, private(2))] {
        assert!(other.1.keys().all(|key| !usual.1.contains_key(key)));
        assert!(get(&other.0, &other.1, 5, false).content == content);
    }
    assert!(put(&content, private(2)).1.keys().all(|key| !secret.1.contains_key(key)));
    // A type that says nothing is none.
    let unknown =
        WriteOptions { media: Some("application/octet-stream".parse().unwrap()), ..WriteOptions::default() };
    assert_eq!(put(&content, unknown).0, usual.0);
    let typed =
        put(&content, WriteOptions { media: Some("text/html".parse().unwrap()), ..WriteOptions::default() });
    assert_ne!(typed.0, usual.0);
    assert_eq!(
        typed.1.keys().filter(|key| usual.1.contains_key(key)).count(),
        usual.1.len() - 1,
        "only the root differs"
    );
}

#[test]
fn blocks_hide_what_they_hold() {
    let content = vec![0; 40 * SIZE];
    let (_, store) = put(&content, small());
    for (block, ..) in store.values() {
        let ones: u32 = block.bytes().iter().map(|byte| byte.count_ones()).sum();
        let half = SIZE as u32 * 4;
        assert!(ones.abs_diff(half) < half / 50, "{ones}");
    }
}

#[test]
fn every_range_reads_and_takes_few_blocks() {
    let content = pattern(41 * 16 * SIZE + 999);
    let (chk, store) = put(&content, small());
    let length = content.len() as u64;
    let segment = 16 * SIZE as u64;
    for (range, most) in [
        (0..1, 3),
        (length - 1..length, 5),
        (segment - 1..segment + 1, 5),
        (SIZE as u64..2 * SIZE as u64, 3),
        (20 * segment + 5..23 * segment + 7, 3 * 16 + 6),
        (5..5, 1),
    ] {
        let mut reader = Reader::new(chk.clone(), ReadOptions::default());
        reader.select(range.clone());
        let got = drive(&mut reader, &store, 8, false);
        assert!(got.content == content[range.start as usize..range.end as usize], "{range:?}");
        assert!(got.asked.len() <= most, "{range:?}: {} blocks", got.asked.len());
    }
    let mut reader = Reader::new(chk.clone(), ReadOptions::default());
    for range in
        [100..200u64, 0..50, length - 10..length + 1000, length + 5..length + 9, 7 * segment..7 * segment + 1]
    {
        reader.select(range.clone());
        let cut = range.start.min(length) as usize..range.end.min(length) as usize;
        assert!(drive(&mut reader, &store, 3, false).content == content[cut]);
    }
}

#[test]
fn content_comes_before_its_segment_is_whole() {
    let content = pattern(16 * SIZE);
    let (chk, store) = put(&content, small());
    let mut reader = Reader::new(chk, ReadOptions::default());
    for _ in 0..2 {
        let want = reader.want().unwrap();
        assert!(reader.block(&store[&want.key].0).unwrap());
    }
    assert_eq!(reader.read().unwrap().unwrap(), content[..SIZE]);
    assert_eq!((reader.read(), reader.position()), (Ok(None), SIZE as u64));
}

#[test]
fn a_third_of_every_segment_may_be_lost() {
    let content = pattern(41 * 16 * SIZE + 5 * SIZE);
    let (chk, whole) = put(&content, small());
    let mut store = whole.clone();
    let lost = lose(&mut store, |role, number| role != Role::Root && number % 3 == 0);
    for last_first in [false, true] {
        let got = get(&chk, &store, 40, last_first);
        assert_eq!(got.error, None);
        assert!(got.content == content);
        assert!(!got.healed.is_empty() && got.healed.iter().all(|key| lost.contains(key)));
    }
    // As many as can be, and all of them data blocks; then all check blocks.
    for worst in [|number: usize| number % 24 < 8, |number| number % 24 > 15] {
        let mut store = whole.clone();
        lose(&mut store, |_, number| number < 41 * 24 && worst(number));
        assert!(get(&chk, &store, 40, false).content == content);
    }
}

#[test]
fn one_block_more_is_too_much_and_says_so() {
    let content = pattern(16 * SIZE);
    let (chk, whole) = put(&content, small());
    for lost in [8, 9] {
        let mut store = whole.clone();
        lose(&mut store, |role, number| role == Role::Data && number < lost);
        let mut reader = Reader::new(chk.clone(), ReadOptions::default());
        let got = drive(&mut reader, &store, 4, false);
        if lost == 8 {
            assert!(got.content == content);
            assert_eq!(got.healed.len(), 8);
            continue;
        }
        assert_eq!(got.error, Some(Error::Lost { have: 15, need: 16 }));
        assert!(content.starts_with(&got.content));
        // It comes back.
        got.under_way.into_iter().for_each(|key| reader.missing(key));
        reader.retry();
        let rest = drive(&mut reader, &whole, 4, false);
        assert!([got.content, rest.content].concat() == content);
    }
}

#[test]
fn what_is_before_a_lost_segment_can_still_be_read() {
    let content = pattern(32 * SIZE);
    let (chk, mut store) = put(&content, small());
    let mut reader = Reader::new(chk.clone(), ReadOptions::default());
    reader.select(16 * SIZE as u64..32 * SIZE as u64);
    let mut second = Vec::new();
    while let Some(want) = reader.want() {
        if want.role != Role::Data {
            reader.block(&store[&want.key].0).unwrap();
            continue;
        }
        second.push(want.key);
    }
    for key in &second[..9] {
        store.remove(key);
    }
    let got = get(&chk, &store, 30, false);
    assert_eq!(got.error, Some(Error::Lost { have: 15, need: 16 }));
    assert!(got.content.len() >= 16 * SIZE && content.starts_with(&got.content));
}

#[test]
fn a_lost_root_is_a_lost_root() {
    let (chk, mut store) = put(&pattern(100_000), small());
    let root = lose(&mut store, |role, _| role == Role::Root);
    assert_eq!(root, [chk.routing]);
    let got = get(&chk, &store, 4, false);
    assert_eq!((got.error, got.asked.as_slice()), (Some(Error::RootLost), &[Role::Root][..]));
}

#[test]
fn late_blocks_are_replaced_and_still_used_if_they_come() {
    let content = pattern(16 * SIZE);
    let (chk, store) = put(&content, small());
    let mut reader = Reader::new(chk, ReadOptions::default());
    let root = reader.want().unwrap();
    reader.block(&store[&root.key].0).unwrap();
    let asked: Vec<_> = std::iter::from_fn(|| reader.want()).collect();
    assert_eq!(asked.len(), 16);
    reader.late(asked[3].key);
    reader.late(asked[4].key);
    let more: Vec<_> = std::iter::from_fn(|| reader.want()).collect();
    assert_eq!(more.iter().map(|want| want.role).collect::<Vec<_>>(), [Role::Check; 2]);
    reader.block(&store[&asked[3].key].0).unwrap();
    for want in asked[..3].iter().chain(&asked[5..]).chain(&more[..1]) {
        assert!(reader.block(&store[&want.key].0).unwrap());
    }
    let mut got = Vec::new();
    while let Some(bytes) = reader.read().unwrap() {
        got.extend_from_slice(&bytes);
    }
    assert!(got == content && reader.is_done());
    assert_eq!(reader.healed(), None, "late is not missing");
    assert_eq!(reader.block(&store[&asked[4].key].0), Ok(true));
}

#[test]
fn one_late_block_of_a_short_range_does_not_fetch_a_segment() {
    let (chk, store) =
        put(&pattern(16 * SIZE), WriteOptions { params: Params::new(64, 8).unwrap(), ..small() });
    let mut reader = Reader::new(chk, ReadOptions::default());
    reader.select(0..10);
    let root = reader.want().unwrap();
    reader.block(&store[&root.key].0).unwrap();
    let first = reader.want().unwrap();
    reader.late(first.key);
    assert_eq!(reader.want(), None);
    reader.missing(first.key);
    assert!(reader.want().is_some());
}

#[test]
fn who_is_thorough_finds_and_heals_every_missing_block() {
    let content = pattern(42 * 16 * SIZE + 5 * SIZE);
    let (chk, whole) = put(&content, small());
    let mut store = whole.clone();
    let mut lost = lose(&mut store, |role, number| role != Role::Root && number % 5 == 0);
    lost.sort();
    let options = ReadOptions { thorough: true, ..ReadOptions::default() };
    for last_first in [false, true] {
        let mut reader = Reader::new(chk.clone(), options);
        let got = drive(&mut reader, &store, 50, last_first);
        assert_eq!(got.error, None);
        assert!(got.content == content);
        assert_eq!(got.asked.len(), whole.len(), "each block is asked for once");
        let mut healed = got.healed;
        healed.sort();
        assert_eq!(healed, lost);
    }
    let (chk, store) = put(b"small", small());
    let got = drive(&mut Reader::new(chk, options), &store, 9, false);
    assert_eq!((&got.content[..], got.asked.len()), (&b"small"[..], 1));
}

#[test]
fn content_that_repeats_is_stored_once() {
    let content = vec![7; 64 * SIZE];
    let (chk, mut store) = put(&content, small());
    assert_eq!(store.len(), 1 + 24);
    assert!(get(&chk, &store, 30, false).content == content);
    lose(&mut store, |role, number| role == Role::Data && number % 3 == 0);
    let got = get(&chk, &store, 30, true);
    assert!(got.content == content && got.error.is_none());
}

#[test]
fn memory_stays_within_segments() {
    let content = pattern(60 * 16 * SIZE);
    let (chk, store) = put(&content, small());
    let mut reader = Reader::new(chk, ReadOptions::default());
    let mut waiting = Vec::new();
    // Nobody reads: the reader stops asking.
    while let Some(want) = reader.want() {
        if want.role == Role::Data {
            waiting.push(want.key);
        } else {
            reader.block(&store[&want.key].0).unwrap();
        }
    }
    assert_eq!(waiting.len(), 32);
    for key in waiting {
        reader.block(&store[&key].0).unwrap();
    }
    assert_eq!(reader.want(), None);
    let mut writer = Writer::new(small());
    assert_eq!(writer.push(&content).unwrap(), 16 * SIZE, "no more before its blocks are polled");
    assert_eq!(writer.push(&content).unwrap(), 0);
}

#[test]
fn too_long_content_is_refused_at_once() {
    let (chk, store) = put(&pattern(100_000), small());
    let options = ReadOptions { max_length: 99_999, ..ReadOptions::default() };
    let got = drive(&mut Reader::new(chk, options), &store, 9, false);
    assert_eq!((got.error, got.content.len(), got.asked.len()), (Some(Error::TooLong(99_999)), 0, 1));
}

#[test]
fn blocks_that_nobody_asked_for_change_nothing() {
    let (chk, store) = put(&pattern(100_000), small());
    let mut reader = Reader::new(chk, ReadOptions::default());
    for (block, ..) in store.values() {
        assert_eq!(reader.block(block), Ok(false));
        reader.missing(block.key());
        reader.late(block.key());
    }
    assert_eq!(reader.failure(), None);
    assert_eq!(reader.want().map(|want| want.role), Some(Role::Root));
    assert_eq!(reader.want(), None, "each is asked for once");
}

fn ranges() -> impl proptest::strategy::Strategy<Value = Range<u64>> {
    use proptest::prelude::*;
    (0u64..3_000_000, 0u64..2_000_000).prop_map(|(start, length)| start..start + length)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    #[test]
    fn any_range_with_any_loss_reads_or_says_what_is_lost(
        range in ranges(), seed: u8, loss in 0u64..45, most in 1usize..60, last_first: bool, thorough: bool,
    ) {
        let content = pattern(2_500_000);
        let (chk, mut store) = put(&content, small());
        let mut rng = allium_crypto::Rng::from_seed([seed; 32]);
        let lost = lose(&mut store, |role, _| role != Role::Root && rng.below(100) < loss);
        let mut reader = Reader::new(chk, ReadOptions { thorough, ..ReadOptions::default() });
        reader.select(range.clone());
        let got = drive(&mut reader, &store, most, last_first);
        let end = range.end.min(content.len() as u64) as usize;
        let expected = &content[(range.start as usize).min(end)..end];
        proptest::prop_assert!(expected.starts_with(&got.content));
        proptest::prop_assert!(got.healed.iter().all(|key| lost.contains(key)));
        match got.error {
            None => proptest::prop_assert_eq!(got.content.len(), expected.len()),
            Some(error) => proptest::prop_assert!(matches!(error, Error::Lost { .. }), "{error}"),
        }
    }
}
