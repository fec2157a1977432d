//! A child process that cannot outlive its test.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

use super::{eventually, wait_until_listening};

/// What of a child's output is kept: its end.
const KEPT_OUTPUT_BYTES_MAX: usize = 256 * 1024;

/// How long a child may take to obey `TERM` before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// A running program at the head of its own process group. Dropping it sends `TERM`, then `KILL` to whoever of the
/// group is left, and reaps it.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    output: Arc<Mutex<Vec<u8>>>,
}

impl Child {
    /// Starts `command` with nothing to read; what it writes to standard output and standard error is kept
    /// for [`Child::output`]. `name` is for messages.
    ///
    /// # Errors
    ///
    /// The system's, with the name in front.
    pub fn start(name: &str, mut command: Command) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
        let (mut reader, writer) = io::pipe().map_err(named)?;
        command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(named)?).stderr(writer);
        let process = command.process_group(0).spawn().map_err(named)?;
        drop(command); // it holds the writing ends
        let output = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&output);
        // Ends by itself when the last process that can write is gone.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend(buffer.iter().take(count));
                let excess = kept.len().saturating_sub(KEPT_OUTPUT_BYTES_MAX);
                kept.drain(..excess);
            }
        });
        Ok(Self { name: name.to_owned(), process, output })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has written so far, or the last 256 KiB of that.
    #[must_use]
    pub fn output(&self) -> String {
        let kept = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).into_owned()
    }

    /// How it ended; none while it runs.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits until it listens at `address`.
    ///
    /// # Errors
    ///
    /// If it ends first, or does not listen `within` this time. The error holds its output.
    pub fn wait_until_listening(&mut self, address: SocketAddr, within: Duration) -> io::Result<()> {
        let moment = Duration::from_millis(50);
        let mut ended = None;
        let listening = eventually(within, || {
            let accepted = wait_until_listening(address, moment).is_ok();
            ended = self.process.try_wait().ok().flatten();
            // Whoever else took the port does not speak for a child that is gone.
            accepted || ended.is_some()
        });
        match (listening, ended) {
            (true, None) => Ok(()),
            (_, Some(status)) => Err(self.failed(&format!("ended with {status}"))),
            (false, None) => Err(self.failed(&format!("does not listen at {address}"))),
        }
    }

    /// Waits until it has written `text`.
    ///
    /// # Errors
    ///
    /// If it does not `within` this time. The error holds its output.
    pub fn wait_until_said(&self, text: &str, within: Duration) -> io::Result<()> {
        match eventually(within, || self.output().contains(text)) {
            true => Ok(()),
            false => Err(self.failed(&format!("did not say {text:?}"))),
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it still runs after `within`. The error holds its output.
    pub fn wait(&mut self, within: Duration) -> io::Result<ExitStatus> {
        let mut ended = None;
        eventually(within, || {
            ended = self.process.try_wait().ok().flatten();
            ended.is_some()
        });
        ended.ok_or_else(|| self.failed("does not end"))
    }

    /// Sends it, and only it, a signal. Does nothing once it has been reaped.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        match (self.process.try_wait()?, self.pid()) {
            (None, Some(pid)) => Ok(kill_process(pid, signal)?),
            _ => Ok(()),
        }
    }

    fn failed(&self, what: &str) -> io::Error {
        io::Error::other(format!("{} {what}; it said:\n{}", self.name, self.output()))
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.process.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(group) = self.pid() else { return };
        // Seen to end but not reaped, so that its number, which is the group's, belongs to nobody else meanwhile.
        let ended = || {
            waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)
        };
        // Errors below mean that nobody is left, which is what is wanted.
        if matches!(ended(), Ok(None)) {
            let _ = kill_process(group, Signal::TERM);
            eventually(GRACE, || !matches!(ended(), Ok(None)));
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::PATIENCE;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Child::start("sh", command).unwrap()
    }

    fn runs(pid: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A zombie that nobody has reaped yet does not run.
        !state.is_empty() && !state.contains(") Z ")
    }

    #[test]
    fn a_dropped_child_takes_its_children_along() {
        let child = shell("sleep 600 & echo inner $!; wait");
        child.wait_until_said("inner ", PATIENCE).unwrap();
        let inner = child.output().trim_start_matches("inner ").trim().to_owned();
        assert!(runs(&inner));
        drop(child);
        assert!(eventually(PATIENCE, || !runs(&inner)), "{inner} still runs");
    }

    #[test]
    fn a_child_that_ignores_the_polite_signal_is_killed() {
        let child = shell("trap '' TERM; echo ready; while :; do sleep 1; done");
        child.wait_until_said("ready", PATIENCE).unwrap();
        let pid = child.id().to_string();
        drop(child);
        assert!(!runs(&pid));
    }

    #[test]
    fn a_child_that_dies_early_is_quoted() {
        let mut child = shell("echo no such directive >&2; exit 3");
        child.wait(PATIENCE).unwrap();
        child.wait_until_said("directive", PATIENCE).unwrap();
        let error = child.wait_until_listening(crate::peer::free_address(), PATIENCE).unwrap_err();
        assert!(error.to_string().contains("no such directive"), "{error}");
    }
}
