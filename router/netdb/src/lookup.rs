//! One lookup: whom it has asked, who may still answer, when it ends.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use allium_wire::RouterHash;

use crate::io::{ClientId, QueryId, Subject};

/// How long somebody's question may take.
const QUERY_LIFE: Duration = Duration::from_secs(18);

/// What is looked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Sought {
    /// A RouterInfo.
    Router,
    /// A LeaseSet.
    LeaseSet,
    /// Any routers around a random key.
    Unknown,
}

/// For whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Somebody asked: see the waiters.
    Query,
    /// A router that another lookup was referred to.
    Referral,
    /// To see whether a publication has spread.
    Verify(Subject),
    /// To learn of routers.
    Explore {
        /// Of floodfills: by an ordinary question, whose answer names those.
        floodfills: bool,
    },
}

/// How a try was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Via {
    Link,
    /// Through tunnels, with the tag of the key for the answer.
    Tunnel([u8; 8]),
}

/// How a try stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    Waiting,
    /// Its time is over; an answer is still welcome.
    Late,
    Answered,
    Failed,
}

/// One floodfill asked.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) to: RouterHash,
    pub(crate) via: Via,
    pub(crate) message: u32,
    pub(crate) sent: Instant,
    pub(crate) due: Instant,
    pub(crate) state: State,
}

/// A lookup that runs.
pub(crate) struct Lookup {
    pub(crate) key: [u8; 32],
    pub(crate) sought: Sought,
    /// Whose tunnels; the router's own if none.
    pub(crate) client: Option<ClientId>,
    pub(crate) purpose: Purpose,
    /// The lookup that was referred here, if one was.
    pub(crate) parent: Option<u64>,
    pub(crate) waiters: Vec<QueryId>,
    pub(crate) tries: Vec<Try>,
    /// Floodfills to ask before any others.
    pub(crate) first: Vec<RouterHash>,
    /// Floodfills not to ask.
    pub(crate) avoid: BTreeSet<RouterHash>,
    pub(crate) ends: Instant,
    /// When to look at it again if nothing comes.
    pub(crate) wake: Instant,
    /// There was no tunnel to send through: ask nobody before that time.
    pub(crate) hold: Option<Instant>,
    /// Referrals being looked up.
    pub(crate) children: usize,
    /// Referrals looked up in all.
    pub(crate) referred: usize,
}

impl Lookup {
    pub(crate) fn new(
        key: [u8; 32],
        sought: Sought,
        client: Option<ClientId>,
        purpose: Purpose,
        now: Instant,
    ) -> Self {
        let life = match purpose {
            Purpose::Query => QUERY_LIFE,
            Purpose::Verify(_) | Purpose::Explore { .. } => Duration::from_secs(14),
            Purpose::Referral => Duration::from_secs(9),
        };
        Self {
            key,
            sought,
            client,
            purpose,
            parent: None,
            waiters: Vec::new(),
            tries: Vec::new(),
            first: Vec::new(),
            avoid: BTreeSet::new(),
            ends: now + life,
            wake: now,
            hold: None,
            children: 0,
            referred: 0,
        }
    }

    /// How many floodfills it may ask.
    pub(crate) fn most_tries(&self) -> usize {
        match self.purpose {
            Purpose::Query => 7,
            Purpose::Referral => 3,
            Purpose::Verify(_) | Purpose::Explore { .. } => 2,
        }
    }

    /// How many floodfills it asks at once.
    pub(crate) fn parallel(&self) -> usize {
        if self.purpose == Purpose::Query { 2 } else { 1 }
    }

    /// How many unknown routers of search replies it follows.
    pub(crate) fn most_referrals(&self) -> usize {
        match self.purpose {
            Purpose::Query => 6,
            Purpose::Explore { .. } => 16,
            Purpose::Verify(_) => 2,
            Purpose::Referral => 0,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.tries.iter().filter(|each| each.state == State::Waiting).count()
    }

    pub(crate) fn may_ask_more(&self) -> bool {
        self.tries.len() < self.most_tries() && self.waiting() < self.parallel()
    }

    pub(crate) fn was_asked(&self, router: &RouterHash) -> bool {
        self.tries.iter().any(|each| each.to == *router)
    }

    /// Whether a floodfill that did not answer is worth another question, since nobody else answered either: then the
    /// tunnels may be to blame, and the next question goes through others.
    pub(crate) fn may_ask_again(&self, router: &RouterHash) -> bool {
        let mut tries = self.tries.iter().filter(|each| each.to == *router).peekable();
        self.purpose == Purpose::Query
            && !self.has_answers()
            && tries.peek().is_some()
            && tries.all(Try::failed_in_tunnel)
    }

    /// Whether any floodfill answered.
    pub(crate) fn has_answers(&self) -> bool {
        self.tries.iter().any(|each| each.state == State::Answered)
    }

    /// When a lookup that can ask nobody else gives up on late answers: each has its time once more.
    pub(crate) fn gives_up(&self) -> Option<Instant> {
        let late = self.tries.iter().filter(|each| each.state == State::Late);
        late.map(|each| each.due + each.due.saturating_duration_since(each.sent)).max()
    }

    /// When something is to be done about it if nothing comes, at one of the other times if not before.
    pub(crate) fn deadline(&self, others: impl Iterator<Item = Instant>) -> Instant {
        let due = self.tries.iter().filter(|each| each.state == State::Waiting).map(|each| each.due);
        due.chain(others).min().map_or(self.ends, |at| at.min(self.ends))
    }

    /// Somebody asks for what another lookup only was referred to: it may take longer now.
    pub(crate) fn become_query(&mut self, now: Instant) {
        if self.purpose == Purpose::Referral {
            self.purpose = Purpose::Query;
            self.ends = now + QUERY_LIFE;
        }
    }
}

impl Try {
    /// It was not sent, or what came of it was no answer.
    pub(crate) fn fail(&mut self) {
        if matches!(self.state, State::Waiting | State::Late) {
            self.state = State::Failed;
        }
    }

    /// Whether it went out through tunnels and nothing came back in time.
    pub(crate) fn failed_in_tunnel(&self) -> bool {
        matches!(self.via, Via::Tunnel(_)) && matches!(self.state, State::Late | State::Failed)
    }

    /// Whether an answer would still be used.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting | State::Late)
    }
}
