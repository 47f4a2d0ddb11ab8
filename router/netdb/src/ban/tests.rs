use super::*;
use crate::testing::NOON;

const PEER: RouterHash = RouterHash([1; 32]);

#[test]
fn five_strikes_ban_and_bans_grow() {
    let mut bans = Bans::new(10);
    for _ in 0..4 {
        assert!(bans.strike(PEER, 1.0, NOON).is_none());
    }
    let until = bans.strike(PEER, 1.0, NOON).unwrap();
    assert_eq!(until, NOON + FIRST_BAN);
    assert!(bans.is_banned(&PEER, NOON) && !bans.is_banned(&PEER, until));
    assert!(bans.strike(PEER, 9.0, NOON).is_none(), "it is banned already");
    let mut at = until;
    let mut last = FIRST_BAN;
    for _ in 0..12 {
        let until = bans.strike(PEER, 5.0, at).unwrap();
        assert!(until.since(at) == (2 * last).min(LONGEST_BAN));
        (last, at) = (until.since(at), until);
    }
    assert_eq!(last, LONGEST_BAN);
}

#[test]
fn strikes_are_forgiven() {
    let mut bans = Bans::new(10);
    for hour in 0..100 {
        let at = NOON + Duration::from_hours(hour);
        assert!(bans.strike(PEER, 3.0, at).is_none());
    }
    bans.sweep(NOON + Duration::from_hours(200));
    assert!(bans.records.is_empty());
}

#[test]
fn the_list_is_bounded_and_keeps_the_worst() {
    let mut bans = Bans::new(10);
    bans.strike(PEER, 5.0, NOON);
    for byte in 2..100 {
        bans.strike(RouterHash([byte; 32]), 1.0, NOON);
        assert!(bans.records.len() <= 10);
    }
    assert!(bans.is_banned(&PEER, NOON));
    assert_eq!(bans.banned(NOON), 1);
}
