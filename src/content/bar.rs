//! Progress bars, on standard error, where that is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// How far a job is.
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Of bytes; without a length where none is known.
    pub(super) fn bytes(length: Option<u64>) -> Self {
        let style = match length {
            Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}",
            None => "{spinner} {bytes} {bytes_per_sec} {msg}",
        };
        Self::new(length, style)
    }

    /// Of blocks, as the router counts them.
    pub(super) fn blocks() -> Self {
        Self::new(None, "{spinner} {msg}")
    }

    fn new(length: Option<u64>, style: &str) -> Self {
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// So many bytes are done.
    pub(super) fn at(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// So many more bytes are done.
    pub(super) fn more(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// The router's word of how far it is.
    pub(super) fn told(&self, progress: &Value) {
        let number = |name: &str| progress[name].as_u64().unwrap_or_default();
        self.at(number("bytes"));
        let (blocks, required) = (number("blocks"), number("required"));
        let failed = match number("failed") {
            0 => String::new(),
            failed => format!(", {failed} not found"),
        };
        self.0.set_message(format!("{blocks} of {required} blocks{failed}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
