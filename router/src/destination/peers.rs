//! What a destination knows of those it speaks with: their LeaseSets, and the way to them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_garlic::PeerKey;
use allium_stream::Transmit;
use allium_tunnel::pool::BuildId;
use allium_wire::tunnel::Target as TunnelTarget;
use allium_wire::{Date, DestHash, Lease, LeaseSet, Now};
use tokio::sync::oneshot;

use super::mail::Parcel;
use super::paths::OutboundPath;
use super::stream::Stream;
use super::{ConnectError, Target};

/// Messages to a peer whose LeaseSet is being looked for.
const WAITING: usize = 256;
/// A way is kept for so many packets; then the next is drawn.
const BURST: u32 = 24;
/// Nor is it kept for longer than this: on a way that stalls, acknowledgements must not wait one behind the other.
const HOLD: Duration = Duration::from_millis(150);
/// Connections whose way is kept until their first packet is known to have arrived.
const EARLY: usize = 64;
/// A lease that ends sooner is used only if there is no other.
const MARGIN: Duration = Duration::from_secs(20);
/// A way on which something was lost is avoided for so long.
const AVOID: Duration = Duration::from_secs(10);
/// Unanswered for so long, it may be that tunnels of ours have died.
const DOUBT: Duration = Duration::from_millis(1500);
/// How often that is acted on while the silence lasts.
const DOUBT_AGAIN: Duration = Duration::from_secs(4);
/// The same for datagrams, and once for each silence: not all want an answer.
const DOUBT_POSTED: Duration = Duration::from_secs(3);
/// Unanswered for so long, a peer may have other tunnels, or have forgotten us.
const SILENCE: Duration = Duration::from_secs(4);
/// How often that is acted on.
const REFRESH: Duration = Duration::from_secs(5);
/// The same silence while only datagrams went there, of which none need be answered.
const UNHEARD: Duration = Duration::from_secs(20);
/// How often that is acted on, and how long before its end a LeaseSet is looked for anew.
const RENEW: Duration = Duration::from_secs(45);

/// A caller that waits for a stream.
pub(super) struct Waiting {
    pub(super) to: Target,
    pub(super) port: u16,
    pub(super) answer: oneshot::Sender<Result<Stream, ConnectError>>,
}

/// Through which of our tunnels, to which of theirs.
#[derive(Clone)]
struct Way {
    out: Arc<OutboundPath>,
    lease: Lease,
    left: u32,
    hint: u64,
    since: Instant,
}

/// What a peer's silence asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    /// A test of our own tunnels.
    pub(super) doubt: bool,
    /// Another look for its LeaseSet (and, for streams, a new session).
    pub(super) refresh: bool,
}

impl Way {
    /// Whether both tunnels are still there and in use.
    fn stands(&self, now: Now, paths: &[Arc<OutboundPath>]) -> bool {
        self.out.lives(now.instant)
            && self.lease.expires > now.date
            && paths.iter().any(|path| Arc::ptr_eq(path, &self.out))
    }
}

/// A destination that we speak with.
pub(super) struct Peer {
    pub(super) lease_set: Option<LeaseSet>,
    pub(super) key: Option<PeerKey>,
    pub(super) looking: bool,
    pub(super) connects: Vec<Waiting>,
    pub(super) unsent: VecDeque<Transmit>,
    pub(super) parcels: Vec<Parcel>,
    pub(super) heard: Instant,
    pub(super) used: Instant,
    /// Since when there is something unanswered.
    asked: Option<Instant>,
    refreshed: Option<Instant>,
    doubted: Option<Instant>,
    /// Since when datagrams went there, and nothing came.
    posted: Option<Instant>,
    renewed: Option<Instant>,
    way: Option<Way>,
    /// By hint: the way of connections whose first packet may not have arrived, oldest first.
    early: VecDeque<(u64, Way)>,
    avoid: BTreeMap<Lease, Instant>,
    avoid_out: BTreeMap<BuildId, Instant>,
}

