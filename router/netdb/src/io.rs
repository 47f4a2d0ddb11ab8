//! What goes into the database engine and what comes out.

use std::sync::Arc;
use std::time::Instant;

use allium_crypto::x25519::PublicKey;
use allium_wire::i2np::Message;
use allium_wire::{Date, DestHash, LeaseSet, RouterHash, RouterInfo, TunnelId};

use crate::lease_set::LeaseSetRecord;
use crate::profile::Observation;

/// A question to the database; the asker chooses the number and finds it in the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QueryId(pub u64);

/// A local destination with tunnels of its own. Where an `Option<ClientId>` is asked for, `None` means the
/// router itself and its exploratory tunnels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u64);

/// The first hop of one of our inbound tunnels, to which answers may be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyPath {
    /// The gateway.
    pub gateway: RouterHash,
    /// The tunnel's id at the gateway.
    pub tunnel: TunnelId,
}

/// A key for one answer: the answerer seals it with the key under the tag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OneTimeKey {
    /// ChaCha20/Poly1305 key.
    pub key: [u8; 32],
    /// What the sealed answer begins with, also its associated data.
    pub tag: [u8; 8],
}

impl std::fmt::Debug for OneTimeKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OneTimeKey").finish_non_exhaustive()
    }
}

/// How a message came to this router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In the clear over the link with this neighbour.
    Link(RouterHash),
    /// As a clove, for the router itself, of a garlic message sealed to the router: sent by we know not whom.
    Garlic,
    /// Down one of our own inbound tunnels: the exploratory ones (`client` is `None`) or a destination's.
    Tunnel {
        /// Whose tunnel.
        client: Option<ClientId>,
        /// The tag of the one-time key that opened it (see [`Action::ExpectReply`]), if it was sealed.
        tag: Option<[u8; 8]>,
    },
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input {
    /// A DatabaseStore, DatabaseLookup, DatabaseSearchReply or DeliveryStatus came; others are ignored.
    /// DeliveryStatus messages down tunnels may be copied here whatever they acknowledge.
    Received {
        /// How it came.
        origin: Origin,
        /// The message.
        message: Message,
    },
    /// A verified RouterInfo from a handshake, a reseed bundle or the disk.
    Learned(RouterInfo),
    /// Find a RouterInfo. Answered by [`Action::Found`] or [`Action::NotFound`], at once if it is known.
    FindRouter {
        /// Whose.
        router: RouterHash,
        /// Comes back in the answer.
        query: QueryId,
    },
    /// Find a LeaseSet through the tunnels of a destination. Never answered from what this router keeps as
    /// floodfill.
    FindLeaseSet {
        /// Whose (or, for an encrypted one, the hash of the blinded key).
        destination: DestHash,
        /// Comes back in the answer.
        query: QueryId,
        /// Who asks.
        client: Option<ClientId>,
    },
    /// The asker lost interest: no answer will come.
    Cancel(QueryId),
    /// This is the router's own RouterInfo from now on; it is published if [`Config::publish`] allows.
    PublishRouterInfo(RouterInfo),
    /// Publish a LeaseSet of a local destination through its tunnels. A newer one (by its date, which has
    /// whole seconds: floodfills ignore a second one of the same date) replaces it, at most every ten
    /// seconds.
    PublishLeaseSet {
        /// Whose tunnels.
        client: ClientId,
        /// What.
        lease_set: LeaseSetRecord,
    },
    /// The destination is gone: its lookups end and its LeaseSets are published no more.
    ClientGone(ClientId),
    /// The inbound tunnels through which answers can come now; replaces the ones told before.
    ReplyPaths {
        /// Whose tunnels.
        client: Option<ClientId>,
        /// Gateways and ids; empty if there is no tunnel.
        paths: Vec<ReplyPath>,
    },
    /// A message that the engine asked to send was not sent: no link, or no outbound tunnel.
    SendFailed {
        /// The message's id.
        message: u32,
    },
    /// A link to this router is up.
    Linked(RouterHash),
    /// The link to this router is gone.
    Unlinked(RouterHash),
    /// An experience with a router, for its profile.
    Observed(RouterHash, Observation),
    /// A router broke a rule elsewhere; see [`Bans::strike`](crate::Bans::strike) for the weight.
    Misbehaved(RouterHash, f64),
    /// New settings.
    Configure(Config),
    /// The first RouterInfos are there: explore and publish without waiting.
    Bootstrap,
}

