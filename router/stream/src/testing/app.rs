//! Applications that send and check known data.

use std::collections::BTreeMap;

use allium_wire::Now;

use crate::{ConnectionId, Error, Event, Host, Reason};

/// The byte at a position of every stream.
pub(crate) fn byte(position: u64) -> u8 {
    (position.wrapping_mul(31) ^ (position >> 8) ^ (position >> 17)) as u8
}

/// The bytes from a position on.
pub(crate) fn bytes(position: u64, length: usize) -> Vec<u8> {
    (position..position + length as u64).map(byte).collect()
}

/// One connection as its application sees it.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) sent: u64,
    pub(crate) to_send: u64,
    pub(crate) shut_down: bool,
    pub(crate) is_shut_down: bool,
    pub(crate) received: u64,
    pub(crate) finished: bool,
    pub(crate) connected: bool,
    pub(crate) closed: Option<Reason>,
    readable: bool,
    writable: bool,
}

/// What an application does with connections that peers open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Service {
    /// Reads all.
    #[default]
    Sink,
    /// Sends this much at once, then closes.
    Serve(u64),
    /// Sends this much when the request is complete, then closes.
    ServeAfter(u64),
}

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) streams: BTreeMap<ConnectionId, Stream>,
    pub(crate) service: Service,
    pub(crate) reading: bool,
    pub(crate) incoming: Vec<ConnectionId>,
    pub(crate) pongs: Vec<(u32, Vec<u8>)>,
    /// Ends what is done on both sides by `close`.
    pub(crate) tidy: bool,
}

impl Default for App {
    fn default() -> Self {
        Self {
            streams: BTreeMap::new(),
            service: Service::Sink,
            reading: true,
            incoming: Vec::new(),
            pongs: Vec::new(),
            tidy: true,
        }
    }
}

impl App {
    /// Sends `total` bytes in all on a connection, then closes the direction if told so.
    pub(crate) fn send(&mut self, id: ConnectionId, total: u64, shut_down: bool) {
        let stream = self.streams.entry(id).or_default();
        stream.to_send = total;
        stream.shut_down = shut_down;
        stream.writable = true;
    }

    /// What all connections have received.
    pub(crate) fn received(&self) -> u64 {
        self.streams.values().map(|stream| stream.received).sum()
    }

    pub(crate) fn run(&mut self, _now: Now, host: &mut Host) {
        while let Some(event) = host.poll_event() {
            self.event(event);
        }
        for (&id, stream) in &mut self.streams {
            if stream.readable && self.reading {
                Self::read(id, stream, host);
                if stream.finished
                    && let Service::ServeAfter(total) = self.service
                    && self.incoming.contains(&id)
                    && stream.to_send == 0
                {
                    stream.to_send = total;
                    stream.shut_down = true;
                    stream.writable = true;
                }
            }
            if stream.writable {
                Self::write(id, stream, host);
            }
            if self.tidy && stream.finished && stream.is_shut_down && stream.closed.is_some() {
                host.close(id);
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Incoming { id, .. } => {
                self.incoming.push(id);
                let stream = self.streams.entry(id).or_default();
                if let Service::Serve(total) = self.service {
                    stream.to_send = total;
                    stream.shut_down = true;
                    stream.writable = true;
                }
            }
            Event::Connected(id) => self.streams.entry(id).or_default().connected = true,
            Event::Readable(id) => self.streams.entry(id).or_default().readable = true,
            Event::Writable(id) => self.streams.entry(id).or_default().writable = true,
            Event::Closed(id, reason) => self.streams.entry(id).or_default().closed = Some(reason),
            Event::Pong { ping, payload, .. } => self.pongs.push((ping, payload.to_vec())),
        }
    }

    fn read(id: ConnectionId, stream: &mut Stream, host: &mut Host) {
        loop {
            match host.read_chunk(id, 1 << 20) {
                Ok(Some(chunk)) if chunk.is_empty() => stream.finished = true,
                Ok(Some(chunk)) => {
                    let expected = (stream.received..).map(byte);
                    assert!(
                        chunk.iter().copied().zip(expected).all(|(a, b)| a == b),
                        "data at {}",
                        stream.received
                    );
                    stream.received += chunk.len() as u64;
                    continue;
                }
                Ok(None) => stream.readable = false,
                Err(Error::Over(reason)) => stream.closed = Some(reason),
                Err(_) => {}
            }
            if stream.finished || stream.closed.is_some() {
                stream.readable = false;
            }
            break;
        }
    }

    fn write(id: ConnectionId, stream: &mut Stream, host: &mut Host) {
        while stream.sent < stream.to_send {
            let data = bytes(stream.sent, (stream.to_send - stream.sent).min(16 << 10) as usize);
            let Ok(accepted) = host.write(id, &data) else { return };
            stream.sent += accepted as u64;
            if accepted < data.len() {
                stream.writable = false;
                return;
            }
        }
        if stream.shut_down && !stream.is_shut_down {
            stream.is_shut_down = true;
            host.shutdown(id).expect("a connection to shut down");
        }
    }
}
