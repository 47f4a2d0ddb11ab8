use allium_crypto::Rng;
use proptest::prelude::*;

use super::*;
use crate::keys::RootKind;

const FREENET: &[&str] = &[
    "CHK@SVbD9~HM5nzf3AX4yFCBc-A4dhNUF5DPJZLL5NX5Brs,bA7qLNJR7IXRKn6uS5PAySjIM6azPFvK~18kSi6bbNQ,AAMC--8",
    "freenet:USK@5hH~39FtjA7A9~VXWtBKI~prUDTuJZURudDG0xFn3KA,GDgRGt5f6xqbmo-WraQtU54x4H~871Sho9Hz6hC-0RA,AQACAAE/\
     Search/17/",
    "SSK@~Udj39wzRUN4J-Kqn1aWN8kJyHL6d44VSyWoqSjL60A,iAtIH8348UGKfs8lW3mw0lm0D9WLwtsIzZhvMWelpK0,AQACAAE/",
    "SSK@AKTTKG6YwjrHzWo67laRcoPqibyiTdyYufjVg54fBlWr,AwUSJG5ZS-FDZTqnt6skTzhxQe08T-fbKXj8aEHZsXM,AQECAAE/name",
];

fn owner() -> OwnerKey {
    OwnerKey::generate(&mut Rng::from_seed([7; 32]))
}

fn chk(root: RootKind) -> Chk {
    Chk { routing: Key([1; 32]), crypto: CryptoKey::from_bytes([0xfe; 32]), root }
}

fn parsed(text: &str) -> Result<Uri, Error> {
    text.parse()
}

#[test]
fn a_chk_is_written_like_this() {
    let uri = Uri::Chk { chk: chk(RootKind::Manifest), path: "a folder/index.html".parse().unwrap() };
    let text = "CHK@AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE,-v7~-v7~-v7~-v7~-v7~-v7~-v7~-v7~-v7~-v7~-v4,\
                oQABAQA/a%20folder/index.html";
    assert_eq!(uri.bare(), text);
    assert_eq!(uri.to_string(), format!("allium:{text}"));
    for prefix in ["", "allium:", "freenet:"] {
        assert_eq!(parsed(&format!("{prefix}{text}")).as_ref(), Ok(&uri));
    }
    assert_eq!(parsed(&format!("{text}/")), Ok(uri), "a slash at the end says nothing");
}

#[test]
fn signed_keys_round_trip() {
    let key = owner().reader();
    let (name, path): (Name, Path) = ("my site".parse().unwrap(), "é/b".parse().unwrap());
    for path in [path, Path::default()] {
        for uri in [
            Uri::Ssk { key: key.clone(), name: name.clone(), path: path.clone() },
            Uri::Usk {
                key: key.clone(),
                name: name.clone(),
                edition: Edition::Newest(0),
                path: path.clone(),
            },
            Uri::Usk {
                key: key.clone(),
                name: name.clone(),
                edition: Edition::Known(17),
                path: path.clone(),
            },
            Uri::Ksk { word: name.clone(), path: path.clone() },
        ] {
            assert_eq!(parsed(&uri.to_string()).unwrap(), uri);
            assert_eq!(parsed(&uri.bare()).unwrap(), uri);
        }
    }
    assert_eq!(key.to_string().parse::<SskKey>().unwrap(), key);
    assert_eq!(parsed("KSK@gpl.txt").unwrap().bare(), "KSK@gpl.txt");
}

#[test]
fn pyfreenet_reads_private_from_the_second_byte() {
    let owner = owner();
    for (text, private) in [(owner.expose().to_string(), 1), (owner.reader().to_string(), 0)] {
        let extra = text.split(',').nth(2).unwrap().trim_end_matches('/');
        assert_eq!(base64::decode::<5>(extra).unwrap()[1], private);
        assert!(!text.contains(",AQ") && !text.contains(",AA"), "Freenet's own extras begin so");
    }
}

#[test]
fn keys_of_freenet_are_told_apart() {
    for text in FREENET {
        assert_eq!(parsed(text), Err(Error::Freenet), "{text}");
        assert_eq!(text.parse::<Insert>(), Err(Error::Freenet), "{text}");
    }
}

#[test]
fn private_keys_are_not_taken_for_public_ones() {
    let owner = owner();
    let (name, edition): (Name, _) = ("site".parse().unwrap(), Edition::Known(3));
    let inserts = [
        Insert::Ssk { owner: owner.clone(), name: name.clone() },
        Insert::Usk { owner: owner.clone(), name: name.clone(), edition },
    ];
    for insert in inserts {
        let text = insert.expose();
        assert_eq!(parsed(&text), Err(Error::Private));
        assert_eq!(text.parse::<Insert>().unwrap(), insert);
        let public = insert.public().unwrap();
        assert_eq!(public.to_string().parse::<Insert>(), Err(Error::Public));
        assert_eq!(public.document().unwrap().unwrap().0, owner.reader());
        assert!(!format!("{insert:?}{owner:?}").contains(&text[15..30]));
    }
    assert_eq!(owner.expose().parse::<OwnerKey>().unwrap(), owner);
    assert_eq!(owner.expose().parse::<SskKey>(), Err(Error::Private));
    assert_eq!("CHK@/a.txt".parse::<Insert>().unwrap(), Insert::Chk { path: "a.txt".parse().unwrap() });
    assert_eq!("freenet:CHK@".parse::<Insert>().unwrap(), Insert::Chk { path: Path::default() });
    assert_eq!(Uri::from(chk(RootKind::Data)).bare().parse::<Insert>(), Err(Error::Public));
    assert_eq!("KSK@word/x".parse::<Insert>(), Err(Error::Path));
    assert_eq!(&**"KSK@word".parse::<Insert>().unwrap().expose(), "allium:KSK@word");
}

