//! What content costs: to write, to read, to repair; and what a signed block costs.

use std::collections::BTreeMap;

use allium_content::block::{Block, ContentBlock, Key};
use allium_content::signed::{SignedBlock, Slot, Target};
use allium_content::tree::{ReadOptions, Reader, Role, WriteOptions, Writer};
use allium_content::{Chk, OwnerKey};
use divan::Bencher;
use divan::counter::BytesCount;

/// Bytes of content: eight segments.
const LENGTH: usize = 32 << 20;

fn main() {
    divan::main();
}

fn content() -> Vec<u8> {
    let mut out = vec![0; LENGTH];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

/// Writes all of it and hands over each block.
fn put(content: &[u8], mut store: impl FnMut(ContentBlock, Role)) -> Option<Chk> {
    let mut writer = Writer::new(WriteOptions::default());
    let mut rest = content;
    loop {
        let taken = writer.push(rest).ok()?;
        rest = rest.get(taken..)?;
        if rest.is_empty() {
            writer.finish();
        }
        while let Some(piece) = writer.poll().ok()? {
            store(piece.block, piece.role);
        }
        if let Some(chk) = writer.chk() {
            return Some(chk.clone());
        }
    }
}

/// Encrypted, hashed, check blocks made.
#[divan::bench(sample_count = 20)]
fn write(bencher: Bencher<'_, '_>) {
    let content = content();
    bencher.counter(BytesCount::new(LENGTH)).bench_local(|| put(&content, |_, _| ()));
}

fn read_all(chk: &Chk, store: &BTreeMap<Key, ContentBlock>) -> usize {
    let mut reader = Reader::new(chk.clone(), ReadOptions::default());
    let mut read = 0;
    while !reader.is_done() && reader.failure().is_none() {
        while let Some(want) = reader.want() {
            match store.get(&want.key) {
                // As it would come from a node: bytes whose hash is to be checked.
                Some(block) => {
                    let _ = Block::decode(block.bytes().clone()).map(|block| match block {
                        Block::Content(block) => reader.block(&block).unwrap_or_default(),
                        Block::Signed(_) => false,
                    });
                }
                None => reader.missing(want.key),
            }
        }
        while let Ok(Some(bytes)) = reader.read() {
            read += bytes.len();
        }
        while reader.healed().is_some() {}
    }
    read
}

/// Reads content of which so many of ten data blocks are lost.
#[divan::bench(sample_count = 20, args = [0, 1, 3])]
fn read(bencher: Bencher<'_, '_>, lost: usize) {
    let mut store = BTreeMap::new();
    let mut number = 0;
    let chk = put(&content(), |block, role| {
        number += 1;
        if role != Role::Data || number % 10 >= lost {
            store.insert(block.key(), block);
        }
    });
    let Some(chk) = chk else { return };
    bencher.counter(BytesCount::new(LENGTH)).bench_local(|| assert_eq!(read_all(&chk, &store), LENGTH));
}

/// A node checks a content block that it is to store.
#[divan::bench]
fn decode_content(bencher: Bencher<'_, '_>) {
    let mut blocks = Vec::new();
    put(&[7; 100], |block, _| blocks.push(block.bytes().clone()));
    let Some(bytes) = blocks.pop() else { return };
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| Block::decode(bytes.clone()));
}

/// A node checks a signed block that it is to store.
#[divan::bench]
fn decode_signed(bencher: Bencher<'_, '_>) {
    let target = Target::Inline { media: None, data: bytes::Bytes::from_static(b"hello") };
    let Ok(block) = SignedBlock::seal(&OwnerKey::from_word("word"), Slot::Document("word"), 0, &target)
    else {
        return;
    };
    bencher.bench_local(|| Block::decode(block.bytes().clone()));
}
