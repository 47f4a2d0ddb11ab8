//! A request's body on its way to the site.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, timeout};

/// How long a client may pause within a body.
const PAUSE: Duration = Duration::from_mins(5);
/// How long the first piece of a body is waited for before the head leaves without it.
const PREFETCH: Duration = Duration::from_millis(10);

type BodyError = Box<dyn Error + Send + Sync>;

/// A body that is sent on as it comes, its length as the client gave it.
pub(super) struct Upload {
    first: Option<Bytes>,
    rest: Option<Incoming>,
    broken: Option<hyper::Error>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    /// The body `rest`.
    pub(super) fn new(rest: Incoming) -> Self {
        Self { rest: Some(rest), ..Self::none() }
    }

    /// No body.
    pub(super) fn none() -> Self {
        Self { first: None, rest: None, broken: None, pause: None }
    }

    /// Whether there is no body.
    pub(super) fn is_empty(&self) -> bool {
        self.is_end_stream()
    }

    /// Waits a moment for the first piece, so that it can be sent together with the head.
    pub(super) async fn prefetch(&mut self) {
        if self.first.is_some() || self.is_end_stream() {
            return;
        }
        let Some(rest) = &mut self.rest else { return };
        match timeout(PREFETCH, rest.frame()).await {
            Ok(Some(Ok(frame))) => self.first = frame.into_data().ok(),
            Ok(Some(Err(error))) => self.broken = Some(error),
            Ok(None) | Err(_) => {}
        }
    }

    fn paused_too_long(&mut self, cx: &mut Context<'_>) -> bool {
        let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(PAUSE)));
        pause.as_mut().poll(cx).is_ready()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error.into())));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match Pin::new(rest).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(pause) = &mut self.pause {
                    pause.as_mut().reset(Instant::now() + PAUSE);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending if self.paused_too_long(cx) => {
                Poll::Ready(Some(Err("the client stopped sending".into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.broken.is_none() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(rest.lower().saturating_add(first));
        hint
    }
}