/// What the shell is to do, or to know.
#[derive(Debug)]
pub enum Action {
    /// Send over a direct link, dialling if there is none. [`Input::SendFailed`] if that fails.
    SendDirect {
        /// Whom to.
        to: RouterHash,
        /// What.
        message: Message,
    },
    /// Seal to the router's key (one-shot Noise N garlic, clove for the router itself) and send through one
    /// of the outbound tunnels of `client` with delivery to router `to`. [`Input::SendFailed`] if there is
    /// no tunnel.
    SendTunnel {
        /// Whose outbound tunnel; `None` for an exploratory one.
        client: Option<ClientId>,
        /// A floodfill.
        to: RouterHash,
        /// Its encryption key.
        to_key: PublicKey,
        /// What.
        message: Message,
    },
    /// An answer sealed with this key may come down a tunnel of `client` until then: open it and give it
    /// back as [`Input::Received`] with its tag. Comes before the message that asks for it.
    ExpectReply {
        /// Whose inbound tunnel.
        client: Option<ClientId>,
        /// Key and tag.
        key: OneTimeKey,
        /// When to forget the key.
        until: Instant,
    },
    /// Answer somebody: directly, or wrapped in a TunnelGateway to a tunnel that begins at `to`.
    SendReply {
        /// The asker, or the gateway of its tunnel (which may be this router).
        to: RouterHash,
        /// The tunnel at the gateway; none for a direct answer.
        tunnel: Option<TunnelId>,
        /// Seal with this first (ratchet's existing-session format: tag, then a local clove).
        encrypt: Option<OneTimeKey>,
        /// What.
        message: Message,
    },
    /// The answer to a query.
    Found {
        /// Which.
        query: QueryId,
        /// What was found.
        what: Found,
    },
    /// There is no answer to a query.
    NotFound {
        /// Which.
        query: QueryId,
        /// Why not.
        why: Why,
    },
    /// Write this RouterInfo to disk: it is new or newer.
    Persist(Arc<RouterInfo>),
    /// Remove this router's RouterInfo from disk.
    Forget(RouterHash),
    /// A router that was not known is known now.
    NewRouter(RouterHash),
    /// A publication was acknowledged, or nobody acknowledged it (it will be tried again).
    Published {
        /// Which.
        what: Subject,
        /// Whether a floodfill acknowledged it.
        ok: bool,
    },
    /// Another floodfill than those it was sent to handed the published LeaseSet out.
    Verified(Subject),
    /// Sign the own RouterInfo anew and give it as [`Input::PublishRouterInfo`].
    RenewRouterInfo,
    /// A router is not dealt with until then; links to it should be closed.
    Banned {
        /// Who.
        router: RouterHash,
        /// Until when.
        until: Date,
    },
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Found {
    /// A RouterInfo.
    Router(Arc<RouterInfo>),
    /// A LeaseSet (type 1) or LeaseSet2 (type 3) that has not ended.
    LeaseSet(LeaseSet),
    /// An EncryptedLeaseSet (type 5) or MetaLeaseSet (type 7).
    Other(LeaseSetRecord),
}

/// Why a lookup found nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Floodfills answered that they do not have it.
    Absent,
    /// No floodfill answered.
    Unanswered,
    /// No floodfill is known that could be asked.
    NoFloodfills,
    /// There was no tunnel to ask through.
    NoTunnels,
    /// Too many lookups run already.
    Busy,
    /// The asking destination is gone.
    Gone,
}

/// What is published.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// The own RouterInfo.
    Router,
    /// A LeaseSet of a local destination.
    LeaseSet {
        /// Whose tunnels.
        client: ClientId,
        /// What it is stored under.
        key: [u8; 32],
    },
}

/// Settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// This router.
    pub own: RouterHash,
    /// The network: RouterInfos of others are refused.
    pub net_id: u8,
    /// Whether this router keeps and serves items for all.
    pub floodfill: bool,
    /// Whether the own RouterInfo is published; false for hidden routers.
    pub publish: bool,
    /// Whether to look for unknown routers.
    pub explore: bool,
    /// RouterInfos of older versions are refused.
    pub min_version: (u8, u8, u8),
    /// Floodfills of older versions are not asked or stored to.
    pub min_floodfill_version: (u8, u8, u8),
    /// Most RouterInfos kept.
    pub max_routers: usize,
    /// Most LeaseSets kept as floodfill.
    pub max_lease_sets: usize,
}

impl Config {
    /// The usual settings of a router that is no floodfill.
    pub fn new(own: RouterHash, net_id: u8) -> Self {
        Self {
            own,
            net_id,
            floodfill: false,
            publish: true,
            explore: true,
            min_version: (0, 9, 58),
            min_floodfill_version: (0, 9, 62),
            max_routers: 8000,
            max_lease_sets: 4000,
        }
    }
}

/// Counts since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// RouterInfos known.
    pub routers: usize,
    /// Of those, floodfills.
    pub floodfills: usize,
    /// LeaseSets kept as floodfill.
    pub lease_sets: usize,
    /// Lookups running.
    pub lookups: usize,
    /// Routers banned.
    pub banned: usize,
    /// Lookup messages sent.
    pub asked: u64,
    /// Lookup messages that were answered.
    pub answered: u64,
    /// Lookups that found what they sought.
    pub found: u64,
    /// Lookups that did not.
    pub not_found: u64,
    /// Stores accepted from others.
    pub stores: u64,
    /// Stores refused: malformed, badly signed, stale or too many.
    pub stores_refused: u64,
    /// Messages flooded.
    pub flooded: u64,
    /// Lookups answered to others.
    pub served: u64,
    /// Lookups of others dropped.
    pub lookups_dropped: u64,
    /// Publications acknowledged by a floodfill.
    pub published: u64,
    /// Publications found at another floodfill afterwards.
    pub verified: u64,
}
