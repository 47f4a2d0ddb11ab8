//! The store network: blocks under keys, each kept by the nodes whose places are closest to its key.
//!
//! Nodes form a Kademlia network in the space of BLAKE3 keys. Each is a destination of its own; its [`Place`] is a hash
//! of that destination. [`Client`] finds, gets and puts blocks over any destination, mostly a transient one; [`Node`]
//! keeps blocks for all, and has a client of its own for what it looks up. Both are engines: they see [datagrams and
//! frames](wire) and the results of disk work, and say what to send and what to read or write. What a block is, and
//! whether its bytes are true, is for [`Stored`] to say. The protocol is described in docs/content.md.
//!
//! Strangers fill no table without a bound, and are believed in nothing but what can be checked: a block verifies
//! against its key or it costs its sender the acquaintance; "I do not have it" is believed of several only; nodes that
//! others tell of are strangers until they have answered themselves, and are not told on before.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod book;
mod client;
mod io;
mod node;
mod pace;
mod place;
mod rate;
mod stored;
mod timers;
pub mod wire;

#[cfg(test)]
mod testing;

pub use book::KnownPeer;
pub use client::Client;
pub use io::{
    Action, ClientStats, Config, DiskError, Input, NodeAction, NodeConfig, NodeInput, NodeStats, Record,
    RequestId, Why,
};
pub use node::Node;
pub use place::{Key, Place};
pub use stored::{Flaw, Stored, Version};
