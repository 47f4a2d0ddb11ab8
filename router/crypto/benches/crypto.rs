//! Speed of the primitives: `cargo bench -p allium-crypto`.

use allium_crypto::layer::Layer;
use allium_crypto::sign::{self, SignatureType, SigningKey};
use allium_crypto::x25519::StaticSecret;
use allium_crypto::{Rng, aead, elligator2};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn rng() -> Rng {
    Rng::from_seed([0xbe; 32])
}

/// A tunnel message with its short I2NP header, about.
const MESSAGE: usize = 1040;

#[divan::bench(args = [48, MESSAGE, 16 * 1024])]
fn aead_seal(bencher: Bencher<'_, '_>, len: usize) {
    let key = aead::Key::new(&[1; 32]);
    let mut data = vec![0; len];
    bencher.counter(BytesCount::new(len)).bench_local(|| key.seal(black_box(7), &[], &mut data));
}

#[divan::bench(args = [48, MESSAGE, 16 * 1024])]
fn aead_open(bencher: Bencher<'_, '_>, len: usize) {
    let key = aead::Key::new(&[1; 32]);
    let mut sealed = vec![0; len];
    key.seal_vec(7, &[], &mut sealed, 0);
    bencher
        .counter(BytesCount::new(len))
        .with_inputs(|| sealed.clone())
        .bench_local_refs(|sealed| key.open(7, &[], sealed).is_ok());
}

#[divan::bench]
fn aead_new_key(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| aead::Key::new(black_box(&[1; 32])));
}

fn layer() -> Layer {
    Layer::new(&[1; 32], &[2; 32])
}

#[divan::bench]
fn layer_new(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| Layer::new(black_box(&[1; 32]), &[2; 32]));
}

#[divan::bench]
fn layer_encrypt(bencher: Bencher<'_, '_>) {
    let (layer, mut body) = (layer(), [0; 1024]);
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| layer.encrypt(&mut body));
}

#[divan::bench]
fn layer_decrypt(bencher: Bencher<'_, '_>) {
    let (layer, mut body) = (layer(), [0; 1024]);
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| layer.decrypt(&mut body));
}

#[divan::bench(args = [2, 4, 8])]
fn layer_encrypt_batch(bencher: Bencher<'_, '_>, count: usize) {
    let (layer, mut bodies) = (layer(), vec![[0; 1024]; count]);
    let mut bodies: Vec<_> = bodies.iter_mut().collect();
    bencher.counter(ItemsCount::new(count)).bench_local(|| layer.encrypt_batch(&mut bodies));
}

#[divan::bench]
fn layer_decrypt_batch_8(bencher: Bencher<'_, '_>) {
    let (layer, mut bodies) = (layer(), [[0; 1024]; 8]);
    let mut bodies = bodies.each_mut();
    bencher.counter(ItemsCount::new(8usize)).bench_local(|| layer.decrypt_batch(&mut bodies));
}

#[divan::bench]
fn x25519_generate(bencher: Bencher<'_, '_>) {
    let mut rng = rng();
    bencher.bench_local(|| StaticSecret::generate(&mut rng));
}

#[divan::bench]
fn x25519_dh(bencher: Bencher<'_, '_>) {
    let (secret, peer) = (StaticSecret::generate(&mut rng()), StaticSecret::from_bytes([5; 32]).public());
    bencher.bench_local(|| secret.dh(black_box(&peer)));
}

#[divan::bench]
fn elligator2_generate(bencher: Bencher<'_, '_>) {
    let mut rng = rng();
    bencher.bench_local(|| elligator2::generate(&mut rng));
}

#[divan::bench]
fn elligator2_decode(bencher: Bencher<'_, '_>) {
    let representative = rng().array();
    bencher.bench_local(|| elligator2::decode(black_box(&representative)));
}

#[divan::bench]
fn ed25519_sign(bencher: Bencher<'_, '_>) {
    let key = SigningKey::generate(&mut rng());
    bencher.bench_local(|| key.sign(black_box(&[&[0; 400]])));
}

#[divan::bench]
fn ed25519_verify(bencher: Bencher<'_, '_>) {
    let key = SigningKey::generate(&mut rng());
    let (public, signature) = (key.public(), key.sign(&[&[0; 400]]));
    bencher
        .bench_local(|| sign::verify(SignatureType::Ed25519, black_box(&public), &[&[0; 400]], &signature));
}
