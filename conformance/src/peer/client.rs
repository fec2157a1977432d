//! Command line clients that run to their end: curl, swaks, openssl.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, eventually, require};

/// How a client's run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Everything it said, for a failure's message or to look for a text.
    #[must_use]
    pub fn said(&self) -> String {
        let (out, err) = (String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        format!("exit code {:?}\n{err}\n{out}", self.code)
    }
}

/// Runs `program` with nothing to read.
///
/// # Errors
///
/// If it cannot be started, or has to be killed because it does not end in time.
pub fn run(program: &str, arguments: &[&str]) -> io::Result<Outcome> {
    run_with_input(program, arguments, b"")
}

/// Runs curl, verbosely, and without what its user may have configured.
///
/// # Errors
///
/// As [`run`].
pub fn curl(arguments: &[&str]) -> io::Result<Outcome> {
    run(
        "curl",
        &[&["--disable", "--silent", "--show-error", "--verbose", "--max-time", "30"], arguments].concat(),
    )
}

/// Runs `program` with `input` to read.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_input(program: &str, arguments: &[&str], input: &[u8]) -> io::Result<Outcome> {
    let path = require(program).map_err(io::Error::other)?;
    let mut process = Command::new(path)
        .args(arguments)
        // Messages and dates are compared, so no other language.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let (stdout, stderr) = (reading(stdout), reading(stderr));
    let input = input.to_vec();
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let mut status = None;
    eventually(PATIENCE, || {
        status = process.try_wait().ok().flatten();
        status.is_some()
    });
    if status.is_none() {
        if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        process.wait()?;
    }
    let outcome = Outcome {
        code: status.and_then(|status| status.code()),
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    };
    match status {
        Some(_) => Ok(outcome),
        None => {
            let what = format!("{program} {arguments:?} did not end: {}", outcome.said());
            Err(io::Error::new(io::ErrorKind::TimedOut, what))
        }
    }
}

fn reading(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        // What came before an error is what there is to show.
        let _ = stream.map(|mut stream| stream.read_to_end(&mut all));
        all
    })
}
