//! The requests of all clients: whose they are, how far they are, who is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::codes::{Code, Refusal};
use super::held::Held;
use super::outbox::Outbox;
use super::wire::Message;

/// The most requests of a connection, of a client by name, and of the global queue.
const MOST: usize = 4096;
/// The most queues that hold something.
const QUEUES: usize = 1024;

/// Whose a request is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// A connection, and ends with it.
    Connection(u64),
    /// Whoever says this name in ClientHello.
    Client(String),
    /// Everybody.
    Global,
}

/// A request.
pub(super) struct Request {
    pub(super) id: String,
    pub(super) owner: Owner,
    /// What its client wants to be told of.
    pub(super) verbosity: u32,
    pub(super) cancel: CancellationToken,
    told: Mutex<Told>,
}

/// What has been said of a request, for those who ask later.
struct Told {
    /// `PersistentGet` and the like.
    description: Message,
    /// The last message of each name, in the order in which they came up.
    said: Vec<Message>,
    data: Option<(Message, Arc<Held>)>,
}

/// How urgent a message is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// It is soon followed by a better one.
    Progress,
    /// It is said once.
    Event,
}

impl Request {
    pub(super) fn new(id: &str, owner: Owner, verbosity: u32, description: Message) -> Arc<Self> {
        let told = Mutex::new(Told { description, said: Vec::new(), data: None });
        let cancel = CancellationToken::new();
        Arc::new(Self { id: id.to_owned(), owner, verbosity, cancel, told })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn global(&self) -> bool {
        self.owner == Owner::Global
    }

    fn persistent(&self) -> bool {
        !matches!(self.owner, Owner::Connection(_))
    }

    /// What `PersistentGet` and the like say.
    pub(super) fn description(&self) -> Message {
        self.told().description.clone()
    }

    /// Changes a field of it.
    pub(super) fn describe(&self, key: &str, value: &str) {
        let mut told = self.told();
        told.description = told.description.clone().with(key, value);
    }

    /// A message with what all messages of a request have.
    fn mark(&self, message: Message) -> Message {
        message.with("Identifier", &self.id).with("Global", self.global())
    }

    /// Tells a client once more what it was told, and sends what was fetched.
    pub(super) fn recount(&self, to: &Outbox, words: bool, data: bool) {
        let told = self.told();
        if words {
            to.send(&told.description);
            told.said.iter().for_each(|message| to.send(message));
        }
        if let (true, Some((message, held))) = (data, &told.data) {
            to.send_with(message, Arc::clone(held));
        }
    }
}

/// A connection, as far as others' requests are concerned.
struct Listener {
    name: String,
    outbox: Outbox,
    /// Whether it wants to hear of the global queue.
    global: bool,
}

/// The requests of all clients, and who listens.
#[derive(Default)]
pub(super) struct Requests(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    connections: u64,
    listeners: BTreeMap<u64, Listener>,
    queues: BTreeMap<Owner, BTreeMap<String, Arc<Request>>>,
}

impl Inner {
    fn audience(&self, owner: &Owner) -> Vec<Outbox> {
        let hears = |number: u64, listener: &Listener| match owner {
            Owner::Connection(it) => number == *it,
            Owner::Client(name) => listener.name == *name,
            Owner::Global => listener.global,
        };
        let listeners = self.listeners.iter().filter(|(number, listener)| hears(**number, listener));
        listeners.map(|(_, listener)| listener.outbox.clone()).collect()
    }

    fn take(&mut self, owner: &Owner, id: &str) -> Option<Arc<Request>> {
        let queue = self.queues.get_mut(owner)?;
        let request = queue.remove(id);
        if queue.is_empty() {
            self.queues.remove(owner);
        }
        request
    }
}

impl Requests {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection, and its number.
    pub(super) fn join(&self, name: &str, outbox: &Outbox) -> u64 {
        let mut inner = self.inner();
        inner.connections += 1;
        let number = inner.connections;
        let listener = Listener { name: name.to_owned(), outbox: outbox.clone(), global: false };
        inner.listeners.insert(number, listener);
        number
    }

