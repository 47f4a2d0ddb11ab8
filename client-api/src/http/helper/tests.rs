use allium_crypto::Rng;
use proptest::prelude::*;

use super::*;

fn link(uri: &str) -> Option<Link> {
    Link::in_query(&uri.parse().unwrap())
}

#[test]
fn the_helper_is_taken_out_of_the_query() {
    let cases = [
        ("http://a.i2p/?i2paddresshelper=x", "x", "/"),
        ("http://a.i2p/p?a=1&I2PAddressHelper=x%3D&b=2", "x=", "/p?a=1&b=2"),
        ("http://a.i2p?b&i2paddresshelper=~-", "~-", "/?b"),
        ("http://a.i2p/?i2paddresshelper=%zz%4", "%zz%4", "/"),
    ];
    for (uri, address, rest) in cases {
        let link = link(uri).unwrap();
        assert_eq!((link.address.as_str(), link.rest.as_str()), (address, rest), "{uri}");
    }
    assert!(link("http://a.i2p/?i2paddresshelperx=1").is_none());
    assert!(link("http://a.i2p/i2paddresshelper=1").is_none());
}

#[tokio::test]
async fn unknown_names_are_believed_and_known_ones_asked_about() {
    let (helper, names) = (AddressHelper::new(Rng::from_seed([1; 32])), Names::new(None));
    let (one, two) = (DestHash([1; 32]), DestHash([2; 32]));
    let to = |hash: DestHash| link(&format!("http://a.i2p/?i2paddresshelper={}", hash.b32())).unwrap();
    assert_eq!(helper.ask(&names, "a.i2p", &to(one)).await, Asked::Known);
    assert_eq!(helper.ask(&names, "a.i2p", &to(one)).await, Asked::Known);
    let Asked::Conflict { known, token } = helper.ask(&names, "a.i2p", &to(two)).await else { panic!() };
    assert_eq!((known, names.known("a.i2p").await), (one, Some(one)));

    let confirming = link(&format!("http://a.i2p{}", to(two).confirming(token))).unwrap();
    assert!(matches!(
        helper.ask(&names, "a.i2p", &Link { token: Some(!token), ..to(two) }).await,
        Asked::Conflict { .. }
    ));
    names.remember("b.i2p", one);
    assert!(
        matches!(helper.ask(&names, "b.i2p", &confirming).await, Asked::Conflict { .. }),
        "of another name"
    );
    assert_eq!(helper.ask(&names, "a.i2p", &confirming).await, Asked::Confirmed);
    assert_eq!(names.known("a.i2p").await, Some(two));
    assert_eq!(
        helper.ask(&names, "a.i2p", &link("http://a.i2p/?i2paddresshelper=x").unwrap()).await,
        Asked::NoAddress
    );
}

proptest! {
    #[test]
    fn no_query_panics(query in "[!-~&=%]{0,60}") {
        if let Ok(uri) = format!("http://a.i2p/?i2paddresshelper={query}").parse::<Uri>() {
            let _ = Link::in_query(&uri);
        }
        let _ = decoded(&query);
    }
}
