//! The workers: how they are born, come to serve, are told to end, and are buried.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::report::Level;
use nix::sys::signal::Signal;
use rustix::process::{Pid, WaitOptions, WaitStatus, kill_process, wait};

use super::{Master, Stage, Which};
use crate::net::even_clock;
use crate::process::channel::ToWorker;
use crate::process::{Error, notify};
use crate::server::Shared;

/// How long a worker may take from its first breath to serving, before the master gives up on it. What can take long is
/// to look up the groups of its user.
pub(super) const START_MAX: Duration = Duration::from_secs(60);

/// A worker process.
pub(super) struct Worker {
    pub(super) process: Pid,
    /// Of which configuration.
    pub(super) generation: u64,
    /// Its logs, to be opened anew.
    pub(super) shared: Arc<Shared>,
    pub(super) born: Duration,
    pub(super) channel: ToWorker,
    /// Whether it has said that it serves.
    pub(super) serves: bool,
    /// Whether it has been told to end.
    pub(super) leaving: bool,
}

impl Master {
    /// The process that was forked has to be looked after.
    pub(super) fn born(&mut self, which: Which, process: Pid, channel: ToWorker) {
        self.say(&format!("start worker process {process}"));
        let Some(generation) = self.generation(which) else { return };
        let worker = Worker {
            process,
            generation: generation.number,
            shared: generation.server.shared().clone(),
            born: even_clock(),
            channel,
            serves: false,
            leaving: false,
        };
        self.workers.push(worker);
    }

    /// There could be no process.
    ///
    /// # Errors
    ///
    /// It would have been the first: what keeps it from being made is for whoever starts us to mend.
    pub(super) fn unborn(&mut self, which: Which, call: &'static str, error: io::Error) -> Result<(), Error> {
        self.log.system(Level::Alert, call, &error, " while spawning \"worker process\"");
        if !self.started {
            return self.end().and(Err(Error::System { call, source: error }));
        }
        match which {
            Which::Current => self.backoff.note(Duration::ZERO, even_clock()),
            Which::Coming => self.abandon(),
        }
        Ok(())
    }

    /// Looks whether those that should come to serve do.
    pub(super) fn hear_who_serves(&mut self) {
        let Some(served) = self.workers.iter_mut().find_map(Worker::has_come_to_serve) else { return };
        if let Some(coming) = self.coming.take_if(|coming| coming.number == served) {
            self.succeed(coming);
        }
        if let Some(waiting) = self.waiting.take() {
            waiting.tell();
        }
        self.started = true;
        notify::ready("serving");
    }

    /// Tells these workers to let their sessions end.
    pub(super) fn dismiss(&mut self, which: impl Fn(&Worker) -> bool) {
        self.signal_workers(Signal::SIGQUIT, |worker| !worker.leaving && which(worker));
    }

    /// Sends a signal that ends them to these workers.
    pub(super) fn signal_workers(&mut self, what: Signal, which: impl Fn(&Worker) -> bool) {
        for worker in self.workers.iter_mut().filter(|worker| which(worker)) {
            signal(worker.process, what);
            worker.leaving = true;
        }
    }

    /// Takes note of every process that has ended; tells the end of this one, if that follows.
    pub(super) fn bury(&mut self) -> Option<Result<(), Error>> {
        while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
            self.tell_death(process, status);
            if self.successor == Some(process) {
                self.successor = None;
                self.keep_name();
                if self.stage == Stage::Serving {
                    // It may have told the service manager that it was the one to look after.
                    notify::ready("serving");
                }
                continue;
            }
            let Some(at) = self.workers.iter().position(|worker| worker.process == process) else { continue };
            let worker = self.workers.remove(at);
            // Its sessions have ended with it, also where it had no time to say so.
            worker.shared.zones().forget(process);
            if self.coming.as_ref().is_some_and(|coming| coming.number == worker.generation) {
                self.abandon();
            } else if !worker.leaving && worker.generation == self.current.number {
                if !self.started {
                    return Some(self.end().and(Err(Error::Worker)));
                }
                let now = even_clock();
                self.backoff.note(now.saturating_sub(worker.born), now);
                if let Some(delay) = self.backoff.delay(now) {
                    let seconds = delay.as_secs_f32();
                    let message =
                        format_args!("workers end too soon: the next one is started in {seconds:.1} s");
                    self.log.line(Level::Alert, None, message);
                }
            }
        }
        None
    }

    fn tell_death(&self, process: Pid, status: WaitStatus) {
        let what = if self.successor == Some(process) { "new binary process" } else { "worker process" };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => self.say(&format!("{what} {process} exited with code {code}")),
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                let message = format_args!("{what} {process} exited on signal {signal}");
                self.log.line(Level::Alert, None, message);
            }
        }
    }
}

impl Worker {
    /// Whether it should have come to serve by now.
    pub(super) fn is_late(&self, now: Duration) -> bool {
        !self.serves && now.saturating_sub(self.born) > START_MAX
    }

    /// Which configuration is served since just now, if one is.
    fn has_come_to_serve(&mut self) -> Option<u64> {
        if self.serves || !self.channel.has_come_to_serve() {
            return None;
        }
        self.serves = true;
        Some(self.generation)
    }
}

/// Sends a signal to a child. One that has ended, and has not been buried, still has its number.
pub(super) fn signal(process: Pid, what: Signal) {
    let what = match what {
        Signal::SIGQUIT => rustix::process::Signal::QUIT,
        Signal::SIGTERM => rustix::process::Signal::TERM,
        _ => rustix::process::Signal::KILL,
    };
    // Nothing can be wrong but that it is gone.
    let _ = kill_process(process, what);
}
