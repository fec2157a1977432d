//! `gatepost-sim`: the made-up world from the command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Gatepost among made-up clients, backends and auth servers.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Gatepost with an auth server and backends on 127.0.0.1, log in once per protocol, and stay for you to try.
    Playground {
        /// Leave after the logins.
        #[arg(long)]
        once: bool,
    },
}

fn main() -> ExitCode {
    let Command::Playground { once } = Arguments::parse().command;
    match gatepost_sim::playground::run(once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatepost-sim: {error}");
            ExitCode::FAILURE
        }
    }
}
