//! What lies between the handles for datagrams and the destination's driver: bounded queues both ways.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use allium_wire::DestHash;
use allium_wire::payload::{Protocol, Unwrapped};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot};

use super::datagrams::{DatagramError, Ports};
use super::{ConnectError, Inbox};
use crate::outbox::lock;
use crate::shared::Shared;

/// Bytes of datagrams of a destination that may wait to be sent, be it for room or for LeaseSets.
const OUTGOING: usize = 4 << 20;
/// Bytes of datagrams that may wait for their receiver.
const INCOMING: usize = 4 << 20;
/// What a waiting datagram costs beside its bytes.
const COST: usize = 512;
/// How long a datagram waits for tunnels.
const WAIT: Duration = Duration::from_secs(30);

/// Hears whether a datagram was sent.
pub(super) type Answer = oneshot::Sender<Result<(), DatagramError>>;

/// What is to be sent.
pub(super) struct Letter {
    pub(super) to: DestHash,
    pub(super) protocol: Protocol,
    pub(super) ports: Ports,
    pub(super) body: Vec<u8>,
}

/// A datagram on its way to the tunnels. Whatever becomes of it is told to its sender, or counted.
pub(super) struct Parcel {
    pub(super) letter: Letter,
    until: Instant,
    fate: Fate,
}

struct Fate {
    shared: Arc<Shared>,
    answer: Option<Answer>,
    told: bool,
    _room: OwnedSemaphorePermit,
}

impl Fate {
    fn tell(&mut self, outcome: Result<(), DatagramError>) {
        self.told = true;
        let counters = &self.shared.counters;
        let counter = if outcome.is_ok() { &counters.datagrams_sent } else { &counters.datagrams_unsent };
        counter.one();
        if let Some(answer) = self.answer.take() {
            let _ = answer.send(outcome);
        }
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        if !self.told {
            self.tell(Err(DatagramError::Full)); // pushed out of a bounded table
        }
    }
}

impl Parcel {
    /// It was given to a tunnel.
    pub(super) fn sent(mut self) {
        self.fate.tell(Ok(()));
    }

    pub(super) fn failed(mut self, error: DatagramError) {
        self.fate.tell(Err(error));
    }
}

/// A datagram as it came, not looked into yet: that is left to the task that receives it.
pub(super) struct Arrival {
    pub(super) unwrapped: Unwrapped,
    /// Whose garlic session it came in.
    pub(super) session: Option<DestHash>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Arrival>,
    bytes: usize,
    closed: bool,
}

/// What came for one handle.
#[derive(Default)]
pub(super) struct Arrivals {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

impl Arrivals {
    /// False where there is no room.
    fn push(&self, arrival: Arrival) -> bool {
        let size = arrival.unwrapped.data.len() + COST;
        let mut waiting = lock(&self.waiting);
        let room = waiting.bytes + size <= INCOMING;
        if room {
            waiting.bytes += size;
            waiting.queue.push_back(arrival);
        }
        drop(waiting);
        self.wake.notify_one();
        room
    }

    fn close(&self) {
        lock(&self.waiting).closed = true;
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// The next one; `None` once all is closed.
    pub(super) async fn next(&self) -> Option<Arrival> {
        loop {
            let woken = self.wake.notified();
            {
                let mut waiting = lock(&self.waiting);
                if let Some(arrival) = waiting.queue.pop_front() {
                    waiting.bytes -= arrival.unwrapped.data.len() + COST;
                    if !waiting.queue.is_empty() {
                        self.wake.notify_one(); // another task may wait too
                    }
                    return Some(arrival);
                }
                if waiting.closed {
                    self.wake.notify_one();
                    return None;
                }
            }
            woken.await;
        }
    }
}

/// Which datagrams somebody receives: of this protocol, to this port; `None` is all that nobody else receives.
pub(super) type Selector = (Option<u8>, Option<u16>);

/// What lies between the handles for datagrams and the destination's driver.
pub(super) struct Mail {
    pub(super) shared: Arc<Shared>,
    driver: Arc<Inbox>,
    outgoing: Mutex<VecDeque<Parcel>>,
    /// Permits for bytes of outgoing datagrams; closed when the destination is.
    room: Arc<Semaphore>,
    listeners: Mutex<BTreeMap<Selector, Arc<Arrivals>>>,
}

impl Mail {
    pub(super) fn new(shared: Arc<Shared>, driver: Arc<Inbox>) -> Self {
        let room = Arc::new(Semaphore::new(OUTGOING));
        Self { shared, driver, outgoing: Mutex::default(), room, listeners: Mutex::default() }
    }

