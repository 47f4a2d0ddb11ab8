//! A client of the content API.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context as Wake, Poll, ready};

use allium_client_api::content::api::SOCKET;
use anyhow::{Context, anyhow, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::bar::Bar;

/// The longest answer of JSON, and the longest line of one.
const LONGEST: usize = 64 << 20;
/// Bytes of an upload that are read at a time.
const PIECE: usize = 64 * 1024;

/// What the router said no to.
#[derive(Debug)]
pub(super) struct Refused {
    /// A word for programs.
    pub(super) code: String,
    message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// What a value of the API says went wrong, if it does.
    fn of(value: &Value) -> Option<Self> {
        let text = |name: &str| value["error"][name].as_str().map(str::to_owned);
        Some(Self { code: text("code")?, message: text("message")? })
    }
}

/// A connection to the running router's content API.
pub(super) struct Client {
    socket: PathBuf,
    sender: SendRequest<Outgoing>,
    _connection: AbortOnDropHandle<()>,
}

type Outgoing = Either<Empty<Bytes>, Upload>;

impl Client {
    /// Connects to the router that runs in `dir`.
    pub(super) async fn connect(dir: &Path) -> anyhow::Result<Self> {
        let socket = dir.join(SOCKET);
        match Self::open(&socket).await {
            Ok(client) => Ok(client),
            Err(_) if UnixStream::connect(crate::control::path(dir)).await.is_ok() => bail!(
                "the router that runs in {} has no content store: set `enabled = true` under `[content]` in its \
                 configuration, and start it again",
                dir.display()
            ),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "no router runs in {}: start one with `allium run`, or name its folder with --data-dir",
                    dir.display()
                )
            }),
        }
    }

    async fn open(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)
            .await
            .with_context(|| format!("its socket {} does not answer", socket.display()))?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Whoever waits for an answer is told of an error as well.
            let _ = connection.await;
        }));
        Ok(Self { socket: socket.to_owned(), sender, _connection: connection })
    }

    /// Sends a request without a body.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Response<Incoming>> {
        self.send(request(method, path, query)).await
    }

    /// Sends a request; an answer that is an error is one here.
    pub(super) async fn send(&mut self, request: Request<Outgoing>) -> anyhow::Result<Response<Incoming>> {
        if self.sender.ready().await.is_err() {
            *self = Self::open(&self.socket.clone()).await.context("the router has stopped")?;
        }
        let response = self.sender.send_request(request).await.context("the router broke off")?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let value = json(response).await.unwrap_or_default();
        Err(Refused::of(&value).map_or_else(|| anyhow!("the router answered with {status}"), Into::into))
    }
}

/// A request without a body.
pub(super) fn request(method: Method, path: &str, query: &[(&str, &str)]) -> Request<Outgoing> {
    let mut uri = path.to_owned();
    for (index, (name, value)) in query.iter().enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        uri.push_str(name);
        uri.push('=');
        uri.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    let mut request = Request::new(Either::Left(Empty::new()));
    *request.method_mut() = method;
    // Only what is percent-encoded stands in it, behind a path of this program's.
    *request.uri_mut() = uri.parse().unwrap_or_default();
    request.headers_mut().insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("allium"));
    request
}

/// The value of an answer of JSON.
pub(super) async fn json(response: Response<Incoming>) -> anyhow::Result<Value> {
    let mut lines = Lines::of(response);
    lines.next().await?.context("the router's answer is empty")
}

/// Follows a long job to its end, and gives what was done.
pub(super) async fn done(response: Response<Incoming>, bar: &Bar) -> anyhow::Result<Value> {
    let mut lines = Lines::of(response);
    while let Some(mut line) = lines.next().await? {
        if let Some(refused) = Refused::of(&line) {
            return Err(refused.into());
        }
        match line.get_mut("done") {
            Some(done) => return Ok(done.take()),
            None => bar.told(&line["progress"]),
        }
    }
    bail!("the router stopped before it was done")
}

/// An answer's lines of JSON.
pub(super) struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// So many bytes at the buffer's front have no end of a line.
    searched: usize,
}

impl Lines {
    /// Of an answer.
    pub(super) fn of(response: Response<Incoming>) -> Self {
        Self { body: response.into_body(), buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line; `None` at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = unsearched.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                return Ok(Some(serde_json::from_slice(&line).context("the router's answer is no JSON")?));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LONGEST {
                bail!("the router's answer is too long");
            }
            match self.body.frame().await {
                Some(frame) => {
                    let frame = frame.context("the router broke off")?;
                    self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => bail!("the router broke off within a line"),
            }
        }
    }
}

/// A body that is read from somewhere, and perhaps made by a task. If the reading or the task fails the request is broken
/// off, so that nothing that is incomplete is published.
pub(super) struct Upload {
    from: Box<dyn AsyncRead + Send + Unpin>,
    maker: Option<JoinHandle<anyhow::Result<()>>>,
    left: Option<u64>,
    failed: Why,
    buffer: Vec<u8>,
}

/// Why an upload failed, once it has.
pub(super) type Why = Arc<OnceLock<String>>;

impl Upload {
    /// Of this many bytes, if that is known.
    pub(super) fn new(from: Box<dyn AsyncRead + Send + Unpin>, length: Option<u64>) -> Self {
        Self { from, maker: None, left: length, failed: Why::default(), buffer: vec![0; PIECE] }
    }

    /// What is read is made by this task.
    pub(super) fn made_by(self, maker: JoinHandle<anyhow::Result<()>>) -> Self {
        Self { maker: Some(maker), ..self }
    }

    /// Tells later why it failed.
    pub(super) fn why(&self) -> Why {
        Arc::clone(&self.failed)
    }

    fn fail(&self, why: String) -> io::Error {
        let error = io::Error::other(why.clone());
        let _ = self.failed.set(why);
        error
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Wake<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let mut buffer = ReadBuf::new(&mut this.buffer);
        if let Err(error) = ready!(Pin::new(&mut this.from).poll_read(cx, &mut buffer)) {
            return Poll::Ready(Some(Err(this.fail(format!("it can't be read: {error}")))));
        }
        let piece = Bytes::copy_from_slice(buffer.filled());
        if !piece.is_empty() {
            // What is longer than it was said to be is cut off: a file that grows is published as it was.
            let most = this.left.unwrap_or(u64::MAX).min(piece.len() as u64);
            this.left = this.left.map(|left| left - most);
            return Poll::Ready(Some(Ok(Frame::data(piece.slice(..most as usize)))));
        }
        if let Some(maker) = &mut this.maker {
            let made = ready!(Pin::new(maker).poll(cx));
            this.maker = None;
            if let Err(error) = made.unwrap_or_else(|error| Err(error.into())) {
                return Poll::Ready(Some(Err(this.fail(format!("{error:#}")))));
            }
        }
        if this.left.is_some_and(|left| left > 0) {
            return Poll::Ready(Some(Err(this.fail("the file became shorter while it was read".to_owned()))));
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
