//! Tag sets: the session tag ratchet and the symmetric key ratchet of one direction (ECIES section 4).
//!
//! The sender keeps nothing but the two chains. The receiver keeps the tags of a window ahead of (and some behind)
//! the highest message it has seen, and the keys of those messages only that were skipped.

use std::collections::{BTreeMap, VecDeque};

use allium_crypto::hash::{hkdf, hkdf_one};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// A session tag: the first 8 bytes of every message after the first.
pub type Tag = [u8; 8];

/// The highest message number of a tag set; also the highest id of a tag set.
pub(crate) const LAST_NUMBER: u32 = 65535;

/// What two keys start a tag set: the root key and the data key of `DH_INITIALIZE(rootKey, k)`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Seed {
    /// The chain key of the handshake, or the next root key of the tag set before.
    pub(crate) root: [u8; 32],
    /// The key of this direction: from the split, a DH step, or the reply tags of a handshake.
    pub(crate) data: [u8; 32],
}

impl Seed {
    /// The tag set that comes after one with the next root key `root`, of a DH result.
    pub(crate) fn after(root: &[u8; 32], shared: &[u8; 32]) -> Self {
        Self { root: *root, data: hkdf_one(shared, &[], b"XDHRatchetTagSet") }
    }

    /// The tag set of New Session Replies, from the chain key after a New Session message.
    pub(crate) fn replies(ck: &[u8; 32]) -> Self {
        Self { root: *ck, data: hkdf_one(ck, &[], b"SessionReplyTags") }
    }
}

/// The two chains of a tag set, each at its own place.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Chains {
    tags: [u8; 32],
    constant: [u8; 32],
    keys: [u8; 32],
    next_root: [u8; 32],
}

impl Chains {
    fn new(seed: &Seed) -> Self {
        let (next_root, mut ck) = hkdf(&seed.root, &seed.data, b"KDFDHRatchetStep");
        let (mut first, keys) = hkdf(&ck, &[], b"TagAndKeyGenKeys");
        let (tags, constant) = hkdf(&first, &[], b"STInitialization");
        ck.zeroize();
        first.zeroize();
        Self { tags, constant, keys, next_root }
    }

    fn next_tag(&mut self) -> Tag {
        let (chain, output) = hkdf(&self.tags, &self.constant, b"SessionTagKeyGen");
        self.tags = chain;
        let mut tag = [0; 8];
        tag.copy_from_slice(&output[..8]);
        tag
    }

    fn next_key(&mut self) -> Zeroizing<[u8; 32]> {
        let (chain, key) = hkdf(&self.keys, &[], b"SymmetricRatchet");
        self.keys = chain;
        Zeroizing::new(key)
    }
}

/// What one message of a tag set is sealed with.
pub(crate) struct Entry {
    /// The message number: the nonce.
    pub(crate) number: u16,
    /// The tag that goes first, and is the associated data.
    pub(crate) tag: Tag,
    /// The key of this message alone.
    pub(crate) key: Zeroizing<[u8; 32]>,
}

/// The tag set of a sender.
pub(crate) struct SendTags {
    chains: Chains,
    next: u32,
}

impl SendTags {
    /// The tag set of `DH_INITIALIZE`.
    pub(crate) fn new(seed: &Seed) -> Self {
        Self { chains: Chains::new(seed), next: 0 }
    }

    /// What the next message is sealed with; `None` once all 65536 were used.
    pub(crate) fn next(&mut self) -> Option<Entry> {
        let number = u16::try_from(self.next).ok()?;
        self.next += 1;
        Some(Entry { number, tag: self.chains.next_tag(), key: self.chains.next_key() })
    }

    /// The number of the next message.
    pub(crate) fn used(&self) -> u32 {
        self.next
    }

    /// The root key of the tag set that follows in this direction.
    pub(crate) fn next_root(&self) -> &[u8; 32] {
        &self.chains.next_root
    }
}

/// How many tags a receiver keeps ahead of the highest message it has seen: `min(most, least + 2 * number)`.
///
/// A burst of lost messages longer than this ends the session, so a busy session has a wide window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lookahead {
    /// Tags of a fresh tag set.
    pub(crate) least: u16,
    /// Tags of a busy one.
    pub(crate) most: u16,
}

impl Lookahead {
    fn after(self, highest: Option<u16>) -> u32 {
        let grown = u32::from(self.least) + highest.map_or(0, |number| 2 * u32::from(number));
        grown.min(u32::from(self.most.max(self.least)))
    }
}

/// The tag of a window's place that was used already.
const USED: Tag = [0; 8];

