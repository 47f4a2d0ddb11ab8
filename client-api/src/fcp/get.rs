//! `ClientGet`: fetching.

use std::path::PathBuf;

use allium_content::uri::Uri;
use tokio::fs::File as DiskFile;
use tokio::io::AsyncWriteExt;

use super::asked::{Asked, needed, number, unsupported};
use super::codes::{Code, Failure, Refusal};
use super::disk::{Disk, Scratch};
use super::held::{self, Filling, Held};
use super::progress::{self, EXPECTED_LENGTH, EXPECTED_TYPE, SENDING};
use super::requests::{News, Request};
use super::wire::Message;
use super::{Fcp, bare};
use crate::content::{Error, File, OpenOptions, Opened};

/// The type that is named where none is known: clients expect one.
const NO_TYPE: &str = "application/octet-stream";

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Get {
    uri: Uri,
    longest: u64,
    to: To,
}

/// Where what is fetched goes.
#[derive(Debug)]
enum To {
    /// Over the connection, with `AllData`.
    Client,
    /// Into a new file.
    File(PathBuf),
    /// Nowhere: the client wants to know whether it can be had.
    Nobody,
}

/// Where bytes go while they come.
enum Sink {
    Client(Filling),
    File(DiskFile, Scratch, PathBuf),
    Nobody,
}

/// What was fetched, as the client is told.
struct Got {
    found: Message,
    data: Option<(Message, Held)>,
}

impl Get {
    pub(super) async fn read(message: &Message, disk: &Disk) -> Result<Self, Refusal> {
        let uri: Uri = needed(message, "URI")?.trim().parse()?;
        unsupported(message, &["DSOnly", "FilterData", "BinaryBlob"])?;
        let longest = number(message, "MaxSize")?.unwrap_or(u64::MAX);
        let to = match message.get("ReturnType").unwrap_or("direct") {
            kind if kind.eq_ignore_ascii_case("direct") => To::Client,
            kind if kind.eq_ignore_ascii_case("none") => To::Nobody,
            kind if kind.eq_ignore_ascii_case("disk") => {
                To::File(disk.writable(needed(message, "Filename")?).await?)
            }
            other => {
                let why = format!("ReturnType is direct, disk or none, and not {other}");
                return Err(Refusal::new(Code::InvalidField, why));
            }
        };
        Ok(Self { uri, longest, to })
    }

    /// `PersistentGet`.
    pub(super) fn describe(&self, asked: &Asked) -> Message {
        let (kind, file) = match &self.to {
            To::Client => ("direct", None),
            To::File(path) => ("disk", Some(path.display())),
            To::Nobody => ("none", None),
        };
        asked
            .describe("PersistentGet")
            .with("URI", bare(&self.uri))
            .with("ReturnType", kind)
            .with_some("Filename", file)
            .with("MaxSize", self.longest.min(i64::MAX as u64))
            .with("BinaryBlob", false)
    }

    /// Fetches, and tells how that ended.
    pub(super) async fn run(self, fcp: &Fcp, request: &Request) {
        match self.fetch(fcp, request).await {
            Ok(got) => fcp.requests.end(request, vec![got.found], got.data),
            Err(failure) => fcp.requests.end(request, vec![failure.message("GetFailed")], None),
        }
    }

    async fn fetch(self, fcp: &Fcp, request: &Request) -> Result<Got, Failure> {
        let wants = |what: u32| request.verbosity & what != 0;
        let tell = |message| fcp.requests.tell(request, message, News::Event);
        if wants(SENDING) {
            tell(Message::new("SendingToNetwork"));
        }
        let file = self.open(fcp).await?;
        let media = file.media.as_ref().map_or(NO_TYPE, |media| media.as_str());
        if wants(EXPECTED_TYPE) {
            tell(Message::new("ExpectedMIME").with("Metadata.ContentType", media));
        }
        if wants(EXPECTED_LENGTH) {
            tell(Message::new("ExpectedDataLength").with("DataLength", file.length));
        }
        let failed = |error: Error| Failure::of_get(&error);
        let held = self.transfer(fcp, request, &file).await.map_err(failed)?;
        let found = Message::new("DataFound").with("Metadata.ContentType", media);
        let found = found.with("DataLength", file.length);
        let data = held.map(|held| (Message::new("AllData").with("Metadata.ContentType", media), held));
        Ok(Got { found, data })
    }

    /// Finds the file that the URI leads to.
    async fn open(&self, fcp: &Fcp) -> Result<File, Failure> {
        let newest = matches!(self.uri, Uri::Usk { .. });
        let options = OpenOptions { max_length: self.longest, default_document: true, newest };
        let opened = fcp.content.open(self.uri.clone(), options).end().await;
        let opened = opened.map_err(|error| Failure::of_get(&error))?;
        let found = match &opened {
            Opened::File(file) => &file.uri,
            Opened::Folder(folder) => &folder.uri,
        };
        if let Some(newer) = newer(&self.uri, found) {
            return Err(Failure::redirect(27, "New URI", "there is a newer edition", newer));
        }
        match opened {
            Opened::File(file) => Ok(file),
            Opened::Folder(_) => {
                let why = "this is a folder without a default document: add the path of a file to its URI";
                Err(Failure::of_get(&Error::WrongKind(why.to_owned())))
            }
        }
    }

    /// Carries the file's bytes to where they are wanted.
    async fn transfer(self, fcp: &Fcp, request: &Request, file: &File) -> Result<Option<Held>, Error> {
        let mut sink = match self.to {
            To::Client => Sink::Client(fcp.shelf.fill(file.length).await?),
            To::Nobody => Sink::Nobody,
            To::File(path) => {
                let part = fcp.shelf.part_of(&path);
                Sink::File(held::create(&part, false).await?, Scratch::new(part), path)
            }
        };
        let mut reading = fcp.content.read(file, 0..file.length);
        let progress = reading.progress();
        let carrying = async {
            while let Some(bytes) = reading.next().await {
                match &mut sink {
                    Sink::Client(filling) => filling.push(bytes?).await?,
                    Sink::File(out, ..) => out.write_all(&bytes?).await?,
                    Sink::Nobody => drop(bytes?),
                }
            }
            Ok::<(), Error>(())
        };
        progress::watched(fcp, request, progress, carrying).await?;
        match sink {
            Sink::Nobody => Ok(None),
            Sink::Client(filling) => Ok(Some(filling.finish().await?)),
            Sink::File(mut out, part, path) => {
                out.flush().await?;
                part.become_file(&path).await?;
                Ok(None)
            }
        }
    }
}

/// The URI of the edition that was found, if it is a newer one than was asked for.
fn newer(asked: &Uri, found: &Uri) -> Option<String> {
    match (asked, found) {
        (Uri::Usk { edition: asked_for, path, .. }, Uri::Usk { edition, .. })
            if edition.number() > asked_for.number() =>
        {
            Some(bare(&found.clone().with_path(path.clone())))
        }
        _ => None,
    }
}
