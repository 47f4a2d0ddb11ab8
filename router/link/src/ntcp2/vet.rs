//! Whether a RouterInfo fits the session that brought it.

use super::{Error, Local, Stage};
use crate::Skew;
use allium_crypto::x25519::PublicKey;
use allium_wire::{Date, RouterHash, RouterInfo, Signed};
use bytes::Bytes;
use std::net::IpAddr;
use std::time::Duration;

/// A RouterInfo older than this is no good in a handshake; ours must be renewed well before.
pub const RI_AGE_MAX: Duration = Duration::from_mins(90);
/// A RouterInfo further in the future than this is no good in a handshake.
pub const RI_FUTURE_MAX: Duration = Duration::from_mins(2);

/// A RouterInfo that does not fit, and the router that proved to be its owner, if one did.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) error: Error,
    pub(super) router: Option<RouterHash>,
}

/// Decodes and checks the RouterInfo of message 3 against the static key that the handshake proved.
///
/// Until the static key is found in it, the RouterInfo may be a copy of someone else's, who is not to be blamed.
pub(super) fn vet(
    info: Bytes,
    alice: &PublicKey,
    local: &Local,
    skew: Skew,
    now: Date,
) -> Result<RouterInfo, Misfit> {
    let anyone = |error| Misfit { error, router: None };
    let info = RouterInfo::decode(info).and_then(Signed::verify).map_err(|error| {
        anyone(match error {
            allium_wire::Error::Signature(_) => Error::Signature,
            allium_wire::Error::Unsupported(_) => Error::SignatureType,
            other => Error::Malformed(Stage::Message3, other),
        })
    })?;
    if !info.ntcp2().any(|address| address.static_key == *alice) {
        return Err(anyone(Error::StaticKey));
    }
    match judge(&info, local, skew, now) {
        Ok(()) => Ok(info),
        Err(error) => Err(Misfit { error, router: Some(info.hash()) }),
    }
}

fn judge(info: &RouterInfo, local: &Local, skew: Skew, now: Date) -> Result<(), Error> {
    if info.hash() == local.hash {
        return Err(Error::Oneself);
    }
    if info.net_id() != Some(local.net_id) {
        return Err(Error::RouterInfoNetwork(info.net_id()));
    }
    if skew.excessive() {
        return Err(Error::Skew(skew));
    }
    if now.since(info.published()) > RI_AGE_MAX {
        return Err(Error::Stale);
    }
    if info.published().since(now) > RI_FUTURE_MAX {
        return Err(Error::Future);
    }
    Ok(())
}

/// Whether a connection from `source` fits a RouterInfo: where it publishes NTCP2 addresses of that family, one
/// of them must be the source (in IPv6, share its first half). Routers whose addresses differ from where they
/// dial from are banned by others.
pub fn source_matches(info: &RouterInfo, source: IpAddr) -> bool {
    let source = source.to_canonical();
    let mut published = false;
    for host in info.ntcp2().filter_map(|address| address.published()).map(|(address, _)| address.ip()) {
        match (host.to_canonical(), source) {
            (IpAddr::V4(host), IpAddr::V4(source)) if host == source => return true,
            (IpAddr::V6(host), IpAddr::V6(source)) if host.octets()[..8] == source.octets()[..8] => {
                return true;
            }
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => published = true,
            _ => {}
        }
    }
    !published
}
