//! What a destination of the store says and hears: datagrams, and frames over a channel with each peer.
//!
//! Datagrams are I2P's kind 2, ports 0: its signature covers for whom it is, so that nobody can replay to one node what
//! another was sent. A frame is its length (4 bytes, big-endian) and as many bytes. Each peer has a stream that is kept
//! open, opened by whoever has something to say first; an answer goes over the stream that came last.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use allium_content::block::SIZE;
use allium_store::wire::FRAME_OVERHEAD;
use allium_wire::DestHash;
use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::listen::Tasks;
use crate::router::{DatagramKind, Datagrams, LocalDestination, Ports, Stream, Target};

/// The longest frame.
const MAX_FRAME: usize = SIZE + FRAME_OVERHEAD;
/// The most bytes that may wait for one peer.
const MAX_WAITING: usize = 4 << 20;
/// Channels at a time.
const MAX_CHANNELS: usize = 1024;
/// Streams with one peer at a time.
const MAX_STREAMS: usize = 3;
/// How long a channel that we opened may be idle.
const IDLE: Duration = Duration::from_secs(60);
/// How long one that the peer opened may be: longer, so that mostly who opened it closes it, knowing what it waits for.
const IDLE_ACCEPTED: Duration = Duration::from_secs(120);
/// Frames written together.
const TOGETHER: usize = 4;
/// What is read at once.
const READ: usize = 32 * 1024;

/// What came.
pub(super) enum Heard {
    Datagram {
        from: DestHash,
        bytes: Bytes,
    },
    Frame {
        from: DestHash,
        bytes: Bytes,
    },
    /// What was sent to this peer and not answered is lost.
    Closed(DestHash),
}

/// What a channel's task tells.
enum Event {
    Frame(DestHash, Bytes),
    Ended(DestHash, u64),
}

/// One stream with a peer.
struct Channel {
    number: u64,
    frames: mpsc::UnboundedSender<Bytes>,
    /// Bytes that wait to be written.
    waiting: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A destination, its datagrams and its channels.
pub(super) struct Line {
    destination: LocalDestination,
    datagrams: Datagrams,
    accepts: bool,
    /// Of each peer the streams, the last of which is written to. None is without.
    channels: BTreeMap<DestHash, Vec<Channel>>,
    next: u64,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    /// Peers whose channel was closed here.
    closed: VecDeque<DestHash>,
    tasks: Tasks,
    /// Datagrams that could not be sent, and channels that were overfull.
    pub(super) unsent: u64,
}

impl Line {
    /// Over this destination, which `accepts` streams or opens them alone. `None` if somebody else has its datagrams.
    pub(super) fn new(destination: LocalDestination, accepts: bool, tasks: Tasks) -> Option<Self> {
        let datagrams = destination.datagrams(Some(DatagramKind::Two), None).ok()?;
        let (sender, events) = mpsc::channel(64);
        Some(Self {
            destination,
            datagrams,
            accepts,
            channels: BTreeMap::new(),
            next: 0,
            events,
            sender,
            closed: VecDeque::new(),
            tasks,
            unsent: 0,
        })
    }

    /// Sends a datagram, or loses it.
    pub(super) fn datagram(&mut self, to: DestHash, bytes: &[u8]) {
        let sent = self.datagrams.try_send(&Target::Hash(to), DatagramKind::Two, Ports::default(), bytes);
        self.unsent += u64::from(sent.is_err());
    }

    /// Sends a frame, after the channel was opened if need be.
    pub(super) fn frame(&mut self, to: DestHash, bytes: Bytes) {
        if !self.channels.contains_key(&to) {
            if self.channels.len() >= MAX_CHANNELS {
                return self.closed.push_back(to);
            }
            self.open(to, None);
        }
        let Some(channel) = self.channels.get(&to).and_then(|channels| channels.last()) else { return };
        let length = bytes.len();
        let full = channel.waiting.fetch_add(length, Ordering::Relaxed) + length > MAX_WAITING;
        if full || channel.frames.send(bytes).is_err() {
            self.unsent += 1;
            self.close(&to);
            self.closed.push_back(to);
        }
    }

    /// Ends all streams with a peer.
    pub(super) fn close(&mut self, peer: &DestHash) {
        self.channels.remove(peer);
    }

    /// Whom there is a channel with.
    pub(super) fn peers(&self) -> Vec<DestHash> {
        self.channels.keys().copied().collect()
    }

    /// How many peers have a channel.
    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// What comes next; `None` once the destination is closed. May be cancelled.
    pub(super) async fn heard(&mut self) -> Option<Heard> {
        loop {
            if let Some(peer) = self.closed.pop_front() {
                return Some(Heard::Closed(peer));
            }
            tokio::select! {
                event = self.events.recv() => match event? {
                    Event::Frame(from, bytes) => return Some(Heard::Frame { from, bytes }),
                    Event::Ended(peer, number) => self.ended(peer, number),
                },
                datagram = self.datagrams.recv() => {
                    let datagram = datagram?;
                    if let Some(from) = datagram.from.filter(|_| datagram.proven) {
                        return Some(Heard::Datagram { from: from.hash(), bytes: datagram.payload });
                    }
                }
                stream = self.destination.accept(), if self.accepts => self.accepted(stream?),
            }
        }
    }

