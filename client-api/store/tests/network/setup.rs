//! Networks to begin with, and settings from the environment.

use std::time::Duration;

use allium_store::{Config, NodeConfig};

use crate::liar::Liar;
use crate::world::{Id, World};

/// A number from the environment.
pub(crate) fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

pub(crate) fn seed() -> u64 {
    let seed = setting("ALLIUM_SEED", 1);
    println!("seed {seed}");
    seed
}

pub(crate) fn config() -> Config {
    let usual = Config::default();
    Config {
        replicas: setting("STORE_REPLICAS", usual.replicas as u64) as usize,
        parallel: setting("STORE_PARALLEL", usual.parallel as u64) as usize,
        ..usual
    }
}

pub(crate) fn node_config() -> NodeConfig {
    let usual = NodeConfig::default();
    let refresh = setting("STORE_REFRESH_SECS", usual.client.refresh.as_secs());
    NodeConfig {
        client: Config { replicas: config().replicas, refresh: Duration::from_secs(refresh), ..usual.client },
        sweep: Duration::from_secs(3600 * setting("STORE_SWEEP_HOURS", usual.sweep.as_secs() / 3600)),
        ..usual
    }
}

/// A network of nodes that know each other.
pub(crate) fn network(
    world: &mut World,
    count: usize,
    mut liar: impl FnMut(usize) -> Option<Liar>,
) -> Vec<Id> {
    let mut nodes = Vec::new();
    for index in 0..count {
        let peers = world.some_nodes(3);
        nodes.push(world.add_node(node_config(), liar(index), peers));
        world.run_for(Duration::from_secs(20));
    }
    world.run_for(Duration::from_hours(1));
    nodes
}
/// The share that is `true`, in percent.
pub(crate) fn percent(good: usize, all: usize) -> f64 {
    100.0 * good as f64 / all.max(1) as f64
}
