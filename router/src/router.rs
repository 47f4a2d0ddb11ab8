//! Starting and stopping a router, and the handle of one.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use allium_crypto::{HashMap, HashSet, Rng};
use allium_garlic::router::{Inbox, OneTimeTags};
use allium_link::ntcp2::Local;
use allium_netdb::{Config as DbConfig, NetDb, Profiles, reseed};
use allium_wire::{Date, Engine, RouterHash, RouterInfo};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Core, Input};
use crate::counters::Counters;
use crate::destination::{ConnectError, DestinationConfig, LocalDestination};
use crate::identity::{self, INFO_FILE, Identity};
use crate::links::{self, Links};
use crate::net::Net;
use crate::shared::Shared;
use crate::status::Status;
use crate::store::{Store, StoreError};
use crate::switch::Tunnels;
use crate::{reseed as seeding, transit};

/// The most RouterInfos read at the start.
const NETDB: usize = 8000;
/// One-time keys that wait for their answer.
const ONE_TIME: usize = 4096;
const CORE_INBOX: usize = 4096;
const TRANSIT_INBOX: usize = 256;
/// How long a stopping router waits for its tasks.
const STOP: Duration = Duration::from_secs(5);

/// Why a router did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key file is damaged.
    #[error("{0} is damaged: restore it from a copy, or remove it to become another router")]
    Keys(PathBuf),
    /// An address can't be listened at.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(&'static str),
}

/// What a router is started with.
pub struct Start {
    /// Its configuration.
    pub config: Config,
    /// Its data folder; without one nothing is kept.
    pub store: Option<Store>,
    /// Its way to the world.
    pub net: Arc<dyn Net>,
    /// Its clock.
    pub clock: Clock,
    /// Its randomness.
    pub rng: Rng,
}

/// A running router. Cheap to clone.
#[derive(Clone)]
pub struct Router {
    shared: Arc<Shared>,
}

impl Router {
    /// Starts a router. It runs until [`Router::stop`], or until the runtime ends.
    ///
    /// # Errors
    /// [`StartError`]: the folder, the keys, an address or the configuration are not usable.
    pub async fn start(start: Start) -> Result<Self, StartError> {
        let Start { config, store, net, clock, mut rng } = start;
        check(&config)?;
        let identity = Identity::load(store.as_ref(), &mut rng)?;
        let hash = identity.keys.hash();
        info!("router {} on network {}", hash.base64(), config.network.id);
        let (core, core_inbox) = mpsc::channel(CORE_INBOX);
        let (transit, transit_inbox) = mpsc::channel(TRANSIT_INBOX);
        let local = Local {
            hash,
            static_key: identity.ntcp2_key.clone(),
            iv: identity.ntcp2_iv,
            net_id: config.network.id,
        };
        let published = identity::published(&config);
        let placeholder = RouterInfo::sign(&identity.keys, Date(0), Vec::new(), allium_wire::Mapping::new());
        let shared = Arc::new(Shared {
            clock,
            net,
            store,
            published,
            hash,
            links: Links::new(local, &mut rng),
            tunnels: Tunnels::new(&mut rng),
            garlic: Inbox::new(identity.keys.encryption().clone()),
            one_time: Mutex::new(OneTimeTags::new(ONE_TIME, rng.fork())),
            awaited: Mutex::new(HashSet::with_hasher(rng.hasher())),
            core,
            transit,
            counters: Counters::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            outboxes: RwLock::new(HashMap::with_hasher(rng.hasher())),
            info: RwLock::new(placeholder),
            keys: identity.keys,
            next_client: AtomicU64::new(1),
            rng: Mutex::new(rng),
            config,
        });
        let now = shared.clock.now();
        shared.set_info(identity::router_info(&shared, now.date));
        let netdb = open_netdb(&shared);
        let known = netdb.len();
        if known > 0 {
            info!("{known} routers known from the last run");
        }
        if shared.config.ntcp2.enabled {
            let at = shared.config.ntcp2.listen_at(identity.port);
            links::listen(&shared, &at).await?;
            if let Some(control) = shared.net.congestion_control() {
                info!("TCP congestion control on links: {control}");
            }
        }
        if let Some(store) = &shared.store {
            store.write(INFO_FILE, shared.info().bytes())?;
        }
        let core = Core::new(shared.clone(), netdb, core_inbox);
        shared.tasks.spawn(core.run());
        shared.tasks.spawn(transit::run(shared.clone(), transit_inbox));
        shared.tasks.spawn(seeding::run(shared.clone(), known));
        Ok(Self { shared })
    }