    /// Waits for room for a datagram of so many bytes.
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, DatagramError> {
        let room = self.room.clone().acquire_many_owned((bytes + COST) as u32).await;
        room.map_err(|_| ConnectError::Closed.into())
    }

    /// The same, where there is room now.
    pub(super) fn try_room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, DatagramError> {
        let room = self.room.clone().try_acquire_many_owned((bytes + COST) as u32);
        room.map_err(|error| match error {
            TryAcquireError::Closed => ConnectError::Closed.into(),
            TryAcquireError::NoPermits => DatagramError::Full,
        })
    }

    /// Queues a datagram for the driver.
    pub(super) fn post(
        &self,
        letter: Letter,
        room: OwnedSemaphorePermit,
        answer: Option<Answer>,
    ) -> Result<(), DatagramError> {
        let until = self.shared.clock.now().instant + WAIT;
        let fate = Fate { shared: self.shared.clone(), answer, told: false, _room: room };
        let parcel = Parcel { letter, until, fate };
        let mut outgoing = lock(&self.outgoing);
        if self.room.is_closed() {
            drop(outgoing);
            parcel.failed(ConnectError::Closed.into());
            return Err(ConnectError::Closed.into());
        }
        outgoing.push_back(parcel);
        drop(outgoing);
        self.driver.wake();
        Ok(())
    }

    /// Where datagrams arrive from now on that nobody asked for more exactly.
    pub(super) fn listen(&self, selector: Selector) -> Result<Arc<Arrivals>, DatagramError> {
        let mut listeners = lock(&self.listeners);
        if self.room.is_closed() {
            return Err(ConnectError::Closed.into());
        }
        if listeners.contains_key(&selector) {
            return Err(DatagramError::InUse);
        }
        let arrivals = Arc::new(Arrivals::default());
        listeners.insert(selector, arrivals.clone());
        Ok(arrivals)
    }

    /// Nobody listens there any more.
    pub(super) fn forget(&self, selector: Selector) {
        let Some(arrivals) = lock(&self.listeners).remove(&selector) else { return };
        let left = lock(&arrivals.waiting).queue.len();
        self.shared.counters.datagrams_dropped.add(left as u64);
    }

    /// The next datagram to send.
    pub(super) fn take(&self) -> Option<Parcel> {
        lock(&self.outgoing).pop_front()
    }

    /// When the datagram that waits for longest has waited long enough for tunnels.
    pub(super) fn deadline(&self) -> Option<Instant> {
        lock(&self.outgoing).front().map(|parcel| parcel.until)
    }

    /// The datagrams that have waited for long enough.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Parcel> {
        let mut outgoing = lock(&self.outgoing);
        let count = outgoing.iter().take_while(|parcel| parcel.until <= now).count();
        outgoing.drain(..count).collect()
    }

    /// Hands a datagram that came to whoever receives it: who asked for both its protocol and its port, or for one of
    /// them, or for all.
    pub(super) fn deliver(&self, session: Option<DestHash>, unwrapped: Unwrapped) {
        let (protocol, port) = (u8::from(unwrapped.protocol), unwrapped.to_port);
        let listener = {
            let listeners = lock(&self.listeners);
            let selectors =
                [(Some(protocol), Some(port)), (Some(protocol), None), (None, Some(port)), (None, None)];
            selectors.iter().find_map(|selector| listeners.get(selector)).cloned()
        };
        if !listener.is_some_and(|listener| listener.push(Arrival { unwrapped, session })) {
            self.shared.counters.datagrams_dropped.one();
        }
    }

    /// The destination is closed: nothing is sent any more, and nobody receives more than what has come.
    pub(super) fn close(&self) {
        self.room.close();
        let outgoing = std::mem::take(&mut *lock(&self.outgoing));
        for parcel in outgoing {
            parcel.failed(ConnectError::Closed.into());
        }
        for listener in lock(&self.listeners).values() {
            listener.close();
        }
    }
}
