use std::os::unix::fs::PermissionsExt;

use crate::program::{Home, finish, text};

/// A key of content that nobody published.
const NOBODY: &str = "allium:CHK@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA,bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbA,oQABAAA/x";

#[tokio::test]
async fn an_owners_key_is_made_and_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let made = finish(home.path(), &["content", "keygen", "me.key"]).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let said = text(&made.stdout);
    assert!(said.contains("allium:SSK@") && said.contains("allium:USK@"), "{said}");
    let file = home.path().join("me.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read_to_string(&file).unwrap();
    assert!(!said.contains(before.trim()), "the secret is not printed");
    let again = finish(home.path(), &["content", "keygen", "me.key"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[tokio::test]
async fn without_a_router_or_a_store_it_says_what_to_do() {
    let home = Home::new("").await;
    let data = home.data();
    let with = async |words: &[&str]| {
        let words = [&["--data-dir", data.to_str().unwrap()], words].concat();
        finish(home.path(), &words).await
    };
    std::fs::write(home.path().join("letter"), "text").unwrap();
    let commands: [&[&str]; 4] =
        [&["put", "letter"], &["get", NOBODY], &["content", "status"], &["content", "pin", NOBODY]];
    for command in commands {
        let output = with(command).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("allium run"), "{}", text(&output.stderr));
    }
    let router = home.start().await;
    for command in commands {
        let output = with(command).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("[content]"), "{}", text(&output.stderr));
    }
    let json = with(&["get", "--json", NOBODY]).await;
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["error"]["message"].as_str().unwrap().contains("[content]"));
    router.stop().await;
    for wrong in [&["get", "nonsense"][..], &["put"], &["put", "letter", "--ksk", "a", "--ssk", "b"]] {
        assert_eq!(with(wrong).await.status.code(), Some(2), "{wrong:?}");
    }
    assert!(!home.path().join("x").exists() && !home.path().join("x.part").exists());
}
