//! How much may be in flight to a peer, and how fast: a model of the path's bandwidth and round-trip time.
//!
//! The model follows the ideas of BBR: the window is twice the product of the highest recent delivery rate
//! and the least recent round-trip time, so the standing queue is bounded by about one round trip, and
//! packets that are lost or late do not shrink it by themselves. Growth is exponential until the rate stops
//! growing or the whole round got slower. A round in which more than a twentieth is lost lowers a ceiling.

mod rate;

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::rtt::Rtt;

use rate::{Mean, Peak, Regain, Sample};

/// Bytes of a whole packet, header included.
pub(crate) const PACKET: u64 = 1836;
const LEAST_WINDOW: u64 = 8 * PACKET;
const STARTUP_GAIN: f64 = 2.89;
const RESUMED_GAIN: f64 = 1.25;
const STARTUP_WINDOW_GAIN: f64 = 3.2;
const WINDOW_GAIN: f64 = 2.0;
/// Rates, relative to the estimate, of the eight parts of a cycle.
const CYCLE: [f64; 8] = [1.25, 0.75, 0.97, 0.97, 0.97, 0.97, 0.97, 0.97];
/// How much more than before is found by probing where there may be much more.
const PROBED: f64 = 1.15;
/// The same where links stall, which hides half of it.
const PROBED_STALLING: f64 = 1.07;
/// Seconds that acknowledgements wait for each other where nothing stalls.
const LUMP: f64 = 0.02;
/// Stalls of this part of a round trip have to be reckoned with.
const STALLS: f64 = 0.1;
/// How many round trips longer than the least a packet may take on average without its being taken for a queue.
const MOST_STALLED: f64 = 1.5;
/// The share of a round that may be lost without a reaction.
const TOLERATED_LOSS: f64 = 0.05;
/// Least round trips for which a rate is remembered.
const MEMORY: f64 = 10.0;
/// What is believed of an estimate after a pause, and how long (seconds) a pause is for that.
const COLD: f64 = 0.7;
const PAUSE: f64 = 1.0;
/// The share of it that has to be seen before it is believed again.
const HELD: f64 = 0.8;
/// Shorter pauses (seconds) are no reason to believe less, but the next burst does not leave faster than that.
const BREATH: f64 = 0.05;
/// A path of which less than a quarter was used for so long (seconds) is found out anew where links stall: once they
/// have lost what little they carried, they are slow themselves.
const SPARSE: f64 = 2.0;
/// Stalls of this part of a round trip say that links lose packets.
const FORGETS: f64 = 0.25;
/// The share of what is thought to fit into the path with which that begins.
const ANEW: f64 = 0.25;
/// So many packets in flight are more than an answer or two.
const BURST: u64 = 8 * PACKET;
/// Where all of a round took so many times the least round trip, the estimate is too high, and not by a little.
const FLOODED: f64 = 2.0;
/// The most by which one such round lowers it.
const LOWERED: f64 = 0.5;
/// Seconds after which an unused estimate is believed half as much.
const HALF_LIFE: f64 = 60.0;

/// The round-trip time (seconds) that shows a queue during startup. The links below are connections of their own, which
/// have to speed up first: for a few of their round trips they hold back what was sent, on a path that has room.
fn slow(minimum: f64) -> f64 {
    minimum * 1.5 + 0.03
}

/// What is known at the moment a packet is sent, to measure the rate of its delivery later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flight {
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    limited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Doubling each round.
    Startup,
    /// Emptying the queue that startup has made.
    Drain,
    /// Probing up and down around the estimate; the part of the cycle, and when it began.
    Cruise { part: usize, since: Instant },
    /// Nearly stopping, to see the round-trip time without our own queue.
    Settle { until: Option<Instant>, since: Instant },
}

/// What happened in the current round.
struct Round {
    ends_at: u64,
    began: Option<Instant>,
    delivered: u64,
    lost: u64,
    peak_flight: u64,
    least_rtt: f64,
    samples: u32,
    limited: bool,
    /// Seconds that packets took, times their bytes, and the bytes.
    ages: (f64, f64),
}

