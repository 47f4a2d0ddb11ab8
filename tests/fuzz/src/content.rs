//! Key-addressed content: texts, blocks and trees of publishers and nodes who may want anything.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use allium_content::block::{Block, ContentBlock, Key, SIZE};
use allium_content::manifest::{Builder, Found, Loading, MAX_ENTRIES, Manifest, Walk};
use allium_content::signed::{SignedBlock, Slot, Target};
use allium_content::tree::{Params, ReadOptions, Reader, WriteOptions, Writer};
use allium_content::uri::{Insert, Uri};
use allium_content::{Chk, CryptoKey, MediaType, OwnerKey, Path, RootKind, SskKey};
use allium_crypto::chacha;
use bytes::Bytes;

use crate::samples::{edited, rng};

static OWNER: LazyLock<OwnerKey> = LazyLock::new(|| OwnerKey::generate(&mut rng(9)));

fn key(root: RootKind) -> Chk {
    Chk { routing: Key([1; 32]), crypto: CryptoKey::from_bytes([2; 32]), root }
}

/// URIs, names and content types.
pub fn content_uri(data: &[u8]) {
    let Some((which, data)) = data.split_first() else { return };
    let sample = match which % 5 {
        0 => format!("{}/a/b%20c", Uri::from(key(RootKind::Manifest))),
        1 => format!("{}name-5/index.html", OWNER.reader()),
        2 => format!("{}name/-5/a/", OWNER.reader()).replace("SSK@", "USK@"),
        3 => format!("{}name", *OWNER.expose()),
        _ => "freenet:KSK@gpl.txt".to_owned(),
    };
    let Ok(text) = String::from_utf8(edited(sample.as_bytes(), data)) else { return };
    if let Ok(uri) = text.parse::<Uri>() {
        assert_eq!(uri.to_string().parse::<Uri>().expect("a URI reads again"), uri);
        assert_eq!(uri.bare().parse::<Uri>().expect("a URI reads again"), uri);
        assert!(uri.path().parts().all(|part| part != ".." && !part.contains(['/', '\\', '\0'])));
        let _ = uri.document();
    }
    if let Ok(insert) = text.parse::<Insert>() {
        assert_eq!(insert.expose().parse::<Insert>().expect("a key reads again"), insert);
        if let Some(public) = insert.public() {
            assert_eq!(public.to_string().parse::<Uri>().expect("a URI reads"), public);
        }
    }
    if let Ok(key) = text.parse::<SskKey>() {
        assert_eq!(key.to_string().parse::<SskKey>().expect("a key reads again"), key);
    }
    let _ = text.parse::<OwnerKey>();
    if let Ok(media) = text.parse::<MediaType>() {
        assert!(!media.as_str().contains(['\r', '\n', '\0']));
    }
    let _ = MediaType::guess(&text);
}

static SIGNED: LazyLock<SignedBlock> = LazyLock::new(|| {
    let target = Target::Redirect(key(RootKind::Data));
    SignedBlock::seal(&OWNER, Slot::Document("name"), 3, &target).expect("it fits")
});

/// Blocks, and what owners put into signed ones.
pub fn content_block(data: &[u8]) {
    let bytes = Bytes::from(edited(SIGNED.bytes(), data));
    if let Ok(block) = Block::decode(bytes.clone()) {
        assert_eq!(block.encode(), bytes);
        let held = Block::Signed(SIGNED.clone());
        assert!(!(block.supersedes(&held) && held.supersedes(&block)));
        if let Block::Signed(block) = &block {
            assert_eq!(block, &*SIGNED, "nobody else can sign");
            let _ = block.open(&OWNER.reader(), Slot::Document("name"));
        }
    }
    let mut payload = vec![1, 0, 69];
    payload.extend_from_slice(&key(RootKind::Data).encode());
    let mut payload = edited(&payload, data);
    payload.resize(payload.len().max(1024), 0);
    if let Some(target) = Target::decode(&payload) {
        let block =
            SignedBlock::seal(&OWNER, Slot::Newest("name"), 4, &target).expect("it came out of a block");
        assert_eq!(block.open(&OWNER.reader(), Slot::Newest("name")), Ok(target));
    }
}

/// Content, its blocks, and the plaintext of its root.
struct Sample {
    content: Vec<u8>,
    blocks: BTreeMap<Key, ContentBlock>,
    root: Vec<u8>,
}

