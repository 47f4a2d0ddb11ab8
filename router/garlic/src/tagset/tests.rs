use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::{array, java};

impl Listen for BTreeMap<Tag, u16> {
    fn add(&mut self, tag: Tag, number: u16) {
        assert!(self.insert(tag, number).is_none());
    }

    fn remove(&mut self, tag: Tag) {
        assert!(BTreeMap::remove(self, &tag).is_some());
    }
}

const WINDOW: Lookahead = Lookahead { least: 32, most: 200 };

fn seed() -> Seed {
    Seed { root: [1; 32], data: [2; 32] }
}

fn receiver(lookahead: Lookahead) -> (ReceiveTags, BTreeMap<Tag, u16>) {
    let mut table = BTreeMap::new();
    let set = ReceiveTags::new(&seed(), lookahead, &mut table);
    (set, table)
}

fn receive(set: &mut ReceiveTags, table: &mut BTreeMap<Tag, u16>, entry: &Entry) -> bool {
    let Some(number) = table.get(&entry.tag).copied() else { return false };
    assert_eq!(number, entry.number);
    assert_eq!(*set.key(number).unwrap(), *entry.key);
    set.consume(number, u16::MAX, table);
    assert!(set.key(number).is_none_or(|key| *key == *entry.key));
    true
}

#[test]
fn both_sides_derive_what_java_does() {
    let vector = java("ratchet_tag_set");
    let seed = Seed { root: array(&vector["root_key"]), data: array(&vector["data_key"]) };
    let mut send = SendTags::new(&seed);
    let mut table = BTreeMap::new();
    let mut receive = ReceiveTags::new(&seed, WINDOW, &mut table);
    assert_eq!(send.next_root(), &array::<32>(&vector["next_root_key"]));
    assert_eq!(receive.next_root(), send.next_root());
    for number in 0..5_u16 {
        let entry = send.next().unwrap();
        assert_eq!(entry.number, number);
        assert_eq!(entry.tag, array(&vector[format!("tag_{number}")]));
        assert_eq!(*entry.key, array(&vector[format!("key_{number}")]));
        assert_eq!(table.get(&entry.tag), Some(&number));
        assert_eq!(receive.key(number), Some(entry.key));
    }
}

#[test]
fn the_window_starts_small_grows_with_use_and_stays_bounded() {
    let (mut set, mut table) = receiver(WINDOW);
    assert_eq!(table.len(), 32);
    let mut send = SendTags::new(&seed());
    for number in 0..2000 {
        assert!(receive(&mut set, &mut table, &send.next().unwrap()));
        let ahead = (32 + 2 * number).min(200);
        assert_eq!((table.len(), usize::from(set.ahead())), (ahead, ahead));
    }
    assert!(set.skipped.is_empty() && set.fresh.is_none());
}

#[test]
fn a_gap_within_the_window_is_bridged_and_a_longer_one_is_not() {
    let mut send = SendTags::new(&seed());
    let entries: Vec<_> = std::iter::from_fn(|| send.next()).take(40).collect();
    let (mut set, mut table) = receiver(WINDOW);
    assert!(!receive(&mut set, &mut table, &entries[32]));
    assert!(receive(&mut set, &mut table, &entries[31]));
    for entry in &entries[..31] {
        assert!(receive(&mut set, &mut table, entry));
    }
    assert!(receive(&mut set, &mut table, &entries[39]));
    assert!(!receive(&mut set, &mut table, &entries[39]), "twice");
}

#[test]
fn what_is_far_behind_is_forgotten() {
    let mut send = SendTags::new(&seed());
    let entries: Vec<_> = std::iter::from_fn(|| send.next()).take(700).collect();
    let (mut set, mut table) = receiver(WINDOW);
    // Every tenth is lost.
    for entry in entries.iter().filter(|entry| entry.number % 10 != 0) {
        assert!(receive(&mut set, &mut table, entry));
    }
    assert!(!table.contains_key(&entries[490].tag));
    assert!(table.contains_key(&entries[500].tag));
    assert!(table.len() <= 200 + 20 && set.skipped.len() <= 20 && set.window.len() <= 400);
    assert!(receive(&mut set, &mut table, &entries[500]));
    assert_eq!(set.live().count(), table.len());
}

#[test]
fn a_key_stays_until_its_message_is_consumed() {
    let (mut set, mut table) = receiver(WINDOW);
    let mut send = SendTags::new(&seed());
    let (first, second) = (send.next().unwrap(), send.next().unwrap());
    assert_eq!(*set.key(1).unwrap(), *second.key);
    assert_eq!(*set.key(0).unwrap(), *first.key);
    assert_eq!(*set.key(1).unwrap(), *second.key);
    assert!(receive(&mut set, &mut table, &second) && receive(&mut set, &mut table, &first));
    assert_eq!(set.key(36), None, "ahead of the window");
}

#[test]
fn a_tag_set_ends_after_65536_messages() {
    let (mut set, mut table) = receiver(WINDOW);
    let mut send = SendTags::new(&seed());
    while let Some(entry) = send.next() {
        if entry.number % 16 == 15 {
            assert!(receive(&mut set, &mut table, &entry));
        }
    }
    assert_eq!(send.used(), 65536);
    assert!(send.next().is_none());
    assert!(table.values().all(|number| *number < 65535));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever order messages come in, the keys are the sender's and the table is what the set listens for.
    #[test]
    fn any_order_of_arrival_works(order in prop::collection::vec(0_usize..400, 1..300), most in 32_u16..300) {
        let mut send = SendTags::new(&seed());
        let entries: Vec<_> = std::iter::from_fn(|| send.next()).take(400).collect();
        let (mut set, mut table) = receiver(Lookahead { least: 32, most });
        let mut seen = std::collections::BTreeSet::new();
        for place in order {
            let fresh = receive(&mut set, &mut table, &entries[place]);
            prop_assert!(!fresh || seen.insert(place));
            let mut live: Vec<_> = set.live().collect();
            live.sort_unstable();
            prop_assert!(live.iter().eq(table.keys()));
            prop_assert!(set.window.len() <= 2 * usize::from(most) + 1);
            prop_assert!(set.skipped.len() <= set.window.len());
        }
    }
}
