//! Reseed bundles: signed zip files of RouterInfos, from which a new router learns its first peers.
//!
//! A bundle is an SU3 file of content type 3 (<https://geti2p.net/spec/updates#su3-file-specification>). Its
//! signature is RSA with PKCS#1 v1.5 padding over the bare digest, without the usual `DigestInfo`. A bundle
//! counts only by the RouterInfos in it that are good: signed, of this network, and recent.

use std::io::{Cursor, Read};
use std::time::Duration;

use allium_crypto::hash::sha512_of;
use allium_wire::{Date, RouterInfo, su3};
use bytes::Bytes;
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPublicKey};
use sha2::{Digest, Sha256, Sha384};

use crate::limits::MAX_FUTURE;

/// The largest bundle that is read, bytes.
pub const MAX_BUNDLE: usize = 1 << 20;
/// The most files of a bundle that are looked at.
pub const MAX_FILES: usize = 500;
/// RouterInfos published longer ago do not count: a bundle full of them is stale.
pub const MAX_AGE: Duration = Duration::from_hours(72);

/// Where bundles are served: `https://…/`, to which `i2pseeds.su3?netid=2` is added.
pub const SERVERS: [&str; 11] = [
    "https://reseed2.i2p.net/",
    "https://reseed.diva.exchange/",
    "https://reseed-fr.i2pd.xyz/",
    "https://reseed.onion.im/",
    "https://i2pseed.creativecowpat.net:8443/",
    "https://reseed.i2pgit.org/",
    "https://coconut.incognet.io/",
    "https://reseed-pl.i2pd.xyz/",
    "https://www2.mk16.de/",
    "https://i2p.novg.net/",
    "https://reseed.stormycloud.org/",
];

/// The path and query to add to a server of [`SERVERS`], for the network with this id.
pub fn request(net_id: u8) -> String {
    format!("i2pseeds.su3?netid={net_id}")
}

/// The header to send: servers answer only clients that look like the ones they know.
pub const USER_AGENT: &str = "Wget/1.11.4";

/// Why a bundle was not used. All but [`Error::UnknownSigner`] are the server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no SU3 file.
    #[error("the bundle is malformed: {0}")]
    Malformed(#[from] allium_wire::Error),
    /// It is larger than [`MAX_BUNDLE`].
    #[error("the bundle is too large")]
    TooLarge,
    /// It is an SU3 file of another content type or file type.
    #[error("the file is no reseed bundle")]
    NotReseed,
    /// Nobody among the known signers has its signer's id.
    #[error("the bundle's signer is not known")]
    UnknownSigner,
    /// The signature type is none of the RSA ones, or does not fit the signer's key.
    #[error("the bundle's signature type is not supported")]
    UnsupportedSignature,
    /// The signature does not verify.
    #[error("the bundle's signature is wrong")]
    BadSignature,
    /// The zip file inside does not unpack.
    #[error("the bundle's zip file is broken")]
    BadZip,
}

/// A signer of bundles: an id like `someone@mail.i2p` and an RSA key of 2048 bits or more.
#[derive(Clone)]
pub struct Signer {
    id: String,
    key: RsaPublicKey,
    size: usize,
}

/// What a bundle held.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The good RouterInfos.
    pub routers: Vec<RouterInfo>,
    /// Files that are no RouterInfo, or a badly signed one.
    pub invalid: usize,
    /// RouterInfos of another network.
    pub foreign: usize,
    /// RouterInfos published too long ago, or in the future.
    pub stale: usize,
}

impl Signer {
    /// A signer with a big-endian modulus and exponent; `None` for keys under 2048 bits and impossible ones.
    pub fn new(id: impl Into<String>, modulus: &[u8], exponent: u32) -> Option<Self> {
        let leading = modulus.iter().take_while(|byte| **byte == 0).count();
        let modulus = modulus.get(leading..)?;
        let size = modulus.len();
        let key = RsaPublicKey::new(
            BoxedUint::from_be_slice(modulus, u32::try_from(size * 8).ok()?).ok()?,
            BoxedUint::from_be_slice(&exponent.to_be_bytes(), 32).ok()?,
        );
        (size >= 256).then_some(Self { id: id.into(), key: key.ok()?, size })
    }

    /// The id that bundles name.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The signers whose certificates routers ship.
pub fn signers() -> Vec<Signer> {
    let lines = include_str!("signers.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (id, _until, modulus) = (words.next()?, words.next()?, words.next()?);
            Signer::new(id, &unhex(modulus)?, 65537)
        })
        .collect()
}

/// Checks and unpacks a bundle (at most [`MAX_BUNDLE`] bytes). A bundle without a single good RouterInfo is
/// not an error: its counts say so.
pub fn open(bundle: &[u8], signers: &[Signer], net_id: u8, now: Date) -> Result<Bundle, Error> {
    if bundle.len() > MAX_BUNDLE {
        return Err(Error::TooLarge);
    }
    let file = su3::Su3::decode(bundle)?;
    if file.content_type != su3::CONTENT_RESEED || file.file_type != su3::FILE_ZIP {
        return Err(Error::NotReseed);
    }
    let signer = signers.iter().find(|signer| signer.id == file.signer).ok_or(Error::UnknownSigner)?;
    check_signature(signer, file.signature_type, file.signed, file.signature)?;
    unpack(file.content, net_id, now)
}

/// Checks an SU3 signature of one of the RSA types over `signed`; the whole padding is compared.
fn check_signature(signer: &Signer, kind: u16, signed: &[u8], signature: &[u8]) -> Result<(), Error> {
    let digest = match kind {
        4 => Sha256::digest(signed).to_vec(),
        5 => Sha384::digest(signed).to_vec(),
        6 => sha512_of(&[signed]).to_vec(),
        _ => return Err(Error::UnsupportedSignature),
    };
    if signature.len() != signer.size {
        return Err(Error::UnsupportedSignature);
    }
    let verified = signer.key.verify(Pkcs1v15Sign::new_unprefixed(), &digest, signature);
    verified.map_err(|_| Error::BadSignature)
}

fn unpack(zip: &[u8], net_id: u8, now: Date) -> Result<Bundle, Error> {
    let mut archive = zip::ZipArchive::new(Cursor::new(zip)).map_err(|_| Error::BadZip)?;
    let mut bundle = Bundle::default();
    for index in 0..archive.len().min(MAX_FILES) {
        let mut bytes = Vec::new();
        let read = archive.by_index(index).map_err(|_| ()).and_then(|file| {
            // One byte more than allowed shows that the file is too long.
            file.take(RouterInfo::MAX as u64 + 1).read_to_end(&mut bytes).map_err(|_| ())
        });
        match read.ok().and_then(|_| read_router_info_file(&bytes)) {
            Some(router) if router.net_id() != Some(net_id) => bundle.foreign += 1,
            Some(router) if router.published() + MAX_AGE < now || router.published() > now + MAX_FUTURE => {
                bundle.stale += 1;
            }
            Some(router) => bundle.routers.push(router),
            None => bundle.invalid += 1,
        }
    }
    Ok(bundle)
}

/// The RouterInfo in the bytes of a `routerInfo-….dat` file, if it is one and well signed.
pub fn read_router_info_file(bytes: &[u8]) -> Option<RouterInfo> {
    if bytes.len() > RouterInfo::MAX {
        return None;
    }
    RouterInfo::decode(Bytes::copy_from_slice(bytes)).ok()?.verify().ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some((digit(pair.first()?)? * 16 + digit(pair.last()?)?) as u8))
        .collect()
}

#[cfg(test)]
mod tests;
