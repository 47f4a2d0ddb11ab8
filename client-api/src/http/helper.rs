//! Address helpers: links that say whom a name stands for.
//! <https://geti2p.net/en/docs/naming#jump-services>
//!
//! `http://name.i2p/path?i2paddresshelper=DESTINATION` names a destination in base64 or as `….b32.i2p`. An unknown
//! name is believed until the router stops; where the name is known to stand for another destination, the user
//! decides, by following a link that only this proxy can have made.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use allium_crypto::Rng;
use allium_wire::DestHash;
use hyper::Uri;

use crate::names::{self, Names};

/// The parameter of the destination.
const HELPER: &str = "i2paddresshelper";
/// The parameter of the user's decision.
const CONFIRM: &str = "i2paddresshelper-confirm";
/// The most questions to the user that are open at a time.
const OPEN: usize = 64;

/// What a URI says about its own name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The address, as it was written.
    pub(super) address: String,
    /// The path and query without it.
    pub(super) rest: String,
    token: Option<u64>,
}

impl Link {
    /// The address helper in a URI's query.
    pub(super) fn in_query(uri: &Uri) -> Option<Self> {
        let query = uri.query()?;
        let (mut address, mut token, mut kept) = (None, None, Vec::new());
        for parameter in query.split('&') {
            match parameter.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case(HELPER) => address = Some(decoded(value)),
                Some((name, value)) if name.eq_ignore_ascii_case(CONFIRM) => {
                    token = u64::from_str_radix(value, 16).ok();
                }
                _ => kept.push(parameter),
            }
        }
        let address = address?;
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        let rest = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
        Some(Self { address, rest, token })
    }

    /// The path and query of the link that confirms this one.
    pub(super) fn confirming(&self, token: u64) -> String {
        let joint = if self.rest.contains('?') { '&' } else { '?' };
        format!("{}{joint}{HELPER}={}&{CONFIRM}={token:016x}", self.rest, self.address)
    }
}

/// What came of an address helper.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The name stands for the link's destination, since now or before.
    Known,
    /// The same, because the user decided so just now.
    Confirmed,
    /// The name stands for another destination.
    Conflict {
        /// Whom.
        known: DestHash,
        /// What the user's decision is recognised by.
        token: u64,
    },
    /// The link holds no address.
    NoAddress,
}

/// The address helpers of one proxy.
pub(super) struct AddressHelper(Mutex<Questions>);

struct Questions {
    rng: Rng,
    open: BTreeMap<u64, (String, DestHash)>,
}

impl AddressHelper {
    pub(super) fn new(rng: Rng) -> Self {
        Self(Mutex::new(Questions { rng, open: BTreeMap::new() }))
    }

    /// Hears what `link` says about `name`.
    pub(super) async fn ask(&self, names: &Names, name: &str, link: &Link) -> Asked {
        let Some(hash) = names::address(&link.address) else { return Asked::NoAddress };
        match names.known(name).await {
            None => {
                tracing::info!("a link names {name} as {}, until this router stops", hash.b32());
                names.remember(name, hash);
                Asked::Known
            }
            Some(known) if known == hash => Asked::Known,
            Some(known) => {
                let mut questions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if link.token.is_some_and(|token| questions.take(token, name, hash)) {
                    names.remember(name, hash);
                    return Asked::Confirmed;
                }
                Asked::Conflict { known, token: questions.put(name, hash) }
            }
        }
    }
}

impl Questions {
    fn put(&mut self, name: &str, hash: DestHash) -> u64 {
        if self.open.len() >= OPEN {
            self.open.pop_first();
        }
        let token = self.rng.u64();
        self.open.insert(token, (name.to_owned(), hash));
        token
    }

    fn take(&mut self, token: u64, name: &str, hash: DestHash) -> bool {
        let asked = self.open.get(&token).is_some_and(|(of, to)| of == name && *to == hash);
        asked && self.open.remove(&token).is_some()
    }
}

/// Undoes percent encoding; what is none stays as it is.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |b: &u8| char::from(*b).to_digit(16).map(|digit| digit as u8);
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                if let (Some(high), Some(low)) = (hex(high), hex(low)) {
                    bytes.push(high << 4 | low);
                    rest = after;
                    continue;
                }
                bytes.push(b'%');
            }
            _ => bytes.push(*first),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
