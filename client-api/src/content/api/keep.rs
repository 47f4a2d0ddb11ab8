//! `GET /v1/status`, `POST /v1/keygen`, `/v1/pin`, `/v1/unpin`, `/v1/heal`.

use hyper::header::{CACHE_CONTROL, HeaderValue};
use serde_json::json;

use super::answer::{self, Failure, Reply};
use super::query::Query;
use crate::content::Content;

/// The state of the service.
pub(super) async fn status(query: &Query, content: &Content) -> Result<Reply, Failure> {
    query.only(&[])?;
    Ok(answer::json(&content.status().await))
}

/// A new owner's key.
pub(super) fn keygen(query: &Query, content: &Content) -> Result<Reply, Failure> {
    query.only(&[])?;
    let owner = content.new_owner();
    let insert = owner.expose();
    let mut reply = answer::json(&json!({ "insert": insert.as_str(), "public": owner.reader().to_string() }));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(reply)
}

/// Keeps content on this node.
pub(super) async fn pin(query: &Query, content: Content) -> Result<Reply, Failure> {
    query.only(&["uri"])?;
    let uri = query.uri()?;
    answer::long(|mut teller| async move {
        let pinned = teller.follow(content.pin(uri), Clone::clone).await?;
        Ok(json!(pinned))
    })
    .await
}

/// Keeps it like anything else.
pub(super) async fn unpin(query: &Query, content: &Content) -> Result<Reply, Failure> {
    query.only(&["uri"])?;
    let pinned = content.unpin(&query.uri()?).await?;
    Ok(answer::json(&json!({ "unpinned": pinned })))
}

/// Stores again what is missing.
pub(super) async fn heal(query: &Query, content: Content) -> Result<Reply, Failure> {
    query.only(&["uri"])?;
    let uri = query.uri()?;
    answer::long(|mut teller| async move {
        let healed = teller.follow(content.heal(uri), Clone::clone).await?;
        Ok(json!(healed))
    })
    .await
}
