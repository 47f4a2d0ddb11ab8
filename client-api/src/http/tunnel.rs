//! CONNECT and upgrades: connections that stop being HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{HttpProxy, Page, Reply, Site};
use crate::copy::{Ended, Watched, bridge};
use crate::listen::Tasks;
use crate::router::{Connection, Stream};

/// Answers CONNECT: opens a stream and lets the client have it.
///
/// # Errors
/// The page that says why not.
pub(super) async fn connect(proxy: &Arc<HttpProxy>, request: Request<Incoming>) -> Result<Reply, Page> {
    let site = Site::named(request.uri(), 443)?;
    let stream =
        proxy.open(&site.host, site.port).await.map_err(|failure| Page::failure(&site.host, &failure))?;
    let stop = proxy.tasks.stop().clone();
    proxy.tasks.spawn(async move {
        if let Ok(client) = hyper::upgrade::on(request).await {
            carry(client, stream, &stop).await;
        }
    });
    Ok(Response::new(Either::Left(Full::new(Bytes::new()))))
}

/// Carries bytes between a client that said CONNECT and its stream.
async fn carry(client: hyper::upgrade::Upgraded, mut stream: Stream, stop: &CancellationToken) {
    match client.downcast::<TokioIo<Watched<Connection>>>() {
        // The client's own connection, without hyper's layers between.
        Ok(parts) => {
            let ended = bridge(&parts.read_buf, &mut parts.io.into_inner(), &mut stream, stop).await;
            reset_unless_finished(&mut stream, &ended);
        }
        Err(client) => {
            let ended = bridge(&[], &mut TokioIo::new(client), &mut stream, stop).await;
            reset_unless_finished(&mut stream, &ended);
        }
    }
}

fn reset_unless_finished(stream: &mut Stream, ended: &Ended) {
    if matches!(ended, Ended::Failed(_) | Ended::Idle) {
        stream.reset();
    }
}

/// After a switch of protocols, carries bytes between client and site.
pub(super) fn switch(tasks: &Tasks, client: OnUpgrade, site: OnUpgrade) {
    let stop = tasks.stop().clone();
    tasks.spawn(async move {
        if let (Ok(client), Ok(site)) = tokio::join!(client, site) {
            carry_both(TokioIo::new(client), TokioIo::new(site), &stop).await;
        }
    });
}

async fn carry_both(
    mut client: impl AsyncRead + AsyncWrite + Unpin,
    mut site: impl AsyncRead + AsyncWrite + Unpin,
    stop: &CancellationToken,
) {
    // Whatever ended it, both sides are dropped, and so closed.
    let ended = bridge(&[], &mut client, &mut site, stop).await;
    tracing::trace!(?ended, "an upgraded connection ended");
}
