//! The network database, and the bundles that it begins with.

use std::sync::LazyLock;

use allium_netdb::reseed::{self as bundles, Signer};
use allium_netdb::{Action, ClientId, Config, Input, NetDb, Origin, QueryId, ReplyPath};
use allium_wire::i2np::Message;
use allium_wire::{Date, Engine, TunnelId, su3::Su3};
use bytes::BytesMut;
use rsa::{BoxedUint, Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest, Sha256};

use crate::samples::{ALICE, BOB, DATE, LEASE_SET, NET, after, edited, pieces, rng};
use crate::wire::BODIES;

/// A bundle that Java I2P signed.
pub(crate) const JAVA_BUNDLE: &[u8] = include_bytes!("../../vectors/reseed/java.su3");
const SIGNER: &str = "test@mail.i2p";

/// What other routers send to a floodfill.
pub fn netdb(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let config =
        Config { floodfill: how & 1 == 0, max_routers: 4, max_lease_sets: 4, ..Config::new(BOB.hash(), NET) };
    let mut netdb = NetDb::new(config, after(0), rng(1));
    netdb.handle(after(0), Input::PublishRouterInfo(BOB.info.clone()));
    netdb.handle(after(0), Input::Learned(ALICE.info.clone()));
    let paths = vec![ReplyPath { gateway: ALICE.hash(), tunnel: TunnelId(9) }];
    netdb.handle(after(0), Input::ReplyPaths { client: None, paths: paths.clone() });
    netdb.handle(after(0), Input::ReplyPaths { client: Some(ClientId(1)), paths });
    let find =
        Input::FindLeaseSet { destination: LEASE_SET.hash(), query: QueryId(1), client: Some(ClientId(1)) };
    netdb.handle(after(0), find);
    let (mut time, mut tags) = (0, Vec::new());
    for piece in pieces(data) {
        let Some((&[which, origin, wait], piece)) = piece.split_first_chunk() else { continue };
        time += u64::from(wait) * 50;
        let (kind, sample) = &BODIES[usize::from(which) % BODIES.len()];
        let body = BytesMut::from(&edited(sample, piece)[..]);
        let message = Message::new(*kind, u32::from(which), DATE, body);
        let tag = tags.last().copied().filter(|_| origin & 128 != 0);
        let origin = match origin % 4 {
            0 => Origin::Link(ALICE.hash()),
            1 => Origin::Garlic,
            2 => Origin::Tunnel { client: None, tag },
            _ => Origin::Tunnel { client: Some(ClientId(1)), tag },
        };
        netdb.handle(after(time), Input::Received { origin, message });
        let mut most = 1000;
        while let Some(action) = netdb.poll(after(time)) {
            if let Action::ExpectReply { key, .. } = &action {
                tags.push(key.tag);
            }
            most -= 1;
            assert!(most > 0, "one message makes no end of actions");
        }
        assert!(netdb.len() <= 8);
        let _ = netdb.deadline();
    }
    let _ = (netdb.stats(DATE), netdb.candidates(DATE).count(), netdb.floodfills(DATE).count());
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    text.trim().as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

static KEYS: LazyLock<(Signer, RsaPrivateKey)> = LazyLock::new(|| {
    let file = include_str!("../../vectors/reseed/test-signer.txt");
    let bytes = |name: &str| unhex(file.lines().find_map(|line| line.strip_prefix(name)).expect("a number"));
    let number = |name: &str| {
        let bytes = bytes(name);
        BoxedUint::from_be_slice(&bytes, bytes.len() as u32 * 8).expect("a number")
    };
    let signer = Signer::new(SIGNER, &bytes("n "), 65537).expect("a good key");
    let exponent = BoxedUint::from_be_slice(&[1, 0, 1], 32).expect("a number");
    let primes = vec![number("p "), number("q ")];
    (
        signer,
        RsaPrivateKey::from_components(number("n "), exponent, number("d "), primes).expect("a good key"),
    )
});

/// Reseed bundles: changed ones, and well signed ones whose signer keeps no rules.
pub fn reseed(data: &[u8]) {
    let date = Date(DATE.0);
    let (signer, key) = &*KEYS;
    let signers = std::slice::from_ref(signer);
    let Some((how, data)) = data.split_first() else { return };
    if how % 8 == 0 {
        assert!(
            bundles::open(&edited(JAVA_BUNDLE, data), signers, 2, date).is_err(),
            "its signer is not known"
        );
        return;
    }
    let content = edited(Su3::decode(JAVA_BUNDLE).expect("a whole file").content, data);
    let mut signed = b"I2Psu3\0\0\x00\x04\x01\x00\0\x10\0\x0d".to_vec();
    signed.extend_from_slice(&(content.len() as u64).to_be_bytes());
    signed.extend_from_slice(b"\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0");
    signed.extend_from_slice(b"1793491200\0\0\0\0\0\0");
    signed.extend_from_slice(SIGNER.as_bytes());
    signed.extend_from_slice(&content);
    let signature = key.sign(Pkcs1v15Sign::new_unprefixed(), &Sha256::digest(&signed)).expect("a signature");
    signed.extend_from_slice(&signature);
    match bundles::open(&signed, signers, 2, date) {
        Ok(bundle) => assert!(bundle.routers.len() <= bundles::MAX_FILES),
        Err(error) => {
            assert!(error == bundles::Error::BadZip || error == bundles::Error::TooLarge, "{error}")
        }
    }
}
