//! `ClientPut` and `ClientPutComplexDir`: publishing.

use std::mem;

use allium_content::uri::{Edition, Insert, Uri};
use allium_content::{MediaType, Path};

use super::asked::{Asked, flag, needed, number, unsupported};
use super::codes::{Code, Failure, Refusal};
use super::disk::{Disk, Named};
use super::held::Held;
use super::progress::{self, FETCHABLE};
use super::requests::Request;
use super::wire::Message;
use super::{Fcp, bare};
use crate::content::{Error, Part, PutOptions, Source, Upload};

/// What a client publishes.
#[derive(Debug)]
pub(super) struct Put {
    what: What,
    options: PutOptions,
    /// What [`Named::has_hash`] is asked with: what `NodeHello` said, and the identifier.
    salt: (String, String),
}

#[derive(Debug)]
enum What {
    File(Origin),
    Folder { entries: Vec<(Path, Option<MediaType>, Origin)>, default: Option<Path> },
}

/// Where the bytes of a file are.
enum Origin {
    /// So many behind the message.
    Sent(u64),
    /// They were behind the message.
    Held(Held),
    /// In a file; with a hash, if that is to prove that the client knows it.
    Disk(Named, Option<String>),
    /// It is a name for something else.
    Link(Uri),
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Sent(_) => "Sent",
            Self::Held(_) => "Held",
            Self::Disk(..) => "Disk",
            Self::Link(_) => "Link",
        })
    }
}

/// Why nothing was published.
enum Unpublished {
    Refused(Refusal),
    Failed(Failure),
}

impl From<Error> for Unpublished {
    fn from(error: Error) -> Self {
        Self::Failed(Failure::of_put(&error))
    }
}

/// How many bytes are behind the message; `None` where it does not say.
pub(super) fn data_length(message: &Message) -> Option<u64> {
    let length = |field: &str| message.get(field)?.trim().parse::<u64>().ok();
    if message.name != "ClientPutComplexDir" {
        return length("DataLength");
    }
    let mut total = 0u64;
    for number in 0.. {
        let files = format!("Files.{number}");
        if message.get(&format!("{files}.Name")).is_none() {
            break;
        }
        let kind = message.get(&format!("{files}.UploadFrom")).unwrap_or("direct");
        if kind.eq_ignore_ascii_case("direct") {
            total = total.checked_add(length(&format!("{files}.DataLength"))?)?;
        }
    }
    Some(total)
}

/// Where something is to be published.
fn target(message: &Message) -> Result<Insert, Refusal> {
    let mut to: Insert = needed(message, "URI")?.trim().parse()?;
    if let Insert::Usk { edition, .. } = &mut to {
        // Freenet takes the next free edition, where the one that is asked for is taken.
        *edition = Edition::Newest(edition.number());
    }
    Ok(to)
}

fn media(message: &Message, field: &str) -> Result<Option<MediaType>, Refusal> {
    let Some(text) = message.get(field).map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|error| Refusal::new(Code::MimeType, format!("{field}: {error}")))
}

/// Reads where a file's bytes are; the fields' names begin with `prefix`.
async fn origin(message: &Message, prefix: &str, disk: &Disk) -> Result<Origin, Refusal> {
    let field = |name: &str| format!("{prefix}{name}");
    let kind = message.get(&field("UploadFrom")).unwrap_or("direct").to_ascii_lowercase();
    match kind.as_str() {
        "direct" => {
            let name = field("DataLength");
            Ok(Origin::Sent(number(message, &name)?.ok_or_else(|| Refusal::missing(&name))?))
        }
        "disk" => {
            let (named, shown) = disk.readable(needed(message, &field("Filename"))?).await?;
            let hash = message.get(&field("FileHash")).map(str::to_owned);
            match (shown, hash) {
                (true, _) => Ok(Origin::Disk(named, None)),
                (false, Some(hash)) => Ok(Origin::Disk(named, Some(hash))),
                (false, None) => Err(Refusal::new(
                    Code::DiskDenied,
                    "use TestDDARequest for the file's folder before, or send FileHash",
                )),
            }
        }
        "redirect" => Ok(Origin::Link(needed(message, &field("TargetURI"))?.trim().parse()?)),
        other => {
            let why = format!("{} is direct, disk or redirect, and not {other}", field("UploadFrom"));
            Err(Refusal::new(Code::InvalidField, why))
        }
    }
}

