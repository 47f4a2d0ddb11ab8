//! `allium keys`: destinations' key files.

use std::path::{Path, PathBuf};

use allium_router::store;
use allium_wire::DestinationKeys;
use anyhow::{Context, bail};
use clap::Subcommand;

/// What to do with a key file.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a new destination, and print its address.
    New {
        /// The file to write; it must not exist yet.
        file: PathBuf,
    },
    /// Print the address of the destination in a key file.
    Show {
        /// The file: binary or base64, as I2P's routers write them.
        file: PathBuf,
    },
}

/// Runs `allium keys`.
#[expect(clippy::print_stdout, reason = "the address is what the command is for")]
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    let keys = match command {
        Command::New { file } => make(file)?,
        Command::Show { file } => show(file)?,
    };
    println!("{}", keys.destination().dest_hash().b32());
    Ok(())
}

fn make(file: &Path) -> anyhow::Result<DestinationKeys> {
    if file.exists() {
        bail!(
            "{} exists already: a destination's keys can't be had again, so they are never overwritten",
            file.display()
        );
    }
    let keys = DestinationKeys::generate(&mut crate::run::system_rng()?);
    store::write_atomic(file, &keys.encode(), true)?;
    Ok(keys)
}

fn show(file: &Path) -> anyhow::Result<DestinationKeys> {
    let Some(data) = store::read_limited(file, 64 << 10)? else {
        bail!("{} is not there", file.display());
    };
    DestinationKeys::decode(&data).with_context(|| format!("{} is no destination's key file", file.display()))
}
