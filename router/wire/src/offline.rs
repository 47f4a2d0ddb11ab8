//! Offline signatures: a transient key that signs for a destination for a while (common structures,
//! "OfflineSignature").

use std::ops::Range;

use allium_crypto::sign::{self, SignatureType};

use crate::{Date, Destination, Error, Reader};

/// Bytes of a statement before the key: expiry and type.
const BEFORE_KEY: usize = 6;

/// A transient key, the destination's word for it, and where in a structure's bytes both are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transient {
    expires: Date,
    kind: SignatureType,
    /// Expiry, type and key.
    statement: Range<usize>,
    /// The destination's signature of the statement.
    voucher: Range<usize>,
}

impl Transient {
    /// Takes one off a reader that ends `end` bytes after its structure begins. `signer` is the type of the
    /// destination's own signatures.
    ///
    /// # Errors
    /// [`Error::Truncated`]; [`Error::Unsupported`] where the transient key's type is unknown here.
    pub(crate) fn decode(reader: &mut Reader<'_>, end: usize, signer: SignatureType) -> Result<Self, Error> {
        let start = end - reader.remaining();
        let expires = Date::from_seconds(u64::from(reader.u32()?));
        let kind = SignatureType::try_from(reader.u16()?)
            .map_err(|_| Error::Unsupported("a transient key's type"))?;
        reader.take(kind.public_len())?;
        let middle = end - reader.remaining();
        reader.take(signer.signature_len())?;
        Ok(Self { expires, kind, statement: start..middle, voucher: middle..end - reader.remaining() })
    }

    /// When the key ends.
    pub(crate) fn expires(&self) -> Date {
        self.expires
    }

    /// The type of the key's signatures.
    pub(crate) fn kind(&self) -> SignatureType {
        self.kind
    }

    /// Checks that `signer` vouches for the key, and that the key signed the parts, one after the other. `bytes` are
    /// those of the whole structure. Says nothing of the key's expiry.
    ///
    /// # Errors
    /// [`Error::Signature`] where one of them does not verify, [`Error::Unsupported`] where a type is unknown here.
    pub(crate) fn verify(
        &self,
        bytes: &[u8],
        signer: &Destination,
        parts: &[&[u8]],
        signature: &[u8],
    ) -> Result<(), Error> {
        const CUT: Error = Error::Truncated("an offline signature");
        let statement = bytes.get(self.statement.clone()).ok_or(CUT)?;
        let voucher = bytes.get(self.voucher.clone()).ok_or(CUT)?;
        signer.verify(&[statement], voucher)?;
        let key = statement.get(BEFORE_KEY..).ok_or(CUT)?;
        sign::verify(self.kind, key, parts, signature).map_err(|error| match error {
            allium_crypto::Error::UnsupportedSignature(_) => Error::Unsupported("a transient key's type"),
            _ => Error::Signature("an offline signature"),
        })
    }
}
