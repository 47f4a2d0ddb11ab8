//! Publications: the own RouterInfo directly, LeaseSets through their destinations' tunnels.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use allium_wire::i2np::{DatabaseStore, Message, StoreData, StoreReply};
use allium_wire::{Now, RouterHash, RouterInfo};

use super::{Client, NetDb, Scope};
use crate::io::{Action, ClientId, Found, Subject, Why};
use crate::lease_set::LeaseSetRecord;
use crate::limits::MESSAGE_LIFE;
use crate::lookup::{Purpose, Sought};
use crate::profile::Observation;
use crate::publish::{MOST_RESTORES, MOST_TRIES, Phase, Publication, Store, WANTED};

/// How often to look whether there is a floodfill or tunnel by now.
const RETRY: Duration = Duration::from_secs(5);

/// What became of an attempt to send to one more floodfill.
enum Sent {
    Yes,
    /// No tunnel for the answer.
    NoPath,
    Nobody,
}

impl NetDb {
    pub(super) fn publish_router(&mut self, now: Now, info: RouterInfo) {
        let info = Arc::new(info);
        self.own = Some(Arc::clone(&info));
        let renew = Duration::from_secs(self.rng.range(30 * 60..40 * 60));
        self.renew = Some(now.instant + renew);
        if !self.config.publish {
            return;
        }
        let new = Publication::new(info.hash().0, 0, info.bytes().clone(), now.instant);
        let published = info.published();
        self.publish(now, Subject::Router, Publication { published, ..new });
    }

    pub(super) fn publish_lease_set(&mut self, now: Now, client: ClientId, set: LeaseSetRecord) {
        let subject = Subject::LeaseSet { client, key: set.key };
        self.scopes.entry(Some(client)).or_insert_with(Scope::new);
        let new = Publication::new(set.key, set.store_type, set.bytes, now.instant);
        let (published, expires) = (set.published, Some(set.expires));
        self.publish(now, subject, Publication { published, expires, ..new });
    }

    /// Starts a publication, or puts a newer item in the place of an older one. Rounds keep their distance.
    fn publish(&mut self, now: Now, subject: Subject, mut new: Publication) {
        if let Some(old) = self.publications.get(&subject) {
            if old.published > new.published {
                return;
            }
            new.started = old.started;
            new.failures = old.failures;
            new.wait_until(old.soonest(now.instant));
        }
        self.publications.insert(subject, new);
        self.drive_publication(now, subject);
    }

    /// Takes a publication as far as it goes now.
    pub(super) fn drive_publication(&mut self, now: Now, subject: Subject) {
        let Some(mut publication) = self.publications.remove(&subject) else { return };
        if publication.expires.is_some_and(|at| at <= now.date) {
            return;
        }
        match publication.phase {
            Phase::Waiting(at) if at <= now.instant => {
                publication.begin(now.instant);
                self.store_on(now, subject, &mut publication);
            }
            Phase::Storing => self.store_on(now, subject, &mut publication),
            Phase::Unverified(at) if at <= now.instant => self.look_back(now, subject, &mut publication),
            _ => {}
        }
        let verify = publication.phase == Phase::Verifying;
        let key = publication.key;
        let sent_to = publication.acked_by().into_iter().chain(publication.avoid.iter().copied()).collect();
        self.publications.insert(subject, publication);
        // The lookup may end at once, and then wants to find the publication.
        if verify && let Subject::LeaseSet { client, .. } = subject {
            self.verify(now, subject, key, client, sent_to);
        }
    }

