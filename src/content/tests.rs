use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use allium_content::uri::Uri;
use tempfile::tempdir;

use super::partial::{Mark, Partial, with_suffix};
use super::{keygen, owner, target, walk};

mod whole;

const CHK: &str =
    "CHK@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA,bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbA,oQABAAA";

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

fn path(text: &str) -> allium_content::Path {
    text.parse().unwrap()
}

#[test]
fn names_come_from_the_key_and_hide_nothing() {
    for (key, name) in [
        (format!("{CHK}/letter.txt"), "letter.txt"),
        (format!("{CHK}/site/page.html"), "page.html"),
        (CHK.to_owned(), "CHK-aaaaaaaa"),
        ("KSK@word".to_owned(), "word"),
        (format!("{CHK}/.bashrc"), "_bashrc"),
        (format!("{CHK}/-rf"), "_rf"),
    ] {
        assert_eq!(target::default_name(&uri(&key)), name);
    }
    let folder = tempdir().unwrap();
    let key = uri(&format!("{CHK}/letter.txt"));
    assert_eq!(target::of_file(Some(folder.path()), &key), folder.path().join("letter.txt"));
    assert_eq!(target::of_file(Some(&folder.path().join("other")), &key), folder.path().join("other"));
}

#[test]
fn what_is_there_is_noticed_before_anything_is_written() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let check = |paths: &[&str], force| {
        let paths: Vec<_> = paths.iter().map(|text| path(text)).collect();
        target::check_folder(root, paths.iter(), force).map_err(|error| error.to_string())
    };
    check(&["a", "b/c", "b/d"], false).unwrap();
    std::fs::write(root.join("a"), "mine").unwrap();
    assert!(check(&["a"], false).unwrap_err().contains("--force"));
    check(&["a"], true).unwrap();
    assert!(check(&["a/b"], true).unwrap_err().contains("no folder"), "a file where a folder is needed");
    std::fs::create_dir(root.join("d")).unwrap();
    assert!(check(&["d"], true).unwrap_err().contains("is a folder"));
    // Links, which a stranger's names must not lead through, wherever they lead.
    let outside = tempdir().unwrap();
    symlink(outside.path(), root.join("link")).unwrap();
    symlink(root.join("nowhere"), root.join("dangling")).unwrap();
    assert!(check(&["link/x"], true).unwrap_err().contains("no folder"));
    assert!(target::make_folders(root, &path("link/x")).is_err());
    assert!(check(&["dangling"], false).is_err());
    assert!(check(&["x", "x"], true).is_err() && check(&["x", "x/y"], true).is_err());
    target::make_folders(root, &path("e/f/g")).unwrap();
    assert!(root.join("e/f").is_dir() && !root.join("e/f/g").exists());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn a_partial_file_goes_on_only_with_the_same_bytes() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("name");
    let part = with_suffix(&file, ".part");
    let hash = blake3::hash(b"first second").to_hex().to_string();
    let mark = Mark { etag: "\"1\"".into(), length: 12, hash: Some(hash.clone()) };
    let open = |mark: &Mark| Partial::open(part.clone(), mark.clone());

    let mut partial = open(&mark).unwrap();
    partial.write(b"first ").unwrap();
    drop(partial);
    let mut again = open(&mark).unwrap();
    assert_eq!(again.have(), 6);
    again.write(b"second").unwrap();
    let finished = again.finish().unwrap();
    assert_eq!(finished.hash, hash);
    std::fs::write(&file, "there already").unwrap();
    assert!(finished.place(&file, false).unwrap_err().to_string().contains("--force"));
    open(&mark).unwrap().finish().unwrap().place(&file, true).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"first second");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");

    // Other bytes begin anew.
    open(&mark).unwrap().write(b"first ").unwrap();
    let other = Mark { etag: "\"2\"".into(), ..mark.clone() };
    assert_eq!(open(&other).unwrap().have(), 0);
    // Wrong bytes are removed.
    let mut wrong = open(&other).unwrap();
    wrong.write(b"wrong second").unwrap();
    assert!(wrong.finish().unwrap_err().to_string().contains("again"));
    assert!(!part.exists());
    // Nothing leaves nothing.
    open(&mark).unwrap().remove_if_empty();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    // A stranger's file is left alone.
    std::fs::write(&part, "not ours").unwrap();
    assert!(open(&mark).err().unwrap().to_string().contains("in the way"));
    assert_eq!(std::fs::read(&part).unwrap(), b"not ours");
    std::fs::remove_file(&part).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    symlink(&elsewhere, &part).unwrap();
    assert!(open(&mark).is_err() && !elsewhere.exists());
}

#[test]
fn a_folder_that_is_published_has_files_only() {
    let folder = tempdir().unwrap();
    let root = folder.path();
    let said = |root: &Path| walk::files(root).unwrap_err().to_string();
    assert!(said(root).contains("no files"));
    std::fs::create_dir_all(root.join("b/c")).unwrap();
    for (name, text) in [("b.txt", "1"), ("b/c/d", "22"), ("a", "333")] {
        std::fs::write(root.join(name), text).unwrap();
    }
    let found = walk::files(root).unwrap();
    let found: Vec<_> = found.iter().map(|file| (file.path.as_str(), file.length)).collect();
    assert_eq!(found, [("a", 3), ("b/c/d", 2), ("b.txt", 1)]);
    symlink("/etc/passwd", root.join("b/link")).unwrap();
    assert!(said(root).contains("link"));
    std::fs::remove_file(root.join("b/link")).unwrap();
    std::fs::write(root.join("bell\u{7}"), "").unwrap();
    assert!(said(root).contains("bell"));
}

#[test]
fn an_owners_key_is_made_once() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("owner.key");
    let public = keygen(&file).unwrap();
    assert!(public.starts_with("allium:SSK@") && public.ends_with('/'), "{public}");
    assert_eq!(owner(&file).unwrap().reader().to_string(), public);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();
    assert!(keygen(&file).unwrap_err().to_string().contains("never overwritten"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    std::fs::write(&file, public).unwrap();
    let said = format!("{:#}", owner(&file).unwrap_err());
    assert!(said.contains("owner.key") && said.contains("private"), "{said}");
    assert!(owner(&folder.path().join("none")).unwrap_err().to_string().contains("keygen"));
}
