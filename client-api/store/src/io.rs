//! What goes into the engines and what comes out.

use std::time::Duration;

use allium_wire::{Date, DestHash};
use bytes::Bytes;

use crate::{Key, Version};

/// A task given to a [`Client`](crate::Client); the giver chooses the number and finds it in the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(pub u64);

/// What a [`Client`](crate::Client) is told.
#[derive(Clone, Debug)]
pub enum Input<B> {
    /// A repliable datagram came, whose sender is proven (I2P's datagram 1 or 2, not 3).
    Datagram {
        /// Who sent it.
        from: DestHash,
        /// Its payload.
        bytes: Bytes,
    },
    /// A frame came over the channel with a peer.
    Frame {
        /// Whose channel.
        from: DestHash,
        /// The frame, without its length.
        bytes: Bytes,
    },
    /// The channel with a peer ended, or could not be opened: what was sent and not answered is lost.
    Closed(DestHash),
    /// Find a block. Answered by [`Action::Got`] or [`Action::Failed`].
    Get {
        /// Comes back in the answer.
        id: RequestId,
        /// Which.
        key: Key,
        /// Three nodes are heard, and the newest version they have is given; otherwise the first one that comes.
        newest: bool,
    },
    /// Have a block kept. Answered by [`Action::Stored`], later [`Action::Spread`], or by [`Action::Failed`].
    Put {
        /// Comes back in the answers.
        id: RequestId,
        /// What.
        block: B,
    },
    /// How many nodes hold a block? Answered by [`Action::Spread`] or [`Action::Failed`].
    Count {
        /// Comes back in the answer.
        id: RequestId,
        /// Which.
        key: Key,
    },
    /// The giver lost interest: no answer will come.
    Cancel(RequestId),
    /// Nodes that may be there: those of the configuration, or of the last run.
    Peers(Vec<DestHash>),
}

/// What the owner of a [`Client`](crate::Client) is to do, or to know.
#[derive(Clone, Debug)]
pub enum Action<B> {
    /// Send a repliable datagram, whose sender the receiver can verify.
    Datagram {
        /// Whom to.
        to: DestHash,
        /// At most [`MAX_DATAGRAM`](crate::wire::MAX_DATAGRAM).
        bytes: Bytes,
    },
    /// Send a frame over the channel with this peer, which is opened if there is none, and closed when it was idle for
    /// a minute or so. [`Input::Closed`] if it can't be sent; an owner that has several MiB waiting for one peer
    /// closes its channel.
    Frame {
        /// Whom to.
        to: DestHash,
        /// The frame, without its length.
        bytes: Bytes,
    },
    /// This peer broke the rules: close the channel with it.
    Close(DestHash),
    /// A block was found.
    Got {
        /// Which task.
        id: RequestId,
        /// The block, verified.
        block: B,
    },
    /// A task came to nothing.
    Failed {
        /// Which.
        id: RequestId,
        /// Why.
        why: Why,
    },
    /// A block is on the disks of this many nodes: as many as [`Config::copies`], or all there are.
    Stored {
        /// Which task.
        id: RequestId,
        /// How many said so.
        holders: usize,
    },
    /// The task is over: this many nodes, of those closest to the key, hold the block by their own word.
    Spread {
        /// Which task.
        id: RequestId,
        /// How many.
        holders: usize,
    },
}

/// Why a task came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Why {
    /// The nodes closest to the key do not have it.
    #[error("the nodes that should have the block do not have it")]
    Absent,
    /// Too few nodes answered to know.
    #[error("too few nodes of the store answered; try again later")]
    Unanswered,
    /// There is nobody to ask.
    #[error("no node of the store is known: is `bootstrap` set, and is one of them up?")]
    NoPeers,
    /// The nodes closest to the key would not take it.
    #[error("the nodes closest to the key refuse the block: {0}")]
    Refused(crate::wire::Refusal),
    /// Too many tasks wait already.
    #[error("too many requests wait already")]
    Busy,
    /// The block does not follow its own rules: its giver's fault.
    #[error("the block is longer than a block may be")]
    Invalid,
}

