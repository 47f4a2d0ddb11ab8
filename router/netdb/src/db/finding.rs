//! Lookups: whom to ask next, what their answers mean, when to give up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use allium_crypto::x25519::PublicKey;
use allium_wire::i2np::{DatabaseLookup, LookupKind, ReplyKey};
use allium_wire::{Now, RouterHash, RouterInfo};

use super::{Client, MAX_LOOKUPS, NetDb, Scope, Target};
use crate::io::{Action, Found, OneTimeKey, QueryId, Why};
use crate::key::{closest, routing_key};
use crate::limits::{MESSAGE_LIFE, READ_PEERS};
use crate::lookup::{Lookup, Purpose, Sought, State, Try, Via};
use crate::profile::Observation;
use crate::store::Known;

/// How long it is remembered that floodfills do not have a LeaseSet.
const ABSENT_LEASE_SET: Duration = Duration::from_secs(4);
/// How long it is remembered that floodfills do not have a RouterInfo.
const ABSENT_ROUTER: Duration = Duration::from_secs(30);
/// Absent items remembered.
const MAX_ABSENT: usize = 1024;
/// Askers of one lookup.
const MAX_WAITERS: usize = 256;
/// Known routers that an exploration asks not to be told of.
const EXPLORE_EXCLUDED: usize = 16;

/// With fewer floodfills known, explorations look for them half of the time.
const FEW_FLOODFILLS: usize = 100;

/// Who is asked next.
enum Next {
    Ask(Arc<RouterInfo>, Way),
    /// There are floodfills, but no tunnel to ask them through yet.
    NoPath,
    Nobody,
}

/// How.
enum Way {
    Link,
    Tunnel(PublicKey),
}

impl NetDb {
    /// Answers a query at once, joins a running lookup, or starts one.
    pub(super) fn find(&mut self, now: Now, target: Target, query: QueryId) {
        let (key, sought, client) = target;
        if sought == Sought::Router {
            let own = self.own.as_ref().filter(|own| own.hash().0 == key);
            if let Some(info) = own.or_else(|| self.routers.get(&RouterHash(key))) {
                let what = Found::Router(Arc::clone(info));
                self.actions.push_back(Action::Found { query, what });
                return;
            }
        }
        if self.absent.get(&target).is_some_and(|until| *until > now.instant) {
            self.actions.push_back(Action::NotFound { query, why: Why::Absent });
            return;
        }
        let running = self.targets.get(&target).copied();
        let lookup = running.or_else(|| self.start_lookup(now, key, sought, client, Purpose::Query));
        let joined = lookup.and_then(|id| Some((id, self.lookups.get_mut(&id)?)));
        match joined.filter(|(_, lookup)| lookup.waiters.len() < MAX_WAITERS) {
            Some((id, lookup)) => {
                lookup.become_query(now.instant);
                lookup.waiters.push(query);
                self.queries.insert(query, id);
                self.drive_lookup(now, id);
            }
            None => self.actions.push_back(Action::NotFound { query, why: Why::Busy }),
        }
    }

    pub(super) fn cancel(&mut self, query: QueryId) {
        let lookup = self.queries.remove(&query).and_then(|id| self.lookups.get_mut(&id));
        if let Some(lookup) = lookup {
            lookup.waiters.retain(|waiter| *waiter != query);
        }
    }

    /// Starts a lookup that is not running yet; the caller drives it.
    pub(super) fn start_lookup(
        &mut self,
        now: Now,
        key: [u8; 32],
        sought: Sought,
        client: Client,
        purpose: Purpose,
    ) -> Option<u64> {
        let target = (key, sought, client);
        if self.lookups.len() >= MAX_LOOKUPS || self.targets.contains_key(&target) {
            return None;
        }
        self.scopes.entry(client).or_insert_with(Scope::new);
        let id = self.next_lookup;
        self.next_lookup += 1;
        self.targets.insert(target, id);
        self.lookups.insert(id, Lookup::new(key, sought, client, purpose, now.instant));
        Some(id)
    }

