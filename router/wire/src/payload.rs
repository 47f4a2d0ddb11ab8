//! The gzip wrapper around everything a destination sends: its header carries ports and protocol (I2CP overview).

use std::io::Read;

use bytes::{Buf, Bytes};
use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::Error;

/// The most bytes of a payload, unwrapped.
pub const MAX: usize = 65_536;
/// Bytes around the data where one stored block holds it all.
pub const OVERHEAD: usize = HEADER + STORED + TRAILER;

const HEADER: usize = 10;
const STORED: usize = 5;
const TRAILER: usize = 8;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A streaming packet (6).
    Streaming,
    /// A repliable datagram (17).
    Datagram,
    /// A raw datagram (18).
    Raw,
    /// A repliable datagram bound to its receiver (19).
    Datagram2,
    /// A datagram with an unproven sender (20).
    Datagram3,
    /// Anything else.
    Other(u8),
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        match number {
            6 => Self::Streaming,
            17 => Self::Datagram,
            18 => Self::Raw,
            19 => Self::Datagram2,
            20 => Self::Datagram3,
            other => Self::Other(other),
        }
    }
}

impl From<Protocol> for u8 {
    fn from(protocol: Protocol) -> u8 {
        match protocol {
            Protocol::Streaming => 6,
            Protocol::Datagram => 17,
            Protocol::Raw => 18,
            Protocol::Datagram2 => 19,
            Protocol::Datagram3 => 20,
            Protocol::Other(number) => number,
        }
    }
}

/// A payload out of its wrapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwrapped {
    /// What it is.
    pub protocol: Protocol,
    /// The sender's port; 0 where it has none.
    pub from_port: u16,
    /// The receiver's port; 0 where it has none.
    pub to_port: u16,
    /// The data.
    pub data: Bytes,
}

/// Wraps data (at most 65,535 bytes) in one stored block: nothing worth compressing gets here, and it must be quick.
///
/// # Errors
/// [`Error::TooLong`].
pub fn wrap(protocol: Protocol, from_port: u16, to_port: u16, data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(OVERHEAD + data.len());
    wrap_into(&mut out, protocol, from_port, to_port, data)?;
    Ok(out)
}

/// Appends what [`wrap`] gives.
///
/// # Errors
/// [`Error::TooLong`]; nothing is appended then.
pub fn wrap_into(
    out: &mut Vec<u8>,
    protocol: Protocol,
    from_port: u16,
    to_port: u16,
    data: &[u8],
) -> Result<(), Error> {
    let length = u16::try_from(data.len()).map_err(|_| Error::TooLong("a payload"))?;
    let [from_high, from_low] = from_port.to_be_bytes();
    let [to_high, to_low] = to_port.to_be_bytes();
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, from_high, from_low, to_high, to_low, 2, protocol.into()]);
    out.push(1); // the last block, stored
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(data);
    let mut crc = Crc::new();
    crc.update(data);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&u32::from(length).to_le_bytes());
    Ok(())
}

/// Unwraps a payload. Data in one stored block are not copied.
///
/// # Errors
/// Where it is no gzip of one member without extras, its checksum or length is wrong, or it holds more than 64 KiB.
pub fn unwrap(mut wrapped: Bytes) -> Result<Unwrapped, Error> {
    const NOT_GZIP: Error = Error::Invalid("a payload's gzip");
    let header: [u8; HEADER] = *wrapped.first_chunk().ok_or(Error::Truncated("a payload"))?;
    let [0x1f, 0x8b, 8, 0, from_high, from_low, to_high, to_low, _, protocol] = header else {
        return Err(NOT_GZIP);
    };
    let trailer_at = wrapped.len().checked_sub(TRAILER).filter(|at| *at >= HEADER).ok_or(NOT_GZIP)?;
    let mut trailer = wrapped.split_off(trailer_at);
    let (sum, size) = (trailer.get_u32_le(), trailer.get_u32_le());
    wrapped.advance(HEADER);
    let data = match stored(&wrapped) {
        Some(length) => wrapped.slice(STORED..STORED + length),
        None => inflate(&wrapped)?,
    };
    let mut crc = Crc::new();
    crc.update(&data);
    if data.len() as u32 != size || crc.sum() != sum {
        return Err(Error::Invalid("a payload's checksum"));
    }
    Ok(Unwrapped {
        protocol: protocol.into(),
        from_port: u16::from_be_bytes([from_high, from_low]),
        to_port: u16::from_be_bytes([to_high, to_low]),
        data,
    })
}

/// The length of the data where they are all of one last, stored block.
fn stored(deflated: &[u8]) -> Option<usize> {
    let [1, low, high, not_low, not_high] = *deflated.first_chunk::<STORED>()? else { return None };
    let length = u16::from_le_bytes([low, high]);
    let whole = deflated.len() == STORED + usize::from(length);
    (length == !u16::from_le_bytes([not_low, not_high]) && whole).then_some(usize::from(length))
}

fn inflate(deflated: &[u8]) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity((deflated.len() * 2).min(MAX));
    let limit = MAX as u64 + 1;
    DeflateDecoder::new(deflated)
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|_| Error::Invalid("a payload's deflated data"))?;
    if out.len() as u64 == limit { Err(Error::TooLong("a payload")) } else { Ok(out.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trips(data: Vec<u8>, from: u16, to: u16, protocol: u8) {
            let wrapped = wrap(protocol.into(), from, to, &data).unwrap();
            let back = unwrap(wrapped.clone().into()).unwrap();
            prop_assert_eq!(u8::from(back.protocol), protocol);
            prop_assert_eq!((back.from_port, back.to_port, &back.data[..]), (from, to, &data[..]));
            // Any gzip reader must agree.
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&wrapped[..]).read_to_end(&mut plain).unwrap();
            prop_assert_eq!(plain, data);
        }

        #[test]
        fn never_panics(mut bytes: Vec<u8>, real: bool) {
            if real {
                bytes.splice(0..0, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 6]);
            }
            let _ = unwrap(bytes.into());
        }

        #[test]
        fn compressed_payloads_are_read(text in "[ab]{0,3000}") {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gzip.write_all(text.as_bytes()).unwrap();
            let mut wrapped = gzip.finish().unwrap();
            wrapped[9] = 18;
            prop_assert_eq!(&unwrap(wrapped.into()).unwrap().data[..], text.as_bytes());
        }
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let good = wrap(Protocol::Streaming, 1, 2, b"data").unwrap();
        for at in [0, 1, 2, 3, 10, 11, 15, 19, 20, 23, 26] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(unwrap(bad.into()).is_err(), "byte {at}");
        }
        for length in 0..good.len() {
            assert!(unwrap(good[..length].to_vec().into()).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; 10 << 20]).unwrap();
        assert_eq!(unwrap(gzip.finish().unwrap().into()), Err(Error::TooLong("a payload")));
    }
}