/// Settings of a [`Client`](crate::Client). The numbers that decide what the network keeps were chosen by the
/// simulation in `tests/`.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many nodes should hold each block.
    pub replicas: usize,
    /// A put is done when this many nodes hold the block.
    pub copies: usize,
    /// Nodes asked at once in a lookup.
    pub parallel: usize,
    /// A lookup ends when this many of the closest nodes have answered.
    pub width: usize,
    /// Gets under way at once; others wait.
    pub gets: usize,
    /// Puts under way at once; others wait.
    pub puts: usize,
    /// Gets that may wait, and puts whose spreading may be watched.
    pub backlog: usize,
    /// Puts that may wait, each with its block in memory. A giver of more asks
    /// [`room_for_puts`](crate::Client::room_for_puts).
    pub put_backlog: usize,
    /// Blocks under way with one peer at most.
    pub peer_window: u16,
    /// How long a get may take once it is under way.
    pub get_time: Duration,
    /// How long a put may take once it is under way.
    pub put_time: Duration,
    /// How long after a put it is looked whether the block has spread.
    pub settle: Duration,
    /// Bytes of blocks kept until they have spread; blocks beyond are looked after by the nodes alone.
    pub retained: usize,
    /// How often a peer is asked for news.
    pub refresh: Duration,
    /// Peers remembered.
    pub peers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            replicas: 4,
            copies: 2,
            parallel: 4,
            width: 12,
            gets: 512,
            puts: 256,
            backlog: 1 << 17,
            put_backlog: 4096,
            peer_window: 64,
            get_time: Duration::from_secs(55),
            put_time: Duration::from_secs(180),
            settle: Duration::from_secs(60),
            retained: 64 << 20,
            refresh: Duration::from_mins(15),
            peers: 1024,
        }
    }
}

/// Counts of a [`Client`](crate::Client) since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Nodes known that have answered.
    pub peers: usize,
    /// Gets not ended.
    pub gets: usize,
    /// Puts not stored.
    pub puts: usize,
    /// Puts stored and not spread.
    pub settling: usize,
    /// Lookups begun.
    pub lookups: u64,
    /// Datagrams sent: questions and offers, with those sent again.
    pub asked: u64,
    /// Of those, sent again.
    pub again: u64,
    /// Blocks asked for.
    pub fetches: u64,
    /// Of those, asked for because another node was slow.
    pub hedged: u64,
    /// Gets that found their block.
    pub got: u64,
    /// Gets that did not.
    pub failed: u64,
    /// Blocks sent.
    pub pushed: u64,
    /// Puts stored.
    pub stored: u64,
    /// Blocks that did not verify.
    pub junk: u64,
}

/// What a [`Node`](crate::Node) is told.
#[derive(Clone, Debug)]
pub enum NodeInput {
    /// See [`Input::Datagram`].
    Datagram {
        /// Who sent it.
        from: DestHash,
        /// Its payload.
        bytes: Bytes,
    },
    /// See [`Input::Frame`].
    Frame {
        /// Whose channel.
        from: DestHash,
        /// The frame, without its length.
        bytes: Bytes,
    },
    /// See [`Input::Closed`].
    Closed(DestHash),
    /// What a [`NodeAction::Load`] gave.
    Loaded {
        /// The action's.
        token: u64,
        /// The block's bytes as they were saved.
        outcome: Result<Bytes, DiskError>,
    },
    /// What became of a [`NodeAction::Save`].
    Saved {
        /// The action's.
        token: u64,
        /// Whether it is on disk, to stay there whatever happens.
        outcome: Result<(), DiskError>,
    },
    /// Keep this block whatever the quota says, and fetch it if it is not here.
    Pin(Key),
    /// Keep it like any other from now on.
    Unpin(Key),
    /// A block that somebody else read from this node's disk was not as it was saved: it is read again and, if that is
    /// so, removed and fetched from the network.
    Check(Key),
    /// See [`Input::Peers`].
    Peers(Vec<DestHash>),
    /// Keep at most this many bytes of blocks from now on (pinned ones may exceed it).
    Quota(u64),
}

