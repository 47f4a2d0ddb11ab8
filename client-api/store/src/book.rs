//! The peer book: which nodes are known, where they are, and how they behaved.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use allium_wire::{Date, DestHash, Now};

use crate::pace::Pace;
use crate::place::{Place, bit, distance, shared};

/// Questions in a row that were not answered after which a peer is taken for gone.
const GONE: u8 = 2;
/// And after which it is forgotten.
const FORGOTTEN: u8 = 4;
/// If nobody answered for this long, this node is perhaps cut off.
const ALONE: Duration = Duration::from_mins(10);
/// Questions given up within this time count as one.
const AT_ONCE: Duration = Duration::from_secs(5);
/// A peer that owes a block and sends nothing is doubted after a time between these.
const HUSH: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(4));
/// How long a peer that broke the rules is left alone the first time.
const SHUNNED: Duration = Duration::from_mins(30);

/// A node that was there, as it is written down for the next run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KnownPeer {
    /// Its destination.
    pub node: DestHash,
    /// When it last answered.
    pub heard: Date,
    /// Its smoothed time to answer a datagram.
    pub round_trip: Duration,
}

/// A node and the experiences with it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) node: DestHash,
    pub(crate) place: Place,
    /// It has answered a question.
    pub(crate) proven: bool,
    pub(crate) heard: Option<Instant>,
    /// Questions not answered since one was, and when the last such one was given up.
    pub(crate) fails: u8,
    missed: Option<Instant>,
    /// It owes answers for longer than they take: asked after all others until it is heard.
    pub(crate) doubted: bool,
    /// When it last answered a frame.
    pub(crate) spoke: Option<Instant>,
    /// When its channel was last given up for another.
    pub(crate) renewed: Option<Instant>,
    /// Times of its answers to datagrams.
    pub(crate) asked: Pace,
    /// Times until it gave or took a block.
    pub(crate) blocks: Pace,
    /// Blocks that may be under way with it, and that are.
    pub(crate) window: u16,
    pub(crate) used: u16,
    /// Blocks given or taken, and not; both fade.
    good: f32,
    bad: f32,
    shunned: Option<Instant>,
    strikes: u8,
}

impl Peer {
    fn new(node: DestHash, place: Place) -> Self {
        Self {
            node,
            place,
            proven: false,
            heard: None,
            fails: 0,
            missed: None,
            doubted: false,
            spoke: None,
            renewed: None,
            asked: Pace::default(),
            blocks: Pace::default(),
            window: 8,
            used: 0,
            good: 0.0,
            bad: 0.0,
            shunned: None,
            strikes: 0,
        }
    }

    /// Whether it has broken the rules lately.
    pub(crate) fn is_shunned(&self, now: Instant) -> bool {
        self.shunned.is_some_and(|until| until > now)
    }

    /// Whether it can be reckoned with: it has answered, does so still, and keeps the rules.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.proven && self.fails < GONE && !self.is_shunned(now)
    }

    /// Whether one more block may be under way with it.
    pub(crate) fn has_room(&self) -> bool {
        self.used < self.window
    }

    /// How likely it gives what it should have: 0.0 to 1.0.
    pub(crate) fn reliability(&self) -> f32 {
        (self.good + 2.0) / (self.good + self.bad + 2.0)
    }

    fn fade(&mut self) {
        self.good *= 0.97;
        self.bad *= 0.97;
    }
}

/// The peers of one destination. When it is full, the most crowded distance loses its worst one.
pub(crate) struct Book {
    /// From here distances are judged when the book is full.
    center: Place,
    most: usize,
    /// By place.
    peers: Vec<Peer>,
    places: BTreeMap<DestHash, Place>,
    /// Experiences with all peers.
    pub(crate) asked: Pace,
    pub(crate) blocks: Pace,
    /// When anybody last answered.
    heard: Option<Instant>,
    most_window: u16,
}