impl Put {
    /// `ClientPut`.
    pub(super) async fn file(message: &Message, disk: &Disk, salt: &str) -> Result<Self, Refusal> {
        let mut to = target(message)?;
        let media = media(message, "Metadata.ContentType")?;
        let origin = origin(message, "", disk).await?;
        if let Insert::Chk { path } = &mut to {
            let own = match &origin {
                Origin::Disk(named, _) => named.name(),
                _ => None,
            };
            let name = message.get("TargetFilename").or(own).unwrap_or_default();
            if path.is_empty() {
                *path =
                    name.parse().ok().filter(|path: &Path| path.parts().count() <= 1).ok_or_else(|| {
                        Refusal::new(Code::InvalidField, "TargetFilename is no name of a file")
                    })?;
            }
        }
        Self::new(message, What::File(origin), PutOptions { to, media, ..PutOptions::default() }, salt)
    }

    /// `ClientPutComplexDir`.
    pub(super) async fn folder(message: &Message, disk: &Disk, salt: &str) -> Result<Self, Refusal> {
        let to = target(message)?;
        let mut entries = Vec::new();
        for number in 0.. {
            let prefix = format!("Files.{number}.");
            let Some(name) = message.get(&format!("{prefix}Name")) else { break };
            let path = name.trim_start_matches('/').parse::<Path>().ok().filter(|path| !path.is_empty());
            let path = path.ok_or_else(|| {
                Refusal::new(Code::InvalidField, format!("{prefix}Name is no path of a file: {name}"))
            })?;
            let origin = origin(message, &prefix, disk).await?;
            let media = media(message, &format!("{prefix}Metadata.ContentType"))?;
            let media = media.filter(|_| !matches!(origin, Origin::Link(_)));
            entries.push((path, media, origin));
        }
        if entries.is_empty() {
            return Err(Refusal::missing("Files.0.Name"));
        }
        let default = message.get("DefaultName").and_then(|name| name.parse::<Path>().ok());
        let default = default.filter(|name| entries.iter().any(|(path, ..)| path == name));
        Self::new(
            message,
            What::Folder { entries, default },
            PutOptions { to, ..PutOptions::default() },
            salt,
        )
    }

    fn new(message: &Message, what: What, options: PutOptions, salt: &str) -> Result<Self, Refusal> {
        unsupported(message, &["LocalRequestOnly", "BinaryBlob"])?;
        if message.get("OverrideSplitfileCryptoKey").is_some() {
            return Err(Refusal::new(Code::NotSupported, "allium's keys follow from the content"));
        }
        let id = message.get("Identifier").unwrap_or_default();
        let options = PutOptions { only_key: flag(message, "GetCHKOnly"), ..options };
        Ok(Self { what, options, salt: (salt.to_owned(), id.to_owned()) })
    }

    fn origins(&mut self) -> Vec<&mut Origin> {
        match &mut self.what {
            What::File(origin) => vec![origin],
            What::Folder { entries, .. } => entries.iter_mut().map(|(.., origin)| origin).collect(),
        }
    }

    /// The lengths of the files behind the message, in their order.
    pub(super) fn sent(&mut self) -> Vec<u64> {
        let sent = |origin: &mut Origin| match origin {
            Origin::Sent(length) => Some(*length),
            _ => None,
        };
        self.origins().into_iter().filter_map(sent).collect()
    }

    /// The files that were behind the message, in their order.
    pub(super) fn give(&mut self, files: Vec<Held>) {
        let places = self.origins().into_iter().filter(|origin| matches!(origin, Origin::Sent(_)));
        places.zip(files).for_each(|(origin, held)| *origin = Origin::Held(held));
    }