/// What the owner of a [`Node`](crate::Node) is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeAction {
    /// See [`Action::Datagram`].
    Datagram {
        /// Whom to.
        to: DestHash,
        /// The payload.
        bytes: Bytes,
    },
    /// See [`Action::Frame`].
    Frame {
        /// Whom to.
        to: DestHash,
        /// The frame, without its length.
        bytes: Bytes,
    },
    /// See [`Action::Close`].
    Close(DestHash),
    /// Read a block and answer with [`NodeInput::Loaded`].
    Load {
        /// Comes back in the answer.
        token: u64,
        /// Which.
        key: Key,
    },
    /// Write a block in place of the one of that key if there is one, and answer with [`NodeInput::Saved`] when it is
    /// sure to be there after a crash.
    Save {
        /// Comes back in the answer.
        token: u64,
        /// What is to be remembered of it.
        record: Record,
        /// The block.
        bytes: Bytes,
    },
    /// Remove a block. Later loads and saves of that key come after it.
    Delete(Key),
    /// What is to be remembered of a block has changed; to be written when it suits.
    Note(Record),
}

/// Why the disk did not do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DiskError {
    /// The block is not there, or not as it was saved.
    #[error("the block on disk is damaged or missing")]
    Damaged,
    /// Reading or writing failed; the block may be fine.
    #[error("the disk did not read or write it")]
    Failed,
}

/// What is remembered of a block that a node holds: in memory, and beside the block on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// Length of its encoding, bytes.
    pub size: u32,
    /// Which of the blocks of that key.
    pub version: Version,
    /// When somebody last wanted it.
    pub wanted: Date,
    /// The quota does not apply to it.
    pub pinned: bool,
}

/// Settings of a [`Node`](crate::Node).
#[derive(Clone, Copy, Debug)]
pub struct NodeConfig {
    /// Of its own lookups.
    pub client: Config,
    /// Most bytes of blocks.
    pub quota: u64,
    /// How often all blocks are offered to the others whom they belong to.
    pub sweep: Duration,
    /// How long after news of a neighbour, at most, the blocks it should hold are offered.
    pub react: Duration,
    /// Blocks sent to others for repair at once.
    pub repairs: usize,
    /// Frames that a peer may send at once, and then each second.
    pub frames: (u32, u32),
    /// Datagrams that a peer may send at once, and then each second.
    pub datagrams: (u32, u32),
    /// Gets of a block within ten minutes that make it popular.
    pub popular: u32,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            client: Config { refresh: Duration::from_mins(3), ..Config::default() },
            quota: 5 << 30,
            sweep: Duration::from_hours(12),
            react: Duration::from_mins(10),
            repairs: 16,
            frames: (1024, 128),
            datagrams: (64, 8),
            popular: 40,
        }
    }
}

/// Counts of a [`Node`](crate::Node) since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeStats {
    /// Blocks held.
    pub blocks: usize,
    /// Of those, pinned.
    pub pinned: usize,
    /// Bytes of blocks held.
    pub bytes: u64,
    /// The most bytes it may hold.
    pub quota: u64,
    /// Questions answered.
    pub answered: u64,
    /// Blocks given.
    pub served: u64,
    /// Blocks asked for that are not here.
    pub missing: u64,
    /// Blocks taken.
    pub taken: u64,
    /// Blocks refused.
    pub refused: u64,
    /// Frames and datagrams that did not parse or verify, or that were too many.
    pub dropped: u64,
    /// Blocks removed for the quota.
    pub evicted: u64,
    /// Blocks offered to others.
    pub offered: u64,
    /// Blocks sent to others for repair.
    pub repaired: u64,
    /// Blocks found damaged on disk.
    pub damaged: u64,
    /// Of those and of the pinned ones, fetched from the network.
    pub healed: u64,
    /// Of its own lookups.
    pub client: ClientStats,
}
