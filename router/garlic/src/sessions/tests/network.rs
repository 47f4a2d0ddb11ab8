//! Many messages over a network that loses, repeats and reorders.

use std::collections::BTreeMap;

use super::*;

struct Network {
    clock: Clock,
    rng: allium_crypto::Rng,
    sides: [Side; 2],
    loss: f64,
    repeats: f64,
    jitter: u64,
    /// By time of arrival and a counter: to whom, the id in it, the message.
    under_way: BTreeMap<(u64, u64), (usize, u32, BytesMut)>,
    counter: u64,
    millis: u64,
    /// What was not lost, by receiver: it must arrive, once.
    expected: [BTreeSet<u32>; 2],
    /// Messages by form: New Session, reply, Existing Session.
    forms: [usize; 3],
}

impl Network {
    fn new(seed: u8) -> Self {
        Self {
            clock: Clock::new(),
            rng: rng(seed),
            sides: [Side::new(1), Side::new(2)],
            loss: 0.0,
            repeats: 0.0,
            jitter: 1,
            under_way: BTreeMap::new(),
            counter: 0,
            millis: 0,
            expected: <[BTreeSet<u32>; 2]>::default(),
            forms: [0; 3],
        }
    }

    fn send(&mut self, to: usize, id: u32, message: &BytesMut) {
        if self.rng.chance(self.loss) {
            return;
        }
        if id > 0 {
            self.expected[to].insert(id);
        }
        loop {
            self.counter += 1;
            let at = self.millis + 100 + self.rng.below(self.jitter);
            self.under_way.insert((at, self.counter), (to, id, message.clone()));
            if !self.rng.chance(self.repeats) {
                return;
            }
        }
    }

    /// One side sends a message with an id.
    fn say(&mut self, from: usize, id: u32, len: usize) {
        let to = self.sides[1 - from].peer;
        let confirm = id.is_multiple_of(50).then_some(u64::from(id));
        let content = Content { cloves: &[clove(id, len)], confirm };
        let message = self.sides[from].seal_content(self.clock.now(), &to, &content);
        self.send(1 - from, id, &message);
    }

    /// Time passes; what arrives is opened, what is due by itself is sent.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.millis += 1;
            let now = self.clock.pass(1);
            while let Some(next) = self.under_way.first_entry() {
                if next.key().0 > self.millis {
                    break;
                }
                let (to, id, message) = next.remove();
                self.arrive(to, id, message);
            }
            for from in 0..2 {
                if self.sides[from].sessions.deadline().is_some_and(|deadline| deadline <= now.instant) {
                    for (_, message) in self.sides[from].transmits(now) {
                        self.send(1 - from, 0, &message);
                    }
                }
            }
        }
    }

    fn arrive(&mut self, to: usize, id: u32, message: BytesMut) {
        let from = self.sides[1 - to].peer;
        let now = self.clock.now();
        match self.sides[to].open(now, &from, message) {
            Ok(opened) => {
                let forms = [Kind::NewSession, Kind::NewSessionReply, Kind::Existing];
                self.forms[forms.iter().position(|kind| *kind == opened.kind).unwrap()] += 1;
                if id > 0 {
                    assert_eq!(ids(&opened), [id]);
                    assert!(self.expected[to].remove(&id), "{id} came twice");
                }
            }
            Err(error) => assert!(id == 0 || !self.expected[to].contains(&id), "{id} to {to}: {error}"),
        }
    }

    /// The tag set that one side sends in, and the newest that the other listens to.
    fn tag_sets(&self, from: usize) -> (u16, u16) {
        let session = |side: usize| self.sides[side].sessions.session(&self.sides[1 - side].peer).unwrap();
        (session(from).sends_in_set().unwrap(), session(1 - from).newest_set().unwrap())
    }

    fn nothing_is_missing(&self) -> bool {
        self.expected.iter().all(BTreeSet::is_empty)
    }
}

/// Milliseconds between messages: slow at first, as streams are, then two a millisecond.
fn pace(id: u32) -> u64 {
    u64::from(30_u32.saturating_sub(id / 40).max(id % 2))
}

#[test]
fn many_messages_go_both_ways_over_several_steps() {
    let mut network = Network::new(1);
    (network.loss, network.repeats, network.jitter) = (0.03, 0.01, 300);
    for id in 1..=22_000_u32 {
        network.say(0, id, 30);
        if id % 10 == 0 {
            network.say(1, id, 30);
        }
        network.run(pace(id));
    }
    network.run(2000);
    assert!(network.nothing_is_missing(), "{:?}", network.expected);
    let (sender, receiver) = network.tag_sets(0);
    assert!(sender >= 4 && sender == receiver, "{sender} {receiver}");
    assert_eq!(network.tag_sets(1), (0, 0));
    assert!(network.forms[0] < 40 && network.forms[1] < 40, "{:?}", network.forms);
    for side in &network.sides {
        // A set that looks as far ahead as any may, and what is left of those before it.
        assert!(side.sessions.tags() < 4 * 4096, "{}", side.sessions.tags());
    }
}

#[test]
fn both_ways_step_at_the_same_time() {
    let mut network = Network::new(2);
    (network.loss, network.jitter) = (0.05, 50);
    for id in 1..=18_000_u32 {
        network.say(0, id, 30);
        network.say(1, id, 30);
        network.run(pace(id));
    }
    network.run(2000);
    assert!(network.nothing_is_missing());
    for from in 0..2 {
        let (sender, receiver) = network.tag_sets(from);
        assert!(sender >= 3 && sender == receiver, "{sender} {receiver}");
    }
}

#[test]
fn one_way_traffic_steps_too() {
    let mut network = Network::new(3);
    for id in 1..=14_000_u32 {
        network.say(0, id, 10);
        network.run(pace(id));
    }
    network.run(2000);
    assert!(network.nothing_is_missing());
    let (sender, receiver) = network.tag_sets(0);
    assert!(sender >= 2 && sender == receiver, "{sender} {receiver}");
}

#[test]
fn a_burst_of_losses_within_the_window_does_no_harm() {
    let mut network = Network::new(4);
    for id in 1..=2000_u32 {
        network.say(0, id, 10);
        network.run(pace(id));
    }
    network.loss = 1.0;
    (3000..4000).for_each(|id| network.say(0, id, 10));
    network.loss = 0.0;
    network.say(0, 5000, 10);
    network.run(500);
    assert!(network.nothing_is_missing());
}

#[test]
fn sessions_begin_and_go_on_under_heavy_loss() {
    for seed in 0..20 {
        let mut network = Network::new(seed);
        (network.loss, network.repeats, network.jitter) = (0.4, 0.1, 2000);
        for id in 1..=60_u32 {
            network.say(0, id, 100);
            if id % 2 == 0 {
                network.say(1, id, 100);
            }
            network.run(300);
        }
        network.run(5000);
        assert!(network.nothing_is_missing(), "{seed}: {:?}", network.expected);
        assert!(network.forms[2] > 20, "{seed}: {:?}", network.forms);
    }
}

/// The receiver has nothing to say, so its first reply comes a second late, when hundreds of New Sessions have gone.
#[test]
fn a_flood_of_new_sessions_ends_with_the_first_reply() {
    let mut network = Network::new(5);
    network.jitter = 50;
    for id in 1..=600_u32 {
        network.say(0, id, 10);
        network.run(5);
    }
    network.run(1000);
    assert!(network.nothing_is_missing());
    assert!((200..300).contains(&network.forms[0]) && network.forms[1] < 10, "{:?}", network.forms);
}
