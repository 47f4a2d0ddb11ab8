//! The HTTP proxy: requests in absolute form and CONNECT, to destinations and nowhere else.
//!
//! Each client connection is served by hyper; each request gets a stream of its own, or the one its predecessor on
//! the same connection used, where that was to the same site and both sides keep it open. A request's head (and the
//! body, where it is there already) is one write, so it travels in the stream's first packet.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use allium_crypto::Rng;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;

use crate::copy::{Gauge, Watched};
use crate::listen::Tasks;
use crate::names::{Host, NameError, Names};
use crate::router::{ConnectError, Connection, LocalDestination, Stream};

mod headers;
mod helper;
mod origin;
mod pages;
mod site;
mod tunnel;
mod upload;

use helper::{AddressHelper, Asked};
use origin::Origin;
use pages::Page;
use site::Site;
use upload::Upload;

/// How long a client may take to send a request's head; also how long an unused connection is kept.
const HEAD: Duration = Duration::from_mins(1);
/// How long reaching a destination may take.
const CONNECT: Duration = Duration::from_secs(90);
/// A client connection on which nothing moves for this long is given up.
const IDLE: Duration = Duration::from_mins(15);
/// How long requests that are being answered may go on once the router stops.
const GRACE: Duration = Duration::from_secs(5);
/// The longest head of a request or response.
const LONGEST_HEAD: usize = 64 * 1024;
/// The read buffer of a connection, at most.
const BUFFER: usize = 256 * 1024;

/// A response: a page of this proxy, or what the site said.
type Reply = Response<Either<Full<Bytes>, Incoming>>;

/// Why a request was not answered by its site.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The stream ended or broke before the site said anything that makes sense.
    #[error("{0}")]
    Stream(#[from] hyper::Error),
    /// The site took the request and said nothing.
    #[error("the site took the request and did not answer in time")]
    Silent,
}

/// The HTTP proxy.
pub(crate) struct HttpProxy {
    destination: LocalDestination,
    names: Arc<Names>,
    tasks: Tasks,
    helper: Option<AddressHelper>,
}

/// One client's connection.
struct Session {
    proxy: Arc<HttpProxy>,
    /// The stream of the last request, to be used for the next one.
    origin: Mutex<Option<Origin>>,
}

impl HttpProxy {
    /// A proxy whose streams leave from `destination`; with `helper` it accepts address helpers.
    pub(crate) fn new(
        destination: LocalDestination,
        names: Arc<Names>,
        tasks: Tasks,
        helper: Option<Rng>,
    ) -> Self {
        Self { destination, names, tasks, helper: helper.map(AddressHelper::new) }
    }

    /// Serves one client.
    pub(crate) async fn serve(self: Arc<Self>, client: Connection) {
        let stop = self.tasks.stop().clone();
        let gauge = Gauge::default();
        let client = TokioIo::new(Watched::new(client, gauge.clone()));
        let session = Arc::new(Session { proxy: self, origin: Mutex::new(None) });
        let service = hyper::service::service_fn(move |request| {
            let session = Arc::clone(&session);
            async move { Ok::<_, Infallible>(session.answer(request).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_header_size(LONGEST_HEAD)
            .max_buf_size(BUFFER)
            .auto_date_header(false)
            .serve_connection(client, service)
            .with_upgrades();
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
            tracing::debug!(%error, "a client's HTTP connection broke");
        }
    }

    /// Opens a stream to `host`.
    async fn open(&self, host: &str, port: u16) -> Result<Stream, Failure> {
        let connect = async {
            let target = self.names.resolve(host).await?;
            Ok(self.destination.connect(target, port).await?)
        };
        timeout(CONNECT, connect).await.unwrap_or(Err(Failure::Connect(ConnectError::TimedOut)))
    }
}

impl Session {
    /// Answers one request.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        if request.method() == Method::CONNECT {
            return tunnel::connect(&self.proxy, request).await.unwrap_or_else(Page::reply);
        }
        self.fetch(request).await.unwrap_or_else(Page::reply)
    }

    async fn fetch(&self, mut request: Request<Incoming>) -> Result<Reply, Page> {
        let site = Site::of(request.uri())?;
        if let Some(uri) = self.helped(&site, request.uri()).await? {
            *request.uri_mut() = uri;
        }
        let upgrade = headers::upgrade(request.headers()).map(|to| (to, hyper::upgrade::on(&mut request)));
        let (head, body) = request.into_parts();
        let clean = headers::for_site(&head.headers, &site, upgrade.as_ref().map(|(to, _)| to));
        let mut outgoing = Request::new(Upload::new(body));
        *outgoing.method_mut() = head.method;
        *outgoing.uri_mut() = site::origin_form(request_path(&head.uri));
        *outgoing.headers_mut() = clean;

        let mut response =
            self.exchange(&site, outgoing).await.map_err(|failure| Page::failure(&site.host, &failure))?;
        match upgrade {
            Some((_, client)) if response.status() == hyper::StatusCode::SWITCHING_PROTOCOLS => {
                tunnel::switch(&self.proxy.tasks, client, hyper::upgrade::on(&mut response));
            }
            _ => headers::for_client(response.headers_mut()),
        }
        Ok(response.map(Either::Right))
    }

    /// Takes an address helper out of a request's URI; `None` where there is none.
    async fn helped(&self, site: &Site, uri: &Uri) -> Result<Option<Uri>, Page> {
        let Some(helper) = &self.proxy.helper else { return Ok(None) };
        let Some(link) = helper::Link::in_query(uri) else { return Ok(None) };
        // An address stands for itself: the link's destination would not change anything.
        if let Ok(Host::Name(name)) = Host::read(&site.host) {
            match helper.ask(&self.proxy.names, &name, &link).await {
                Asked::Known => {}
                Asked::Confirmed => return Err(Page::see_other(&site.url(&link.rest))),
                Asked::Conflict { known, token } => {
                    return Err(Page::conflict(site, &link, &name, known, token));
                }
                Asked::NoAddress => return Err(Page::bad_helper(&name)),
            }
        }
        Ok(Some(site::origin_form(&link.rest)))
    }

    /// Sends a request to its site and waits for the head of the response.
    async fn exchange(
        &self,
        site: &Site,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, Failure> {
        let kept = self.origin.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut origin) = kept.filter(|origin| origin.is_for(site)) {
            match origin.ask_again(request).await {
                Ok(response) => {
                    self.keep(origin);
                    return Ok(response);
                }
                Err(origin::NotAsked::Again(back)) => request = *back,
                Err(origin::NotAsked::Failed(failure)) => return Err(failure),
            }
        }
        // While the destination is looked for, a body that is here already is read, to travel with the head.
        let open = self.proxy.open(&site.host, site.port);
        let (stream, ()) = tokio::join!(open, request.body_mut().prefetch());
        let mut origin = Origin::new(stream?, site, &self.proxy.tasks).await?;
        let response = origin.ask(request).await?;
        self.keep(origin);
        Ok(response)
    }

    fn keep(&self, origin: Origin) {
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin);
    }
}

/// The path and query of a request.
fn request_path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

#[cfg(test)]
mod tests;
