//! Short build records (tunnel-creation-ecies).

use bytes::BytesMut;

use crate::{Error, Reader};

/// The body of ShortTunnelBuild and OutboundTunnelBuildReply: one to eight sealed records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRecords {
    /// The records.
    pub records: Vec<[u8; Self::RECORD]>,
}

impl BuildRecords {
    /// Bytes of a record.
    pub const RECORD: usize = 218;
    /// The most records of a message.
    pub const MAX: usize = 8;

    /// The body.
    pub fn encode(&self) -> BytesMut {
        let mut out = BytesMut::with_capacity(1 + self.records.len() * Self::RECORD);
        out.extend_from_slice(&[self.records.len() as u8]);
        for record in &self.records {
            out.extend_from_slice(record);
        }
        out
    }

    /// Reads a body.
    ///
    /// # Errors
    /// Where there are no records, more than eight, or other than it says.
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(body, "build records");
        let count = usize::from(reader.u8()?);
        if count == 0 || count > Self::MAX {
            return Err(Error::Invalid("the number of build records"));
        }
        let records = (0..count).map(|_| reader.array()).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { records })
    }
}
