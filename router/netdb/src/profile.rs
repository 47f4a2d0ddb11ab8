//! What this router has experienced with each other router.
//!
//! Counts decay with a half-life of an hour, so a profile speaks of the present; nothing in it is taken from
//! what routers say about themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use allium_wire::{Date, RouterHash, text};
use serde::{Deserialize, Serialize};

use crate::Error;

const HALF_LIFE: Duration = Duration::from_hours(1);
/// No stored profile list is larger.
const MAX_SAVED: usize = 16 << 20;

/// One experience with a router.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation {
    /// It agreed to carry one of our tunnels.
    BuildAgreed,
    /// It refused to carry one of our tunnels.
    BuildRefused,
    /// A tunnel through it was not answered for: one of several suspects.
    BuildTimedOut,
    /// A test of a tunnel through it passed, with this round-trip time.
    TestPassed(Duration),
    /// A test of a tunnel through it failed: one of several suspects.
    TestFailed,
    /// A link to it came up, with this latency of the handshake.
    Linked(Duration),
    /// Dialling it failed.
    DialFailed,
    /// Bytes a second seen through it over some seconds.
    Throughput(u64),
    /// It answered one of our lookups or acknowledged one of our stores.
    Answered,
    /// It did not answer a lookup or store in time.
    Silent,
}

/// The experiences with one router, summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    /// Tunnels it agreed to carry.
    pub agreed: f32,
    /// Tunnels it refused.
    pub refused: f32,
    /// Builds through it that nobody answered.
    pub timed_out: f32,
    /// Tunnel tests that passed.
    pub passed: f32,
    /// Tunnel tests that failed.
    pub failed: f32,
    /// Smoothed round-trip time of tests of tunnels with it, milliseconds.
    pub rtt: Option<f32>,
    /// Smoothed latency of handshakes with it, milliseconds.
    pub latency: Option<f32>,
    /// Highest throughput seen lately, bytes a second.
    pub throughput: f32,
    /// Dials that failed since one succeeded.
    pub dial_failures: u16,
    /// When a dial last failed, milliseconds since the epoch.
    pub dialled: u64,
    /// Lookups and stores answered.
    pub answers: f32,
    /// Lookups and stores not answered.
    pub silences: f32,
    /// Lookups and stores not answered since one was.
    pub silent_streak: u16,
    /// When one was last not answered, milliseconds since the epoch.
    pub silent: u64,
    /// When it last did anything good, milliseconds since the epoch.
    pub good: u64,
    /// When the counts last decayed, milliseconds since the epoch.
    pub updated: u64,
}

/// What a selector of hops needs to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProfileView {
    /// How promising the router is, 0.0 to 1.0; a stranger has about 0.5.
    pub score: f32,
    /// Round-trip time of tests of tunnels with it.
    pub rtt: Option<Duration>,
    /// Latency of handshakes with it.
    pub latency: Option<Duration>,
    /// Highest throughput seen lately, bytes a second.
    pub throughput: u64,
    /// Dials fail at present: it should not be a first hop.
    pub dials_fail: bool,
    /// It has carried one of our tunnels, lately or before.
    pub proven: bool,
}

impl Profile {
    fn decay(&mut self, now: Date) {
        let past = Date(self.updated);
        if now <= past {
            return;
        }
        let factor = (-(now.since(past).as_secs_f64() / HALF_LIFE.as_secs_f64())).exp2() as f32;
        let counts = [
            &mut self.agreed,
            &mut self.refused,
            &mut self.timed_out,
            &mut self.passed,
            &mut self.failed,
            &mut self.answers,
            &mut self.silences,
            &mut self.throughput,
        ];
        for count in counts {
            *count *= factor;
        }
        self.updated = now.0;
    }

    fn observe(&mut self, what: Observation, now: Date) {
        self.decay(now);
        match what {
            Observation::BuildAgreed => self.agreed += 1.0,
            Observation::BuildRefused => self.refused += 1.0,
            Observation::BuildTimedOut => self.timed_out += 1.0,
            Observation::TestPassed(rtt) => {
                self.passed += 1.0;
                smooth(&mut self.rtt, rtt);
            }
            Observation::TestFailed => self.failed += 1.0,
            Observation::Linked(latency) => {
                self.dial_failures = 0;
                smooth(&mut self.latency, latency);
            }
            Observation::DialFailed => {
                self.dial_failures = self.dial_failures.saturating_add(1);
                self.dialled = now.0;
            }
            Observation::Throughput(rate) => self.throughput = self.throughput.max(rate as f32),
            Observation::Answered => {
                self.answers += 1.0;
                self.silent_streak = 0;
            }
            Observation::Silent => {
                self.silences += 1.0;
                self.silent_streak = self.silent_streak.saturating_add(1);
                self.silent = now.0;
            }
        }
        if what.is_good() {
            self.good = now.0;
        }
    }

    /// How promising the router is, from 0.0 to 1.0, as of `now`.
    ///
    /// The product of: the share of builds it agreed to, the share of tests it passed (both with a prior
    /// worth a few trials, so that strangers are tried), a mild discount for slow round trips, and a half
    /// for each dial that failed of late.
    pub fn score(&self, now: Date) -> f32 {
        let mut at = *self;
        at.decay(now);
        let agrees = (at.agreed + 2.0) / (at.agreed + at.refused + 1.2 * at.timed_out + 3.0);
        let works = (at.passed + 3.0) / (at.passed + 1.5 * at.failed + 4.0);
        let quick = at.rtt.map_or(0.9, |rtt| 1.0 / (1.0 + rtt.max(0.0) / 8000.0));
        let dials = if at.dials_fail(now) { 0.5_f32.powi(i32::from(at.dial_failures.min(8))) } else { 1.0 };
        (agrees * works * quick * dials).clamp(0.0, 1.0)
    }

