//! Answers: JSON, lines of JSON that tell how far a job is, bytes, and errors.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::content::{Error, Job, Progress};

/// An answer.
pub(super) type Reply = Response<Either<Full<Bytes>, Pipe>>;

/// How often a client is told how far its job is, where that changed.
const TELL_EVERY: Duration = Duration::from_millis(250);
/// After so many times without a change it is told again, so that one who has gone is noticed.
const TELL_ANYWAY: u32 = 20;
/// Pieces of a body, or events, that wait for the client.
const WAITING: usize = 4;

/// Why a request failed.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    /// The request is wrong.
    pub(super) fn request(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: "bad_request", message }
    }

    /// A secret key stood where it may be logged.
    pub(super) fn secret() -> Self {
        let message =
            "a key to publish with is secret: give it in the header Allium-To, not in the query".to_owned();
        Self { status: StatusCode::BAD_REQUEST, code: "secret_in_query", message }
    }

    /// No such thing to ask.
    pub(super) fn unknown(method: &Method, path: &str) -> Self {
        let message = format!("{method} {path:?} is not part of this API: see docs/content-api.md");
        Self { status: StatusCode::NOT_FOUND, code: "no_such_request", message }
    }

    /// Nothing came for too long.
    pub(super) fn late(seconds: u64) -> Self {
        let message = format!("nobody who has it answered: no block came within {seconds} s");
        Self { status: StatusCode::GATEWAY_TIMEOUT, code: "timeout", message }
    }

    /// A path of an archive can't be one of a folder.
    pub(super) fn archive(message: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code: "bad_archive", message }
    }

    fn json(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message } })
    }

    /// The answer that says so.
    pub(super) fn reply(self) -> Reply {
        whole(self.status, &self.json())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::Uri(_) => (StatusCode::BAD_REQUEST, "bad_uri"),
            Error::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Error::NoSuchPath(_) => (StatusCode::NOT_FOUND, "no_such_path"),
            Error::WrongKind(_) => (StatusCode::CONFLICT, "wrong_kind"),
            Error::Invalid(_) => (StatusCode::BAD_GATEWAY, "invalid"),
            Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Error::Unpublishable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unpublishable"),
            Error::Io(_) => (StatusCode::INTERNAL_SERVER_ERROR, "io"),
            Error::Collision => (StatusCode::CONFLICT, "collision"),
            Error::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
        };
        Self { status, code, message: error.to_string() }
    }
}

impl From<allium_content::uri::Error> for Failure {
    fn from(error: allium_content::uri::Error) -> Self {
        Error::from(error).into()
    }
}

fn whole(status: StatusCode, value: &impl Serialize) -> Reply {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    let mut reply = Response::new(Either::Left(Full::new(text.into())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

/// An answer of JSON.
pub(super) fn json(value: &impl Serialize) -> Reply {
    whole(StatusCode::OK, value)
}

/// A body that a task makes. Dropping it, which happens when the client goes away, ends the task.
pub(super) struct Pipe {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    /// Bytes to come, where that is known.
    left: Option<u64>,
    _task: AbortOnDropHandle<()>,
}

impl Pipe {
    /// A body of as many bytes, made by a task.
    pub(super) fn new<F: Future<Output = ()> + Send + 'static>(
        length: Option<u64>,
        make: impl FnOnce(mpsc::Sender<io::Result<Bytes>>) -> F,
    ) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING);
        Self { pieces, left: length, _task: AbortOnDropHandle::new(tokio::spawn(make(sender))) }
    }
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = ready!(self.pieces.poll_recv(cx));
        if let (Some(left), Some(Ok(piece))) = (&mut self.left, &piece) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// An answer of lines of JSON.
pub(super) fn lines(pipe: Pipe) -> Reply {
    let mut reply = Response::new(Either::Right(pipe));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    reply
}

/// A line of JSON.
pub(super) fn line(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// Tells a client how far its job is.
pub(super) struct Teller {
    events: mpsc::Sender<Result<Value, Failure>>,
    told: Progress,
    quiet: u32,
}

impl Teller {
    /// Tells how far it is, unless the client has not read what it was told before.
    pub(super) fn tell(&mut self, progress: Progress) {
        self.quiet += 1;
        if progress == self.told && self.quiet < TELL_ANYWAY {
            return;
        }
        self.quiet = 0;
        let _ = self.events.try_send(Ok(json!({ "progress": progress })));
        self.told = progress;
    }

    /// Waits for a job, and tells meanwhile how far it is, as `shown` makes it of the job's own word.
    pub(super) async fn follow<T>(
        &mut self,
        mut job: Job<T>,
        shown: impl Fn(&Progress) -> Progress,
    ) -> Result<T, Error> {
        let progress = job.progress();
        loop {
            tokio::select! {
                biased;
                ended = job.end() => return ended,
                () = tokio::time::sleep(TELL_EVERY) => {
                    let now = shown(&progress.borrow());
                    self.tell(now);
                }
            }
        }
    }
}

/// Answers with lines of JSON that tell of a long job: `{"progress":…}`, in the end `{"done":…}` or `{"error":…}`. A
/// failure before anything was told is an answer with a status of its own.
pub(super) async fn long<F>(work: impl FnOnce(Teller) -> F) -> Result<Reply, Failure>
where
    F: Future<Output = Result<Value, Failure>> + Send + 'static,
{
    let (events, mut told) = mpsc::channel(WAITING);
    let last = events.clone();
    let worked = work(Teller { events, told: Progress::default(), quiet: 0 });
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        let end = worked.await.map(|done| json!({ "done": done }));
        let _ = last.send(end).await;
    }));
    let first = told.recv().await.unwrap_or_else(|| Err(Error::Stopped.into()))?;
    Ok(lines(Pipe::new(None, move |sender| async move {
        let _task = task;
        let mut next = Some(Ok(first));
        while let Some(event) = next {
            let value = event.unwrap_or_else(|failure: Failure| failure.json());
            if sender.send(Ok(line(&value))).await.is_err() {
                return;
            }
            next = told.recv().await;
        }
    })))
}

/// A job that only its end is told of.
pub(super) async fn quiet<T>(mut job: Job<T>, patience: Duration) -> Result<T, Failure> {
    let mut progress = job.progress();
    let mut blocks = progress.borrow().blocks;
    let mut deadline = tokio::time::Instant::now() + patience;
    loop {
        tokio::select! {
            biased;
            ended = job.end() => return ended.map_err(Into::into),
            changed = progress.changed() => {
                let now = progress.borrow_and_update().blocks;
                if now != blocks {
                    blocks = now;
                    deadline = tokio::time::Instant::now() + patience;
                }
                if changed.is_err() {
                    return job.end().await.map_err(Into::into);
                }
            }
            () = tokio::time::sleep_until(deadline) => return Err(Failure::late(patience.as_secs())),
        }
    }
}
