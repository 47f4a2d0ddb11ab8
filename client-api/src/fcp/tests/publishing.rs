use super::*;

const FREENET: &str =
    "CHK@FR~anQPhpw7lZjxl96o1b875tem~5xExPTiSa6K3Wus,yuGOWhpqFY5N9i~N4BjM0Oh6Bk~Kkb7sE4l8GAsdBEs,AAMC--8";

#[tokio::test]
async fn a_file_under_its_own_key() {
    let node = node();
    let mut client = node.client("one").await;
    let uri = client.put("CHK@", b"hello").await;
    assert!(uri.starts_with("CHK@"), "no scheme: {uri}");
    assert_eq!(client.get(&uri).await, b"hello");
    assert_eq!(client.get(&format!("freenet:{uri}")).await, b"hello");
    let empty = client.put("CHK@", b"").await;
    assert_eq!(client.get(&empty).await, b"");
}

#[tokio::test]
async fn names_and_content_types() {
    let node = node();
    let mut client = node.client("one").await;
    let put = "ClientPut Identifier=1 URI=CHK@ TargetFilename=a.html Metadata.ContentType=text/x-own";
    client.say_with(put, b"hello").await;
    let uri = client.wait_for("PutSuccessful").await.0.get("URI").unwrap().to_owned();
    assert!(uri.ends_with("/a.html"));
    client.say(&format!("ClientGet Identifier=1 URI={uri} ReturnType=none Verbosity=1023")).await;
    client.hear("SendingToNetwork").await;
    assert_eq!(client.hear("ExpectedMIME").await.get("Metadata.ContentType"), Some("text/x-own"));
    assert_eq!(client.hear("ExpectedDataLength").await.get("DataLength"), Some("5"));
    let progress = client.hear("SimpleProgress").await;
    assert!(progress.get("Required").is_some() && progress.get("FinalizedTotal").is_some());
    let found = client.wait_for("DataFound").await.0;
    assert_eq!((found.get("Metadata.ContentType"), found.get("DataLength")), (Some("text/x-own"), Some("5")));
    client.say_with("ClientPut Identifier=1 URI=CHK@ Metadata.ContentType=text", b"hello").await;
    assert_eq!(client.error().await, 35);
    client.say_with("ClientPut Identifier=1 URI=CHK@ TargetFilename=a/b", b"hello").await;
    assert_eq!(client.error().await, 8);
}

#[tokio::test]
async fn only_the_key() {
    let node = node();
    let mut client = node.client("one").await;
    client.say_with("ClientPut Identifier=1 URI=CHK@ GetCHKOnly=true", b"hello").await;
    let uri = client.hear("URIGenerated").await.get("URI").unwrap().to_owned();
    assert_eq!(client.hear("PutSuccessful").await.get("URI"), Some(uri.as_str()));
    client.say(&format!("ClientGet Identifier=1 URI={uri}")).await;
    let failed = client.hear("GetFailed").await;
    assert_eq!(
        (failed.get("Code"), failed.get("ShortCodeDescription")),
        (Some("13"), Some("Data not found"))
    );
    // This is how pyFreenet finds the public key of a private one.
    let (private, public) = client.keys().await;
    client.say_with(&format!("ClientPut Identifier=1 URI={private}foo GetCHKOnly=true"), b"bar").await;
    assert_eq!(client.wait_for("PutSuccessful").await.0.get("URI"), Some(format!("{public}foo").as_str()));
    assert_eq!(client.put(&format!("{private}foo"), b"other").await, format!("{public}foo"));
}

#[tokio::test]
async fn documents_and_words() {
    let node = node();
    let mut client = node.client("one").await;
    let (private, public) = client.keys().await;
    assert!(private.starts_with("SSK@") && private.ends_with('/') && private.split(',').count() == 3);
    let uri = client.put(&format!("freenet:{private}name"), b"first").await;
    assert_eq!(uri, format!("{public}name"));
    assert_eq!(client.get(&uri).await, b"first");
    client.say_with(&format!("ClientPut Identifier=1 URI={private}name"), b"second").await;
    assert_eq!(client.hear("PutFailed").await.get("Code"), Some("9"));
    assert_eq!(client.put("KSK@gpl.txt", b"word").await, "KSK@gpl.txt");
    assert_eq!(client.get("KSK@gpl.txt").await, b"word");
    client.say(&format!("ClientPut Identifier=1 URI=KSK@link UploadFrom=redirect TargetURI={uri}")).await;
    client.wait_for("PutSuccessful").await;
    assert_eq!(client.get("KSK@link").await, b"first");
}