    /// `PersistentPut` or `PersistentPutDir`. A private key is not shown to whoever lists requests: what it publishes
    /// under is.
    pub(super) fn describe(&self, asked: &Asked) -> Message {
        let public = self.options.to.public();
        let uri = public.map_or_else(|| "CHK@".to_owned(), |uri| bare(&uri));
        let described = |name| asked.describe(name).with("URI", &uri).with("DontCompress", true);
        match &self.what {
            What::File(origin) => {
                let (kind, link) = match origin {
                    Origin::Disk(..) => ("disk", None),
                    Origin::Link(uri) => ("redirect", Some(bare(uri))),
                    Origin::Sent(_) | Origin::Held(_) => ("direct", None),
                };
                let length = match origin {
                    Origin::Disk(named, _) => Some(named.length),
                    Origin::Held(held) => Some(held.length()),
                    Origin::Sent(_) | Origin::Link(_) => None,
                };
                let name = match &self.options.to {
                    Insert::Chk { path } => path.name(),
                    _ => None,
                };
                described("PersistentPut")
                    .with("UploadFrom", kind)
                    .with_some("TargetURI", link)
                    .with_some("DataLength", length)
                    .with_some("TargetFilename", name)
                    .with_some("Metadata.ContentType", self.options.media.as_ref())
            }
            What::Folder { entries, default } => described("PersistentPutDir")
                .with("PutDirType", "complex")
                .with("FileCount", entries.len())
                .with_some("DefaultName", default.as_ref()),
        }
    }

    /// Publishes, and tells how that ended.
    pub(super) async fn run(mut self, fcp: &Fcp, request: &Request) {
        let last = match self.publish(fcp, request).await {
            Ok(uri) => {
                let named = |name| Message::new(name).with("URI", &uri);
                let mut last = vec![named("URIGenerated")];
                if request.verbosity & FETCHABLE != 0 && !self.options.only_key {
                    last.push(named("PutFetchable"));
                }
                last.push(named("PutSuccessful"));
                last
            }
            Err(Unpublished::Refused(refusal)) => {
                vec![refusal.message(Some(&request.id), request.global(), false)]
            }
            Err(Unpublished::Failed(failure)) => vec![failure.message("PutFailed")],
        };
        fcp.requests.end(request, last, None);
    }

    async fn publish(&mut self, fcp: &Fcp, request: &Request) -> Result<String, Unpublished> {
        self.check_hashes().await?;
        let upload = match mem::replace(&mut self.what, What::File(Origin::Sent(0))) {
            What::File(Origin::Link(uri)) => Upload::Redirect(uri),
            What::File(origin) => Upload::File(source(origin)?),
            What::Folder { entries, default } => {
                let mut parts = Vec::with_capacity(entries.len());
                for (path, media, origin) in entries {
                    let part = match origin {
                        Origin::Link(uri) => Part::Link(uri),
                        other => Part::Data(source(other)?),
                    };
                    parts.push((path, media, part));
                }
                Upload::Folder { entries: parts, default }
            }
        };
        let mut job = fcp.content.put(upload, self.options.clone());
        let progress = job.progress();
        let published = progress::watched(fcp, request, progress, job.end()).await?;
        Ok(bare(&published.uri))
    }

    /// Whether the client knows the files for which it has shown nothing else.
    async fn check_hashes(&mut self) -> Result<(), Unpublished> {
        let (salt, id) = self.salt.clone();
        for origin in self.origins() {
            let Origin::Disk(named, Some(hash)) = origin else { continue };
            if !named.has_hash(hash, &salt, &id).await.map_err(Error::Io)? {
                let why = "FileHash is not that of the file";
                return Err(Unpublished::Refused(Refusal::new(Code::DiskDenied, why)));
            }
        }
        Ok(())
    }
}

fn source(origin: Origin) -> Result<Source, Error> {
    match origin {
        Origin::Held(held) => Ok(held.source()),
        Origin::Disk(named, _) => {
            let length = named.length;
            Ok(Source::Stream(Box::new(named.reader()), Some(length)))
        }
        Origin::Sent(_) | Origin::Link(_) => Err(Error::Unpublishable("its data did not come".to_owned())),
    }
}
