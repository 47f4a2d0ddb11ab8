//! What is due in a pool, and when it next will be.

use super::{Action, BuildId, Pending, Pool, Retirement, Tunnel};
use allium_crypto::Rng;
use std::time::{Duration, Instant};

/// How long a build may take at first, and while builds are quick.
pub(super) const SHORTEST_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Builds under way at once in a pool of which a tunnel works.
const IN_FLIGHT: usize = 4;
/// Builds under way at once in a pool of which none does.
const COLD_IN_FLIGHT: usize = 8;

/// Slower builds than before are waited for longer only after timeouts; quick ones bring the timeout down.
pub(super) fn timeout_after_success(timeout: Duration, build_time: Option<Duration>) -> Duration {
    let generous = build_time.unwrap_or(SHORTEST_TIMEOUT) * 4;
    timeout.min(generous).clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT)
}

/// The pause after the `failures`-th failure in a row: short while there is no tunnel at all.
pub(super) fn back_off(failures: u32, cold: bool, no_peers: bool, rng: &mut Rng) -> Duration {
    let (first, longest) = match (cold, no_peers) {
        (true, false) => (250, 5_000),
        (true, true) => (1_000, 5_000),
        (false, false) => (1_000, 20_000),
        (false, true) => (5_000, 30_000),
    };
    // Builds fail several at a time: every second failure doubles the pause.
    let pause = (first << (failures.saturating_sub(1) / 2).min(8)).min(longest);
    Duration::from_millis(pause * 3 / 4 + rng.below(pause / 2 + 1))
}

impl Pool {
    /// Does everything that is due, and computes when something next will be.
    pub(super) fn advance(&mut self, now: Instant) {
        if !self.stopped {
            self.time_out_builds(now);
            self.expire(now);
            self.time_out_tests(now);
            self.bury(now);
            self.start_tests(now);
            self.start_builds(now);
        }
        self.wake = self.next_wake(now);
    }

    fn time_out_builds(&mut self, now: Instant) {
        let late: Vec<BuildId> =
            self.pending.iter().filter(|p| p.started + self.timeout <= now).map(|p| p.id).collect();
        for &id in &late {
            self.actions.push_back(Action::Abandon { id });
            self.stats.timed_out += 1;
        }
        if !late.is_empty() {
            self.pending.retain(|p| !late.contains(&p.id));
            self.timeout = (self.timeout * 5 / 4).min(LONGEST_TIMEOUT);
            self.back_off(now, false);
        }
    }

    fn expire(&mut self, now: Instant) {
        let over: Vec<BuildId> = self.tunnels.iter().filter(|t| t.expires <= now).map(|t| t.id).collect();
        self.retire(&over, Retirement::Expired);
    }

    fn time_out_tests(&mut self, now: Instant) {
        let late: Vec<BuildId> = self
            .tunnels
            .iter()
            .filter(|t| t.forgotten_at().is_some_and(|at| at <= now))
            .map(|t| t.id)
            .collect();
        for id in late {
            self.test_failed(now, id);
        }
    }

    /// Retires what fails its tests, unless nothing in the pool passes them: then more likely we are to blame.
    fn bury(&mut self, now: Instant) {
        if !self.tunnels.iter().any(|t| t.good(now)) {
            return;
        }
        let dead: Vec<BuildId> = self.tunnels.iter().filter(|t| t.dead()).map(|t| t.id).collect();
        self.stats.tested_out += dead.len() as u64;
        self.retire(&dead, Retirement::FailedTests);
    }

    fn start_tests(&mut self, now: Instant) {
        for tunnel in &mut self.tunnels {
            if tunnel.next_test.is_some_and(|at| at <= now) {
                tunnel.test(now);
                self.actions.push_back(Action::Test { id: tunnel.id });
            }
        }
    }

    fn start_builds(&mut self, now: Instant) {
        if self.hold.is_some_and(|hold| hold > now) {
            return;
        }
        for _ in 0..self.missing(now).min(self.room()) {
            let id = BuildId(self.next_id);
            self.next_id += 1;
            self.pending.push(Pending { id, started: now });
            self.stats.builds += 1;
            let length = self.config.draw(&mut self.rng);
            self.actions.push_back(Action::Build { id, length });
        }
    }

    /// Tunnels wanted beyond those that are good and those about to be.
    fn missing(&self, now: Instant) -> usize {
        let good = self.tunnels.iter().filter(|t| t.good(now)).count();
        let promising = self.pending.iter().filter(|p| !self.slow(p, now)).count();
        usize::from(self.config.quantity).saturating_sub(good + promising)
    }

    fn room(&self) -> usize {
        let most = if self.is_cold() { COLD_IN_FLIGHT } else { IN_FLIGHT };
        most.saturating_sub(self.pending.len())
    }

    /// Whether another build should start beside this one, since there is nothing else and it takes long.
    fn slow(&self, pending: &Pending, now: Instant) -> bool {
        pending.started + self.patience() <= now && self.is_cold()
    }

    /// Whether no tunnel works.
    pub(super) fn is_cold(&self) -> bool {
        !self.tunnels.iter().any(Tunnel::healthy)
    }

    fn patience(&self) -> Duration {
        let usual = self.build_time.unwrap_or(Duration::from_secs(2));
        (usual * 3).clamp(Duration::from_secs(2), self.timeout)
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let patience = self.patience();
        let builds = self.pending.iter().flat_map(|p| [p.started + self.timeout, p.started + patience]);
        let tunnels = self.tunnels.iter().flat_map(|t: &Tunnel| {
            [Some(t.expires), Some(t.replace_at), t.next_test, t.forgotten_at()].into_iter().flatten()
        });
        let hold = self.hold.filter(|_| self.missing(now) > 0 && self.room() > 0);
        builds.chain(tunnels).chain(hold).filter(|at| *at > now).min()
    }
}