    /// Sends to as many floodfills as are wanted, and to others where those do not acknowledge it.
    fn store_on(&mut self, now: Now, subject: Subject, publication: &mut Publication) {
        self.mark_failed(now, subject, publication);
        if let Some(at) = publication.hold.take_if(|at| *at > now.instant) {
            (publication.hold, publication.wake) = (Some(at), Some(at));
            return;
        }
        while publication.acks() + publication.waiting(now.instant) < WANTED
            && publication.stores.len() < MOST_TRIES
        {
            match self.store_once(now, subject, publication) {
                Sent::Yes => {}
                Sent::NoPath => {
                    publication.wake = Some(now.instant + RETRY);
                    return;
                }
                Sent::Nobody => break,
            }
        }
        if publication.acks() < WANTED && publication.waiting(now.instant) > 0 {
            let waiting = publication.stores.iter().filter(|store| store.is_waiting(now.instant));
            publication.wake = waiting.map(|store| store.due).min();
        } else if publication.acks() > 0 {
            self.stored(now, subject, publication);
        } else if publication.stores.is_empty() {
            // No floodfill to be had: not a failure, there is nobody yet.
            publication.avoid.clear();
            publication.wait_until(now.instant + RETRY);
        } else {
            publication.failures += 1;
            publication.wait_until(now.instant + publication.retry_after());
            self.actions.push_back(Action::Published { what: subject, ok: false });
        }
    }

    fn mark_failed(&mut self, now: Now, subject: Subject, publication: &mut Publication) {
        for store in &mut publication.stores {
            if store.acked || store.failed || store.due > now.instant {
                continue;
            }
            store.failed = true;
            self.profiles.observe(store.to, Observation::Silent, now.date);
            match self.scopes.get_mut(&client_of(subject)) {
                Some(scope) if subject != Subject::Router => scope.pace.missed(),
                _ => self.direct_store.missed(),
            }
        }
    }

    /// Sends to the closest floodfill not tried in this round.
    fn store_once(&mut self, now: Now, subject: Subject, publication: &mut Publication) -> Sent {
        let client = client_of(subject);
        let direct = subject == Subject::Router;
        let floodfill = self.closest_floodfill(&publication.key, client, now.date, |info| {
            let hash = info.hash();
            let tried = publication.stores.iter().any(|store| store.to == hash);
            !tried && !publication.avoid.contains(&hash) && (!direct || self.is_dialable(info, now.date))
        });
        let Some((floodfill, to_key)) =
            floodfill.and_then(|info| Some((info.hash(), info.encryption_key()?)))
        else {
            return Sent::Nobody;
        };
        let token = (self.rng.u32()).max(1);
        let id = self.rng.u32();
        let path = self.scopes.get(&client).and_then(|scope| self.rng.choose(&scope.paths)).copied();
        let reply = match (direct, path) {
            (true, _) => StoreReply { token, tunnel: None, gateway: self.config.own },
            (false, Some(path)) => StoreReply { token, tunnel: Some(path.tunnel), gateway: path.gateway },
            (false, None) => return Sent::NoPath,
        };
        let Some(message) = self.store_message(now, publication, reply, id) else { return Sent::Nobody };
        let wait = if direct {
            self.actions.push_back(Action::SendDirect { to: floodfill, message });
            self.direct_store.timeout()
        } else {
            self.actions.push_back(Action::SendTunnel { client, to: floodfill, to_key, message });
            let pace = self.scopes.get(&client).map(|scope| scope.pace.timeout());
            pace.unwrap_or(RETRY) + Duration::from_millis(500)
        };
        publication.stores.push(Store {
            to: floodfill,
            token,
            message: id,
            sent: now.instant,
            due: now.instant + wait,
            acked: false,
            failed: false,
        });
        Sent::Yes
    }

    fn store_message(&self, now: Now, what: &Publication, reply: StoreReply, id: u32) -> Option<Message> {
        let data = if what.store_type == 0 {
            StoreData::router_info(self.own.as_ref()?)
        } else {
            StoreData::LeaseSet(what.store_type, what.bytes.clone())
        };
        let store = DatabaseStore { key: what.key, reply: Some(reply), data };
        Some(store.into_message(id, now.date + MESSAGE_LIFE))
    }

