//! Protocol skins over a local destination: SOCKS, HTTP proxy, services, names.
//!
//! ```text
//! browser      -> http    \                      / service -> local program
//! program      -> socks    > LocalDestination … <
//! [[tunnel]]   -> service /                      \ (someone else's)
//! ```
//! [`ClientApi::start`] makes the local destinations that the configuration asks for and listens; what comes in is
//! turned into streams by [`names`], and bytes are carried both ways. Sockets come from the router's `Net`, so all
//! of it runs in a simulated network too.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use allium_crypto::Rng;
use tokio_util::sync::CancellationToken;

pub mod config;
pub mod content;
mod copy;
mod fcp;
mod gateway;
mod http;
mod keys;
mod listen;
pub mod names;
mod service;
#[cfg(test)]
mod shim;
mod socks;
mod start;
#[cfg(test)]
mod testing;

#[cfg(not(test))]
pub(crate) use allium_router as router;
#[cfg(test)]
pub(crate) use shim as router;

pub use config::{ClientConfig, load_error};
pub use keys::make_keys;
use listen::Tasks;

/// What the client API uses of the machine it runs on.
pub struct Machine {
    /// Where it listens, and how services' programs are reached.
    pub net: Arc<dyn router::Net>,
    /// The data folder, for keys and `hosts.txt`; without one all keys are new and no names are known.
    pub store: Option<router::Store>,
    /// Randomness.
    pub rng: Rng,
}

/// Why the client API did not start. Each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be listened at.
    #[error("{what} can't listen at {at}: {source}")]
    Listen {
        /// Which part.
        what: String,
        /// Where.
        at: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of the data folder could not be used.
    #[error(transparent)]
    Store(#[from] router::StoreError),
    /// A key file holds something else.
    #[error("{path} holds no keys of a destination: {source}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: allium_wire::Error,
    },
    /// The content store's files can't be used.
    #[error("the content store in {path}: {why}")]
    Content {
        /// Its folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The router could not make a destination.
    #[error("no destination for {what}: {source}")]
    Destination {
        /// For which part.
        what: String,
        /// What the router said.
        source: router::Error,
    },
}

/// The running proxies, services and tunnels.
pub struct ClientApi {
    tasks: Tasks,
    content: Option<(content::Content, Arc<dyn content::Blocks>)>,
}

impl ClientApi {
    /// Starts what `config` asks for. Everything ends once `stop` is cancelled.
    ///
    /// # Errors
    /// Where an address or a key file can't be used; nothing runs then.
    pub async fn start(
        router: &router::Router,
        config: &ClientConfig,
        machine: Machine,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        for section in config.not_there_yet() {
            tracing::warn!("{section} is not there yet: this version does not have it");
        }
        let tasks = Tasks::new(stop.child_token());
        let started = start::Start::new(router, machine, tasks.clone()).everything(config).await;
        if started.is_err() {
            tasks.stop().cancel();
        }
        started.map(|content| Self { tasks, content })
    }

    /// The content service, where the configuration asks for it.
    pub fn content(&self) -> Option<content::Content> {
        self.content.as_ref().map(|(content, _)| content.clone())
    }

    /// The blocks beneath the content service, where the configuration asks for it.
    pub fn blocks(&self) -> Option<Arc<dyn content::Blocks>> {
        self.content.as_ref().map(|(_, blocks)| Arc::clone(blocks))
    }

    /// Waits until it was told to stop and every connection has ended.
    pub async fn stopped(&self) {
        self.tasks.ended().await;
    }
}

#[cfg(test)]
mod tests;
