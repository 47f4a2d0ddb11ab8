//! Newer editions of the sites that are being visited.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use allium_content::uri::Uri;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::content::Content;

/// Sites that are watched at a time; of more, the one that was not visited for longest is left out.
const SITES: usize = 32;
/// A site that was not visited for so long is not watched any more.
const FORGET: Duration = Duration::from_mins(15);

/// The watched sites, the last visited at the end.
#[derive(Default)]
pub(super) struct Editions(Mutex<Vec<Site>>);

struct Site {
    /// A USK with neither path nor edition.
    uri: Uri,
    newest: watch::Receiver<Option<u64>>,
    visited: Instant,
}

impl Editions {
    /// The newest known edition of a USK's site, which is searched for from now on.
    pub(super) fn newest(&self, content: &Content, uri: &Uri) -> Option<u64> {
        let Uri::Usk { key, name, edition, .. } = uri else { return None };
        let (now, number) = (Instant::now(), edition.number());
        let first = allium_content::uri::Edition::Known(0);
        let path = allium_content::Path::default();
        let site = Uri::Usk { key: key.clone(), name: name.clone(), edition: first, path };
        let mut sites = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sites.retain(|known| now.duration_since(known.visited) < FORGET);
        let newest = match sites.iter().position(|known| known.uri == site) {
            Some(at) => sites.remove(at).newest,
            None => content.watch_editions(key.clone(), name.clone(), number),
        };
        let known = *newest.borrow();
        if sites.len() >= SITES {
            sites.remove(0);
        }
        sites.push(Site { uri: site, newest, visited: now });
        known
    }
}
