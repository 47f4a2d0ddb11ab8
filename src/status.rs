//! `allium status`.

use std::fmt::Write;
use std::path::PathBuf;

use allium_router::Status;
use anyhow::Context;

/// Asks the running router, and prints what it says.
#[expect(clippy::print_stdout, reason = "the answer is what the command is for")]
pub(crate) fn run(data_dir: Option<PathBuf>, json: bool) -> anyhow::Result<()> {
    let dir = crate::file::data_dir(data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let line = runtime.block_on(crate::control::ask(&dir, "status"))?;
    if json {
        print!("{line}");
        return Ok(());
    }
    let status: Status = serde_json::from_str(&line).context("the router's answer is not a status")?;
    print!("{}", describe(&status));
    Ok(())
}

fn describe(s: &Status) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<14}{value}");
    };
    line("router", format!("{} (allium {}, network {})", s.router, s.version, s.network));
    let ready = s.why_not_ready.as_ref().map_or_else(|| "yes".to_owned(), |why| format!("not yet: {why}"));
    line("ready", ready);
    line("up", format!("{} s", s.uptime_s));
    let addresses =
        if s.addresses.is_empty() { "none (firewalled)".to_owned() } else { s.addresses.join(", ") };
    line("address", addresses);
    line(
        "peers",
        format!("{} connected, {} known, {} floodfills", s.peers, s.known_routers, s.known_floodfills),
    );
    if s.floodfill {
        line("floodfill", format!("yes, {} LeaseSets stored", s.stored_lease_sets));
    }
    line(
        "own tunnels",
        format!(
            "{} in, {} out ({} built, {} failed)",
            s.inbound_tunnels, s.outbound_tunnels, s.builds_succeeded, s.builds_failed
        ),
    );
    line("transit", format!("{} tunnels, {} messages", s.transit_tunnels, s.transit_messages));
    line("bytes", format!("{} received, {} sent", s.bytes_received, s.bytes_sent));
    line("dropped", format!("{} for want of room, {} malformed", s.dropped_messages, s.bad_messages));
    if let Some(control) = &s.congestion_control {
        line("tcp", control.clone());
    }
    for d in &s.destinations {
        let kind = if d.service { "service" } else { "client" };
        let state = if d.ready { "ready" } else { "not ready yet" };
        line(
            kind,
            format!(
                "{} {} {state}, tunnels {} in {} out, {} streams",
                d.name, d.address, d.inbound_tunnels, d.outbound_tunnels, d.streams
            ),
        );
    }
    out
}
