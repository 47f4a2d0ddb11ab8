//! Which routers a tunnel goes through.
//!
//! The rules are strict first and then loosened one by one, and the result says how far: a tunnel through
//! doubtful routers is better than none, but somebody should know. Never loosened: no router twice, none that is
//! excluded, unusable or refuses all tunnels, and a far end that others can reach.

use crate::Direction;
use allium_crypto::Rng;
use allium_crypto::hash::sha256_of;
use allium_wire::RouterHash;
use std::collections::BTreeSet;

/// Draws before a rule is loosened.
const ATTEMPTS: usize = 4;

/// What tunnels are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Our own housekeeping: spread widely, so that good routers are found.
    Exploratory,
    /// A client's traffic: mostly routers known to be good.
    Client,
}

/// A router that may become a hop, as far as the choice needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its hash.
    pub hash: RouterHash,
    /// Bandwidth letter, K (least) to P and X.
    pub bandwidth: char,
    /// It publishes an address that we, and others, can connect to.
    pub reachable: bool,
    /// It serves the network database too.
    pub floodfill: bool,
    /// Congestion letter: D (somewhat), E (much), G (refuses all tunnels).
    pub congestion: Option<char>,
    /// Keys of the networks of its addresses (IPv4 /16, IPv6 /32), equal for neighbours.
    pub networks: [Option<u64>; 2],
    /// A key of its declared family, equal for members.
    pub family: Option<u64>,
    /// We have a link to it.
    pub connected: bool,
    /// How well it has done: 1 is neutral, 0 the worst; higher is better, without limit.
    pub score: f64,
    /// It lately failed or refused us.
    pub recently_failed: bool,
    /// Version, network and key type are such that it can be a hop at all.
    pub usable: bool,
}

/// How far the rules had to be loosened; each step includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loosened {
    /// Every rule was kept.
    Nothing,
    /// Routers that lately failed.
    RecentFailures,
    /// Slow and congested routers.
    Capacity,
    /// Routers in the middle that may not be reachable.
    Reachability,
    /// Several routers of one network.
    Network,
    /// Several routers of one family.
    Family,
}

impl Loosened {
    const STEPS: [Self; 6] = [
        Self::Nothing,
        Self::RecentFailures,
        Self::Capacity,
        Self::Reachability,
        Self::Network,
        Self::Family,
    ];

    /// The reason, for a log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Nothing => "all rules kept",
            Self::RecentFailures => "too few routers without recent failures",
            Self::Capacity => "too few routers that are fast and not congested",
            Self::Reachability => "too few reachable routers",
            Self::Network => "too few different networks",
            Self::Family => "too few different families",
        }
    }
}

/// The choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The hops, in the order of the messages' way.
    pub hops: Vec<RouterHash>,
    /// How far the rules were loosened.
    pub loosened: Loosened,
}

/// Why there is no choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// No router may be a hop at all.
    #[error("no usable routers known")]
    NoCandidates,
    /// Not enough may.
    #[error("only {found} of {wanted} hops could be found")]
    TooFew {
        /// Hops asked for.
        wanted: usize,
        /// Hops found, with every rule loosened.
        found: usize,
    },
}

/// Chooses the hops of one pool's tunnels.
pub struct Selector {
    /// What the tunnels are for.
    pub usage: Usage,
    /// Which way they lead.
    pub direction: Direction,
    /// Routers never to use; ourselves above all.
    pub excluded: BTreeSet<RouterHash>,
    /// If set, no others.
    pub only: Option<BTreeSet<RouterHash>>,
    /// Whether routers of one network are kept apart.
    pub ip_rule: bool,
    /// Whether others can connect to us; if not, the hop next to us must be connected already.
    pub we_are_reachable: bool,
    /// The order of hops is by distance from this, so that it differs between pools and stays within one.
    order: [u8; 32],
    rng: Rng,
}

impl Selector {
    /// With a random order, `us` excluded and every rule on.
    pub fn new(usage: Usage, direction: Direction, us: RouterHash, mut rng: Rng) -> Self {
        Self {
            usage,
            direction,
            excluded: BTreeSet::from([us]),
            only: None,
            ip_rule: true,
            we_are_reachable: true,
            order: rng.array(),
            rng,
        }
    }

    /// Chooses `length` hops.
    pub fn select(&mut self, candidates: &[Candidate], length: usize) -> Result<Chosen, Why> {
        if length == 0 {
            return Ok(Chosen { hops: Vec::new(), loosened: Loosened::Nothing });
        }
        let mut found = 0;
        let mut any = false;
        for loosened in Loosened::STEPS {
            let admitted: Vec<(&Candidate, f64)> =
                candidates.iter().filter(|c| self.admits(c, loosened)).map(|c| (c, self.weight(c))).collect();
            any |= !admitted.is_empty();
            // An unlucky draw can leave no one for the last place: try again before giving up a rule.
            for _ in 0..if admitted.len() < length { 1 } else { ATTEMPTS } {
                let chosen = self.draw(&admitted, length, loosened);
                if chosen.len() == length {
                    return Ok(Chosen { hops: chosen.iter().map(|c| c.hash).collect(), loosened });
                }
                found = found.max(chosen.len());
            }
        }
        if any { Err(Why::TooFew { wanted: length, found }) } else { Err(Why::NoCandidates) }
    }

