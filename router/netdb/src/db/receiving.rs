//! Messages from others: telling answers to our own questions from everything else.

use std::sync::Arc;

use allium_wire::i2np::{
    DatabaseLookup, DatabaseSearchReply, DatabaseStore, DeliveryStatus, Kind, Message, StoreData,
};
use allium_wire::{Now, RouterHash, RouterInfo};
use bytes::Bytes;

use super::NetDb;
use crate::Error;
use crate::io::{ClientId, Found, Origin, Subject};
use crate::lease_set::LeaseSetRecord;
use crate::limits::MAX_STORE_AGE;
use crate::lookup::{Sought, State, Via};

/// The try of a lookup that a message answers; no try if it cannot be told which.
struct Answered {
    lookup: u64,
    index: Option<usize>,
}

impl NetDb {
    /// Takes in a message of the network database.
    pub(super) fn receive(&mut self, now: Now, origin: Origin, message: &Message) {
        let banned = matches!(origin, Origin::Link(peer) if self.bans.is_banned(&peer, now.date));
        if banned || message.expired(now.date) {
            return;
        }
        let result = match message.kind {
            Kind::DatabaseStore => {
                DatabaseStore::decode(&message.body).map(|store| self.on_store(now, origin, &store))
            }
            Kind::DatabaseLookup => {
                DatabaseLookup::decode(&message.body).map(|lookup| self.on_lookup(now, origin, &lookup))
            }
            Kind::DatabaseSearchReply => DatabaseSearchReply::decode(&message.body)
                .map(|reply| self.on_search_reply(now, origin, &reply)),
            Kind::DeliveryStatus => {
                DeliveryStatus::decode(&message.body).map(|status| self.on_status(now, origin, status.id))
            }
            _ => Ok(()),
        };
        if let (Err(error), Origin::Link(peer)) = (result, origin) {
            self.blame(peer, Error::from(error).weight(), now.date);
        }
    }

    fn on_store(&mut self, now: Now, origin: Origin, store: &DatabaseStore) {
        let sought = match &store.data {
            StoreData::RouterInfo(_) => Sought::Router,
            StoreData::LeaseSet(..) => Sought::LeaseSet,
        };
        let answered = self.answered(origin, &store.key, &[sought]);
        match (answered, origin) {
            (Some(answered), _) => self.on_answer(now, &answered, store),
            (None, Origin::Link(peer)) => self.serve_store(now, Some(peer), store),
            (None, Origin::Garlic) => self.serve_store(now, None, store),
            // What strangers send down our tunnels is neither kept nor acknowledged.
            (None, Origin::Tunnel { .. }) => {}
        }
    }

    /// The lookup and try that a message about this key from there answers.
    fn answered(&self, origin: Origin, key: &[u8; 32], sought: &[Sought]) -> Option<Answered> {
        let id = match origin {
            Origin::Tunnel { tag: Some(tag), .. } => *self.tags.get(&tag)?,
            Origin::Tunnel { tag: None, client } => {
                sought.iter().find_map(|sought| self.targets.get(&(*key, *sought, client)).copied())?
            }
            Origin::Link(_) => {
                sought.iter().find_map(|sought| self.targets.get(&(*key, *sought, None)).copied())?
            }
            Origin::Garlic => return None,
        };
        let lookup =
            self.lookups.get(&id).filter(|lookup| lookup.key == *key && sought.contains(&lookup.sought))?;
        let by = |fits: &dyn Fn(&Via, &RouterHash) -> bool| {
            lookup.tries.iter().position(|each| each.is_open() && fits(&each.via, &each.to))
        };
        match origin {
            Origin::Tunnel { tag: Some(tag), client } if lookup.client == client => {
                let index = by(&|via, _| *via == Via::Tunnel(tag))?;
                Some(Answered { lookup: id, index: Some(index) })
            }
            // Unsealed: some floodfill, or somebody who forges one. Good only for what is signed.
            Origin::Tunnel { tag: None, .. } => {
                by(&|via, _| matches!(via, Via::Tunnel(_)))?;
                Some(Answered { lookup: id, index: None })
            }
            Origin::Link(peer) => {
                let index = by(&|via, to| *via == Via::Link && *to == peer)?;
                Some(Answered { lookup: id, index: Some(index) })
            }
            _ => None,
        }
    }