    /// A floodfill has it.
    pub(super) fn acknowledged(&mut self, now: Now, subject: Subject, by: RouterHash, took: Duration) {
        self.profiles.observe(by, Observation::Answered, now.date);
        match self.scopes.get_mut(&client_of(subject)) {
            Some(scope) if subject != Subject::Router => scope.pace.answered(took),
            _ => self.direct_store.answered(took),
        }
        let Some(publication) = self.publications.get_mut(&subject) else { return };
        publication.failures = 0;
        if !publication.told {
            publication.told = true;
            self.stats.published += 1;
            self.actions.push_back(Action::Published { what: subject, ok: true });
        }
        if matches!(publication.phase, Phase::Waiting(_)) {
            // It came after the round was given up: the round counts after all.
            publication.phase = Phase::Storing;
        }
        self.drive_publication(now, subject);
    }

    /// Enough floodfills have it: a LeaseSet is looked up after a while, if there is anybody else to ask.
    fn stored(&mut self, now: Now, subject: Subject, publication: &mut Publication) {
        let acked = publication.acked_by();
        let other = |info: &RouterInfo| !acked.contains(&info.hash());
        let others = self.closest_floodfill(&publication.key, client_of(subject), now.date, other).is_some();
        if subject == Subject::Router || !others || publication.restores > MOST_RESTORES {
            (publication.phase, publication.wake) = (Phase::Done, None);
            return;
        }
        let at = now.instant + Duration::from_millis(self.rng.range(5_000..10_000));
        (publication.phase, publication.wake) = (Phase::Unverified(at), Some(at));
    }

    fn look_back(&mut self, now: Now, subject: Subject, publication: &mut Publication) {
        let Subject::LeaseSet { client, .. } = subject else { return };
        let target = (publication.key, Sought::LeaseSet, Some(client));
        if self.targets.contains_key(&target) {
            publication.phase = Phase::Unverified(now.instant + RETRY);
            publication.wake = Some(now.instant + RETRY);
            return;
        }
        (publication.phase, publication.wake) = (Phase::Verifying, None);
    }

    /// Looks a LeaseSet up at floodfills that it was not sent to.
    fn verify(
        &mut self,
        now: Now,
        subject: Subject,
        key: [u8; 32],
        client: ClientId,
        sent_to: BTreeSet<RouterHash>,
    ) {
        let purpose = Purpose::Verify(subject);
        match self.start_lookup(now, key, Sought::LeaseSet, Some(client), purpose) {
            Some(id) => {
                if let Some(lookup) = self.lookups.get_mut(&id) {
                    lookup.avoid = sent_to;
                }
                self.drive_lookup(now, id);
            }
            None => self.looked_back(now, subject, None, Why::Busy),
        }
    }

    /// The lookup of a publication has ended: what other floodfills do not have is stored again.
    pub(super) fn looked_back(&mut self, now: Now, subject: Subject, found: Option<&Found>, why: Why) {
        let Some(publication) = self.publications.get_mut(&subject) else { return };
        if publication.phase != Phase::Verifying {
            return;
        }
        let date = match found {
            Some(Found::LeaseSet(set)) => Some(set.published()),
            Some(Found::Other(record)) => Some(record.published),
            _ => None,
        };
        publication.restores += 1;
        if date.is_some_and(|date| date >= publication.published) {
            (publication.phase, publication.wake) = (Phase::Done, None);
            self.stats.verified += 1;
            self.actions.push_back(Action::Verified(subject));
        } else if publication.restores > MOST_RESTORES || why == Why::NoFloodfills {
            (publication.phase, publication.wake) = (Phase::Done, None);
        } else if found.is_some() || why == Why::Absent {
            let acked = publication.acked_by();
            publication.avoid.extend(acked);
            publication.restart(now.instant);
        } else {
            let at = now.instant + 2 * RETRY;
            (publication.phase, publication.wake) = (Phase::Unverified(at), Some(at));
        }
    }
}

/// Through whose tunnels.
fn client_of(subject: Subject) -> Client {
    match subject {
        Subject::Router => None,
        Subject::LeaseSet { client, .. } => Some(client),
    }
}