impl Round {
    fn new(ends_at: u64, began: Option<Instant>) -> Self {
        Self {
            ends_at,
            began,
            delivered: 0,
            lost: 0,
            peak_flight: 0,
            least_rtt: f64::INFINITY,
            samples: 0,
            limited: false,
            ages: (0.0, 0.0),
        }
    }
}

/// The congestion control of one path (a peer, seen from one of our destinations).
pub(crate) struct Congestion {
    initial: u64,
    maximum: u64,
    phase: Phase,
    window: u64,
    in_flight: u64,
    delivered: u64,
    delivered_at: Option<Instant>,
    first_sent_at: Option<Instant>,
    last_sent_at: Option<Instant>,
    /// When much of the path was last in use.
    used_at: Option<Instant>,
    limited_until: u64,
    /// The application has sent all it had: what it sends next says nothing about the path either.
    dry: bool,
    /// When the first rate was measured: the zero of the times in `bandwidth`.
    began: Option<Instant>,
    bandwidth: Peak,
    sample: Option<Sample>,
    round: Round,
    full: bool,
    full_rate: f64,
    full_rounds: u32,
    /// Since when, and how often, every packet has been slow.
    slow_since: Option<(Instant, u32)>,
    /// Bytes whose loss has ended startup.
    full_by_loss: Option<u64>,
    probed_from: f64,
    ceiling: Option<u64>,
    lowered_at: Option<Instant>,
    /// Samples of packets sent before this much was delivered are ignored.
    lump: u64,
    settled_rtt: f64,
    undo: Option<(u64, Peak)>,
    /// The least round-trip time (seconds) as last seen.
    minimum: f64,
    /// How much longer (seconds) than the quickest of its round a packet takes on average: links stall now and then, as
    /// they repeat what they lost. A queue of our own delays all of a round.
    stall: f64,
    regain: Option<Regain>,
    /// Startup goes on after a pause: what it sends does not leave faster than it grows.
    resumed: bool,
    /// The mean of the latest rates, and when it was taken: acknowledgements come in lumps.
    mean: Option<Mean>,
}

impl Congestion {
    pub(crate) fn new(config: &Config) -> Self {
        let initial = u64::from(config.initial_window.max(2)) * PACKET;
        Self {
            initial,
            maximum: (u64::from(config.max_window) * PACKET).max(initial),
            phase: Phase::Startup,
            window: initial,
            in_flight: 0,
            delivered: 0,
            delivered_at: None,
            first_sent_at: None,
            last_sent_at: None,
            used_at: None,
            limited_until: 0,
            dry: true,
            began: None,
            bandwidth: Peak::default(),
            sample: None,
            round: Round::new(0, None),
            full: false,
            full_rate: 0.0,
            full_rounds: 0,
            slow_since: None,
            full_by_loss: None,
            probed_from: 0.0,
            ceiling: None,
            lowered_at: None,
            lump: 0,
            settled_rtt: f64::INFINITY,
            undo: None,
            minimum: 0.0,
            stall: 0.0,
            regain: None,
            resumed: false,
            mean: None,
        }
    }

