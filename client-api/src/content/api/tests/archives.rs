use bytes::Bytes;
use hyper::{Method, StatusCode};
use tokio_tar::{Builder, EntryType, Header};

use super::{Api, encoded, noise, uri};

/// What stands in an archive. Names are written as they are: archives of strangers are not made by this library.
struct Entry {
    name: &'static str,
    kind: EntryType,
    bytes: Bytes,
}

fn file(name: &'static str, bytes: impl Into<Bytes>) -> Entry {
    Entry { name, kind: EntryType::Regular, bytes: bytes.into() }
}

async fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_size(entry.bytes.len() as u64);
        header.set_mode(0o644);
        if matches!(entry.kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, &entry.bytes[..]).await.unwrap();
    }
    builder.into_inner().await.unwrap()
}

#[tokio::test]
async fn a_folder_comes_back_file_by_file() {
    let api = Api::start().await;
    let large = noise(100_000);
    let entries = [
        file("./index.html", "<p>site"),
        Entry { name: "pictures/", kind: EntryType::Directory, bytes: Bytes::new() },
        file("pictures/large.png", large.clone()),
        file("pictures/small.gif", noise(300)),
        file("empty", ""),
    ];
    let done = api.put("/v1/folder?default=index.html", &[], archive(&entries).await).await;
    assert_eq!(done["length"], 100_000 + 300 + 7);
    let folder = uri(&done);
    let opened = api.ask(Method::GET, &format!("/v1/open?uri={}", encoded(&folder))).await.json();
    assert_eq!((&opened["kind"], &opened["uri"]), (&"folder".into(), &folder.as_str().into()));

    let list = api.ask(Method::GET, &format!("/v1/list?uri={}", encoded(&folder))).await;
    assert_eq!(list.header("content-type"), "application/x-ndjson");
    let list = list.lines();
    let paths: Vec<_> = list.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["empty", "index.html", "pictures/large.png", "pictures/small.gif"]);
    for line in &list {
        let got = api.get(line["uri"].as_str().unwrap(), &[]).await;
        assert_eq!(got.status, StatusCode::OK, "{line}");
        assert_eq!(line["length"], got.body.len());
        assert_eq!(line["etag"], got.header("etag"), "a list's mark is the file's");
    }
    assert_eq!(
        api.get(&format!("{folder}/pictures/large.png"), &[("range", "bytes=99990-")]).await.body,
        large.slice(99_990..)
    );

    assert_eq!(api.get(&folder, &[]).await.code(), "wrong_kind");
    let page = api.ask(Method::GET, &format!("/v1/get?default_document=1&uri={}", encoded(&folder))).await;
    assert_eq!(page.body, "<p>site");
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(api.get(&format!("{folder}/none"), &[]).await.code(), "no_such_path");
    let file = format!("/v1/list?uri={}", encoded(&format!("{folder}/index.html")));
    assert_eq!(api.ask(Method::GET, &file).await.code(), "wrong_kind");
}

#[tokio::test]
async fn archives_that_reach_outside_are_refused() {
    let api = Api::start().await;
    let of = |kind| Entry { name: "odd", kind, bytes: Bytes::new() };
    for (entries, word) in [
        (vec![file("/etc/passwd", "x")], "slash"),
        (vec![file("../up", "x")], ".."),
        (vec![file("a/../../up", "x")], ".."),
        (vec![file("a\\b", "x")], "slash"),
        (vec![file("a\u{7}b", "x")], "control"),
        (vec![file("a", "x"), file("./a", "y")], "twice"),
        (vec![of(EntryType::Symlink)], "link"),
        (vec![of(EntryType::Link)], "link"),
        (vec![of(EntryType::Char)], "device"),
        (vec![of(EntryType::Fifo)], "pipe"),
    ] {
        let mut with_more = vec![file("fine", noise(50_000))];
        with_more.extend(entries);
        let answer =
            api.send(Method::PUT, "/v1/folder?to=KSK@site", &[], archive(&with_more).await.into()).await;
        assert_eq!(answer.code(), "bad_archive", "{word}");
        let said = answer.lines().pop().unwrap().to_string();
        assert!(said.contains(word), "{word}: {said}");
    }
    let whole = archive(&[file("a", noise(50_000))]).await;
    for junk in [whole[..20_000].to_vec(), whole[..300].to_vec(), noise(5000).to_vec()] {
        let answer = api.send(Method::PUT, "/v1/folder?to=KSK@site", &[], junk.into()).await;
        assert!(["bad_archive", "io"].contains(&answer.code().as_str()), "{:?}", answer.body);
    }
    assert_eq!(api.get("KSK@site", &[]).await.code(), "not_found", "nothing of all that was published");
    let clash = archive(&[file("a", "x"), file("a/b", "y")]).await;
    assert_eq!(api.send(Method::PUT, "/v1/folder", &[], clash.into()).await.code(), "unpublishable");
    let named = archive(&[file("a", "x")]).await;
    let named = api.send(Method::PUT, "/v1/folder?to=CHK@/name", &[], named.into()).await;
    assert_eq!(named.code(), "unpublishable");
}
