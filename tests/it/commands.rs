use std::os::unix::fs::PermissionsExt;

use crate::program::{Home, finish, text};

#[tokio::test]
async fn keys_are_made_and_shown() {
    let home = tempfile::tempdir().unwrap();
    let made = finish(home.path(), &["keys", "new", "web.dat"]).await;
    assert!(made.status.success(), "{}", text(&made.stderr));
    let address = text(&made.stdout);
    assert!(address.trim().ends_with(".b32.i2p") && address.trim().len() == 52 + 8, "{address:?}");
    let shown = finish(home.path(), &["keys", "show", "web.dat"]).await;
    assert_eq!(text(&shown.stdout), address);

    let file = home.path().join("web.dat");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();
    let again = finish(home.path(), &["keys", "new", "web.dat"]).await;
    assert!(!again.status.success() && text(&again.stderr).contains("web.dat"), "keys are never overwritten");
    assert_eq!(std::fs::read(&file).unwrap(), before);

    std::fs::write(&file, &before[..before.len() / 2]).unwrap();
    let half = finish(home.path(), &["keys", "show", "web.dat"]).await;
    assert!(!half.status.success() && text(&half.stderr).contains("web.dat"), "{}", text(&half.stderr));
    let missing = finish(home.path(), &["keys", "show", "none.dat"]).await;
    assert!(!missing.status.success() && text(&missing.stderr).contains("none.dat"));
}

#[tokio::test]
async fn a_wrong_configuration_is_named_by_file_line_and_key() {
    let home = Home::new("").await;
    let file = home.config().display().to_string();
    for (text, line, key) in [
        ("[network]\nflodfill = true\n", 2, "flodfill"),
        ("[network]\n\nid = \"two\"\n", 3, "id"),
        ("[tunnels]\nexploratory_length = 8\n", 2, "exploratory_length"),
        ("[ntcp2]\nbind = [\n  \"127.0.0.1:1\",\n  \"here\",\n]\n", 2, "bind"),
        ("[http_proxy]\nlisten = \"nowhere\"\n", 2, "listen"),
        ("# nothing yet\n[[service]]\nname = \"web\"\n", 2, "target"),
        ("[sokcs]\n", 1, "sokcs"),
    ] {
        std::fs::write(home.config(), text).unwrap();
        let said = home.fails().await;
        let line =
            said.contains(&format!("{file}:{line}:")) || said.contains(&format!("{file}:{}:", line + 2));
        assert!(line && said.contains(key), "{text:?} gave {said:?}");
    }
    std::fs::write(home.config(), "[network\n").unwrap();
    assert!(home.fails().await.contains(&format!("{file}:1:")));
    // What contradicts itself, or is not there.
    std::fs::write(home.config(), "[network]\nfloodfill = true\n").unwrap();
    assert!(home.fails().await.contains("publish"));
    std::fs::remove_file(home.config()).unwrap();
    assert!(home.fails().await.contains(&file));
    assert!(!home.data().join("router.info").exists(), "nothing ran");
}

#[tokio::test]
async fn the_default_configuration_is_printed() {
    let home = tempfile::tempdir().unwrap();
    let printed = finish(home.path(), &["config"]).await;
    assert!(printed.status.success() && text(&printed.stdout).contains("[network]"));
}

#[tokio::test]
async fn a_running_router_tells_its_status() {
    let home = Home::new("[[service]]\nname = \"web\"\ntarget = \"127.0.0.1:1\"\nkeys = \"web.dat\"\n").await;
    let data = home.data();
    let nobody = finish(home.path(), &["--data-dir", data.to_str().unwrap(), "status"]).await;
    assert!(!nobody.status.success() && text(&nobody.stderr).contains("no router runs"));
    let router = home.start().await;
    let status = router.status().await;
    assert_eq!(status["network"], 77);
    assert_eq!(status["ready"], false);
    assert_eq!(status["addresses"][0], home.ntcp2.to_string());
    assert_eq!(status["destinations"][0]["name"], "web");
    let shown = finish(home.path(), &["keys", "show", data.join("web.dat").to_str().unwrap()]).await;
    assert_eq!(status["destinations"][0]["address"], text(&shown.stdout).trim());
    let plain = finish(home.path(), &["--data-dir", data.to_str().unwrap(), "status"]).await;
    assert!(text(&plain.stdout).contains("not yet"), "{}", text(&plain.stdout));
    for (path, most) in [(data.join("control.sock"), 0o600), (data, 0o700)] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, most, "{}", path.display());
    }
    router.stop().await;
}
