use proptest::prelude::*;

use super::*;

/// Searches among these editions; says what was found and in how many rounds.
fn search(from: u64, there: impl Fn(u64) -> bool) -> (Option<u64>, usize, usize) {
    let mut search = Search::new(Edition::Newest(from));
    let (mut rounds, mut asked) = (0, 0);
    while !search.is_done() {
        rounds += 1;
        for edition in search.wants() {
            asked += 1;
            if there(edition) { search.found(edition) } else { search.missing(edition) }
        }
        assert!(rounds < 400);
    }
    (search.newest(), rounds, asked)
}

#[test]
fn the_newest_is_found() {
    assert_eq!(search(0, |edition| edition == 0).0, Some(0));
    assert_eq!(search(5, |edition| edition <= 6).0, Some(6));
    assert_eq!(search(5, |_| false).0, None, "nothing was ever published, or it is lost");
    assert_eq!(search(7, |edition| edition <= 6).0, None, "never an older one than is known");
    let (newest, rounds, asked) = search(3, |edition| edition <= 1500);
    assert_eq!(newest, Some(1500));
    assert!(rounds < 12 && asked < 120, "{rounds} rounds, {asked} editions");
    // The known one is gone, as are others.
    assert_eq!(search(10, |edition| matches!(edition, 12 | 15 | 18)).0, Some(18));
    assert_eq!(search(0, |edition| edition == 4096).0, None, "too far for anybody who has no hint");
}

#[test]
fn a_hint_spares_the_search() {
    let mut search = Search::new(Edition::Known(3));
    search.found(70_000);
    assert_eq!(search.wants()[..4], [70_001, 70_002, 70_003, 70_004]);
    search.found(1);
    assert_eq!(search.newest(), Some(70_000));
}

#[test]
fn answers_that_do_not_matter_are_not_awaited() {
    let mut search = Search::new(Edition::Known(0));
    let first = search.wants();
    assert_eq!(first, [0, 1, 2, 3, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
    assert!(!search.is_done());
    search.found(1024);
    let more = search.wants();
    assert!(more.iter().all(|edition| *edition > 1024));
    for edition in more {
        search.missing(edition);
    }
    assert!(search.is_done() && search.newest() == Some(1024));
}

#[test]
fn the_search_ends_whatever_is_found() {
    assert!(search(0, |_| true).2 <= MOST);
    assert_eq!(search(Edition::MAX, |_| true).0, Some(Edition::MAX));
    assert_eq!(search(Edition::MAX - 2, |_| true).0, Some(Edition::MAX));
}

proptest! {
    #[test]
    fn what_is_found_was_there(from in 0u64..2000, last in 0u64..4000, holes: u64) {
        let there = |edition: u64| edition <= last && (edition == last || holes >> (edition % 64) & 1 == 1);
        let (newest, ..) = search(from, there);
        if let Some(newest) = newest {
            prop_assert!(newest >= from && there(newest));
            prop_assert!((newest + 1..=newest + 4).all(|edition| !there(edition)));
        } else {
            prop_assert!((from..=from + 4).all(|edition| !there(edition)));
        }
    }

    #[test]
    fn without_holes_the_newest_is_exact(from in 0u64..2000, more in 0u64..3000) {
        prop_assert_eq!(search(from, |edition| edition <= from + more).0, Some(from + more));
    }
}
