//! One tunnel as its pool sees it.

use super::BuildId;
use crate::LIFETIME;
use allium_crypto::Rng;
use allium_wire::RouterHash;
use std::time::{Duration, Instant};

/// Time between the tests of a tunnel that passes them, in milliseconds.
const EVERY: std::ops::Range<u64> = 8_000..12_000;
/// Failed tests in a row after which a tunnel is no longer counted on.
const SUSPECT: u8 = 2;
/// Failed tests in a row after which it is retired, if the pool has a better one.
const DEAD: u8 = 3;
/// After a test that came through, a tunnel is not doubted for so long.
const TRUSTED: Duration = Duration::from_secs(3);
/// Doubted tunnels are tested within this, in milliseconds: not all in one moment.
const SOON: u64 = 300;
/// A test that its sender forgot to report counts as failed after this.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// A tunnel of a pool.
#[derive(Clone, Debug)]
pub struct Tunnel {
    pub(super) id: BuildId,
    pub(super) hops: Vec<RouterHash>,
    pub(super) built: Instant,
    pub(super) replace_at: Instant,
    pub(super) expires: Instant,
    pub(super) next_test: Option<Instant>,
    pub(super) testing: Option<Instant>,
    failures: u8,
    passed: Option<Instant>,
    rtt: Option<Duration>,
}

impl Tunnel {
    pub(super) fn new(
        id: BuildId,
        hops: Vec<RouterHash>,
        started: Instant,
        built: Instant,
        rng: &mut Rng,
    ) -> Self {
        let ahead = Duration::from_millis(rng.range(90_000..150_000));
        let next_test =
            if hops.is_empty() { None } else { Some(built + Duration::from_millis(rng.range(300..6000))) };
        Self {
            id,
            hops,
            built,
            replace_at: started + LIFETIME.saturating_sub(ahead),
            expires: started + LIFETIME,
            next_test,
            testing: None,
            failures: 0,
            passed: None,
            rtt: None,
        }
    }

    /// Its name.
    pub fn id(&self) -> BuildId {
        self.id
    }

    /// Its routers, in the order of the messages' way.
    pub fn hops(&self) -> &[RouterHash] {
        &self.hops
    }

    /// When it was ready.
    pub fn built(&self) -> Instant {
        self.built
    }

    /// When its routers forget it: ten minutes after it was asked for.
    pub fn expires(&self) -> Instant {
        self.expires
    }

    /// Whether it has not failed its last two tests.
    pub fn healthy(&self) -> bool {
        self.failures < SUSPECT
    }

    /// Whether its last test, if there was one, came through.
    pub fn unsuspected(&self) -> bool {
        self.failures == 0
    }

    /// Whether, and when, a test last came through.
    pub fn passed_at(&self) -> Option<Instant> {
        self.passed
    }

    /// The smoothed round trip of the tests through it.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Whether the pool counts on it: healthy, and not yet due for replacement.
    pub(super) fn good(&self, now: Instant) -> bool {
        self.healthy() && now < self.replace_at
    }

    pub(super) fn dead(&self) -> bool {
        self.failures >= DEAD
    }

    /// When a test under way counts as failed though nobody said so.
    pub(super) fn forgotten_at(&self) -> Option<Instant> {
        self.testing.map(|since| since + FORGOTTEN)
    }

    pub(super) fn test(&mut self, now: Instant) {
        self.testing = Some(now);
        self.next_test = None;
    }

    pub(super) fn passed(&mut self, now: Instant, rtt: Duration, rng: &mut Rng) {
        self.failures = 0;
        self.passed = Some(now);
        self.rtt = Some(super::smooth(self.rtt, rtt));
        self.testing = None;
        self.next_test = self.after(now, rng.range(EVERY));
    }

    pub(super) fn failed(&mut self, now: Instant, rng: &mut Rng) {
        self.failures = self.failures.saturating_add(1);
        self.testing = None;
        let again = if self.failures < DEAD { rng.range(500..2000) } else { rng.range(4000..8000) };
        self.next_test = self.after(now, again);
    }

    /// Brings its next test forward.
    pub(super) fn doubt(&mut self, now: Instant, rng: &mut Rng) {
        if self.passed.is_some_and(|at| now.saturating_duration_since(at) < TRUSTED) {
            return;
        }
        let soon = now + Duration::from_millis(rng.below(SOON));
        self.next_test = self.next_test.map(|at| at.min(soon));
    }

    pub(super) fn skipped(&mut self, now: Instant) {
        self.testing = None;
        self.next_test = self.after(now, 2000);
    }

    fn after(&self, now: Instant, millis: u64) -> Option<Instant> {
        if self.hops.is_empty() { None } else { Some(now + Duration::from_millis(millis)) }
    }
}