    /// The connection is closed: its own requests end.
    pub(super) fn leave(&self, number: u64) {
        let mut inner = self.inner();
        inner.listeners.remove(&number);
        let ended = inner.queues.remove(&Owner::Connection(number));
        drop(inner);
        for request in ended.into_iter().flat_map(BTreeMap::into_values) {
            request.cancel.cancel();
        }
    }

    /// Whether a connection wants to hear of the global queue.
    pub(super) fn watch_global(&self, number: u64, enabled: bool) {
        if let Some(listener) = self.inner().listeners.get_mut(&number) {
            listener.global = enabled;
        }
    }

    /// Adds a request; `Ok(false)` if there is one of that identifier.
    pub(super) fn add(&self, request: &Arc<Request>) -> Result<bool, Refusal> {
        let mut inner = self.inner();
        let queues = inner.queues.len();
        let queue = inner.queues.get(&request.owner);
        if queue.is_some_and(|queue| queue.contains_key(&request.id)) {
            return Ok(false);
        }
        if queue.map_or(queues >= QUEUES, |queue| queue.len() >= MOST) {
            return Err(Refusal::new(Code::Internal, "too many requests: remove some that are done"));
        }
        let queue = inner.queues.entry(request.owner.clone()).or_default();
        queue.insert(request.id.clone(), Arc::clone(request));
        Ok(true)
    }

    /// Whether there is a request of that identifier.
    pub(super) fn find(&self, owner: &Owner, id: &str) -> Option<Arc<Request>> {
        self.inner().queues.get(owner)?.get(id).cloned()
    }

    /// All of a queue.
    pub(super) fn list(&self, owner: &Owner) -> Vec<Arc<Request>> {
        self.inner().queues.get(owner).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Removes a request, ends it, and tells those who listen (and `asker`, who may not).
    pub(super) fn remove(&self, owner: &Owner, id: &str, asker: (u64, &Outbox)) -> Option<()> {
        let mut inner = self.inner();
        let request = inner.take(owner, id)?;
        let mut audience = inner.audience(owner);
        let hears = match owner {
            Owner::Global => inner.listeners.get(&asker.0).is_some_and(|listener| listener.global),
            _ => true,
        };
        drop(inner);
        if !hears {
            audience.push(asker.1.clone());
        }
        request.cancel.cancel();
        let removed = request.mark(Message::new("PersistentRequestRemoved"));
        for outbox in audience {
            outbox.send(&removed);
        }
        Some(())
    }

    /// Shows a new request to those who listen, if it is one that they can ask for later.
    pub(super) fn announce(&self, request: &Request) {
        if request.persistent() {
            let description = request.description();
            let audience = self.inner().audience(&request.owner);
            audience.iter().filter(|outbox| !outbox.full()).for_each(|outbox| outbox.send(&description));
        }
    }

    /// Tells those who listen something of a request.
    pub(super) fn tell(&self, request: &Request, message: Message, news: News) {
        let message = request.mark(message);
        if request.persistent() {
            let mut told = request.told();
            match told.said.iter_mut().find(|said| said.name == message.name) {
                Some(said) => *said = message.clone(),
                None => told.said.push(message.clone()),
            }
        }
        let audience = self.inner().audience(&request.owner);
        for outbox in audience {
            let skip = match news {
                News::Progress => outbox.busy(),
                News::Event => request.persistent() && outbox.full(),
            };
            if !skip {
                outbox.send(&message);
            }
        }
    }

    /// Ends a request: says the last messages of it, and sends its data. A connection's request is forgotten with that,
    /// and its identifier is free again.
    pub(super) fn end(&self, request: &Request, last: Vec<Message>, data: Option<(Message, Held)>) {
        let data = data.map(|(message, held)| (request.mark(message), Arc::new(held)));
        if request.persistent() {
            // Before anybody hears that there is something to be asked for.
            request.told().data = data;
            for message in last {
                self.tell(request, message, News::Event);
            }
            return;
        }
        let mut inner = self.inner();
        let audience = inner.audience(&request.owner);
        inner.take(&request.owner, &request.id);
        drop(inner);
        for outbox in audience {
            for message in &last {
                outbox.send(&request.mark(message.clone()));
            }
            if let Some((message, held)) = &data {
                outbox.send_with(message, Arc::clone(held));
            }
        }
    }
}