    /// This router's hash.
    pub fn hash(&self) -> RouterHash {
        self.shared.hash
    }

    /// What it tells the network of itself.
    pub fn info(&self) -> RouterInfo {
        self.shared.info()
    }

    /// Tells it of other routers.
    pub async fn learn(&self, infos: Vec<RouterInfo>) {
        let _ = self.shared.core.send(Input::Learned(infos)).await;
    }

    /// What it is doing.
    pub async fn status(&self) -> Status {
        let (answer, answered) = oneshot::channel();
        let _ = self.shared.core.send(Input::Status(answer)).await;
        answered.await.unwrap_or_default()
    }

    /// Every counter's name and value.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.shared.counters.all()
    }

    /// Opens a local destination.
    ///
    /// # Errors
    /// [`ConnectError::Closed`] where the router is stopping.
    pub fn destination(&self, config: DestinationConfig) -> Result<LocalDestination, ConnectError> {
        if self.shared.stop.is_cancelled() {
            return Err(ConnectError::Closed);
        }
        Ok(LocalDestination::open(&self.shared, config))
    }

    /// Stops: links are told, what is not on disk yet is written.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(STOP, self.shared.tasks.wait()).await.is_err() {
            warn!("some tasks did not stop in time");
        }
        self.shared.tunnels.clear();
    }
}

fn check(config: &Config) -> Result<(), StartError> {
    let id = config.network.id;
    if config.network.floodfill && config.ntcp2.publish.is_empty() {
        return Err(StartError::Config(
            "[network] floodfill needs an address that others can dial: [ntcp2] publish",
        ));
    }
    if !(id == 2 || (16..=254).contains(&id)) {
        return Err(StartError::Config(
            "[network] id is 2 for the public network, 16 to 254 for private ones",
        ));
    }
    let private = config.ntcp2.publish.iter().any(|at| !links::is_public(at.ip()));
    if private && !config.network.allow_local {
        return Err(StartError::Config(
            "[ntcp2] publish names a private address, which no public router will dial; \
             private networks set [network] allow_local",
        ));
    }
    Ok(())
}

/// The network database as the last run left it.
fn open_netdb(shared: &Shared) -> NetDb {
    let now = shared.clock.now();
    let mut config = DbConfig::new(shared.hash, shared.config.network.id);
    config.floodfill = shared.config.network.floodfill;
    config.publish = !shared.published.is_empty();
    let mut netdb = NetDb::new(config, now, shared.fork_rng());
    if let Some(store) = &shared.store {
        for (_, data) in store.router_infos(NETDB) {
            if let Some(info) = reseed::read_router_info_file(&data)
                && info.hash() != shared.hash
            {
                netdb.handle(now, allium_netdb::Input::Learned(info));
            }
        }
        match store.read(crate::core::PROFILES_FILE, 16 << 20) {
            Ok(Some(json)) => match Profiles::restore(&json, NETDB) {
                Ok(profiles) => netdb.restore_profiles(profiles),
                Err(error) => {
                    warn!("{}: {error}; starting without profiles", store.path("profiles.json").display());
                }
            },
            Ok(None) => {}
            Err(error) => warn!("{error}"),
        }
    }
    netdb.handle(now, allium_netdb::Input::PublishRouterInfo(shared.info()));
    netdb
}
