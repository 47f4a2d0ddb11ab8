//! `allium get`.

use std::path::{Path, PathBuf};

use allium_content::manifest::MAX_ENTRIES;
use anyhow::{Context, bail};
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::bar::Bar;
use super::client::{self, Client, Lines};
use super::download::{self, Stdout};
use super::partial::{Mark, Partial, read_note, with_suffix, write_note};
use super::{Get, target};

/// What a URI leads to, in the router's words.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Opened {
    File {
        uri: String,
        #[serde(flatten)]
        mark: Mark,
    },
    Folder {
        uri: String,
    },
}

/// A line of a folder's list.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Listed {
    File {
        path: String,
        uri: String,
        #[serde(flatten)]
        mark: Mark,
    },
    Link {
        path: String,
        uri: String,
    },
}

/// A file of a folder, to be fetched.
struct Wanted {
    path: allium_content::Path,
    uri: String,
    mark: Mark,
}

/// The name of the note of a folder on its way; its files have numbers.
const NOTE: &str = "folder.json";

/// The note of a folder on its way.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct FolderMark {
    /// A hash of all that it is to hold.
    files: String,
    /// Whether files were being put into their places.
    placing: bool,
}

/// Fetches; says what and where.
pub(super) async fn run(client: &mut Client, get: &Get) -> anyhow::Result<Value> {
    let output = get.output.as_deref();
    match open(client, &get.uri.to_string()).await? {
        Opened::File { uri, mark } if output == Some(Path::new("-")) => stdout(client, &uri, mark).await,
        Opened::File { uri, mark } => {
            let target = target::of_file(output, &get.uri);
            file(client, &uri, mark, &target, get.force).await
        }
        Opened::Folder { .. } if output == Some(Path::new("-")) => {
            bail!("this is a folder, which does not fit into standard output: name a place with -o")
        }
        Opened::Folder { uri } => {
            let target = target::of_folder(output, &get.uri);
            folder(client, &uri, &target, get.force).await
        }
    }
}

async fn open(client: &mut Client, uri: &str) -> anyhow::Result<Opened> {
    let answer = client::json(client.ask(Method::GET, "/v1/open", &[("uri", uri)]).await?).await?;
    serde_json::from_value(answer).context("the router's answer says neither file nor folder")
}

async fn stdout(client: &mut Client, uri: &str, mark: Mark) -> anyhow::Result<Value> {
    let bar = Bar::bytes(Some(mark.length));
    let mut out = Stdout::new(mark);
    download::fill(client, uri, &mut out, &bar).await?;
    Ok(json!({ "uri": uri, "hash": out.finish()? }))
}

async fn file(
    client: &mut Client,
    uri: &str,
    mark: Mark,
    target: &Path,
    force: bool,
) -> anyhow::Result<Value> {
    target::check_file(target, force)?;
    let length = mark.length;
    let mut partial = Partial::open(with_suffix(target, ".part"), mark)?;
    let bar = Bar::bytes(Some(length));
    bar.at(partial.have());
    if let Err(error) = download::fill(client, uri, &mut partial, &bar).await {
        partial.remove_if_empty();
        return Err(error);
    }
    let finished = partial.finish()?;
    let hash = finished.hash.clone();
    finished.place(target, force)?;
    Ok(
        json!({ "uri": uri, "path": target.display().to_string(), "length": length, "files": 1, "hash": hash }),
    )
}

/// All is fetched into a folder beside the target, and goes into its places when all is there.
async fn folder(client: &mut Client, uri: &str, target: &Path, force: bool) -> anyhow::Result<Value> {
    let wanted = list(client, uri).await?;
    let beside = Beside::of(target, fingerprint(&wanted))?;
    // What an interrupted get has put into its place already is no stranger's.
    let placed = |index: usize| beside.placing && !beside.part(index).exists();
    let left = || wanted.iter().enumerate().filter(|(index, _)| !placed(*index));
    target::check_folder(target, left().map(|(_, wanted)| &wanted.path), force)?;
    beside.make()?;
    let total = wanted.iter().map(|wanted| wanted.mark.length).sum();
    let bar = Bar::bytes(Some(total));
    for (index, wanted) in left() {
        let named = || format!("{:?}", wanted.path.as_str());
        let mut partial = Partial::open(beside.part(index), wanted.mark.clone())?;
        bar.more(partial.have());
        if let Err(error) = download::fill(client, &wanted.uri, &mut partial, &bar).await {
            partial.remove_if_empty();
            beside.remove_if_empty();
            return Err(error.context(named()));
        }
        partial.finish().with_context(named)?;
    }
    beside.note(true)?;
    for (index, wanted) in left() {
        target::make_folders(target, &wanted.path)?;
        let place = target.join(wanted.path.as_str());
        target::check_file(&place, force)?;
        let part = beside.part(index);
        std::fs::rename(&part, &place).with_context(|| format!("{} can't be written", place.display()))?;
    }
    beside.remove();
    Ok(json!({ "uri": uri, "path": target.display().to_string(), "length": total, "files": wanted.len() }))
}

