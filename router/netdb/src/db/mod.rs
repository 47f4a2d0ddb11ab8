//! The database engine: state, dispatch, and time.

mod finding;
mod publishing;
mod receiving;
mod serving;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allium_crypto::Rng;
use allium_wire::{Date, Engine, Now, RouterHash, RouterInfo, RoutingKey};

use crate::ban::Bans;
use crate::client::ClientDb;
use crate::explore::Explorer;
use crate::io::{Action, ClientId, Config, Found, Input, QueryId, ReplyPath, Stats, Subject};
use crate::key::{closest, routing_key};
use crate::limits::{MAX_FUTURE, MAX_STORE_AGE};
use crate::lookup::{Lookup, Sought, Via};
use crate::pace::Pace;
use crate::profile::{Observation, ProfileView, Profiles};
use crate::publish::{Phase, Publication};
use crate::rate::{Buckets, Limit};
use crate::store::{Known, LeaseSets, Offered, Routers, lifetime};

/// The floodfills next to a key that matter.
const NEAR: usize = 24;
/// Lookups at once, all kinds together.
const MAX_LOOKUPS: usize = 512;
/// Profiles and ban records kept.
const MAX_PROFILES: usize = 10_000;
/// Routers that are never expired for age when no more than these are known.
const FEW_ROUTERS: usize = 50;
/// From that many routers on a floodfill accepts and keeps only fresh ones.
const BIG_NETWORK: usize = 300;
/// How long to wait for a tunnel before trying again.
const NO_TUNNEL: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Whose tunnels: `None` for the router's own.
type Client = Option<ClientId>;
/// What lookups are told apart by.
type Target = ([u8; 32], Sought, Client);

/// The tunnels of the router or of one destination, as far as the database uses them.
struct Scope {
    paths: Vec<ReplyPath>,
    pace: Pace,
    /// Floodfills that only this destination's lookups were told of.
    referrals: ClientDb,
}

impl Scope {
    fn new() -> Self {
        Self { paths: Vec::new(), pace: Pace::tunnels(), referrals: ClientDb::new(200) }
    }
}

/// Limits on what others may ask.
struct Limits {
    /// Stores by neighbour; the garlic ones share the bucket of the zero hash.
    stores: Buckets,
    /// Lookups by asker or gateway.
    lookups: Buckets,
    /// Lookups of all together.
    all_lookups: Buckets,
}

/// The network database of this router: what it knows, what it looks for, what it publishes, and, as a
/// floodfill, what it keeps for others.
pub struct NetDb {
    config: Config,
    rng: Rng,
    own: Option<Arc<RouterInfo>>,
    routers: Routers,
    lease_sets: LeaseSets,
    profiles: Profiles,
    bans: Bans,
    linked: BTreeSet<RouterHash>,
    scopes: BTreeMap<Client, Scope>,
    direct: Pace,
    direct_store: Pace,
    lookups: BTreeMap<u64, Lookup>,
    next_lookup: u64,
    targets: BTreeMap<Target, u64>,
    tags: BTreeMap<[u8; 8], u64>,
    queries: BTreeMap<QueryId, u64>,
    absent: BTreeMap<Target, Instant>,
    publications: BTreeMap<Subject, Publication>,
    explorer: Explorer,
    renew: Option<Instant>,
    /// When midnight UTC is seen next, and the day since the epoch before it.
    day: u32,
    sweep: Instant,
    started: Instant,
    limits: Limits,
    actions: VecDeque<Action>,
    stats: Stats,
}

/// A router that could be a hop of a tunnel, with what is known of it.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The router.
    pub info: &'a Arc<RouterInfo>,
    /// The experiences with it.
    pub profile: ProfileView,
}

