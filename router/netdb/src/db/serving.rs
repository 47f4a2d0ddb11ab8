//! What this router does for others: keeping, flooding and handing out, mostly as a floodfill.

use std::time::Duration;

use allium_wire::i2np::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, LookupKind, Message, StoreData,
};
use allium_wire::{Now, RouterHash, RouterInfo};

use super::receiving::open_lease_set;
use super::{BIG_NETWORK, NetDb};
use crate::Error;
use crate::io::{Action, OneTimeKey, Origin};
use crate::key::{closest, routing_key, tomorrows_key};
use crate::lease_set::LeaseSetRecord;
use crate::limits::{
    ANSWER_EXPLORATION, ANSWER_FLOODFILLS, FLOOD_TODAY, FLOOD_TOMORROW, MAX_FLOOD_AGE, MESSAGE_LIFE,
};
use crate::store::Offered;

/// A RouterInfo published longer ago is not accepted from others in a small network.
const MAX_ACCEPTED_AGE: Duration = Duration::from_hours(27);
/// How long before midnight RouterInfos are flooded for tomorrow's key as well.
const ROUTERS_AHEAD: Duration = Duration::from_mins(45);
/// How long before midnight LeaseSets are.
const LEASE_SETS_AHEAD: Duration = Duration::from_mins(10);

impl NetDb {
    /// A store that is no answer: of a neighbour's own RouterInfo, or to this floodfill.
    pub(super) fn serve_store(&mut self, now: Now, from: Option<RouterHash>, store: &DatabaseStore) {
        let is_lease_set = matches!(store.data, StoreData::LeaseSet(..));
        if !self.config.floodfill && (is_lease_set || from.is_none()) {
            return;
        }
        let bucket = from.unwrap_or_default();
        if store.key == self.config.own.0 || !self.limits.stores.allow(&bucket.0, now.instant) {
            self.stats.stores_refused += 1;
            return;
        }
        if self.config.floodfill {
            self.acknowledge(now, from, store);
        }
        let accepted =
            if is_lease_set { self.accept_lease_set(now, store) } else { self.accept_router(now, store) };
        match accepted {
            Ok((Offered::Old, _)) => {}
            Ok((_, flood)) => {
                self.stats.stores += 1;
                if flood && self.config.floodfill && store.reply.is_some() {
                    self.flood(now, from, store);
                }
            }
            Err(error) => {
                self.stats.stores_refused += 1;
                if let Some(peer) = from {
                    self.blame(peer, error.weight(), now.date);
                }
            }
        }
    }

    /// Says that a store arrived, before it is looked at: whether it is kept is nobody's business.
    fn acknowledge(&mut self, now: Now, from: Option<RouterHash>, store: &DatabaseStore) {
        let Some(reply) = store.reply else { return };
        let to = reply.gateway;
        // Nobody is made to dial routers that are not known to exist.
        let reachable = from == Some(to) || to == self.config.own || self.routers.get(&to).is_some();
        if reply.tunnel.is_none() && !reachable {
            return;
        }
        let status = DeliveryStatus { id: reply.token, at: now.date };
        let message = status.into_message(self.rng.u32(), now.date + MESSAGE_LIFE);
        self.actions.push_back(Action::SendReply { to, tunnel: reply.tunnel, encrypt: None, message });
    }

    /// Checks and keeps a RouterInfo; whether it may be flooded.
    fn accept_router(&mut self, now: Now, store: &DatabaseStore) -> Result<(Offered, bool), Error> {
        let bytes = store.data.inflate()?.ok_or(Error::Misbehaved("no RouterInfo"))?;
        let claimed = RouterInfo::decode(bytes)?;
        // What is known already needs no look at its signature.
        let unverified = claimed.unverified();
        if self.routers.judge(&unverified.hash(), unverified.published()) == Offered::Old {
            return Ok((Offered::Old, false));
        }
        if unverified.hash().0 != store.key {
            return Err(Error::Misbehaved("RouterInfo under another key"));
        }
        let big = self.config.floodfill && self.routers.len() > BIG_NETWORK;
        let oldest = if big { MAX_FLOOD_AGE } else { MAX_ACCEPTED_AGE };
        self.check_router(unverified, oldest, now.date)?;
        let info = claimed.verify()?;
        let flood = info.published() + MAX_FLOOD_AGE > now.date;
        // A full database is not flushed by whoever makes up routers.
        if self.routers.is_full() && self.routers.get(&info.hash()).is_none() && !self.rng.chance(0.25) {
            return Ok((Offered::New, flood));
        }
        Ok((self.keep(now, info), flood))
    }

    fn accept_lease_set(&mut self, now: Now, store: &DatabaseStore) -> Result<(Offered, bool), Error> {
        let StoreData::LeaseSet(kind, bytes) = &store.data else {
            return Err(Error::Misbehaved("no LeaseSet"));
        };
        if self.lease_sets.get(&store.key, now.date).is_some_and(|known| known.bytes == *bytes) {
            return Ok((Offered::Old, false));
        }
        let record = open_lease_set(store.key, *kind, bytes)?;
        record.check_dates(now.date)?;
        if !record.public {
            return Err(Error::Stale("unpublished LeaseSet"));
        }
        Ok((self.lease_sets.insert(record, &self.config.own, now.date), true))
    }