    /// Whether dials fail at present: for 30 s after the first failure, twice as long after each, up to an
    /// hour.
    pub fn dials_fail(&self, now: Date) -> bool {
        let wait = Duration::from_secs(30 << self.dial_failures.saturating_sub(1).min(7));
        self.dial_failures > 0 && now < Date(self.dialled) + wait.min(Duration::from_hours(1))
    }

    /// Whether it ignored our last two or more database messages, the last within ten minutes.
    pub fn is_silent(&self, now: Date) -> bool {
        self.silent_streak >= 2 && now < Date(self.silent) + Duration::from_mins(10)
    }

    fn view(&self, now: Date) -> ProfileView {
        let time = |ms: Option<f32>| ms.map(|ms| Duration::from_millis(ms.clamp(0.0, 1e6).round() as u64));
        ProfileView {
            score: self.score(now),
            rtt: time(self.rtt),
            latency: time(self.latency),
            throughput: self.throughput as u64,
            dials_fail: self.dials_fail(now),
            proven: self.agreed > 0.01,
        }
    }

    /// Values from a file may be anything; these are sane.
    fn repaired(mut self) -> Self {
        let counts = [
            &mut self.agreed,
            &mut self.refused,
            &mut self.timed_out,
            &mut self.passed,
            &mut self.failed,
            &mut self.answers,
            &mut self.silences,
            &mut self.throughput,
        ];
        for count in counts {
            *count = if count.is_finite() { count.clamp(0.0, 1e9) } else { 0.0 };
        }
        self.rtt = self.rtt.filter(|rtt| rtt.is_finite());
        self.latency = self.latency.filter(|latency| latency.is_finite());
        self
    }
}

impl Observation {
    fn is_good(self) -> bool {
        use Observation::{Answered, BuildAgreed, Linked, TestPassed, Throughput};
        matches!(self, BuildAgreed | TestPassed(_) | Linked(_) | Throughput(_) | Answered)
    }
}

fn smooth(value: &mut Option<f32>, sample: Duration) {
    let sample = sample.as_secs_f32() * 1000.0;
    *value = Some(value.map_or(sample, |old| old + (sample - old) / 5.0));
}

/// The profiles of many routers; bounded.
pub struct Profiles {
    most: usize,
    profiles: BTreeMap<RouterHash, Profile>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    router: String,
    #[serde(flatten)]
    profile: Profile,
}

impl Profiles {
    /// No profiles yet, and never more than `most`.
    pub fn new(most: usize) -> Self {
        Self { most, profiles: BTreeMap::new() }
    }

    /// Notes an experience with a router.
    pub fn observe(&mut self, router: RouterHash, what: Observation, now: Date) {
        if self.profiles.len() >= self.most && !self.profiles.contains_key(&router) {
            self.make_room();
        }
        let new = Profile { updated: now.0, ..Profile::default() };
        self.profiles.entry(router).or_insert(new).observe(what, now);
    }

    /// The profile of a router, if there was any experience with it.
    pub fn get(&self, router: &RouterHash) -> Option<&Profile> {
        self.profiles.get(router)
    }

    /// What to think of a router now; strangers get the benefit of the doubt.
    pub fn view(&self, router: &RouterHash, now: Date) -> ProfileView {
        self.profiles.get(router).copied().unwrap_or_default().view(now)
    }

    /// Forgets a router.
    pub fn forget(&mut self, router: &RouterHash) {
        self.profiles.remove(router);
    }

    /// How many routers have a profile.
    pub fn len(&self) -> usize {
        self.profiles.len()
    }

    /// Whether there are no profiles.
    pub fn is_empty(&self) -> bool {
        self.profiles.is_empty()
    }

    /// Forgets profiles that nothing good was added to for three days.
    pub fn sweep(&mut self, now: Date) {
        let old = Duration::from_hours(72);
        self.profiles.retain(|_, profile| now < Date(profile.good.max(profile.updated)) + old);
    }

    /// All profiles as JSON: a list of objects with the router's hash in base64 and the fields of
    /// [`Profile`].
    pub fn save(&self) -> Result<Vec<u8>, Error> {
        let saved: Vec<Saved> = self
            .profiles
            .iter()
            .map(|(router, profile)| Saved { router: text::base64_encode(&router.0), profile: *profile })
            .collect();
        serde_json::to_vec(&saved).map_err(|_| Error::Profiles)
    }

    /// The profiles that [`Profiles::save`] wrote, at most `most` of them; entries with odd names are
    /// skipped.
    pub fn restore(json: &[u8], most: usize) -> Result<Self, Error> {
        if json.len() > MAX_SAVED {
            return Err(Error::Profiles);
        }
        let saved: Vec<Saved> = serde_json::from_slice(json).map_err(|_| Error::Profiles)?;
        let named = saved.into_iter().filter_map(|saved| {
            let hash: [u8; 32] = text::base64_decode(&saved.router).ok()?.try_into().ok()?;
            Some((RouterHash(hash), saved.profile.repaired()))
        });
        Ok(Self { most, profiles: named.take(most).collect() })
    }

    /// Forgets the twentieth of the profiles that were good for something the longest ago.
    fn make_room(&mut self) {
        let mut by_age: Vec<(u64, RouterHash)> =
            self.profiles.iter().map(|(router, profile)| (profile.good, *router)).collect();
        by_age.sort_unstable();
        for (_, router) in by_age.into_iter().take(self.most / 20 + 1) {
            self.profiles.remove(&router);
        }
    }
}

#[cfg(test)]
mod tests;
