use proptest::prelude::*;

use super::*;

fn key(byte: u8) -> Key {
    Key([byte; 32])
}

fn held(size: u32, wanted: u32, near: bool, pinned: bool) -> Held {
    Held { size, version: Version::FIXED, wanted, pinned, near }
}

fn index(quota: u64) -> Index {
    Index::new(quota, Vec::new())
}

#[test]
fn the_least_recently_wanted_goes_first_and_strangers_before_it() {
    let mut index = index(40);
    index.put(key(1), held(10, 1, true, false));
    index.put(key(2), held(10, 2, true, false));
    index.put(key(3), held(10, 9, false, false));
    index.put(key(4), held(10, 0, true, true));
    let going = |index: &mut Index, new: &Held| index.make_room(&key(9), new, 0, |_| false).ok();
    assert_eq!(going(&mut index, &held(10, 5, true, false)), Some(vec![key(3)]), "what belongs elsewhere");
    index.put(key(5), held(10, 5, true, false));
    assert_eq!(going(&mut index, &held(10, 1, true, false)), None, "nothing is wanted less");
    assert_eq!(
        going(&mut index, &held(10, 6, false, false)),
        None,
        "a stranger takes nothing from those who belong"
    );
    assert_eq!(going(&mut index, &held(20, 6, true, false)), Some(vec![key(1), key(2)]));
    assert_eq!(going(&mut index, &held(31, 9, true, false)), None, "the pinned one stays");
    assert_eq!(index.make_room(&key(9), &held(30, 9, true, false), 0, |busy| *busy == key(5)).ok(), None);
    assert_eq!(index.bytes(), 20);
}

#[test]
fn a_smaller_quota_drops_what_is_not_pinned() {
    let mut index = index(100);
    for byte in 0..10 {
        index.put(key(byte), held(10, byte.into(), true, byte == 0));
    }
    index.set_quota(25);
    assert_eq!(index.shrink(0, |_| false).len(), 8);
    assert_eq!((index.len(), index.pinned(), index.bytes()), (2, 1, 20));
    assert!(index.get(&key(0)).is_some() && index.get(&key(9)).is_some());
}

#[test]
fn offers_are_found_by_prefix() {
    let mut index = index(100);
    let version = Version { number: 3, tie: 1 };
    index.put(key(7), Held { version, ..held(10, 1, true, false) });
    assert_eq!(index.find(&Item::of(&key(7), version)), Some(version.tag()));
    assert_eq!(index.find(&Item::of(&key(8), version)), None);
}

proptest! {
    #[test]
    fn the_sums_are_right_whatever_happens(
        steps in prop::collection::vec((0u8..12, 1u32..50, 0u32..5000, any::<bool>(), 0u8..6), 0..200),
        quota in 0u64..300,
    ) {
        let mut index = index(quota);
        for (byte, size, wanted, flag, what) in steps {
            match what {
                0 | 1 => {
                    let new = held(size, wanted, flag, false);
                    let replaced = index.get(&key(byte)).is_some_and(|held| held.pinned);
                    if let Ok(going) = index.make_room(&key(byte), &new, 0, |_| false) {
                        prop_assert!(!going.contains(&key(byte)));
                        index.put(key(byte), new);
                        let pinned: u64 = index.after(None).filter(|(_, h)| h.pinned).map(|(_, h)| u64::from(h.size)).sum();
                        prop_assert!(index.bytes() <= quota.max(pinned) || replaced);
                    }
                }
                2 => drop(index.remove(&key(byte))),
                3 => drop(index.set_pinned(&key(byte), flag)),
                4 => drop(index.touch(&key(byte), wanted)),
                _ => index.set_near(&key(byte), flag),
            }
            let bytes: u64 = index.after(None).map(|(_, held)| u64::from(held.size)).sum();
            let pinned = index.after(None).filter(|(_, held)| held.pinned).count();
            prop_assert_eq!((index.bytes(), index.pinned()), (bytes, pinned));
            prop_assert_eq!(index.order.len() + pinned, index.len());
        }
    }
}
