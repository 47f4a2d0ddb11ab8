//! Tests of whole networks of real routers, in virtual time.

mod determinism;
mod faults;
mod hour;
mod pair;
