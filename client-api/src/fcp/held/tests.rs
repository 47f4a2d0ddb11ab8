use tempfile::TempDir;

use super::*;

fn shelf(folder: &TempDir) -> Shelf {
    Shelf::new(folder.path().join("fcp"), Rng::from_seed([7; 32]))
}

fn files(shelf: &Shelf) -> Vec<PathBuf> {
    std::fs::read_dir(&shelf.folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

async fn hold(shelf: &Shelf, data: &[u8], piece: usize, length: u64) -> Held {
    let mut filling = shelf.fill(length).await.unwrap();
    for piece in data.chunks(piece) {
        filling.push(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    filling.finish().await.unwrap()
}

async fn read(held: &Arc<Held>) -> Vec<u8> {
    let mut out = Vec::new();
    Reader::new(Arc::clone(held)).read_to_end(&mut out).await.unwrap();
    out
}

#[tokio::test]
async fn what_is_held_is_read_again_as_often_as_wanted() {
    let folder = TempDir::new().unwrap();
    let shelf = shelf(&folder);
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK] {
        let data: Vec<u8> = (0..length).map(|at| ((at * at) >> 5) as u8).collect();
        for claimed in [length as u64, SMALL + 1] {
            let held = Arc::new(hold(&shelf, &data, 1000, claimed).await);
            assert_eq!(held.length(), length as u64);
            assert!(read(&held).await == data && read(&held).await == data, "{length} of {claimed}");
        }
    }
    assert!(files(&shelf).is_empty(), "files go with what they hold");
}

#[tokio::test]
async fn a_file_is_nobody_elses_to_read() {
    let folder = TempDir::new().unwrap();
    let shelf = shelf(&folder);
    let held = hold(&shelf, &vec![b'x'; 300_000], 70_000, SMALL + 1).await;
    let [path] = &files(&shelf)[..] else { panic!("one file") };
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(bytes.len(), 300_000);
    assert!(!bytes.windows(8).any(|window| window == b"xxxxxxxx"), "it is encrypted");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(held);
}

#[tokio::test]
async fn what_an_earlier_run_left_is_removed() {
    let folder = TempDir::new().unwrap();
    let shelf = shelf(&folder);
    std::fs::create_dir(&shelf.folder).unwrap();
    std::fs::write(shelf.folder.join("0.held"), "old").unwrap();
    std::fs::write(shelf.folder.join("notes.txt"), "the user's").unwrap();
    assert_eq!(files(&self::shelf(&folder)), [shelf.folder.join("notes.txt")]);
}

#[tokio::test]
async fn memory_and_files_are_bounded() {
    let folder = TempDir::new().unwrap();
    let shelf = shelf(&folder);
    let mut held = Vec::new();
    let refused = loop {
        match shelf.fill(SMALL).await {
            Ok(filling) => held.push(filling.finish().await.unwrap()),
            Err(error) => break error,
        }
        assert!(held.len() <= MEMORY + FILES);
    };
    assert!(refused.to_string().contains("too many"));
    let in_memory = held.iter().filter(|held| matches!(held, Held::Memory { .. })).count();
    assert!(in_memory > 0 && in_memory as u64 * SMALL <= MEMORY as u64 * 1024);
    held.pop();
    assert!(shelf.fill(SMALL).await.is_ok(), "there is room again");
}
