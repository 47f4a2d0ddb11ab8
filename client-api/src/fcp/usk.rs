//! `SubscribeUSK`: telling of new editions.

use allium_content::uri::{Edition, Uri};
use allium_content::{Name, SskKey};

use super::asked::{flag, needed};
use super::bare;
use super::codes::{Code, Refusal};
use super::outbox::Outbox;
use super::wire::Message;
use crate::content::Content;

/// What a client watches.
pub(super) struct Watched {
    uri: Uri,
    key: SskKey,
    name: Name,
    from: u64,
    dont_poll: bool,
}

impl Watched {
    pub(super) fn read(message: &Message) -> Result<Self, Refusal> {
        let uri: Uri = needed(message, "URI")?.trim().parse()?;
        let Uri::Usk { key, name, edition, .. } = &uri else {
            return Err(Refusal::new(Code::Uri, "only a USK has editions"));
        };
        let (key, name, from) = (key.clone(), name.clone(), edition.number());
        Ok(Self { uri, key, name, from, dont_poll: flag(message, "DontPoll") })
    }

    /// `SubscribedUSK`.
    pub(super) fn subscribed(&self, id: &str) -> Message {
        Message::new("SubscribedUSK")
            .with("Identifier", id)
            .with("URI", bare(&self.uri))
            .with("DontPoll", self.dont_poll)
    }

    /// Tells of the newest edition, now and whenever there is another one. Does not end by itself.
    pub(super) fn tell(
        self,
        content: &Content,
        id: String,
        outbox: Outbox,
    ) -> impl Future<Output = ()> + use<> {
        let mut editions = content.watch_editions(self.key.clone(), self.name.clone(), self.from);
        async move {
            let mut told = None;
            loop {
                let newest = *editions.borrow_and_update();
                if let Some(edition) = newest.filter(|_| newest > told) {
                    told = newest;
                    outbox.send(&self.update(&id, edition));
                }
                if editions.changed().await.is_err() {
                    return;
                }
            }
        }
    }

    fn update(&self, id: &str, edition: u64) -> Message {
        let mut uri = self.uri.clone();
        if let Uri::Usk { edition: place, .. } = &mut uri {
            *place = Edition::Known(edition);
        }
        Message::new("SubscribedUSKUpdate")
            .with("Identifier", id)
            .with("Edition", edition)
            .with("URI", bare(&uri))
            .with("NewKnownGood", true)
            .with("NewSlotToo", true)
    }
}
