//! The devnet's sample under a key: a small folder, published from one router and fetched at another.

use std::time::Duration;

use allium_client_api::config::{self, Destination};
use allium_client_api::content::{
    Content, Error, Folder, OpenOptions, Opened, Part, PutOptions, Source, Upload,
};
use allium_content::Path;
use allium_content::uri::Uri;
use allium_router::Store;
use anyhow::{Context, bail};
use bytes::Bytes;

/// The sample's files.
const FILES: [(&str, &str); 3] = [
    ("index.html", include_str!("site/index.html")),
    ("more.html", include_str!("site/more.html")),
    ("style.css", include_str!("site/style.css")),
];
/// What each router of the network keeps at most.
const QUOTA: u64 = 1 << 30;
/// How long the sample may take to be published and read.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_secs(1);

/// The `[content]` section of a router of the network, told of these nodes.
pub(super) fn section(bootstrap: Vec<Destination>) -> config::Content {
    let quota = config::ByteSize(QUOTA);
    config::Content { enabled: true, quota, bootstrap, gateway: None, ..config::Content::default() }
}

/// The address of the node whose keys are in this folder.
pub(super) fn node(store: &Store) -> anyhow::Result<Destination> {
    let address = super::address(store, "content.dat")?;
    Destination::try_from(address).map_err(anyhow::Error::msg)
}

/// Publishes the sample, and gives its key once the other router has read it.
pub(super) async fn publish(at: &Content, reader: &Content) -> anyhow::Result<Uri> {
    let trying = async {
        loop {
            match put(at).await {
                Ok(uri) => break uri,
                Err(error) => tracing::debug!("the sample is not published yet: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let published = async {
        let uri = trying.await;
        while let Err(error) = read(reader, &uri).await {
            tracing::debug!("the sample can't be read yet: {error:#}");
            tokio::time::sleep(PAUSE).await;
        }
        uri
    };
    let outcome = tokio::time::timeout(PATIENCE, published).await;
    outcome.with_context(|| {
        format!("the sample could not be published and read within {} s", PATIENCE.as_secs())
    })
}

async fn put(content: &Content) -> Result<Uri, Error> {
    let path = |name: &str| name.parse::<Path>().map_err(|error| Error::Unpublishable(error.to_string()));
    let mut entries = Vec::new();
    for (name, text) in FILES {
        entries.push((path(name)?, None, Part::Data(Source::Bytes(Bytes::from_static(text.as_bytes())))));
    }
    let upload = Upload::Folder { entries, default: Some(path("index.html")?) };
    Ok(content.put(upload, PutOptions::default()).end().await?.uri)
}

/// Reads every file of the sample, and compares.
async fn read(content: &Content, uri: &Uri) -> anyhow::Result<()> {
    let Opened::Folder(folder) = content.open(uri.clone(), OpenOptions::default()).end().await? else {
        bail!("the sample is no folder");
    };
    for (name, text) in FILES {
        let bytes = file(content, &folder, name).await?;
        if bytes != text.as_bytes() {
            bail!("{name} came with {} bytes, and has {}", bytes.len(), text.len());
        }
    }
    Ok(())
}

async fn file(content: &Content, folder: &Folder, name: &str) -> anyhow::Result<Vec<u8>> {
    let uri = folder.uri.clone().with_path(name.parse()?);
    let Opened::File(file) = content.open(uri, OpenOptions::default()).end().await? else {
        bail!("{name} is no file");
    };
    let mut reading = content.read(&file, 0..file.length);
    let mut all = Vec::new();
    while let Some(bytes) = reading.next().await {
        all.extend_from_slice(&bytes?);
    }
    Ok(all)
}
