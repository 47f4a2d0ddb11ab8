//! What a running router says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A router's state at one moment: what `allium status` prints.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// This router's hash, base64.
    pub router: String,
    /// The network's id.
    pub network: u8,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Whether tunnels stand and everything asked for is published.
    pub ready: bool,
    /// Where not: why.
    pub why_not_ready: Option<String>,
    /// Addresses that other routers may dial; none when firewalled.
    pub addresses: Vec<String>,
    /// Whether it serves the network database.
    pub floodfill: bool,
    /// Routers known.
    pub known_routers: usize,
    /// Floodfills among them.
    pub known_floodfills: usize,
    /// LeaseSets stored for others.
    pub stored_lease_sets: usize,
    /// Connected routers.
    pub peers: usize,
    /// Own tunnels that stand, inbound.
    pub inbound_tunnels: usize,
    /// Own tunnels that stand, outbound.
    pub outbound_tunnels: usize,
    /// Tunnels carried for others.
    pub transit_tunnels: usize,
    /// Messages carried in others' tunnels.
    pub transit_messages: u64,
    /// Tunnel builds of our own that succeeded.
    pub builds_succeeded: u64,
    /// Tunnel builds of our own that failed.
    pub builds_failed: u64,
    /// Bytes received from other routers.
    pub bytes_received: u64,
    /// Bytes sent to other routers.
    pub bytes_sent: u64,
    /// Messages dropped because a queue was full or too old.
    pub dropped_messages: u64,
    /// Messages from others that made no sense, and were dropped.
    pub bad_messages: u64,
    /// TCP's congestion control on links.
    pub congestion_control: Option<String>,
    /// Every counter's value, by name.
    pub counters: BTreeMap<String, u64>,
    /// Local destinations: services and proxies.
    pub destinations: Vec<DestinationStatus>,
}

/// A local destination's state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its `.b32.i2p` address.
    pub address: String,
    /// Whether a LeaseSet of it is to be published.
    pub service: bool,
    /// Whether it can be reached (a service), or reach others (a client).
    pub ready: bool,
    /// Inbound tunnels that stand.
    pub inbound_tunnels: usize,
    /// Outbound tunnels that stand.
    pub outbound_tunnels: usize,
    /// Open streams.
    pub streams: usize,
}
