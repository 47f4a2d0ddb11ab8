//! One client: what it says, one message after the other.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::asked::{Asked, Who, flag, needed};
use super::codes::{Code, Refusal};
use super::disk::Disk;
use super::get::Get;
use super::held::{Filling, Held, Shelf};
use super::outbox::Outbox;
use super::put::{Put, data_length};
use super::requests::{Owner, Request};
use super::wire::{Message, Parser, Step};
use super::{Fcp, Work, node, usk};

/// How long a client may take for its ClientHello.
const HELLO: Duration = Duration::from_secs(30);
/// How long it may be silent in the middle of a message or its data.
const SILENCE: Duration = Duration::from_secs(300);
/// How long it may be silent otherwise.
const IDLE: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Read at a time.
const READ: usize = 64 * 1024;
/// The longest name of a client.
const MAX_NAME: usize = 1024;
/// The most data behind a message.
const MAX_DATA: u64 = 1 << 48;
/// The most editions that one client watches.
const MAX_WATCHED: usize = 1024;

/// What Freenet's node would do and this one does not, as far as clients are known to ask.
const NOT_THERE: &[&str] = &[
    "AddPeer",
    "ClientPutDiskDir",
    "FilterData",
    "ListPeerNotes",
    "ModifyConfig",
    "ModifyPeer",
    "ModifyPeerNote",
    "ProbeRequest",
    "RemovePeer",
    "SendBookmark",
    "SendDownload",
    "SendText",
    "SendURI",
    "WatchFeeds",
];
/// What is asked of Freenet's plugins.
const PLUGINS: &[&str] = &["FCPPluginMessage", "GetPluginInfo", "LoadPlugin", "ReloadPlugin", "RemovePlugin"];

/// A client that has said hello.
struct Session {
    fcp: Arc<Fcp>,
    number: u64,
    client: String,
    outbox: Outbox,
    disk: Disk,
    /// What `NodeHello` called the connection: clients prove with it that they know a file.
    salt: String,
    watching: bool,
    /// By identifier.
    subscriptions: BTreeMap<String, CancellationToken>,
    taking: Option<Taking>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.fcp.requests.leave(self.number);
        self.subscriptions.values().for_each(CancellationToken::cancel);
    }
}

/// A message whose data is coming.
struct Taking {
    message: Message,
    work: Result<(Asked, Put), Refusal>,
    lengths: VecDeque<u64>,
    /// The file under way, and how many bytes of it are to come.
    filling: Option<(Filling, u64)>,
    held: Vec<Held>,
}

/// The connection is to be closed.
struct Close;

/// Talks with a client until either has enough.
pub(super) async fn talk(fcp: Arc<Fcp>, mut read: impl AsyncRead + Unpin, outbox: Outbox) {
    let mut parser = Parser::default();
    let mut input = BytesMut::new();
    let mut session = None;
    loop {
        loop {
            let step = match parser.step(&mut input) {
                Ok(Step::More) => break,
                Ok(step) => step,
                Err(fault) => {
                    let code = if session.is_none() { Code::HelloFirst } else { Code::Parse };
                    outbox.send(&Refusal::new(code, fault.to_string()).message(None, false, true));
                    return;
                }
            };
            match (&mut session, step) {
                (None, Step::Message(message, false)) => match Session::begin(&fcp, &message, &outbox) {
                    Ok(begun) => session = Some(begun),
                    Err(refusal) => {
                        outbox.send(&refusal.message(message.get("Identifier"), false, true));
                        return;
                    }
                },
                (None, _) => {
                    let refusal = Refusal::new(Code::HelloFirst, "a message with data came first");
                    outbox.send(&refusal.message(None, false, true));
                    return;
                }
                (Some(session), step) => {
                    if Box::pin(session.take(step, &mut parser)).await.is_err() {
                        return;
                    }
                }
            }
            outbox.room().await;
        }
        let patience = match &session {
            None => HELLO,
            Some(_) if parser.within(&input) => SILENCE,
            Some(_) => IDLE,
        };
        input.reserve(READ);
        match timeout(patience, read.read_buf(&mut input)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) | Err(_) => return,
        }
    }
}

