use proptest::prelude::*;

use super::index::{MAGIC, push_text};
use super::*;
use crate::block::{ContentBlock, Key};
use crate::keys::CryptoKey;
use crate::tree::{ReadOptions, Reader, WriteOptions, Writer};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn chk(fill: u8, root: RootKind) -> Chk {
    Chk { routing: Key([fill; 32]), crypto: CryptoKey([fill; 32]), root }
}

fn sample() -> Manifest {
    let mut builder = Builder::new();
    builder.pack(path("index.html"), None, 10).unwrap();
    builder.pack(path("img/a.png"), Some("image/webp".parse().unwrap()), 20).unwrap();
    builder.place(path("img/large.png"), None, 5_000_000, chk(1, RootKind::Data)).unwrap();
    builder.place(path("old"), None, 0, chk(2, RootKind::Manifest)).unwrap();
    builder.link(path("news"), None, "USK@x".parse().unwrap_or("KSK@news/today".parse().unwrap())).unwrap();
    builder.pack(path("blog/index.html"), None, 7).unwrap();
    builder.pack(path("blog-notes.txt"), None, 0).unwrap();
    builder.default_document(path("index.html"));
    builder.finish().unwrap()
}

fn decode(bytes: &[u8], length: u64) -> Result<Manifest, Error> {
    let head = bytes.first_chunk().ok_or(Error::Version)?;
    let index = Manifest::index_length(head, length)?;
    Manifest::decode(bytes.get(HEAD..HEAD + index).ok_or(Error::Lengths)?, length)
}

#[test]
fn what_is_written_reads_the_same() {
    for manifest in [sample(), Builder::new().finish().unwrap()] {
        let bytes = manifest.encode();
        assert_eq!(decode(&bytes, manifest.content_length()).as_ref(), Ok(&manifest));
    }
    let manifest = sample();
    assert_eq!(manifest.total(), 5_000_037);
    assert_eq!(manifest.content_length(), manifest.encode().len() as u64 + 37);
    let packed: Vec<_> = manifest.packed().map(|(path, _)| path.as_str()).collect();
    assert_eq!(packed, ["blog/index.html", "blog-notes.txt", "img/a.png", "index.html"]);
    let first = manifest.encode().len() as u64;
    let places: Vec<_> = manifest.packed().map(|(_, entry)| entry.place.clone()).collect();
    assert_eq!(places, [0, 7, 7, 27].map(|at| Place::Packed(first + at)));
}

#[test]
fn it_loads_from_any_pieces() {
    let manifest = sample();
    let bytes = [manifest.encode(), vec![9; 37]].concat();
    for step in [1, 7, 8, 100, 5000] {
        let mut loading = Loading::new(manifest.content_length());
        let mut pieces = bytes.chunks(step);
        let loaded = loop {
            if let Some(loaded) = loading.take(pieces.next().unwrap()).unwrap() {
                break loaded;
            }
        };
        assert_eq!(loaded, manifest);
    }
    assert_eq!(Loading::new(20).take(b"<!doctype html>").unwrap_err(), Error::Version);
    assert_eq!(Loading::new(20).take(b"amf\x01\xff\xff\xff\xff").unwrap_err(), Error::Index);
    assert_eq!(Loading::new(20).take(b"amf\x01\0\0\0\x0d").unwrap_err(), Error::Lengths);
}

#[test]
fn paths_lead_to_files() {
    let manifest = sample();
    let found = |text| match manifest.find(&path(text)) {
        Found::File { path, .. } => path.to_string(),
        Found::Nested { chk, rest } => format!("{}:{rest}", chk.routing.0[0]),
        Found::Folder => "folder".to_owned(),
        Found::Nothing => "nothing".to_owned(),
    };
    for (sought, leads) in [
        ("", "index.html"),
        ("index.html", "index.html"),
        ("blog", "blog/index.html"),
        ("blog/", "blog/index.html"),
        ("img", "folder"),
        ("img/large.png", "img/large.png"),
        ("img/large.png/x", "nothing"),
        ("im", "nothing"),
        ("old", "2:"),
        ("old/a/b", "2:a/b"),
        ("older", "nothing"),
        ("news", "news"),
        ("none", "nothing"),
    ] {
        assert_eq!(found(sought), leads, "{sought}");
    }
    let names = |folder| manifest.list(&path(folder)).into_keys().collect::<Vec<_>>();
    assert_eq!(names(""), ["blog", "blog-notes.txt", "img", "index.html", "news", "old"]);
    assert_eq!(names("img"), ["a.png", "large.png"]);
    assert_eq!(manifest.list(&path(""))["blog"], Child::Folder);
    assert!(names("index.html").is_empty() && names("i").is_empty());
    let media = |text| manifest.get(&path(text)).unwrap().media(&path(text)).unwrap().to_string();
    assert_eq!(media("img/a.png"), "image/webp");
    assert_eq!(media("img/large.png"), "image/png");
}