    /// Looks for routers around a random key.
    pub(super) fn explore(&mut self, now: Now) {
        let known = self.routers.len();
        self.explorer.plan(now.instant, known, &mut self.rng);
        if !self.config.explore || self.routers.is_full() {
            return;
        }
        let key = self.rng.array();
        // Explorations are answered with other routers only; floodfills are named in answers to questions.
        let few = self.floodfills(now.date).count() < FEW_FLOODFILLS;
        let floodfills = self.rng.chance(if few { 0.5 } else { 0.1 });
        if let Some(id) = self.start_lookup(now, key, Sought::Unknown, None, Purpose::Explore { floodfills })
        {
            self.drive_lookup(now, id);
        }
    }

    /// Takes a lookup as far as it goes now: asks whom it may, or ends it.
    pub(super) fn drive_lookup(&mut self, now: Now, id: u64) {
        let Some(mut lookup) = self.lookups.remove(&id) else { return };
        self.mark_late(now, &mut lookup);
        let mut nobody_left = lookup.tries.len() >= lookup.most_tries();
        let held = lookup.hold.filter(|at| *at > now.instant);
        while held.is_none() && now.instant < lookup.ends && lookup.may_ask_more() {
            match self.next_to_ask(now, &lookup) {
                Next::Ask(floodfill, way) if self.ask(now, id, &mut lookup, &floodfill, &way) => {}
                Next::Ask(..) | Next::NoPath => break,
                Next::Nobody => {
                    nobody_left = true;
                    break;
                }
            }
        }
        let late = lookup.gives_up().filter(|at| *at > now.instant);
        let idle = nobody_left && late.is_none() && lookup.waiting() == 0 && lookup.children == 0;
        let over = idle || now.instant >= lookup.ends;
        let late = late.filter(|_| nobody_left && lookup.children == 0);
        lookup.wake = lookup.deadline(late.into_iter().chain(held));
        self.lookups.insert(id, lookup);
        if over {
            self.end_lookup(now, id, None);
        }
    }

    /// Notes who has not answered in time.
    fn mark_late(&mut self, now: Now, lookup: &mut Lookup) {
        for each in &mut lookup.tries {
            if each.state != State::Waiting || each.due > now.instant {
                continue;
            }
            each.state = State::Late;
            self.profiles.observe(each.to, Observation::Silent, now.date);
            if each.via == Via::Link {
                self.direct.missed();
            } else if let Some(scope) = self.scopes.get_mut(&lookup.client) {
                scope.pace.missed();
            }
        }
    }

    fn next_to_ask(&self, now: Now, lookup: &Lookup) -> Next {
        let must_tunnel = lookup.client.is_some() || lookup.sought == Sought::LeaseSet;
        let has_path = self.scopes.get(&lookup.client).is_some_and(|scope| !scope.paths.is_empty());
        // A router's own lookup whose tunnels do not work goes on without them.
        let bad_tunnels = lookup.tries.iter().filter(|each| each.failed_in_tunnel()).count() >= 2;
        let way = |info: &RouterInfo| {
            let link = !must_tunnel && self.is_dialable(info, now.date);
            let linked = link && self.linked.contains(&info.hash());
            let tunnel = has_path && !(bad_tunnels && link);
            match info.encryption_key() {
                Some(key) if tunnel && !linked => Some(Way::Tunnel(key)),
                _ if link => Some(Way::Link),
                _ => None,
            }
        };
        let open = |hash: &RouterHash| !lookup.was_asked(hash) && !lookup.avoid.contains(hash);
        let first = lookup.first.iter().filter(|hash| open(hash)).find_map(|hash| {
            let referred = || self.scopes.get(&lookup.client)?.referrals.router(hash);
            let info = self.routers.get(hash).or_else(referred)?;
            self.is_usable(&Known::from(Arc::clone(info)), now.date).then_some(info)
        });
        if must_tunnel && !has_path {
            let any = self.closest_floodfill(&lookup.key, lookup.client, now.date, |info| open(&info.hash()));
            return if any.is_some() { Next::NoPath } else { Next::Nobody };
        }
        if let Some((info, way)) = first.and_then(|info| Some((info, way(info)?))) {
            return Next::Ask(Arc::clone(info), way);
        }
        let fits =
            |info: &RouterInfo| open(&info.hash()) && info.hash().0 != lookup.key && way(info).is_some();
        let best = self.closest_floodfill(&lookup.key, lookup.client, now.date, fits).or_else(|| {
            let fits = |info: &RouterInfo| lookup.may_ask_again(&info.hash()) && way(info).is_some();
            self.closest_floodfill(&lookup.key, lookup.client, now.date, fits)
        });
        match best.and_then(|info| way(&info).map(|way| (info, way))) {
            Some((info, way)) => Next::Ask(info, way),
            None => Next::Nobody,
        }
    }

