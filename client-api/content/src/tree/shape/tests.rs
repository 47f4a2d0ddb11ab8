use proptest::prelude::*;

use super::*;

#[test]
fn only_sensible_segments() {
    for (data, check, fine) in [
        (16, 0, true),
        (256, 256, true),
        (128, 64, true),
        (15, 0, false),
        (257, 1, false),
        (16, 17, false),
        (0, 0, false),
    ] {
        assert_eq!(Params::new(data, check).is_ok(), fine, "{data} {check}");
    }
}

#[test]
fn small_segments_have_check_blocks_in_proportion() {
    let usual = Params::default();
    let of = |data| usual.check_of(data);
    assert_eq!([of(1), of(2), of(6), of(7), of(8), of(127), of(128)], [3, 3, 3, 4, 4, 64, 64]);
    assert_eq!(Params::new(16, 0).unwrap().check_of(5), 0);
    assert_eq!(Params::new(16, 1).unwrap().check_of(5), 1);
}

#[test]
fn blocks_of_known_lengths() {
    let room = super::super::root::room(0);
    let count = |length| block_count(length, 0, Params::default());
    assert_eq!([count(0), count(1), count(room as u64)], [1, 1, 1]);
    assert_eq!(count(room as u64 + 1), 1 + 1 + 3);
    assert_eq!(count(SIZE as u64 + 1), 1 + 2 + 3);
    assert_eq!(count(4 << 20), 1 + 192);
    // 25 segments and their 154,400 bytes of entries: 5 blocks and 3.
    assert_eq!(count(100 << 20), 1 + 25 * 192 + 8);
    assert_eq!(levels(2 << 30, room, Params::default()).len(), 2);
    assert_eq!(levels(15 << 30, room, Params::default()).len(), 3);
    assert!(levels(MAX_LENGTH, room, Params::new(16, 16).unwrap()).len() < 8);
}

proptest! {
    #[test]
    fn ranges_are_covered(length in 1u64..1 << 40, start: u64, end: u64, data in 16u16..=256, check in 0u16..=16) {
        let params = Params::new(data, check).unwrap();
        let level = Level { params, length };
        let (start, end) = (start % length, end % length);
        let range = start.min(end)..start.max(end) + 1;
        let segments = level.segments_of(&range);
        prop_assert!(segments.end <= level.segments());
        let first = level.blocks_of(segments.start, &range);
        let last = level.blocks_of(segments.end - 1, &range);
        prop_assert!(!first.is_empty() && !last.is_empty());
        let at = |segment: u64, block: usize| segment * params.segment_bytes() + (block * SIZE) as u64;
        prop_assert!(at(segments.start, first.start) <= range.start);
        prop_assert!(at(segments.end - 1, last.end) >= range.end);
        prop_assert!(last.end <= level.data_of(segments.end - 1));
        let entries: u64 = level.segments().min(3);
        for segment in 1..entries {
            prop_assert_eq!(level.entry(segment - 1).end, level.entry(segment).start);
        }
    }

    #[test]
    fn every_length_has_a_few_levels(length in 0..=MAX_LENGTH, media in 0usize..=127, data in 16u16..=256) {
        let params = Params::new(data, data).unwrap();
        let room = super::super::root::room(media);
        let levels = levels(length, room, params);
        prop_assert!(levels.len() < 8);
        prop_assert!(levels.last().is_none_or(|top| top.entries() <= room as u64));
        prop_assert!(block_count(length, media, params) <= 3 + length / SIZE as u64 * 3 + 100);
    }
}
