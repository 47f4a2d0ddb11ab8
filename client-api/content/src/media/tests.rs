use super::*;

#[test]
fn the_table_is_sorted_and_each_type_is_one() {
    assert!(EXTENSIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    for (_, media) in EXTENSIONS {
        media.parse::<MediaType>().unwrap();
    }
}

#[test]
fn extensions_suggest_types() {
    let guess = |name| MediaType::guess(name).map(|media| media.essence().to_owned());
    assert_eq!(guess("index.HTML").as_deref(), Some("text/html"));
    assert_eq!(guess("a/b.c/photo.jpg").as_deref(), Some("image/jpeg"));
    assert_eq!(guess("archive.tar.gz").as_deref(), Some("application/gzip"));
    for none in ["html", ".html", "a.html/", "a/.css", "x.unheard-of", "", "."] {
        assert_eq!(guess(none), None, "{none}");
    }
}

#[test]
fn headers_cannot_be_injected() {
    let long = format!("text/{}", "x".repeat(MAX));
    for wrong in ["", "text", "text/", "/html", "text/html\r\nX: y", "a/b/c", "te xt/html", "text/é", &long]
    {
        assert_eq!(wrong.parse::<MediaType>(), Err(Error), "{wrong}");
    }
    let media: MediaType = "text/html; charset=utf-8".parse().unwrap();
    assert_eq!((media.essence(), media.to_string().as_str()), ("text/html", "text/html; charset=utf-8"));
}