/// Where the tags that are listened for are kept, and which of them come and go.
pub(crate) trait Listen {
    /// This tag, of this message number, is listened for from now on.
    fn add(&mut self, tag: Tag, number: u16);
    /// This one no longer.
    fn remove(&mut self, tag: Tag);
}

/// The tag set of a receiver.
pub(crate) struct ReceiveTags {
    chains: Chains,
    /// The message number of `window[0]`.
    base: u32,
    window: VecDeque<Tag>,
    /// The message number whose key the key chain gives next.
    keyed: u32,
    /// The key of message `keyed - 1`, while it is unused.
    fresh: Option<Zeroizing<[u8; 32]>>,
    /// Keys of skipped messages before that.
    skipped: BTreeMap<u16, Zeroizing<[u8; 32]>>,
    highest: Option<u16>,
    lookahead: Lookahead,
}

impl ReceiveTags {
    /// The tag set of `DH_INITIALIZE`, with its first window.
    pub(crate) fn new(seed: &Seed, lookahead: Lookahead, listen: &mut impl Listen) -> Self {
        let mut set = Self {
            chains: Chains::new(seed),
            base: 0,
            window: VecDeque::new(),
            keyed: 0,
            fresh: None,
            skipped: BTreeMap::new(),
            highest: None,
            lookahead,
        };
        set.extend(lookahead.most, listen);
        set
    }

    /// The root key of the tag set that follows in this direction.
    pub(crate) fn next_root(&self) -> &[u8; 32] {
        &self.chains.next_root
    }

    /// Whether any message of this set has arrived.
    pub(crate) fn used(&self) -> bool {
        self.highest.is_some()
    }

    /// How many tags the set looks ahead now: where its successor may start.
    pub(crate) fn ahead(&self) -> u16 {
        u16::try_from(self.lookahead.after(self.highest)).unwrap_or(u16::MAX)
    }

    /// The tags that have not been used.
    pub(crate) fn live(&self) -> impl Iterator<Item = Tag> + '_ {
        self.window.iter().copied().filter(|tag| *tag != USED)
    }

    /// The key of a message whose tag is in the window. It stays available until [`consume`](Self::consume), so that
    /// a forged message with a true tag does not use the tag up.
    pub(crate) fn key(&mut self, number: u16) -> Option<Zeroizing<[u8; 32]>> {
        let wanted = u32::from(number);
        if wanted < self.base || wanted >= self.base + self.window.len() as u32 {
            return None;
        }
        while self.keyed <= wanted {
            if let (Some(key), Some(before)) = (self.fresh.take(), self.keyed.checked_sub(1))
                && before >= self.base
            {
                self.skipped.insert(before as u16, key);
            }
            self.fresh = Some(self.chains.next_key());
            self.keyed += 1;
        }
        if wanted + 1 == self.keyed { self.fresh.clone() } else { self.skipped.get(&number).cloned() }
    }

    /// Marks a message as received, moves the window on, and forgets what is too far behind it.
    ///
    /// `most` limits how far the window may look ahead now (a table under pressure says less than the set would like).
    pub(crate) fn consume(&mut self, number: u16, most: u16, listen: &mut impl Listen) {
        let place = u32::from(number).wrapping_sub(self.base) as usize;
        let Some(slot) = self.window.get_mut(place) else { return };
        if *slot != USED {
            listen.remove(std::mem::replace(slot, USED));
        }
        if u32::from(number) + 1 == self.keyed {
            self.fresh = None;
        } else {
            self.skipped.remove(&number);
        }
        if self.highest.is_none_or(|highest| highest < number) {
            self.highest = Some(number);
            self.extend(most, listen);
        }
        self.trim(listen);
    }

    fn extend(&mut self, most: u16, listen: &mut impl Listen) {
        let ahead = self.lookahead.after(self.highest).min(u32::from(most.max(self.lookahead.least)));
        let end = (self.highest.map_or(0, |number| u32::from(number) + 1) + ahead).min(LAST_NUMBER + 1);
        for number in self.base + self.window.len() as u32..end {
            let tag = self.chains.next_tag();
            listen.add(tag, number as u16);
            self.window.push_back(tag);
        }
    }

    /// Drops used places at the window's start, and unused ones that are further behind than the window looks ahead.
    fn trim(&mut self, listen: &mut impl Listen) {
        let highest = self.highest.map_or(0, u32::from);
        let oldest = highest.saturating_sub(self.lookahead.after(self.highest));
        while let Some(tag) = self.window.front().copied() {
            if tag != USED {
                if self.base >= oldest {
                    break;
                }
                listen.remove(tag);
                self.skipped.remove(&(self.base as u16));
                if self.base + 1 == self.keyed {
                    self.fresh = None;
                }
            }
            self.window.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests;