impl Session {
    /// `ClientHello`.
    fn begin(fcp: &Arc<Fcp>, message: &Message, outbox: &Outbox) -> Result<Self, Refusal> {
        if message.name != "ClientHello" {
            return Err(Refusal::new(Code::HelloFirst, format!("{} came before it", message.name)));
        }
        let client = needed(message, "Name")?.to_owned();
        if client.len() > MAX_NAME {
            return Err(Refusal::new(Code::InvalidField, "Name is longer than 1024 bytes"));
        }
        let salt = format!("allium-{:032x}", u128::from_be_bytes(fcp.shelf.random()));
        outbox.send(&node::hello(&salt));
        let number = fcp.requests.join(&client, outbox);
        Ok(Self {
            fcp: Arc::clone(fcp),
            number,
            client,
            outbox: outbox.clone(),
            disk: Disk::default(),
            salt,
            watching: false,
            subscriptions: BTreeMap::new(),
            taking: None,
        })
    }

    /// Takes what the client said.
    async fn take(&mut self, step: Step, parser: &mut Parser) -> Result<(), Close> {
        match step {
            Step::More => {}
            Step::Message(message, false) => {
                let obeyed = self.obey(&message).await;
                return obeyed.unwrap_or_else(|refusal| {
                    self.refuse(&message, &refusal);
                    Ok(())
                });
            }
            Step::Message(message, true) => {
                let Some(length) = data_length(&message).filter(|length| *length <= MAX_DATA) else {
                    let refusal = Refusal::new(Code::Parse, "data came, and nothing says how much");
                    self.outbox.send(&refusal.message(message.get("Identifier"), false, true));
                    return Err(Close);
                };
                parser.expect(length);
                let work = self.put(&message, Some(length)).await;
                self.taking = Some(Taking::new(message, work));
            }
            Step::Data(bytes) => {
                if let Some(taking) = &mut self.taking {
                    taking.push(bytes, &self.fcp.shelf).await;
                }
            }
            Step::DataEnd => {
                if let Some(taking) = self.taking.take() {
                    let message = taking.message.clone();
                    let work = taking.finish(&self.fcp.shelf).await;
                    let begun = work.and_then(|(asked, put)| self.start(asked, Work::Put(Box::new(put))));
                    begun.unwrap_or_else(|refusal| self.refuse(&message, &refusal));
                }
            }
        }
        Ok(())
    }

    fn refuse(&self, message: &Message, refusal: &Refusal) {
        tracing::debug!(message = message.name, code = ?refusal.code, "an FCP message was refused");
        self.outbox.send(&refusal.message(message.get("Identifier"), flag(message, "Global"), false));
    }

    fn asked(&self, message: &Message) -> Result<Asked, Refusal> {
        Asked::read(message, &Who { connection: self.number, client: &self.client })
    }

    /// What is to be published, with so many bytes behind the message.
    async fn put(&mut self, message: &Message, length: Option<u64>) -> Result<(Asked, Put), Refusal> {
        let asked = self.asked(message)?;
        let mut put = match message.name.as_str() {
            "ClientPut" => Put::file(message, &self.disk, &self.salt).await?,
            "ClientPutComplexDir" => Put::folder(message, &self.disk, &self.salt).await?,
            name => return Err(Refusal::new(Code::UnknownMessage, format!("{name} has no data"))),
        };
        let sent = put.sent();
        if length.is_none() && !sent.is_empty() {
            return Err(Refusal::new(Code::Parse, "the message ended without the data it speaks of"));
        }
        Ok((asked, put))
    }

