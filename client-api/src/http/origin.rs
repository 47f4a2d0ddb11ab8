//! One stream to a site, and the requests that travel on it one after another.

use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::site::Site;
use super::upload::Upload;
use super::{BUFFER, Failure, LONGEST_HEAD};
use crate::listen::Tasks;
use crate::router::Stream;

/// How long a site may take until its response begins.
const FIRST_BYTE: Duration = Duration::from_mins(3);
/// How long the end of the last response may take to be noticed on a kept stream.
const READY: Duration = Duration::from_secs(1);

/// A stream to a site.
pub(super) struct Origin {
    sender: SendRequest<Upload>,
    host: String,
    port: u16,
}

/// Why a kept stream did not answer.
pub(super) enum NotAsked {
    /// The site did not see the request: it can be sent again.
    Again(Box<Request<Upload>>),
    /// It may have seen it.
    Failed(Failure),
}

impl Origin {
    /// Speaks HTTP on `stream`.
    pub(super) async fn new(stream: Stream, site: &Site, tasks: &Tasks) -> Result<Self, Failure> {
        let (sender, connection) = Builder::new()
            .writev(false) // head and body in one buffer, hence in one write
            .title_case_headers(true)
            .max_header_size(LONGEST_HEAD)
            .max_buf_size(BUFFER)
            .ignore_invalid_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let stop = tasks.stop().clone();
        tasks.spawn(async move {
            let ended = tokio::select! {
                biased;
                ended = connection.with_upgrades() => ended,
                () = async { stop.cancelled().await; tokio::time::sleep(super::GRACE).await } => Ok(()),
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a stream to a site broke");
            }
        });
        Ok(Self { sender, host: site.host.clone(), port: site.port })
    }

    /// Whether this is a stream to `site`.
    pub(super) fn is_for(&self, site: &Site) -> bool {
        self.host == site.host && self.port == site.port
    }

    /// Sends a request on a fresh stream.
    pub(super) async fn ask(&mut self, request: Request<Upload>) -> Result<Response<Incoming>, Failure> {
        let answered = timeout(FIRST_BYTE, self.sender.send_request(request)).await;
        Ok(answered.map_err(|_| Failure::Silent)??)
    }

    /// Sends a request on a stream that has carried one before, and that the site may have closed by now.
    pub(super) async fn ask_again(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, NotAsked> {
        if !matches!(timeout(READY, self.sender.ready()).await, Ok(Ok(()))) {
            return Err(NotAsked::Again(Box::new(request)));
        }
        // Asking twice for these changes nothing, RFC 9110 section 9.2.1
        let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let mut spare = None;
        let request = if safe && request.body().is_empty() {
            let (head, body) = request.into_parts();
            let copy = Request::from_parts(head.clone(), Upload::none());
            spare = Some(Request::from_parts(head, body));
            copy
        } else {
            request
        };
        match timeout(FIRST_BYTE, self.sender.try_send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut refused)) => match spare.or_else(|| refused.take_message()) {
                Some(request) => Err(NotAsked::Again(Box::new(request))),
                None => Err(NotAsked::Failed(refused.into_error().into())),
            },
            Err(_elapsed) => Err(NotAsked::Failed(Failure::Silent)),
        }
    }
}
