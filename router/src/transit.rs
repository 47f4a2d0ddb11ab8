//! The task that answers others' requests to carry their tunnels.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use allium_tunnel::admit::Limits;
use allium_tunnel::{Admission, Responder};
use allium_wire::i2np::{BuildRecords, Kind, Message};
use allium_wire::{RouterHash, TunnelId};
use tokio::sync::mpsc;
use tracing::debug;

use crate::shared::Shared;
use crate::switch::{Batch, Entry};

/// A build message, short or long, and the peer that brought it; `None` where it came through a tunnel.
pub(crate) struct Request {
    pub(crate) from: Option<RouterHash>,
    pub(crate) message: Message,
}

/// How often expired tunnels are removed.
const SWEEP: Duration = Duration::from_secs(5);

/// Finds others' tunnels that nothing went through for long.
struct Idle {
    after: Option<Duration>,
    /// What each had carried when it was last seen to carry something.
    seen: BTreeMap<TunnelId, (u64, Instant)>,
}

impl Idle {
    fn new(shared: &Shared) -> Self {
        let after = Some(shared.config.tunnels.drop_idle_transit).filter(|seconds| *seconds > 0);
        Self { after: after.map(|seconds| Duration::from_secs(seconds.into())), seen: BTreeMap::new() }
    }

    /// Removes what is over; gives how many tunnels.
    fn sweep(&mut self, shared: &Shared, now: Instant) -> usize {
        let Some(after) = self.after else { return shared.tunnels.sweep(now, |_, _| false) };
        let mut seen = BTreeMap::new();
        let removed = shared.tunnels.sweep(now, |id, relayed| {
            let before = self.seen.get(&id).filter(|(then, _)| *then == relayed);
            let since = before.map_or(now, |(_, at)| *at);
            let idle = now.saturating_duration_since(since) >= after;
            if !idle {
                seen.insert(id, (relayed, since));
            }
            idle
        });
        self.seen = seen;
        removed
    }
}

/// What this router takes on, by its configuration.
fn limits(shared: &Shared) -> Limits {
    let network = &shared.config.network;
    let tunnels = if network.transit { shared.config.tunnels.transit as usize } else { 0 };
    Limits { tunnels, bandwidth: network.bandwidth.map(|b| b.0), ..Limits::default() }
}

/// Answers requests, and removes tunnels when their time is over, until the router stops.
pub(crate) async fn run(shared: Arc<Shared>, mut requests: mpsc::Receiver<Request>) {
    let mut rng = shared.fork_rng();
    let mut admission = Admission::new(limits(&shared), shared.clock.now(), &mut rng);
    let mut responder = Responder::new(shared.hash, shared.keys.encryption().clone(), rng);
    let mut batch = Batch::new();
    let mut sweep = tokio::time::interval(SWEEP);
    let mut relayed = 0;
    let mut idle = Idle::new(&shared);
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            _ = sweep.tick() => {
                let now = shared.clock.now();
                for _ in 0..idle.sweep(&shared, now.instant) {
                    admission.closed();
                }
                let total = shared.counters.transit_messages.get();
                admission.relayed(now, (total - relayed) * allium_tunnel::TUNNEL_DATA as u64);
                relayed = total;
                shared.sweep_outboxes();
                crate::outbox::lock(&shared.one_time).expire(now);
                shared.counters.transit_tunnels.set(admission.tunnels() as u64);
            }
            request = requests.recv() => {
                let Some(request) = request else { return };
                answer(&shared, &mut admission, &mut responder, request, requests.len(), &mut batch);
                batch.flush(&shared);
                shared.counters.transit_tunnels.set(admission.tunnels() as u64);
            }
        }
    }
}

fn answer(
    shared: &Shared,
    admission: &mut Admission,
    responder: &mut Responder,
    request: Request,
    waiting: usize,
    batch: &mut Batch,
) {
    let now = shared.clock.now();
    let Request { from, message } = request;
    if admission.arrive(now, from, waiting).is_err() {
        shared.counters.transit_dropped.one();
        return;
    }
    let decide = |request: &allium_tunnel::Request| {
        admission.decide(now, request, shared.tunnels.contains(request.receive))
    };
    let answered = if message.kind == Kind::ShortTunnelBuild {
        BuildRecords::decode(&message.body)
            .map_err(allium_tunnel::Error::from)
            .and_then(|records| responder.answer(now, from, records, decide))
    } else {
        responder.answer_long(now, from, (message.kind, message.body), decide)
    };
    match answered {
        Ok(answer) => {
            let accepted = answer.hop.is_some();
            if let Some(hop) = answer.hop {
                let id = hop.place().receive;
                if shared.tunnels.insert(id, Entry::transit(shared, hop)) {
                    admission.opened();
                }
            }
            let counter =
                if accepted { &shared.counters.transit_accepted } else { &shared.counters.transit_refused };
            counter.one();
            shared.forward(answer.send, batch);
        }
        Err(error) => {
            debug!("dropped a build request: {error}");
            shared.counters.transit_dropped.one();
        }
    }
}
