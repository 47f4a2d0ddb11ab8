//! Watching for new editions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use allium_content::{Name, SskKey};
use tokio::sync::watch;

use super::documents::{Care, newest};
use super::jobs::Jobs;
use super::{Blocks, Error};

/// The first pause between two searches, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(15 * 60));

type Of = (SskKey, Name);

/// Who waits for which owner's editions: one search for all who wait for the same.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Mutex<BTreeMap<Of, watch::Sender<Option<u64>>>>>);

impl Watches {
    /// Tells of new editions for as long as the receiver is held.
    pub(super) fn watch(
        &self,
        jobs: &Jobs,
        blocks: &Arc<dyn Blocks>,
        of: Of,
        from: u64,
    ) -> watch::Receiver<Option<u64>> {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watches.get(&of) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        watches.insert(of.clone(), sender.clone());
        let (own, blocks) = (self.clone(), Arc::clone(blocks));
        // Made here, so that it is dropped even if the service stops before the search begins.
        let over = Over { watches: own.clone(), of: of.clone(), sender: sender.clone() };
        jobs.spawn(async move {
            let _over = over;
            own.poll(&blocks, &of, from, &sender).await;
            Ok::<_, Error>(())
        });
        receiver
    }

    /// Tells those who wait of an edition that was published here.
    pub(super) fn tell(&self, key: &SskKey, name: &Name, edition: u64) {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watches.get(&(key.clone(), name.clone())) {
            raise(sender, edition);
        }
    }

    async fn poll(&self, blocks: &Arc<dyn Blocks>, of: &Of, from: u64, to: &watch::Sender<Option<u64>>) {
        let mut pause = PAUSES.0;
        loop {
            let known = *to.borrow();
            let search = newest(blocks, &of.0, &of.1, known.unwrap_or(from), Care::Reader);
            let found = tokio::select! {
                found = search => found,
                () = to.closed() => Ok(None),
            };
            // What can't be asked for now is asked for later.
            let raised = matches!(found, Ok(Some(newest)) if raise(to, newest.edition));
            pause = if raised { PAUSES.0 } else { (pause * 3 / 2).min(PAUSES.1) };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = to.closed() => {
                    // Somebody may have begun to wait meanwhile: only under the lock it is certain.
                    let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                    if to.receiver_count() == 0 {
                        watches.remove(of);
                        return;
                    }
                }
            }
        }
    }
}

/// Takes a watch off the list when its search is over, however that came.
struct Over {
    watches: Watches,
    of: Of,
    sender: watch::Sender<Option<u64>>,
}

impl Drop for Over {
    fn drop(&mut self) {
        let mut watches = self.watches.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.get(&self.of).is_some_and(|sender| sender.same_channel(&self.sender)) {
            watches.remove(&self.of);
        }
    }
}

/// Tells of an edition if it is a newer one.
fn raise(sender: &watch::Sender<Option<u64>>, edition: u64) -> bool {
    sender.send_if_modified(|known| {
        let newer = known.is_none_or(|known| edition > known);
        if newer {
            *known = Some(edition);
        }
        newer
    })
}
