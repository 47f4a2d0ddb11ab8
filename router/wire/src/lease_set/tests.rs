use allium_crypto::Rng;
use allium_crypto::sign::SigningKey;
use allium_crypto::x25519::StaticSecret;
use proptest::prelude::*;

use super::*;
use crate::vectors::{hex, java};

#[test]
fn java_signs_what_we_sign() {
    let part = &java()["lease_sets"];
    let keys = DestinationKeys::decode(&hex(part, "destination_key_file")).unwrap();
    let theirs = hex(part, "lease_set_2");
    let set = LeaseSet2::decode(theirs.clone().into()).unwrap().verify().unwrap();
    assert_eq!(set.hash().as_bytes().to_vec(), hex(part, "destination_hash"));
    assert_eq!(set.leases().len(), 3);
    let secret = StaticSecret::from_bytes(hex(part, "encryption_private").try_into().unwrap());
    assert_eq!(set.x25519(), Some(secret.public()));
    let ours = LeaseSet2::sign(&keys, &secret.public(), set.published(), set.leases());
    // The same leases; Java's set may live a few seconds longer than its last lease.
    assert_eq!(ours.leases(), set.leases());
    assert_eq!(ours.bytes().len(), theirs.len());
    assert_eq!(LeaseSet2::decode(ours.bytes().clone()).unwrap().verify().unwrap(), ours);
}

fn sample(leases: usize) -> LeaseSet2 {
    let mut rng = Rng::from_seed([6; 32]);
    let keys = DestinationKeys::generate(&mut rng);
    let published = Date::from_seconds(1_795_392_000);
    let leases: Vec<Lease> = (0..leases)
        .map(|n| Lease {
            gateway: RouterHash(rng.array()),
            tunnel: TunnelId(rng.u32()),
            expires: published + std::time::Duration::from_secs(500 + n as u64),
        })
        .collect();
    LeaseSet2::sign(&keys, &PublicKey(rng.array()), published, &leases)
}

#[test]
fn a_set_expires_with_its_last_lease_and_holds_sixteen() {
    let set = sample(20);
    assert_eq!(set.leases().len(), 16);
    assert_eq!(set.expires(), set.leases()[15].expires);
    let read = LeaseSet::decode_verified(3, set.bytes().clone()).unwrap();
    assert_eq!((read.store_type(), read.hash(), read.expires()), (3, set.hash(), set.expires()));
    assert!(LeaseSet::decode_verified(5, set.bytes().clone()).is_err());
}

#[test]
fn no_byte_can_be_changed() {
    let set = sample(2);
    for at in 0..set.bytes().len() {
        let mut bytes = set.bytes().to_vec();
        bytes[at] ^= 1;
        assert!(LeaseSet2::decode(bytes.into()).and_then(Signed::verify).is_err(), "byte {at}");
    }
    for length in 0..set.bytes().len() {
        assert!(LeaseSet2::decode(set.bytes().slice(..length)).is_err(), "length {length}");
    }
}

/// A set signed by a transient key that the destination vouches for.
fn offline(expires: u32, vouched: bool) -> Bytes {
    let mut rng = Rng::from_seed([7; 32]);
    let keys = DestinationKeys::generate(&mut rng);
    let transient = SigningKey::generate(&mut rng);
    let mut statement = expires.to_be_bytes().to_vec();
    statement.extend_from_slice(&[0, 7]);
    statement.extend_from_slice(&transient.public());
    let voucher = keys.signing().sign(&[&statement, if vouched { &[] } else { b"x" }]);
    let mut out = keys.destination().bytes().to_vec();
    out.extend_from_slice(&1_795_392_000u32.to_be_bytes());
    out.extend_from_slice(&[2, 0, 0, 1]);
    out.extend_from_slice(&statement);
    out.extend_from_slice(&voucher);
    out.extend_from_slice(&[0, 0, 0, 0]);
    let signature = transient.sign(&[&[3], &out]);
    out.extend_from_slice(&signature);
    out.into()
}

#[test]
fn a_transient_key_signs_only_while_vouched_for() {
    let check = |bytes| LeaseSet2::decode(bytes).unwrap().verify().map(|_| ());
    assert_eq!(check(offline(1_795_400_000, true)), Ok(()));
    assert!(check(offline(1_795_391_999, true)).is_err());
    assert_eq!(check(offline(1_795_400_000, false)), Err(Error::Signature("a LeaseSet2")));
}

proptest! {
    #[test]
    fn never_panics(at in 0..600usize, insert: Vec<u8>, kind in 0..9u8) {
        let mut bytes = sample(2).bytes().to_vec();
        let at = at.min(bytes.len());
        bytes.splice(at..at, insert.iter().copied());
        let _ = LeaseSet::decode_verified(kind, bytes.into());
        let _ = LeaseSet::decode_verified(kind, insert.into());
    }
}
