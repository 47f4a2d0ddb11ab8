//! Publishing what a form brings: put while it comes in, so that nothing is held but a few small files.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use allium_content::uri::Insert;
use allium_content::{MediaType, Path};
use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use multer::Field;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

use super::form::{self, Form};
use super::pages::Page;
use super::{Gateway, Reply};
use crate::content::{Content, Error, Job, Part, Published, PutOptions, Source, Upload};

/// A file of a folder that is longer than this gets a key of its own while it comes in.
const SMALL: usize = 128 * 1024;
/// Small files of a folder are held in memory until the folder is put, so many bytes of them at most.
const HELD: usize = 16 * 1024 * 1024;
/// The most files of a folder.
const FILES: usize = 20_000;
/// Files of a folder that are being put at a time.
const AT_ONCE: usize = 8;
/// Pieces of an upload that wait to be put.
const AHEAD: usize = 4;

/// Takes a form, and starts a job for what is in it.
pub(super) async fn publish(gateway: &Gateway, head: &Parts, body: Incoming) -> Result<Reply, Page> {
    let mut form = Form::new(head, body)?;
    form.token(&gateway.token).await?;
    let place = gateway.jobs.room().ok_or_else(Page::busy)?;
    let mut wishes = Wishes::default();
    let mut work = None;
    while let Some(field) = form.next().await? {
        match field.name() {
            Some("private") => wishes.private = !form::text(field).await?.is_empty(),
            Some("name") => form::text(field).await?.trim().clone_into(&mut wishes.name),
            Some("key") => form::text(field).await?.trim().clone_into(&mut wishes.key),
            Some("file") if work.is_none() && has_file(&field) => {
                work = Some(single(&gateway.content, field, &wishes).await?);
            }
            Some("files") if has_file(&field) => {
                let folder = match work.take() {
                    Some(Work::Folder(folder)) => *folder,
                    Some(Work::File(..)) => return Err(Page::bad_form("It has a file and a folder.")),
                    None => Folder::new(&wishes)?,
                };
                work = Some(Work::Folder(Box::new(folder.add(&gateway.content, field).await?)));
            }
            _ => {}
        }
    }
    let content = gateway.content.clone();
    let id = gateway.random();
    let job = match work {
        None => return Err(Page::bad_form("Choose a file or a folder first.")),
        Some(Work::File(title, mut put)) => gateway.jobs.start(&gateway.tasks, (id, title), place, |job| {
            job.follow(put.progress());
            async move { put.end().await }
        }),
        Some(Work::Folder(folder)) => {
            let title = folder.title.clone();
            gateway.jobs.start(&gateway.tasks, (id, title), place, |job| async move {
                let (upload, options) = folder.finish(&job).await?;
                let mut put = content.put(upload, options);
                job.follow(put.progress());
                put.end().await
            })
        }
    };
    Err(Page::see_other(&format!("/-/jobs/{}", job.id)))
}

/// Whether a file was chosen: a field for one is sent anyway.
fn has_file(field: &Field<'static>) -> bool {
    field.file_name().is_some_and(|name| !name.is_empty())
}

/// What is being published.
enum Work {
    File(String, Job<Published>),
    Folder(Box<Folder>),
}

/// What the form's other fields say; they come before the files.
#[derive(Default)]
struct Wishes {
    private: bool,
    name: String,
    /// A word, or a key to publish with, which is a secret.
    key: String,
}

impl Wishes {
    fn options(&self, path: Path) -> Result<PutOptions, Page> {
        let to = match self.key.as_str() {
            "" => Ok(Insert::Chk { path }),
            key if key.contains('@') => key.parse::<Insert>(),
            word => word.parse().map(|word| Insert::Ksk { word }).map_err(Into::into),
        };
        let to = to.map_err(|error| Page::error(&error.into()))?;
        Ok(PutOptions { to, private: self.private, ..PutOptions::default() })
    }
}

/// A file name as a path that can be published.
fn path(name: &str) -> Result<Path, Page> {
    name.parse().map_err(|error| Page::error(&Error::Unpublishable(format!("the name {name:?}: {error}"))))
}

/// The type that the name suggests, or else the one that the browser states.
fn media(field: &Field<'static>, name: &str) -> Option<MediaType> {
    MediaType::guess(name).or_else(|| field.content_type()?.to_string().parse().ok())
}

/// Puts a file while it comes in.
async fn single(content: &Content, mut field: Field<'static>, wishes: &Wishes) -> Result<Work, Page> {
    let chosen = field.file_name().unwrap_or_default();
    let chosen = chosen.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = if wishes.name.is_empty() { chosen } else { &wishes.name }.to_owned();
    let mut options = wishes.options(path(&name)?)?;
    options.media = media(&field, &name);
    let put = stream(content, Vec::new(), &mut field, options).await?;
    Ok(Work::File(name, put))
}

