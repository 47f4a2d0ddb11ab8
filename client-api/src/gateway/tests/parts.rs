//! The parts of the gateway, each alone.

use allium_content::MediaType;
use hyper::HeaderMap;
use hyper::header::{IF_NONE_MATCH, IF_RANGE, RANGE};

use super::super::pages::Page;
use super::super::range::{Part, is_known, wanted};
use super::super::tame::Tame;
use super::super::{address::Wanted, media};

fn part(range: &'static str, if_range: Option<&'static str>) -> Part {
    let mut headers = HeaderMap::new();
    headers.insert(RANGE, range.parse().unwrap());
    if let Some(tag) = if_range {
        headers.insert(IF_RANGE, tag.parse().unwrap());
    }
    wanted(&headers, 100, "\"tag\"")
}

#[test]
fn ranges() {
    assert_eq!(part("bytes=0-9", None), Part::Range(0..10));
    assert_eq!(part("bytes=90-", None), Part::Range(90..100));
    assert_eq!(part("bytes=-7", None), Part::Range(93..100));
    assert_eq!(part("bytes=-700", None), Part::Range(0..100));
    assert_eq!(part("bytes=50-99999999999999999999999999", None), Part::Range(50..100));
    for beyond in ["bytes=100-", "bytes=-0", "bytes=99999999999999999999999999-"] {
        assert_eq!(part(beyond, None), Part::Beyond, "{beyond}");
    }
    for ignored in ["bytes=0-1,3-4", "bytes=9-1", "bytes=", "bytes=-", "lines=1-2", "bytes=+1-2", "bytes=a-b"]
    {
        assert_eq!(part(ignored, None), Part::Whole, "{ignored}");
    }
    assert_eq!(part("bytes=0-9", Some("\"tag\"")), Part::Range(0..10));
    assert_eq!(part("bytes=0-9", Some("\"other\"")), Part::Whole);
    assert_eq!(part("bytes=0-9", Some("W/\"tag\"")), Part::Whole);
}

#[test]
fn what_is_known_is_not_sent_again() {
    for (known, is) in [("\"a\", W/\"tag\"", true), ("*", true), ("\"other\"", false)] {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, known.parse().unwrap());
        assert_eq!(is_known(&headers, "\"tag\""), is, "{known}");
    }
}

#[test]
fn content_types() {
    let shown = |text: &str| media::shown(Some(&text.parse::<MediaType>().unwrap()));
    assert_eq!(shown("text/html; charset=utf-8").media, "text/html; charset=utf-8");
    for run in ["text/javascript", "application/xhtml+xml", "text/xml", "application/xml", "text/x-anything"]
    {
        assert_eq!(shown(run).media, "text/plain; charset=utf-8", "{run}");
    }
    for saved in ["application/pdf", "application/x-shockwave-flash", "multipart/x-mixed-replace", "x/y"] {
        assert!(shown(saved).attachment, "{saved}");
    }
    assert!(media::shown(None).attachment);
    // Loaded by a page it is an image; opened alone it is saved.
    assert_eq!(
        (shown("image/svg+xml").media.as_str(), shown("image/svg+xml").attachment),
        ("image/svg+xml", true)
    );
    assert_eq!(shown("text/html").media, "text/html; charset=utf-8");
    assert_eq!(shown("text/html; charset=\"ISO-8859-15\"").media, "text/html; charset=iso-8859-15");
    assert_eq!(shown("text/html; charset=utf-16").media, "text/html; charset=utf-8");
    assert_eq!(shown("text/html; charset=iso-2022-jp").media, "text/html; charset=utf-8");
    assert_eq!(media::attachment(Some("ä\"\r\nb.pdf")), "attachment; filename*=UTF-8''%C3%A4%22%0D%0Ab.pdf");
}

fn path(asked: &str) -> (String, bool) {
    let wanted = Wanted::of(asked).unwrap().unwrap();
    (wanted.path(), wanted.moved)
}

