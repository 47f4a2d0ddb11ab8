//! Telling a client how far its request is.

use std::pin::pin;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Fcp;
use super::requests::{News, Request};
use super::wire::Message;
use crate::content::Progress;

/// Bits of `Verbosity`: `SimpleProgress`.
pub(super) const PROGRESS: u32 = 1;
/// `SendingToNetwork`.
pub(super) const SENDING: u32 = 2;
/// `ExpectedMIME`.
pub(super) const EXPECTED_TYPE: u32 = 32;
/// `ExpectedDataLength`.
pub(super) const EXPECTED_LENGTH: u32 = 64;
/// `PutFetchable`.
pub(super) const FETCHABLE: u32 = 256;

/// How often at most.
const EVERY: Duration = Duration::from_millis(500);

/// Does `work`, and tells meanwhile and at its end how far it is, if the client wants to know.
pub(super) async fn watched<T>(
    fcp: &Fcp,
    request: &Request,
    mut progress: watch::Receiver<Progress>,
    work: impl Future<Output = T>,
) -> T {
    if request.verbosity & PROGRESS == 0 {
        return work.await;
    }
    let mut tell = || {
        let message = simple_progress(&progress.borrow_and_update());
        fcp.requests.tell(request, message, News::Progress);
    };
    let mut work = pin!(work);
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                tell();
                return done;
            }
            _ = ticks.tick() => tell(),
        }
    }
}

fn simple_progress(progress: &Progress) -> Message {
    Message::new("SimpleProgress")
        .with("Total", progress.total)
        .with("Required", progress.required)
        .with("Succeeded", progress.blocks)
        .with("Failed", progress.failed)
        .with("FatallyFailed", 0)
        .with("FinalizedTotal", progress.finalized)
}
