//! What the fuzz targets do: one function each, by the name of its target.
//!
//! A decoder of signed or sealed bytes is out of reach of random ones. So most targets begin with a valid sample, or
//! seal what the fuzzer made as a hostile peer could.

mod client;
mod content;
mod garlic;
mod link;
mod netdb;
mod samples;
mod store;
mod stream;
mod tunnel;
mod wire;

pub use client::{config, fcp, socks};
pub use content::{content_block, content_manifest, content_tree, content_uri};
pub use garlic::{garlic_sessions, one_time_tags, router_garlic};
pub use link::{ntcp2_frames, ntcp2_handshake};
pub use netdb::{netdb, reseed};
pub use store::{store_client, store_node, store_wire};
pub use stream::stream_host;
pub use tunnel::{build_answer, build_reply, inbound_tunnel, outbound_endpoint};
pub use wire::{
    datagram, garlic_blocks, i2np_bodies, i2np_message, identity, lease_set, mapping, payload, router_info,
    streaming_packet, su3, text, tunnel_content,
};
