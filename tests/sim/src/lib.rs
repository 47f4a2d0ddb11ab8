//! Whole networks in virtual time: a simulated internet, fleets of real routers on it, services and faults.

pub mod fleet;
mod log;
pub mod net;
pub mod site;

pub use fleet::{Fleet, Topology};
pub use net::{Path, SimNet};
pub use site::Site;