impl NetDb {
    /// An empty database.
    pub fn new(config: Config, now: Now, mut rng: Rng) -> Self {
        let limit = |burst, millis| Limit { burst, every: Duration::from_millis(millis) };
        let limits = Limits {
            stores: Buckets::new(limit(200, 40), 4096, rng.hasher()),
            lookups: Buckets::new(limit(40, 400), 4096, rng.hasher()),
            all_lookups: Buckets::new(limit(500, 5), 1, rng.hasher()),
        };
        Self {
            own: None,
            routers: Routers::new(config.max_routers, rng.hasher()),
            lease_sets: LeaseSets::new(config.max_lease_sets),
            profiles: Profiles::new(MAX_PROFILES),
            bans: Bans::new(MAX_PROFILES),
            linked: BTreeSet::new(),
            scopes: BTreeMap::from([(None, Scope::new())]),
            direct: Pace::direct(),
            direct_store: Pace::direct_store(),
            lookups: BTreeMap::new(),
            next_lookup: 0,
            targets: BTreeMap::new(),
            tags: BTreeMap::new(),
            queries: BTreeMap::new(),
            absent: BTreeMap::new(),
            publications: BTreeMap::new(),
            explorer: Explorer::new(now.instant),
            renew: None,
            day: now.date.utc_day(),
            sweep: now.instant + SWEEP_EVERY,
            started: now.instant,
            limits,
            actions: VecDeque::new(),
            stats: Stats::default(),
            config,
            rng,
        }
    }

    /// The RouterInfo of a router, if known.
    pub fn get(&self, router: &RouterHash) -> Option<&Arc<RouterInfo>> {
        self.routers.get(router)
    }

    /// All RouterInfos, in no order.
    pub fn routers(&self) -> impl Iterator<Item = &Arc<RouterInfo>> {
        self.routers.iter().map(|(_, known)| &known.info)
    }

    /// How many RouterInfos are known, the own one not counted.
    pub fn len(&self) -> usize {
        self.routers.len()
    }

    /// Whether no router is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The floodfills that this router would ask or store to.
    pub fn floodfills(&self, now: Date) -> impl Iterator<Item = &Arc<RouterInfo>> {
        let known = self.routers.floodfills().filter_map(|hash| self.routers.known(hash));
        known.filter(move |known| self.is_usable(known, now)).map(|known| &known.info)
    }

