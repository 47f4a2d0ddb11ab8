//! What the core says of itself: in the log when something changed, and whole when asked.

use allium_netdb::Subject;
use allium_wire::Now;
use tracing::info;

use super::Core;
use crate::status::{DestinationStatus, Status};

/// What was said already, so that it is said once.
#[derive(Default)]
pub(super) struct Said {
    peers: bool,
    exploratory: bool,
    router_published: bool,
}

impl Core {
    /// Says what has changed and a person should know.
    pub(super) fn say_news(&mut self, now: Now) {
        let peers = self.shared.links.up();
        if !self.said.peers && peers > 0 {
            let known = self.netdb.stats(now.date).routers;
            info!("first peers: {peers} connected, {known} routers known");
        }
        self.said.peers = peers > 0;
        let ready = self.exploratory_ready();
        if ready != self.said.exploratory {
            self.said.exploratory = ready;
            if ready {
                info!("exploratory tunnels stand");
            } else {
                info!("exploratory tunnels are gone; building new ones");
            }
        }
    }

    fn exploratory_ready(&self) -> bool {
        self.pools
            .get(&None)
            .is_some_and(|pools| !pools.paths.inbound().is_empty() && !pools.paths.outbound().is_empty())
    }

    pub(super) fn published(&mut self, what: Subject, ok: bool) {
        match what {
            Subject::Router => {
                if ok && !self.said.router_published {
                    info!("RouterInfo published");
                }
                self.said.router_published = ok;
            }
            Subject::LeaseSet { client, .. } => {
                let Some(pools) = self.pools.get_mut(&Some(client)) else { return };
                pools.published |= ok;
                pools.paths.set_published(pools.published);
            }
        }
    }

    pub(super) fn status(&self, now: Now) -> Status {
        let shared = &self.shared;
        let stats = self.netdb.stats(now.date);
        let counters = &shared.counters;
        let destinations: Vec<DestinationStatus> = self
            .pools
            .values()
            .filter_map(|pools| {
                let (inbound, outbound) = (pools.paths.inbound().len(), pools.paths.outbound().len());
                Some(DestinationStatus {
                    name: pools.name.clone(),
                    address: pools.address?.b32(),
                    service: pools.service,
                    ready: inbound > 0 && outbound > 0 && (pools.published || !pools.service),
                    inbound_tunnels: inbound,
                    outbound_tunnels: outbound,
                    streams: pools.paths.streams(),
                })
            })
            .collect();
        let why_not_ready = self.why_not_ready(stats.routers, &destinations);
        let count = |half: fn(&super::Pools) -> usize| self.pools.values().map(half).sum();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            router: shared.hash.base64(),
            network: shared.config.network.id,
            uptime_s: now.instant.duration_since(self.started).as_secs(),
            ready: why_not_ready.is_none(),
            why_not_ready,
            addresses: shared.published.iter().map(ToString::to_string).collect(),
            floodfill: shared.config.network.floodfill,
            known_routers: stats.routers,
            known_floodfills: stats.floodfills,
            stored_lease_sets: stats.lease_sets,
            peers: shared.links.up(),
            inbound_tunnels: count(|pools| pools.paths.inbound().len()),
            outbound_tunnels: count(|pools| pools.paths.outbound().len()),
            transit_tunnels: counters.transit_tunnels.get() as usize,
            transit_messages: counters.transit_messages.get(),
            builds_succeeded: counters.builds_succeeded.get(),
            builds_failed: counters.builds_failed.get(),
            bytes_received: counters.bytes_received.get(),
            bytes_sent: counters.bytes_sent.get(),
            dropped_messages: counters.dropped_full.get()
                + counters.dropped_stale.get()
                + counters.dropped_inbox.get(),
            bad_messages: counters.malformed.get() + counters.misplaced.get(),
            counters: counters.all().into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            congestion_control: shared.net.congestion_control(),
            destinations,
        }
    }

    fn why_not_ready(&self, routers: usize, destinations: &[DestinationStatus]) -> Option<String> {
        if routers == 0 {
            return Some("no other router is known: reseed, or put RouterInfos into netDb".to_owned());
        }
        if !self.exploratory_ready() {
            return Some("exploratory tunnels are being built".to_owned());
        }
        destinations.iter().find(|d| !d.ready).map(|d| {
            if d.inbound_tunnels == 0 || d.outbound_tunnels == 0 {
                format!("tunnels of {} are being built", d.name)
            } else {
                format!("the LeaseSet of {} is being published", d.name)
            }
        })
    }
}
