//! Tests of whole networks of real routers, in virtual time.

#[cfg(test)]
mod content;
#[cfg(test)]
mod datagrams;
#[cfg(test)]
mod determinism;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hour;
#[cfg(test)]
mod pair;
