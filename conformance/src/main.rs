//! `gatepost-conformance`: what the transcripts prove, from the command line, and sessions of real clients for them.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use gatepost_conformance::player::play;
use gatepost_conformance::record::{Backend, names_this_machine, record, text, with_index};
use gatepost_conformance::report;
use gatepost_conformance::subject::binary::Binary;
use gatepost_conformance::subject::core::Core;
use gatepost_conformance::transcript::{Library, Transcript, sessions as all_sessions, sessions_folder};

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
    /// Run the real clients that files in corpus/sessions name through Gatepost to Dovecot or Postfix, and write into these files
    /// what was said. A new session begins as such a file without a script.
    Record {
        /// The files, without .ron.
        #[arg(required = true)]
        sessions: Vec<String>,
        /// The day that is written down: 2026-11-21.
        #[arg(long)]
        day: String,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Report { write } => report_on_rows(write),
        Command::Record { sessions, day } => record_all(&sessions, &day),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn report_on_rows(write: bool) -> Result<(), String> {
    let library = Library::load().map_err(|error| error.to_string())?;
    if write {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("REPORT.md");
        fs::write(&path, report::table(&library)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    print!("{}", report::summary(&library));
    Ok(())
}

/// Records each of `sessions`, and names them in the corpus's README; of those that fail it is told why.
fn record_all(sessions: &[String], day: &str) -> Result<(), String> {
    let binary = Binary::build().map_err(|error| error.to_string())?;
    let mut failed = Vec::new();
    for session in sessions {
        match record_one(session, day, &binary) {
            Ok(steps) => println!("{session}: {steps} steps"),
            Err(error) => {
                eprintln!("{session}: {error}");
                failed.push(session.as_str());
            }
        }
    }
    if !failed.is_empty() {
        return Err(format!("not recorded: {}", failed.join(", ")));
    }
    let path = sessions_folder().join("../README.md");
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let all = all_sessions().map_err(|error| error.to_string())?;
    let readme = with_index(&fs::read_to_string(&path).map_err(told)?, &all)?;
    fs::write(&path, readme).map_err(told)
}

/// Only what can be played again, by the core and by the program, is written.
fn record_one(session: &str, day: &str, binary: &Binary) -> Result<usize, String> {
    let path = sessions_folder().join(format!("{session}.ron"));
    let head = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let head: Transcript = ron::from_str(&head).map_err(|error| format!("{}: {error}", path.display()))?;
    let server = Backend::real(head.config.protocol).map_err(|error| error.to_string())?;
    let session = record(&head, binary, &server, day, |waits| println!("{waits}"))?;
    let text = text(&session)?;
    if let Some(name) = names_this_machine(&text) {
        return Err(format!("the session tells of this machine: {name}"));
    }
    play(&session, &Core).map_err(|error| format!("it cannot be played again: {error}"))?;
    play(&session, binary).map_err(|error| format!("it cannot be played again: {error}"))?;
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(session.script.len())
}
