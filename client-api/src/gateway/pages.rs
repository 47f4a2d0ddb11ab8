//! The gateway's own pages: whole in themselves, without scripts.

use allium_content::Path;
use allium_content::manifest::{Child, Place};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Reply;
use super::guard::{self, Token};
use super::jobs::Job;
use crate::content::{ContentStatus, Error, Folder, Progress, Published};

const STYLE: &str = include_str!("pages/style.css");
/// What of a file name stays as it is in a link.
const IN_LINK: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Seconds between two looks at a job.
const REFRESH: &str = "2";
/// The most entries that a listing shows.
const LISTED: usize = 10_000;

/// A page, or a redirection.
#[derive(Debug)]
pub(super) struct Page {
    status: StatusCode,
    title: String,
    main: Markup,
    location: Option<String>,
    refresh: bool,
    /// Whether it stands among content: then that is under the policy of content.
    content: bool,
}

impl Page {
    fn new(status: StatusCode, title: &str, main: Markup) -> Self {
        Self { status, title: title.to_owned(), main, location: None, refresh: false, content: false }
    }

    fn text(status: StatusCode, title: &str, paragraphs: &[&str]) -> Self {
        Self::new(status, title, html! { @for text in paragraphs { p { (text) } } })
    }

    /// For a name that is none of the gateway's.
    pub(super) fn bad_host() -> Self {
        let said = "This is a gateway of this machine. Open it by its address, or as localhost.";
        Self::text(StatusCode::MISDIRECTED_REQUEST, "Not under this name", &[said])
    }

    /// For requests that pages from elsewhere made.
    pub(super) fn foreign() -> Self {
        let said = "Another site's page asked for this. Follow a link, or open the address yourself.";
        Self::text(StatusCode::FORBIDDEN, "Not from there", &[said])
    }

    /// For a form without the current token.
    pub(super) fn stale() -> Self {
        let said = "The page is from before the router's last start. Open the front page again.";
        Self::text(StatusCode::FORBIDDEN, "This form is too old", &[said])
    }

    /// For what is no address here.
    pub(super) fn not_here() -> Self {
        let said = "A key begins with CHK@, SSK@, USK@ or KSK@. Jobs are forgotten after two hours.";
        Self::text(StatusCode::NOT_FOUND, "There is no such page", &[said])
    }

    /// For methods other than GET, HEAD and POST.
    pub(super) fn bad_method() -> Self {
        Self::text(StatusCode::METHOD_NOT_ALLOWED, "This can't be done here", &[])
    }

    /// For a form that is none.
    pub(super) fn bad_form(said: &str) -> Self {
        Self::text(StatusCode::BAD_REQUEST, "The form can't be used", &[said])
    }

    /// For one job too many.
    pub(super) fn busy() -> Self {
        let said =
            "As much is being published as this router does at a time. Try again when some of it is done.";
        Self::text(StatusCode::SERVICE_UNAVAILABLE, "Too much at once", &[said])
    }

    /// Sends the browser to another address for the time being.
    pub(super) fn redirect(url: &str) -> Self {
        Self::moved(StatusCode::TEMPORARY_REDIRECT, url)
    }

    /// Sends the browser from a form to a page.
    pub(super) fn see_other(url: &str) -> Self {
        Self::moved(StatusCode::SEE_OTHER, url)
    }

    fn moved(status: StatusCode, url: &str) -> Self {
        let mut page = Self::new(status, "Moved", html! { p { a href=(url) { "Go on" } } });
        page.location = Some(url.to_owned());
        page
    }