    /// The name of the phase, for statistics.
    pub(crate) fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Startup if self.resumed => "resumed",
            Phase::Startup => "startup",
            Phase::Drain => "drain",
            Phase::Cruise { .. } if self.regain.is_some() => "regain",
            Phase::Cruise { .. } => "cruise",
            Phase::Settle { .. } => "settle",
        }
    }

    /// Bytes that may be in flight now.
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// The estimated delivery rate, in bytes a second; 0 before the first measurement.
    pub(crate) fn bandwidth(&self) -> f64 {
        self.bandwidth.get()
    }

    /// Whether another packet fits into the window.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight < self.window
    }

    /// The rate at which packets may leave, in bytes a second.
    pub(crate) fn pacing_rate(&self, rtt: &Rtt) -> f64 {
        let bandwidth = self.bandwidth.get();
        let smoothed = rtt.smoothed().unwrap_or(0.4).max(0.001);
        match self.phase {
            // No slower than to a peer of which nothing is known.
            Phase::Startup if self.resumed => (RESUMED_GAIN * bandwidth).max(self.initial as f64 / smoothed),
            Phase::Startup => (STARTUP_GAIN * bandwidth).max(1.25 * self.window as f64 / smoothed),
            Phase::Drain => bandwidth / STARTUP_GAIN,
            Phase::Cruise { part, .. } => bandwidth * CYCLE.get(part).copied().unwrap_or(1.0),
            Phase::Settle { .. } => bandwidth,
        }
        .max(LEAST_WINDOW as f64)
    }

    /// The application has no more to send, so the next rates measured say nothing about the path.
    pub(crate) fn nothing_to_send(&mut self) {
        if self.in_flight < self.window {
            self.limited_until = (self.delivered + self.in_flight).max(1);
            self.dry = true;
        }
    }

    /// Notes a transmission; what it returns belongs to the packet.
    pub(crate) fn sent(&mut self, now: Instant, bytes: u64) -> Flight {
        if self.in_flight == 0 {
            self.age(now);
            self.pause(now);
            self.first_sent_at = Some(now);
            self.delivered_at = Some(now);
        }
        self.last_sent_at = Some(now);
        if std::mem::take(&mut self.dry) {
            self.limited_until = self.limited_until.max((self.delivered + self.in_flight).max(1));
        }
        self.in_flight += bytes;
        self.watch_use(now);
        self.round.peak_flight = self.round.peak_flight.max(self.in_flight);
        Flight {
            delivered: self.delivered,
            delivered_at: self.delivered_at.unwrap_or(now),
            first_sent_at: self.first_sent_at.unwrap_or(now),
            limited: self.limited_until > 0,
        }
    }

    /// Believes an estimate less that was not used for a while.
    fn age(&mut self, now: Instant) {
        let Some(last) = self.last_sent_at else { return };
        let idle = now.saturating_duration_since(last).as_secs_f64();
        if idle > 10.0 {
            let factor = 0.5f64.powf((idle - 10.0) / HALF_LIFE);
            self.bandwidth.scale(factor);
            self.window = ((self.window as f64 * factor) as u64).max(self.initial.min(self.window));
            self.full_rate *= factor;
            self.ceiling = None;
            if let Some(regain) = &mut self.regain {
                regain.rate *= factor;
            }
        }
    }

    /// Begins anew, from a part of the window, when much is sent where little went for a while and links stall.
    fn watch_use(&mut self, now: Instant) {
        let product = (self.bandwidth.get() * self.minimum) as u64;
        if self.in_flight >= product / 4 {
            self.used_at = Some(now);
            return;
        }
        let sparse = self.used_at.is_some_and(|at| now.saturating_duration_since(at).as_secs_f64() > SPARSE);
        if !sparse || self.in_flight < BURST || self.stall <= self.minimum * FORGETS {
            return;
        }
        self.window = self.window.min(((product as f64 * ANEW) as u64).max(self.initial));
        self.begin_anew();
        self.full_by_loss = None;
        self.used_at = Some(now);
    }

    /// Finds the rate out from the start: of what was learned only the window stays.
    fn begin_anew(&mut self) {
        self.phase = Phase::Startup;
        self.bandwidth = Peak::default();
        self.full = false;
        self.full_rate = 0.0;
        self.full_rounds = 0;
        self.ceiling = None;
        self.regain = None;
        self.resumed = false;
        self.mean = None;
    }

    /// Begins again after a pause: not with the whole window at once, but at the remembered pace or, as the
    /// connections below may have slowed down, somewhat less.
    fn pause(&mut self, now: Instant) {
        let idle = self.last_sent_at.max(self.delivered_at).map(|at| now.saturating_duration_since(at));
        let idle = idle.map_or(0.0, |idle| idle.as_secs_f64());
        let known = self.regain.map_or(0.0, |regain| regain.rate).max(self.bandwidth.get());
        let product = (known * self.minimum) as u64;
        if idle < BREATH || self.phase == Phase::Startup && product < self.initial {
            return;
        }
        let rate = if idle > PAUSE { self.bandwidth.get().min(known * COLD) } else { self.bandwidth.get() };
        let elapsed = now.saturating_duration_since(*self.began.get_or_insert(now)).as_secs_f64();
        self.bandwidth.set(elapsed, rate);
        self.regain = Some(Regain { rate: known, at: now });
        self.window = self.window.min((product * 2).max(self.initial));
        self.phase = Phase::Cruise { part: 0, since: now };
        self.full = true;
        self.mean = None;
    }

    /// A packet has arrived. `counted`: it was still counted as in flight.
    pub(crate) fn delivered(
        &mut self,
        now: Instant,
        sent: Instant,
        flight: Flight,
        bytes: u64,
        counted: bool,
    ) {
        if counted {
            self.in_flight = self.in_flight.saturating_sub(bytes);
        }
        self.delivered += bytes;
        self.round.delivered += bytes;
        self.delivered_at = Some(now);
        let age = now.saturating_duration_since(sent).as_secs_f64();
        if age > self.minimum * 0.9 {
            self.round.ages.0 += age * bytes as f64;
            self.round.ages.1 += bytes as f64;
        }
        if flight.delivered < self.lump {
            return;
        }
        if self.sample.as_ref().is_none_or(|sample| flight.delivered >= sample.delivered) {
            self.sample = Some(Sample {
                delivered: flight.delivered,
                send_elapsed: sent.saturating_duration_since(flight.first_sent_at).as_secs_f64(),
                ack_elapsed: now.saturating_duration_since(flight.delivered_at).as_secs_f64(),
                limited: flight.limited,
            });
            self.first_sent_at = Some(sent);
        }
    }

    /// A packet counts as lost. `counted`: it was still counted as in flight.
    pub(crate) fn lost(&mut self, sent: Instant, bytes: u64, counted: bool) {
        if counted {
            self.in_flight = self.in_flight.saturating_sub(bytes);
        }
        if self.lowered_at.is_some_and(|at| sent <= at) {
            // What was in flight when the ceiling was lowered says nothing new.
            return;
        }
        self.round.lost += bytes;
        if self.phase == Phase::Startup && self.round.lost > (self.window / 16).max(16 * PACKET) {
            self.full = true;
            self.full_by_loss = Some(self.round.lost);
        }
    }

    /// A packet is no longer waited for, though nothing is known of its fate.
    pub(crate) fn forget(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// Much that had arrived before is only now acknowledged, so rates measured over this moment are wrong.
    pub(crate) fn lump(&mut self) {
        self.lump = self.delivered;
        self.sample = None;
    }

    /// A packet that was thought lost was only late.
    pub(crate) fn not_lost(&mut self, bytes: u64) {
        self.round.lost = self.round.lost.saturating_sub(bytes);
        if let Some(lost) = self.full_by_loss {
            let left = lost.saturating_sub(bytes);
            self.full_by_loss = Some(left);
            if left < 8 * PACKET {
                self.full_by_loss = None;
                self.ceiling = None;
                self.lowered_at = None;
                self.full = false;
                self.full_rounds = 0;
                self.phase = Phase::Startup;
            }
        }
        if let Some((window, bandwidth)) = self.undo.take() {
            self.window = self.window.max(window);
            self.bandwidth.raise(&bandwidth);
        }
    }

    /// Nothing has been heard for several timeouts: begins anew, carefully.
    pub(crate) fn collapse(&mut self) {
        self.undo.get_or_insert((self.window, self.bandwidth.clone()));
        self.window = LEAST_WINDOW;
        self.begin_anew();
    }

    /// A timeout with much in flight: what is sent again begins with half of what fits into the path.
    pub(crate) fn restart(&mut self, rtt: &Rtt) {
        self.undo.get_or_insert((self.window, self.bandwidth.clone()));
        self.window = self.window.min(self.product(rtt, 0.5));
    }

    /// Ends the processing of one acknowledgement that has acknowledged `acked` bytes.
    pub(crate) fn acknowledged(&mut self, now: Instant, rtt: &mut Rtt, acked: u64, measured: Option<f64>) {
        if let Some(measured) = measured {
            self.round.least_rtt = self.round.least_rtt.min(measured);
            self.round.samples += 1;
            self.settled_rtt = self.settled_rtt.min(measured);
            self.watch_delay(now, rtt, measured);
        }
        if self.delivered > self.limited_until {
            self.limited_until = 0;
        }
        let Some(sample) = self.sample.take() else {
            self.advance(now, rtt);
            self.grow(acked, rtt);
            return;
        };
        self.round.limited |= sample.limited;
        let minimum = rtt.minimum().unwrap_or(0.0);
        self.minimum = minimum;
        let rate = sample.rate(self.delivered, minimum).map(|rate| self.average(now, rate));
        if let Some(rate) = rate
            && (!sample.limited || rate >= self.bandwidth.get())
        {
            let elapsed = now.saturating_duration_since(*self.began.get_or_insert(now)).as_secs_f64();
            self.bandwidth.update(elapsed, (minimum * MEMORY).clamp(1.0, 10.0), rate);
        }
        if sample.delivered >= self.round.ends_at {
            self.end_round(now, rtt);
        }
        self.advance(now, rtt);
        self.grow(acked, rtt);
    }

    /// What a packet takes (seconds) that does not wait in a queue of our own.
    fn usual(&self, rtt: &Rtt) -> f64 {
        rtt.minimum().unwrap_or(0.1) + self.stall
    }

    /// Whether links stall so much that it has to be reckoned with.
    fn stalls(&self, rtt: &Rtt) -> bool {
        self.stall > rtt.minimum().unwrap_or(0.1) * STALLS
    }

    /// Bytes on their way when the path carries what it can and nothing waits in a queue of our own.
    fn pipe(&self, rtt: &Rtt) -> u64 {
        ((self.bandwidth.get() * self.usual(rtt)) as u64).max(LEAST_WINDOW)
    }

    /// Learns from a round how long links stall. While the path is filled for the first time, all that is slow is a queue.
    fn note_stalls(&mut self, round: &Round, minimum: f64) {
        let (sum, bytes) = round.ages;
        let filling =
            matches!(self.phase, Phase::Startup | Phase::Drain) && round.least_rtt > minimum * 1.25 + 0.002;
        if bytes > 0.0 && round.samples >= 4 && !filling {
            let late = sum / bytes - round.least_rtt.max(minimum) - LUMP;
            let late = late.clamp(0.0, minimum * MOST_STALLED);
            self.stall = f64::midpoint(self.stall, late);
        }
    }

    /// The mean of this and earlier rates over a part of a round trip. Towards a rate that is known already
    /// the pace bounds what is measured.
    fn average(&mut self, now: Instant, rate: f64) -> f64 {
        if self.regain.is_some() {
            self.mean = None;
            return rate;
        }
        let span = if self.phase == Phase::Startup { 0.04 } else { 0.25 };
        let mean = self.mean.map_or(rate, |mean| mean.after(now, rate, self.minimum * span));
        self.mean = Some(Mean { at: now, last: rate, value: mean });
        mean
    }

    /// Bandwidth times delay, in bytes, times `gain`.
    fn product(&self, rtt: &Rtt, gain: f64) -> u64 {
        let product = self.bandwidth.get() * rtt.minimum().unwrap_or(0.0) * gain;
        (product as u64).max(LEAST_WINDOW)
    }

    fn end_round(&mut self, now: Instant, rtt: &Rtt) {
        let next = Round::new(self.delivered, Some(now));
        let round = std::mem::replace(&mut self.round, next);
        self.round.peak_flight = self.in_flight;
        self.note_stalls(&round, rtt.minimum().unwrap_or(0.0));
        let total = round.delivered + round.lost;
        let lossy = round.lost > 10 * PACKET && round.lost as f64 > total as f64 * TOLERATED_LOSS;
        if lossy {
            let floor = if self.stalls(rtt) { self.pipe(rtt) } else { self.product(rtt, 0.6) };
            let base = self.ceiling.unwrap_or(u64::MAX).min(round.peak_flight);
            self.ceiling = Some((base / 20 * 17).max(floor));
            self.lowered_at = Some(now);
        } else if let Some(ceiling) = self.ceiling.filter(|ceiling| round.peak_flight > ceiling / 10 * 9) {
            let grown = ceiling + (ceiling / 32).max(2 * PACKET);
            self.ceiling = (grown < self.product(rtt, 2.5)).then_some(grown);
        }
        if self.phase == Phase::Startup {
            self.check_full(&round, rtt, lossy);
        } else {
            self.note_flood(now, &round, rtt);
        }
    }

    /// What leaves at the estimated rate makes no queue that lasts: where one does, the estimate is from better times.
    fn note_flood(&mut self, now: Instant, round: &Round, rtt: &Rtt) {
        let Some(began) = round.began else { return };
        let took = now.saturating_duration_since(began).as_secs_f64();
        let bound = self.usual(rtt) * FLOODED + 0.1;
        if round.samples < 4 || !round.least_rtt.is_finite() || round.least_rtt < bound || took <= 0.0 {
            return;
        }
        let rate = (round.delivered as f64 / took).max(self.bandwidth.get() * LOWERED);
        if rate < self.bandwidth.get() {
            let elapsed = now.saturating_duration_since(*self.began.get_or_insert(now)).as_secs_f64();
            self.bandwidth.set(elapsed, rate);
            self.probed_from = self.probed_from.min(rate);
            self.regain = None;
        }
    }

    /// Whether the path is full: the rate stopped growing, or everything got slower or lost.
    fn check_full(&mut self, round: &Round, rtt: &Rtt, lossy: bool) {
        if lossy {
            self.full = true;
            return;
        }
        if round.limited {
            return;
        }
        let rate = self.bandwidth.get();
        if rate >= self.full_rate * 1.25 {
            self.full_rate = rate;
            self.full_rounds = 0;
            return;
        }
        self.full_rounds += 1;
        let slower = round.samples >= 4 && round.least_rtt > slow(rtt.minimum().unwrap_or(0.0));
        self.full = self.full_rounds >= 3 || slower;
    }

    /// Ends startup when every packet has taken much longer for half a round trip, and longer than links stall: a
    /// queue grows.
    fn watch_delay(&mut self, now: Instant, rtt: &Rtt, measured: f64) {
        let minimum = rtt.minimum().unwrap_or(0.0);
        if measured <= slow(minimum) {
            self.slow_since = None;
            return;
        }
        let (since, count) = self.slow_since.get_or_insert((now, 0));
        *count += 1;
        let lasting = now.saturating_duration_since(*since).as_secs_f64() > minimum / 2.0 + self.stall;
        if self.phase == Phase::Startup && lasting && *count >= 8 {
            self.full = true;
        }
    }

    fn advance(&mut self, now: Instant, rtt: &mut Rtt) {
        match self.phase {
            Phase::Startup if self.full => {
                self.phase = Phase::Drain;
                if self.full_by_loss.is_some() {
                    self.ceiling = Some(self.product(rtt, 1.5));
                    self.lowered_at = Some(now);
                }
            }
            Phase::Drain if self.in_flight <= self.pipe(rtt) => {
                // Not the part that slows down: the queue has just been emptied.
                self.full_by_loss = None;
                let part = if self.stalls(rtt) { 0 } else { 2 + (self.delivered / PACKET % 6) as usize };
                self.phase = Phase::Cruise { part, since: now };
                self.probed_from = self.bandwidth.get();
            }
            Phase::Cruise { part, since } => self.cruise(now, rtt, part, since),
            Phase::Settle { until, since } => self.settle(now, rtt, until, since),
            Phase::Startup | Phase::Drain => {}
        }
    }

    fn cruise(&mut self, now: Instant, rtt: &mut Rtt, part: usize, since: Instant) {
        if rtt.minimum_is_old(now) && self.in_flight > self.product(rtt, 0.6) {
            self.settled_rtt = f64::INFINITY;
            self.phase = Phase::Settle { until: None, since: now };
            return;
        }
        let minimum = rtt.minimum().unwrap_or(0.1);
        let elapsed = now.saturating_duration_since(since).as_secs_f64();
        let usual = self.usual(rtt);
        let done = match part {
            0 => {
                let probed = (self.bandwidth.get() * usual * 1.25) as u64;
                elapsed > usual && (self.in_flight >= probed || self.round.lost > 0) || elapsed > 2.0 * usual
            }
            1 => elapsed > minimum || self.in_flight <= self.pipe(rtt),
            _ => elapsed > minimum,
        };
        if let Some(regain) = self.regain {
            self.step(now, rtt, regain);
            return;
        }
        let queue = self.round.least_rtt.is_finite() && self.round.least_rtt > minimum * 1.15 + 0.004;
        let more = if self.stalls(rtt) { PROBED_STALLING } else { PROBED };
        if part != 0 && self.bandwidth.get() > self.probed_from * more && !queue && self.ceiling.is_none() {
            // Probing has found more: there may be much more.
            self.phase = Phase::Startup;
            self.full = false;
            self.full_rate = self.bandwidth.get();
            self.full_rounds = 0;
            return;
        }
        if done {
            // Lumps hide what probing finds: there it needs more attempts.
            let next = (part + 1) % if self.stalls(rtt) { CYCLE.len() / 2 } else { CYCLE.len() };
            if next == 0 {
                self.probed_from = self.bandwidth.get();
            }
            self.phase = Phase::Cruise { part: next, since: now };
        }
    }

    /// Returns to the rate from before a pause once somewhat less of it has held for a round trip.
    fn step(&mut self, now: Instant, rtt: &Rtt, regain: Regain) {
        let rate = self.bandwidth.get();
        let round = rtt.smoothed().unwrap_or(0.1).max(rtt.minimum().unwrap_or(0.1));
        let least = self.round.least_rtt;
        let queue = least.is_finite() && least > self.minimum * 1.3 + 0.02;
        let waited = now.saturating_duration_since(regain.at).as_secs_f64();
        let holds = rate > regain.rate * HELD && waited > round && !queue && self.round.lost == 0;
        let patient = self.limited_until > 0 || waited < 4.0 * round && !(queue && waited > round);
        if !holds && patient {
            return;
        }
        self.regain = None;
        if holds && rate < regain.rate {
            let elapsed = now.saturating_duration_since(*self.began.get_or_insert(now)).as_secs_f64();
            self.bandwidth.set(elapsed, regain.rate);
        }
        self.probed_from = self.bandwidth.get();
        self.phase = Phase::Cruise { part: 2, since: now };
        if holds && self.ceiling.is_none() {
            self.phase = Phase::Startup;
            self.resumed = true;
            self.full = false;
            self.full_rate = self.bandwidth.get();
            self.full_rounds = 0;
        }
    }

    fn settle(&mut self, now: Instant, rtt: &mut Rtt, until: Option<Instant>, since: Instant) {
        let minimum = rtt.minimum().unwrap_or(0.1);
        match until {
            Some(until) if now >= until => {
                rtt.renew_minimum(now, self.settled_rtt);
                self.probed_from = self.bandwidth.get();
                self.phase = Phase::Cruise { part: 0, since: now };
            }
            Some(_) => {}
            None => {
                let drained = self.in_flight <= self.product(rtt, 0.6);
                let patience = now.saturating_duration_since(since).as_secs_f64() > 4.0 * minimum;
                if drained || patience {
                    self.settled_rtt = f64::INFINITY;
                    // What was sent before must have been acknowledged.
                    let round = rtt.smoothed().unwrap_or(minimum) * 1.1 + 0.05;
                    let until = now + Duration::from_secs_f64(round);
                    self.phase = Phase::Settle { until: Some(until), since };
                }
            }
        }
    }

    fn grow(&mut self, acked: u64, rtt: &Rtt) {
        let grown = self.window.saturating_add(acked);
        let window = match self.phase {
            Phase::Startup => {
                // Beyond the initial window, room grows only where it is used.
                let used = self.in_flight + acked + self.window / 4 >= self.window;
                let wanted = self.bandwidth.get() * self.usual(rtt) * STARTUP_WINDOW_GAIN;
                let wanted = (wanted as u64).max(self.initial * 3);
                if used { grown.min(wanted).max(self.window) } else { self.window }
            }
            Phase::Drain | Phase::Cruise { .. } => {
                let target =
                    self.product(rtt, WINDOW_GAIN) + (self.bandwidth.get() * self.stall) as u64 + 16 * PACKET;
                grown.min(target.max(self.initial.min(self.window)))
            }
            Phase::Settle { .. } => self.product(rtt, 0.5),
        };
        self.window = window.min(self.ceiling.unwrap_or(u64::MAX)).clamp(LEAST_WINDOW, self.maximum);
    }
}

#[cfg(test)]
mod tests;
