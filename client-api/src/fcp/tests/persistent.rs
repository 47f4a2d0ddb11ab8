use super::*;

#[tokio::test]
async fn the_global_queue_outlives_connections() {
    let node = node();
    let mut watcher = node.client("watcher").await;
    watcher.say("WatchGlobal Enabled=true").await;
    watcher.say("ListPersistentRequests Identifier=__global").await;
    assert_eq!(watcher.hear("EndListPersistentRequests").await.get("Identifier"), Some("__global"));
    let mut client = node.client("one").await;
    let put = "ClientPut Identifier=site|a.txt URI=CHK@ Persistence=forever Global=true";
    client.say_with(put, b"hello").await;
    let shown = watcher.hear("PersistentPut").await;
    assert_eq!((shown.get("Global"), shown.get("Identifier")), (Some("true"), Some("site|a.txt")));
    let uri = watcher.wait_for("PutSuccessful").await.0.get("URI").unwrap().to_owned();
    client.say("Disconnect").await;
    assert!(client.next().await.is_none(), "who does not watch hears nothing");
    let mut later = node.client("later").await;
    later.say("WatchGlobal Enabled=True").await;
    later.say("ListPersistentRequests").await;
    later.hear("PersistentPut").await;
    assert_eq!(later.hear("URIGenerated").await.get("URI"), Some(uri.as_str()));
    assert_eq!(later.hear("PutSuccessful").await.get("URI"), Some(uri.as_str()));
    later.hear("EndListPersistentRequests").await;
    later.say_with(put, b"hello").await;
    assert_eq!(later.hear("IdentifierCollision").await.get("Global"), Some("true"));
    later.say("RemovePersistentRequest Identifier=site|a.txt Global=True").await;
    later.hear("PersistentRequestRemoved").await;
    watcher.hear("PersistentRequestRemoved").await;
    later.say("RemoveRequest Identifier=site|a.txt Global=true").await;
    assert_eq!(later.error().await, 15);
}

#[tokio::test]
async fn a_clients_own_requests_are_found_by_its_name() {
    let node = node();
    let mut client = node.client("one").await;
    let uri = client.put("CHK@", b"hello").await;
    client.say(&format!("ClientGet Identifier=mine URI={uri} Persistence=reboot ClientToken=t")).await;
    client.hear("PersistentGet").await;
    client.wait_for("DataFound").await;
    // The data is sent when it is asked for.
    client.say("GetRequestStatus Identifier=mine").await;
    assert_eq!(client.hear("PersistentGet").await.get("ClientToken"), Some("t"));
    assert_eq!(client.wait_for("AllData").await.1, b"hello");
    let mut other = node.client("two").await;
    other.say("GetRequestStatus Identifier=mine").await;
    assert_eq!(other.error().await, 15);
    let mut again = node.client("one").await;
    again.say("ModifyPersistentRequest Identifier=mine ClientToken=new PriorityClass=1").await;
    assert_eq!(again.hear("PersistentRequestModified").await.get("ClientToken"), Some("new"));
    again.say("GetRequestStatus Identifier=mine OnlyData=true").await;
    assert_eq!(again.next().await.unwrap().1, b"hello");
    again.say("ListPersistentRequests").await;
    assert_eq!(again.hear("PersistentGet").await.get("ClientToken"), Some("new"));
    again.hear("DataFound").await;
    again.hear("EndListPersistentRequests").await;
}

#[tokio::test]
async fn a_requests_identifier_is_free_again_once_it_has_ended() {
    let node = node();
    let mut client = node.client("one").await;
    for round in 0..50u8 {
        let uri = client.put("CHK@", &[round]).await;
        assert_eq!(client.get(&uri).await, [round]);
    }
    client.say("ClientGet Identifier=1 URI=KSK@none Persistence=connection Global=true").await;
    assert_eq!(client.error().await, 16);
    client.say("ClientGet Identifier=1 URI=KSK@none Persistence=always").await;
    assert_eq!(client.error().await, 8);
}

#[tokio::test]
async fn a_request_ends_with_its_connection_or_when_it_is_removed() {
    let node = node();
    let mut client = node.client("one").await;
    let uri = client.put("CHK@", b"hello").await;
    node.stall();
    client.say(&format!("ClientGet Identifier=1 URI={uri}")).await;
    node.until_asked(true).await;
    client.say(&format!("ClientGet Identifier=1 URI={uri}")).await;
    client.hear("IdentifierCollision").await;
    client.say("RemoveRequest Identifier=1").await;
    client.hear("PersistentRequestRemoved").await;
    node.until_asked(false).await;
    client.say(&format!("ClientGet Identifier=1 URI={uri}")).await;
    node.until_asked(true).await;
    drop(client);
    node.until_asked(false).await;
    let mut client = node.client("one").await;
    client.say(&format!("ClientGet Identifier=1 URI={uri} Persistence=forever")).await;
    node.until_asked(true).await;
    drop(client);
    node.blocks.state().stuck.clear();
    let mut client = node.client("one").await;
    client.say("GetRequestStatus Identifier=1").await;
    client.wait_for("PersistentGet").await;
    client.say("RemoveRequest Identifier=1").await;
    client.wait_for("PersistentRequestRemoved").await;
    node.until_asked(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_can_not_be_asked_is_no_missing_content() {
    let node = node();
    let mut client = node.client("one").await;
    let uri = client.put("CHK@", b"hello").await;
    node.blocks.state().down = true;
    client.say(&format!("ClientGet Identifier=1 URI={uri}")).await;
    let failed = client.hear("GetFailed").await;
    assert_eq!((failed.get("Code"), failed.get("Fatal")), (Some("14"), Some("false")));
    client.say_with("ClientPut Identifier=1 URI=CHK@", b"other").await;
    assert_eq!(client.hear("PutFailed").await.get("Code"), Some("5"));
}