    /// For content that can't be had, or not be published.
    pub(super) fn error(error: &Error) -> Self {
        let (status, title, hint) = match error {
            Error::Uri(_) => (StatusCode::BAD_REQUEST, "This is no key that can be used", ""),
            Error::NotFound(_) => (
                StatusCode::NOT_FOUND,
                "Nobody has it",
                "Its publisher may have stored it long ago, or those who keep it are offline. Trying again later \
                 may help.",
            ),
            Error::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The store is not ready",
                "A router needs some minutes after its start to find others. Try again soon.",
            ),
            Error::NoSuchPath(_) => (StatusCode::NOT_FOUND, "Not in this folder", ""),
            Error::WrongKind(_) => (StatusCode::BAD_REQUEST, "It is of another kind", ""),
            Error::Invalid(_) => (
                StatusCode::BAD_GATEWAY,
                "It is broken",
                "That is its publisher's fault, and will not change by trying again.",
            ),
            Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "It is too large", ""),
            Error::Unpublishable(_) => (StatusCode::BAD_REQUEST, "It can't be published", ""),
            Error::Io(_) => (StatusCode::INTERNAL_SERVER_ERROR, "This machine failed", ""),
            Error::Collision => {
                (StatusCode::CONFLICT, "The name is taken", "Choose another word, or the next edition.")
            }
            Error::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "It was given up", ""),
        };
        let said = sentence(&error.to_string());
        Self::new(status, title, html! { p { (said) } @if !hint.is_empty() { p { (hint) } } })
    }

    /// The front page.
    pub(super) fn front(token: &Token, status: &ContentStatus) -> Self {
        let form = |field: Markup, what: &str, named: bool| {
            html! {
                form method="post" action="/-/publish" enctype="multipart/form-data" {
                    // The files come last: what is to be done with them is known when they come in.
                    input type="hidden" name="token" value=(token.text());
                    @if named {
                        label { "Name " small { "(the file's own if empty)" } input name="name" autocomplete="off"; }
                    }
                    label {
                        "Word or publishing key "
                        small { "(empty: the content's own key, which never changes)" }
                        input name="key" autocomplete="off" spellcheck="false";
                    }
                    label.check {
                        input type="checkbox" name="private" value="yes";
                        "Private: nobody with the same files can tell that they are stored"
                    }
                    (field)
                    button { (what) }
                }
            }
        };
        let file = html! { label { "File" input type="file" name="file" required; } };
        let folder =
            html! { label { "Folder" input type="file" name="files" webkitdirectory multiple required; } };
        let main = html! {
            (readiness(status))
            section {
                h2 { "Open a key" }
                form.line method="get" action="/-/go" {
                    input name="key" required autofocus autocomplete="off" spellcheck="false" aria-label="Key"
                        placeholder="CHK@…, SSK@…, USK@… or KSK@…";
                    button { "Open" }
                }
            }
            section { h2 { "Publish a file" } (form(file, "Publish the file", true)) }
            section { h2 { "Publish a folder" } (form(folder, "Publish the folder", false)) }
        };
        Self::new(StatusCode::OK, "Content", main)
    }

    /// The state of the store.
    pub(super) fn status(status: &ContentStatus) -> Self {
        let store = &status.store;
        let row = |name: &str, value: String| html! { tr { th { (name) } td { (value) } } };
        let main = html! {
            (readiness(status))
            table {
                (row("Nodes that answer", store.peers.to_string()))
                (row("On this disk", format!("{} of {}", size(store.bytes), size(store.quota))))
                (row("Blocks here", format!("{}, {} of them pinned", store.blocks, store.pinned)))
                (row("Being fetched", store.gets.to_string()))
                (row("Being published", format!("{}, and {} spreading", store.puts, store.spreading)))
                (row("Jobs", status.jobs.to_string()))
                tr { th { "Address" } td { code { (store.address) } } }
            }
            @if !status.pins.is_empty() {
                h2 { "Pinned" }
                table {
                    @for pin in &status.pins {
                        tr { td { code { (pin.uri) } } td { (pin.here) " of " (pin.blocks) " blocks here" } }
                    }
                }
            }
            @if !store.counters.is_empty() {
                details {
                    summary { "Counters" }
                    table { @for (name, value) in &store.counters { (row(name, value.to_string())) } }
                }
            }
        };
        Self::new(StatusCode::OK, "State of the store", main)
    }

    /// A job, under way or ended.
    pub(super) fn job(job: &Job, token: &Token) -> Self {
        let ended = job.outcome(|outcome| match outcome {
            Ok(published) => Self::published(&job.title, published),
            Err(error) => Self { status: StatusCode::OK, ..Self::error(error) },
        });
        ended.unwrap_or_else(|| {
            let main = html! {
                p { "Publishing " strong { (job.title) } "." }
                (progress(&job.progress()))
                p { small { "This page renews itself. You may leave it: the work goes on." } }
                form method="post" action="/-/cancel" enctype="multipart/form-data" {
                    input type="hidden" name="token" value=(token.text());
                    input type="hidden" name="job" value=(job.id);
                    button.quiet { "Give it up" }
                }
            };
            Self { refresh: true, ..Self::new(StatusCode::OK, "Publishing", main) }
        })
    }

    fn published(title: &str, published: &Published) -> Self {
        let bare = published.uri.bare();
        let folder = published.chk.as_ref().is_some_and(|chk| chk.root == allium_content::RootKind::Manifest);
        let slash = if folder && !bare.ends_with('/') { "/" } else { "" };
        let main = html! {
            p { strong { (title) } " is stored: " (size(published.length)) " in " (published.blocks) " blocks." }
            p { "Its key, which is all that anybody needs to read it:" }
            p { code #key { (published.uri) (slash) } }
            p { a #open href={ "/" (bare) (slash) } { "Open it" } }
        };
        Self::new(StatusCode::OK, "Published", main)
    }

    /// What is in a folder that has no document of its own.
    pub(super) fn folder(folder: &Folder) -> Self {
        let children = folder.manifest.list(&folder.at);
        let left_out = children.len().saturating_sub(LISTED);
        let title = folder.at.name().unwrap_or("Folder");
        let up = folder.uri.path() != &Path::default();
        let main = html! {
            p { code { (folder.uri) } }
            table.list {
                @if up { tr { td { a href="../" { "../" } } td {} } }
                @for (name, child) in children.iter().take(LISTED) {
                    @let (slash, length) = match child {
                        Child::Folder => ("/", String::new()),
                        Child::Entry(entry) => match entry.place {
                            Place::Folder(_) => ("/", String::new()),
                            Place::Link(_) => ("", "link".to_owned()),
                            Place::Packed(_) | Place::File(_) => ("", size(entry.length)),
                        },
                    };
                    tr {
                        td { a href={ "./" (utf8_percent_encode(name, IN_LINK)) (slash) } { (name) (slash) } }
                        td { (length) }
                    }
                }
            }
            @if left_out > 0 { p { "And " (left_out) " more." } }
        };
        Self { content: true, ..Self::new(StatusCode::OK, title, main) }
    }

    /// The page as a response.
    pub(super) fn reply(self) -> Reply {
        let html = self.html().into_string();
        let mut reply = Reply::new(Either::Left(Full::new(Bytes::from(html))));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        guard::for_own(headers);
        if self.content {
            guard::for_content(headers);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        }
        if let Some(location) = self.location.and_then(|url| HeaderValue::try_from(url).ok()) {
            headers.insert(header::LOCATION, location);
        }
        reply
    }

    fn html(&self) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    @if self.refresh { meta http-equiv="refresh" content=(REFRESH); }
                    title { (self.title) " · allium" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    @if !self.content {
                        nav { a href="/" { "allium" } a href="/-/status" { "State" } }
                    }
                    h1 { (self.title) }
                    (self.main)
                    @if !self.status.is_success() { footer { (self.status) } }
                }
            }
        }
    }
}

fn readiness(status: &ContentStatus) -> Markup {
    let why = status.store.why_not.as_deref().unwrap_or("it has not found others yet");
    html! {
        @if status.store.ready {
            p.state.ready { "The store is ready." }
        } @else {
            p.state { "The store is not ready: " (why) "." }
        }
    }
}

fn progress(progress: &Progress) -> Markup {
    html! {
        @if progress.finalized && progress.total > 0 {
            progress max=(progress.total) value=(progress.blocks.min(progress.total)) {}
        } @else {
            progress {}
        }
        p { (size(progress.bytes)) " read, " (progress.blocks) " of "
            @if !progress.finalized { "at least " } (progress.total) " blocks stored." }
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{value:.1} {unit}") }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    let mut sentence: String = first.into_iter().chain(chars).collect();
    if !sentence.ends_with(['.', '?', '!']) {
        sentence.push('.');
    }
    sentence
}