static TREE: LazyLock<Sample> = LazyLock::new(|| {
    let content: Vec<u8> = (0..700_000u32).map(|at| (at.wrapping_mul(at) >> 9) as u8).collect();
    let params = Params::new(16, 8).expect("valid");
    let mut writer = Writer::new(WriteOptions { params, ..WriteOptions::default() });
    let mut blocks = BTreeMap::new();
    let mut rest = &content[..];
    while writer.chk().is_none() {
        rest = &rest[writer.push(rest).expect("short")..];
        if rest.is_empty() {
            writer.finish();
        }
        while let Some(piece) = writer.poll().expect("valid") {
            blocks.insert(piece.block.key(), piece.block);
        }
    }
    let chk = writer.chk().expect("finished");
    let mut root = blocks[&chk.routing].bytes().to_vec();
    chacha::xor(chk.crypto.as_bytes(), &[0; 12], 0, &mut root);
    Sample { content, blocks, root }
});

/// Trees under roots that a hostile publisher made, read while blocks are missing or late.
pub fn content_tree(data: &[u8]) {
    let Some((&[how, from, loss, edits], data)) = data.split_first_chunk() else { return };
    let edits = usize::from(edits).min(data.len());
    let (edits, answers) = data.split_at(edits);
    let mut plain = edited(&TREE.root, edits);
    plain.resize(SIZE, 0);
    let changed = plain != TREE.root;
    let crypto = CryptoKey::from_bytes([7; 32]);
    chacha::xor(crypto.as_bytes(), &[0; 12], 0, &mut plain);
    let root = ContentBlock::decode(plain.into()).expect("a whole block");
    let chk = Chk { routing: root.key(), crypto, root: RootKind::Data };
    let thorough = how & 1 != 0;
    let options = ReadOptions { thorough, segments: u64::from(how >> 6), ..ReadOptions::default() };
    let mut reader = Reader::new(chk, options);
    let start = u64::from(from) << (how >> 1 & 15);
    reader.select(start..start + 200_000);
    let (mut asked, mut read, mut under_way) = (0, Vec::new(), Vec::new());
    let mut answers = answers.iter().cycle();
    while asked < 400 && reader.failure().is_none() {
        while under_way.len() < 20
            && let Some(want) = reader.want()
        {
            under_way.push(want.key);
            asked += 1;
        }
        assert_eq!(under_way.len(), reader.under_way());
        if under_way.is_empty() {
            break;
        }
        let answer = answers.next().copied().unwrap_or(255);
        let key = under_way.swap_remove(usize::from(answer) % under_way.len());
        if answer & 15 == 7 {
            reader.late(key);
        }
        match TREE.blocks.get(&key).or((key == root.key()).then_some(&root)) {
            Some(block) if key == root.key() || answer >= loss => drop(reader.block(block)),
            _ => reader.missing(key),
        }
        while let Ok(Some(bytes)) = reader.read() {
            read.extend_from_slice(&bytes);
        }
        while reader.healed().is_some() {}
    }
    assert!(read.len() <= 200_000);
    if !changed {
        let start = usize::try_from(start).expect("small").min(TREE.content.len());
        assert!(TREE.content[start..].starts_with(&read));
    }
}

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let path = |text: &str| text.parse::<Path>().expect("a path");
    let mut builder = Builder::new();
    builder.pack(path("index.html"), None, 100).expect("new");
    builder.pack(path("img/a.png"), Some("image/png".parse().expect("a type")), 5).expect("new");
    builder.place(path("img/b"), None, 70_000, key(RootKind::Data)).expect("new");
    builder.place(path("sub"), None, 0, key(RootKind::Manifest)).expect("new");
    builder.link(path("link"), None, "KSK@word".parse().expect("a key")).expect("new");
    builder.default_document(path("index.html"));
    builder.finish().expect("a folder")
});

/// Folders.
pub fn content_manifest(data: &[u8]) {
    let Some((&[length, step], data)) = data.split_first_chunk() else { return };
    let bytes = edited(&MANIFEST.encode(), data);
    let length = match length {
        0..100 => MANIFEST.content_length(),
        other => bytes.len() as u64 + u64::from(other - 100),
    };
    let mut loading = Loading::new(length);
    for piece in bytes.chunks(usize::from(step) + 1) {
        let Ok(loaded) = loading.take(piece) else { return };
        let Some(manifest) = loaded else { continue };
        let again = manifest.encode();
        assert_eq!(again, bytes[..again.len()]);
        assert_eq!(manifest.content_length(), length);
        assert!(manifest.entries().len() <= MAX_ENTRIES);
        for (path, entry) in manifest.entries() {
            assert!(path.parts().count() > 0 && path.parts().all(|part| part != ".."));
            assert!(!matches!(manifest.find(path), Found::Nothing | Found::Folder), "{path} {entry:?}");
            let _ = (manifest.list(path), path.parent().map(|parent| manifest.list(&parent).len()));
        }
        let mut walk = Walk::new(key(RootKind::Manifest)).expect("a folder's key");
        for _ in 0..2 {
            if walk.want().is_some() {
                let _ = walk.supply(&manifest);
                while walk.file().is_some() {}
            }
        }
        return;
    }
}
