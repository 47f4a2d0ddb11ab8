//! Router-to-router sessions.
//!
//! [`ntcp2`] is the session over TCP. What belongs to any transport lies beside it: whose fault a failure is
//! ([`Blame`]), how long to wait before dialling again ([`Backoff`]), whom to turn away ([`Bans`]), how to
//! treat a stranger who may be a probe ([`Rebuff`]), clocks ([`Skew`]) and when a link ends
//! ([`TerminationPolicy`]).
//!
//! Everything here is a plain value: no sockets, no tasks, no clocks. The present is an argument, randomness a
//! field given at construction, and bytes go into the caller's buffers.

mod backoff;
mod bans;
mod blame;
pub mod ntcp2;
mod rebuff;
mod skew;
mod termination;

pub use backoff::{Backoff, Delays};
pub use bans::Bans;
pub use blame::{Blame, Offence};
pub use rebuff::Rebuff;
pub use skew::{SKEW_MAX, Skew};
pub use termination::{Activity, TerminationPolicy};

#[cfg(test)]
mod testing;