#[test]
fn folders_that_contradict_themselves_are_not_built() {
    let mut builder = Builder::new();
    builder.pack(path("a"), None, 1).unwrap();
    assert_eq!(builder.pack(path("a"), None, 1), Err(Error::Twice));
    assert_eq!(builder.pack(path(""), None, 1), Err(Error::Path(NameError::Empty)));
    let mut clash = builder.clone();
    clash.pack(path("a-b"), None, 1).unwrap();
    clash.pack(path("a/b/c"), None, 1).unwrap();
    assert_eq!(clash.finish(), Err(Error::Clash));
    let mut nested = builder.clone();
    nested.place(path("n"), None, 0, chk(1, RootKind::Manifest)).unwrap();
    nested.default_document(path("n"));
    assert_eq!(nested.finish(), Err(Error::Default));
    builder.default_document(path("b"));
    assert_eq!(builder.clone().finish(), Err(Error::Default));
    let mut long = Builder::new();
    long.pack(path("a"), None, MAX_LENGTH).unwrap();
    assert!(long.clone().finish().is_ok());
    long.pack(path("b"), None, 1).unwrap();
    assert_eq!(long.finish(), Err(Error::Lengths));
}

/// An index of entries as they are given.
fn index(default: &str, count: u32, entries: &[(&str, &str, u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    push_text(&mut out, default);
    out.extend_from_slice(&count.to_be_bytes());
    for (path, media, length, place) in entries {
        push_text(&mut out, path);
        out.push(media.len() as u8);
        out.extend_from_slice(media.as_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(place);
    }
    out
}

#[test]
fn hostile_indexes_are_refused() {
    let file = [&[1][..], &chk(1, RootKind::Data).encode()].concat();
    let folder = [&[2][..], &chk(1, RootKind::Manifest).encode()].concat();
    let swapped = [&[1][..], &chk(1, RootKind::Manifest).encode()].concat();
    let link = |uri: &str| [&[3][..], &(uri.len() as u16).to_be_bytes(), uri.as_bytes()].concat();
    let read = |default, count, entries: &[(&str, &str, u64, &[u8])]| {
        let index = index(default, count, entries);
        Manifest::decode(&index, (HEAD + index.len()) as u64)
    };
    assert!(read("a", 1, &[("a", "", 9, &file)]).is_ok());
    for (wrong, entries) in [
        (Error::Path(NameError::Dots), &[("../a", "", 0, &file[..])][..]),
        (Error::Path(NameError::Dots), &[("a/../../b", "", 0, &file)]),
        (Error::Path(NameError::Slash), &[("/etc/passwd", "", 0, &file)]),
        (Error::Path(NameError::Slash), &[("a/", "", 0, &file)]),
        (Error::Path(NameError::Slash), &[("a\\..\\b", "", 0, &file)]),
        (Error::Path(NameError::Slash), &[("", "", 0, &file)]),
        (Error::Path(NameError::Empty), &[("a//b", "", 0, &file)]),
        (Error::Path(NameError::Control), &[("a\u{1b}[2J", "", 0, &file)]),
        (Error::Twice, &[("a", "", 0, &file), ("a", "", 0, &file)]),
        (Error::Twice, &[("b", "", 0, &file), ("a", "", 0, &file)]),
        (Error::Clash, &[("a", "", 0, &file), ("a/b", "", 0, &file)]),
        (Error::Clash, &[("a", "", 0, &folder), ("a/b", "", 0, &file)]),
        (Error::Malformed("a content type"), &[("a", "x\r\n", 0, &file)]),
        (Error::Malformed("a length or type"), &[("a", "a/b", 0, &folder)]),
        (Error::Malformed("a length or type"), &[("a", "", 1, &folder)]),
        (Error::Malformed("where a file is"), &[("a", "", 0, &file[..60])]),
        (Error::Malformed("where a file is"), &[("a", "", 0, &[4])]),
        (Error::Malformed("where a file is"), &[("a", "", 0, &link("SSK@a"))]),
        (Error::Malformed("where a file is"), &[("a", "", 0, &link("KSK@a"))]),
        (Error::Kind, &[("a", "", 0, &swapped)]),
        (Error::Lengths, &[("a", "", MAX_LENGTH, &file), ("b", "", 1, &file)]),
        (Error::Lengths, &[("a", "", u64::MAX, &file), ("b", "", u64::MAX, &file)]),
        (Error::Lengths, &[("a", "", 5, &[0])]),
    ] {
        assert_eq!(read("", entries.len() as u32, entries), Err(wrong), "{entries:?}");
    }
    assert!(read("", 1, &[("a", "", 0, &link("allium:KSK@a"))]).is_ok());
    assert_eq!(read("b", 1, &[("a", "", 0, &file)]), Err(Error::Default));
    assert_eq!(read("", u32::MAX, &[]), Err(Error::Entries));
    assert_eq!(read("", 100_000, &[("a", "", 0, &file)]), Err(Error::Malformed("the number of entries")));
    assert_eq!(read("", 0, &[("a", "", 0, &file)]), Err(Error::Malformed("its end")));
    assert_eq!(Manifest::decode(&vec![0; MAX_INDEX + 1], 1 << 40), Err(Error::Index));
}

#[test]
fn a_packed_byte_belongs_to_one_file() {
    // As many entries as there can be cannot unpack to more than the content's length.
    let index = index("", 2, &[("a", "", 100, &[0]), ("b", "", 100, &[0])]);
    let length = (HEAD + index.len()) as u64;
    assert_eq!(Manifest::decode(&index, length + 100), Err(Error::Lengths));
    assert!(Manifest::decode(&index, length + 200).is_ok());
}

#[test]
fn as_many_entries_as_there_may_be() {
    let mut builder = Builder::new();
    for number in 0..MAX_ENTRIES {
        builder.pack(path(&format!("{}/{number}", number % 100)), None, 1).unwrap();
    }
    assert_eq!(builder.pack(path("x"), None, 1), Err(Error::Entries));
    let manifest = builder.finish().unwrap();
    assert_eq!(decode(&manifest.encode(), manifest.content_length()), Ok(manifest));
}

fn nest(names: &[(&str, u8)], files: usize) -> Manifest {
    let mut builder = Builder::new();
    for (name, fill) in names {
        builder.place(path(name), None, 0, chk(*fill, RootKind::Manifest)).unwrap();
    }
    for number in 0..files {
        builder.pack(path(&format!("f{number}")), None, 1).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn nested_folders_are_walked() {
    let mut walk = Walk::new(chk(0, RootKind::Manifest)).unwrap();
    let mut files = Vec::new();
    while let Some(want) = walk.want() {
        let manifest = match want.routing.0[0] {
            0 => nest(&[("a", 1), ("b/c", 2)], 1),
            1 => nest(&[("x", 2)], 1),
            _ => nest(&[], 2),
        };
        walk.supply(&manifest).unwrap();
        files.extend(
            std::iter::from_fn(|| walk.file())
                .map(|file| (file.path.to_string(), file.manifest.routing.0[0])),
        );
    }
    assert!(walk.is_done() && walk.total() == 6);
    let expected = [("f0", 0), ("a/f0", 1), ("b/c/f0", 2), ("b/c/f1", 2), ("a/x/f0", 2), ("a/x/f1", 2)];
    assert_eq!(files, expected.map(|(path, manifest)| (path.to_owned(), manifest)));
    assert_eq!(Walk::new(chk(0, RootKind::Data)).unwrap_err(), Error::Kind);
}

#[test]
fn folders_without_end_end() {
    let supply_all = |next: &dyn Fn(u8) -> Manifest| {
        let mut walk = Walk::new(chk(0, RootKind::Manifest)).unwrap();
        let mut steps = 0;
        while let Some(want) = walk.want() {
            let manifest = next(want.routing.0[0]);
            steps += 1;
            if let Err(error) = walk.supply(&manifest) {
                assert!(walk.is_done());
                return (error, steps);
            }
            while walk.file().is_some() {}
        }
        unreachable!("it ended")
    };
    assert_eq!(supply_all(&|_| nest(&[("again", 0)], 1)), (Error::Loop, 1));
    assert_eq!(supply_all(&|at| nest(&[("x", 1 - at)], 1)), (Error::Loop, 2));
    assert_eq!(supply_all(&|at| nest(&[("x", at + 1)], 1)), (Error::Depth, 9));
    let many: Vec<_> = (0..100).map(|number| format!("n{number}")).collect();
    let wide = |at: u8| nest(&many.iter().map(|name| (name.as_str(), at + 1)).collect::<Vec<_>>(), 0);
    assert_eq!(supply_all(&wide).0, Error::Entries);
    assert_eq!(supply_all(&|at| nest(&[("x", at + 1), ("y", at + 1)], 60_000)), (Error::Entries, 2));
    let deep = ["x"; 31].join("/");
    assert_eq!(supply_all(&|at| nest(&[(&deep, at + 1)], 0)), (Error::Path(NameError::Long), 2));
}

proptest! {
    #[test]
    fn decoding_never_panics(index: Vec<u8>, length: u64) {
        let _ = Manifest::decode(&index, length);
        let _ = Loading::new(length).take(&index);
        let _ = Loading::new(length).take(&[&MAGIC[..], &index].concat());
    }

    #[test]
    fn changed_manifests_read_as_they_are_or_not_at_all(at: proptest::sample::Index, to: u8) {
        let manifest = sample();
        let mut bytes = manifest.encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = decode(&bytes, manifest.content_length()) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn any_folder_round_trips(names in proptest::collection::btree_set("[a-c]{1,2}(/[a-c -]{1,2}){0,2}", 0..20)) {
        let mut builder = Builder::new();
        for (length, name) in names.iter().enumerate() {
            builder.pack(path(name), None, length as u64).unwrap();
        }
        match builder.finish() {
            Ok(manifest) => {
                let read = decode(&manifest.encode(), manifest.content_length()).unwrap();
                for name in &names {
                    let is_file = matches!(read.find(&path(name)), Found::File { path, .. } if path.as_str() == name);
                    prop_assert!(is_file, "{}", name);
                }
                prop_assert_eq!(read, manifest);
            }
            Err(error) => {
                prop_assert_eq!(error, Error::Clash);
                let inside = |a: &String, b: &String| path(b).is_inside(&path(a));
                prop_assert!(names.iter().any(|a| names.iter().any(|b| inside(a, b))));
            }
        }
    }
}

/// Reads some of a tree whose blocks are all there.
fn read(reader: &mut Reader, blocks: &BTreeMap<Key, ContentBlock>, until: &mut dyn FnMut(&[u8]) -> bool) {
    while !reader.is_done() {
        while let Some(want) = reader.want() {
            reader.block(&blocks[&want.key]).unwrap();
        }
        while let Some(bytes) = reader.read().unwrap() {
            if until(&bytes) {
                return;
            }
        }
    }
}

#[test]
fn a_site_is_one_key() {
    let files = [("a.css", vec![1; 40_000]), ("img/b.png", vec![2; 3_000_000]), ("index.html", vec![3; 100])];
    let mut builder = Builder::new();
    for (name, bytes) in &files {
        builder.pack(path(name), None, bytes.len() as u64).unwrap();
    }
    builder.default_document(path("index.html"));
    let manifest = builder.finish().unwrap();
    let mut writer = Writer::new(WriteOptions { kind: RootKind::Manifest, ..WriteOptions::default() });
    let mut blocks = BTreeMap::new();
    let mut content = manifest.encode();
    for (path, _) in manifest.packed() {
        content.extend_from_slice(&files.iter().find(|(name, _)| *name == path.as_str()).unwrap().1);
    }
    assert_eq!(writer.push(&content).unwrap(), content.len());
    writer.finish();
    while let Some(piece) = writer.poll().unwrap() {
        blocks.insert(piece.block.key(), piece.block);
    }
    let mut reader = Reader::new(writer.chk().unwrap().clone(), ReadOptions::default());
    reader.select(0..HEAD as u64);
    let (mut loading, mut loaded) = (None, None);
    while loaded.is_none() {
        read(&mut reader, &blocks, &mut |bytes| {
            let loading = loading.get_or_insert_with(|| Loading::new(content.len() as u64));
            loaded = loading.take(bytes).unwrap();
            loaded.is_some()
        });
        let needs = loading.as_ref().unwrap().needs().unwrap();
        reader.select(reader.position()..needs);
    }
    assert_eq!(reader.root().unwrap().length, manifest.content_length());
    for (name, expected) in &files {
        let sought = path(if *name == "index.html" { "" } else { name });
        let loaded = loaded.as_ref().unwrap();
        let Found::File { entry: Entry { place: Place::Packed(at), length, .. }, .. } = loaded.find(&sought)
        else {
            panic!("{name} is packed");
        };
        reader.select(*at..at + length);
        let mut got = Vec::new();
        read(&mut reader, &blocks, &mut |bytes| {
            got.extend_from_slice(bytes);
            false
        });
        assert!(got == *expected, "{name}");
    }
}
