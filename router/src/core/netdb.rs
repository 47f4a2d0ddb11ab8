//! The network database's side of the core: links, and what the database wants sent.

use std::sync::Arc;
use std::time::Duration;

use allium_link::Blame;
use allium_netdb::{Action, ClientId, Found, Input as DbInput, Observation, Origin, QueryId};
use allium_tunnel::Sending;
use allium_wire::garlic::{Clove, Delivery};
use allium_wire::i2np::{Kind, Message, TunnelGateway};
use allium_wire::tunnel::Target;
use allium_wire::{Engine, Now, RouterHash, RouterInfo};
use bytes::{Bytes, BytesMut};
use tracing::debug;

use super::{Core, Query};
use crate::links;
use crate::outbox::lock;
use crate::switch::Source;

impl Core {
    pub(super) fn message(&mut self, now: Now, source: Source, message: Message) {
        if message.kind == Kind::DeliveryStatus && self.test_arrived(now, &message) {
            return;
        }
        let origin = match source {
            Source::Link(peer) => Origin::Link(peer),
            Source::Endpoint | Source::Garlic => Origin::Garlic,
            Source::Own { pool, tag } => Origin::Tunnel { client: pool, tag },
        };
        self.netdb.handle(now, DbInput::Received { origin, message });
    }

    pub(super) fn router_info_block(&mut self, now: Now, from: RouterHash, info: Bytes, flood: bool) {
        let verified = RouterInfo::decode(info).and_then(allium_wire::Signed::verify);
        let Ok(info) = verified else {
            self.shared.counters.malformed.one();
            self.netdb.handle(now, DbInput::Misbehaved(from, 1.0));
            return;
        };
        debug!("{from} sent the RouterInfo of {} (flood: {flood})", info.hash());
        if info.net_id() == Some(self.shared.config.network.id) {
            self.netdb.handle(now, DbInput::Learned(info));
        }
    }

    /// Dials a router whose outbox waits for a link; looks for its RouterInfo first where that is not known.
    pub(super) fn dial(&mut self, now: Now, peer: RouterHash) {
        let waits = lock(&self.shared.links.backoff).until(&peer, now.instant).is_some();
        let banned = self.netdb.is_banned(&peer, now.date)
            || lock(&self.shared.links.bans).router(&peer, now.instant).is_some();
        if peer == self.shared.hash || waits || banned || !self.shared.config.ntcp2.enabled {
            self.shared.dial_failed(&peer);
            self.not_sent(now, peer);
            return;
        }
        if let Some(info) = self.netdb.get(&peer) {
            links::dial(&self.shared, RouterInfo::clone(info));
        } else {
            self.next_query += 1;
            let query = QueryId(self.next_query);
            self.queries.insert(query, Query::Dial(peer));
            self.netdb.handle(now, DbInput::FindRouter { router: peer, query });
        }
    }

    pub(super) fn link_up(&mut self, now: Now, peer: RouterHash, info: Option<Box<RouterInfo>>) {
        if let Some(info) = info {
            self.netdb.handle(now, DbInput::Learned(*info));
        }
        self.unsent.remove(&peer);
        self.netdb.handle(now, DbInput::Linked(peer));
        self.netdb.handle(now, DbInput::Observed(peer, Observation::Linked(Duration::ZERO)));
    }

    pub(super) fn link_down(&mut self, now: Now, peer: RouterHash) {
        self.netdb.handle(now, DbInput::Unlinked(peer));
        self.doubt_all(now, peer);
    }

    pub(super) fn dial_failed(&mut self, now: Now, peer: RouterHash, blame: Blame) {
        if blame != Blame::Local {
            self.netdb.handle(now, DbInput::Observed(peer, Observation::DialFailed));
            self.doubt_all(now, peer);
        }
        self.candidates = None;
        self.not_sent(now, peer);
    }

    /// What waited for a link to this router was not sent: the database and the builds hear of it.
    fn not_sent(&mut self, now: Now, peer: RouterHash) {
        for message in self.unsent.remove(&peer).unwrap_or_default() {
            self.netdb.handle(now, DbInput::SendFailed { message });
        }
        self.builds_lost(now, peer);
    }