impl Book {
    pub(crate) fn new(center: Place, most: usize, most_window: u16) -> Self {
        Self {
            center,
            most: most.max(16),
            peers: Vec::new(),
            places: BTreeMap::new(),
            asked: Pace::default(),
            blocks: Pace::default(),
            heard: None,
            most_window,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    fn index(&self, node: &DestHash) -> Option<usize> {
        let place = self.places.get(node)?;
        self.peers.binary_search_by(|peer| peer.place.cmp(place)).ok()
    }

    pub(crate) fn get(&self, node: &DestHash) -> Option<&Peer> {
        self.peers.get(self.index(node)?)
    }

    pub(crate) fn get_mut(&mut self, node: &DestHash) -> Option<&mut Peer> {
        let index = self.index(node)?;
        self.peers.get_mut(index)
    }

    /// Takes a node in, unproven if it is new; whether there was room.
    pub(crate) fn add(&mut self, now: Instant, node: DestHash) -> bool {
        if self.places.contains_key(&node) {
            return true;
        }
        let place = Place::of(&node);
        let Err(at) = self.peers.binary_search_by(|peer| peer.place.cmp(&place)) else { return false };
        if self.peers.len() < self.most {
            self.peers.insert(at, Peer::new(node, place));
        } else {
            if !self.make_room(now, &place) {
                return false;
            }
            let at = self.peers.partition_point(|peer| peer.place < place);
            self.peers.insert(at, Peer::new(node, place));
        }
        self.places.insert(node, place);
        true
    }

    /// Removes the worst peer of the distance that most peers are at, unless the newcomer would be at that one and
    /// none of its peers is bad.
    fn make_room(&mut self, now: Instant, newcomer: &Place) -> bool {
        let mut crowds: BTreeMap<u16, usize> = BTreeMap::new();
        for peer in &self.peers {
            *crowds.entry(shared(&peer.place.0, &self.center.0)).or_default() += 1;
        }
        let Some(most) = crowds.iter().max_by_key(|(_, count)| **count).map(|(depth, _)| *depth) else {
            return false;
        };
        let crowded = self.peers.iter().filter(|peer| shared(&peer.place.0, &self.center.0) == most);
        let worst = crowded.min_by_key(|peer| (peer.is_live(now), u8::MAX - peer.fails, peer.heard));
        let Some((node, bad)) = worst.map(|peer| (peer.node, !peer.is_live(now))) else { return false };
        if !bad && shared(&newcomer.0, &self.center.0) == most {
            return false;
        }
        self.remove(&node);
        true
    }

    pub(crate) fn remove(&mut self, node: &DestHash) {
        if let Some(index) = self.index(node) {
            self.peers.remove(index);
        }
        self.places.remove(node);
    }

    /// The `n` peers closest to a point among those that `keep` wants, the closest first.
    pub(crate) fn closest(&self, point: &[u8; 32], n: usize, keep: impl Fn(&Peer) -> bool) -> Vec<&Peer> {
        let mut out = Vec::with_capacity(n);
        walk(&self.peers, 0, point, n, &keep, &mut out);
        out
    }

    /// A peer answered a datagram, after that time unless it was asked more than once. Whether it is new.
    pub(crate) fn answered(&mut self, now: Instant, node: DestHash, took: Option<Duration>) -> bool {
        self.heard = Some(now);
        if let Some(took) = took {
            self.asked.observe(took);
        }
        if !self.add(now, node) {
            return false;
        }
        let Some(peer) = self.get_mut(&node) else { return false };
        let new = !peer.proven || peer.fails >= GONE;
        (peer.proven, peer.fails, peer.heard) = (true, 0, Some(now));
        if let Some(took) = took {
            peer.asked.observe(took);
        }
        new
    }

    /// A peer answered nothing since it was first asked, then. Says whether it is taken for gone from now on. If nobody
    /// else answered either since a while before, the fault may be here: nothing is held against it.
    pub(crate) fn silent(&mut self, now: Instant, node: &DestHash, asked: Instant) -> bool {
        if self.heard.is_none_or(|heard| heard + ALONE <= asked) {
            return false;
        }
        let Some(peer) = self.get_mut(node) else { return false };
        if peer.missed.is_some_and(|at| now.saturating_duration_since(at) < AT_ONCE) {
            return false;
        }
        peer.missed = Some(now);
        peer.fails = peer.fails.saturating_add(1);
        let (fails, proven) = (peer.fails, peer.proven);
        if fails >= FORGOTTEN || !proven {
            self.remove(node);
        }
        proven && fails == GONE
    }

    /// A peer owes an answer for longer than answers take. Whether that is new.
    pub(crate) fn doubt(&mut self, node: &DestHash) -> bool {
        self.get_mut(node).is_some_and(|peer| !std::mem::replace(&mut peer.doubted, true))
    }

    /// A peer that was doubted answers.
    pub(crate) fn trust(&mut self, node: &DestHash) {
        if let Some(peer) = self.get_mut(node) {
            peer.doubted = false;
        }
    }

    /// Whether a peer owes answers, as far as is known.
    pub(crate) fn is_doubted(&self, node: &DestHash) -> bool {
        self.get(node).is_some_and(|peer| peer.doubted)
    }

    /// A peer answered a frame, whatever it said.
    pub(crate) fn spoke(&mut self, now: Instant, node: &DestHash) {
        if let Some(peer) = self.get_mut(node) {
            (peer.spoke, peer.doubted) = (Some(now), false);
        }
    }

    /// A peer gave or took a block, after that time.
    pub(crate) fn served(&mut self, now: Instant, node: &DestHash, took: Duration) {
        self.heard = Some(now);
        self.blocks.observe(took);
        let most = self.most_window;
        let Some(peer) = self.get_mut(node) else { return };
        peer.blocks.observe(took);
        peer.fade();
        peer.good += 1.0;
        peer.window = (peer.window + 1).min(most);
        (peer.fails, peer.heard) = (0, Some(now));
    }

    /// A peer did not give (or take) what it should have: how much that tells against it, 0.0 to 1.0.
    pub(crate) fn disappointed(&mut self, node: &DestHash, weight: f32) {
        if let Some(peer) = self.get_mut(node) {
            peer.fade();
            peer.bad += weight;
        }
    }

    /// A peer has too much to do.
    pub(crate) fn overloaded(&mut self, node: &DestHash) {
        if let Some(peer) = self.get_mut(node) {
            peer.window = (peer.window / 2).max(1);
        }
    }

    /// A peer sent what no honest one sends: it is left alone for a while, each time twice as long.
    pub(crate) fn shun(&mut self, now: Instant, node: &DestHash) {
        if let Some(peer) = self.get_mut(node) {
            peer.shunned = Some(now + SHUNNED * 2u32.saturating_pow(peer.strikes.min(8).into()));
            peer.strikes = peer.strikes.saturating_add(1);
            peer.bad += 1.0;
        }
    }

    /// A block is under way with a peer, or no more.
    pub(crate) fn occupy(&mut self, node: &DestHash) {
        if let Some(peer) = self.get_mut(node) {
            peer.used = peer.used.saturating_add(1);
        }
    }

    /// See [`occupy`](Self::occupy).
    pub(crate) fn release(&mut self, node: &DestHash) {
        if let Some(peer) = self.get_mut(node) {
            peer.used = peer.used.saturating_sub(1);
        }
    }

    /// How long to wait for the answer to a datagram.
    pub(crate) fn patience(&self, node: &DestHash) -> Duration {
        self.get(node).map(|peer| peer.asked).unwrap_or_default().or(self.asked).timeout()
    }

    /// How long a peer that owes a block may send nothing before it is doubted: two and a half times what answers take,
    /// or what most blocks do if that is less.
    pub(crate) fn hush(&self, node: &DestHash) -> Duration {
        let peer = self.get(node);
        let asked = peer.map(|peer| peer.asked).unwrap_or_default().or(self.asked).mean();
        let usual = asked.map_or(HUSH.1, |time| time * 5 / 2).min(self.most_blocks_take(node));
        usual.clamp(HUSH.0, HUSH.1).max(asked.unwrap_or_default() * 5 / 4)
    }

    /// How long most blocks take with a peer.
    pub(crate) fn most_blocks_take(&self, node: &DestHash) -> Duration {
        self.get(node).map(|peer| peer.blocks).unwrap_or_default().or(self.blocks).most()
    }

    /// What is to be written down.
    pub(crate) fn known(&self, now: Now) -> Vec<KnownPeer> {
        let proven = self.peers.iter().filter(|peer| peer.is_live(now.instant));
        let known = proven.filter_map(|peer| {
            let heard = now.date - now.instant.saturating_duration_since(peer.heard?);
            let round_trip = peer.asked.or(self.asked).mean().unwrap_or_default();
            Some(KnownPeer { node: peer.node, heard, round_trip })
        });
        known.collect()
    }
}

/// Collects the closest of `peers`, which share `depth` bits and are sorted by place.
fn walk<'a>(
    peers: &'a [Peer],
    depth: u16,
    point: &[u8; 32],
    n: usize,
    keep: &impl Fn(&Peer) -> bool,
    out: &mut Vec<&'a Peer>,
) {
    if out.len() >= n || peers.is_empty() {
        return;
    }
    if peers.len() <= 6 || depth >= 256 {
        let begin = out.len();
        out.extend(peers.iter().filter(|peer| keep(peer)));
        if let Some(new) = out.get_mut(begin..) {
            new.sort_unstable_by_key(|peer| distance(&peer.place.0, point));
        }
        out.truncate(n);
        return;
    }
    let (zeros, ones) = peers.split_at(peers.partition_point(|peer| !bit(&peer.place.0, depth)));
    let (near, far) = if bit(point, depth) { (ones, zeros) } else { (zeros, ones) };
    walk(near, depth + 1, point, n, keep, out);
    walk(far, depth + 1, point, n, keep, out);
}

#[cfg(test)]
mod tests;
