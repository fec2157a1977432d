//! `gatepost-conformance`: what the transcripts prove, from the command line.

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gatepost_conformance::report;
use gatepost_conformance::transcript::Library;

/// What the transcripts of mail dialogues prove.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say how many rows are proven, waived and missing.
    Report {
        /// Write the table of all rows to conformance/REPORT.md, too.
        #[arg(long)]
        write: bool,
    },
}

fn main() -> ExitCode {
    let Command::Report { write } = Arguments::parse().command;
    let library = match Library::load() {
        Ok(library) => library,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if write {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("REPORT.md");
        if let Err(error) = std::fs::write(&path, report::table(&library)) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    print!("{}", report::summary(&library));
    ExitCode::SUCCESS
}
