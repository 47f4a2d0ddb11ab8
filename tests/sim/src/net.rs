//! A simulated internet: addresses, latency, jitter, loss, bandwidth, NAT, partitions, hosts that go away.
//!
//! It carries byte streams, as the kernel's TCP would: a lost segment costs time, not bytes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allium_crypto::Rng;
use allium_router::net::{BoxFuture, Connection, Listener, Net, WriteHalf};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

/// How any two hosts are joined.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// One-way delay.
    pub latency: Duration,
    /// The most that is added to the delay of a segment, evenly distributed.
    pub jitter: Duration,
    /// The share of segments lost, each of which costs a retransmission's time.
    pub loss: f64,
    /// Bytes a second that a connection carries each way; unlimited where `None`.
    pub bandwidth: Option<u64>,
}

impl Default for Path {
    fn default() -> Self {
        Self { latency: Duration::from_millis(5), jitter: Duration::ZERO, loss: 0.0, bandwidth: None }
    }
}

/// Bytes that a connection holds one way, in flight or unread, before its writer must wait.
const WINDOW: usize = 1 << 20;
/// Bytes of a segment, of which each may be lost.
const SEGMENT: usize = 1400;
/// How long a connection attempt to nowhere takes to fail.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

struct World {
    rng: Rng,
    path: Path,
    listeners: BTreeMap<SocketAddr, mpsc::Sender<Connection>>,
    behind_nat: BTreeSet<IpAddr>,
    down: BTreeSet<IpAddr>,
    group: BTreeMap<IpAddr, u32>,
    next_port: u16,
    pipes: Vec<std::sync::Weak<Mutex<Pipe>>>,
    trace: u64,
    events: u64,
    started: Instant,
}

/// The whole simulated internet. Cheap to clone.
#[derive(Clone)]
pub struct SimNet(Arc<Mutex<World>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn joined(&self, a: IpAddr, b: IpAddr) -> bool {
        let group = |ip| self.group.get(&ip).copied().unwrap_or(0);
        !self.down.contains(&a) && !self.down.contains(&b) && group(a) == group(b)
    }

    /// The trace is a hash of all that was ever sent: when, between whom, how much.
    fn record(&mut self, from: IpAddr, to: IpAddr, length: usize) {
        let elapsed = self.started.elapsed().as_millis() as u64;
        let address = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits() as u64,
        };
        for word in [elapsed, address(from), address(to), length as u64] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        self.events += 1;
    }

    /// How long what is sent now is on its way.
    fn delay(&mut self, length: usize) -> Duration {
        let mut delay = self.path.latency + self.path.jitter.mul_f64(self.rng.unit());
        let segments = length.div_ceil(SEGMENT).max(1);
        if self.path.loss > 0.0 && self.rng.chance(1.0 - (1.0 - self.path.loss).powf(segments as f64)) {
            delay += self.path.latency * 2 + Duration::from_millis(self.rng.range(20..120));
        }
        delay
    }
}

impl SimNet {
    /// An internet without hosts. Must be made on the paused runtime that it is to live on.
    pub fn new(rng: Rng, path: Path) -> Self {
        Self(Arc::new(Mutex::new(World {
            rng,
            path,
            listeners: BTreeMap::new(),
            behind_nat: BTreeSet::new(),
            down: BTreeSet::new(),
            group: BTreeMap::new(),
            next_port: 30_000,
            pipes: Vec::new(),
            trace: 0xcbf2_9ce4_8422_2325,
            events: 0,
            started: Instant::now(),
        })))
    }

    /// The net as the host at `ip` sees it.
    pub fn host(&self, ip: IpAddr) -> Arc<dyn Net> {
        Arc::new(Host { net: self.clone(), ip })
    }

    /// Puts the host behind a NAT: it can dial, and can't be dialled.
    pub fn behind_nat(&self, ip: IpAddr) {
        lock(&self.0).behind_nat.insert(ip);
    }

    /// Takes a host off the net as a crash of its programs does: its connections are reset.
    pub fn crash(&self, ip: IpAddr) {
        lock(&self.0).down.insert(ip);
        self.reset(ip);
    }

