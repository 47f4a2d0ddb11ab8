//! `allium`: a garlic router that speaks I2P's protocols.

mod content;
mod control;
mod devnet;
mod file;
mod keys;
mod run;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A garlic router: hidden services, and the way to them.
#[derive(Parser)]
#[command(name = "allium", version, about)]
struct Arguments {
    /// The folder for keys and what the router learns [default: $XDG_DATA_HOME/allium].
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one router.
    Run {
        /// The configuration [default: $XDG_CONFIG_HOME/allium/allium.toml, if it is there].
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Run a private network in this process, with a sample hidden site.
    Devnet {
        /// How many routers.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(3..=64))]
        routers: u16,
        /// Where to keep the network's data; a temporary folder, removed at the end, if absent.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Ask the running router what it is doing.
    Status {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publish a file or folder under a key, and print the key.
    Put(content::Put),
    /// Fetch what is under a key.
    Get(content::Get),
    /// Keys to publish with, the store's state, and what this node keeps.
    Content {
        #[command(subcommand)]
        command: content::Command,
    },
    /// Make and show destinations' keys.
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Print the default configuration, with comments.
    Config,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Run { config } => run::run(arguments.data_dir, config),
        Command::Devnet { routers, dir } => devnet::run(usize::from(routers), dir.or(arguments.data_dir)),
        Command::Status { json } => status::run(arguments.data_dir, json),
        Command::Put(put) => content::put(arguments.data_dir, put),
        Command::Get(get) => content::get(arguments.data_dir, &get),
        Command::Content { command } => content::run(arguments.data_dir, command),
        Command::Keys { command } => keys::run(&command),
        Command::Config => {
            file::print_default();
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("allium: {error:#}");
            ExitCode::FAILURE
        }
    }
}
