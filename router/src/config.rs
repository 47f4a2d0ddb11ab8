//! The router's sections of `allium.toml`. Every key is described in docs/config.md, which a test compares with this.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The sections that configure the router itself.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[network]`.
    pub network: Network,
    /// `[reseed]`.
    pub reseed: Reseed,
    /// `[ntcp2]`.
    pub ntcp2: Ntcp2,
    /// `[tunnels]`.
    pub tunnels: Tunnels,
}

/// `[network]`: which network, and what this router is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The network's id: 2 is the public network, 16 to 254 are for private ones.
    pub id: u8,
    /// Admit private and loopback addresses, and tunnels whose hops share a /16. For private networks.
    pub allow_local: bool,
    /// Serve the network database to others. Needs a published address.
    pub floodfill: bool,
    /// The share of bandwidth offered to others' tunnels, such as "256 KB/s"; unlimited where absent.
    pub bandwidth: Option<Bandwidth>,
    /// Carry other routers' tunnels.
    pub transit: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self { id: 2, allow_local: false, floodfill: false, bandwidth: None, transit: true }
    }
}

/// `[reseed]`: where the first routers are learned from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reseed {
    /// HTTPS folders that serve `i2pseeds.su3`; the well-known servers where absent, none where empty.
    pub urls: Option<Vec<String>>,
    /// A bundle (`.su3`) or a folder of `routerInfo-….dat` files to read instead.
    pub file: Option<PathBuf>,
    /// Certificates (PEM) of further bundle signers: files, each named after its signer (`name_at_host.crt`).
    pub signers: Vec<PathBuf>,
    /// A certificate authority (PEM) to trust for the servers' HTTPS, in place of the well-known ones.
    pub authority: Option<PathBuf>,
}

/// `[ntcp2]`: the transport over TCP.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ntcp2 {
    /// Use NTCP2 at all.
    pub enabled: bool,
    /// Addresses to listen on, and to dial from; a random port on every IPv4 address, kept, where empty.
    #[serde(deserialize_with = "one_or_many", serialize_with = "many")]
    pub bind: Vec<SocketAddr>,
    /// Addresses that other routers may dial; a router without one is firewalled.
    #[serde(deserialize_with = "one_or_many", serialize_with = "many")]
    pub publish: Vec<SocketAddr>,
}

impl Default for Ntcp2 {
    fn default() -> Self {
        Self { enabled: true, bind: Vec::new(), publish: Vec::new() }
    }
}

impl Ntcp2 {
    /// The local address from which `to` is dialled, where `bind` names one of its family.
    pub fn source_for(&self, to: IpAddr) -> Option<IpAddr> {
        self.bind.iter().map(SocketAddr::ip).find(|ip| ip.is_ipv4() == to.is_ipv4() && !ip.is_unspecified())
    }

    /// `bind`, or every IPv4 address at `port` where it is empty.
    pub fn listen_at(&self, port: u16) -> Vec<SocketAddr> {
        if self.bind.is_empty() {
            vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))]
        } else {
            self.bind.clone()
        }
    }
}

/// `[tunnels]`: this router's exploratory tunnels, and how many it carries for others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tunnels {
    /// Hops of exploratory tunnels, 0 to 7.
    pub exploratory_length: Length,
    /// Exploratory tunnels each way, 1 to 16.
    pub exploratory_quantity: Quantity,
    /// The most tunnels carried for others.
    pub transit: u32,
    /// Drop others' tunnels after so many seconds without a message; 0 keeps them until they expire.
    pub drop_idle_transit: u32,
}

impl Default for Tunnels {
    fn default() -> Self {
        Self {
            exploratory_length: Length(2),
            exploratory_quantity: Quantity(3),
            transit: 10_000,
            drop_idle_transit: 0,
        }
    }
}

/// Hops of a tunnel, 0 to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Length(pub u8);

impl TryFrom<u8> for Length {
    type Error = String;
    fn try_from(n: u8) -> Result<Self, String> {
        if n <= 7 { Ok(Self(n)) } else { Err(format!("{n} hops: a tunnel has 0 to 7")) }
    }
}

impl From<Length> for u8 {
    fn from(n: Length) -> u8 {
        n.0
    }
}

/// Tunnels of a pool, 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Quantity(pub u8);

impl TryFrom<u8> for Quantity {
    type Error = String;
    fn try_from(n: u8) -> Result<Self, String> {
        if (1..=16).contains(&n) { Ok(Self(n)) } else { Err(format!("{n} tunnels: a pool has 1 to 16")) }
    }
}

impl From<Quantity> for u8 {
    fn from(n: Quantity) -> u8 {
        n.0
    }
}

/// Bytes a second, written as "256 KB/s", "2 MB/s", "1 GB/s" or a plain number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bandwidth(pub u64);

impl Bandwidth {
    /// The letter that stands for this bandwidth in a router's capabilities.
    pub fn letter(self) -> char {
        match self.0 / 1000 {
            0..12 => 'K',
            12..48 => 'L',
            48..64 => 'M',
            64..128 => 'N',
            128..256 => 'O',
            256..2000 => 'P',
            _ => 'X',
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no bandwidth: write it as \"256 KB/s\" or \"2 MB/s\"");
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let scale = match unit.trim().trim_end_matches("/s").to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            "K" | "KB" => 1_000,
            "KIB" => 1 << 10,
            "M" | "MB" => 1_000_000,
            "MIB" => 1 << 20,
            "G" | "GB" => 1_000_000_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(scale).filter(|n| *n > 0).map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Bandwidth {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(input)? {
            Written::Number(n) => Ok(Self(n)),
            Written::Text(text) => Self::parse(&text).map_err(serde::de::Error::custom),
        }
    }
}

/// Reads one address or a list of them.
///
/// # Errors
/// Where a text is no `HOST:PORT` with a numeric host.
pub fn one_or_many<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Many(Vec<String>),
    }
    let texts = match Written::deserialize(input)? {
        Written::One(text) => vec![text],
        Written::Many(texts) => texts,
    };
    texts
        .iter()
        .map(|text| {
            text.parse().map_err(|_| {
                serde::de::Error::custom(format!("{text:?} is no address: write IP:PORT, [IPv6]:PORT"))
            })
        })
        .collect()
}

fn many<S: serde::Serializer>(addresses: &[SocketAddr], output: S) -> Result<S::Ok, S::Error> {
    output.collect_seq(addresses)
}

#[cfg(test)]
mod tests;
