use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::program::{Home, until};

const KEYS: [&str; 3] = ["router.keys", "ntcp2.keys", "web.dat"];
const SERVICE: &str = "[[service]]\nname = \"web\"\ntarget = \"127.0.0.1:1\"\nkeys = \"web.dat\"\n";

#[tokio::test]
async fn a_signal_ends_it_cleanly() {
    let home = Home::new(SERVICE).await;
    for name in ["TERM", "INT"] {
        let mut router = home.start().await;
        router.signal(name).await;
        let ended =
            timeout(Duration::from_secs(8), router.child.wait()).await.expect("within seconds").unwrap();
        assert!(ended.success(), "{ended}: {}", router.log.await.unwrap());
        assert!(!home.data().join("control.sock").exists());
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    // A proxy's client that never finishes keeps the first from ending it at once.
    let port = crate::program::free_port().await;
    let home = Home::new(&format!("[http_proxy]\nlisten = \"127.0.0.1:{port}\"\n")).await;
    let mut router = home.start().await;
    let _client = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    router.signal("TERM").await;
    let gone = async || !home.data().join("control.sock").exists();
    until("it has begun to stop", gone).await;
    if router.child.try_wait().unwrap().is_none() {
        let _ =
            tokio::process::Command::new("kill").args(["-TERM", &router.pid().to_string()]).output().await;
    }
    timeout(Duration::from_secs(2), router.child.wait()).await.expect("at once").unwrap();
}

#[tokio::test]
async fn secrets_are_made_first_and_for_the_owner_alone() {
    let home = Home::new(SERVICE).await;
    // Where router.info can't be written, nothing runs; the keys are there by then.
    std::fs::create_dir_all(home.data().join("router.info")).unwrap();
    let said = home.fails().await;
    assert!(said.contains("router.info"), "{said}");
    for name in KEYS {
        let meta =
            std::fs::metadata(home.data().join(name)).unwrap_or_else(|_| panic!("{name} is not there"));
        assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
    }
    let before: Vec<_> = KEYS.iter().map(|name| std::fs::read(home.data().join(name)).unwrap()).collect();
    std::fs::remove_dir(home.data().join("router.info")).unwrap();
    let router = home.start().await;
    let after: Vec<_> = KEYS.iter().map(|name| std::fs::read(home.data().join(name)).unwrap()).collect();
    assert_eq!(before, after);
    router.stop().await;
}

/// The files of a folder, by name, without what a killed process may leave half written.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .filter(|(name, _)| Path::new(name).extension() != Some("new".as_ref()))
        .collect()
}

#[tokio::test]
async fn killed_at_any_moment_it_starts_again_as_itself() {
    let home = Home::new(SERVICE).await;
    let mut known = BTreeMap::new();
    for round in 0..20u64 {
        let mut child = home.command().spawn().unwrap();
        // Moments spread over the start, where files are written, and somewhat beyond.
        sleep(Duration::from_millis(round * round % 97 + round / 2)).await;
        if let Some(status) = child.try_wait().unwrap() {
            panic!("round {round}: it ended with {status}");
        }
        child.kill().await.unwrap();
        let now = files(&home.data());
        for name in KEYS.iter().chain(&["port"]) {
            match (known.get(*name), now.get(*name)) {
                (Some(before), after) => assert_eq!(Some(before), after, "round {round}: {name} changed"),
                (None, Some(made)) => drop(known.insert((*name).to_owned(), made.clone())),
                (None, None) => {}
            }
        }
    }
    let router = home.start().await;
    let first = router.status().await;
    router.kill().await;
    let router = home.start().await;
    let again = router.status().await;
    assert_eq!(first["router"], again["router"]);
    assert_eq!(first["destinations"][0]["address"], again["destinations"][0]["address"]);
    for (name, made) in known {
        assert_eq!(std::fs::read(home.data().join(&name)).unwrap(), made, "{name}");
    }
    router.stop().await;
}

#[tokio::test]
async fn half_a_key_file_is_named_and_left_alone() {
    let home = Home::new(SERVICE).await;
    home.start().await.stop().await;
    for name in KEYS {
        let path = home.data().join(name);
        let whole = std::fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() / 2], &[]] {
            std::fs::write(&path, damaged).unwrap();
            let said = home.fails().await;
            assert!(said.contains(name), "{name}: {said}");
            assert_eq!(std::fs::read(&path).unwrap(), damaged, "{name} is not replaced");
        }
        std::fs::write(&path, whole).unwrap();
    }
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_full_disk_is_said_at_the_start() {
    let home = Home::new(SERVICE).await;
    std::fs::create_dir(home.data()).unwrap();
    symlink("/dev/full", home.data().join("router.keys.new")).unwrap();
    let said = home.fails().await;
    assert!(said.contains("router.keys") && said.contains("No space"), "{said}");
    assert!(!home.data().join("router.keys").exists());
    home.start().await.stop().await;
}

#[tokio::test]
async fn a_folder_that_can_not_be_made_is_named() {
    let home = Home::new("").await;
    std::fs::write(home.data(), "a file").unwrap();
    let said = home.fails().await;
    assert!(said.contains(home.data().to_str().unwrap()), "{said}");
}

#[tokio::test]
async fn a_router_that_can_not_keep_what_it_learns_goes_on() {
    let other = Home::new("").await;
    let peer = other.start().await;
    let seeds = other.path().join("seeds");
    std::fs::create_dir(&seeds).unwrap();
    std::fs::copy(other.data().join("router.info"), seeds.join("routerInfo-other.dat")).unwrap();
    let home = Home::new(&format!("[reseed]\nurls = []\nfile = \"{}\"\n", seeds.display())).await;
    std::fs::create_dir(home.data()).unwrap();
    std::fs::write(home.data().join("netDb"), "in the way of the folder").unwrap();
    let router = home.start().await;
    until("both know each other", async || {
        router.status().await["peers"].as_u64() > Some(0) && peer.status().await["known_routers"] == 1
    })
    .await;
    let failed = async || router.status().await["counters"]["disk_errors"].as_u64() > Some(0);
    until("what could not be written is counted", failed).await;
    let (ended, log) = router.stop().await;
    assert!(ended.success());
    assert!(log.contains("netDb"), "{log}");
    peer.stop().await;
}