    /// Sends a DatabaseLookup; false if there is no tunnel to send it through after all.
    fn ask(&mut self, now: Now, id: u64, lookup: &mut Lookup, floodfill: &RouterInfo, way: &Way) -> bool {
        let to = floodfill.hash();
        let message = self.rng.u32();
        let (kind, excluded) = self.question(now, lookup);
        let mut body = DatabaseLookup {
            key: lookup.key,
            from: self.config.own,
            reply_tunnel: None,
            kind,
            excluded,
            reply_key: None,
        };
        let client = lookup.client;
        let (via, wait) = match way {
            Way::Tunnel(to_key) => {
                let Some(scope) = self.scopes.get(&client) else { return false };
                let Some(path) = self.rng.choose(&scope.paths).copied() else { return false };
                let wait = scope.pace.timeout();
                let key = OneTimeKey { key: self.rng.array(), tag: self.rng.array() };
                (body.from, body.reply_tunnel) = (path.gateway, Some(path.tunnel));
                body.reply_key = Some(ReplyKey { key: key.key, tag: key.tag });
                self.tags.insert(key.tag, id);
                let until = lookup.ends + Duration::from_secs(5);
                self.actions.push_back(Action::ExpectReply { client, key, until });
                let message = body.into_message(message, now.date + MESSAGE_LIFE);
                self.actions.push_back(Action::SendTunnel { client, to, to_key: *to_key, message });
                (Via::Tunnel(key.tag), wait)
            }
            Way::Link => {
                let message = body.into_message(message, now.date + MESSAGE_LIFE);
                self.actions.push_back(Action::SendDirect { to, message });
                let dial = if self.linked.contains(&to) { Duration::ZERO } else { Duration::from_secs(1) };
                (Via::Link, self.direct.timeout() + dial)
            }
        };
        self.stats.asked += 1;
        let (sent, due) = (now.instant, now.instant + wait);
        lookup.tries.push(Try { to, via, message, sent, due, state: State::Waiting });
        true
    }

    /// The kind of a question and whom its answer should not name.
    fn question(&self, now: Now, lookup: &Lookup) -> (LookupKind, Vec<RouterHash>) {
        let asked = || lookup.tries.iter().map(|each| each.to).collect();
        match lookup.sought {
            Sought::Router => (LookupKind::RouterInfo, asked()),
            Sought::LeaseSet => (LookupKind::LeaseSet, asked()),
            Sought::Unknown => {
                let near = routing_key(&lookup.key, now.date);
                let floodfills = lookup.purpose == Purpose::Explore { floodfills: true };
                if floodfills {
                    let known = self.routers.floodfills().copied();
                    (LookupKind::RouterInfo, closest(&near, known, EXPLORE_EXCLUDED))
                } else {
                    let known = self.routers.others().copied();
                    (LookupKind::Exploration, closest(&near, known, EXPLORE_EXCLUDED))
                }
            }
        }
    }

    /// Notes that a floodfill answered, whatever it said. Gives the floodfill.
    pub(super) fn note_answer(
        &mut self,
        now: Now,
        id: u64,
        index: usize,
        state: State,
    ) -> Option<RouterHash> {
        let lookup = self.lookups.get_mut(&id)?;
        let each = lookup.tries.get_mut(index)?;
        let took = now.instant.saturating_duration_since(each.sent);
        each.state = state;
        if each.via == Via::Link {
            self.direct.answered(took);
        } else if let Some(scope) = self.scopes.get_mut(&lookup.client) {
            scope.pace.answered(took);
        }
        self.profiles.observe(each.to, Observation::Answered, now.date);
        self.stats.answered += 1;
        Some(each.to)
    }

