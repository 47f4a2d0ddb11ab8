//! The store network simulated: hundreds of engines in virtual time.
//!
//! Each test prints its seed and its figures (`cargo test -p allium-store --test network -- --nocapture`); a seed gives
//! the same run every time. `ALLIUM_SEED`, `STORE_DAYS`, `STORE_REPLICAS`, `STORE_PARALLEL`, `STORE_SWEEP_HOURS` and `STORE_REFRESH_SECS`
//! change the runs, to see what other settings would do.

#[cfg(test)]
mod churn;
#[cfg(test)]
mod dead;
#[cfg(test)]
mod events;
#[cfg(test)]
mod liar;
#[cfg(test)]
mod setup;
#[cfg(test)]
mod speed;
#[cfg(test)]
mod toy;
#[cfg(test)]
mod world;