    /// Does what a message without data asks for.
    async fn obey(&mut self, message: &Message) -> Result<Result<(), Close>, Refusal> {
        match message.name.as_str() {
            "ClientGet" => {
                let asked = self.asked(message)?;
                let get = Get::read(message, &self.disk).await?;
                self.start(asked, Work::Get(get))?;
            }
            "ClientPut" | "ClientPutComplexDir" => {
                let (asked, put) = self.put(message, None).await?;
                self.start(asked, Work::Put(Box::new(put)))?;
            }
            "GenerateSSK" => self.generate(message),
            "TestDDARequest" => {
                let reply = self.disk.request(message, &self.fcp.shelf).await?;
                self.outbox.send(&reply);
            }
            "TestDDAResponse" => {
                let reply = self.disk.response(message).await?;
                self.outbox.send(&reply);
            }
            "RemoveRequest" | "RemovePersistentRequest" => self.remove(message)?,
            "GetRequestStatus" => {
                let request = self.find(message)?;
                request.recount(&self.outbox, !flag(message, "OnlyData"), true);
            }
            "ModifyPersistentRequest" => self.modify(message)?,
            "ListPersistentRequests" => self.list(message),
            "WatchGlobal" => {
                self.watching = message.get("Enabled").is_none() || flag(message, "Enabled");
                self.fcp.requests.watch_global(self.number, self.watching);
            }
            "SubscribeUSK" => self.subscribe(message)?,
            "UnsubscribeUSK" => {
                let id = needed(message, "Identifier")?;
                let watched = self.subscriptions.remove(id).ok_or_else(|| no_such(id))?;
                watched.cancel();
            }
            "GetNode" => self.outbox.send(&node::data(&self.fcp.content, message).await),
            "GetConfig" => self.outbox.send(&node::config(message)),
            "ListPeers" => self.outbox.send(&node::no_peers(message)),
            "ListPeer" => self.outbox.send(&node::no_such_peer(message)),
            "Shutdown" => {
                let why = "the router is stopped by whoever started it, and not over FCP";
                return Err(Refusal::new(Code::AccessDenied, why));
            }
            "Void" => {}
            "Disconnect" => return Ok(Err(Close)),
            "ClientHello" => return Err(Refusal::new(Code::LateHello, "this connection has had its hello")),
            name if NOT_THERE.contains(&name) => {
                return Err(Refusal::new(Code::NotSupported, format!("allium has no {name}")));
            }
            name if PLUGINS.contains(&name) => {
                return Err(Refusal::new(Code::NoPlugin, "allium has no plugins"));
            }
            name => return Err(Refusal::new(Code::UnknownMessage, format!("{name} is not known"))),
        }
        Ok(Ok(()))
    }

    /// Begins a request.
    fn start(&mut self, asked: Asked, work: Work) -> Result<(), Refusal> {
        let description = match &work {
            Work::Get(get) => get.describe(&asked),
            Work::Put(put) => put.describe(&asked),
        };
        let request = Request::new(&asked.id, asked.owner, asked.verbosity, description);
        if !self.fcp.requests.add(&request)? {
            self.collision(&request.id, request.global());
            return Ok(());
        }
        self.fcp.requests.announce(&request);
        self.fcp.begin(request, work);
        Ok(())
    }

    fn collision(&self, id: &str, global: bool) {
        let collision = Message::new("IdentifierCollision").with("Identifier", id).with("Global", global);
        self.outbox.send(&collision);
    }

    fn generate(&self, message: &Message) {
        let owner = self.fcp.content.new_owner();
        let (private, public) = (owner.expose(), owner.reader().to_string());
        let bare = |key: &str| key.strip_prefix(allium_content::uri::SCHEME).unwrap_or(key).to_owned();
        let pair = Message::new("SSKKeypair")
            .with("InsertURI", bare(&private))
            .with("RequestURI", bare(&public))
            .with_some("Identifier", message.get("Identifier"));
        self.outbox.send(&pair);
    }

    /// The queues in which a message's identifier may be.
    fn owners(&self, message: &Message) -> Vec<Owner> {
        if flag(message, "Global") {
            return vec![Owner::Global];
        }
        vec![Owner::Connection(self.number), Owner::Client(self.client.clone())]
    }

    fn find(&self, message: &Message) -> Result<Arc<Request>, Refusal> {
        let id = needed(message, "Identifier")?;
        let mut owners = self.owners(message).into_iter();
        owners.find_map(|owner| self.fcp.requests.find(&owner, id)).ok_or_else(|| no_such(id))
    }