#[test]
fn hostile_texts_get_the_error_that_fits() {
    let key = owner().reader().to_string();
    let chk = Uri::from(chk(RootKind::Data)).bare();
    let swapped = format!("SSK@{}/name", chk.strip_prefix("CHK@").unwrap());
    for (text, wrong) in [
        ("", Error::Kind),
        ("http://example.com/", Error::Kind),
        ("chk@a,b,c", Error::Kind),
        ("allium:allium:KSK@a", Error::Kind),
        (" KSK@a", Error::Kind),
        ("CHK@", Error::Fields),
        ("CHK@a,b", Error::Fields),
        ("CHK@a,b,c,d", Error::Fields),
        ("CHK@a,b,oQABAAA", Error::Length("first field")),
        ("CHK@a,b,oQABAA", Error::Length("last field")),
        (&chk.replace("AQEB", "AQ+B"), Error::Letter("first field")),
        (&chk.replace("oQABAAA", "oQACAAA"), Error::Unknown),
        (&chk.replace("oQABAAA", "oQABAAE"), Error::Unknown),
        (&chk.replace("oQABAAA", "oQABAwA"), Error::Unknown),
        (&swapped, Error::Unknown),
        (&key, Error::NoName),
        (key.trim_end_matches('/'), Error::NoName),
        (&format!("{key}.."), Error::Name(NameError::Dots)),
        (&format!("{key}%2e%2e"), Error::Name(NameError::Dots)),
        (&format!("{key}a/../../b"), Error::Name(NameError::Dots)),
        (&format!("{key}a/b%2fc"), Error::Name(NameError::Slash)),
        (&format!("{key}a%0ab"), Error::Name(NameError::Control)),
        (&format!("{key}a//b"), Error::Name(NameError::Empty)),
        (&format!("{key}a%zz"), Error::Name(NameError::Percent)),
        (&format!("{key}{}", "x".repeat(300)), Error::Name(NameError::Long)),
        (&format!("{key}{}", "x/".repeat(3000)), Error::Long),
        ("KSK@", Error::NoName),
        ("KSK@/a", Error::NoName),
    ] {
        assert_eq!(parsed(text), Err(wrong), "{text}");
    }
    for edition in ["", "x", "-", "+1", "01", "--1", "9223372036854775808", "1.5"] {
        let text = format!("{}site/{edition}/", key.replace("SSK@", "USK@"));
        assert_eq!(parsed(&text), Err(Error::Edition), "{text}");
    }
    assert_eq!(parsed(&format!("{}site", key.replace("SSK@", "USK@"))), Err(Error::Edition));
}

#[test]
fn an_edition_is_a_document() {
    let key = owner().reader();
    let name: Name = "site".parse().unwrap();
    let edition = Edition::Newest(5);
    let usk = Uri::Usk { key: key.clone(), name: name.clone(), edition, path: Path::default() };
    assert_eq!(usk.document().unwrap(), Some((key, "site-5".parse().unwrap())));
    let long: Name = "x".repeat(255).parse().unwrap();
    assert_eq!(edition_name(&long, 1), Err(NameError::Long));
    assert_eq!(Edition::Newest(Edition::MAX).to_string().parse(), Ok(Edition::Newest(Edition::MAX)));
}

#[test]
fn chks_have_a_short_form() {
    for root in [RootKind::Data, RootKind::Manifest] {
        let chk = chk(root);
        assert_eq!(Chk::decode(&chk.encode()), Some(chk));
    }
    let mut bytes = chk(RootKind::Data).encode();
    bytes[64] = 0;
    assert_eq!(Chk::decode(&bytes), None);
}

proptest! {
    #[test]
    fn never_panics(text: String) {
        let _ = (parsed(&text), text.parse::<Insert>(), text.parse::<OwnerKey>(), text.parse::<SskKey>());
    }

    #[test]
    fn every_uri_round_trips(
        routing: [u8; 32], crypto: [u8; 32], parts in proptest::collection::vec("[^\0-\x1f/]{1,20}", 0..5),
        number in 0..=Edition::MAX,
    ) {
        let path = parts.join("/").parse::<Path>().unwrap_or_default();
        let name = parts.first().and_then(|part| part.parse::<Name>().ok()).unwrap_or("n".parse().unwrap());
        let crypto = CryptoKey::from_bytes(crypto);
        let key = SskKey { public_hash: Key(routing), crypto: crypto.clone() };
        for uri in [
            Uri::Chk { chk: Chk { routing: Key(routing), crypto, root: RootKind::Data }, path: path.clone() },
            Uri::Ssk { key: key.clone(), name: name.clone(), path: path.clone() },
            Uri::Usk { key, name: name.clone(), edition: Edition::Newest(number), path: path.clone() },
            Uri::Ksk { word: name, path },
        ] {
            let text = uri.to_string();
            prop_assert!(text.is_ascii() && !text.contains(char::is_whitespace));
            prop_assert_eq!(parsed(&text).unwrap(), uri);
        }
    }

    #[test]
    fn what_parses_is_written_so_that_it_parses_again(tail in "[-a-zA-Z0-9%./~]{0,24}", kind in 0..4usize) {
        let key = owner().reader().to_string();
        let text = match kind {
            0 => format!("KSK@{tail}"),
            1 => format!("{key}{tail}"),
            2 => format!("{}{tail}", key.replace("SSK@", "USK@")),
            _ => format!("{}/{tail}", Uri::from(chk(RootKind::Manifest))),
        };
        if let Ok(uri) = parsed(&text) {
            prop_assert_eq!(parsed(&uri.to_string()).unwrap(), uri);
        }
    }
}
