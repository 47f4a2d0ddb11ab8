//! Formats of key-addressed content: URIs, blocks, trees, manifests and signed blocks, without input and output.
//!
//! Content is cut into blocks of 32 KiB, each encrypted under a key that only the URI leads to, and named by the
//! BLAKE3 hash of what was encrypted: who stores a block can check that it is the one that its name asks for, and
//! can neither read nor describe it. docs/content.md has the formats byte by byte ("Protocol: formats").
//!
//! - [`uri`]: the four kinds of keys and their text (`allium:CHK@…`, `SSK@…`, `USK@…`, `KSK@…`);
//! - [`block`]: what nodes store: content blocks, and signed blocks ([`signed`]) that point to content by name;
//! - [`tree`]: content of any length as blocks with erasure coding, written and read as a stream, any range;
//! - [`manifest`]: folders; [`media`]: content types;
//! - [`usk`]: the search for the newest edition.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod base64;
pub mod block;
mod codec;
mod keys;
pub mod manifest;
pub mod media;
mod name;
pub mod signed;
pub mod tree;
pub mod uri;
pub mod usk;

pub use block::Key;
pub use keys::{Chk, CryptoKey, OwnerKey, RootKind, Secrecy, SskKey};
pub use media::MediaType;
pub use name::{Name, NameError, Path};