    /// Takes a host off the net as a power cut does: nobody is told, and nothing arrives any more.
    pub fn vanish(&self, ip: IpAddr) {
        let mut world = lock(&self.0);
        world.down.insert(ip);
        world.listeners.retain(|at, _| at.ip() != ip);
    }

    /// Puts a host back on the net, without the connections it had.
    pub fn restore(&self, ip: IpAddr) {
        self.reset(ip);
        lock(&self.0).down.remove(&ip);
    }

    fn reset(&self, ip: IpAddr) {
        let mut world = lock(&self.0);
        world.listeners.retain(|at, _| at.ip() != ip);
        world.pipes.retain(|pipe| pipe.strong_count() > 0);
        for pipe in world.pipes.iter().filter_map(std::sync::Weak::upgrade) {
            let mut pipe = lock(&pipe);
            if pipe.from == ip || pipe.to == ip {
                pipe.broken = true;
                pipe.wake();
            }
        }
    }

    /// Whether the host is off the net.
    fn is_down(&self, ip: IpAddr) -> bool {
        lock(&self.0).down.contains(&ip)
    }

    /// Parts the hosts named from all others: nothing arrives between them until [`Self::heal`].
    pub fn partition(&self, hosts: impl IntoIterator<Item = IpAddr>) {
        let mut world = lock(&self.0);
        world.group.extend(hosts.into_iter().map(|ip| (ip, 1)));
    }

    /// Ends every partition; what was sent meanwhile arrives.
    pub fn heal(&self) {
        let mut world = lock(&self.0);
        world.group.clear();
        world.pipes.retain(|pipe| pipe.strong_count() > 0);
        for pipe in world.pipes.iter().filter_map(std::sync::Weak::upgrade) {
            lock(&pipe).wake();
        }
    }

    /// Changes how hosts are joined, for what is sent from now on.
    pub fn set_path(&self, path: Path) {
        lock(&self.0).path = path;
    }

    /// A hash of all that was sent so far, and how many sends it covers: equal for equal seeds.
    pub fn trace(&self) -> (u64, u64) {
        let world = lock(&self.0);
        (world.trace, world.events)
    }
}

/// One direction of a connection.
struct Pipe {
    from: IpAddr,
    to: IpAddr,
    queue: VecDeque<(Instant, Bytes)>,
    held: usize,
    last: Instant,
    closed: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(from: IpAddr, to: IpAddr) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            from,
            to,
            queue: VecDeque::new(),
            held: 0,
            last: Instant::now(),
            closed: false,
            broken: false,
            reader: None,
            writer: None,
        }))
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

struct Reading {
    net: SimNet,
    pipe: Arc<Mutex<Pipe>>,
    sleep: Pin<Box<Sleep>>,
}

impl AsyncRead for Reading {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let joined = {
            let (from, to) = {
                let pipe = lock(&this.pipe);
                (pipe.from, pipe.to)
            };
            lock(&this.net.0).joined(from, to)
        };
        let mut pipe = lock(&this.pipe);
        if pipe.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let now = Instant::now();
        match pipe.queue.front().map(|(at, _)| *at) {
            Some(at) if joined && at <= now => {}
            None if pipe.closed && joined => return Poll::Ready(Ok(())),
            other => {
                pipe.reader = Some(cx.waker().clone());
                drop(pipe);
                if let Some(at) = other.filter(|_| joined) {
                    this.sleep.as_mut().reset(at);
                    if Future::poll(this.sleep.as_mut(), cx).is_ready() {
                        cx.waker().wake_by_ref();
                    }
                }
                return Poll::Pending;
            }
        }
        while buf.remaining() > 0 {
            let Some((at, chunk)) = pipe.queue.front_mut() else { break };
            if *at > now {
                break;
            }
            let n = chunk.len().min(buf.remaining());
            buf.put_slice(&chunk[..n]);
            chunk.advance(n);
            let empty = chunk.is_empty();
            pipe.held -= n;
            if empty {
                pipe.queue.pop_front();
            }
        }
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let to = lock(&self.pipe).to;
        if self.net.is_down(to) {
            return; // what a host without power closes, nobody hears of
        }
        let mut pipe = lock(&self.pipe);
        pipe.broken = true;
        pipe.wake();
    }
}

