//! Starting the proxies, services and tunnels of a configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use allium_wire::DestinationKeys;

use crate::config::{
    Client, ClientConfig, Content as ContentConfig, Service as ServiceConfig, Tunnel as TunnelConfig,
};
use crate::content::{Blocks, Content, api, store};
use crate::fcp::Fcp;
use crate::gateway::Gateway;
use crate::http::HttpProxy;
use crate::listen::{Tasks, serve_each};
use crate::names::Names;
use crate::router::{Connection, DestinationConfig, LocalDestination, PoolConfig, Router};
use crate::service::{Service, Tunnel};
use crate::socks::Socks;
use crate::{Machine, StartError, keys};

/// The most connections of one proxy or tunnel at a time; a further one waits.
const CONNECTIONS: usize = 1024;

/// The content service, and the blocks beneath it.
pub(crate) type Running = (Content, Arc<dyn Blocks>);

/// What starting needs, and what the parts that are started share.
pub(crate) struct Start<'a> {
    router: &'a Router,
    machine: Machine,
    names: Arc<Names>,
    tasks: Tasks,
    shared: Option<LocalDestination>,
}

impl<'a> Start<'a> {
    pub(crate) fn new(router: &'a Router, machine: Machine, tasks: Tasks) -> Self {
        let hosts = machine.store.as_ref().map(|store| store.path("hosts.txt"));
        Self { router, machine, names: Arc::new(Names::new(hosts)), tasks, shared: None }
    }

    /// Starts everything that `config` asks for.
    pub(crate) async fn everything(mut self, config: &ClientConfig) -> Result<Option<Running>, StartError> {
        if config.http_proxy.enabled {
            let destination = self.shared(&config.client)?;
            let rng = self.machine.rng.fork();
            let names = Arc::clone(&self.names);
            let helper = config.http_proxy.address_helper;
            let proxy =
                Arc::new(HttpProxy::new(destination, names, self.tasks.clone(), helper.then_some(rng)));
            let at = config.http_proxy.listen;
            self.listen("http proxy", at, move |client| Arc::clone(&proxy).serve(client)).await?;
            tracing::info!("http proxy ready at {at}");
        }
        if config.socks.enabled {
            let destination = self.shared(&config.client)?;
            let proxy = Arc::new(Socks::new(destination, Arc::clone(&self.names), self.tasks.clone()));
            let at = config.socks.listen;
            self.listen("socks proxy", at, move |client| Arc::clone(&proxy).serve(client)).await?;
            tracing::info!("socks proxy ready at {at}");
        }
        for tunnel in &config.tunnels {
            self.tunnel(tunnel, &config.client).await?;
        }
        for service in &config.services {
            self.service(service)?;
        }
        match config.content.as_ref().filter(|content| content.enabled) {
            Some(content) => self.content(content).await.map(Some),
            None => Ok(None),
        }
    }

    /// Starts the content store, and what leads to it.
    async fn content(&mut self, config: &ContentConfig) -> Result<Running, StartError> {
        let keys = self.keys(Some(Path::new(keys::CONTENT)))?;
        let pools = config.pools();
        let setup = store::Setup {
            node: self.destination("store", keys, pools, true)?,
            router: self.router.clone(),
            pools,
            quota: config.quota.0,
            bootstrap: config.bootstrap.clone(),
            names: Arc::clone(&self.names),
            store: self.machine.store.clone(),
            rng: self.machine.rng.fork(),
            tasks: self.tasks.clone(),
        };
        let shell: Arc<dyn Blocks> = store::Shell::start(setup).await?;
        let pins = self.machine.store.as_ref().map(|store| store.path(store::FOLDER).join("pins.json"));
        let content = Content::start(
            Arc::clone(&shell),
            pins,
            self.machine.rng.fork(),
            self.tasks.stop().child_token(),
        );
        self.content_doors(config, &content).await?;
        Ok((content, shell))
    }

