//! The control socket: a Unix socket in the data folder, 0600, over which commands ask the running router.
//!
//! A request is a line, the command's name; the answer is a line of JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use allium_router::Router;
use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

const NAME: &str = "control.sock";

/// The socket's path in a data folder.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// Answers on the control socket until `stop`; the socket's file is gone when this returns.
pub(crate) async fn serve(dir: PathBuf, router: Router, stop: CancellationToken) {
    let path = path(&dir);
    let listener = match listen(&path).await {
        Ok(listener) => Arc::new(listener),
        Err(error) => {
            warn!("no control socket, so `allium status` can't ask this router: {error:#}");
            return;
        }
    };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let router = router.clone();
                tokio::spawn(async move {
                    let answered = tokio::time::timeout(std::time::Duration::from_secs(10), answer(stream, &router)).await;
                    if !matches!(answered, Ok(Ok(()))) {
                        debug!("a control connection ended without an answer");
                    }
                });
            },
        }
    }
    let _ = std::fs::remove_file(&path);
}

async fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        anyhow::bail!("{} belongs to a router that runs already", path.display());
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| format!("can't listen at {}", path.display()))?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(stream: UnixStream, router: &Router) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(4096)).read_line(&mut line).await?;
    let answer = match line.trim() {
        "status" => serde_json::to_string(&router.status().await)?,
        other => serde_json::json!({ "error": format!("unknown command {other:?}") }).to_string(),
    };
    write.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(())
}

/// Asks the router that runs in `dir`, and gives its line of JSON.
pub(crate) async fn ask(dir: &Path, command: &str) -> anyhow::Result<String> {
    let path = path(dir);
    let stream = UnixStream::connect(&path).await.with_context(|| {
        format!("no router runs in {} (its socket {} does not answer)", dir.display(), path.display())
    })?;
    let (read, mut write) = stream.into_split();
    write.write_all(format!("{command}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(read.take(16 << 20)).read_line(&mut line).await?;
    Ok(line)
}
