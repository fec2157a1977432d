//! The master: it looks after workers, and does what signals ask.
//!
//! What it wants to be true is written down in its fields (`reload`, `accepting`, `stage`), and [`Master::due`] finds the
//! next thing to do about it. The loop that owns the master does the forking, so that the new process can take the
//! master apart and keep nothing but what a worker needs.

use std::sync::Arc;
use std::time::Duration;

use gatepost_core::report::Level;
use nix::sys::signal::Signal;
use rustix::process::{Pid, getppid};

mod backoff;
mod generation;
mod orders;
mod reload;
mod upgrade;
mod wait;
mod workers;

use self::backoff::Backoff;
use self::generation::Generation;
use self::workers::{Worker, signal};
use super::channel::channel;
use super::daemon::Waiting;
use super::handover::Program;
use super::raw::{self, Forked};
use super::signals::Signals;
use super::{Error, Reader, Start, notify, remove, worker};
use crate::net::even_clock;
use crate::observe::Log;
use crate::pid_file::PidFile;
use crate::tls::TicketKeys;

/// Runs a master until a signal ends it.
pub(super) fn run(start: Start, read: &Reader<'_>) -> Result<(), Error> {
    let mut master = Master::new(start);
    loop {
        let which = match master.next(read) {
            Next::Fork(which) => which,
            Next::End(ended) => return ended,
        };
        let (to_worker, to_master) = match channel() {
            Ok(ends) => ends,
            Err(error) => {
                master.unborn(which, "socketpair()", error)?;
                continue;
            }
        };
        match raw::fork() {
            Ok(Forked::Parent(process)) => {
                drop(to_master);
                master.born(which, process, to_worker);
            }
            Ok(Forked::Child) => {
                drop(to_worker);
                // Nothing of the master is left in a worker: neither the sockets of another configuration, nor its signals.
                let Some(Generation { config, server, .. }) = master.into_generation(which) else {
                    std::process::exit(worker::FATAL)
                };
                std::process::exit(worker::run(&config, server, to_master))
            }
            Err(error) => master.unborn(which, "fork()", error)?,
        }
    }
}

/// Which configuration a worker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// The one that is served.
    Current,
    /// The one that is to be.
    Coming,
}

/// What is to be done by whoever owns the master.
enum Next {
    Fork(Which),
    End(Result<(), Error>),
}

/// How far the master is on its way to the end. It only goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Workers let their sessions end.
    Quitting,
    /// Workers end at once.
    Stopping,
}

struct Master {
    signals: Signals,
    current: Generation,
    /// A configuration that was read and has no worker yet that serves.
    coming: Option<Generation>,
    workers: Vec<Worker>,
    backoff: Backoff,
    stage: Stage,
    /// Whether there is to be somebody who accepts. Not between WINCH and HUP.
    accepting: bool,
    /// Whether the configuration is to be read anew.
    reload: bool,
    /// When workers that should have stopped are killed.
    patience: Option<Duration>,
    /// Somebody has served.
    started: bool,
    waiting: Option<Waiting>,
    pid_file: Option<PidFile>,
    daemon: bool,
    program: Program,
    /// The keys of session tickets, which outlive workers: each is born with those of now.
    ticket_keys: Option<TicketKeys>,
    /// The binary that is to replace this one.
    successor: Option<Pid>,
    /// The process that this one replaces.
    predecessor: Option<Pid>,
    log: Arc<Log>,
}

impl Master {
    fn new(start: Start) -> Self {
        let Start { config, server, signals, waiting, pid_file, predecessor } = start;
        let log = server.shared().log().clone();
        log.line(Level::Notice, None, "start worker processes");
        Self {
            signals,
            daemon: config.process.daemon,
            current: Generation { number: 1, config, server },
            coming: None,
            workers: Vec::new(),
            backoff: Backoff::default(),
            stage: Stage::Serving,
            accepting: true,
            reload: false,
            patience: None,
            started: false,
            waiting,
            pid_file,
            program: Program::this(),
            ticket_keys: TicketKeys::of_the_process().ok(),
            successor: None,
            predecessor: predecessor.then(getppid).flatten(),
            log,
        }
    }

    fn say(&self, text: &str) {
        self.log.line(Level::Notice, None, text);
    }

    /// Waits for what happens and deals with it, until there is something that only the owner can do.
    fn next(&mut self, read: &Reader<'_>) -> Next {
        loop {
            self.age_ticket_keys();
            while let Some(received) = self.signals.next() {
                self.obey(received);
            }
            if let Some(ended) = self.bury() {
                return Next::End(ended);
            }
            self.hear_who_serves();
            if let Some(next) = self.due(read) {
                return next;
            }
            self.wait();
        }
    }

    /// Forgets ticket keys that are of no use any more, so that no worker is born with them.
    fn age_ticket_keys(&self) {
        if let Some(keys) = &self.ticket_keys {
            keys.advance();
        }
    }

    /// The next thing to do to make true what should be.
    fn due(&mut self, read: &Reader<'_>) -> Option<Next> {
        let now = even_clock();
        if self.patience.is_some_and(|end| now >= end) {
            self.patience = None;
            self.signal_workers(Signal::SIGKILL, |_| true);
        }
        for late in self.workers.iter().filter(|worker| worker.is_late(now)) {
            signal(late.process, Signal::SIGKILL);
        }
        if self.stage > Stage::Serving {
            return self.workers.is_empty().then(|| Next::End(self.end()));
        }
        if !self.accepting {
            return None;
        }
        let serves = |worker: &Worker| !worker.leaving && worker.generation == self.current.number;
        if !self.workers.iter().any(serves) && self.backoff.is_over(now) {
            return Some(Next::Fork(Which::Current));
        }
        if self.reload && self.coming.is_none() && self.started {
            self.reload = false;
            self.coming = self.read_anew(read);
            return self.coming.is_some().then_some(Next::Fork(Which::Coming));
        }
        None
    }

    fn generation(&self, which: Which) -> Option<&Generation> {
        match which {
            Which::Current => Some(&self.current),
            Which::Coming => self.coming.as_ref(),
        }
    }

    fn into_generation(self, which: Which) -> Option<Generation> {
        match which {
            Which::Current => Some(self.current),
            Which::Coming => self.coming,
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Some(successor) = self.successor {
            notify::succeeded_by(successor);
        }
        remove(self.pid_file.as_ref(), &self.log);
        self.say("exit");
        Ok(())
    }
}
