//! `PUT /v1/file` and `POST /v1/redirect`.

use allium_content::uri::Insert;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Body, Incoming};
use serde_json::{Value, json};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::answer::{self, Failure, Reply};
use super::query::Query;
use crate::content::{Content, Error, Published, Source, Upload, Uri};

/// The options of everything that publishes.
pub(super) const OPTIONS: [&str; 5] = ["to", "media", "private", "pin", "only_key"];

/// A request's body, to be read.
pub(super) fn reader(body: Incoming) -> impl AsyncRead + Send + Unpin + 'static {
    let broken = |error| std::io::Error::other(format!("the client broke off what it was sending: {error}"));
    StreamReader::new(body.map_err(broken).into_data_stream())
}

/// What was published, as JSON.
pub(super) fn published(published: &Published) -> Value {
    json!({
        "uri": published.uri.to_string(),
        "chk": published.chk.clone().map(|chk| Uri::from(chk).to_string()),
        "length": published.length,
        "blocks": published.blocks,
    })
}

/// `PUT /v1/file`: publishes the body.
pub(super) async fn file(
    request: Request<Incoming>,
    query: &Query,
    content: Content,
) -> Result<Reply, Failure> {
    query.only(&OPTIONS)?;
    let options = query.put_options(request.headers())?;
    let length = request.body().size_hint().exact();
    let source = Source::Stream(Box::new(reader(request.into_body())), length);
    answer::long(|mut teller| async move {
        let done = teller.follow(content.put(Upload::File(source), options), Clone::clone).await?;
        Ok(published(&done))
    })
    .await
}

/// `POST /v1/redirect`: a name for something that is published already.
pub(super) async fn redirect(
    request: &Request<Incoming>,
    query: &Query,
    content: Content,
) -> Result<Reply, Failure> {
    query.only(&["uri", "to", "pin", "only_key"])?;
    let options = query.put_options(request.headers())?;
    if matches!(options.to, Insert::Chk { .. }) {
        let said = "a redirect is published under an SSK, a USK or a KSK: a CHK can't be chosen".to_owned();
        return Err(Error::Unpublishable(said).into());
    }
    let target = query.uri()?;
    answer::long(|mut teller| async move {
        let done = teller.follow(content.put(Upload::Redirect(target), options), Clone::clone).await?;
        Ok(published(&done))
    })
    .await
}
