//! Names: from what a person or a program wrote to whom to connect to.
//!
//! Three forms are known: the hash of a destination (`….b32.i2p`), a whole destination in base64, and names from
//! the local `hosts.txt`. Nothing in here, or anywhere in this crate, asks the system's resolver: a name that is not
//! known is an error, never a query.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use allium_wire::{DestHash, Destination, text};
use tokio::time::Instant;

use crate::router::Target;

mod hosts;
mod rules;

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name is not one of the network's.
    #[error("{0:?} is not an I2P address, and this router does not lead to the clear net")]
    NotI2p(String),
    /// The name breaks a rule.
    #[error("{name:?} is not a valid I2P name: {rule}")]
    Invalid {
        /// The name as it was asked for.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The name stands for an encrypted LeaseSet.
    #[error(
        "this address (longer than 52 characters) is of an encrypted LeaseSet, which this version can't read"
    )]
    Encrypted,
    /// Nobody told this router whom the name stands for.
    #[error("{0:?} is not in this router's address book (hosts.txt)")]
    Unknown(String),
}

/// Names given by links live until the router stops; more than this many, and the first in the alphabet goes.
const REMEMBERED: usize = 1024;
/// A destination in base64 is at least this long, and no host name is.
const BASE64: std::ops::RangeInclusive<usize> = 516..=4096;
/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The names that this router knows.
pub struct Names {
    path: Option<PathBuf>,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    hosts: BTreeMap<String, DestHash>,
    stamp: Option<hosts::Stamp>,
    looked: Option<Instant>,
    remembered: BTreeMap<String, DestHash>,
}

impl Names {
    /// Names from the file at `path`, which is read when first needed and again when it has changed.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, book: Mutex::default() }
    }

    /// Whom `host` stands for.
    ///
    /// # Errors
    /// Where it is no I2P name or address, or an unknown one.
    pub async fn resolve(&self, host: &str) -> Result<Target, NameError> {
        match Host::read(host)? {
            Host::Address(target) => Ok(target),
            Host::Name(name) => self.known(&name).await.map(Target::Hash).ok_or(NameError::Unknown(name)),
        }
    }

    /// Whom the host name `name` (lower case) stands for, if it is known.
    pub async fn known(&self, name: &str) -> Option<DestHash> {
        self.refresh().await;
        let book = self.book();
        book.remembered.get(name).or_else(|| book.hosts.get(name)).copied()
    }

    /// Remembers whom the host name `name` stands for, until the router stops.
    pub fn remember(&self, name: &str, hash: DestHash) {
        let mut book = self.book();
        if book.remembered.len() >= REMEMBERED {
            book.remembered.pop_first();
        }
        book.remembered.insert(name.to_owned(), hash);
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the file again where it has changed.
    async fn refresh(&self) {
        let Some(path) = self.path.clone() else { return };
        let stamp = {
            let mut book = self.book();
            let now = Instant::now();
            if book.looked.is_some_and(|then| now.duration_since(then) < LOOK_EVERY) {
                return;
            }
            book.looked = Some(now);
            book.stamp.clone()
        };
        let read = tokio::task::spawn_blocking(move || hosts::load(&path, stamp.as_ref())).await;
        match read {
            Ok(Ok(Some(file))) => {
                tracing::info!(names = file.names.len(), skipped = file.skipped, "address book read");
                let mut book = self.book();
                book.hosts = file.names;
                book.stamp = Some(file.stamp);
            }
            Ok(Ok(None)) | Err(_) => {}
            Ok(Err(error)) => {
                // The stamp is kept, so that one broken file is reported once and not at each look.
                tracing::warn!(path = ?self.path, %error.source, "the address book can't be read");
                self.book().stamp = error.stamp;
            }
        }
    }
}

/// What a text that is meant as a host says.
pub(crate) enum Host {
    /// A destination or its hash.
    Address(Target),
    /// A name to look up, in lower case, without a final dot.
    Name(String),
}

impl Host {
    /// Reads a host by its form alone.
    pub(crate) fn read(text: &str) -> Result<Self, NameError> {
        if text.len() >= *BASE64.start() {
            return base64(text).map(|destination| Self::Address(Target::Destination(Box::new(destination))));
        }
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        let name = name.strip_suffix(".alt").filter(|name| is_i2p(name)).unwrap_or(name);
        if let Some(label) = name.strip_suffix(".b32.i2p") {
            let label = label.rsplit('.').next().unwrap_or(label);
            return base32(label, name).map(|hash| Self::Address(Target::Hash(hash)));
        }
        if !is_i2p(name) {
            return Err(NameError::NotI2p(shortened(text)));
        }
        rules::check(name).map_err(|rule| NameError::Invalid { name: shortened(text), rule })?;
        Ok(Self::Name(name.to_owned()))
    }
}

/// Checks that `text` is an I2P address or a name that could be one, known or not.
///
/// # Errors
/// What [`Names::resolve`] would say, but for unknown names.
pub fn check(text: &str) -> Result<(), NameError> {
    Host::read(text).map(|_| ())
}

/// The hash that an address (`….b32.i2p` or base64) stands for; `None` where it is a name.
pub(crate) fn address(text: &str) -> Option<DestHash> {
    match Host::read(text) {
        Ok(Host::Address(target)) => Some(hash_of(&target)),
        _ => None,
    }
}

/// The hash of a target.
pub(crate) fn hash_of(target: &Target) -> DestHash {
    match target {
        Target::Hash(hash) => *hash,
        Target::Destination(destination) => destination.dest_hash(),
    }
}

/// Whether a name in lower case is one of the network's.
fn is_i2p(name: &str) -> bool {
    name.strip_suffix(".i2p").is_some()
}

fn base32(label: &str, name: &str) -> Result<DestHash, NameError> {
    let invalid = |rule| NameError::Invalid { name: shortened(name), rule };
    match label.len() {
        52 => text::parse_b32(&format!("{label}.b32.i2p")).ok_or_else(|| invalid("it is not base32")),
        56.. => Err(NameError::Encrypted),
        _ => Err(invalid("a .b32.i2p address has 52 characters before the suffix")),
    }
}

/// Reads a destination in base64, with or without `.i2p` behind it.
pub(crate) fn base64(written: &str) -> Result<Destination, NameError> {
    let invalid = |rule| NameError::Invalid { name: shortened(written), rule };
    if !BASE64.contains(&written.len()) {
        return Err(invalid("a destination in base64 has 516 to 4096 characters"));
    }
    let suffix = written.len() - 4;
    let encoded = match written.get(suffix..) {
        Some(end) if end.eq_ignore_ascii_case(".i2p") => written.get(..suffix).unwrap_or_default(),
        _ => written,
    };
    let bytes = text::base64_decode(encoded).map_err(|_| invalid("it is not base64"))?;
    Destination::from_bytes(&bytes).map_err(|_| invalid("it holds no destination"))
}

/// A name as an error repeats it: not longer than is useful.
fn shortened(name: &str) -> String {
    const SHOWN: usize = 80;
    if name.len() <= SHOWN {
        return name.to_owned();
    }
    name.chars().take(SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
