//! What a mail proxy costs, Gatepost's beside a peer's: `cargo bench -p gatepost --bench side_by_side`.
//!
//! Both serve the same `nginx.conf`, in turn, with the same auth server, backends and clients around them, each in a
//! process of its own. What is measured is the proxy's whole process tree, from outside: processor time by
//! `/proc/PID/stat`, proportional memory by `/proc/PID/smaps_rollup`. Every login is checked to have reached its own
//! user's backend and every octet of a relay to be the right one, so a proxy that is quick and wrong fails.
//!
//! `-- --help` tells the options; `-- --quick` is the short form that CI prints, of which only the failures count.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{self, ExitCode};

use clap::{Parser, Subcommand};

mod auth_server;
mod backend;
mod clients;
mod cost;
mod dialogue;
mod door;
mod fixture;
mod job;
mod measure;
mod pattern;
mod proxy;
mod role;
mod scenario;
mod table;
mod wire;

use proxy::Program;
use role::Stage;
use table::Table;

/// Whatever went wrong, in words: a benchmark has nobody to catch it by kind.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Gatepost beside a peer, the same work, the same configuration.
#[derive(Parser)]
struct Arguments {
    /// The peer: a program that reads nginx.conf as nginx does.
    #[arg(long, default_value = "nginx")]
    peer: PathBuf,
    /// The directory of the peer's modules, where it has its mail module in one.
    #[arg(long, default_value = "/usr/lib/nginx/modules")]
    modules: PathBuf,
    /// Another Gatepost than the one of this build.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_gatepost"))]
    gatepost: PathBuf,
    /// How often each scenario is played by each side.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only scenarios whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// One round of little work: shows that all is well, and hardly more.
    #[arg(long)]
    quick: bool,
    /// Writes every figure of every round to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Lists the scenarios.
    #[arg(long)]
    list: bool,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is when it starts itself.
#[derive(Subcommand, Clone, Copy, Debug)]
#[command(hide = true)]
enum Role {
    AuthServer,
    Backend,
    Clients,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::AuthServer) => auth_server::run(),
        Some(Role::Backend) => backend::run(),
        Some(Role::Clients) => clients::run(),
        None => compare(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Outcome<()> {
    // Every process identifier is below 2^22.
    let host = Ipv4Addr::from(Ipv4Addr::new(127, 0, 0, 0).to_bits() + process::id());
    let scenarios: Vec<_> = scenario::all(host, arguments.quick)
        .into_iter()
        .filter(|scenario| scenario.name.contains(&arguments.only))
        .collect();
    if arguments.list {
        scenarios.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(());
    }
    role::allow_many_descriptors()?;
    let sides = [
        Program::gatepost(arguments.gatepost.clone()),
        Program::peer(arguments.peer.clone(), &arguments.modules),
    ];
    for side in &sides {
        eprintln!("{}: {}", side.name, side.version()?);
    }
    let rounds = if arguments.quick { 1 } else { arguments.rounds.max(1) };
    let mut stage = Stage::set(host)?;
    let mut table = Table::new(rounds);
    for round in 0..rounds {
        for scenario in &scenarios {
            for (index, side) in sides.iter().enumerate() {
                let figures = measure::play(side, scenario, &mut stage)
                    .map_err(|error| format!("{} with {}: {error}", scenario.name, side.name))?;
                for (figure, value) in figures {
                    table.note(round, scenario, figure, index, value);
                }
            }
            eprintln!("round {} of {rounds}: {}", round + 1, table.progress(round, scenario));
        }
    }
    println!("{table}");
    if let Some(path) = &arguments.json {
        fs::write(path, table.json()?)?;
    }
    Ok(())
}