/// The files of a folder. A link to a file is one; a link to a folder is left out, with a word about it.
async fn list(client: &mut Client, uri: &str) -> anyhow::Result<Vec<Wanted>> {
    let mut lines = Lines::of(client.ask(Method::GET, "/v1/list", &[("uri", uri)]).await?);
    let mut listed = Vec::new();
    while let Some(line) = lines.next().await? {
        if listed.len() == MAX_ENTRIES {
            bail!("the folder has more than {MAX_ENTRIES} files");
        }
        listed.push(serde_json::from_value(line).context("the router's list is not as it should be")?);
    }
    let mut wanted = Vec::new();
    for line in listed {
        let (path, uri, mark) = match line {
            Listed::File { path, uri, mark } => (path, uri, mark),
            Listed::Link { path, uri } => {
                match open(client, &uri).await.with_context(|| format!("{path:?}"))? {
                    Opened::File { uri, mark } => (path, uri, mark),
                    Opened::Folder { uri } => {
                        eprintln!("allium: {path:?} is left out: it is a link to another folder, {uri}");
                        continue;
                    }
                }
            }
        };
        let path =
            path.parse().with_context(|| format!("the folder has a name that can't be used, {path:?}"))?;
        wanted.push(Wanted { path, uri, mark });
    }
    Ok(wanted)
}

/// A hash of all that a folder is to hold.
fn fingerprint(wanted: &[Wanted]) -> String {
    let mut hasher = blake3::Hasher::new();
    for Wanted { path, mark, .. } in wanted {
        hasher.update(format!("{path}\0{}\0{}\n", mark.etag, mark.length).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The folder beside the target, in which the files are numbered until all are there.
struct Beside {
    folder: PathBuf,
    files: String,
    /// What is there is of another folder, or of another state of it.
    other: bool,
    /// Whether an interrupted get of the same was putting its files into their places.
    placing: bool,
}

impl Beside {
    /// Looks at what an interrupted get left; changes nothing.
    fn of(target: &Path, files: String) -> anyhow::Result<Self> {
        let folder = match target.file_name() {
            Some(_) => with_suffix(target, ".part"),
            None => target.join(".allium-get.part"),
        };
        let known: Option<FolderMark> = match folder.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => read_note(&folder.join(NOTE))?,
            _ => None,
        };
        if known.is_none() && folder.symlink_metadata().is_ok() {
            bail!("{} is in the way, and not from an interrupted get: remove it", folder.display());
        }
        let same = known.as_ref().is_some_and(|known| known.files == files);
        let placing = same && known.as_ref().is_some_and(|known| known.placing);
        Ok(Self { folder, files, other: known.is_some() && !same, placing })
    }

    /// Makes it, in the place of what is of another folder.
    fn make(&self) -> anyhow::Result<()> {
        let failed = || format!("{} can't be made", self.folder.display());
        if self.other {
            std::fs::remove_dir_all(&self.folder).with_context(failed)?;
        }
        std::fs::create_dir_all(&self.folder).with_context(failed)?;
        self.note(self.placing)
    }

    fn note(&self, placing: bool) -> anyhow::Result<()> {
        write_note(&self.folder.join(NOTE), &FolderMark { files: self.files.clone(), placing })
    }

    /// Where a file's bytes are until all are there.
    fn part(&self, index: usize) -> PathBuf {
        self.folder.join(index.to_string())
    }

    /// Removes it if nothing came: what nobody has leaves no file.
    fn remove_if_empty(&self) {
        let count = std::fs::read_dir(&self.folder).map_or(0, Iterator::count);
        if count == 1 {
            self.remove();
        }
    }

    fn remove(&self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
