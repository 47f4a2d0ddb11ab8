//! Content as the body of a response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};

use super::Reply;
use super::tame::Tame;
use crate::content::{self, Error};

type Next = Pin<Box<dyn Future<Output = (content::Reading, Option<Result<Bytes, Error>>)> + Send>>;

/// A file being read. Dropping it ends the reading.
pub(super) struct Reading {
    first: Option<Bytes>,
    next: Next,
    /// Bytes that are to be read, but for the first.
    unread: u64,
    /// Bytes that are to be sent.
    left: u64,
    tame: Option<Tame>,
}

impl Reading {
    /// Starts to read; returns once the first bytes are there, so that what can't be read has an error page. A page that
    /// a browser will show is made tame.
    pub(super) async fn start(
        mut reading: content::Reading,
        length: u64,
        tame: Option<Tame>,
    ) -> Result<Self, Error> {
        let first = if length == 0 { None } else { reading.next().await.transpose()? };
        Ok(Self { first, next: Box::pin(read(reading)), unread: length, left: length, tame })
    }

    /// The next bytes, as they were published.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        let bytes = if let Some(first) = self.first.take() {
            first
        } else {
            let (reading, bytes) = ready!(self.next.as_mut().poll(cx));
            self.next = Box::pin(read(reading));
            bytes.unwrap_or(Err(Error::Stopped))?
        };
        self.unread = self.unread.saturating_sub(bytes.len() as u64);
        Poll::Ready(Ok(bytes))
    }
}

async fn read(mut reading: content::Reading) -> (content::Reading, Option<Result<Bytes, Error>>) {
    let read = reading.next().await;
    (reading, read)
}

impl Body for Reading {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        while self.left > 0 {
            let mut bytes = match ready!(self.poll_read(cx)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::debug!(%error, "content that was being sent to a browser broke off");
                    return Poll::Ready(Some(Err(error)));
                }
            };
            let end = self.unread == 0;
            if let Some(tame) = &mut self.tame {
                bytes = tame.next(&bytes, end);
            }
            self.left = self.left.saturating_sub(bytes.len() as u64);
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Leaves the body out of the answer to a HEAD; its length stays stated.
pub(super) fn leave_out(reply: &mut Reply) {
    let length = reply.body().size_hint().exact();
    *reply.body_mut() = Either::Left(Full::new(Bytes::new()));
    if let (Some(length), false) = (length, reply.headers().contains_key(hyper::header::CONTENT_LENGTH)) {
        reply.headers_mut().insert(hyper::header::CONTENT_LENGTH, length.into());
    }
}