    /// The routers that tunnels could be built through, with the experiences with them; what a tunnel demands
    /// beyond that (bandwidth, reachability, congestion) is for its builder to judge. In no order.
    pub fn candidates(&self, now: Date) -> impl Iterator<Item = Candidate<'_>> {
        let fit = move |(hash, known): &(&RouterHash, &Known)| {
            !known.caps.hidden
                && known.version.is_some_and(|version| version >= self.config.min_version)
                && known.info.encryption_key().is_some()
                && !self.bans.is_banned(hash, now)
        };
        let routers = self.routers.iter().filter(fit);
        routers
            .map(move |(hash, known)| Candidate { info: &known.info, profile: self.profiles.view(hash, now) })
    }

    /// The experiences with other routers.
    pub fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// Replaces the experiences, with those of an earlier run.
    pub fn restore_profiles(&mut self, profiles: Profiles) {
        self.profiles = profiles;
    }

    /// Whether the database refuses to deal with this router.
    pub fn is_banned(&self, router: &RouterHash, now: Date) -> bool {
        self.bans.is_banned(router, now)
    }

    /// Counts and sizes.
    pub fn stats(&self, now: Date) -> Stats {
        Stats {
            routers: self.routers.len(),
            floodfills: self.floodfills(now).count(),
            lease_sets: self.lease_sets.len(),
            lookups: self.lookups.len(),
            banned: self.bans.banned(now),
            ..self.stats
        }
    }

    /// Whether a floodfill may be asked or stored to.
    fn is_usable(&self, router: &Known, now: Date) -> bool {
        let Known { info, version, caps } = router;
        let hash = info.hash();
        caps.floodfill
            && !caps.hidden
            && !caps.unreachable
            && hash != self.config.own
            && info.encryption_key().is_some()
            && version.is_some_and(|version| version >= self.config.min_floodfill_version)
            && !self.bans.is_banned(&hash, now)
    }

    /// Whether a router can be dialled, as far as its RouterInfo and experience say, or is linked anyway.
    fn is_dialable(&self, info: &RouterInfo, now: Date) -> bool {
        let hash = info.hash();
        let dials_fail = self.profiles.get(&hash).is_some_and(|profile| profile.dials_fail(now));
        let published = info.ntcp2().any(|address| address.published().is_some());
        self.linked.contains(&hash) || (published && !dials_fail)
    }

    /// The usable floodfill closest to the item's key for which `fits` holds, also among those that only
    /// the client was told of; one that was silent of late comes last. A network's only floodfill serves
    /// its own clients too, through their tunnels like everyone's.
    fn closest_floodfill(
        &self,
        key: &[u8; 32],
        client: Client,
        now: Date,
        fits: impl Fn(&RouterInfo) -> bool,
    ) -> Option<Arc<RouterInfo>> {
        let target = routing_key(key, now);
        let near = self.near_floodfills(&target, client, now, NEAR, &fits);
        let best = near.iter().find(|info| !self.is_silent(&info.hash(), now)).or(near.first());
        best.map(Arc::clone).or_else(|| {
            let own =
                self.own.as_ref().filter(|own| client.is_some() && self.config.floodfill && fits(own))?;
            self.near_floodfills(&target, client, now, 1, |_| true).is_empty().then(|| Arc::clone(own))
        })
    }

    /// Up to `count` usable floodfills for which `fits` holds, the closest to the routing key first.
    fn near_floodfills(
        &self,
        target: &RoutingKey,
        client: Client,
        now: Date,
        count: usize,
        fits: impl Fn(&RouterInfo) -> bool,
    ) -> Vec<Arc<RouterInfo>> {
        let scope = client.and_then(|_| self.scopes.get(&client));
        // Judging takes much longer than measuring distances: most often only the closest need be judged.
        for batch in [2 * NEAR, usize::MAX] {
            let own = self.routers.floodfills().copied();
            let referred =
                scope.into_iter().flat_map(|scope| scope.referrals.routers()).map(|info| info.hash());
            let mut hashes = closest(target, own.chain(referred), batch);
            let all = hashes.len() < batch;
            hashes.dedup();
            let infos = hashes.iter().filter_map(|hash| match (self.routers.known(hash), scope) {
                (Some(known), _) => self.is_usable(known, now).then(|| Arc::clone(&known.info)),
                (None, Some(scope)) => {
                    let known = Known::from(Arc::clone(scope.referrals.router(hash)?));
                    self.is_usable(&known, now).then_some(known.info)
                }
                (None, None) => None,
            });
            let found: Vec<_> = infos.filter(|info| fits(info)).take(count).collect();
            if all || !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn is_silent(&self, router: &RouterHash, now: Date) -> bool {
        self.profiles.get(router).is_some_and(|profile| profile.is_silent(now))
    }

    /// Counts a misdeed of a router and tells when it gets it banned.
    fn blame(&mut self, router: RouterHash, weight: f64, now: Date) {
        if weight <= 0.0 || router == self.config.own {
            return;
        }
        if let Some(until) = self.bans.strike(router, weight, now) {
            self.actions.push_back(Action::Banned { router, until });
        }
    }

    /// Whether a RouterInfo is of use: another router's, of this network, of a sane date and version.
    fn check_router(&self, info: &RouterInfo, oldest: Duration, now: Date) -> Result<(), crate::Error> {
        use crate::Error::{Misbehaved, Stale};
        if info.net_id() != Some(self.config.net_id) {
            return Err(Misbehaved("RouterInfo of another network"));
        }
        if info.published() > now + MAX_FUTURE {
            return Err(Stale("RouterInfo from the future"));
        }
        if info.published() + oldest < now {
            return Err(Stale("RouterInfo too old"));
        }
        if info.version().is_none_or(|version| version < self.config.min_version) {
            return Err(Stale("router too old"));
        }
        if info.hash() == self.config.own {
            return Err(Stale("own RouterInfo"));
        }
        Ok(())
    }

    /// Keeps a good RouterInfo if it is news, and ends the lookups that wait for it.
    fn keep(&mut self, now: Now, info: RouterInfo) -> Offered {
        let hash = info.hash();
        let info = Arc::new(info);
        if self.routers.is_full() && self.routers.get(&hash).is_none() {
            let (linked, profiles) = (&self.linked, &self.profiles);
            let evicted = self.routers.evict(now.date, |router| {
                linked.contains(router) || profiles.get(router).is_some_and(|profile| profile.agreed > 0.5)
            });
            self.actions.extend(evicted.into_iter().map(Action::Forget));
        }
        let offered = self.routers.insert(Arc::clone(&info));
        if offered != Offered::Old {
            self.actions.push_back(Action::Persist(info));
        }
        if offered == Offered::New {
            self.actions.push_back(Action::NewRouter(hash));
        }
        let known = self.routers.get(&hash).map(Arc::clone);
        if let (Some(&lookup), Some(known)) = (self.targets.get(&(hash.0, Sought::Router, None)), known) {
            self.end_lookup(now, lookup, Some(&Found::Router(known)));
        }
        offered
    }

    /// Does all that is due.
    fn advance(&mut self, now: Now) {
        if self.day != now.date.utc_day() {
            self.day = now.date.utc_day();
            self.rotate(now);
        }
        if self.explorer.next <= now.instant {
            self.explore(now);
        }
        let due: Vec<u64> =
            self.lookups.iter().filter(|(_, each)| each.wake <= now.instant).map(|(id, _)| *id).collect();
        for lookup in due {
            self.drive_lookup(now, lookup);
        }
        let due = self.publications.iter().filter(|(_, each)| each.wake.is_some_and(|at| at <= now.instant));
        let due: Vec<Subject> = due.map(|(subject, _)| *subject).collect();
        for subject in due {
            self.drive_publication(now, subject);
        }
        if self.renew.is_some_and(|at| at <= now.instant) {
            self.renew = Some(now.instant + Duration::from_mins(5));
            self.actions.push_back(Action::RenewRouterInfo);
        }
        if self.sweep <= now.instant {
            self.sweep = now.instant + SWEEP_EVERY;
            self.forget_old(now);
        }
    }

    /// The keys have changed at midnight: everything published goes to other floodfills.
    fn rotate(&mut self, now: Now) {
        for (subject, publication) in &mut self.publications {
            let spread = if *subject == Subject::Router { 120_000 } else { 10_000 };
            let start = now.instant + Duration::from_millis(self.rng.below(spread));
            let soonest = publication.soonest(start);
            publication.avoid.clear();
            publication.restart(soonest);
        }
    }

    fn forget_old(&mut self, now: Now) {
        self.lease_sets.expire(now.date);
        self.absent.retain(|_, until| *until > now.instant);
        self.limits.stores.sweep(now.instant);
        self.limits.lookups.sweep(now.instant);
        self.bans.sweep(now.date);
        self.profiles.sweep(now.date);
        for scope in self.scopes.values_mut() {
            scope.referrals.expire(now.date);
        }
        let known = self.routers.len();
        if known <= FEW_ROUTERS || now.instant < self.started + Duration::from_hours(1) {
            return;
        }
        let life = if self.config.floodfill && known > BIG_NETWORK {
            Duration::from_mins(90)
        } else {
            lifetime(known)
        };
        let linked = &self.linked;
        let oldest = now.date - life;
        let gone = self.routers.expire(oldest, |router| linked.contains(router));
        self.actions.extend(gone.into_iter().map(Action::Forget));
    }

    fn configure(&mut self, now: Now, config: Config) {
        if self.config.floodfill && !config.floodfill {
            self.lease_sets.clear();
        }
        self.routers.set_most(config.max_routers);
        if !config.publish {
            self.publications.remove(&Subject::Router);
        }
        self.config = config;
        self.explorer.hurry(now.instant);
    }

    fn client_gone(&mut self, now: Now, client: ClientId) {
        let of_client =
            |subject: &Subject| matches!(subject, Subject::LeaseSet { client: of, .. } if *of == client);
        self.publications.retain(|subject, _| !of_client(subject));
        let lookups = self.lookups.iter().filter(|(_, lookup)| lookup.client == Some(client));
        let lookups: Vec<u64> = lookups.map(|(id, _)| *id).collect();
        self.scopes.remove(&Some(client));
        for lookup in lookups {
            self.end_lookup(now, lookup, None);
        }
        self.absent.retain(|(_, _, of), _| *of != Some(client));
    }

    /// Tells who can be reached through which tunnels; whoever waits for one goes on.
    fn reply_paths(&mut self, now: Now, client: Client, paths: Vec<ReplyPath>) {
        let had_none = {
            let scope = self.scopes.entry(client).or_insert_with(Scope::new);
            let had_none = scope.paths.is_empty();
            scope.paths = paths;
            had_none && !scope.paths.is_empty()
        };
        if !had_none {
            return;
        }
        let waiting: Vec<u64> =
            self.lookups.iter().filter(|(_, each)| each.client == client).map(|(id, _)| *id).collect();
        for lookup in waiting {
            self.drive_lookup(now, lookup);
        }
        let of_client = |subject: &Subject| match subject {
            Subject::LeaseSet { client: of, .. } => Some(*of) == client,
            Subject::Router => false,
        };
        let waiting: Vec<Subject> =
            self.publications.keys().filter(|each| of_client(each)).copied().collect();
        for subject in waiting {
            self.drive_publication(now, subject);
        }
    }

    /// Something was not sent: to a peer that cannot be reached, the next one is tried; for want of a
    /// tunnel, it is tried again soon.
    fn send_failed(&mut self, now: Now, message: u32) {
        let again = now.instant + NO_TUNNEL;
        let lookup = self.lookups.iter_mut().find_map(|(id, lookup)| {
            let index = lookup.tries.iter().position(|each| each.message == message)?;
            Some((*id, lookup, index))
        });
        if let Some((id, lookup, index)) = lookup {
            if let Some(each) = lookup.tries.get_mut(index) {
                each.fail();
                if let Via::Tunnel(tag) = each.via {
                    lookup.tries.remove(index);
                    lookup.hold = Some(again);
                    self.tags.remove(&tag);
                } else {
                    self.profiles.observe(each.to, Observation::Silent, now.date);
                }
            }
            self.drive_lookup(now, id);
            return;
        }
        let store = self.publications.iter_mut().find_map(|(subject, publication)| {
            let index = publication.stores.iter().position(|each| each.message == message)?;
            Some((*subject, publication, index))
        });
        let Some((subject, publication, index)) = store else { return };
        if subject == Subject::Router {
            if let Some(store) = publication.stores.get_mut(index) {
                store.failed = true;
                self.profiles.observe(store.to, Observation::Silent, now.date);
            }
        } else {
            publication.stores.remove(index);
            publication.hold = Some(again);
        }
        self.drive_publication(now, subject);
    }

    fn bootstrap(&mut self, now: Now) {
        self.explorer.hurry(now.instant);
        let own = self.publications.get_mut(&Subject::Router);
        if let Some(publication) = own.filter(|each| matches!(each.phase, Phase::Waiting(_))) {
            publication.restart(now.instant);
            self.drive_publication(now, Subject::Router);
        }
    }
}

impl Engine for NetDb {
    type Input = Input;
    type Action = Action;

    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Received { origin, message } => self.receive(now, origin, &message),
            Input::Learned(info) => {
                if self.check_router(&info, MAX_STORE_AGE, now.date).is_ok() {
                    self.keep(now, info);
                }
            }
            Input::FindRouter { router, query } => self.find(now, (router.0, Sought::Router, None), query),
            Input::FindLeaseSet { destination, query, client } => {
                self.find(now, (destination.0, Sought::LeaseSet, client), query);
            }
            Input::Cancel(query) => self.cancel(query),
            Input::PublishRouterInfo(info) => self.publish_router(now, info),
            Input::PublishLeaseSet { client, lease_set } => self.publish_lease_set(now, client, lease_set),
            Input::ClientGone(client) => self.client_gone(now, client),
            Input::ReplyPaths { client, paths } => self.reply_paths(now, client, paths),
            Input::SendFailed { message } => self.send_failed(now, message),
            Input::Linked(router) => {
                self.linked.insert(router);
            }
            Input::Unlinked(router) => {
                self.linked.remove(&router);
            }
            Input::Observed(router, what) => self.profiles.observe(router, what, now.date),
            Input::Misbehaved(router, weight) => self.blame(router, weight, now.date),
            Input::Configure(config) => self.configure(now, config),
            Input::Bootstrap => self.bootstrap(now),
        }
    }

    fn poll(&mut self, now: Now) -> Option<Action> {
        if self.actions.is_empty() {
            self.advance(now);
        }
        self.actions.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.actions.is_empty() {
            return Some(self.started);
        }
        let lookups = self.lookups.values().map(|lookup| lookup.wake);
        let publications = self.publications.values().filter_map(|publication| publication.wake);
        let own = [self.explorer.next, self.sweep].into_iter().chain(self.renew);
        own.chain(lookups).chain(publications).min()
    }
}

#[cfg(test)]
mod tests;
