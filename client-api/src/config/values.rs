//! The values that client sections are made of, checked as they are read.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::names;

/// The name of a service or a tunnel: 1 to 64 characters that can be printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let count = text.chars().count();
        if (1..=64).contains(&count) && !text.chars().any(char::is_control) {
            Ok(Self(text))
        } else {
            Err(format!("{text:?} is no name: write 1 to 64 characters"))
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

/// A number of bytes, written as "512 MiB", "2 GB" or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ByteSize(pub u64);

impl ByteSize {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no size: write it as \"512 MiB\" or \"2 GB\"");
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let scale: u64 = match unit.trim().to_ascii_uppercase().as_str() {
            "" | "B" => 1,
            "K" | "KB" => 1_000,
            "KIB" => 1 << 10,
            "M" | "MB" => 1_000_000,
            "MIB" => 1 << 20,
            "G" | "GB" => 1_000_000_000,
            "GIB" => 1 << 30,
            "T" | "TB" => 1_000_000_000_000,
            "TIB" => 1 << 40,
            _ => return Err(wrong()),
        };
        number.checked_mul(scale).map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(input)? {
            Written::Number(n) => Ok(Self(n)),
            Written::Text(text) => Self::parse(&text).map_err(de::Error::custom),
        }
    }
}

/// A destination as a person writes it: NAME.i2p, ….b32.i2p or base64, with a port where `:PORT` follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    host: String,
    port: u16,
}

impl Destination {
    /// The part before the port, as it was written.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 0 where none was written.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl TryFrom<String> for Destination {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (
                host,
                port.parse().map_err(|_| format!("{port:?} is no port: write a number from 0 to 65535"))?,
            ),
            None => (text.as_str(), 0),
        };
        names::check(host).map_err(|error| error.to_string())?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl From<Destination> for String {
    fn from(to: Destination) -> String {
        if to.port == 0 { to.host } else { format!("{}:{}", to.host, to.port) }
    }
}

/// Reads IP:PORT or localhost:PORT. Other names would have to be resolved, which nothing in here does.
pub(super) fn address<'de, D: Deserializer<'de>>(input: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(input)?;
    read_address(&text).ok_or_else(|| {
        de::Error::custom(format!("{text:?} is no address: write IP:PORT, [IPv6]:PORT, localhost:PORT"))
    })
}

fn read_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:").map(str::parse) {
        Some(Ok(port)) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        _ => text.parse().ok(),
    }
}

/// Reads an address, or "off" where nothing is to listen.
pub(super) fn address_or_off<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(input)?;
    if text == "off" {
        return Ok(None);
    }
    read_address(&text).map(Some).ok_or_else(|| {
        de::Error::custom(format!(
            "{text:?} is no address: write IP:PORT, [IPv6]:PORT, localhost:PORT, or \"off\""
        ))
    })
}
