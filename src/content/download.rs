//! Bytes of a file from the router, from where they were broken off.

use std::io::Write;

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Either, Empty};
use hyper::header::{HeaderValue, IF_RANGE, RANGE};
use hyper::{Method, StatusCode};

use super::bar::Bar;
use super::client::{self, Client};
use super::partial::{Mark, Partial};

/// Where the bytes of a file go.
pub(super) trait Sink {
    /// Bytes that are there.
    fn have(&self) -> u64;
    /// Which bytes it is to have.
    fn mark(&self) -> &Mark;
    /// Adds bytes.
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()>;
}

impl Sink for Partial {
    fn have(&self) -> u64 {
        Partial::have(self)
    }

    fn mark(&self) -> &Mark {
        Partial::mark(self)
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Partial::write(self, bytes)
    }
}

/// Standard output.
pub(super) struct Stdout {
    mark: Mark,
    have: u64,
    hasher: blake3::Hasher,
}

impl Stdout {
    /// For these bytes.
    pub(super) fn new(mark: Mark) -> Self {
        Self { mark, have: 0, hasher: blake3::Hasher::new() }
    }

    /// Checks that all came and is right; gives the hash.
    pub(super) fn finish(self) -> anyhow::Result<String> {
        std::io::stdout().flush()?;
        let hash = self.hasher.finalize().to_hex();
        if self.mark.hash.as_deref().is_some_and(|known| known != hash.as_str()) {
            bail!("what came is not what the key says: don't use it");
        }
        Ok(hash.to_string())
    }
}

impl Sink for Stdout {
    fn have(&self) -> u64 {
        self.have
    }

    fn mark(&self) -> &Mark {
        &self.mark
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        std::io::stdout().write_all(bytes).context("standard output")?;
        self.hasher.update(bytes);
        self.have += bytes.len() as u64;
        Ok(())
    }
}

/// Fetches what a file lacks. Where the answer breaks off it is asked again for the rest: the router says then what is
/// wrong, or goes on.
pub(super) async fn fill(
    client: &mut Client,
    uri: &str,
    sink: &mut impl Sink,
    bar: &Bar,
) -> anyhow::Result<()> {
    while sink.have() < sink.mark().length {
        let before = sink.have();
        match piece(client, uri, sink, bar).await {
            Ok(()) => {}
            Err(Broken::Off(_)) if sink.have() > before => {}
            Err(Broken::Off(error)) => return Err(error.into()),
            Err(Broken::Other(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Why an answer ended too early.
enum Broken {
    /// The router broke it off.
    Off(hyper::Error),
    /// Anything that does not get better when it is tried again.
    Other(anyhow::Error),
}

impl From<anyhow::Error> for Broken {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

async fn piece(client: &mut Client, uri: &str, sink: &mut impl Sink, bar: &Bar) -> Result<(), Broken> {
    let have = sink.have();
    let mut request = client::request(Method::GET, "/v1/get", &[("uri", uri)]);
    *request.body_mut() = Either::Left(Empty::new());
    if have > 0 {
        let range = HeaderValue::from_str(&format!("bytes={have}-")).context("a range")?;
        let etag = HeaderValue::from_str(&sink.mark().etag).context("the router's mark of the content")?;
        request.headers_mut().extend([(RANGE, range), (IF_RANGE, etag)]);
    }
    let response = client.send(request).await?;
    let expected = if have > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let etag = response.headers().get(hyper::header::ETAG).map(HeaderValue::as_bytes);
    if response.status() != expected || etag != Some(sink.mark().etag.as_bytes()) {
        return Err(anyhow::anyhow!("the document was replaced meanwhile: get it again").into());
    }
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Broken::Off)?;
        let Some(bytes) = frame.data_ref() else { continue };
        if bytes.len() as u64 > sink.mark().length - sink.have() {
            return Err(anyhow::anyhow!("the router gave more bytes than there are").into());
        }
        sink.write(bytes)?;
        bar.more(bytes.len() as u64);
    }
    Ok(())
}
