//! Content by its key.

use allium_content::uri::{Edition, Insert, Uri};
use allium_content::{OwnerKey, Path};

use super::*;
use crate::content::{Part, PutOptions, Source, Upload};

/// A site of a page, an image, a text in a folder, and something that is large.
fn site() -> Upload {
    let file = |path: &str, bytes: &[u8]| {
        let source = Source::Bytes(Bytes::copy_from_slice(bytes));
        (path.parse::<Path>().unwrap(), None, Part::Data(source))
    };
    let large: Vec<u8> = (0..300_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let entries = vec![
        file("index.html", b"<h1>Hello</h1><script>alert(1)</script>"),
        file("out.html", b"<link rel=preconnect href=http://x.example><p>"),
        file("dot.png", b"\x89PNG"),
        file("notes/a b.txt", b"a text"),
        file("notes/run.js", b"alert(1)"),
        file("large.bin", &large),
    ];
    Upload::Folder { entries, default: Some("index.html".parse().unwrap()) }
}

async fn put(world: &World, upload: Upload, to: Insert) -> Uri {
    world.content.put(upload, PutOptions { to, ..PutOptions::default() }).end().await.unwrap().uri
}

fn usk(owner: &OwnerKey, edition: u64) -> Insert {
    Insert::Usk { owner: owner.clone(), name: "site".parse().unwrap(), edition: Edition::Known(edition) }
}

/// The path of a folder's key in the gateway.
fn path(uri: &Uri) -> String {
    format!("/{}/", uri.bare().trim_end_matches('/'))
}

const VIEW: &str = "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";

#[tokio::test]
async fn a_site_is_served_and_can_do_nothing() {
    let world = world();
    let uri = put(&world, site(), Insert::Chk { path: Path::default() }).await;
    let at = path(&uri);
    let bare = world.get(at.trim_end_matches('/')).await;
    assert_eq!((status(&bare), header(&bare, "location")), (307, Some(at.as_str())));

    let page = world.get(&at).await;
    assert_eq!(status(&page), 200, "{page}");
    assert!(body(&page).starts_with("<h1>Hello</h1>"));
    let policy = header(&page, "content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'none'", "form-action 'none'", "sandbox allow-same-origin"]
    {
        assert!(policy.contains(part), "{part}");
    }
    assert!(!policy.contains("allow-scripts") && !policy.contains("http"));
    assert_eq!(header(&page, "x-content-type-options"), Some("nosniff"));
    assert_eq!(header(&page, "referrer-policy"), Some("no-referrer"));
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    assert!(header(&page, "cache-control").unwrap().contains("immutable"));

    // A browser gets what reaches out of the gateway by no rule of the policy made harmless; a program, all as it is.
    let out = format!("{at}out.html");
    assert_eq!(body(&world.get(&out).await), "<link rel=preconnect href=http://x.example><p>");
    let shown = world.get_with(&out, VIEW).await;
    assert_eq!(body(&shown), "<area rel=preconnect href=http://x.example><p>");
    let part = world.get_with(&out, "User-Agent: Mozilla/5.0\r\nRange: bytes=2-4\r\n").await;
    assert_eq!((status(&part), body(&part)), (200, body(&shown)));

    let script = world.get(&format!("{at}notes/run.js")).await;
    assert_eq!(header(&script, "content-type"), Some("text/plain; charset=utf-8"));
    let listing = world.get(&format!("{at}notes/")).await;
    assert!(listing.contains("href=\"./a%20b.txt\""), "{listing}");
    let text = world.get(&format!("{at}notes/a%20b.txt")).await;
    assert_eq!(body(&text), "a text");
    let saved = world.get(&format!("{at}large.bin")).await;
    assert_eq!(header(&saved, "content-disposition"), Some("attachment; filename*=UTF-8''large.bin"));
    assert_eq!(status(&world.get(&format!("{at}nothing")).await), 404);
}

#[tokio::test]
async fn ranges_tags_and_heads() {
    let world = world();
    let at = format!("{}large.bin", path(&put(&world, site(), Insert::Chk { path: Path::default() }).await));
    let whole = world.get(&at).await;
    assert_eq!(body(&whole).len(), 300_000);
    let tag = header(&whole, "etag").unwrap();
    let part = world.get_with(&at, &format!("Range: bytes=200000-200022\r\nIf-Range: {tag}\r\n")).await;
    assert_eq!((status(&part), header(&part, "content-range")), (206, Some("bytes 200000-200022/300000")));
    assert_eq!(body(&part), &body(&whole)[200_000..200_023]);
    let beyond = world.get_with(&at, "Range: bytes=300000-\r\n").await;
    assert_eq!((status(&beyond), header(&beyond, "content-range")), (416, Some("bytes */300000")));
    let known = world.get_with(&at, &format!("If-None-Match: {tag}\r\n")).await;
    assert_eq!((status(&known), body(&known)), (304, ""));
    let request = format!("HEAD {at} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let head = world.ask(request.as_bytes()).await;
    assert_eq!((status(&head), header(&head, "content-length"), body(&head)), (200, Some("300000"), ""));
}

#[tokio::test]
async fn each_site_has_an_origin_of_its_own() {
    let world = world();
    let owner = world.content.new_owner();
    let uri = put(&world, site(), usk(&owner, 0)).await;
    let at = path(&uri);
    let moved = world.get_with(&at, &format!("Host: localhost:8888\r\n{VIEW}")).await;
    assert_eq!(status(&moved), 307);
    let url = header(&moved, "location").unwrap().to_owned();
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    assert!(host.ends_with(".localhost:8888") && host.len() == 52 + ".localhost:8888".len(), "{host}");
    let there = world.get_with(&at, &format!("Host: {host}\r\n{VIEW}")).await;
    assert_eq!(status(&there), 200, "{there}");
    // Another site's page is not shown on this origin; its images may be.
    let word = Insert::Ksk { word: "word".parse().unwrap() };
    put(&world, Upload::File(Source::Bytes(Bytes::from_static(b"other"))), word).await;
    let other = world.get_with("/KSK@word", &format!("Host: {host}\r\n{VIEW}")).await;
    assert!(header(&other, "location").is_some_and(|url| !url.contains(host)), "{other}");
    let image = "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n";
    assert_eq!(status(&world.get_with("/KSK@word", &format!("Host: {host}\r\n{image}")).await), 200);
    // A program that states nothing gets what it asked for.
    assert_eq!(status(&world.get_with(&at, "Host: localhost:8888\r\n").await), 200);
}

#[tokio::test]
async fn editions_lead_to_the_newest() {
    let world = world();
    let owner = world.content.new_owner();
    put(&world, site(), usk(&owner, 0)).await;
    let newest = put(&world, site(), usk(&owner, 1)).await;
    let at = path(&newest);
    let search = at.replace("/site/1/", "/site/-0/");
    let found = world.get(&format!("{search}notes/a%20b.txt")).await;
    assert_eq!(status(&found), 307, "{found}");
    assert_eq!(header(&found, "location"), Some(format!("{at}notes/a%20b.txt").as_str()));
    let old = at.replace("/site/1/", "/site/0/");
    let image = world.get(&format!("{old}dot.png")).await;
    assert_eq!(status(&image), 200);
    assert!(header(&image, "cache-control").unwrap().contains("immutable"));
    // Once the newer edition is known, a page of the older one leads there.
    let mut watch = world.content.watch_editions(owner.reader(), "site".parse().unwrap(), 0);
    watch.wait_for(|edition| *edition == Some(1)).await.unwrap();
    let view = loop {
        let view = world.get_with(&old, VIEW).await;
        if status(&view) != 200 {
            break view;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((status(&view), header(&view, "location")), (307, Some(at.as_str())));
    let hint = world.get(&old).await;
    assert_eq!(header(&hint, "link"), Some(format!("<{at}>; rel=\"latest-version\"").as_str()));
    let page = world.get(&at).await;
    assert_eq!(header(&page, "cache-control"), Some("no-cache"));
}

#[tokio::test]
async fn what_nobody_has_is_not_found() {
    let world = world();
    let missing = world.get("/KSK@nothing").await;
    assert_eq!(status(&missing), 404);
    assert!(missing.contains("Nobody has it"), "{missing}");
}
