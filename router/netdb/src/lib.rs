//! The network database: RouterInfos and LeaseSets, found at and published to floodfill routers.
//!
//! [`NetDb`] is the engine with the router's own database; [`ClientDb`] holds what one destination's tunnels
//! learned, which is kept apart; [`Profiles`] and [`Bans`] remember how other routers behaved; [`reseed`]
//! opens the signed bundles a new router starts from. <https://geti2p.net/en/docs/how/network-database>

mod ban;
mod client;
mod db;
mod error;
mod explore;
mod io;
pub mod key;
mod lease_set;
mod limits;
mod lookup;
mod pace;
mod profile;
mod publish;
mod rate;
pub mod reseed;
mod store;
#[cfg(test)]
mod testing;

pub use ban::Bans;
pub use client::ClientDb;
pub use db::{Candidate, NetDb};
pub use error::Error;
pub use io::{
    Action, ClientId, Config, Found, Input, OneTimeKey, Origin, QueryId, ReplyPath, Stats, Subject, Why,
};
pub use lease_set::LeaseSetRecord;
pub use profile::{Observation, Profile, ProfileView, Profiles};
