use super::*;
use crate::gateway::Packer;
use crate::testing::{now_at, rng};
use allium_wire::TunnelId;
use allium_wire::tunnel::checksum;
use allium_wire::tunnel::{DATA, SPACE};
use proptest::prelude::*;

fn pages(seed: u8, sizes: &[usize]) -> Vec<BytesMut> {
    let bodies: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, size)| vec![i as u8; *size]).collect();
    let items: Vec<(Target, &[u8])> = bodies.iter().map(|b| (Target::Local, &b[..])).collect();
    Packer::new(rng(seed)).pack(TunnelId(1), &items).unwrap()
}

/// A page with this content, however bad.
fn page(content: &[u8]) -> BytesMut {
    let mut page = BytesMut::zeroed(DATA);
    page[24..DATA - content.len() - 1].fill(1);
    page[DATA - content.len()..].copy_from_slice(content);
    let sum = checksum(&[0; 16], content);
    page[20..24].copy_from_slice(&sum);
    page
}

fn fragment(message: u32, number: u8, last: bool, bytes: &[u8]) -> BytesMut {
    let mut content = Vec::new();
    let instructions = if number == 0 {
        Instructions::First { target: Target::Local, message }
    } else {
        Instructions::FollowOn { message, number, last }
    };
    instructions.encode(bytes.len(), &mut content);
    content.extend_from_slice(bytes);
    page(&content)
}

fn feed(assembler: &mut Assembler, at: u64, page: BytesMut) -> Vec<BytesMut> {
    let mut out = Vec::new();
    let _ = assembler.feed(now_at(at).instant, page, |_, message| out.push(message));
    out
}

#[test]
fn pieces_may_come_in_any_order_and_more_than_once() {
    for seed in 0..30 {
        let mut rng = rng(seed);
        let sizes = [50_000, 3000, 20, 62_000, 999];
        let mut pages = pages(seed, &sizes);
        let copies: Vec<BytesMut> = pages.iter().filter(|_| rng.chance(0.3)).cloned().collect();
        pages.extend(copies);
        rng.shuffle(&mut pages);
        let mut assembler = Assembler::new(Bounds::OWN);
        let mut got: Vec<usize> =
            pages.into_iter().flat_map(|p| feed(&mut assembler, 0, p)).map(|m| m.len()).collect();
        got.sort_unstable();
        got.dedup();
        assert_eq!(got, [20, 999, 3000, 50_000, 62_000]);
    }
}

#[test]
fn a_whole_message_is_not_copied() {
    let page = page(&[&[0, 0, 100][..], &[9; 100]].concat());
    let at = page[DATA - 100..].as_ptr();
    let out = feed(&mut Assembler::new(Bounds::OWN), 0, page);
    assert_eq!((out[0].as_ptr(), &out[0][..]), (at, &[9; 100][..]));
}

#[test]
fn messages_that_are_never_finished_are_bounded_and_age() {
    let mut assembler = Assembler::new(Bounds::TRANSIT);
    for id in 0..10_000u32 {
        feed(&mut assembler, 0, fragment(id, (id % 64) as u8, false, &[1; 900]));
        assert!(assembler.partials.len() <= 64 && assembler.cost <= 256 * 1024);
    }
    assert_eq!(assembler.partials.len(), 64);
    feed(&mut assembler, 21_000, fragment(77_777, 0, false, &[1; 900]));
    assert_eq!(assembler.partials.len(), 1);
    assert_eq!(assembler.stats().lost, 10_000);
    feed(&mut assembler, 50_000, fragment(77_778, 1, true, &[1; 900]));
    assert_eq!(feed(&mut assembler, 50_001, fragment(77_778, 0, false, &[1; 900])).len(), 1);
    assert_eq!((assembler.partials.len(), assembler.cost), (0, 0));
}

#[test]
fn one_message_cannot_grow_beyond_its_limit() {
    let mut assembler = Assembler::new(Bounds::OWN);
    for number in 0..=63 {
        assert!(feed(&mut assembler, 0, fragment(5, number, number == 63, &[1; 996])).is_empty());
    }
    assert!(assembler.cost < 2000, "given up one fragment before the last, which is then an orphan");
    assert_eq!(assembler.stats().lost, 1);
}

#[test]
fn contradictions_end_a_message() {
    let mut assembler = Assembler::new(Bounds::OWN);
    for pieces in [&[(3, false), (2, true)][..], &[(2, true), (3, false)], &[(2, true), (4, true)]] {
        let before = assembler.stats().lost;
        for (number, last) in pieces {
            feed(&mut assembler, 0, fragment(1, *number, *last, &[1; 100]));
        }
        assert_eq!(assembler.stats().lost, before + 1);
        assert!(assembler.partials.is_empty());
    }
    feed(&mut assembler, 0, fragment(1, 2, true, &[1; 100]));
    feed(&mut assembler, 0, fragment(1, 2, true, &[1; 100]));
    assert_eq!(assembler.stats().duplicates, 1);
}

#[test]
fn short_and_cut_off_messages_are_no_messages() {
    let mut assembler = Assembler::new(Bounds::OWN);
    assert!(feed(&mut assembler, 0, page(&[0, 0, 5, 1, 2, 3, 4, 5])).is_empty());
    assert!(feed(&mut assembler, 0, page(&[0, 0, 50, 1, 2, 3, 4, 5])).is_empty());
    assert!(feed(&mut assembler, 0, page(&[0x60, 0, 1, 1])).is_empty());
    assert!(feed(&mut assembler, 0, page(&[])).is_empty());
    let mut damaged = page(&[[0, 0, 100].as_slice(), &[9; 100]].concat());
    damaged[1000] ^= 1;
    assert_eq!(assembler.feed(now_at(0).instant, damaged, |_, _| {}), Err(Error::Checksum));
    assert_eq!(assembler.feed(now_at(0).instant, BytesMut::zeroed(1000), |_, _| {}), Err(Error::Checksum));
    assert_eq!(
        assembler.feed(now_at(0).instant, BytesMut::from(&[1; DATA][..]), |_, _| {}),
        Err(Error::Checksum)
    );
}

proptest! {
    #[test]
    fn whatever_the_content_memory_is_bounded(
        contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..SPACE), 1..40),
        ids in proptest::collection::vec((0u32..6, 0u8..64, any::<bool>(), 0usize..900), 0..200),
    ) {
        let mut assembler = Assembler::new(Bounds { messages: 4, bytes: 20_000 });
        for content in &contents {
            feed(&mut assembler, 0, page(content));
        }
        for (id, number, last, size) in ids {
            feed(&mut assembler, 0, fragment(id, number, last, &vec![1; size]));
            prop_assert!(assembler.partials.len() <= 4 && assembler.cost <= 20_000);
            let cost: usize = assembler.partials.values().map(|p| p.cost).sum();
            prop_assert_eq!(cost, assembler.cost);
        }
    }
}
