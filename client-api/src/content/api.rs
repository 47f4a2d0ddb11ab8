//! The local API: HTTP/1.1 over a Unix socket, by which programs of this machine publish and fetch.
//!
//! docs/content-api.md says what there is to ask. Who may open the socket (mode 0600) may do everything, so there is
//! no token, and the API never listens at a TCP port. A client that goes away gives up what it asked for.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Content;

mod answer;
mod fetch;
mod folder;
mod keep;
mod publish;
mod query;
mod range;

use answer::{Failure, Reply};
use query::Query;

/// The socket's name in the data folder.
pub const SOCKET: &str = "content.sock";

/// Clients at a time; further ones wait.
const CLIENTS: usize = 64;
/// How long a client may take to send a request's head; also how long an unused connection is kept.
const HEAD: Duration = Duration::from_mins(1);
/// The read buffer of a connection, at most, and so the longest head.
const BUFFER: usize = 64 * 1024;
/// How long requests that are being answered may go on once the router stops.
const GRACE: Duration = Duration::from_secs(2);

/// Answers at the socket `path` until `stop`; the socket's file is gone when this returns.
///
/// # Errors
/// If another router answers there, or the socket can't be made.
pub async fn serve(path: PathBuf, content: Content, stop: CancellationToken) -> io::Result<()> {
    let listener = listen(&path).await?;
    let room = Arc::new(Semaphore::new(CLIENTS));
    let clients = TaskTracker::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepted => accepted,
        };
        match accepted {
            (Ok(place), Ok((stream, _))) => {
                let (content, stop) = (content.clone(), stop.clone());
                clients.spawn(async move {
                    client(stream, content, stop).await;
                    drop(place);
                });
            }
            (Err(_closed), _) => break,
            (_, Err(error)) => {
                // Out of file descriptors, or a client that was gone already: neither lasts.
                tracing::warn!(%error, "the content API can't accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    clients.close();
    clients.wait().await;
    let _ = std::fs::remove_file(&path);
    Ok(())
}

/// Listens at a socket that nobody answers at, in the place of one that a killed router left.
async fn listen(path: &Path) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        let said = format!("{} belongs to a router that runs already", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, said));
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Serves one client.
async fn client(stream: UnixStream, content: Content, stop: CancellationToken) {
    let service = hyper::service::service_fn(move |request| {
        let content = content.clone();
        async move { Ok::<_, Infallible>(answer(request, content).await.unwrap_or_else(Failure::reply)) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            timeout(GRACE, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a content client's connection broke");
    }
}

/// Answers one request.
async fn answer(request: Request<Incoming>, content: Content) -> Result<Reply, Failure> {
    let query = Query::of(request.uri())?;
    let method = request.method().clone();
    match (method, request.uri().path()) {
        (Method::GET | Method::HEAD, "/v1/get") => fetch::get(&request, &query, content).await,
        (Method::GET, "/v1/open") => fetch::open(&query, &content).await,
        (Method::GET, "/v1/list") => fetch::list(&query, &content).await,
        (Method::GET, "/v1/status") => keep::status(&query, &content).await,
        (Method::PUT, "/v1/file") => publish::file(request, &query, content).await,
        (Method::PUT, "/v1/folder") => folder::put(request, &query, content).await,
        (Method::POST, "/v1/redirect") => publish::redirect(&request, &query, content).await,
        (Method::POST, "/v1/keygen") => keep::keygen(&query, &content),
        (Method::POST, "/v1/pin") => keep::pin(&query, content).await,
        (Method::POST, "/v1/unpin") => keep::unpin(&query, &content).await,
        (Method::POST, "/v1/heal") => keep::heal(&query, content).await,
        (method, path) => Err(Failure::unknown(&method, path)),
    }
}

#[cfg(test)]
mod tests;
