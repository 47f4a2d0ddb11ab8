//! The key files of services: read where they are, made where they are not.

use std::path::Path;

use allium_crypto::Rng;
use allium_wire::DestinationKeys;

use crate::StartError;
use crate::config::ClientConfig;
use crate::router::Store;

/// The longest key file: a destination, its keys and an offline block, in base64.
const LONGEST: u64 = 64 * 1024;

/// The file of the content store's keys.
pub(crate) const CONTENT: &str = "content.dat";

/// Reads the keys at `path` (relative to the data folder), or makes them and keeps them there.
///
/// # Errors
/// Where the file can't be read or written, or holds no keys; a file that is there is never replaced.
pub(crate) fn load_or_create(
    store: &Store,
    path: &Path,
    rng: &mut Rng,
) -> Result<DestinationKeys, StartError> {
    if let Some(data) = store.read(path, LONGEST)? {
        return DestinationKeys::decode(&data)
            .map_err(|source| StartError::Keys { path: store.path(path), source });
    }
    let keys = DestinationKeys::generate(rng);
    store.write_secret(path, &keys.encode())?;
    tracing::info!(path = %store.path(path).display(), "new keys made");
    Ok(keys)
}

/// Makes the key files that the configuration names and that are not there yet, so that all of a first start's keys are
/// on disk before the router tells anyone of itself.
///
/// # Errors
/// As for each file when it is used.
pub fn make_keys(config: &ClientConfig, store: &Store, rng: &mut Rng) -> Result<(), StartError> {
    let services = config.services.iter().filter_map(|service| service.keys.as_deref());
    let tunnels = config.tunnels.iter().filter_map(|tunnel| tunnel.keys.as_deref());
    let content = config.content.as_ref().filter(|content| content.enabled).map(|_| Path::new(CONTENT));
    for path in services.chain(tunnels).chain(content) {
        load_or_create(store, path, rng)?;
    }
    Ok(())
}
