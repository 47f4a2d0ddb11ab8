//! SU3 files: signed updates, reseed bundles among them (updates, "SU3 File Specification").

use crate::{Error, Reader};

/// The file type of a zip archive.
pub const FILE_ZIP: u8 = 0;
/// The content type of a reseed bundle.
pub const CONTENT_RESEED: u8 = 3;

const MAGIC: &[u8; 6] = b"I2Psu3";

/// A file, cut into its parts. Nothing of it is checked but its lengths.
#[derive(Clone, Debug)]
pub struct Su3<'a> {
    /// The number of the signature's type; 6 is RSA-4096 with SHA-512.
    pub signature_type: u16,
    /// The version of what is inside: a time, or a number.
    pub version: String,
    /// Who signed, such as `name@mail.i2p`.
    pub signer: String,
    /// What kind of file the content is.
    pub file_type: u8,
    /// What the content is for.
    pub content_type: u8,
    /// The content.
    pub content: &'a [u8],
    /// What is signed: all before the signature.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> Su3<'a> {
    /// Cuts a file.
    ///
    /// # Errors
    /// Where it is no SU3 file, cut short, or goes on after its end.
    pub fn decode(file: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::of(file, "an SU3 file");
        if &reader.array::<6>()? != MAGIC {
            return Err(Error::Invalid("an SU3 file's magic number"));
        }
        reader.u8()?;
        if reader.u8()? != 0 {
            return Err(Error::Unsupported("an SU3 file's format"));
        }
        let signature_type = reader.u16()?;
        let signature_len = usize::from(reader.u16()?);
        reader.u8()?;
        let version_len = usize::from(reader.u8()?);
        reader.u8()?;
        let signer_len = usize::from(reader.u8()?);
        let content_len = usize::try_from(reader.u64()?).map_err(|_| Error::TooLong("an SU3 file"))?;
        reader.u8()?;
        let file_type = reader.u8()?;
        reader.u8()?;
        let content_type = reader.u8()?;
        reader.take(12)?;
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
        };
        let version = text(reader.take(version_len)?);
        let signer = text(reader.take(signer_len)?);
        let content = reader.take(content_len)?;
        let signature = reader.take(signature_len)?;
        reader.finish()?;
        let signed = file.get(..file.len() - signature_len).ok_or(Error::Truncated("an SU3 file"))?;
        Ok(Self { signature_type, version, signer, file_type, content_type, content, signed, signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(content: &[u8]) -> Vec<u8> {
        let mut out = b"I2Psu3\0\0\0\x06\0\x04\0\x10\0\x03".to_vec();
        out.extend_from_slice(&(content.len() as u64).to_be_bytes());
        out.extend_from_slice(&[0, 0, 0, 3]);
        out.extend_from_slice(&[0; 12]);
        out.extend_from_slice(b"1700000000\0\0\0\0\0\0a@b");
        out.extend_from_slice(content);
        out.extend_from_slice(b"sign");
        out
    }

    #[test]
    fn a_file_is_cut_where_it_says() {
        let bytes = file(b"zip");
        let su3 = Su3::decode(&bytes).unwrap();
        assert_eq!((su3.signature_type, su3.content_type, su3.file_type), (6, 3, 0));
        assert_eq!((su3.version.as_str(), su3.signer.as_str()), ("1700000000", "a@b"));
        assert_eq!((su3.content, su3.signature), (&b"zip"[..], &b"sign"[..]));
        assert_eq!(su3.signed.len() + 4, bytes.len());
        for length in 0..bytes.len() {
            assert!(Su3::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Su3::decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes: Vec<u8>, real: bool) {
            if real {
                bytes.splice(0..0, file(b"")[..20].iter().copied());
            }
            let _ = Su3::decode(&bytes);
        }
    }
}
