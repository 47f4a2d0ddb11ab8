use sha2::{Digest, Sha256};

use super::*;

/// Shows that the client can read or write in a folder, if it does.
async fn test(client: &mut Client, folder: &Path, want: &str, honest: bool) -> Message {
    client.say(&format!("TestDDARequest Directory={} {want}=true", folder.display())).await;
    let asked = client.hear("TestDDAReply").await;
    let mut response = message(&format!("TestDDAResponse Directory={}", folder.display()));
    if let Some(path) = asked.get("ReadFilename") {
        let read = if honest { std::fs::read_to_string(path).unwrap() } else { "guess".to_owned() };
        response = response.with("ReadContent", read);
    }
    if let Some(path) = asked.get("WriteFilename") {
        let content = asked.get("ContentToWrite").unwrap();
        assert!(content.starts_with(|letter: char| letter.is_ascii_alphabetic()), "no number for anybody");
        std::fs::write(path, if honest { content } else { "guess" }).unwrap();
    }
    client.send(&response, None).await;
    let complete = client.hear("TestDDAComplete").await;
    if let Some(path) = asked.get("WriteFilename") {
        std::fs::remove_file(path).unwrap();
    }
    let left = std::fs::read_dir(folder).unwrap();
    let left =
        left.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".allium"));
    assert_eq!(left.count(), 0, "the test leaves nothing");
    complete
}

#[tokio::test]
async fn files_are_read_where_the_client_can_read() {
    let node = node();
    let mut client = node.client("one").await;
    let file = node.path().join("a.txt");
    std::fs::write(&file, "hello").unwrap();
    let put = format!("ClientPut Identifier=1 URI=CHK@ UploadFrom=disk Filename={}", file.display());
    client.say(&put).await;
    assert_eq!(client.error().await, 25, "nothing is shown yet");
    let wrong = test(&mut client, node.path(), "WantReadDirectory", false).await;
    assert_eq!(wrong.get("ReadDirectoryAllowed"), Some("false"));
    client.say(&put).await;
    assert_eq!(client.error().await, 25);
    let right = test(&mut client, node.path(), "WantReadDirectory", true).await;
    assert_eq!((right.get("ReadDirectoryAllowed"), right.get("WriteDirectoryAllowed")), (Some("true"), None));
    client.say(&put).await;
    let uri = client.wait_for("PutSuccessful").await.0.get("URI").unwrap().to_owned();
    assert!(uri.ends_with("/a.txt"), "the file's own name: {uri}");
    assert_eq!(client.get(&uri).await, b"hello");
    client.say(&put.replace("a.txt", "b.txt")).await;
    assert_eq!(client.error().await, 9);
    let folder = format!("Files.0.Name=x Files.0.UploadFrom=disk Files.0.Filename={}", file.display());
    client.say(&format!("ClientPutComplexDir Identifier=1 URI=CHK@ DefaultName=x {folder}")).await;
    let uri = client.wait_for("PutSuccessful").await.0.get("URI").unwrap().to_owned();
    assert_eq!(client.get(&uri).await, b"hello");
}

#[tokio::test]
async fn a_hash_shows_that_the_client_knows_the_file() {
    let node = node();
    let mut client = node.client("one").await;
    let file = node.path().join("a.txt");
    std::fs::write(&file, "hello").unwrap();
    let hash = |id: &str| {
        // Base64 by hand: the hash is 32 bytes.
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut hash = Sha256::digest(format!("{}-{id}-hello", client.salt)).to_vec();
        hash.push(0);
        let letters = hash.chunks(3).flat_map(|three| {
            let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
            [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 63) as usize] as char)
        });
        letters.take(43).collect::<String>() + "="
    };
    let put = format!("ClientPut URI=CHK@ UploadFrom=disk Filename={}", file.display());
    let (right, wrong) = (hash("1"), hash("2"));
    client.say(&format!("{put} Identifier=1 FileHash={wrong}")).await;
    assert_eq!(client.error().await, 25);
    client.say(&format!("{put} Identifier=1 FileHash={right}")).await;
    client.wait_for("PutSuccessful").await;
}

#[tokio::test]
async fn downloads_are_written_and_nothing_is_overwritten() {
    let node = node();
    let mut client = node.client("one").await;
    let uri = client.put("CHK@", b"hello").await;
    let file = node.path().join("new.txt");
    let get = format!("ClientGet Identifier=1 URI={uri} ReturnType=disk Filename={}", file.display());
    client.say(&get).await;
    assert_eq!(client.error().await, 25);
    let wrong = test(&mut client, node.path(), "WantWriteDirectory", false).await;
    assert_eq!(wrong.get("WriteDirectoryAllowed"), Some("false"));
    client.say(&get).await;
    assert_eq!(client.error().await, 25);
    test(&mut client, node.path(), "WantWriteDirectory", true).await;
    client.say(&get).await;
    client.hear("DataFound").await;
    assert_eq!(std::fs::read(&file).unwrap(), b"hello", "it is whole when the client hears of it");
    std::fs::write(&file, "mine").unwrap();
    client.say(&get).await;
    assert_eq!(client.error().await, 10);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    client.say(&get.replace("new.txt", "none.txt").replace(&uri, "KSK@none")).await;
    client.hear("GetFailed").await;
    assert!(!node.path().join("none.txt").exists(), "no file where nothing was found");
}

#[cfg(unix)]
#[tokio::test]
async fn links_lead_nowhere() {
    let node = node();
    let mut client = node.client("one").await;
    let (mine, other) = (node.path().join("mine"), node.path().join("other"));
    std::fs::create_dir(&mine).unwrap();
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(other.join("secret"), mine.join("link")).unwrap();
    test(&mut client, &mine, "WantReadDirectory", true).await;
    let link = mine.join("link");
    client.say(&format!("ClientPut Identifier=1 URI=CHK@ UploadFrom=disk Filename={}", link.display())).await;
    assert_eq!(client.error().await, 25);
    let around = mine.join("../other/secret");
    client
        .say(&format!("ClientPut Identifier=1 URI=CHK@ UploadFrom=disk Filename={}", around.display()))
        .await;
    assert_eq!(client.error().await, 25);
    client.say("TestDDARequest Directory=relative WantReadDirectory=true").await;
    assert_eq!(client.error().await, 8);
    client.say("TestDDARequest Directory=/there/is/none WantReadDirectory=true").await;
    assert_eq!(client.error().await, 9);
    client.say(&format!("TestDDAResponse Directory={}", other.display())).await;
    assert_eq!(client.error().await, 25);
}