    pub(super) fn netdb_action(&mut self, now: Now, action: Action) {
        match action {
            Action::SendDirect { to, message } => {
                if !self.shared.connected(&to) {
                    self.unsent.entry(to).or_default().push(message.id);
                }
                self.shared.send(&to, message);
            }
            Action::SendTunnel { client, to, to_key, message } => {
                self.send_tunnel(now, client, to, &to_key, message);
            }
            Action::ExpectReply { key, until, .. } => {
                lock(&self.shared.one_time).register(key.tag, key.key, until);
            }
            Action::SendReply { to, tunnel, encrypt, message } => {
                self.send_reply(to, tunnel, encrypt, message);
            }
            Action::Found { query, what } => self.found(query, what),
            Action::NotFound { query, why } => match self.queries.remove(&query) {
                Some(Query::Dial(peer)) => {
                    debug!("no RouterInfo of {peer} to dial it by: {why:?}");
                    self.shared.dial_failed(&peer);
                    self.not_sent(now, peer);
                }
                Some(Query::LeaseSet(answer)) => {
                    let _ = answer.send(Err(why));
                }
                None => {}
            },
            Action::Persist(info) => self.disk.persist(&info),
            Action::Forget(router) => self.disk.forget(router),
            Action::NewRouter(_) => self.routers_changed(now),
            Action::Published { what, ok } => self.published(what, ok),
            Action::Verified(_) => {}
            Action::RenewRouterInfo => self.renew_router_info(now),
            Action::Banned { router, until } => {
                let time = until.since(now.date);
                debug!("{router} is banned for {} s", time.as_secs());
                lock(&self.shared.links.bans).ban_router(router, now.instant, time);
            }
        }
    }

    fn found(&mut self, query: QueryId, what: Found) {
        match (self.queries.remove(&query), what) {
            (Some(Query::Dial(_)), Found::Router(info)) => {
                links::dial(&self.shared, RouterInfo::clone(&info));
            }
            (Some(Query::LeaseSet(answer)), Found::LeaseSet(set)) => {
                let _ = answer.send(Ok(set));
            }
            _ => {}
        }
    }

    fn send_tunnel(
        &mut self,
        now: Now,
        client: Option<ClientId>,
        to: RouterHash,
        to_key: &allium_crypto::x25519::PublicKey,
        message: Message,
    ) {
        let id = message.id;
        let expires = message.expires;
        let clove = Clove { delivery: Delivery::Local, message };
        let mut body = BytesMut::new();
        let sealed = allium_garlic::router::seal(&mut self.rng, now, to_key, &[clove], &mut body);
        let outer = Message::new(Kind::Garlic, self.rng.u32(), expires, body);
        if sealed.is_err() || !self.send_through(now, client, Target::Router(to), &outer) {
            self.netdb.handle(now, DbInput::SendFailed { message: id });
        }
    }

    /// Sends a message out through a tunnel of that pool; false where there is none.
    pub(super) fn send_through(
        &mut self,
        now: Now,
        pool: Option<ClientId>,
        target: Target,
        message: &Message,
    ) -> bool {
        let path = self.pools.get(&pool).and_then(|pools| pools.paths.pick_outbound(&mut self.rng));
        path.is_some_and(|path| path.send(&self.shared, now, target, message))
    }

    fn send_reply(
        &mut self,
        to: RouterHash,
        tunnel: Option<allium_wire::TunnelId>,
        encrypt: Option<allium_netdb::OneTimeKey>,
        mut message: Message,
    ) {
        let expires = message.expires;
        if let Some(key) = encrypt {
            let clove = Clove { delivery: Delivery::Local, message };
            let mut body = BytesMut::new();
            if allium_garlic::router::seal_reply(&key.key, key.tag, &clove, &mut body).is_err() {
                return;
            }
            message = Message::new(Kind::Garlic, self.rng.u32(), expires, body);
        }
        if let Some(tunnel) = tunnel {
            message = TunnelGateway::wrap(tunnel, &message).into_message(self.rng.u32(), expires);
        }
        self.shared.forward(Sending { to, message }, &mut self.batch);
    }

    pub(super) fn renew_router_info(&mut self, now: Now) {
        let info = crate::identity::router_info(&self.shared, now.date);
        self.shared.set_info(info.clone());
        self.disk.own(Arc::new(info.clone()));
        self.netdb.handle(now, DbInput::PublishRouterInfo(info));
    }
}
