use proptest::prelude::*;

use super::*;

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (text, wrong) in [
        ("", NameError::Empty),
        (".", NameError::Dots),
        ("..", NameError::Dots),
        ("a/b", NameError::Slash),
        ("a\\b", NameError::Slash),
        ("a\nb", NameError::Control),
        ("a\0", NameError::Control),
        ("\u{7f}", NameError::Control),
        ("\u{9b}31m", NameError::Control),
        ("gpj.\u{202e}exe", NameError::Control),
        (&"x".repeat(256), NameError::Long),
    ] {
        assert_eq!(text.parse::<Name>(), Err(wrong), "{text:?}");
    }
    for fine in ["a", "...", "..a", "été 1.txt", "CON", "a:b", &"x".repeat(255)] {
        assert_eq!(fine.parse::<Name>().unwrap().as_str(), fine);
    }
}

#[test]
fn paths_stay_in_their_folder() {
    for (text, wrong) in [
        ("/", NameError::Slash),
        ("/etc/passwd", NameError::Slash),
        ("a//b", NameError::Empty),
        ("a/../b", NameError::Dots),
        ("..", NameError::Dots),
        ("a/./b", NameError::Dots),
        ("a//", NameError::Empty),
        (&["x"; 33].join("/"), NameError::Long),
        (&[&*"x".repeat(250); 5].join("/"), NameError::Long),
    ] {
        assert_eq!(text.parse::<Path>(), Err(wrong), "{text:?}");
    }
    let path: Path = "a/b c/d.html/".parse().unwrap();
    assert_eq!((path.as_str(), path.name()), ("a/b c/d.html", Some("d.html")));
    assert_eq!(path.parts().collect::<Vec<_>>(), ["a", "b c", "d.html"]);
    assert_eq!(Path::default().parts().count(), 0);
}

#[test]
fn paths_join_and_part() {
    let path = |text: &str| text.parse::<Path>().unwrap();
    assert_eq!(path("a").join(&path("b/c")).unwrap(), path("a/b/c"));
    assert_eq!(path("").join(&path("b")).unwrap(), path("b"));
    assert_eq!(path("a/b/c").strip(&path("a/b")), Some(path("c")));
    assert_eq!(path("a/bc").strip(&path("a/b")), None);
    assert_eq!(path("a").strip(&path("a")), Some(path("")));
    assert_eq!(path("a/b/c").parent(), Some(path("a/b")));
    assert_eq!((path("a").parent(), path("").parent()), (Some(path("")), None));
    assert!(path("a") < path("a/b") && path("a/b") < path("a-b") && path("a/b") < path("a b"));
    let long = path(&[&*"x".repeat(200); 4].join("/"));
    assert_eq!(long.join(&long), Err(NameError::Long));
}

#[test]
fn percent_encoding_has_to_be_whole() {
    for broken in ["%", "%1", "a%zz", "%ff", "%é"] {
        assert_eq!(decoded(broken), Err(NameError::Percent), "{broken}");
    }
    assert_eq!(decoded("a%2Fb+%c3%a9").unwrap(), "a/b+é");
}

proptest! {
    #[test]
    fn encoding_round_trips(text: String) {
        let mut out = String::new();
        push_encoded(&mut out, &text);
        prop_assert!(out.is_ascii());
        prop_assert_eq!(decoded(&out).unwrap(), text);
    }

    #[test]
    fn what_is_a_path_cannot_escape(text in "[a./\\\\]{0,12}") {
        if let Ok(path) = text.parse::<Path>() {
            prop_assert!(!path.as_str().starts_with('/'));
            prop_assert!(path.parts().all(|part| part != ".." && part != "."));
            prop_assert_eq!(path.as_str().parse::<Path>().unwrap(), path);
        }
    }
}
