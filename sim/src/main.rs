//! `gatepost-sim`: the made-up world from the command line.

use std::error::Error;
use std::io::{self, Write as _};
use std::num::NonZero;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use gatepost_sim::plan::Plan;
use gatepost_sim::swarm::{Errand, StoryFile, describe, examine};
use gatepost_sim::trace::Of;

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
    /// Play the worlds of many seeds, and stop at the first that is not as it should be.
    Swarm {
        /// Which seeds, as 0..10000.
        #[arg(long, default_value = "0..10000", value_parser = seeds)]
        seeds: Range<u64>,
        /// Go on with the seeds behind those for so many hours, counted from the beginning.
        #[arg(long, default_value_t = 0.0)]
        hours: f64,
        /// On how many threads; as many as there are cores if nothing is said.
        #[arg(long)]
        threads: Option<NonZero<usize>>,
        /// Write down the hashes of the traces of seeds 0..100, in sim/TRACES.
        #[arg(long)]
        write_hash: bool,
        /// Where one fails, leave it at its seed: look for no shorter story, and write none.
        #[arg(long)]
        brief: bool,
    },
    /// Play the world of one seed, or of a story in corpus/sim, and judge it.
    Replay {
        /// The seed, or the file.
        story: String,
        /// Tell all of it, line by line, on standard output.
        #[arg(long)]
        trace: bool,
        /// Tell of each segment on the network too.
        #[arg(long, requires = "trace")]
        network: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Playground { once } => gatepost_sim::playground::run(once).map(|()| true),
        Command::Swarm { seeds, hours, threads, write_hash, brief } => {
            swarm(seeds, hours, threads, write_hash, brief)
        }
        Command::Replay { story, trace, network } => {
            replay(&story, trace, if network { Of::Everything } else { Of::Gatepost })
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gatepost-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn swarm(
    seeds: Range<u64>,
    hours: f64,
    threads: Option<NonZero<usize>>,
    write_hash: bool,
    brief: bool,
) -> Result<bool, Box<dyn Error>> {
    let threads = threads.or(std::thread::available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN);
    let at_least = Duration::try_from_secs_f64(hours * 3600.0)?;
    let errand = Errand { seeds, at_least, threads, write_hash, brief };
    Ok(gatepost_sim::swarm::run(&errand, &mut io::stdout().lock())?)
}

fn replay(story: &str, trace: bool, of: Of) -> Result<bool, Box<dyn Error>> {
    let plan = match story.parse() {
        Ok(seed) => Plan::of(seed),
        Err(_) => StoryFile::read(Path::new(story))?.plan(),
    };
    let findings = examine(&plan, of);
    let mut out = io::stdout().lock();
    writeln!(out, "{}", describe(&plan))?;
    if trace {
        out.write_all(&findings.trace)?;
    }
    for (number, book) in findings.story.iter().flat_map(|story| &story.books) {
        writeln!(out, "session {number} held at most {} octets of memory before its relay", book.octets_max)?;
    }
    for complaint in &findings.complaints {
        writeln!(out, "{complaint}")?;
    }
    writeln!(
        out,
        "{} complaints; the trace has {} octets and the hash {}",
        findings.complaints.len(),
        findings.trace.len(),
        findings.hash()
    )?;
    Ok(findings.complaints.is_empty())
}

/// `0..10000`.
fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed.ok_or_else(|| format!("{text} is not a range of seeds like 0..10000"))
}
