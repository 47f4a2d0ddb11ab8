//! Links to other routers over NTCP2: accepting, dialling, and the two tasks of each.

mod backlog;
mod handshake;
mod reader;
mod time;
mod writer;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use allium_crypto::Rng;
use allium_link::ntcp2::{Established, Local, Reason, ReplayCache};
use allium_link::{Activity, Backoff, Bans, Blame, Delays, TerminationPolicy};
use allium_wire::{RouterHash, RouterInfo};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::core::Input;
use crate::net::{Connection, Listener};
use crate::outbox::lock;
use crate::shared::Shared;

/// Handshakes that strangers may have under way at once, in all and from one address.
const HANDSHAKES: usize = 256;
const HANDSHAKES_EACH: usize = 32;
/// A peer that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(45);

/// What all links share.
pub(crate) struct Links {
    pub(crate) local: Local,
    pub(crate) policy: TerminationPolicy,
    pub(crate) bans: Mutex<Bans>,
    pub(crate) backoff: Mutex<Backoff>,
    replays: Mutex<ReplayCache>,
    votes: Mutex<time::Votes>,
    handshaking: Mutex<BTreeMap<IpAddr, usize>>,
    next: AtomicU64,
    up: AtomicUsize,
}

impl Links {
    pub(crate) fn new(local: Local, rng: &mut Rng) -> Self {
        Self {
            local,
            policy: TerminationPolicy::default(),
            bans: Mutex::new(Bans::new(4096)),
            backoff: Mutex::new(Backoff::new(4096, Delays::default(), rng.fork())),
            votes: Mutex::new(time::Votes::new()),
            replays: Mutex::new(ReplayCache::new(65_536, rng)),
            handshaking: Mutex::new(BTreeMap::new()),
            next: AtomicU64::new(1),
            up: AtomicUsize::new(0),
        }
    }

    /// Links that stand.
    pub(crate) fn up(&self) -> usize {
        self.up.load(Ordering::Relaxed)
    }

    /// Takes a place for a handshake begun by `ip`; false where there is none.
    fn begin(&self, ip: IpAddr) -> bool {
        let mut under_way = lock(&self.handshaking);
        let total: usize = under_way.values().sum();
        let each = under_way.entry(ip).or_insert(0);
        let room = total < HANDSHAKES && *each < HANDSHAKES_EACH;
        *each += usize::from(room);
        room
    }

    fn end(&self, ip: IpAddr) {
        let mut under_way = lock(&self.handshaking);
        if let Some(each) = under_way.get_mut(&ip) {
            *each = each.saturating_sub(1);
            if *each == 0 {
                under_way.remove(&ip);
            }
        }
    }
}

/// One link, as its two tasks share it.
struct Link {
    number: u64,
    peer: RouterHash,
    close: CancellationToken,
    last_words: Mutex<Option<Reason>>,
    received_frames: AtomicU64,
    activity: Mutex<Activity>,
}

/// Whether a router may be dialled at, or dial from, such an address on a public network.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (b == 18 || b == 19);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || shared
                || benchmark
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(ip) => {
            let first = ip.segments()[0];
            first & 0xe000 == 0x2000 && !(first == 0x2001 && ip.segments()[1] == 0x0db8)
        }
    }
}

/// Accepts connections until the router stops.
pub(crate) async fn accept(shared: Arc<Shared>, mut listener: Box<dyn Listener>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => welcome(&shared, connection),
            Err(error) => {
                // Out of file descriptors, most likely: existing links must go on.
                warn!("can't accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

fn welcome(shared: &Arc<Shared>, connection: Connection) {
    let ip = connection.peer.ip().to_canonical();
    let now = shared.clock.now();
    let banned = lock(&shared.links.bans).address(ip, now.instant).is_some();
    if banned || !(shared.config.network.allow_local || is_public(ip)) || !shared.links.begin(ip) {
        shared.counters.handshakes_refused.one();
        connection.write.abort();
        return;
    }
    let shared = shared.clone();
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let outcome = handshake::respond(&shared, connection).await;
        shared.links.end(ip);
        if let Some((connection, established)) = outcome {
            let peer = established.hash;
            let news = Input::LinkUp { peer, info: established.peer.clone().map(Box::new) };
            if shared.core.send(news).await.is_ok() {
                run(shared, connection, established).await;
            }
        }
    });
}

/// Dials a router; tells the core how it went. Messages that wait for it go out as soon as the link stands.
pub(crate) fn dial(shared: &Arc<Shared>, info: RouterInfo) {
    let shared = shared.clone();
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let peer = info.hash();
        let attempt =
            tokio::time::timeout(shared.links.policy.handshake, handshake::initiate(&shared, &info));
        let result = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            result = attempt => result,
        };
        let (blame, why) = match result {
            Ok(Ok((connection, established))) => {
                lock(&shared.links.backoff).succeeded(&peer);
                if shared.core.send(Input::LinkUp { peer, info: None }).await.is_ok() {
                    run(shared, connection, established).await;
                }
                return;
            }
            Ok(Err(handshake::Failure { blame, why, skew })) => {
                if let Some(skew) = skew {
                    time::differs(&shared, peer, skew).await;
                }
                (blame, why)
            }
            Err(_) => (Blame::Network, "no answer in time".to_owned()),
        };
        debug!("no link to {peer}: {why}");
        shared.counters.handshakes_failed.one();
        lock(&shared.links.backoff).failed(peer, shared.clock.now().instant, blame);
        shared.dial_failed(&peer);
        let _ = shared.core.send(Input::DialFailed { peer, blame }).await;
    });
}

/// Runs an established link to its end: this task reads, a second one writes.
async fn run(shared: Arc<Shared>, connection: Connection, established: Established) {
    let now = shared.clock.now().instant;
    let link = Arc::new(Link {
        number: shared.links.next.fetch_add(1, Ordering::Relaxed),
        peer: established.hash,
        close: shared.stop.child_token(),
        last_words: Mutex::new(None),
        received_frames: AtomicU64::new(0),
        activity: Mutex::new(Activity { received: now, sent: now }),
    });
    let outbox = shared.outbox(&link.peer);
    let filled = outbox.link_up(link.number);
    shared.links.up.fetch_add(1, Ordering::Relaxed);
    let Connection { read, write, .. } = connection;
    let writer = tokio::spawn(writer::run(
        shared.clone(),
        link.clone(),
        (outbox.clone(), filled),
        write,
        established.sender,
    ));
    reader::run(&shared, &link, read, established.receiver).await;
    link.close.cancel();
    let _ = writer.await;
    shared.links.up.fetch_sub(1, Ordering::Relaxed);
    let again = outbox.link_down(link.number);
    if !shared.stop.is_cancelled() {
        let _ = shared.core.send(Input::LinkDown { peer: link.peer }).await;
        if again {
            let _ = shared.core.send(Input::Dial(link.peer)).await;
        }
    }
}

/// Listens at each of the addresses.
///
/// # Errors
/// The first address that can't be listened at, and why.
pub(crate) async fn listen(shared: &Arc<Shared>, addresses: &[SocketAddr]) -> std::io::Result<()> {
    for at in addresses {
        let listener = shared.net.listen(*at).await.map_err(|error| {
            std::io::Error::new(error.kind(), format!("can't listen at {at} for NTCP2: {error}"))
        })?;
        info!("listening for routers at {at}");
        shared.tasks.spawn(accept(shared.clone(), listener));
    }
    Ok(())
}
