//! Logs with virtual times, for a look into a fleet: `ALLIUM_LOG=debug`.

use std::fmt;

use tokio::time::Instant;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

struct Virtual(Instant);

impl FormatTime for Virtual {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:10.3}", self.0.elapsed().as_secs_f64())
    }
}

/// Logs this thread's routers as `ALLIUM_LOG` says, until the guard is dropped. To be called on the paused runtime.
pub(crate) fn scoped() -> Option<tracing::subscriber::DefaultGuard> {
    let filter = EnvFilter::try_from_env("ALLIUM_LOG").ok()?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let subscriber = builder.with_timer(Virtual(Instant::now())).with_target(true).with_ansi(false).finish();
    Some(tracing::subscriber::set_default(subscriber))
}
