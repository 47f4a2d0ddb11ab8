//! The configuration file, and where things are.

use std::path::{Path, PathBuf};

use allium_client_api::config::{Client, Console, Content, HttpProxy, Sam, Service, Socks, Tunnel};
use allium_client_api::{ClientConfig, load_error};
use allium_router::Config;
use allium_router::config::{Network, Ntcp2, Reseed, Tunnels};
use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

/// The default configuration, as `allium config` prints it.
const DEFAULT: &str = include_str!("default.toml");
/// The longest configuration that is read.
const LONGEST: u64 = 1 << 20;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    network: Network,
    reseed: Reseed,
    ntcp2: Ntcp2,
    ssu2: Option<Ssu2>,
    tunnels: Tunnels,
    client: Client,
    http_proxy: HttpProxy,
    socks: Socks,
    sam: Option<Sam>,
    console: Option<Console>,
    content: Option<Content>,
    service: Vec<Service>,
    tunnel: Vec<Tunnel>,
}

/// `[ssu2]`: read and checked, for the transport that is not there yet.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Ssu2 {
    enabled: bool,
    #[serde(deserialize_with = "allium_router::config::one_or_many")]
    bind: Vec<std::net::SocketAddr>,
    #[serde(deserialize_with = "allium_router::config::one_or_many")]
    publish: Vec<std::net::SocketAddr>,
}

/// Reads a configuration file; the usual place where none is named, the defaults where nothing is there.
pub(crate) fn load(path: Option<PathBuf>) -> anyhow::Result<(Config, ClientConfig)> {
    let named = path.is_some();
    let path = match path {
        Some(path) => Some(path),
        None => config_dir().map(|dir| dir.join("allium.toml")),
    };
    let Some(path) = path else { return parse(Path::new("allium.toml"), "") };
    match allium_router::store::read_limited(&path, LONGEST)? {
        Some(text) => {
            let text = String::from_utf8(text).with_context(|| format!("{} is not text", path.display()))?;
            parse(&path, &text)
        }
        None if named => bail!("{} is not there", path.display()),
        None => parse(&path, ""),
    }
}

fn parse(path: &Path, text: &str) -> anyhow::Result<(Config, ClientConfig)> {
    let file: File = toml::from_str(text).map_err(|error| anyhow!(load_error(path, text, &error)))?;
    if file.ssu2.as_ref().is_some_and(|ssu2| ssu2.enabled) {
        tracing::warn!("[ssu2] is not there yet: this version uses NTCP2 alone");
    }
    let router =
        Config { network: file.network, reseed: file.reseed, ntcp2: file.ntcp2, tunnels: file.tunnels };
    let client = ClientConfig {
        client: file.client,
        http_proxy: file.http_proxy,
        socks: file.socks,
        sam: file.sam,
        console: file.console,
        content: file.content,
        services: file.service,
        tunnels: file.tunnel,
    };
    Ok((router, client))
}

/// Prints the default configuration.
#[expect(clippy::print_stdout, reason = "the text is what the command is for")]
pub(crate) fn print_default() {
    print!("{DEFAULT}");
}

fn config_dir() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config")
}

/// The data folder: the one named, or `$XDG_DATA_HOME/allium`.
pub(crate) fn data_dir(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    named
        .or_else(|| xdg("XDG_DATA_HOME", ".local/share"))
        .context("no data folder: set HOME or XDG_DATA_HOME, or name one with --data-dir")
}

fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = set(variable).or_else(|| set("HOME").map(|home| home.join(below_home)))?;
    Some(base.join("allium"))
}

#[cfg(test)]
mod tests;
