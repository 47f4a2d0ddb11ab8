use super::*;

/// What a client that says this first is told, and whether the connection is closed then.
async fn first(bytes: &[u8]) -> u16 {
    let node = node();
    let mut client = node.connect();
    client.raw(bytes).await;
    let error = client.error().await;
    assert!(client.next().await.is_none(), "the connection is closed");
    error
}

#[tokio::test]
async fn nothing_comes_before_hello() {
    assert_eq!(first(b"ClientGet\nIdentifier=1\nURI=KSK@a\nEndMessage\n").await, 1);
    assert_eq!(first(b"ClientPut\nDataLength=3\nData\nabc").await, 1);
    assert_eq!(first(b"ClientHello\nExpectedVersion=2.0\nEndMessage\n").await, 5);
    // A page in a browser can make it send this: it must not get any further.
    let posted = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9481\r\n\r\nClientHello\nName=x\nEndMessage\n";
    assert_eq!(first(posted).await, 1);
    assert_eq!(first(&vec![b'a'; 100_000]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn silence_does_not_hold_a_connection() {
    let node = node();
    let mut silent = node.connect();
    assert!(silent.next().await.is_none());
    let mut halfway = node.client("one").await;
    halfway.raw(b"ClientGet\nIdent").await;
    assert!(halfway.next().await.is_none());
    let mut stingy = node.client("one").await;
    stingy.raw(b"ClientPut\nIdentifier=1\nURI=CHK@\nDataLength=1000000000\nData\nabc").await;
    assert!(stingy.next().await.is_none());
}

#[tokio::test]
async fn data_of_refused_messages_is_passed_over() {
    let node = node();
    let mut client = node.client("one").await;
    client.say_with("ClientPut Identifier=1 URI=nothing", &vec![b'\n'; 100_000]).await;
    assert_eq!(client.error().await, 4);
    client.say_with("MakeCoffee Identifier=1", b"ClientHello\n").await;
    assert_eq!(client.error().await, 7);
    client.say("ClientPut Identifier=1 URI=CHK@ DataLength=5").await;
    assert_eq!(client.error().await, 3, "no data came");
    client.say("ClientPut Identifier=1 URI=CHK@").await;
    assert_eq!(client.error().await, 5);
    assert!(client.put("CHK@", b"all is well").await.starts_with("CHK@"));
}

#[tokio::test]
async fn data_without_a_length_ends_the_connection() {
    for message in [
        &b"ClientPut\nIdentifier=1\nURI=CHK@\nData\nabc"[..],
        b"ClientPut\nIdentifier=1\nURI=CHK@\nDataLength=-1\nData\nabc",
        b"ClientPut\nIdentifier=1\nURI=CHK@\nDataLength=18446744073709551615\nData\nabc",
        b"ClientPutComplexDir\nFiles.0.Name=a\nFiles.0.DataLength=18446744073709551615\n\
            Files.1.Name=b\nFiles.1.DataLength=2\nData\nabc",
        b"ClientPutComplexDir\nFiles.0.Name=a\nData\nabc",
    ] {
        let node = node();
        let mut client = node.client("one").await;
        client.raw(message).await;
        assert_eq!(client.error().await, 3);
        assert!(client.next().await.is_none());
    }
}

#[tokio::test]
async fn paths_that_lead_out_of_a_folder_are_refused() {
    let node = node();
    let mut client = node.client("one").await;
    for name in ["../a", "a/../b", "", "/", "a\\b", "a//b"] {
        let folder = message(&format!("ClientPutComplexDir Identifier=1 URI=CHK@ Files.0.Name={name}"));
        client
            .send(&folder.with("Files.0.UploadFrom", "redirect").with("Files.0.TargetURI", "KSK@a"), None)
            .await;
        assert_eq!(client.error().await, 8, "{name}");
    }
    client.say("ClientPutComplexDir Identifier=1 URI=CHK@").await;
    assert_eq!(client.error().await, 5);
}

#[tokio::test]
async fn ten_thousand_identifiers() {
    let node = node();
    let mut client = node.client("one").await;
    client.say("WatchGlobal Enabled=false").await;
    let mut refused = 0;
    for id in 0..10_000 {
        client.say(&format!("ClientGet Identifier={id} URI=KSK@none Persistence=forever Global=true")).await;
        if id % 500 == 499 {
            // What has been said so far is heard before the answer to this.
            client.say(&format!("GetRequestStatus Identifier={id}")).await;
            while client.hear("ProtocolError").await.get("Code") != Some("15") {
                refused += 1;
            }
        }
    }
    assert!((1000..10_000).contains(&refused), "a queue is bounded: {refused}");
    client.say("RemoveRequest Identifier=0 Global=true").await;
    client.hear("PersistentRequestRemoved").await;
}

#[tokio::test]
async fn a_client_that_does_not_listen_is_not_listened_to() {
    let node = node();
    let (mut deaf, theirs) = connection(4096);
    tokio::spawn(Arc::clone(&node.fcp).serve(theirs));
    let hello = b"ClientHello\nName=deaf\nEndMessage\n";
    deaf.write_all(hello).await.unwrap();
    let flood = b"MakeCoffee\nEndMessage\n".repeat(100);
    let mut taken = 0;
    // Until a write waits for as long as nothing else would.
    while timeout(Duration::from_millis(500), deaf.write_all(&flood)).await.is_ok() {
        taken += flood.len();
        assert!(taken < 10 << 20, "it takes more than it can answer");
    }
    assert!(node.client("other").await.put("CHK@", b"served all the same").await.starts_with("CHK@"));
}

#[tokio::test]
async fn requests_end_with_their_connection() {
    let node = node();
    let mut client = node.client("one").await;
    client.say("SubscribeUSK Identifier=1 URI=KSK@x").await;
    assert_eq!(client.error().await, 4);
    let (_, public) = client.keys().await;
    let usk = format!("{}x/0", public.replace("SSK@", "USK@"));
    client.say(&format!("SubscribeUSK Identifier=1 URI={usk}")).await;
    client.hear("SubscribedUSK").await;
    client.say(&format!("SubscribeUSK Identifier=1 URI={usk}")).await;
    client.hear("IdentifierCollision").await;
    drop(client);
    // All that the connection held goes, its subscriptions too: the node ends once it is told to.
    node.fcp.tasks.stop().cancel();
    node.fcp.tasks.ended().await;
}
