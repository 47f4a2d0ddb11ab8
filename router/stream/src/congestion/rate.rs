//! Delivery rates and their highest recent value.

use std::time::Instant;

/// The rate of delivery seen over one round trip of a packet.
pub(super) struct Sample {
    /// Bytes delivered when the packet was sent.
    pub(super) delivered: u64,
    /// Seconds it took to send what has been delivered.
    pub(super) send_elapsed: f64,
    /// Seconds it took to acknowledge it.
    pub(super) ack_elapsed: f64,
    /// The application had too little to send.
    pub(super) limited: bool,
}

impl Sample {
    /// Bytes a second, unless the time is too short to tell.
    pub(super) fn rate(&self, delivered_now: u64, least_rtt: f64) -> Option<f64> {
        let elapsed = self.send_elapsed.max(self.ack_elapsed);
        (elapsed > least_rtt * 0.9 && elapsed > 1e-6)
            .then(|| delivered_now.saturating_sub(self.delivered) as f64 / elapsed)
    }
}

/// The mean of rates over time: right after a lump of acknowledgements they are too high, before it too low.
#[derive(Clone, Copy)]
pub(super) struct Mean {
    pub(super) at: Instant,
    pub(super) last: f64,
    pub(super) value: f64,
}

impl Mean {
    /// The mean when the next rate is measured; what is older than `span` (seconds) hardly counts.
    pub(super) fn after(&self, now: Instant, rate: f64, span: f64) -> f64 {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        let between = f64::midpoint(self.last, rate);
        between + (self.value - between) * (-elapsed / span.max(0.001)).exp()
    }
}

/// A rate to be reached again after a pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regain {
    pub(super) rate: f64,
    /// Since when.
    pub(super) at: Instant,
}

/// The highest rate of late: the best three with their times (seconds), falling in height and rising in time.
#[derive(Clone, Default)]
pub(super) struct Peak {
    best: [(f64, f64); 3],
}

impl Peak {
    pub(super) fn get(&self) -> f64 {
        self.best[0].1
    }

    /// Takes a rate measured at `now`; rates older than `memory` are forgotten.
    pub(super) fn update(&mut self, now: f64, memory: f64, rate: f64) {
        let new = (now, rate);
        if rate >= self.best[0].1 || now - self.best[2].0 > memory {
            self.best = [new; 3];
            return;
        }
        if rate >= self.best[1].1 {
            self.best[1] = new;
            self.best[2] = new;
        } else if rate >= self.best[2].1 {
            self.best[2] = new;
        }
        let age = now - self.best[0].0;
        if age > memory {
            self.best = [self.best[1], self.best[2], new];
        } else if self.best[1].0 <= self.best[0].0 && age > memory / 4.0 {
            self.best[1] = new;
            self.best[2] = new;
        } else if self.best[2].0 <= self.best[1].0 && age > memory / 2.0 {
            self.best[2] = new;
        }
    }

    /// Forgets all but this.
    pub(super) fn set(&mut self, now: f64, rate: f64) {
        self.best = [(now, rate); 3];
    }

    /// Multiplies all by `factor`.
    pub(super) fn scale(&mut self, factor: f64) {
        for (_, rate) in &mut self.best {
            *rate *= factor;
        }
    }

    /// Returns to another's values where they are higher.
    pub(super) fn raise(&mut self, other: &Self) {
        if other.get() > self.get() {
            self.best = [(self.best[0].0, other.get()); 3];
        }
    }
}
