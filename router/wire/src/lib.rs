//! Every byte layout of the I2P protocols that is not private to one engine: identities, infos, lease sets, I2NP
//! messages, garlic blocks, streaming packets, datagrams, SU3 files.
//!
//! Laws, each tested: `decode(encode(x)) == x`; decoding never panics and never allocates more than its input
//! justifies; where a length is fixed, trailing bytes are an error; unknown things are skipped as specified.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod address;
mod codec;
pub mod datagram;
mod date;
pub mod garlic;
pub mod i2np;
mod identity;
mod ids;
mod keys;
mod lease_set;
mod mapping;
mod offline;
pub mod payload;
mod router_info;
mod signed;
pub mod streaming;
pub mod su3;
pub mod text;
pub mod tunnel;

pub use address::{Capabilities, Ntcp2Address, RouterAddress};
pub use codec::{Error, Reader};
pub use date::{Date, Engine, Now};
pub use identity::{Destination, Identity, RouterIdentity};
pub use ids::{DestHash, RouterHash, RoutingKey, TunnelId};
pub use keys::{DestinationKeys, RouterKeys};
pub use lease_set::{Lease, LeaseSet, LeaseSet1, LeaseSet2, lease_set_type};
pub use mapping::Mapping;
pub use router_info::RouterInfo;
pub use signed::Signed;

#[cfg(test)]
mod vectors;