    /// Passes an item on to the floodfills it belongs to; they do not pass it on, as there is no token.
    fn flood(&mut self, now: Now, from: Option<RouterHash>, store: &DatabaseStore) {
        let ahead = match store.data {
            StoreData::RouterInfo(_) => ROUTERS_AHEAD,
            StoreData::LeaseSet(..) => LEASE_SETS_AHEAD,
        };
        let fits = |info: &RouterInfo| {
            let hash = info.hash();
            Some(hash) != from && hash.0 != store.key && self.is_dialable(info, now.date)
        };
        let today = routing_key(&store.key, now.date);
        let mut to = self.near_floodfills(&today, None, now.date, FLOOD_TODAY, fits);
        if now.date.until_midnight_utc() < ahead {
            let tomorrow = tomorrows_key(&store.key, now.date);
            let more = |info: &RouterInfo| fits(info) && to.iter().all(|other| other.hash() != info.hash());
            let more = self.near_floodfills(&tomorrow, None, now.date, FLOOD_TOMORROW, more);
            to.extend(more);
        }
        for to in to.iter().map(|info| info.hash()) {
            let copy = DatabaseStore { key: store.key, reply: None, data: store.data.clone() };
            let message = copy.into_message(self.rng.u32(), now.date + MESSAGE_LIFE);
            self.stats.flooded += 1;
            self.actions.push_back(Action::SendDirect { to, message });
        }
    }

    /// Answers another's lookup, if this router's role and the asker's manners allow.
    pub(super) fn on_lookup(&mut self, now: Now, origin: Origin, lookup: &DatabaseLookup) {
        let dropped = !self.may_answer(now, origin, lookup);
        if dropped {
            self.stats.lookups_dropped += 1;
            return;
        }
        let message = match lookup.kind {
            LookupKind::LeaseSet => self.stored_lease_set(now, lookup),
            LookupKind::RouterInfo => self.known_router(now, lookup),
            LookupKind::Any => self.stored_lease_set(now, lookup).or_else(|| self.known_router(now, lookup)),
            LookupKind::Exploration => None,
        };
        let message = message.unwrap_or_else(|| self.search_reply(now, lookup));
        self.stats.served += 1;
        let encrypt = lookup.reply_key.map(|key| OneTimeKey { key: key.key, tag: key.tag });
        let (to, tunnel) = (lookup.from, lookup.reply_tunnel);
        self.actions.push_back(Action::SendReply { to, tunnel, encrypt, message });
    }

    fn may_answer(&mut self, now: Now, origin: Origin, lookup: &DatabaseLookup) -> bool {
        let direct = lookup.reply_tunnel.is_none();
        let allowed = match origin {
            // Whoever asks through our own tunnels wants to know whose they are.
            Origin::Tunnel { .. } => false,
            Origin::Link(peer) => !direct || lookup.from == peer,
            Origin::Garlic => !direct || self.routers.get(&lookup.from).is_some(),
        };
        let own = lookup.key == self.config.own.0
            && matches!(origin, Origin::Link(_))
            && matches!(lookup.kind, LookupKind::RouterInfo | LookupKind::Any);
        allowed
            && (self.config.floodfill || own)
            && self.limits.lookups.allow(&lookup.from.0, now.instant)
            && self.limits.all_lookups.allow(&[0; 32], now.instant)
    }

    fn stored_lease_set(&mut self, now: Now, lookup: &DatabaseLookup) -> Option<Message> {
        let LeaseSetRecord { key, store_type, bytes, .. } =
            self.lease_sets.get(&lookup.key, now.date)?.clone();
        let store = DatabaseStore { key, reply: None, data: StoreData::LeaseSet(store_type, bytes) };
        Some(store.into_message(self.rng.u32(), now.date + MESSAGE_LIFE))
    }

    fn known_router(&mut self, now: Now, lookup: &DatabaseLookup) -> Option<Message> {
        let own = self.own.as_ref().filter(|own| own.hash().0 == lookup.key);
        let info = own.or_else(|| self.routers.get(&RouterHash(lookup.key)))?;
        if info.caps().hidden {
            return None;
        }
        let store = DatabaseStore { key: lookup.key, reply: None, data: StoreData::router_info(info) };
        Some(store.into_message(self.rng.u32(), now.date + MESSAGE_LIFE))
    }

    /// The closest floodfills, or for an exploration other routers, but for those the asker excludes.
    fn search_reply(&mut self, now: Now, lookup: &DatabaseLookup) -> Message {
        let near = routing_key(&lookup.key, now.date);
        let wanted = |hash: &RouterHash| {
            *hash != lookup.from && hash.0 != lookup.key && !lookup.excluded.contains(hash)
        };
        let peers = if lookup.kind == LookupKind::Exploration {
            closest(&near, self.routers.others().copied().filter(wanted), ANSWER_EXPLORATION)
        } else {
            let fits = |info: &RouterInfo| wanted(&info.hash());
            let fit = self.near_floodfills(&near, None, now.date, ANSWER_FLOODFILLS, fits);
            fit.iter().map(|info| info.hash()).collect()
        };
        let reply = DatabaseSearchReply { key: lookup.key, peers, from: self.config.own };
        reply.into_message(self.rng.u32(), now.date + MESSAGE_LIFE)
    }
}
