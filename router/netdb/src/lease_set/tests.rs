use std::time::Duration;

use allium_crypto::sign::SigningKey;
use allium_wire::DestinationKeys;
use proptest::prelude::*;

use super::*;
use crate::testing::{NOON, lease_set, rng};

const VECTORS: &str = include_str!("../../../../tests/vectors/java.json");

fn vector(name: &str) -> Bytes {
    let json: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let hex = json["lease_sets"][name].as_str().unwrap();
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    bytes.collect::<Vec<u8>>().into()
}

#[test]
fn javas_lease_sets_verify_under_their_keys() {
    let plain = LeaseSetRecord::verify(3, vector("lease_set_2")).unwrap();
    assert_eq!(plain.key[..], vector("destination_hash")[..]);
    assert!(plain.public && plain.lease_set().is_some());
    assert!(plain.check_dates(plain.published).is_ok());
    let encrypted = LeaseSetRecord::verify(5, vector("encrypted_lease_set")).unwrap();
    assert_eq!(encrypted.key[..], vector("encrypted_store_key")[..]);
    assert!(encrypted.lease_set().is_none() && encrypted.expires > encrypted.published);
}

#[test]
fn every_bit_is_signed() {
    for (kind, name) in [(3, "lease_set_2"), (5, "encrypted_lease_set")] {
        let good = vector(name);
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.to_vec();
            bad[at] ^= 0x40;
            assert!(LeaseSetRecord::verify(kind, bad.into()).is_err(), "{name} at {at}");
        }
        for other in [0, 1, 2, 3, 5, 7, 9].into_iter().filter(|other| *other != kind) {
            assert!(LeaseSetRecord::verify(other, good.clone()).is_err());
        }
        assert!(LeaseSetRecord::verify(kind, good.slice(..good.len() - 1)).is_err());
    }
}

/// A meta LeaseSet with one entry, signed by a transient key if there is one.
fn meta(keys: &DestinationKeys, transient: Option<&SigningKey>) -> Vec<u8> {
    let mut out = keys.destination().bytes().to_vec();
    out.extend_from_slice(&NOON.seconds().to_be_bytes());
    out.extend_from_slice(&3600u16.to_be_bytes());
    out.extend_from_slice(&u16::from(transient.is_some()).to_be_bytes());
    if let Some(transient) = transient {
        let mut voucher = (NOON.seconds() + 60).to_be_bytes().to_vec();
        voucher.extend_from_slice(&7u16.to_be_bytes());
        voucher.extend_from_slice(&transient.public());
        out.extend_from_slice(&voucher);
        out.extend_from_slice(&keys.signing().sign(&[&voucher]));
    }
    out.extend_from_slice(&[0, 0, 1]);
    out.extend_from_slice(&[9; 40]);
    out.push(0);
    let signature = transient.unwrap_or(keys.signing()).sign(&[&[7], &out]);
    out.extend_from_slice(&signature);
    out
}

#[test]
fn meta_lease_sets_and_offline_keys_verify() {
    let keys = DestinationKeys::generate(&mut rng(1));
    let plain = LeaseSetRecord::verify(7, meta(&keys, None).into()).unwrap();
    assert_eq!(plain.key, keys.destination().hash());
    assert_eq!(plain.expires, NOON + Duration::from_hours(1));
    assert!(plain.check_dates(NOON).is_ok(), "it may live longer than leases do");
    let transient = SigningKey::generate(&mut rng(2));
    let bytes = meta(&keys, Some(&transient));
    let offline = LeaseSetRecord::verify(7, bytes.clone().into()).unwrap();
    assert_eq!(offline.expires, NOON + Duration::from_mins(1), "no longer than its key");
    for at in (0..bytes.len()).step_by(5) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert!(LeaseSetRecord::verify(7, bad.into()).is_err(), "at {at}");
    }
}

#[test]
fn dates_are_judged() {
    let keys = DestinationKeys::generate(&mut rng(1));
    let record = LeaseSetRecord::from(&lease_set(&keys, NOON, Duration::from_mins(10), &mut rng(2)));
    let at = |minutes: i64| record.check_dates(Date(NOON.0.saturating_add_signed(minutes * 60_000)));
    assert!(at(0).is_ok() && at(9).is_ok() && at(-2).is_ok());
    assert_eq!(at(10), Err(Error::Stale("LeaseSet expired")));
    assert_eq!(at(-3), Err(Error::Stale("LeaseSet from the future")));
    let long = LeaseSetRecord::from(&lease_set(&keys, NOON, Duration::from_mins(20), &mut rng(2)));
    assert!(long.check_dates(NOON).is_err());
}

proptest! {
    #[test]
    fn no_bytes_do_harm(kind: u8, bytes: Vec<u8>, tail: Vec<u8>) {
        prop_assert!(LeaseSetRecord::verify(kind, bytes.into()).is_err());
        let keys = DestinationKeys::generate(&mut rng(1));
        let mut long = keys.destination().bytes().to_vec();
        long.extend_from_slice(&tail);
        for kind in [1, 3, 5, 7] {
            prop_assert!(LeaseSetRecord::verify(kind, long.clone().into()).is_err());
        }
    }
}
