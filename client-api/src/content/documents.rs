//! Signed documents: got, published, and the search for the newest edition.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use allium_content::block::{self, Block};
use allium_content::signed::{SignedBlock, Slot, Target};
use allium_content::uri::{Edition, edition_name};
use allium_content::usk::Search;
use allium_content::{Key, Name, OwnerKey, SskKey};
use allium_store::Why;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fetch::{get, not_had};
use super::{Blocks, Error};

/// How long a reader who has an edition waits for nodes that do not say whether they have a newer one.
const ENOUGH: Duration = Duration::from_secs(6);

/// How thorough a search for the newest edition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Whoever reads is content with what is found soon.
    Reader,
    /// Whoever publishes the next one waits for every answer.
    Publisher,
}

/// A document that was found.
#[derive(Clone, Debug)]
pub(super) struct Document {
    /// Its block's name.
    pub(super) key: Key,
    /// What it says.
    pub(super) target: Target,
}

/// An edition that was found.
#[derive(Clone, Debug)]
pub(super) struct Newest {
    pub(super) edition: u64,
    pub(super) document: Document,
}

/// Reads a signed block as a document of this owner.
fn read(block: &Block, key: &SskKey, slot: Slot<'_>) -> Result<Target, Error> {
    let Block::Signed(signed) = block else {
        return Err(Error::NotFound("the document".to_owned()));
    };
    signed.open(key, slot).map_err(|error| match error {
        block::Error::OtherKey => Error::NotFound("the document".to_owned()),
        other => Error::Invalid(other.to_string()),
    })
}

/// The document of a name; `None` if nobody has it.
pub(super) async fn document(
    blocks: &dyn Blocks,
    key: &SskKey,
    slot: Slot<'_>,
    newest: bool,
) -> Result<Option<Document>, Error> {
    let routing = key.locate(slot);
    match get(blocks, routing, newest).await {
        Ok(block) => Ok(Some(Document { key: routing, target: read(&block, key, slot)? })),
        Err(Why::Absent | Why::Invalid) => Ok(None),
        Err(why) => Err(not_had(why, "the document")),
    }
}

/// An edition of a USK: its own document, or the hint if that is of this edition.
pub(super) async fn edition(
    blocks: &dyn Blocks,
    key: &SskKey,
    name: &Name,
    edition: u64,
) -> Result<Option<Document>, Error> {
    let own = edition_name(name, edition).map_err(allium_content::uri::Error::from)?;
    let mut own = pin!(document(blocks, key, Slot::Document(own.as_str()), false));
    let mut hint = pin!(hint(blocks, key, name));
    let of_this = |hint: Result<Option<Newest>, Error>| {
        let hint = hint.ok().flatten().filter(|newest| newest.edition == edition);
        hint.map(|newest| newest.document)
    };
    tokio::select! {
        biased;
        found = &mut own => match found {
            Ok(Some(found)) => Ok(Some(found)),
            other => of_this(hint.await).map_or(other, |document| Ok(Some(document))),
        },
        hinted = &mut hint => match of_this(hinted) {
            Some(document) => Ok(Some(document)),
            None => own.await,
        },
    }
}

/// What the owner's hint says.
async fn hint(blocks: &dyn Blocks, key: &SskKey, name: &Name) -> Result<Option<Newest>, Error> {
    let slot = Slot::Newest(name.as_str());
    let routing = key.locate(slot);
    match get(blocks, routing, true).await {
        Ok(block) => {
            let edition = block.version().filter(|edition| *edition <= Edition::MAX);
            let target = read(&block, key, slot).ok();
            let document = target.map(|target| Document { key: routing, target });
            Ok(edition.zip(document).map(|(edition, document)| Newest { edition, document }))
        }
        Err(Why::Absent | Why::Invalid) => Ok(None),
        Err(why) => Err(not_had(why, "the document")),
    }
}

/// The newest edition from `from` on; `None` if there is none. A reader who has found one waits only a little for those
/// that could be newer and of which nobody says anything.
///
/// # Errors
/// [`Error::Unavailable`] if none was found and not everything could be asked for; [`Error::Invalid`] if the newest
/// one is no document.
pub(super) async fn newest(
    blocks: &Arc<dyn Blocks>,
    key: &SskKey,
    name: &Name,
    from: u64,
    care: Care,
) -> Result<Option<Newest>, Error> {
    let mut search = Search::new(Edition::Newest(from));
    let mut found: Option<(u64, Result<Document, Error>)> = None;
    let mut unanswered = None;
    let mut hinted = false;
    let mut until = None;
    let mut asked = JoinSet::new();
    ask(&mut asked, blocks, key, name, None);
    loop {
        for edition in search.wants() {
            ask(&mut asked, blocks, key, name, Some(edition));
        }
        if care == Care::Reader && found.is_some() {
            until.get_or_insert_with(|| Instant::now() + ENOUGH);
        }
        let answer = tokio::select! {
            biased;
            answer = asked.join_next() => answer,
            () = at(until) => break,
        };
        let Some(answer) = answer else { break };
        let (edition, result) = answer.map_err(|_| Error::Stopped)?;
        hinted |= edition.is_none();
        let newest = match result {
            Ok(Some(newest)) => Some((newest.edition, Ok(newest.document))),
            // That of an edition is there, and wrong.
            Err(error @ Error::Invalid(_)) => edition.map(|edition| (edition, Err(error))),
            Ok(None) => None,
            Err(error) => {
                unanswered = Some(error);
                None
            }
        };
        match newest {
            Some((newest, document)) => {
                search.found(newest);
                if newest >= from && found.as_ref().is_none_or(|(held, _)| *held <= newest) {
                    found = Some((newest, document));
                }
            }
            None => edition.into_iter().for_each(|edition| search.missing(edition)),
        }
        if let Some(edition) = edition {
            search.missing(edition);
        }
        if hinted && search.is_done() {
            break;
        }
    }
    match found {
        Some((edition, document)) => Ok(Some(Newest { edition, document: document? })),
        None => unanswered.map_or(Ok(None), Err),
    }
}

/// Waits until then, or for ever.
async fn at(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}

type Looked = (Option<u64>, Result<Option<Newest>, Error>);

/// Looks an edition up, or the hint.
fn ask(
    asked: &mut JoinSet<Looked>,
    blocks: &Arc<dyn Blocks>,
    key: &SskKey,
    name: &Name,
    edition: Option<u64>,
) {
    let (blocks, key, name) = (Arc::clone(blocks), key.clone(), name.clone());
    asked.spawn(async move {
        let Some(number) = edition else { return (None, hint(&*blocks, &key, &name).await) };
        // A name that has no room for the number has no such edition.
        let Ok(own) = edition_name(&name, number) else { return (edition, Ok(None)) };
        let found = document(&*blocks, &key, Slot::Document(own.as_str()), false).await;
        (edition, found.map(|found| found.map(|document| Newest { edition: number, document })))
    });
}

/// Seals a document, whose target may not fit.
pub(super) fn seal(
    owner: &OwnerKey,
    slot: Slot<'_>,
    version: u64,
    target: &Target,
) -> Result<SignedBlock, Error> {
    SignedBlock::seal(owner, slot, version, target).map_err(|error| Error::Unpublishable(error.to_string()))
}
