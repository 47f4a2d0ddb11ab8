//! Running the program.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// The longest that anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often conditions are looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The program, with nothing of the machine's own configuration.
pub(crate) fn allium(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_allium"));
    command.args(arguments).env_clear().env("HOME", home).current_dir(home).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) async fn finish(home: &Path, arguments: &[&str]) -> Output {
    timeout(PATIENCE, allium(home, arguments).output()).await.expect("it ends").unwrap()
}

/// What a command printed.
pub(crate) fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// A port that nobody listens at.
pub(crate) async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        sleep(LOOK).await;
    }
}

/// Collects what a process prints.
pub(crate) fn collect(mut output: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        let _ = output.read_to_end(&mut bytes).await;
        text(&bytes)
    })
}

/// A folder for one router, with its configuration.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
    /// Where it listens for routers.
    pub(crate) ntcp2: SocketAddr,
}

impl Home {
    /// A router of a private network without proxies; `more` is added to its configuration.
    pub(crate) async fn new(more: &str) -> Self {
        let ntcp2 = SocketAddr::from(([127, 0, 0, 1], free_port().await));
        let home = Self { folder: tempfile::tempdir().unwrap(), ntcp2 };
        home.configure(&format!("publish = \"{ntcp2}\""), more);
        home
    }

    /// Writes the configuration: lines for `[ntcp2]`, and further sections.
    pub(crate) fn configure(&self, ntcp2: &str, more: &str) {
        let mut config = format!(
            "[network]\nid = 77\nallow_local = true\nfloodfill = true\n[ntcp2]\nbind = \"{}\"\n{ntcp2}\n{more}\n",
            self.ntcp2
        );
        for (section, off) in
            [("[reseed]", "urls = []"), ("[http_proxy]", "enabled = false"), ("[socks]", "enabled = false")]
        {
            if !more.contains(section) {
                config.extend([section, "\n", off, "\n"]);
            }
        }
        std::fs::write(self.config(), config).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("allium.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The command that runs the router.
    pub(crate) fn command(&self) -> Command {
        let (config, data) = (self.config(), self.data());
        allium(
            self.path(),
            &["--data-dir", data.to_str().unwrap(), "run", "--config", config.to_str().unwrap()],
        )
    }

    /// Runs the router to its end, which is to be an error; gives what it said.
    pub(crate) async fn fails(&self) -> String {
        let output = timeout(PATIENCE, self.command().output()).await.expect("it ends").unwrap();
        assert!(!output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    }

    /// Starts the router, and waits until it answers.
    pub(crate) async fn start(&self) -> Running<'_> {
        let mut child = self.command().spawn().unwrap();
        let log = collect(child.stderr.take().unwrap());
        let mut running = Running { home: self, child, log };
        let begun = Instant::now();
        loop {
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", running.log.await.unwrap());
            }
            if running.asked().await.is_some() {
                return running;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not answer");
            sleep(LOOK).await;
        }
    }
}

/// A router that runs.
pub(crate) struct Running<'a> {
    home: &'a Home,
    pub(crate) child: Child,
    pub(crate) log: JoinHandle<String>,
}

impl Running<'_> {
    async fn asked(&self) -> Option<serde_json::Value> {
        let data = self.home.data();
        let output =
            finish(self.home.path(), &["--data-dir", data.to_str().unwrap(), "status", "--json"]).await;
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// What it says of itself.
    pub(crate) async fn status(&self) -> serde_json::Value {
        self.asked().await.expect("it answers")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Bytes of memory that it has.
    pub(crate) fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }

    pub(crate) async fn signal(&self, name: &str) {
        signal(self.pid(), name).await;
    }

    /// Ends it as a service manager would; gives how it ended, and its log.
    pub(crate) async fn stop(mut self) -> (ExitStatus, String) {
        self.signal("TERM").await;
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        (status, self.log.await.unwrap())
    }

    /// Ends it as the kernel would.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Sends a signal to a process.
pub(crate) async fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().await;
    assert!(sent.unwrap().success());
}
