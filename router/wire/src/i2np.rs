//! I2NP messages: what routers send each other (i2np).

mod build;
mod database;
mod message;

pub use build::BuildRecords;
pub use database::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, LookupKind, ReplyKey, StoreData, StoreReply,
};
pub use message::{
    DeliveryStatus, Kind, Message, SHORT_HEADER, STANDARD_HEADER, TunnelGateway, data, data_payload, garlic,
    garlic_payload, tunnel_id,
};

/// The most bytes of a message's body.
pub const MAX: usize = 62_708;

#[cfg(test)]
mod tests;
