//! Publishing by form.

use super::*;

/// Sends a form with its token, and waits until its job's page shows what came of it.
async fn published(world: &World, form: &[(&str, Option<&str>, &str)]) -> String {
    let token = world.gateway.token.text().to_owned();
    let mut whole = vec![("token", None, token.as_str())];
    whole.extend_from_slice(form);
    let reply = world.post("/-/publish", "Origin: http://127.0.0.1:8888\r\n", &whole).await;
    assert_eq!(status(&reply), 303, "{reply}");
    let at = header(&reply, "location").unwrap().to_owned();
    loop {
        let page = world.get(&at).await;
        if !page.contains("http-equiv=\"refresh\"") {
            return page;
        }
        tokio::task::yield_now().await;
    }
}

/// The link on the page of a job that has ended.
fn link(page: &str) -> &str {
    page.split_once("id=\"open\" href=\"").expect(page).1.split('"').next().unwrap()
}

#[tokio::test]
async fn a_file_comes_back() {
    let world = world();
    let text = "a line of text\n".repeat(40_000);
    let page = published(&world, &[("private", None, "yes"), ("file", Some("notes.txt"), &text)]).await;
    assert!(link(&page).ends_with("/notes.txt"), "{page}");
    let file = world.get(link(&page)).await;
    assert_eq!(header(&file, "content-type"), Some("text/plain; charset=utf-8"));
    assert!(body(&file) == text);
}

#[tokio::test]
async fn a_file_has_the_name_and_word_that_were_asked_for() {
    let world = world();
    let page = published(&world, &[("key", None, "my word"), ("file", Some("a.txt"), "text")]).await;
    assert_eq!(link(&page), "/KSK@my%20word");
    assert_eq!(body(&world.get("/KSK@my%20word").await), "text");
    let page = published(&world, &[("name", None, "b.txt"), ("file", Some("a.txt"), "text")]).await;
    assert!(link(&page).ends_with("/b.txt"), "{page}");
}

#[tokio::test]
async fn a_folder_comes_back() {
    let world = world();
    let large = "0123456789".repeat(50_000);
    let form = [
        ("files", Some("site/index.html"), "<p>front"),
        ("files", Some("site/big/large.txt"), large.as_str()),
        ("files", Some("site/big/small.txt"), "small"),
    ];
    let page = published(&world, &form).await;
    let at = link(&page).to_owned();
    assert!(at.ends_with('/'), "{page}");
    assert_eq!(body(&world.get(&at).await), "<p>front");
    assert_eq!(body(&world.get(&format!("{at}big/small.txt")).await), "small");
    assert!(body(&world.get(&format!("{at}big/large.txt")).await) == large);
}

#[tokio::test]
async fn what_can_not_be_published_says_why() {
    let world = world();
    let token = world.gateway.token.text().to_owned();
    for form in [
        [("key", None, ""), ("files", Some("site/../../x"), "x")],
        [("key", None, "CHK@abc"), ("file", Some("a.txt"), "x")],
        [("name", None, "a/../b"), ("file", Some("a.txt"), "x")],
    ] {
        let whole = [("token", None, token.as_str()), form[0], form[1]];
        assert_eq!(status(&world.post("/-/publish", "", &whole).await), 400, "{form:?}");
    }
}

/// A form whose file does not end.
fn endless(world: &World) -> String {
    let token = world.gateway.token.text();
    format!(
        "POST /-/publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=xyz\r\n\
         Content-Length: 100000\r\n\r\n--xyz\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n\
         --xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nsome"
    )
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_given_up() {
    let world = world();
    let request = endless(&world);
    let room = || world.gateway.jobs.room().is_some();
    for _ in 0..40 {
        let mut client = world.client();
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut said = Vec::new();
        let _ = client.read_to_end(&mut said).await;
    }
    assert!(room());
}

#[tokio::test]
async fn there_are_only_so_many_uploads_at_a_time() {
    let world = world();
    let mut clients = Vec::new();
    while world.gateway.jobs.room().is_some() {
        let mut client = world.client();
        client.write_all(endless(&world).as_bytes()).await.unwrap();
        clients.push(client);
        tokio::task::yield_now().await;
        assert!(clients.len() < 1000);
    }
    let token = world.gateway.token.text().to_owned();
    let form = [("token", None, token.as_str()), ("file", Some("a.txt"), "text")];
    let busy = world.post("/-/publish", "", &form).await;
    assert_eq!((status(&busy), header(&busy, "retry-after")), (503, Some("30")));
    // Clients that go away make room.
    clients.clear();
    while world.gateway.jobs.room().is_none() {
        tokio::task::yield_now().await;
    }
}
