//! The client sections of `allium.toml`. Every key is described in docs/config.md.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::router::{Length, PoolConfig, Quantity};

mod error;
mod values;

pub use error::load_error;
pub use values::{ByteSize, Destination, Name};

/// The client sections together.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    /// `[client]`.
    pub client: Client,
    /// `[http_proxy]`.
    pub http_proxy: HttpProxy,
    /// `[socks]`.
    pub socks: Socks,
    /// `[sam]`.
    pub sam: Option<Sam>,
    /// `[console]`.
    pub console: Option<Console>,
    /// `[content]`.
    pub content: Option<Content>,
    /// Each `[[service]]`.
    pub services: Vec<Service>,
    /// Each `[[tunnel]]`.
    pub tunnels: Vec<Tunnel>,
}

impl ClientConfig {
    /// The sections that ask for something this version does not have.
    pub fn not_there_yet(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.sam.as_ref().is_some_and(|section| section.enabled) {
            missing.push("[sam]");
        }
        if self.console.as_ref().is_some_and(|section| section.enabled) {
            missing.push("[console]");
        }
        missing
    }
}

/// `[client]`: the destination that the proxies share, and the tunnels without keys of their own. It is new at
/// each start.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// Hops of the tunnels that lead here, 0 to 7.
    pub inbound_length: Length,
    /// Hops of the tunnels that lead away, 0 to 7.
    pub outbound_length: Length,
    /// Tunnels that lead here, 1 to 16.
    pub inbound_quantity: Quantity,
    /// Tunnels that lead away, 1 to 16.
    pub outbound_quantity: Quantity,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            inbound_length: hops(),
            outbound_length: hops(),
            inbound_quantity: quantity(),
            outbound_quantity: quantity(),
        }
    }
}

impl Client {
    /// The inbound and the outbound pool.
    pub(crate) fn pools(&self) -> (PoolConfig, PoolConfig) {
        (
            PoolConfig { length: self.inbound_length, quantity: self.inbound_quantity },
            PoolConfig { length: self.outbound_length, quantity: self.outbound_quantity },
        )
    }
}

/// `[http_proxy]`: the proxy for browsers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpProxy {
    /// Run it.
    pub enabled: bool,
    /// Where it listens. Whoever can reach this address can use the proxy.
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
    /// Accept `?i2paddresshelper=` links, which name a destination for the rest of this run.
    pub address_helper: bool,
}

impl Default for HttpProxy {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 4444)), address_helper: true }
    }
}

/// `[socks]`: the proxy for programs that speak SOCKS 5, 4a or 4.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Socks {
    /// Run it.
    pub enabled: bool,
    /// Where it listens. Whoever can reach this address can use the proxy.
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
}

impl Default for Socks {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 4447)) }
    }
}

/// `[sam]`: the bridge for programs that speak SAM. Read and checked, not there yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sam {
    /// Run it.
    pub enabled: bool,
    /// Where it listens.
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
    /// Where it takes datagrams (UDP).
    #[serde(deserialize_with = "values::address")]
    pub udp_listen: SocketAddr,
}

impl Default for Sam {
    fn default() -> Self {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { enabled: true, listen: at(7656), udp_listen: at(7655) }
    }
}

/// `[console]`: the router's own pages. Read and checked, not there yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// Run it.
    pub enabled: bool,
    /// Where it listens.
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
}

impl Default for Console {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from(([127, 0, 0, 1], 7070)) }
    }
}

/// `[content]`: the content store.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Content {
    /// Take part in the store.
    pub enabled: bool,
    /// The most it may keep, such as "2 GiB".
    pub quota: ByteSize,
    /// Nodes of the store to know from the start.
    pub bootstrap: Vec<Destination>,
    /// Where browsers reach the store.
    #[serde(deserialize_with = "values::address_or_off", skip_serializing_if = "Option::is_none")]
    pub gateway: Option<SocketAddr>,
    /// Where programs that speak FCP reach the store.
    #[serde(deserialize_with = "values::address_or_off", skip_serializing_if = "Option::is_none")]
    pub fcp: Option<SocketAddr>,
    /// Hops of its destinations' tunnels that lead here, 0 to 7.
    pub inbound_length: Length,
    /// Hops of its destinations' tunnels that lead away, 0 to 7.
    pub outbound_length: Length,
    /// Tunnels that lead to each of its destinations, 1 to 16.
    pub inbound_quantity: Quantity,
    /// Tunnels that lead away from each of its destinations, 1 to 16.
    pub outbound_quantity: Quantity,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            enabled: false,
            quota: ByteSize(5 << 30),
            bootstrap: Vec::new(),
            gateway: Some(SocketAddr::from(([127, 0, 0, 1], 8888))),
            fcp: None,
            inbound_length: hops(),
            outbound_length: hops(),
            inbound_quantity: Quantity(4),
            outbound_quantity: Quantity(4),
        }
    }
}