#[tokio::test]
async fn editions() {
    let node = node();
    let mut client = node.client("one").await;
    let (private, public) = client.keys().await;
    let site = |key: &str| format!("{}site/0", key.replace("SSK@", "USK@"));
    client.say(&format!("SubscribeUSK Identifier=news URI={}", site(&public))).await;
    client.hear("SubscribedUSK").await;
    assert_eq!(client.put(&site(&private), b"zero").await, site(&public), "without a slash at its end");
    let second = node.client("two").await.put(&site(&private), b"one").await;
    assert!(second.ends_with("/site/1"), "the next free edition: {second}");
    let mut heard = Vec::new();
    while heard.last() != Some(&1) {
        let (update, _) = client.wait_for("SubscribedUSKUpdate").await;
        assert_eq!(update.get("Identifier"), Some("news"));
        heard.push(update.get("Edition").unwrap().parse::<u64>().unwrap());
    }
    client.say("UnsubscribeUSK Identifier=news").await;
    client.say("UnsubscribeUSK Identifier=news").await;
    assert_eq!(client.error().await, 15);
    // Who asks for an old edition is sent to the new one.
    client.say(&format!("ClientGet Identifier=1 URI={}", site(&public))).await;
    let failed = client.hear("GetFailed").await;
    assert_eq!((failed.get("Code"), failed.get("ShortCodeDescription")), (Some("27"), Some("New URI")));
    assert_eq!(failed.get("RedirectURI"), Some(second.as_str()));
    client.say(&format!("ClientGet Identifier=1 URI={second}")).await;
    assert_eq!(client.wait_for("AllData").await.1, b"one");
    client.say("SubscribeUSK Identifier=1 URI=KSK@word").await;
    assert_eq!(client.error().await, 4);
}

#[tokio::test]
async fn a_folder() {
    let node = node();
    let mut client = node.client("one").await;
    let page = client.put("CHK@", b"a page of its own").await;
    let (private, public) = client.keys().await;
    let folder = message(&format!(
        "ClientPutComplexDir Identifier=dir DefaultName=index.html URI={private}site \
         Files.0.Name=index.html Files.0.UploadFrom=direct Files.0.DataLength=5 \
         Files.1.Name=empty.txt Files.1.DataLength=0 \
         Files.2.Name=sub/page.html Files.2.UploadFrom=redirect Files.2.TargetURI={page} \
         Files.3.Name=sub/b.txt Files.3.DataLength=3 Files.3.Metadata.ContentType=text/x-own"
    ));
    let mut bytes = BytesMut::new();
    folder.encode(None, &mut bytes);
    let text = String::from_utf8(bytes.to_vec()).unwrap().replace("EndMessage\n", "Data\nhelloabc");
    client.raw(text.as_bytes()).await;
    let uri = client.wait_for("PutSuccessful").await.0.get("URI").unwrap().to_owned();
    assert_eq!(uri, format!("{public}site"));
    for (path, data) in
        [("", "hello"), ("/index.html", "hello"), ("/empty.txt", ""), ("/sub/page.html", "a page of its own")]
    {
        assert_eq!(client.get(&format!("{uri}{path}")).await, data.as_bytes(), "{path}");
    }
    client.say(&format!("ClientGet Identifier=1 URI={uri}/sub/b.txt")).await;
    assert_eq!(client.wait_for("DataFound").await.0.get("Metadata.ContentType"), Some("text/x-own"));
    client.wait_for("AllData").await;
    client.say(&format!("ClientGet Identifier=1 URI={uri}/none")).await;
    assert_eq!(client.hear("GetFailed").await.get("Code"), Some("10"));
}

#[tokio::test]
async fn keys_that_can_not_be_used_are_refused_at_once() {
    let node = node();
    let mut client = node.client("one").await;
    client.say(&format!("ClientGet Identifier=1 URI={FREENET}")).await;
    let error = client.hear("ProtocolError").await;
    assert_eq!((error.get("Code"), error.get("Identifier")), (Some("4"), Some("1")));
    assert!(error.get("ExtraDescription").unwrap().contains("Freenet"));
    let (_, public) = client.keys().await;
    client.say_with(&format!("ClientPut Identifier=1 URI={public}name"), b"data").await;
    assert_eq!(client.error().await, 4);
    client.say("ClientGet Identifier=1").await;
    assert_eq!(client.error().await, 5);
    client.say("ClientGet URI=KSK@word").await;
    assert_eq!(client.error().await, 5);
    for refused in ["DSOnly=true", "FilterData=true", "BinaryBlob=true"] {
        client.say(&format!("ClientGet Identifier=1 URI=KSK@word {refused}")).await;
        assert_eq!(client.error().await, 16, "{refused}");
    }
    client.say("ClientGet Identifier=1 URI=KSK@word MaxSize=much").await;
    assert_eq!(client.error().await, 6);
}

#[tokio::test]
async fn what_is_too_long_is_not_fetched() {
    let node = node();
    let mut client = node.client("one").await;
    let uri = client.put("CHK@", &[1; 1000]).await;
    client.say(&format!("ClientGet Identifier=1 MaxSize=999 URI={uri}")).await;
    let failed = client.hear("GetFailed").await;
    assert_eq!((failed.get("Code"), failed.get("ExpectedDataLength")), (Some("21"), Some("1000")));
}

#[tokio::test]
async fn large_files_go_through_the_disk() {
    let node = node();
    let mut client = node.client("one").await;
    let data: Vec<u8> = (0..3_000_000u32).map(|at| (at.wrapping_mul(at) >> 9) as u8).collect();
    let uri = client.put("CHK@", &data).await;
    assert!(client.get(&uri).await == data);
    let left = std::fs::read_dir(node.path().join("fcp")).unwrap().count();
    assert_eq!(left, 0, "nothing is left there");
}