    /// A floodfill sends what was asked for; it is checked, and used if it is good.
    fn on_answer(&mut self, now: Now, answered: &Answered, store: &DatabaseStore) {
        let Some(client) = self.lookups.get(&answered.lookup).map(|lookup| lookup.client) else { return };
        let found = self.check_answer(now, client, store);
        let Ok(found) = found else {
            if let Some(index) = answered.index {
                // Garbage or an outdated item: the next floodfill may have better.
                self.note_answer(now, answered.lookup, index, State::Answered);
                self.drive_lookup(now, answered.lookup);
            }
            return;
        };
        if let Some(index) = answered.index {
            self.note_answer(now, answered.lookup, index, State::Answered);
        }
        match found {
            // A router's own lookups end when the database takes the RouterInfo in.
            Found::Router(info) if client.is_none() => {
                self.keep(now, Arc::unwrap_or_clone(info));
            }
            Found::Router(info) => {
                if let Some(scope) = self.scopes.get_mut(&client) {
                    scope.referrals.insert_router(Arc::clone(&info), now.date);
                }
                self.end_lookup(now, answered.lookup, Some(&Found::Router(info)));
            }
            other => self.end_lookup(now, answered.lookup, Some(&other)),
        }
    }

    fn check_answer(
        &self,
        now: Now,
        client: Option<ClientId>,
        store: &DatabaseStore,
    ) -> Result<Found, Error> {
        match &store.data {
            StoreData::RouterInfo(_) => {
                let info = open_router_info(store)?;
                self.check_router(&info, MAX_STORE_AGE, now.date)?;
                // Another router may hold an older one than we came to know in the meantime.
                let known = self.routers.get(&info.hash()).filter(|_| client.is_none());
                let newer = known.filter(|known| known.published() >= info.published());
                Ok(Found::Router(newer.map_or_else(|| Arc::new(info), Arc::clone)))
            }
            StoreData::LeaseSet(kind, bytes) => {
                let record = open_lease_set(store.key, *kind, bytes)?;
                record.check_dates(now.date)?;
                Ok(record.lease_set().map_or(Found::Other(record), Found::LeaseSet))
            }
        }
    }

    fn on_search_reply(&mut self, now: Now, origin: Origin, reply: &DatabaseSearchReply) {
        let kinds = [Sought::LeaseSet, Sought::Router, Sought::Unknown];
        let answered = self.answered(origin, &reply.key, &kinds);
        // Without a try it is not known who says so, and nothing in it is signed.
        if let Some(Answered { lookup, index: Some(index) }) = answered {
            self.follow(now, lookup, index, &reply.peers);
        }
    }

    /// A store of ours arrived somewhere.
    fn on_status(&mut self, now: Now, origin: Origin, token: u32) {
        let expected = self.publications.iter_mut().find_map(|(subject, publication)| {
            let there = match (subject, origin) {
                // A floodfill without a link to us may send it through a tunnel of its own, out of anyone's
                // link.
                (Subject::Router, Origin::Link(_) | Origin::Garlic) => true,
                (Subject::LeaseSet { client, .. }, Origin::Tunnel { client: Some(of), .. }) => of == *client,
                _ => false,
            };
            let stores = publication.stores.iter_mut().filter(|store| there && !store.acked);
            let store = stores.into_iter().find(|store| store.token == token);
            store.map(|store| (*subject, store))
        });
        let Some((subject, store)) = expected else { return };
        store.acked = true;
        let (to, took) = (store.to, now.instant.saturating_duration_since(store.sent));
        self.acknowledged(now, subject, to, took);
    }
}

/// The RouterInfo of a store, if it is well signed and stored under its own key.
fn open_router_info(store: &DatabaseStore) -> Result<RouterInfo, Error> {
    let bytes = store.data.inflate()?.ok_or(Error::Misbehaved("no RouterInfo"))?;
    let info = RouterInfo::decode(bytes)?;
    if info.unverified().hash().0 != store.key {
        return Err(Error::Misbehaved("RouterInfo under another key"));
    }
    Ok(info.verify()?)
}

/// The LeaseSet of a store, if it is well signed and stored under its own key.
pub(super) fn open_lease_set(key: [u8; 32], kind: u8, bytes: &Bytes) -> Result<LeaseSetRecord, Error> {
    let record = LeaseSetRecord::verify(kind, bytes.clone())?;
    if record.key == key { Ok(record) } else { Err(Error::Misbehaved("LeaseSet under another key")) }
}