impl Content {
    /// The inbound and the outbound pool of each of its destinations.
    pub(crate) fn pools(&self) -> (PoolConfig, PoolConfig) {
        (
            PoolConfig { length: self.inbound_length, quantity: self.inbound_quantity },
            PoolConfig { length: self.outbound_length, quantity: self.outbound_quantity },
        )
    }
}

/// `[[service]]`: a program of this machine, offered on the network as a destination.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What logs call it.
    pub name: Name,
    /// The address to which its streams are forwarded: IP:PORT, or localhost:PORT.
    #[serde(deserialize_with = "values::address")]
    pub target: SocketAddr,
    /// The file of its keys, made where missing; relative to the data folder. New keys at each start where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// Hops of the tunnels that lead here, 0 to 7.
    #[serde(default = "hops")]
    pub inbound_length: Length,
    /// Hops of the tunnels that lead away, 0 to 7.
    #[serde(default = "hops")]
    pub outbound_length: Length,
    /// Tunnels that lead here, 1 to 16.
    #[serde(default = "quantity")]
    pub inbound_quantity: Quantity,
    /// Tunnels that lead away, 1 to 16.
    #[serde(default = "quantity")]
    pub outbound_quantity: Quantity,
    /// The most streams at a time; further ones are refused.
    #[serde(default = "streams")]
    pub max_streams: u16,
}

impl Service {
    /// The inbound and the outbound pool.
    pub(crate) fn pools(&self) -> (PoolConfig, PoolConfig) {
        (
            PoolConfig { length: self.inbound_length, quantity: self.inbound_quantity },
            PoolConfig { length: self.outbound_length, quantity: self.outbound_quantity },
        )
    }
}

/// `[[tunnel]]`: a port of this machine that leads to one destination.
///
/// It leaves from the proxies' destination, and from one of its own where `keys` or a length or quantity is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// What logs call it.
    pub name: Name,
    /// Where it listens.
    #[serde(deserialize_with = "values::address")]
    pub listen: SocketAddr,
    /// Where it leads: NAME.i2p or NAME.i2p:PORT, also as .b32.i2p or in base64.
    pub destination: Destination,
    /// The file of its own destination's keys, made where missing; relative to the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// Hops of its own destination's tunnels that lead here, 0 to 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound_length: Option<Length>,
    /// Hops of its own destination's tunnels that lead away, 0 to 7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_length: Option<Length>,
    /// Its own destination's tunnels that lead here, 1 to 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound_quantity: Option<Quantity>,
    /// Its own destination's tunnels that lead away, 1 to 16.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_quantity: Option<Quantity>,
}

impl Tunnel {
    /// The pools of its own destination, `None` where it shares the proxies'.
    pub(crate) fn pools(&self) -> Option<(PoolConfig, PoolConfig)> {
        let own = self.keys.is_some()
            || self.inbound_length.is_some()
            || self.outbound_length.is_some()
            || self.inbound_quantity.is_some()
            || self.outbound_quantity.is_some();
        let pool = |length: Option<Length>, count: Option<Quantity>| PoolConfig {
            length: length.unwrap_or_else(hops),
            quantity: count.unwrap_or_else(quantity),
        };
        own.then(|| {
            (
                pool(self.inbound_length, self.inbound_quantity),
                pool(self.outbound_length, self.outbound_quantity),
            )
        })
    }
}

fn hops() -> Length {
    Length(3)
}

fn quantity() -> Quantity {
    Quantity(3)
}

fn streams() -> u16 {
    512
}

#[cfg(test)]
mod tests;
