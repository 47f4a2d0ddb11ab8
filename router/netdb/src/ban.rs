//! Routers that the database does not deal with for a while, because of what they sent.

use std::collections::BTreeMap;
use std::time::Duration;

use allium_wire::{Date, RouterHash};

/// Strikes within an hour or so that make a ban.
const STRIKES: f64 = 5.0;
/// After this time half of the strikes are forgiven.
const HALF_LIFE: Duration = Duration::from_mins(20);
const FIRST_BAN: Duration = Duration::from_mins(10);
const LONGEST_BAN: Duration = Duration::from_hours(24);

#[derive(Clone, Copy)]
struct Record {
    strikes: f64,
    counted: Date,
    bans: u32,
    until: Option<Date>,
}

/// Who is banned and who is on the way there; bounded.
pub struct Bans {
    most: usize,
    records: BTreeMap<RouterHash, Record>,
}

impl Bans {
    /// An empty list that remembers at most `most` routers.
    pub fn new(most: usize) -> Self {
        Self { most, records: BTreeMap::new() }
    }

    /// Counts a misdeed (1.0 is an ordinary one, 5.0 bans at once). Gives the end of the ban if this one
    /// started it; each further ban of a router is twice as long as the one before, up to a day.
    pub fn strike(&mut self, router: RouterHash, weight: f64, now: Date) -> Option<Date> {
        self.make_room(now, &router);
        let new = Record { strikes: 0.0, counted: now, bans: 0, until: None };
        let record = self.records.entry(router).or_insert(new);
        record.strikes = record.strikes_at(now) + weight.max(0.0);
        record.counted = now;
        if record.until.is_some_and(|until| until > now) || record.strikes < STRIKES {
            return None;
        }
        let length = FIRST_BAN.saturating_mul(1 << record.bans.min(10)).min(LONGEST_BAN);
        record.bans += 1;
        record.strikes = 0.0;
        record.until = Some(now + length);
        record.until
    }

    /// Whether the router is banned now.
    pub fn is_banned(&self, router: &RouterHash, now: Date) -> bool {
        self.records.get(router).and_then(|record| record.until).is_some_and(|until| until > now)
    }

    /// How many routers are banned now.
    pub fn banned(&self, now: Date) -> usize {
        self.records.values().filter(|record| record.until.is_some_and(|until| until > now)).count()
    }

    /// Forgets what has been forgiven.
    pub fn sweep(&mut self, now: Date) {
        self.records.retain(|_, record| {
            let remembered = record.until.is_some_and(|until| until + LONGEST_BAN > now);
            remembered || record.strikes_at(now) > 0.1
        });
    }

    fn make_room(&mut self, now: Date, router: &RouterHash) {
        if self.records.len() < self.most || self.records.contains_key(router) {
            return;
        }
        self.sweep(now);
        while self.records.len() >= self.most {
            let mildest = self.records.iter().min_by(|a, b| {
                let weight = |record: &Record| (record.until, record.strikes_at(now));
                let (a, b) = (weight(a.1), weight(b.1));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            });
            let Some(mildest) = mildest.map(|(router, _)| *router) else { return };
            self.records.remove(&mildest);
        }
    }
}

impl Record {
    fn strikes_at(&self, now: Date) -> f64 {
        let halves = now.since(self.counted).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.strikes * (-halves).exp2()
    }
}

#[cfg(test)]
mod tests;
