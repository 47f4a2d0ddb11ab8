//! `allium run`.

use std::path::PathBuf;
use std::sync::Arc;

use allium_client_api::{ClientApi, Machine};
use allium_crypto::Rng;
use allium_router::net::Tcp;
use allium_router::{Clock, Router, Start, Store};
use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Randomness seeded by the operating system.
pub(crate) fn system_rng() -> anyhow::Result<Rng> {
    let mut seed = [0; 32];
    #[expect(clippy::disallowed_methods, reason = "the one place that seeds a router")]
    getrandom::fill(&mut seed).map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))?;
    Ok(Rng::from_seed(seed))
}

/// Logs to standard error: at info level, or as `ALLIUM_LOG` says (`debug`, `allium_router=trace`).
pub(crate) fn log(default: &str) {
    let filter = EnvFilter::try_from_env("ALLIUM_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    // Logging that is set up already is set up well enough.
    let _ = builder.with_target(false).try_init();
}

/// Runs one router until it is told to stop.
pub(crate) fn run(data_dir: Option<PathBuf>, config: Option<PathBuf>) -> anyhow::Result<()> {
    log("info");
    let dir = crate::file::data_dir(data_dir)?;
    let (router, client) = crate::file::load(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let store = Store::open(&dir)?;
        info!("data folder {}", dir.display());
        let mut rng = system_rng()?;
        allium_client_api::make_keys(&client, &store, &mut rng)?;
        let net = Arc::new(Tcp);
        let start = Start {
            config: router,
            store: Some(store.clone()),
            net: net.clone(),
            clock: Clock::system(),
            rng: rng.fork(),
        };
        let router = Router::start(start).await?;
        let stop = CancellationToken::new();
        let machine = Machine { net, store: Some(store), rng };
        let api = ClientApi::start(&router, &client, machine, stop.clone()).await?;
        let control = tokio::spawn(crate::control::serve(dir, router.clone(), stop.clone()));
        told_to_stop().await?;
        info!("stopping; a second signal stops at once");
        let stopping = async {
            stop.cancel();
            router.stop().await;
            api.stopped().await;
            let _ = control.await;
        };
        tokio::select! {
            biased;
            () = stopping => {}
            again = told_to_stop() => again?,
        }
        anyhow::Ok(())
    });
    runtime.shutdown_background();
    result
}

/// Waits for SIGINT or SIGTERM.
pub(crate) async fn told_to_stop() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("can't wait for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("can't wait for signals")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