    fn remove(&self, message: &Message) -> Result<(), Refusal> {
        let id = needed(message, "Identifier")?;
        let asker = (self.number, &self.outbox);
        let mut owners = self.owners(message).into_iter();
        owners.find_map(|owner| self.fcp.requests.remove(&owner, id, asker)).ok_or_else(|| no_such(id))
    }

    /// Notes what a client wants noted: how urgent a request is makes no difference.
    fn modify(&self, message: &Message) -> Result<(), Refusal> {
        let request = self.find(message)?;
        let mut modified = Message::new("PersistentRequestModified")
            .with("Identifier", &request.id)
            .with("Global", request.global());
        for field in ["ClientToken", "PriorityClass"] {
            if let Some(value) = message.get(field) {
                request.describe(field, value);
                modified = modified.with(field, value);
            }
        }
        self.outbox.send(&modified);
        Ok(())
    }

    fn list(&self, message: &Message) {
        let mut owners = vec![Owner::Client(self.client.clone())];
        if self.watching {
            owners.push(Owner::Global);
        }
        for request in owners.iter().flat_map(|owner| self.fcp.requests.list(owner)) {
            request.recount(&self.outbox, true, false);
        }
        let end = Message::new("EndListPersistentRequests");
        self.outbox.send(&end.with_some("Identifier", message.get("Identifier")));
    }

    fn subscribe(&mut self, message: &Message) -> Result<(), Refusal> {
        let id = needed(message, "Identifier")?;
        let watched = usk::Watched::read(message)?;
        if self.subscriptions.contains_key(id) {
            self.collision(id, false);
            return Ok(());
        }
        if self.subscriptions.len() >= MAX_WATCHED {
            return Err(Refusal::new(Code::Internal, "this connection watches too many USKs"));
        }
        self.outbox.send(&watched.subscribed(id));
        let cancel = CancellationToken::new();
        self.subscriptions.insert(id.to_owned(), cancel.clone());
        let telling = watched.tell(&self.fcp.content, id.to_owned(), self.outbox.clone());
        let stop = self.fcp.tasks.stop().clone();
        self.fcp.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = cancel.cancelled() => {}
                () = telling => {}
            }
        });
        Ok(())
    }
}

fn no_such(id: &str) -> Refusal {
    Refusal::new(Code::NoSuchIdentifier, format!("there is no {id}"))
}

impl Taking {
    fn new(message: Message, mut work: Result<(Asked, Put), Refusal>) -> Self {
        let lengths = work.as_mut().map(|(_, put)| put.sent()).unwrap_or_default().into();
        Self { message, work, lengths, filling: None, held: Vec::new() }
    }

    /// Ends the file that is whole, and begins the next one.
    async fn settle(&mut self, shelf: &Shelf) -> io::Result<()> {
        loop {
            match self.filling.take() {
                Some((filling, 0)) => self.held.push(filling.finish().await?),
                Some(unfinished) => {
                    self.filling = Some(unfinished);
                    return Ok(());
                }
                None => match self.lengths.pop_front() {
                    Some(length) => self.filling = Some((shelf.fill(length).await?, length)),
                    None => return Ok(()),
                },
            }
        }
    }

    async fn store(&mut self, mut bytes: Bytes, shelf: &Shelf) -> io::Result<()> {
        loop {
            self.settle(shelf).await?;
            let Some((filling, left)) = &mut self.filling else { return Ok(()) };
            if bytes.is_empty() {
                return Ok(());
            }
            let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            filling.push(bytes.split_to(take)).await?;
            *left -= take as u64;
        }
    }

    /// Takes data. What a refused message has is passed over.
    async fn push(&mut self, bytes: Bytes, shelf: &Shelf) {
        if let Err(error) = self.store(bytes, shelf).await {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.work = Err(Refusal::new(Code::Internal, format!("its data can't be kept: {error}")));
        self.lengths.clear();
        self.filling = None;
    }

    async fn finish(mut self, shelf: &Shelf) -> Result<(Asked, Put), Refusal> {
        if let Err(error) = self.store(Bytes::new(), shelf).await {
            self.fail(&error);
        }
        let (asked, mut put) = self.work?;
        put.give(self.held);
        Ok((asked, put))
    }
}
