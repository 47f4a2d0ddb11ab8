use super::*;

#[test]
fn a_secret_is_whole_private_and_replaces_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("a/b")).unwrap();
    assert!(store.read("router.keys", 100).unwrap().is_none());
    store.write_secret("router.keys", b"one").unwrap();
    store.write_secret("router.keys", b"two").unwrap();
    assert_eq!(store.read("router.keys", 100).unwrap().unwrap(), b"two");
    assert!(!store.path("router.keys.new").exists());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(store.path("router.keys")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_file_longer_than_its_limit_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write("big", &[0; 200]).unwrap();
    let error = store.read("big", 100).unwrap_err().to_string();
    assert!(error.contains("big") && error.contains("longer than 100"), "{error}");
}

#[test]
fn a_write_that_fails_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.write("profiles.json", b"old").unwrap();
    fs::create_dir(store.path("profiles.json.new")).unwrap(); // what is written beside it can't be
    assert!(store.write("profiles.json", b"new").is_err());
    assert_eq!(store.read("profiles.json", 100).unwrap().unwrap(), b"old");
}

#[test]
fn router_infos_are_found_where_others_put_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let hash = RouterHash([7; 32]);
    store.write(Store::router_info_name(&hash), b"info").unwrap();
    store.write("netDb/rX/readme.txt", b"no").unwrap();
    let found = store.router_infos(10);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, b"info");
}
