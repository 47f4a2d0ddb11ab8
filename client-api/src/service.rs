//! Services: a program of this machine, offered as a destination. Tunnels: a destination, offered as a local port.

mod client;
mod server;

pub(crate) use client::Tunnel;
pub(crate) use server::Service;

#[cfg(test)]
mod tests;