    fn accepted(&mut self, mut stream: Stream) {
        let peer = stream.peer();
        let known = self.channels.contains_key(&peer);
        if !known && self.channels.len() >= MAX_CHANNELS {
            return stream.reset();
        }
        if let Some(channels) = self.channels.get_mut(&peer).filter(|channels| channels.len() >= MAX_STREAMS)
        {
            channels.remove(0);
        }
        self.open(peer, Some(stream));
    }

    fn open(&mut self, peer: DestHash, accepted: Option<Stream>) {
        self.next += 1;
        let number = self.next;
        let (frames, queue) = mpsc::unbounded_channel();
        let channel =
            Channel { number, frames, waiting: Arc::default(), stop: self.tasks.stop().child_token() };
        let end = End {
            peer,
            queue,
            waiting: Arc::clone(&channel.waiting),
            moved: AtomicU64::new(0),
            events: self.sender.clone(),
        };
        let (stop, events) = (channel.stop.clone(), self.sender.clone());
        let destination = self.destination.clone();
        self.channels.entry(peer).or_default().push(channel);
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = end.carry(destination, accepted) => {}
            }
            let _ = events.send(Event::Ended(peer, number)).await;
        });
    }

    /// A stream ended. If it was the one that is written to, what was sent over it may be lost.
    fn ended(&mut self, peer: DestHash, number: u64) {
        let Some(channels) = self.channels.get_mut(&peer) else { return };
        let current = channels.last().is_some_and(|channel| channel.number == number);
        channels.retain(|channel| channel.number != number);
        if channels.is_empty() {
            self.channels.remove(&peer);
        }
        if current {
            self.closed.push_back(peer);
        }
    }
}

/// The task's half of a channel.
struct End {
    peer: DestHash,
    queue: mpsc::UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    /// Frames that went either way.
    moved: AtomicU64,
    events: mpsc::Sender<Event>,
}

impl End {
    /// Carries frames both ways until the stream ends, or is idle.
    async fn carry(self, destination: LocalDestination, accepted: Option<Stream>) {
        let Self { peer, mut queue, waiting, moved, events } = self;
        let idle = if accepted.is_some() { IDLE_ACCEPTED } else { IDLE };
        let stream = match accepted {
            Some(stream) => stream,
            None => match destination.connect(Target::Hash(peer), 0).await {
                Ok(stream) => stream,
                Err(error) => return tracing::debug!(%error, "no channel with a node of the store"),
            },
        };
        // The stream keeps the destination open as long as it needs it.
        drop(destination);
        let (read, write) = tokio::io::split(stream);
        let quiet = async {
            let mut before = moved.load(Ordering::Relaxed);
            loop {
                tokio::time::sleep(idle).await;
                let now = moved.load(Ordering::Relaxed);
                if now == before && waiting.load(Ordering::Relaxed) == 0 {
                    return Ok(());
                }
                before = now;
            }
        };
        let ended = tokio::select! {
            ended = read_frames(read, peer, &moved, &events) => ended,
            ended = write_frames(write, &mut queue, &moved, &waiting) => ended,
            ended = quiet => ended,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a channel with a node of the store ended");
        }
    }
}

async fn read_frames(
    read: impl AsyncRead + Unpin,
    peer: DestHash,
    moved: &AtomicU64,
    events: &mpsc::Sender<Event>,
) -> io::Result<()> {
    let mut read = BufReader::with_capacity(READ, read);
    loop {
        let length = match read.read_u32().await {
            Ok(length) => length as usize,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        if length > MAX_FRAME {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer sent a frame that is too long"));
        }
        let mut frame = vec![0; length];
        read.read_exact(&mut frame).await?;
        moved.fetch_add(1, Ordering::Relaxed);
        if events.send(Event::Frame(peer, frame.into())).await.is_err() {
            return Ok(());
        }
    }
}

async fn write_frames(
    mut write: impl AsyncWrite + Unpin,
    queue: &mut mpsc::UnboundedReceiver<Bytes>,
    moved: &AtomicU64,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    let (mut frames, mut buffer) = (Vec::with_capacity(TOGETHER), BytesMut::new());
    while queue.recv_many(&mut frames, TOGETHER).await > 0 {
        let mut length = 0;
        for frame in frames.drain(..) {
            length += frame.len();
            buffer.put_u32(frame.len() as u32);
            buffer.put(frame);
        }
        write.write_all(&buffer).await?;
        buffer.clear();
        waiting.fetch_sub(length, Ordering::Relaxed);
        moved.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
