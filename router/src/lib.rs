//! The running router: the only place with tasks, sockets and files. It owns the engines, and carries values between
//! them along fixed, short paths; docs/architecture.md follows a message through it.

pub mod clock;
pub mod config;
mod core;
mod counters;
mod destination;
mod identity;
mod links;
pub mod net;
mod outbox;
mod reseed;
mod router;
mod shared;
mod status;
pub mod store;
mod switch;
mod transit;

pub use clock::Clock;
pub use config::{Config, Length, Quantity};
pub use destination::{
    ConnectError, ConnectError as Error, Datagram, DatagramError, DatagramKind, Datagrams, DestinationConfig,
    LocalDestination, PoolConfig, Ports, Stream, Target,
};
pub use net::{BoxFuture, Connection, Listener, Net};
pub use router::{Router, Start, StartError};
pub use status::{DestinationStatus, Status};
pub use store::{Store, StoreError};