    /// What leads to the store: the local API, the gateway, FCP.
    async fn content_doors(&mut self, config: &ContentConfig, content: &Content) -> Result<(), StartError> {
        if let Some(store) = &self.machine.store {
            let (path, content) = (store.path(api::SOCKET), content.clone());
            let stop = self.tasks.stop().clone();
            self.tasks.spawn(async move {
                if let Err(error) = api::serve(path, content, stop).await {
                    tracing::warn!(%error, "no content API: `allium put` and `allium get` can't ask this router");
                }
            });
        }
        if let Some(at) = config.gateway {
            let rng = self.machine.rng.fork();
            let gateway = Arc::new(Gateway::new(content.clone(), self.tasks.clone(), rng));
            self.listen("gateway", at, move |client| Arc::clone(&gateway).serve(client)).await?;
            tracing::info!("content gateway ready at {at}");
        }
        if let Some(at) = config.fcp {
            let folder = match &self.machine.store {
                Some(store) => store.path("fcp"),
                None => std::env::temp_dir(),
            };
            let fcp = Fcp::new(content.clone(), folder, self.machine.rng.fork(), self.tasks.clone());
            let fcp = Arc::new(fcp);
            self.listen("fcp", at, move |client| Arc::clone(&fcp).serve(client)).await?;
            tracing::info!("fcp ready at {at}");
        }
        Ok(())
    }

    /// The destination that the proxies share, made when first needed.
    fn shared(&mut self, client: &Client) -> Result<LocalDestination, StartError> {
        if let Some(shared) = &self.shared {
            return Ok(shared.clone());
        }
        let made = self.destination("client", None, client.pools(), false)?;
        self.shared = Some(made.clone());
        Ok(made)
    }

    fn destination(
        &self,
        name: &str,
        keys: Option<DestinationKeys>,
        (inbound, outbound): (PoolConfig, PoolConfig),
        publish: bool,
    ) -> Result<LocalDestination, StartError> {
        let config = DestinationConfig { name: name.to_owned(), keys, inbound, outbound, publish };
        self.router
            .destination(config)
            .map_err(|source| StartError::Destination { what: name.to_owned(), source })
    }

    fn keys(&mut self, file: Option<&Path>) -> Result<Option<DestinationKeys>, StartError> {
        let (Some(file), Some(store)) = (file, &self.machine.store) else { return Ok(None) };
        keys::load_or_create(store, file, &mut self.machine.rng).map(Some)
    }

    fn service(&mut self, config: &ServiceConfig) -> Result<(), StartError> {
        let name = config.name.as_str();
        let keys = self.keys(config.keys.as_deref())?;
        let destination = self.destination(name, keys, config.pools(), true)?;
        let service = Arc::new(Service {
            name: name.to_owned(),
            destination,
            target: config.target,
            net: Arc::clone(&self.machine.net),
            room: config.max_streams.into(),
            tasks: self.tasks.clone(),
            down: false.into(),
        });
        self.tasks.spawn(service.run());
        Ok(())
    }

    async fn tunnel(&mut self, config: &TunnelConfig, client: &Client) -> Result<(), StartError> {
        let name = config.name.as_str();
        let destination = match config.pools() {
            Some(pools) => {
                let keys = self.keys(config.keys.as_deref())?;
                self.destination(name, keys, pools, false)?
            }
            None => self.shared(client)?,
        };
        let tunnel = Arc::new(Tunnel {
            name: name.to_owned(),
            destination,
            to: config.destination.clone(),
            names: Arc::clone(&self.names),
            tasks: self.tasks.clone(),
        });
        self.listen("tunnel", config.listen, move |client| Arc::clone(&tunnel).serve(client)).await?;
        tracing::info!("tunnel {name} ready at {}", config.listen);
        Ok(())
    }

    async fn listen<S, F>(&self, what: &'static str, at: SocketAddr, serve: S) -> Result<(), StartError>
    where
        S: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = self.machine.net.listen(at).await;
        let listener = listener.map_err(|source| StartError::Listen { what: what.to_owned(), at, source })?;
        self.tasks.spawn(serve_each(what, listener, CONNECTIONS, self.tasks.clone(), serve));
        Ok(())
    }
}
