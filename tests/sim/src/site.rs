//! A hidden service for tests: it sends as many bytes as it is asked for, or echoes.

use std::io;
use std::time::Duration;

use allium_router::{LocalDestination, Stream, Target};
use allium_wire::DestHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

/// Asks for an echo instead of a transfer.
const ECHO: u64 = u64::MAX;

/// A service that runs.
pub struct Site {
    /// Its destination.
    pub destination: LocalDestination,
    /// The host of its router.
    pub host: usize,
}

/// How a transfer went.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// From the call to connect to its return, once there is a LeaseSet.
    pub connected: Duration,
    /// From the call to connect to the first byte.
    pub first_byte: Duration,
    /// From the call to connect to the last byte.
    pub whole: Duration,
    /// How many bytes came.
    pub bytes: u64,
}

impl Transfer {
    /// Bytes a second between the first and the last byte.
    pub fn rate(&self) -> f64 {
        self.bytes as f64 / self.whole.saturating_sub(self.first_byte).as_secs_f64().max(1e-3)
    }
}

/// The byte at an offset of every transfer.
pub fn pattern(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

impl Site {
    /// Serves at a destination until that is closed.
    pub fn serve(destination: LocalDestination, host: usize) -> Self {
        let site = Self { destination: destination.clone(), host };
        tokio::spawn(async move {
            while let Some(stream) = destination.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        site
    }

    /// Its hash.
    pub fn hash(&self) -> DestHash {
        self.destination.hash()
    }
}

async fn answer(mut stream: Stream) -> io::Result<()> {
    let wanted = stream.read_u64().await?;
    if wanted == ECHO {
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer).await?;
            if n == 0 {
                return stream.shutdown().await;
            }
            stream.write_all(&buffer[..n]).await?;
        }
    }
    let mut sent = 0;
    while sent < wanted {
        let length = (wanted - sent).min(32 << 10);
        let chunk: Vec<u8> = (sent..sent + length).map(pattern).collect();
        stream.write_all(&chunk).await?;
        sent += length;
    }
    stream.shutdown().await
}

fn failed(error: allium_router::ConnectError) -> io::Error {
    io::Error::other(error)
}

/// Fetches so many bytes from a site, and compares them.
///
/// # Errors
/// Where there is no stream, it breaks, or other bytes come.
pub async fn fetch(from: &LocalDestination, to: DestHash, bytes: u64) -> io::Result<Transfer> {
    let begun = Instant::now();
    let mut stream = from.connect(Target::Hash(to), 80).await.map_err(failed)?;
    let connected = begun.elapsed();
    stream.write_u64(bytes).await?;
    let mut buffer = vec![0; 64 << 10];
    let mut got = 0;
    let mut first_byte = Duration::ZERO;
    while got < bytes {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{got} of {bytes} bytes came")));
        }
        if got == 0 {
            first_byte = begun.elapsed();
        }
        if let Some(at) = (0..n).find(|at| buffer[*at] != pattern(got + *at as u64)) {
            let offset = got + at as u64;
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a wrong byte at {offset}")));
        }
        got += n as u64;
    }
    let whole = begun.elapsed();
    if stream.read(&mut buffer).await? != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more came than was asked for"));
    }
    Ok(Transfer { connected, first_byte, whole, bytes })
}

/// Opens a stream that a site echoes; see [`Echo`].
///
/// # Errors
/// Where there is no stream.
pub async fn echo(from: &LocalDestination, to: DestHash) -> io::Result<Echo> {
    let mut stream = from.connect(Target::Hash(to), 80).await.map_err(failed)?;
    stream.write_u64(ECHO).await?;
    Ok(Echo { stream, count: 0 })
}

/// A stream on which whatever is said comes back.
pub struct Echo {
    stream: Stream,
    count: u64,
}

impl Echo {
    /// Says something new, and waits until it came back; gives the time that took.
    ///
    /// # Errors
    /// Where the stream broke, or something else came back.
    pub async fn say(&mut self) -> io::Result<Duration> {
        let begun = Instant::now();
        self.count += 1;
        self.stream.write_u64(self.count).await?;
        let answer = self.stream.read_u64().await?;
        if answer != self.count {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{answer} instead of {}", self.count),
            ));
        }
        Ok(begun.elapsed())
    }
}