    /// Whether the router may be a hop anywhere in a tunnel.
    fn admits(&self, c: &Candidate, loosened: Loosened) -> bool {
        let slow = matches!(c.bandwidth, 'K' | 'L') || !c.bandwidth.is_ascii_uppercase();
        c.usable
            && c.congestion != Some('G')
            && !self.excluded.contains(&c.hash)
            && self.only.as_ref().is_none_or(|only| only.contains(&c.hash))
            && (!c.recently_failed || loosened >= Loosened::RecentFailures)
            && (!(slow || c.congestion == Some('E')) || loosened >= Loosened::Capacity)
            && (c.reachable || c.connected || loosened >= Loosened::Reachability)
    }

    /// How likely the router is to be drawn, relative to others.
    fn weight(&self, c: &Candidate) -> f64 {
        let score = if c.score.is_finite() { c.score.clamp(0.01, 100.0) } else { 1.0 };
        let tier: f64 = match c.bandwidth {
            'X' => 1.4,
            'P' => 1.2,
            'O' => 1.0,
            'N' => 0.7,
            'M' => 0.5,
            _ => 0.15,
        };
        let base = match self.usage {
            Usage::Client => score * score.sqrt() * tier,
            Usage::Exploratory => (0.3 + score).sqrt() * tier.sqrt(),
        };
        let congestion = match c.congestion {
            Some('D') => 0.3,
            Some(_) => 0.1,
            None => 1.0,
        };
        let failed = if c.recently_failed { 0.1 } else { 1.0 };
        let floodfill = if c.floodfill { 0.7 } else { 1.0 };
        base * congestion * failed * floodfill
    }

    /// Draws the far end, the hop next to us, and what is between, the scarcest first; then orders them. Fewer
    /// than asked for if there are no more.
    fn draw<'a>(
        &mut self,
        from: &[(&'a Candidate, f64)],
        length: usize,
        loosened: Loosened,
    ) -> Vec<&'a Candidate> {
        let near_first = self.direction == Direction::Inbound && !self.we_are_reachable;
        let (near, far) = if near_first || length == 1 { (0, length.min(2) - 1) } else { (1, 0) };
        let apart = Apart {
            networks: self.ip_rule && loosened < Loosened::Network,
            families: loosened < Loosened::Family,
        };
        let mut chosen: Vec<&Candidate> = Vec::with_capacity(length);
        for position in 0..length {
            let place = Place { near: position == near, far: position == far, near_first };
            let weigh = |c: &Candidate, weight: f64| {
                let fits = self.fits(c, &place, loosened) && apart.allow(&chosen, c);
                let linked = if place.near && c.connected { 4.0 } else { 1.0 };
                if fits { weight * linked } else { 0.0 }
            };
            let weights: Vec<f64> = from.iter().map(|(c, weight)| weigh(c, *weight)).collect();
            match pick(&mut self.rng, &weights) {
                Some(at) => chosen.push(from[at].0),
                None => return chosen,
            }
        }
        if near > 0 {
            chosen.swap(0, near);
        }
        self.arrange(&mut chosen);
        chosen
    }

    /// Whether the router may take this place in the tunnel.
    fn fits(&self, c: &Candidate, place: &Place, loosened: Loosened) -> bool {
        // Nobody but us has to reach the first hop of an outbound tunnel.
        let first = place.near && self.direction == Direction::Outbound && c.connected;
        let reached = c.reachable || (!place.far && (first || loosened >= Loosened::Reachability));
        reached && (!(place.near && place.near_first) || c.connected)
    }

    /// From "near, then others" to the order of the messages' way: the others and the far end by distance, but
    /// with a reachable router at the far end.
    fn arrange(&self, chosen: &mut [&Candidate]) {
        let [_, rest @ ..] = chosen else { return };
        rest.sort_by_cached_key(|c| self.distance(&c.hash));
        if let Some(at) = rest.iter().rposition(|c| c.reachable) {
            rest[at..].rotate_left(1);
        }
        if self.direction == Direction::Inbound {
            chosen.reverse();
        }
    }

    fn distance(&self, hash: &RouterHash) -> [u8; 32] {
        let mut distance = sha256_of(&[hash.as_bytes(), &self.order]);
        for (byte, key) in distance.iter_mut().zip(&self.order) {
            *byte ^= key;
        }
        distance
    }
}

/// A place in a tunnel.
struct Place {
    /// Next to us.
    near: bool,
    /// At the other end.
    far: bool,
    /// The near one must have a link to us, since it cannot make one.
    near_first: bool,
}

/// Which likenesses keep two routers out of one tunnel.
struct Apart {
    networks: bool,
    families: bool,
}

impl Apart {
    fn allow(&self, chosen: &[&Candidate], next: &Candidate) -> bool {
        chosen.iter().all(|c| {
            let neighbours = next.networks.iter().flatten().any(|n| c.networks.contains(&Some(*n)));
            let relatives = next.family.is_some() && next.family == c.family;
            c.hash != next.hash && !(self.networks && neighbours) && !(self.families && relatives)
        })
    }
}

/// An index, with a chance proportional to its weight.
fn pick(rng: &mut Rng, weights: &[f64]) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let mut mark = rng.unit() * total;
    let mut last = None;
    for (at, &weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
        last = Some(at);
        if mark < weight {
            break;
        }
        mark -= weight;
    }
    last
}

#[cfg(test)]
mod tests;
