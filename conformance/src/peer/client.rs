//! Command line clients that run to their end: curl, swaks, openssl.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

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
    run_with_input(program, arguments, "", b"")
}

/// Runs curl, verbosely, and without what its user may have configured.
///
/// # Errors
///
/// As [`run`].
pub fn curl(arguments: &[&str]) -> io::Result<Outcome> {
    curl_with_input(arguments, b"")
}

/// As [`curl`], with `input` to upload from `-`.
///
/// # Errors
///
/// As [`run`].
pub fn curl_with_input(arguments: &[&str], input: &[u8]) -> io::Result<Outcome> {
    let common = ["--disable", "--silent", "--show-error", "--verbose", "--max-time", "30"];
    run_with_input("curl", &[&common, arguments].concat(), "", input)
}

/// Runs `program` with `input` to read, which comes a moment after `cue` has appeared on its standard output; at once if
/// that is empty.
///
/// # Errors
///
/// As [`run`].
pub fn run_with_input(
    program: &str,
    arguments: &[&str],
    cue: &'static str,
    input: &[u8],
) -> io::Result<Outcome> {
    let mut command = Command::new(require(program).map_err(io::Error::other)?);
    command.args(arguments);
    run_command(command, cue, input)
}

/// As [`run_with_input`], for a command that is made ready.
///
/// # Errors
///
/// As [`run`].
pub fn run_command(mut command: Command, cue: &'static str, input: &[u8]) -> io::Result<Outcome> {
    let mut process = command
        // Messages and dates are compared, so no other language.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = process.stdin.take();
    let (stdout, stderr) = (Reading::begin(process.stdout.take()), Reading::begin(process.stderr.take()));
    let (input, heard) = (input.to_vec(), Arc::clone(&stdout.octets));
    thread::spawn(move || {
        let Some(mut stdin) = stdin else { return };
        if !cue.is_empty() {
            eventually(PATIENCE, || String::from_utf8_lossy(&lock(&heard)).contains(cue));
            thread::sleep(Duration::from_millis(100));
        }
        // A program that does not read to the end shows by its outcome whether it should have.
        let _ = stdin.write_all(&input);
    });
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
        stdout: stdout.finish(),
        stderr: stderr.finish(),
    };
    match status {
        Some(_) => Ok(outcome),
        None => {
            let what = format!("{command:?} did not end: {}", outcome.said());
            Err(io::Error::new(io::ErrorKind::TimedOut, what))
        }
    }
}

/// A stream that a thread reads to its end.
struct Reading {
    octets: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Reading {
    fn begin(stream: Option<impl Read + Send + 'static>) -> Self {
        let octets = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&octets);
        let thread = thread::spawn(move || {
            let Some(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            // What came before an error is what there is to show.
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                lock(&kept).extend(buffer.iter().take(count));
            }
        });
        Self { octets, thread }
    }

    fn finish(self) -> Vec<u8> {
        let _ = self.thread.join();
        std::mem::take(&mut *lock(&self.octets))
    }
}

fn lock(octets: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    octets.lock().unwrap_or_else(PoisonError::into_inner)
}
