//! Where and how a router can be reached, and what it offers (common structures, "RouterAddress").

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use allium_crypto::x25519::PublicKey;

use crate::{Error, Mapping, Reader, text};

/// An address of a router, of any transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterAddress {
    /// The router's own preference; lower is better.
    pub cost: u8,
    /// The transport: `NTCP2`, `SSU2`, or one unknown here.
    pub style: String,
    /// What the transport needs to know.
    pub options: Mapping,
}

impl RouterAddress {
    /// A published NTCP2 address (`at` given) or a firewalled one, which tells of the IP versions it can dial.
    pub fn make_ntcp2(key: &PublicKey, at: Option<(SocketAddr, [u8; 16])>, caps: &str) -> Self {
        let mut options = Mapping::new();
        if let Some((at, iv)) = at {
            options.insert("host", at.ip().to_string());
            options.insert("port", at.port().to_string());
            options.insert("i", text::base64_encode(&iv));
        } else {
            options.insert("caps", caps);
        }
        options.insert("s", text::base64_encode(key.as_bytes()));
        options.insert("v", "2");
        Self { cost: if at.is_some() { 3 } else { 14 }, style: "NTCP2".to_owned(), options }
    }

    /// Appends it.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.cost);
        out.extend_from_slice(&[0; 8]);
        out.push(self.style.len().min(255) as u8);
        out.extend_from_slice(self.style.as_bytes());
        self.options.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let cost = reader.u8()?;
        reader.u64()?; // an expiration that nobody sets
        let length = usize::from(reader.u8()?);
        let style =
            std::str::from_utf8(reader.take(length)?).map_err(|_| Error::Invalid("an address's style"))?;
        let style = style.to_owned();
        Ok(Self { cost, style, options: Mapping::decode(reader)? })
    }

    /// What NTCP2 needs of it; `None` where it is of another transport, another version, or lacks a usable key.
    pub fn ntcp2(&self) -> Option<Ntcp2Address> {
        let versions = self.options.get("v")?;
        if !matches!(self.style.as_str(), "NTCP2" | "NTCP")
            || !versions.split(',').any(|version| version == "2")
        {
            return None;
        }
        let key = text::base64_decode(self.options.get("s")?).ok()?;
        let iv = match self.options.get("i") {
            Some(iv) => Some(text::base64_decode(iv).ok()?.try_into().ok()?),
            None => None,
        };
        Some(Ntcp2Address {
            host: self.options.get("host").and_then(|host| host.parse().ok()),
            port: self.options.get("port").and_then(|port| port.parse().ok()).filter(|port| *port != 0),
            static_key: PublicKey(key.try_into().ok()?),
            iv,
            caps: self.options.get("caps").unwrap_or_default().to_owned(),
        })
    }
}

/// An NTCP2 address (ntcp2, "Published Addresses").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ntcp2Address {
    /// Its IP.
    pub host: Option<IpAddr>,
    /// Its TCP port.
    pub port: Option<u16>,
    /// The static key of its handshakes (`s`).
    pub static_key: PublicKey,
    /// What its handshakes' first message is masked with (`i`).
    pub iv: Option<[u8; 16]>,
    /// IP versions that a firewalled router can dial: `4`, `6` or both.
    pub caps: String,
}

impl Ntcp2Address {
    /// Where it can be dialled, and the IV to do so; `None` for a firewalled router.
    pub fn published(&self) -> Option<(SocketAddr, [u8; 16])> {
        Some((SocketAddr::new(self.host?, self.port?), self.iv?))
    }
}

/// What a router offers and is (network database, "caps").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The tier of bandwidth it shares, from K (least) to X.
    pub bandwidth: char,
    /// `R`: can be dialled.
    pub reachable: bool,
    /// `U`: can't be dialled.
    pub unreachable: bool,
    /// `H`: does not want to be found.
    pub hidden: bool,
    /// `f`: serves the network database.
    pub floodfill: bool,
    /// `D` (medium), `E` (high) or `G` (takes no tunnels at all).
    pub congestion: Option<char>,
}

impl Capabilities {
    /// Reads the letters; unknown ones are skipped, and the highest tier of several counts.
    pub fn parse(letters: &str) -> Self {
        let mut caps = Self {
            bandwidth: 'K',
            reachable: false,
            unreachable: false,
            hidden: false,
            floodfill: false,
            congestion: None,
        };
        for letter in letters.chars() {
            match letter {
                'K'..='P' | 'X' => caps.bandwidth = caps.bandwidth.max(letter),
                'R' => caps.reachable = true,
                'U' => caps.unreachable = true,
                'H' => caps.hidden = true,
                'f' => caps.floodfill = true,
                'D' | 'E' | 'G' => caps.congestion = Some(letter),
                _ => {}
            }
        }
        caps
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.floodfill {
            f.write_str("f")?;
        }
        write!(f, "{}", self.bandwidth)?;
        for (set, letter) in [(self.hidden, "H"), (self.reachable, "R"), (self.unreachable, "U")] {
            if set {
                f.write_str(letter)?;
            }
        }
        match self.congestion {
            Some(letter) => write!(f, "{letter}"),
            None => Ok(()),
        }
    }
}