    /// A floodfill does not have it and names routers that may: unknown ones are looked up by asking it.
    pub(super) fn follow(&mut self, now: Now, id: u64, index: usize, peers: &[RouterHash]) {
        let Some(from) = self.note_answer(now, id, index, State::Answered) else { return };
        for peer in peers.iter().take(READ_PEERS) {
            let Some(lookup) = self.lookups.get(&id) else { return };
            if lookup.referred >= lookup.most_referrals() {
                break;
            }
            let client = lookup.client;
            let referred = || self.scopes.get(&client).and_then(|scope| scope.referrals.router(peer));
            let known = self.routers.get(peer).or_else(referred).is_some();
            let useless = *peer == self.config.own || peer.0 == lookup.key || peer.0 == [0; 32];
            if known || useless || self.bans.is_banned(peer, now.date) {
                continue;
            }
            if self.absent.get(&(peer.0, Sought::Router, client)).is_some_and(|until| *until > now.instant) {
                continue;
            }
            let child = self.start_lookup(now, peer.0, Sought::Router, client, Purpose::Referral);
            let Some(child) = child else { continue };
            if let Some(child) = self.lookups.get_mut(&child) {
                child.first.push(from);
                child.parent = Some(id);
            }
            if let Some(lookup) = self.lookups.get_mut(&id) {
                lookup.children += 1;
                lookup.referred += 1;
            }
            self.drive_lookup(now, child);
        }
        self.drive_lookup(now, id);
    }

    /// Ends a lookup and tells everyone who waits for it.
    pub(super) fn end_lookup(&mut self, now: Now, id: u64, found: Option<&Found>) {
        let Some(lookup) = self.lookups.remove(&id) else { return };
        let target = (lookup.key, lookup.sought, lookup.client);
        self.targets.remove(&target);
        for each in &lookup.tries {
            if let Via::Tunnel(tag) = each.via {
                self.tags.remove(&tag);
            }
        }
        let why = self.why_not(now, &lookup);
        if found.is_none() && why == Why::Absent && lookup.sought != Sought::Unknown {
            self.remember_absent(now.instant, target);
        }
        match lookup.purpose {
            Purpose::Explore { .. } => {}
            _ if found.is_some() => self.stats.found += 1,
            _ => self.stats.not_found += 1,
        }
        for query in &lookup.waiters {
            self.queries.remove(query);
            self.actions.push_back(match found {
                Some(what) => Action::Found { query: *query, what: what.clone() },
                None => Action::NotFound { query: *query, why },
            });
        }
        if let Some(id) = lookup.parent {
            if let Some(parent) = self.lookups.get_mut(&id) {
                parent.children = parent.children.saturating_sub(1);
            }
            self.drive_lookup(now, id);
        }
        if let Purpose::Verify(subject) = lookup.purpose {
            self.looked_back(now, subject, found, why);
        }
    }

    fn why_not(&self, now: Now, lookup: &Lookup) -> Why {
        if lookup.has_answers() {
            return Why::Absent;
        }
        if !lookup.tries.is_empty() {
            return Why::Unanswered;
        }
        let Some(scope) = self.scopes.get(&lookup.client) else { return Why::Gone };
        let any = self.closest_floodfill(&lookup.key, lookup.client, now.date, |_| true).is_some();
        if any && scope.paths.is_empty() { Why::NoTunnels } else { Why::NoFloodfills }
    }

    fn remember_absent(&mut self, now: Instant, target: Target) {
        if self.absent.len() >= MAX_ABSENT {
            self.absent.retain(|_, until| *until > now);
        }
        if self.absent.len() < MAX_ABSENT {
            let long = if target.1 == Sought::LeaseSet { ABSENT_LEASE_SET } else { ABSENT_ROUTER };
            self.absent.insert(target, now + long);
        }
    }
}