impl Peer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            lease_set: None,
            key: None,
            looking: false,
            connects: Vec::new(),
            unsent: VecDeque::new(),
            parcels: Vec::new(),
            heard: now,
            used: now,
            asked: None,
            refreshed: None,
            doubted: None,
            posted: None,
            renewed: None,
            way: None,
            early: VecDeque::new(),
            avoid: BTreeMap::new(),
            avoid_out: BTreeMap::new(),
        }
    }

    /// Takes a LeaseSet, where it is newer; whether it was taken.
    pub(super) fn learn(&mut self, set: LeaseSet) -> bool {
        if self.lease_set.as_ref().is_some_and(|known| known.published() >= set.published()) {
            return false;
        }
        let Some(key) = set.x25519() else { return false };
        self.key = Some(PeerKey { hash: set.hash(), key });
        if let Some(way) = &self.way
            && !set.leases().contains(&way.lease)
        {
            self.way = None;
        }
        self.early.retain(|(_, way)| set.leases().contains(&way.lease));
        self.lease_set = Some(set);
        true
    }

    /// Whether there is a lease to send to.
    pub(super) fn reachable(&self, date: Date) -> bool {
        self.lease_set.as_ref().is_some_and(|set| set.leases().iter().any(|lease| lease.expires > date))
    }

    /// Keeps a packet until the LeaseSet is found; the oldest goes where there are too many.
    pub(super) fn wait(&mut self, transmit: Transmit) {
        if self.unsent.len() >= WAITING {
            self.unsent.pop_front();
        }
        self.unsent.push_back(transmit);
    }

    /// Something came from the peer.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
        self.posted = None;
        self.doubted = None;
    }

    /// A datagram goes to the peer. Its LeaseSet should be looked for anew meanwhile where it ends soon, or where the
    /// peer is so silent that its tunnels may be others by now. (Where nobody answers, sessions ask for
    /// acknowledgements every few seconds.)
    pub(super) fn post(&mut self, now: Now) -> Silence {
        let since = *self.posted.get_or_insert(now.instant);
        let silence = now.instant.saturating_duration_since(since);
        let silent = silence > UNHEARD;
        let doubt = silence > DOUBT_POSTED && self.doubted.is_none();
        if doubt {
            self.doubted = Some(now.instant);
        }
        let ends = self.lease_set.as_ref().is_some_and(|set| set.expires() < now.date + RENEW);
        let lately = self.renewed.is_some_and(|at| now.instant.saturating_duration_since(at) < RENEW);
        let renew = (silent || ends) && !lately;
        if renew {
            self.renewed = Some(now.instant);
        }
        Silence { doubt, refresh: renew }
    }

    /// Something goes to the peer that wants an answer.
    pub(super) fn ask(&mut self, now: Instant, again: bool) -> Silence {
        let since = *self.asked.get_or_insert(now);
        let silence = if again { now.saturating_duration_since(since) } else { Duration::ZERO };
        let due =
            |last: Option<Instant>, every| last.is_none_or(|at| now.saturating_duration_since(at) >= every);
        let refresh = silence > SILENCE && due(self.refreshed, REFRESH);
        if refresh {
            self.refreshed = Some(now);
        }
        let doubt = silence > DOUBT && due(self.doubted, DOUBT_AGAIN);
        if doubt {
            self.doubted = Some(now);
        }
        Silence { doubt, refresh }
    }

    /// The way for a packet that must not overtake the first one of its connection: the way which that took, while it
    /// stands.
    pub(super) fn early_way(
        &mut self,
        now: Now,
        paths: &[Arc<OutboundPath>],
        hint: u64,
        rng: &mut Rng,
    ) -> Option<(Arc<OutboundPath>, TunnelTarget)> {
        if let Some((_, way)) = self.early.iter().find(|(connection, _)| *connection == hint)
            && way.stands(now, paths)
            && self.avoid.get(&way.lease).is_none_or(|until| *until <= now.instant)
        {
            return Some((way.out.clone(), target(&way.lease)));
        }
        let found = self.way(now, paths, false, hint, rng)?;
        self.early.retain(|(connection, _)| *connection != hint);
        if self.early.len() >= EARLY {
            self.early.pop_front();
        }
        self.early.extend(self.way.clone().map(|way| (hint, way)));
        Some(found)
    }

    /// The way for the next packet: kept for a burst, then drawn among the tunnels by how fast they are.
    pub(super) fn way(
        &mut self,
        now: Now,
        paths: &[Arc<OutboundPath>],
        lost: bool,
        hint: u64,
        rng: &mut Rng,
    ) -> Option<(Arc<OutboundPath>, TunnelTarget)> {
        if let Some(way) = &mut self.way {
            if lost {
                self.avoid.insert(way.lease, now.instant + AVOID);
                self.avoid_out.insert(way.out.id, now.instant + AVOID);
            } else if (way.left > 0 || way.hint == hint)
                && now.instant.saturating_duration_since(way.since) < HOLD
                && way.out.has_room()
                && way.stands(now, paths)
            {
                way.left = way.left.saturating_sub(1);
                way.hint = hint;
                return Some((way.out.clone(), target(&way.lease)));
            }
        }
        self.avoid_out.retain(|_, until| *until > now.instant);
        let good = |path: &&Arc<OutboundPath>| !self.avoid_out.contains_key(&path.id);
        let kept: Vec<Arc<OutboundPath>> = paths.iter().filter(good).cloned().collect();
        let out = fastest(if kept.is_empty() { paths } else { &kept }, rng)?;
        let lease = self.lease(now, rng)?;
        self.way = Some(Way { out: out.clone(), lease, left: BURST, hint, since: now.instant });
        Some((out, target(&lease)))
    }

    fn lease(&mut self, now: Now, rng: &mut Rng) -> Option<Lease> {
        self.avoid.retain(|_, until| *until > now.instant);
        let set = self.lease_set.as_ref()?;
        let alive: Vec<Lease> =
            set.leases().iter().filter(|lease| lease.expires > now.date).copied().collect();
        let lasting = |lease: &&Lease| lease.expires > now.date + MARGIN;
        let good: Vec<Lease> =
            alive.iter().filter(lasting).filter(|lease| !self.avoid.contains_key(lease)).copied().collect();
        rng.choose(if good.is_empty() { &alive } else { &good }).copied()
    }
}

