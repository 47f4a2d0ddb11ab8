//! The gateway for browsers: content by key, and pages to publish and to see the store's state.
//!
//! ```text
//! GET /CHK@… /SSK@… /USK@… /KSK@…   content, which is hostile: no script, nothing loaded from elsewhere
//! GET /  /-/status  /-/jobs/ID      the gateway's own pages
//! POST /-/publish  /-/cancel        with the token of a page, from that page only
//! ```
//! A browser that came by the name `localhost` is sent to `LABEL.localhost` for content, so that each site has an origin
//! of its own; the gateway's own pages are not served there.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use allium_crypto::Rng;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use crate::content::Content;
use crate::copy::{Gauge, Watched};
use crate::listen::Tasks;
use crate::router::Connection;

mod address;
mod body;
mod deliver;
mod editions;
mod form;
mod guard;
mod jobs;
mod media;
mod pages;
mod publish;
mod range;
mod tame;

use address::{Host, Wanted};
use body::Reading;
use editions::Editions;
use guard::Token;
use jobs::Jobs;
use pages::Page;

/// How long a client may take to send a request's head; also how long an unused connection is kept.
const HEAD: Duration = Duration::from_mins(1);
/// A client connection on which nothing moves for this long is given up.
const IDLE: Duration = Duration::from_mins(15);
/// How long requests that are being answered may go on once the router stops.
const GRACE: Duration = Duration::from_secs(5);
/// The longest head of a request.
const LONGEST_HEAD: usize = 32 * 1024;
/// The read buffer of a connection, at most.
const BUFFER: usize = 256 * 1024;

/// A response: a page of the gateway, or content.
type Reply = Response<Either<Full<Bytes>, Reading>>;

/// The gateway.
pub(crate) struct Gateway {
    content: Content,
    tasks: Tasks,
    token: Token,
    jobs: Arc<Jobs>,
    editions: Editions,
    rng: Mutex<Rng>,
}

impl Gateway {
    /// A gateway to `content`.
    pub(crate) fn new(content: Content, tasks: Tasks, mut rng: Rng) -> Self {
        let token = Token::new(&mut rng);
        let (jobs, editions) = (Arc::new(Jobs::default()), Editions::default());
        Self { content, tasks, token, jobs, editions, rng: Mutex::new(rng) }
    }

    /// Serves one client.
    pub(crate) async fn serve(self: Arc<Self>, client: Connection) {
        let stop = self.tasks.stop().clone();
        let gauge = Gauge::default();
        let client = TokioIo::new(Watched::new(client, gauge.clone()));
        let service = hyper::service::service_fn(move |request| {
            let gateway = Arc::clone(&self);
            async move { Ok::<_, Infallible>(gateway.answer(request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_header_size(LONGEST_HEAD)
            .max_buf_size(BUFFER)
            .auto_date_header(false)
            .serve_connection(client, service);
        let mut served = std::pin::pin!(served);
        let ended = tokio::select! {
            biased;
            ended = served.as_mut() => ended,
            () = gauge.idle(IDLE, IDLE) => return,
            () = stop.cancelled() => {
                served.as_mut().graceful_shutdown();
                timeout(GRACE, served).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a browser's connection broke");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let reply = match Host::of(&head) {
            Some(host) => self.route(&host, &head, body).await,
            None => Err(Page::bad_host()),
        };
        let mut reply = reply.unwrap_or_else(Page::reply);
        if head.method == Method::HEAD {
            body::leave_out(&mut reply);
        }
        reply
    }

    async fn route(&self, host: &Host, head: &Parts, body: Incoming) -> Result<Reply, Page> {
        let path = head.uri.path();
        match head.method {
            Method::GET | Method::HEAD => {
                if !guard::may_read(&head.headers) {
                    return Err(Page::foreign());
                }
                match Wanted::of(path) {
                    Some(Ok(wanted)) => deliver::deliver(self, host, head, wanted).await,
                    Some(Err(error)) => Err(Page::error(&error.into())),
                    None => self.own(host, head).await,
                }
            }
            Method::POST => {
                if host.is_site() || !guard::may_act(&head.headers, host) {
                    return Err(Page::foreign());
                }
                match path {
                    "/-/publish" => publish::publish(self, head, body).await,
                    "/-/cancel" => self.cancel(head, body).await,
                    _ => Err(Page::not_here()),
                }
            }
            _ => Err(Page::bad_method()),
        }
    }

    /// The gateway's own pages.
    async fn own(&self, host: &Host, head: &Parts) -> Result<Reply, Page> {
        let path = head.uri.path();
        if host.is_site() {
            return Err(match path {
                "/" => Page::redirect(&host.plain("/")),
                _ => Page::not_here(),
            });
        }
        match path {
            "/" => Err(Page::front(&self.token, &self.content.status().await)),
            "/-/status" => Err(Page::status(&self.content.status().await)),
            "/-/go" => {
                let key = form::query(head.uri.query(), "key").unwrap_or_default();
                match Wanted::typed(key.trim()) {
                    Ok(wanted) => Err(Page::redirect(&wanted.path())),
                    Err(error) => Err(Page::error(&error.into())),
                }
            }
            _ => match path.strip_prefix("/-/jobs/").and_then(|id| self.jobs.get(id)) {
                Some(job) => Err(Page::job(&job, &self.token)),
                None => Err(Page::not_here()),
            },
        }
    }

    async fn cancel(&self, head: &Parts, body: Incoming) -> Result<Reply, Page> {
        let mut form = form::Form::new(head, body)?;
        form.token(&self.token).await?;
        let mut id = String::new();
        while let Some(field) = form.next().await? {
            if field.name() == Some("job") {
                id = form::text(field).await?;
            }
        }
        let job = self.jobs.get(&id).ok_or_else(Page::not_here)?;
        job.cancel();
        Err(Page::see_other("/"))
    }

    fn random(&self) -> [u8; 16] {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).array()
    }
}

#[cfg(test)]
mod tests;
