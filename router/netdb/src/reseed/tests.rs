use std::io::Write;

use allium_wire::RouterKeys;
use proptest::prelude::*;
use rsa::RsaPrivateKey;
use zip::write::SimpleFileOptions;

use super::*;
use crate::testing::{NET, NOON, Says, rng};

const JAVA: &[u8] = include_bytes!("../../../../tests/vectors/reseed/java.su3");
const JAVA_MODULUS: &str = include_str!("../../../../tests/vectors/reseed/java-signer.txt");
const TEST_SIGNER: &str = include_str!("../../../../tests/vectors/reseed/test-signer.txt");
/// When the routers in Java's bundle were published.
const JAVA_DATE: Date = Date(1_793_491_200_000);
const SIGNER: &str = "test@mail.i2p";

fn java_signer() -> Signer {
    Signer::new("vector@mail.i2p", &unhex(JAVA_MODULUS.trim()).unwrap(), 65537).unwrap()
}

/// A number of the test signer's key: n, d, p or q.
fn number(name: &str) -> BoxedUint {
    let line = TEST_SIGNER.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    let bytes = unhex(line).unwrap();
    BoxedUint::from_be_slice(&bytes, bytes.len() as u32 * 8).unwrap()
}

fn signer() -> (Signer, RsaPrivateKey) {
    let public = Signer::new(SIGNER, &number("n").to_be_bytes(), 65537).unwrap();
    let exponent = BoxedUint::from_be_slice(&[1, 0, 1], 32).unwrap();
    let primes = vec![number("p"), number("q")];
    (public, RsaPrivateKey::from_components(number("n"), exponent, number("d"), primes).unwrap())
}