struct Writing {
    net: SimNet,
    pipe: Arc<Mutex<Pipe>>,
}

impl WriteHalf for Writing {}

impl AsyncWrite for Writing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut world = lock(&self.net.0);
        let mut pipe = lock(&self.pipe);
        if pipe.broken || pipe.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if pipe.held >= WINDOW {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = data.len().min(WINDOW - pipe.held);
        let now = Instant::now();
        let serialize = world
            .path
            .bandwidth
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(length as f64 / rate.max(1) as f64));
        let local = pipe.from == pipe.to;
        let delay = if local { Duration::ZERO } else { world.delay(length) };
        let at = (now + delay).max(pipe.last) + serialize;
        world.record(pipe.from, pipe.to, length);
        pipe.last = at;
        pipe.held += length;
        pipe.queue.push_back((at, Bytes::copy_from_slice(&data[..length])));
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.pipe);
        pipe.closed = true;
        pipe.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let from = lock(&self.pipe).from;
        if self.net.is_down(from) {
            return;
        }
        let mut pipe = lock(&self.pipe);
        pipe.closed = true;
        pipe.wake();
    }
}

struct Host {
    net: SimNet,
    ip: IpAddr,
}

impl Host {
    /// Who listens at `to`, and from which address we come; `None` where nothing answers at all.
    fn reach(&self, to: SocketAddr, local: bool) -> Option<(Option<mpsc::Sender<Connection>>, SocketAddr)> {
        let mut world = lock(&self.net.0);
        if !world.joined(self.ip, to.ip()) || (world.behind_nat.contains(&to.ip()) && !local) {
            return None;
        }
        world.next_port = world.next_port.checked_add(1).unwrap_or(30_000);
        Some((world.listeners.get(&to).cloned(), SocketAddr::new(self.ip, world.next_port)))
    }

    fn end(&self, read: &Arc<Mutex<Pipe>>, write: &Arc<Mutex<Pipe>>, peer: SocketAddr) -> Connection {
        Connection {
            read: Box::new(Reading {
                net: self.net.clone(),
                pipe: read.clone(),
                sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            }),
            write: Box::new(Writing { net: self.net.clone(), pipe: write.clone() }),
            peer,
        }
    }
}

struct SimListener {
    at: SocketAddr,
    incoming: mpsc::Receiver<Connection>,
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async { self.incoming.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into()) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Net for Host {
    fn connect(&self, _from: Option<IpAddr>, to: SocketAddr) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async move {
            let local = to.ip() == self.ip || to.ip().is_loopback();
            let to = if to.ip().is_loopback() { SocketAddr::new(self.ip, to.port()) } else { to };
            let round_trip = {
                let mut world = lock(&self.net.0);
                if local { Duration::ZERO } else { world.delay(0) + world.delay(0) }
            };
            tokio::time::sleep(round_trip).await;
            let Some((listener, from)) = self.reach(to, local) else {
                tokio::time::sleep(CONNECT_TIMEOUT).await;
                return Err(io::ErrorKind::TimedOut.into());
            };
            let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
            let (there, back) = (Pipe::new(self.ip, to.ip()), Pipe::new(to.ip(), self.ip));
            {
                let mut world = lock(&self.net.0);
                if world.pipes.len() > 64 && world.pipes.len().is_power_of_two() {
                    world.pipes.retain(|pipe| pipe.strong_count() > 0);
                }
                world.pipes.extend([Arc::downgrade(&there), Arc::downgrade(&back)]);
            }
            let remote = self.end(&there, &back, from);
            listener.send(remote).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(self.end(&back, &there, to))
        })
    }

    fn listen(&self, at: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let at = if at.ip().is_unspecified() || at.ip().is_loopback() {
                SocketAddr::new(self.ip, at.port())
            } else {
                at
            };
            if at.ip() != self.ip {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
            let (sender, incoming) = mpsc::channel(64);
            let mut world = lock(&self.net.0);
            if world.listeners.get(&at).is_some_and(|old| !old.is_closed()) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            world.listeners.insert(at, sender);
            Ok(Box::new(SimListener { at, incoming }) as Box<dyn Listener>)
        })
    }
}
