use super::*;
use crate::vectors::{hex, java};

#[test]
fn router_keys_round_trip() {
    let keys = RouterKeys::generate(&mut Rng::from_seed([1; 32]));
    let file = keys.encode();
    assert_eq!(keys.identity().bytes().len(), 391);
    assert_eq!(file.len(), 391 + 64);
    let back = RouterKeys::decode(&file).unwrap();
    assert_eq!(back.hash(), keys.hash());
    assert_eq!(back.encode(), file);
    for length in 0..file.len() {
        assert!(RouterKeys::decode(&file[..length]).is_err(), "{length}");
    }
    let mut torn = file.to_vec();
    torn[400] ^= 4; // a private key that is not the identity's
    assert!(RouterKeys::decode(&torn).is_err());
}

#[test]
fn an_identity_is_padded_with_one_random_block_repeated() {
    let keys = RouterKeys::generate(&mut Rng::from_seed([2; 32]));
    let bytes = keys.identity().bytes();
    assert!(bytes[32..352].chunks(32).all(|block| block == &bytes[32..64]));
    assert_eq!(&bytes[384..], [5, 0, 4, 0, 7, 0, 4]);
    let keys = DestinationKeys::generate(&mut Rng::from_seed([2; 32]));
    let bytes = keys.destination().bytes();
    assert!(bytes[..352].chunks(32).all(|block| block == &bytes[..32]));
}

#[test]
fn java_reads_as_we_do() {
    let part = &java()["lease_sets"];
    let file = hex(part, "destination_key_file");
    let keys = DestinationKeys::decode(&file).unwrap();
    assert_eq!(keys.destination().hash().to_vec(), hex(part, "destination_hash"));
    assert_eq!(*keys.encode(), file);
    let text = format!("{}\n", text::base64_encode(&file));
    assert_eq!(*DestinationKeys::decode(text.as_bytes()).unwrap().encode(), file);
    assert!(DestinationKeys::decode(&file[..600]).is_err());
}

#[test]
fn destination_keys_round_trip() {
    let keys = DestinationKeys::generate(&mut Rng::from_seed([3; 32]));
    let file = keys.encode();
    assert_eq!(file.len(), 679);
    assert_eq!(DestinationKeys::decode(&file).unwrap().destination(), keys.destination());
    let base64 = keys.destination().to_base64();
    assert_eq!(&Identity::from_base64(&base64).unwrap(), keys.destination());
}
