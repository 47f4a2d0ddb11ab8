//! `allium put`, `allium get`, `allium content`: what people do with content under keys, by way of the running router.

use std::fmt::Write;
use std::future::Future;
use std::path::{Path, PathBuf};

use allium_content::uri::Uri;
use allium_content::{MediaType, Name, OwnerKey};
use allium_router::store;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

mod bar;
mod client;
mod download;
mod fetch;
mod partial;
mod publish;
mod target;
mod walk;

use bar::Bar;
use client::{Client, Refused};

/// The longest key file.
const LONGEST: u64 = 4096;

/// Publish a file or folder.
#[derive(Args)]
pub(crate) struct Put {
    /// The file or folder; - for standard input.
    #[arg(value_name = "FILE|DIR|-")]
    source: PathBuf,
    /// The document's name: behind a file's CHK for people, of an SSK or USK in the key [default: the file's name].
    #[arg(long)]
    name: Option<Name>,
    /// Publish as a document of the owner whose key is in this file (see `allium content keygen`).
    #[arg(long, value_name = "KEYFILE", group = "under")]
    ssk: Option<PathBuf>,
    /// Publish as the next edition of what the owner updates whose key is in this file.
    #[arg(long, value_name = "KEYFILE", group = "under")]
    usk: Option<PathBuf>,
    /// Publish under a word: whoever guesses it can read and replace what is there.
    #[arg(long, value_name = "WORD", group = "under")]
    ksk: Option<Name>,
    /// Use fresh keys, so that nobody who has the same bytes can tell that they are stored.
    #[arg(long)]
    private: bool,
    /// Keep it on this node, whatever the quota says.
    #[arg(long)]
    pin: bool,
    /// The content type, where the name does not tell it.
    #[arg(long, value_name = "TYPE", value_parser = str::parse::<MediaType>)]
    media: Option<MediaType>,
    /// The file that stands for the folder [default: index.html, if it is there].
    #[arg(long, value_name = "DOCUMENT")]
    default: Option<allium_content::Path>,
    /// Only work out the key; nothing is stored.
    #[arg(long)]
    only_key: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Fetch a file or folder.
#[derive(Args)]
pub(crate) struct Get {
    /// The key, with or without `allium:`.
    uri: Uri,
    /// Where to write it; - for standard output [default: the name in the key].
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Overwrite what is there.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What to do with keys and with what this node keeps.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an owner's key, for SSKs and USKs, and print what it is read with.
    Keygen {
        /// The file to write; it must not exist yet.
        file: PathBuf,
    },
    /// Ask the running router for the state of its store.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep all that a key leads to on this node, whatever the quota says.
    Pin {
        /// The key.
        uri: Uri,
    },
    /// Keep it like anything else from now on.
    Unpin {
        /// The key.
        uri: Uri,
    },
    /// Fetch all that a key leads to, and store again what is missing.
    Heal {
        /// The key.
        uri: Uri,
    },
}

/// Runs `allium put`.
#[expect(clippy::print_stdout, reason = "the key is what the command is for")]
pub(crate) fn put(data_dir: Option<PathBuf>, put: Put) -> anyhow::Result<()> {
    let as_json = put.json;
    let done = block_on(as_json, async {
        let mut client = Client::connect(&crate::file::data_dir(data_dir)?).await?;
        publish::run(&mut client, put).await
    })?;
    if as_json {
        println!("{done}");
    } else {
        println!("{}", done["uri"].as_str().context("the router's answer has no key")?);
    }
    Ok(())
}

/// Runs `allium get`.
#[expect(clippy::print_stdout, reason = "where it is is what the command says")]
pub(crate) fn get(data_dir: Option<PathBuf>, get: &Get) -> anyhow::Result<()> {
    let as_json = get.json;
    let to_stdout = get.output.as_deref() == Some(Path::new("-"));
    if as_json && to_stdout {
        bail!("--json and the content can't both go to standard output");
    }
    let done = block_on(as_json, async {
        let mut client = Client::connect(&crate::file::data_dir(data_dir)?).await?;
        fetch::run(&mut client, get).await
    })?;
    if as_json {
        println!("{done}");
    } else if !to_stdout {
        println!("{}", done["path"].as_str().unwrap_or_default());
    }
    Ok(())
}

/// Runs `allium content`.
#[expect(clippy::print_stdout, reason = "the answer is what the command is for")]
pub(crate) fn run(data_dir: Option<PathBuf>, command: Command) -> anyhow::Result<()> {
    if let Command::Keygen { file } = &command {
        let public = keygen(file)?;
        println!("{public}NAME");
        println!("{}NAME/-0/", public.replacen("SSK@", "USK@", 1));
        return Ok(());
    }
    let as_json = matches!(command, Command::Status { json: true });
    let said = block_on(as_json, async {
        let mut client = Client::connect(&crate::file::data_dir(data_dir)?).await?;
        ask(&mut client, command).await
    })?;
    println!("{}", said.trim_end());
    Ok(())
}

/// Asks the router to do what a command says; gives what to print.
async fn ask(client: &mut Client, command: Command) -> anyhow::Result<String> {
    let long = async |client: &mut Client, path: &str, uri: &Uri| {
        let bar = Bar::blocks();
        let response = client.ask(Method::POST, path, &[("uri", &uri.to_string())]).await?;
        client::done(response, &bar).await
    };
    Ok(match command {
        Command::Keygen { .. } => String::new(),
        Command::Status { json } => {
            let status = client::json(client.ask(Method::GET, "/v1/status", &[]).await?).await?;
            if json { status.to_string() } else { describe(&status) }
        }
        Command::Pin { uri } => {
            let pinned = long(client, "/v1/pin", &uri).await?;
            format!("pinned: {} blocks, {} of them here", pinned["blocks"], pinned["here"])
        }
        Command::Unpin { uri } => {
            let response = client.ask(Method::POST, "/v1/unpin", &[("uri", &uri.to_string())]).await?;
            if client::json(response).await?["unpinned"] != json!(true) {
                bail!("it was not pinned");
            }
            "unpinned".to_owned()
        }
        Command::Heal { uri } => {
            let healed = long(client, "/v1/heal", &uri).await?;
            format!(
                "{} blocks, {} were missing, {} stored again",
                healed["blocks"], healed["missing"], healed["restored"]
            )
        }
    })
}

/// Runs a command's work to its end. A failure is printed for scripts too, if they asked for JSON.
#[expect(clippy::print_stdout, reason = "scripts read the error there")]
fn block_on<T>(as_json: bool, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A read of standard input that never ends must not keep the program.
    runtime.shutdown_background();
    if as_json && let Err(error) = &result {
        let code = error.downcast_ref::<Refused>().map_or("local", |refused| &refused.code);
        println!("{}", json!({ "error": { "code": code, "message": format!("{error:#}") } }));
    }
    result
}

/// The status, for people.
fn describe(status: &Value) -> String {
    let store = &status["store"];
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<10}{value}");
    };
    let why_not = store["why_not"].as_str();
    line("store", store["address"].as_str().unwrap_or_default().to_owned());
    line("ready", why_not.map_or_else(|| "yes".to_owned(), |why| format!("not yet: {why}")));
    line("peers", store["peers"].to_string());
    line("disk", format!("{} of {} bytes", store["bytes"], store["quota"]));
    line("blocks", format!("{}, {} of them pinned", store["blocks"], store["pinned"]));
    line("gets", format!("{} under way", store["gets"]));
    line("puts", format!("{} under way, {} still spreading", store["puts"], store["spreading"]));
    line("jobs", status["jobs"].to_string());
    for pin in status["pins"].as_array().into_iter().flatten() {
        let uri = pin["uri"].as_str().unwrap_or_default();
        line("pinned", format!("{uri} ({} of {} blocks here)", pin["here"], pin["blocks"]));
    }
    out
}

/// Makes an owner's key file; gives the public key.
fn keygen(file: &Path) -> anyhow::Result<String> {
    if file.symlink_metadata().is_ok() {
        bail!(
            "{} exists already: an owner's key can't be had again, so it is never overwritten",
            file.display()
        );
    }
    let owner = OwnerKey::generate(&mut crate::run::system_rng()?);
    let mut text = owner.expose();
    text.push('\n');
    store::write_atomic(file, text.as_bytes(), true)?;
    Ok(owner.reader().to_string())
}

/// Reads an owner's key file.
fn owner(file: &Path) -> anyhow::Result<OwnerKey> {
    let Some(data) = store::read_limited(file, LONGEST)?.map(Zeroizing::new) else {
        bail!("{} is not there: `allium content keygen {0}` makes it", file.display());
    };
    let text = std::str::from_utf8(&data).unwrap_or_default();
    text.trim().parse().with_context(|| format!("{} holds no owner's key", file.display()))
}

#[cfg(test)]
mod tests;