fn zip_of(files: &[Vec<u8>]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (index, bytes) in files.iter().enumerate() {
        zip.start_file(format!("routerInfo-{index}.dat"), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An SU3 file around the content, signed as `sign` does (signature type 4: RSA-2048, SHA-256).
fn su3(content: &[u8], types: [u8; 2], sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = b"I2Psu3\0\0\0\x04\x01\0\0\x10\0".to_vec();
    out.push(SIGNER.len() as u8);
    out.extend_from_slice(&(content.len() as u64).to_be_bytes());
    out.extend_from_slice(&[0, types[0], 0, types[1]]);
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(b"1795435200\0\0\0\0\0\0");
    out.extend_from_slice(SIGNER.as_bytes());
    out.extend_from_slice(content);
    let signature = sign(&out);
    out.extend_from_slice(&signature);
    out
}

fn signed(content: &[u8]) -> Vec<u8> {
    let (_, key) = signer();
    su3(content, [0, 3], |bytes| key.sign(Pkcs1v15Sign::new_unprefixed(), &Sha256::digest(bytes)).unwrap())
}

fn router(says: &Says, seed: u8) -> Vec<u8> {
    says.sign(&RouterKeys::generate(&mut rng(seed))).bytes().to_vec()
}

#[test]
fn a_bundle_made_by_java_opens() {
    let bundle = open(JAVA, &[java_signer()], 2, JAVA_DATE).unwrap();
    let counts = (bundle.routers.len(), bundle.invalid, bundle.foreign, bundle.stale);
    assert_eq!(counts, (3, 1, 1, 1));
    assert_eq!(bundle.routers.iter().filter(|router| router.caps().floodfill).count(), 1);
    assert!(bundle.routers.iter().all(|router| router.ntcp2().count() == 1));
    // Every part is signed.
    for at in (0..JAVA.len()).step_by(101) {
        let mut bad = JAVA.to_vec();
        bad[at] ^= 1;
        assert!(open(&bad, &[java_signer()], 2, JAVA_DATE).is_err(), "at {at}");
    }
    assert_eq!(open(JAVA, &signers(), 2, JAVA_DATE).unwrap_err(), Error::UnknownSigner);
    let impostor = Signer { id: "vector@mail.i2p".into(), ..signers()[0].clone() };
    assert_eq!(open(JAVA, &[impostor], 2, JAVA_DATE).unwrap_err(), Error::BadSignature);
    let late = open(JAVA, &[java_signer()], 2, JAVA_DATE + Duration::from_hours(100)).unwrap();
    assert_eq!((late.routers.len(), late.stale), (0, 4), "an old bundle counts for nothing");
}

#[test]
fn the_whole_padding_is_checked() {
    let (public, key) = signer();
    let content = zip_of(&[router(&Says::router(NOON), 1)]);
    let good = signed(&content);
    assert_eq!(open(&good, std::slice::from_ref(&public), NET, NOON).unwrap().routers.len(), 1);
    // A digest in a DigestInfo is what other formats sign; here it is another message.
    let info = [0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20];
    let prefixed = su3(&content, [0, 3], |bytes| {
        let message: Vec<u8> = info.into_iter().chain(Sha256::digest(bytes)).collect();
        key.sign(Pkcs1v15Sign::new_unprefixed(), &message).unwrap()
    });
    assert_eq!(open(&prefixed, std::slice::from_ref(&public), NET, NOON).unwrap_err(), Error::BadSignature);
    // Right at the end, wrong before: what a check of the last bytes alone would take.
    let garbage = su3(&content, [0, 3], |bytes| {
        let message: Vec<u8> = [7; 40].into_iter().chain(Sha256::digest(bytes)).collect();
        key.sign(Pkcs1v15Sign::new_unprefixed(), &message).unwrap()
    });
    assert_eq!(open(&garbage, std::slice::from_ref(&public), NET, NOON).unwrap_err(), Error::BadSignature);
    let zeros = su3(&content, [0, 3], |_| vec![0; 256]);
    assert_eq!(open(&zeros, std::slice::from_ref(&public), NET, NOON).unwrap_err(), Error::BadSignature);
    let mut dsa = good.clone();
    dsa[9] = 0;
    assert_eq!(open(&dsa, &[public], NET, NOON).unwrap_err(), Error::UnsupportedSignature);
}

#[test]
fn other_files_are_no_bundles() {
    let (public, key) = signer();
    let content = zip_of(&[router(&Says::router(NOON), 1)]);
    for types in [[0, 1], [1, 3], [0, 0]] {
        let sign = |bytes: &[u8]| key.sign(Pkcs1v15Sign::new_unprefixed(), &Sha256::digest(bytes)).unwrap();
        let file = su3(&content, types, sign);
        assert_eq!(open(&file, std::slice::from_ref(&public), NET, NOON).unwrap_err(), Error::NotReseed);
    }
    assert_eq!(
        open(&signed(b"no zip"), std::slice::from_ref(&public), NET, NOON).unwrap_err(),
        Error::BadZip
    );
    assert!(matches!(open(b"", std::slice::from_ref(&public), NET, NOON), Err(Error::Malformed(_))));
    assert_eq!(open(&vec![0; MAX_BUNDLE + 1], &[public], NET, NOON).unwrap_err(), Error::TooLarge);
}

#[test]
fn only_good_routers_count_and_sizes_are_bounded() {
    let (public, _) = signer();
    let good = router(&Says::router(NOON), 1);
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let long: Vec<u8> = good.iter().copied().chain(std::iter::repeat_n(0, 100_000)).collect();
    let files = [
        good.clone(),
        broken,
        long,
        Vec::new(),
        router(&Says { net: 2, ..Says::router(NOON) }, 2),
        router(&Says::router(NOON + Duration::from_mins(5)), 3),
        router(&Says::router(NOON - Duration::from_hours(80)), 4),
    ];
    let bundle = open(&signed(&zip_of(&files)), std::slice::from_ref(&public), NET, NOON).unwrap();
    assert_eq!((bundle.routers.len(), bundle.invalid, bundle.foreign, bundle.stale), (1, 3, 1, 2));
    let many = vec![b"x".to_vec(); 700];
    let bundle = open(&signed(&zip_of(&many)), std::slice::from_ref(&public), NET, NOON).unwrap();
    assert_eq!(bundle.invalid, MAX_FILES);
    // A bomb is not inflated.
    let bomb = zip_of(&[vec![0; 50 << 20]]);
    assert!(bomb.len() < 100_000);
    assert_eq!(open(&signed(&bomb), &[public], NET, NOON).unwrap().invalid, 1);
    assert!(read_router_info_file(&good).is_some());
}

#[test]
fn the_signers_are_readable() {
    let signers = signers();
    assert_eq!(signers.len(), 12);
    assert!(signers.iter().all(|signer| signer.size == 512 && signer.id().contains('@')));
    assert!(Signer::new("short", &[0xff; 128], 65537).is_none());
    assert!(Signer::new("none", &[], 65537).is_none());
    assert_eq!(request(2), "i2pseeds.su3?netid=2");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_zip_does_harm(mut zip in Just(zip_of(&[vec![1; 50], vec![2; 50]])), at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let at = at.index(zip.len());
        zip[at] = byte;
        zip.truncate(cut.index(zip.len()) + 1);
        let _ = unpack(&zip, NET, NOON);
    }
}