fn target(lease: &Lease) -> TunnelTarget {
    TunnelTarget::Tunnel { gateway: lease.gateway, tunnel: lease.tunnel }
}

/// Draws a tunnel: one twice as slow a quarter as often, and one without room only where none has any.
fn fastest(paths: &[Arc<OutboundPath>], rng: &mut Rng) -> Option<Arc<OutboundPath>> {
    let roomy: Vec<&Arc<OutboundPath>> = paths.iter().filter(|path| path.has_room()).collect();
    let from: Vec<&Arc<OutboundPath>> = if roomy.is_empty() { paths.iter().collect() } else { roomy };
    let weights: Vec<f64> = from.iter().map(|path| path.slowness().powi(-2)).collect();
    let mut draw = rng.unit() * weights.iter().sum::<f64>();
    for (path, weight) in from.iter().zip(&weights) {
        draw -= weight;
        if draw <= 0.0 {
            return Some((*path).clone());
        }
    }
    from.last().map(|path| (*path).clone())
}

/// The peers of a destination.
#[derive(Default)]
pub(super) struct Peers(BTreeMap<DestHash, Peer>);

/// The most peers remembered.
const PEERS: usize = 4096;
/// A peer unused for so long is forgotten.
const FORGET: Duration = Duration::from_secs(900);

impl Peers {
    pub(super) fn get(&mut self, hash: &DestHash) -> Option<&mut Peer> {
        self.0.get_mut(hash)
    }

    pub(super) fn entry(&mut self, hash: DestHash, now: Instant) -> &mut Peer {
        if self.0.len() >= PEERS && !self.0.contains_key(&hash) {
            let oldest = self.0.iter().min_by_key(|(_, peer)| peer.used).map(|(hash, _)| *hash);
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        let peer = self.0.entry(hash).or_insert_with(|| Peer::new(now));
        peer.used = now;
        peer
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        self.0.retain(|_, peer| peer.looking || now.saturating_duration_since(peer.used) < FORGET);
    }
}

#[cfg(test)]
mod tests;
