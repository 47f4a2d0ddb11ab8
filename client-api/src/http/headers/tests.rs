use super::*;

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    headers
}

fn site() -> Site {
    Site::of(&"http://name.i2p/".parse().unwrap()).map_err(|_| ()).unwrap()
}

#[test]
fn what_tells_browsers_apart_does_not_pass() {
    let sent = map(&[
        ("Host", "evil.example"),
        ("User-Agent", "Browser/1.0 (X11; Linux)"),
        ("Accept", "text/html"),
        ("Accept-Encoding", "gzip"),
        ("Accept-Language", "de"),
        ("Accept-Charset", "x"),
        ("Cookie", "a=b"),
        ("Via", "1.1 box"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1"),
        ("X-Real-IP", "192.0.2.1"),
        ("From", "me@example.org"),
        ("Sec-CH-UA", "x"),
        ("Proxy-Authorization", "Basic x"),
        ("Proxy-Connection", "keep-alive"),
        ("Connection", "keep-alive, X-Hop, close"),
        ("X-Hop", "1"),
        ("TE", "trailers"),
        ("Expect", "100-continue"),
        ("Authorization", "NTLM TlRMTVNTUAAB"),
        ("Content-Length", "3"),
        ("If-None-Match", "\"x\""),
    ]);
    let clean = for_site(&sent, &site(), None);
    let lines: Vec<_> = clean.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(
        lines,
        [
            ("host", "name.i2p"),
            ("user-agent", "MYOB/6.66 (AN+XXX1)"),
            ("accept", "text/html"),
            ("accept-encoding", "gzip"),
            ("cookie", "a=b"),
            ("content-length", "3"),
            ("if-none-match", "\"x\""),
        ]
    );
}

#[test]
fn a_referer_passes_within_a_site_alone() {
    let passes = |url: &str| for_site(&map(&[("Referer", url)]), &site(), None).contains_key("referer");
    assert!(passes("http://name.i2p/page?x=1") && passes("http://NAME.i2p"));
    for url in
        ["http://other.i2p/", "https://name.i2p/", "http://name.i2p.example/", "http://name.i2p:81/", "x"]
    {
        assert!(!passes(url), "{url}");
    }
    assert!(!passes("http://name.i2p/?i2paddresshelper=x"));
}

#[test]
fn passwords_for_sites_pass() {
    let clean = for_site(&map(&[("Authorization", "Basic dTpw")]), &site(), None);
    assert!(clean.contains_key("authorization"));
}

#[test]
fn an_upgrade_is_passed_on() {
    let sent =
        map(&[("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x")]);
    let to = upgrade(&sent).unwrap();
    let clean = for_site(&sent, &site(), Some(&to));
    assert_eq!((&clean["connection"], &clean["upgrade"]), (&"Upgrade".parse().unwrap(), &to));
    assert!(clean.contains_key("sec-websocket-key"));
    assert!(upgrade(&map(&[("Upgrade", "h2c")])).is_none());
}

#[test]
fn responses_lose_what_is_of_the_hop() {
    let mut headers = map(&[
        ("Connection", "close, X-Hop, Content-Length"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("Alt-Svc", "h3=\":443\""),
        ("Content-Length", "3"),
        ("Content-Type", "text/html"),
    ]);
    for_client(&mut headers);
    let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["content-length", "content-type"]);
}
