//! Both roles of the NTCP2 handshake over a connection.

use allium_link::ntcp2::{self, Error, Established, Initiator, MESSAGE, PeerKeys, Reason, Responder};
use allium_link::{Blame, Rebuff, Skew};
use allium_wire::RouterInfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::debug;

use super::is_public;
use crate::net::Connection;
use crate::outbox::lock;
use crate::shared::Shared;

/// Why a router could not be reached.
pub(super) struct Failure {
    pub(super) blame: Blame,
    pub(super) why: String,
    /// How far its clock is from ours, where that is the reason.
    pub(super) skew: Option<Skew>,
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { blame: Blame::Network, why: error.to_string(), skew: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let skew = if let Error::Skew(skew) = error { Some(skew) } else { None };
        Self { blame: error.blame(), why: error.to_string(), skew }
    }
}

/// Dials the first address of `info` that can be dialled from here, and shakes hands as Alice.
pub(super) async fn initiate(
    shared: &Shared,
    info: &RouterInfo,
) -> Result<(Connection, Established), Failure> {
    let config = &shared.config;
    let dialable = |ip: std::net::IpAddr| {
        let bound = (config.ntcp2.bind.is_empty() && ip.is_ipv4())
            || config.ntcp2.bind.iter().any(|b| b.is_ipv4() == ip.is_ipv4());
        bound && (config.network.allow_local || is_public(ip))
    };
    let (address, keys) = info
        .ntcp2()
        .filter_map(|address| Some((address.published()?.0, PeerKeys::new(info.hash(), &address)?)))
        .find(|(at, _)| dialable(at.ip()))
        .ok_or_else(|| Failure {
            blame: Blame::Peer,
            why: "it has no address that can be dialled".to_owned(),
            skew: None,
        })?;
    let mut connection = shared.net.connect(config.ntcp2.source_for(address.ip()), address).await?;
    let ours = shared.info();
    let mut alice =
        Initiator::new(&shared.links.local, keys, ours.bytes(), shared.clock.now(), shared.fork_rng())?;
    connection.write.write_all(alice.message_1()).await?;
    let mut message_2 = [0; MESSAGE];
    connection.read.read_exact(&mut message_2).await?;
    let mut padding = vec![0; alice.message_2(&message_2)?];
    connection.read.read_exact(&mut padding).await?;
    let (message_3, established) = alice.finish(&padding, shared.clock.now())?;
    connection.write.write_all(&message_3).await?;
    Ok((connection, established))
}

/// Shakes hands as Bob. A stranger who fails gets the answer that the specification gives a probe: none.
pub(super) async fn respond(
    shared: &Shared,
    mut connection: Connection,
) -> Option<(Connection, Established)> {
    let ip = connection.peer.ip().to_canonical();
    let mut bob = Responder::new(&shared.links.local, shared.fork_rng());
    let exchange =
        tokio::time::timeout(shared.links.policy.handshake, exchange(shared, &mut connection, &mut bob));
    let message_3 = match exchange.await {
        Ok(Ok(message_3)) => message_3,
        Ok(Err(None)) | Err(_) => {
            shared.counters.handshakes_refused.one();
            connection.write.abort();
            return None;
        }
        Ok(Err(Some(error))) => {
            debug!("refused a handshake from {ip}: {error}");
            shared.counters.handshakes_refused.one();
            if let Some(offence) = error.offence() {
                lock(&shared.links.bans).address_offended(ip, shared.clock.now().instant, offence);
            }
            let rebuff = bob.rebuff();
            turn_away(connection, rebuff).await;
            return None;
        }
    };
    let now = shared.clock.now();
    match bob.finish(&message_3, now) {
        Ok(mut established) => {
            let banned = lock(&shared.links.bans).router(&established.hash, now.instant).is_some();
            let fits = established.peer.as_ref().is_none_or(|info| ntcp2::source_matches(info, ip));
            if banned || !fits {
                debug!(
                    "refused router {} from {ip}: banned {banned}, its address fits {fits}",
                    established.hash
                );
                shared.counters.handshakes_refused.one();
                let mut out = Vec::new();
                let said = established.sender.terminate(&mut out, Reason::Banned, 0);
                if said.is_ok() {
                    let _ = connection.write.write_all(&out).await;
                }
                return None;
            }
            Some((connection, established))
        }
        Err(refusal) => {
            debug!("refused a handshake from {ip}: {}", refusal.error);
            shared.counters.handshakes_refused.one();
            if let Some(offence) = refusal.error.offence() {
                let mut bans = lock(&shared.links.bans);
                bans.address_offended(ip, now.instant, offence);
                if let Some(router) = refusal.router {
                    bans.router_offended(router, now.instant, offence);
                }
            }
            match &refusal.farewell {
                Some(farewell) => {
                    let _ = connection.write.write_all(farewell).await;
                    let _ = connection.write.shutdown().await;
                }
                None => turn_away(connection, refusal.rebuff).await,
            }
            None
        }
    }
}

/// Messages 1 and 2, and the bytes of message 3. An error without a reason is the connection's end.
async fn exchange(
    shared: &Shared,
    connection: &mut Connection,
    bob: &mut Responder,
) -> Result<Vec<u8>, Option<Error>> {
    let mut message_1 = [0; MESSAGE];
    connection.read.read_exact(&mut message_1).await.map_err(|_| None)?;
    let now = shared.clock.now();
    let padding = bob.message_1(&message_1, now, &mut lock(&shared.links.replays))?;
    let mut padding = vec![0; padding];
    connection.read.read_exact(&mut padding).await.map_err(|_| None)?;
    let message_2 = bob.message_2(&padding, shared.clock.now())?;
    connection.write.write_all(&message_2).await.map_err(|_| None)?;
    if bob.skewed().is_some() {
        return Err(None); // Alice has our time now
    }
    let mut message_3 = vec![0; bob.message_3_len()];
    connection.read.read_exact(&mut message_3).await.map_err(|_| None)?;
    Ok(message_3)
}

/// Reads on for a while, then resets: what a prober sees does not depend on what it sent.
async fn turn_away(mut connection: Connection, rebuff: Rebuff) {
    let mut sink = [0; 256];
    let mut left = rebuff.read_bytes;
    let reading = async {
        while left > 0 {
            match connection.read.read(&mut sink).await {
                Ok(0) | Err(_) => break,
                Ok(n) => left = left.saturating_sub(n),
            }
        }
    };
    let _ = tokio::time::timeout(rebuff.delay, reading).await;
    connection.write.abort();
}