/// Starts to put `front` and what comes behind it, and returns when all of it was taken.
async fn stream(
    content: &Content,
    front: Vec<Bytes>,
    field: &mut Field<'static>,
    options: PutOptions,
) -> Result<Job<Published>, Page> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let source = Source::Stream(Box::new(Incomplete { receiver, piece: Bytes::new(), whole: false }), None);
    let mut put = content.put(Upload::File(source), options);
    let fed = async {
        for piece in front {
            if sender.send(Some(piece)).await.is_err() {
                return Ok(false);
            }
        }
        while let Some(piece) = form::chunk(field).await? {
            if sender.send(Some(piece)).await.is_err() {
                return Ok(false);
            }
        }
        Ok::<_, Page>(sender.send(None).await.is_ok())
    };
    if fed.await? {
        return Ok(put);
    }
    // It stopped reading, so it has failed.
    match put.end().await {
        Err(error) => Err(Page::error(&error)),
        Ok(_) => Err(Page::error(&Error::Stopped)),
    }
}

/// An upload that comes in; its end is an error unless it was said to be the end.
struct Incomplete {
    receiver: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    whole: bool,
}

impl AsyncRead for Incomplete {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.piece.is_empty() && !self.whole {
            match ready!(self.receiver.poll_recv(cx)) {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.whole = true,
                None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        let length = self.piece.len().min(out.remaining());
        out.put_slice(self.piece.get(..length).unwrap_or_default());
        self.piece.advance(length);
        Poll::Ready(Ok(()))
    }
}

type Entry = (Path, Option<MediaType>, Part);

/// A folder that comes in file by file.
struct Folder {
    title: String,
    options: PutOptions,
    entries: Vec<Entry>,
    held: usize,
    /// Large files that are being put.
    puts: VecDeque<(Path, Option<MediaType>, Job<Published>)>,
}

impl Folder {
    fn new(wishes: &Wishes) -> Result<Self, Page> {
        let options = wishes.options(Path::default())?;
        Ok(Self { title: String::new(), options, entries: Vec::new(), held: 0, puts: VecDeque::new() })
    }

    /// Takes one more file: its name is its path, beginning with the folder that was chosen.
    async fn add(mut self, content: &Content, mut field: Field<'static>) -> Result<Self, Page> {
        if self.entries.len() + self.puts.len() >= FILES {
            let said = format!("a folder has at most {FILES} files here; the command line takes more");
            return Err(Page::error(&Error::Unpublishable(said)));
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let (folder, inside) = name.split_once('/').unwrap_or(("", &name));
        if self.title.is_empty() {
            folder.clone_into(&mut self.title);
        }
        let path = path(inside)?;
        let media = media(&field, inside);
        let (mut front, mut length) = (Vec::new(), 0);
        while let Some(piece) = form::chunk(&mut field).await? {
            length += piece.len();
            front.push(piece);
            if length > SMALL || self.held + length > HELD {
                let options = PutOptions {
                    private: self.options.private,
                    media: media.clone(),
                    ..PutOptions::default()
                };
                let put = stream(content, front, &mut field, options).await?;
                self.puts.push_back((path, media, put));
                while self.puts.len() > AT_ONCE {
                    self.settle().await.map_err(|error| Page::error(&error))?;
                }
                return Ok(self);
            }
        }
        self.held += length;
        let part = Part::Data(Source::Bytes(front.concat().into()));
        self.entries.push((path, media, part));
        Ok(self)
    }

    /// Waits for the oldest put.
    async fn settle(&mut self) -> Result<(), Error> {
        if let Some((path, media, mut put)) = self.puts.pop_front() {
            let published = put.end().await?;
            let chk = published.chk.ok_or_else(|| Error::Io(io::ErrorKind::InvalidData.into()))?;
            self.entries.push((path, media, Part::Stored { chk, length: published.length }));
        }
        Ok(())
    }

    /// Waits for all puts; then the folder itself can be put.
    async fn finish(mut self, job: &super::jobs::Job) -> Result<(Upload, PutOptions), Error> {
        while let Some((_, _, put)) = self.puts.front() {
            job.follow(put.progress());
            self.settle().await?;
        }
        let has = |name: &str| self.entries.iter().map(|(path, ..)| path).find(|path| path.as_str() == name);
        let default = has("index.html").or_else(|| has("index.htm")).cloned();
        Ok((Upload::Folder { entries: self.entries, default }, self.options))
    }
}
