//! FCP 2.0, for programs that were written for Freenet: pyFreenet, jSite and others.
//!
//! ```text
//! client -> wire::Parser -> session -> requests -> get, put -> Content
//!        <-     outbox      <----------------------'
//! ```
//! A client says ClientHello and then asks for as much as it likes at once; every answer names the request that it
//! belongs to. Requests end with their connection, or stay until the router stops (`Persistence=reboot`, and `forever`
//! too), a client's own by its name or on the queue that all clients share. docs/fcp.md says what differs from Freenet.
//!
//! The keys are allium's: `freenet:` before a URI is taken, and no scheme is answered.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use allium_content::uri::Uri;
use allium_crypto::Rng;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::content::Content;
use crate::listen::Tasks;
use crate::router::Connection;

mod asked;
mod codes;
mod disk;
mod get;
mod held;
mod node;
mod outbox;
mod progress;
mod put;
mod requests;
mod session;
mod usk;
mod wire;

use get::Get;
use held::Shelf;
use put::Put;
use requests::{Request, Requests};

/// The most requests that are worked on at a time: further ones wait.
const AT_ONCE: usize = 32;
/// How long a client may take to read what was said last.
const LAST: Duration = Duration::from_secs(10);

/// The FCP server.
pub(crate) struct Fcp {
    content: Content,
    tasks: Tasks,
    requests: Requests,
    shelf: Shelf,
    turns: Semaphore,
}

/// What a request asks for.
#[derive(Debug)]
enum Work {
    Get(Get),
    Put(Box<Put>),
}

impl Fcp {
    /// A server over `content`, whose large uploads and downloads are in `folder` (encrypted) while they are on their
    /// way.
    pub(crate) fn new(content: Content, folder: PathBuf, rng: Rng, tasks: Tasks) -> Self {
        Self {
            content,
            tasks,
            requests: Requests::default(),
            shelf: Shelf::new(folder, rng),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Serves one client.
    pub(crate) async fn serve(self: Arc<Self>, client: Connection) {
        let Connection { read, write, .. } = client;
        let (outbox, carrier) = outbox::outbox();
        let mut carrying = pin!(carrier.carry(write));
        {
            let talking = Box::pin(session::talk(Arc::clone(&self), read, outbox));
            tokio::select! {
                biased;
                () = self.tasks.stop().cancelled() => return,
                gone = &mut carrying => {
                    if let Err(error) = gone {
                        tracing::debug!(%error, "an FCP client is gone");
                    }
                    return;
                }
                () = talking => {}
            }
        }
        // A client that does not take its last answers goes without them.
        let _ = timeout(LAST, carrying).await;
    }

    /// Does a request's work in a task of its own.
    fn begin(self: &Arc<Self>, request: Arc<Request>, work: Work) {
        let fcp = Arc::clone(self);
        self.tasks.spawn(async move {
            let doing = Box::pin(async {
                let Ok(_turn) = fcp.turns.acquire().await else { return };
                match work {
                    Work::Get(get) => get.run(&fcp, &request).await,
                    Work::Put(put) => put.run(&fcp, &request).await,
                }
            });
            tokio::select! {
                biased;
                () = fcp.tasks.stop().cancelled() => {}
                () = request.cancel.cancelled() => {}
                () = doing => {}
            }
        });
    }
}

/// A URI as FCP has it: without scheme, and of a USK without a slash behind the edition, which clients would take for
/// an empty path.
fn bare(uri: &Uri) -> String {
    let mut text = uri.bare();
    if uri.path().is_empty() && text.ends_with('/') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests;
