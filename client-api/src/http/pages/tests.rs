use proptest::prelude::*;

use super::*;

fn failed(failure: &Failure) -> StatusCode {
    Page::failure("name.i2p", failure).reply().status()
}

#[test]
fn statuses_say_whose_fault_it_is() {
    let cases = [
        (ConnectError::NoTunnels("starting".into()), 503),
        (ConnectError::LeaseSetNotFound, 503),
        (ConnectError::Expired, 503),
        (ConnectError::Closed, 503),
        (ConnectError::TimedOut, 504),
        (ConnectError::Refused, 502),
        (ConnectError::Incompatible("old keys".into()), 502),
    ];
    for (error, status) in cases {
        assert_eq!(failed(&Failure::Connect(error)).as_u16(), status);
    }
    assert_eq!(failed(&Failure::Silent).as_u16(), 504);
    assert_eq!(failed(&Failure::Name(NameError::NotI2p("x".into()))).as_u16(), 403);
    assert_eq!(failed(&Failure::Name(NameError::Unknown("x.i2p".into()))).as_u16(), 502);
    assert_eq!(failed(&Failure::Name(NameError::Encrypted)).as_u16(), 501);
}

#[test]
fn pages_load_nothing_and_close_the_connection() {
    let page = Page::failure("name.i2p", &Failure::Silent);
    let html = page.html();
    for loading in ["src=", "<script", "<link", "url(", "http://", "https://"] {
        assert!(!html.contains(loading), "{loading}");
    }
    let reply = page.reply();
    let headers = reply.headers();
    assert_eq!(headers["proxy-connection"], "close");
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert_eq!(headers["cache-control"], "no-store");
}

#[test]
fn a_redirection_can_not_split_headers() {
    let reply = Page::see_other("http://a.i2p/\r\nSet-Cookie: x").reply();
    assert!(!reply.headers().contains_key("location"));
    assert_eq!(Page::see_other("http://a.i2p/").reply().headers()["location"], "http://a.i2p/");
}

proptest! {
    #[test]
    fn whatever_a_host_is_it_stays_text(host in "\\PC{0,100}") {
        let error = NameError::NotI2p(format!("{host}<script>alert('x')</script>"));
        let html = Page::name(&host, &error).html();
        prop_assert!(!html.contains("<script"));
        let html = Page::failure(&format!("\"><img src={host}>"), &Failure::Silent).html();
        prop_assert!(!html.contains("<img"));
    }
}
