//! Things that are not to be used before their signature was checked.

use crate::Error;

/// A `T` whose signature nobody has checked yet.
#[derive(Clone, Debug)]
pub struct Signed<T>(T);

/// A structure that carries its own signature.
pub(crate) trait SelfSigned {
    /// Checks the signature against the signer's key within.
    fn check(&self) -> Result<(), Error>;
}

#[expect(private_bounds, reason = "which structures sign themselves is this crate's to say")]
impl<T: SelfSigned> Signed<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self(inner)
    }

    /// Checks the signature and gives the thing.
    ///
    /// # Errors
    /// [`Error::Signature`] where it does not verify, [`Error::Unsupported`] where its type is unknown here.
    pub fn verify(self) -> Result<T, Error> {
        self.0.check()?;
        Ok(self.0)
    }

    /// The thing as it claims to be: good for cheap refusals (too old, too large), for nothing else.
    pub fn unverified(&self) -> &T {
        &self.0
    }
}
