//! What other routers say of the time: it corrects a clock with which nobody would talk to this router.

use std::collections::BTreeMap;

use allium_link::Skew;
use allium_wire::RouterHash;
use tracing::warn;

use crate::core::Input;
use crate::outbox::lock;
use crate::shared::Shared;

/// So many routers must agree that this clock is wrong.
const ENOUGH: usize = 5;
/// The most whose word is kept.
const MOST: usize = 64;
/// They agree who are so close together, milliseconds.
const CLOSE: u64 = 15_000;

/// By how many milliseconds the clocks of routers that were dialled are ahead of ours.
pub(super) type Votes = BTreeMap<RouterHash, i64>;

/// The correction that most ask for, where there are enough.
fn agreed(votes: &Votes) -> Option<i64> {
    let mut all: Vec<i64> = votes.values().copied().collect();
    all.sort_unstable();
    let median = *all.get(all.len() / 2)?;
    let close = all.iter().filter(|vote| vote.abs_diff(median) <= CLOSE).count();
    (close >= ENOUGH && close * 2 > all.len()).then_some(median)
}

/// A router that was dialled refuses to talk, or can't be talked to, for our clocks are too far apart. The first link
/// that stands proves this clock right.
pub(super) async fn differs(shared: &Shared, peer: RouterHash, skew: Skew) {
    let (correction, voters) = {
        let mut votes = lock(&shared.links.votes);
        if shared.links.up() > 0 || votes.len() >= MOST {
            votes.clear();
            return;
        }
        votes.insert(peer, skew.0);
        let Some(correction) = agreed(&votes) else { return };
        (correction, std::mem::take(&mut *votes))
    };
    let (off, count) = (Skew(correction), voters.len());
    warn!("the network's time is {off} of this machine's clock, {count} routers say: corrected for this run");
    shared.clock.adjust(correction);
    {
        let mut backoff = lock(&shared.links.backoff);
        for peer in voters.keys() {
            backoff.succeeded(peer);
        }
    }
    let _ = shared.core.send(Input::ClockMoved).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(all: &[i64]) -> Votes {
        all.iter().enumerate().map(|(n, vote)| (RouterHash([n as u8; 32]), *vote)).collect()
    }

    #[test]
    fn a_correction_needs_many_who_agree() {
        assert_eq!(agreed(&votes(&[])), None);
        assert_eq!(agreed(&votes(&[90_000; 4])), None);
        assert_eq!(agreed(&votes(&[90_000, 91_000, 89_000, 90_500, 92_000])), Some(90_500));
        assert_eq!(agreed(&votes(&[-90_000, 91_000, 89_000, 90_500, 92_000])), None);
        assert_eq!(agreed(&votes(&[-70_000; 6])), Some(-70_000));
        let parted = [[-90_000; 5], [90_000; 5]].concat();
        assert_eq!(agreed(&votes(&parted)), None);
    }
}