#[test]
fn keys_in_paths() {
    for asked in ["/KSK@word", "/KSK@word/a/b", "/KSK@word/a/"] {
        assert_eq!(path(asked), (asked.to_owned(), false));
    }
    for asked in ["/allium:KSK@word/a", "/freenet:KSK@word/a", "/KSK%40word/a", "/allium%3AKSK%40word/a"] {
        assert_eq!(path(asked), ("/KSK@word/a".to_owned(), true), "{asked}");
    }
    assert_eq!(path("/KSK@100%25%40home"), ("/KSK@100%25@home".to_owned(), true));
    for other in ["/", "/-/status", "/favicon.ico", "/index.html", "//KSK@word"] {
        assert!(Wanted::of(other).is_none(), "{other}");
    }
    assert!(Wanted::of("/XYZ@word").unwrap().is_err());
    assert!(Wanted::of("/KSK@word/../x").unwrap().is_err());
    let pasted = Wanted::typed("http://127.0.0.1:8888/KSK@word/a/").unwrap();
    assert_eq!(pasted.path(), "/KSK@word/a/");
}

/// The page in pieces of `size` bytes, made tame.
fn tame(page: &[u8], size: usize) -> String {
    let (mut tame, mut out) = (Tame::default(), Vec::new());
    let mut left = page.len();
    for piece in page.chunks(size) {
        left -= piece.len();
        out.extend_from_slice(&tame.next(piece, left == 0));
    }
    assert_eq!(out.len(), page.len());
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn tags_that_reach_out_do_nothing() {
    let same = [
        "<link rel=stylesheet href=a.css><link rel='Shortcut Icon' href=\"i.png\" />",
        "<meta charset=utf-8><meta name=\"viewport\" content=\"width=device-width\"><meta property=og:x content=y>",
        "<meta http-equiv=Content-Type content='text/html; charset=utf-8'><linked><metal><frameset><iframes>",
        "a < b, <r, <b>refer</b>, <li",
        "",
        "<",
        "<link",
        "r",
    ];
    let changed = [
        ("<link rel=preconnect href=http://x>", "<area rel=preconnect href=http://x>"),
        ("<LINK rel=\"stylesheet preconnect\">", "<area rel=\"stylesheet preconnect\">"),
        ("<link rel=&#112;reconnect>", "<area rel=&#112;reconnect>"),
        ("<link/rel=preconnect>", "<area/rel=preconnect>"),
        ("<link rel=icon\0 rel=preconnect>", "<area rel=icon\0 rel=preconnect>"),
        ("<link a='>' rel=preconnect>", "<area a='>' rel=preconnect>"),
        ("<link rel=preconnect rel=icon>", "<area rel=preconnect rel=icon>"),
        ("<link rel = preconnect>", "<area rel = preconnect>"),
        ("<meta name=referrer content=unsafe-url>", "<area name=referrer content=unsafe-url>"),
        ("<meta http-equiv=refresh content=0>", "<area http-equiv=refresh content=0>"),
        ("<iFrame src=//x></IFRAME>", "<legend src=//x></legend>"),
        ("<frame src=//x><iframe\n>", "<track src=//x><legend\n>"),
        ("<a href=x ReferrerPolicy=unsafe-url>", "<a href=x r-ferrerpolicy=unsafe-url>"),
        ("<<<link rel=preload>rrreferrerpolicy", "<<<area rel=preload>rrr-ferrerpolicy"),
    ];
    for (page, expected) in same.iter().filter(|p| **p != "<link").map(|page| (*page, *page)).chain(changed) {
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(tame(page.as_bytes(), size), expected, "pieces of {size}");
        }
    }
    let long = format!("<link rel=icon x='{}'>", "x".repeat(5000));
    assert!(tame(long.as_bytes(), 100).starts_with("<area rel=icon"));
    assert_eq!(tame(b"\xff\xfe<\0", 1), "  <\0");
}

#[test]
fn errors_say_whose_fault_it_is() {
    use crate::content::Error;
    let errors = [
        (Error::Uri(allium_content::uri::Error::Kind), 400),
        (Error::NotFound("x".into()), 404),
        (Error::NoSuchPath("x".into()), 404),
        (Error::Unavailable("x".into()), 503),
        (Error::Invalid("x".into()), 502),
        (Error::TooLarge { length: 2, limit: 1 }, 413),
        (Error::Collision, 409),
        (Error::Unpublishable("x".into()), 400),
        (Error::Stopped, 503),
    ];
    for (error, status) in errors {
        let reply = Page::error(&error).reply();
        assert_eq!(reply.status().as_u16(), status, "{error}");
        assert_eq!(reply.headers().contains_key("retry-after"), status == 503);
    }
}
