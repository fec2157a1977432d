//! The master: it looks after workers, and does what signals ask.
//!
//! What it wants to be true is written down in its fields (`reload`, `accepting`, `stage`), and [`Master::due`] finds the
//! next thing to do about it. The loop that owns the master does the forking, so that the new process can take the
//! master apart and keep nothing but what a worker needs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::report::Level;
use nix::sys::signal::Signal;
use rustix::process::{Pid, WaitOptions, WaitStatus, getppid, kill_process, wait};

mod backoff;
mod generation;
mod wait;

use self::backoff::Backoff;
use self::generation::Generation;
use super::channel::{ToWorker, channel};
use super::daemon::Waiting;
use super::handover::Program;
use super::raw::{self, Forked};
use super::signals::{Received, Signals};
use super::{Error, Reader, Start, notify, pid_file, remove, reopen, tell, worker};
use crate::net::even_clock;
use crate::observe::Log;
use crate::pid_file::PidFile;
use crate::server::{Server, Shared, Sockets};

/// How long a worker may take from its first breath to serving, before the master gives up on it. What can take long is
/// to look up the groups of its user.
const START_MAX: Duration = Duration::from_secs(60);

/// How long workers that are to stop at once may take for it: a moment more than they give their sessions.
const STOP_MAX: Duration = Duration::from_secs(4);

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
                master.unborn(which, "socketpair()", &error);
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
            Err(error) => master.unborn(which, "fork()", &error),
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

/// A worker process.
struct Worker {
    process: Pid,
    /// Of which configuration.
    generation: u64,
    /// Its logs, to be opened anew.
    shared: Arc<Shared>,
    born: Duration,
    channel: ToWorker,
    /// Whether it has said that it serves.
    serves: bool,
    /// Whether it has been told to end.
    leaving: bool,
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

    /// The next thing to do to make true what should be.
    fn due(&mut self, read: &Reader<'_>) -> Option<Next> {
        let now = even_clock();
        if self.patience.is_some_and(|end| now >= end) {
            self.patience = None;
            self.signal_workers(Signal::SIGKILL, |_| true);
        }
        if self.stage > Stage::Serving {
            return self.workers.is_empty().then(|| Next::End(self.end()));
        }
        for late in self.workers.iter().filter(|worker| worker.is_late(now)) {
            signal(late.process, Signal::SIGKILL);
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

    /// Reads the configuration and opens what it names; or says what is wrong with it.
    fn read_anew(&self, read: &Reader<'_>) -> Option<Generation> {
        notify::reloading();
        self.say("reconfiguring");
        let loaded = match read() {
            Ok(loaded) => loaded,
            Err(told) => {
                tell(&told, &self.log);
                notify::ready("serving; the new configuration was refused, see the log");
                return None;
            }
        };
        tell(&loaded.warnings, &self.log);
        match Server::bind_beside(&loaded.config, &self.current.server.sockets()) {
            Ok(server) => Some(Generation { number: self.current.number + 1, config: loaded.config, server }),
            Err(error) => {
                self.log.line(Level::Emerg, None, error);
                notify::ready("serving; the new configuration cannot be served, see the log");
                None
            }
        }
    }

    /// The process that was forked has to be looked after.
    fn born(&mut self, which: Which, process: Pid, channel: ToWorker) {
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
    fn unborn(&mut self, which: Which, call: &str, error: &io::Error) {
        self.log.system(Level::Alert, call, error, " while spawning \"worker process\"");
        match which {
            Which::Current => self.backoff.note(Duration::ZERO, even_clock()),
            Which::Coming => self.abandon(),
        }
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

    /// Looks whether those that should come to serve do.
    fn hear_who_serves(&mut self) {
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

    /// The new configuration is served; the old one may go.
    fn succeed(&mut self, coming: Generation) {
        let number = coming.number;
        self.current.server.sockets().remove_files(&coming.server.sockets());
        self.current = coming;
        self.log = self.current.server.shared().log().clone();
        self.backoff = Backoff::default();
        self.dismiss(|worker| worker.generation != number);
        let wanted = pid_file(&self.current.config);
        // Between binaries names are as they are.
        if wanted != self.pid_file && self.successor.is_none() && self.predecessor.is_none() {
            if let Some(Err(error)) = wanted.as_ref().map(|file| file.write(rustix::process::getpid())) {
                return self.log.line(Level::Alert, None, error);
            }
            remove(self.pid_file.as_ref(), &self.log);
            self.pid_file = wanted;
        }
    }

    /// The new configuration comes to nothing.
    fn abandon(&mut self) {
        self.coming = None;
        self.log.line(Level::Alert, None, "the new configuration is not served: the old one goes on");
        notify::ready("serving; the new configuration could not be served, see the log");
    }

    /// Tells these workers to let their sessions end.
    fn dismiss(&mut self, which: impl Fn(&Worker) -> bool) {
        self.signal_workers(Signal::SIGQUIT, |worker| !worker.leaving && which(worker));
    }

    /// Sends a signal that ends them to these workers.
    fn signal_workers(&mut self, what: Signal, which: impl Fn(&Worker) -> bool) {
        for worker in self.workers.iter_mut().filter(|worker| which(worker)) {
            signal(worker.process, what);
            worker.leaving = true;
        }
    }

    /// Takes note of every process that has ended; tells the end of this one, if that follows.
    fn bury(&mut self) -> Option<Result<(), Error>> {
        while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
            self.tell_death(process, status);
            if self.successor == Some(process) {
                self.successor = None;
                self.keep_name();
                continue;
            }
            let Some(at) = self.workers.iter().position(|worker| worker.process == process) else { continue };
            let worker = self.workers.remove(at);
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

    fn obey(&mut self, received: Received) {
        match received.signal {
            Signal::SIGTERM | Signal::SIGINT => {
                self.say(&received.told(", exiting"));
                self.leave(Stage::Stopping);
            }
            Signal::SIGQUIT => {
                self.say(&received.told(", shutting down"));
                self.leave(Stage::Quitting);
            }
            Signal::SIGHUP => {
                self.say(&received.told(", reconfiguring"));
                // With another binary at work, or after WINCH, this one is wanted back as it was.
                self.reload |= self.accepting;
                self.accepting = true;
            }
            Signal::SIGUSR1 => {
                self.say(&received.told(", reopening logs"));
                self.say("reopening logs");
                self.reopen_logs();
            }
            Signal::SIGUSR2 => self.change_binary(received),
            Signal::SIGWINCH if self.daemon => {
                self.say(&received.told(", stop accepting connections"));
                self.accepting = false;
                self.reload = false;
                self.dismiss(|_| true);
            }
            _ => self.say(&received.told("")),
        }
    }

    /// Ends the workers, and then itself.
    fn leave(&mut self, stage: Stage) {
        if stage <= self.stage {
            return;
        }
        self.stage = stage;
        self.coming = None;
        // The workers have theirs, and close them when nothing waits in them any more. Another binary goes on using the
        // files of UNIX sockets.
        if self.successor.is_none() && !self.has_predecessor() {
            self.current.server.sockets().remove_files(&Sockets::default());
        }
        self.current.server.close();
        match stage {
            Stage::Stopping => {
                notify::stopping("stopping");
                self.signal_workers(Signal::SIGTERM, |_| true);
                self.patience = Some(even_clock() + STOP_MAX);
            }
            _ => {
                notify::stopping("letting sessions end");
                self.dismiss(|_| true);
            }
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

    /// Opens the logs anew and gives them to the workers: also to those that let sessions end, which may have others than
    /// those that serve.
    fn reopen_logs(&self) {
        let mut all = vec![self.current.server.shared()];
        for worker in &self.workers {
            if !all.iter().any(|known| Arc::ptr_eq(known, &worker.shared)) {
                all.push(&worker.shared);
            }
        }
        all.into_iter().for_each(|shared| reopen(shared));
        for worker in &self.workers {
            let given = worker.shared.files().duplicates().and_then(|logs| worker.channel.give(&logs));
            if let Err(error) = given {
                self.log.system(Level::Alert, "sendmsg()", &error, " while reopening logs");
            }
        }
    }

    /// Whether the binary that this one is to replace still runs.
    fn has_predecessor(&self) -> bool {
        self.predecessor.is_some() && self.predecessor == getppid()
    }

    /// Starts the binary that is at its own place now, with the listeners open, under the name of this one.
    fn change_binary(&mut self, received: Received) {
        if self.successor.is_some() || self.has_predecessor() {
            return self.say(
                &received
                    .told(", ignoring: the old or the new binary has to end before another can take over"),
            );
        }
        self.predecessor = None;
        self.say(&received.told(", changing binary"));
        self.say("changing binary");
        let old = self.pid_file.as_ref().map(PidFile::of_old_binary);
        if let (Some(file), Some(old)) = (&self.pid_file, &old)
            && let Err(error) = file.rename_to(old)
        {
            return self.log.line(Level::Alert, None, error);
        }
        let started = self.program.start(&self.current.server.sockets());
        self.pid_file = old;
        match started {
            Ok(process) => {
                self.say(&format!("start new binary process {process}"));
                self.successor = Some(process);
            }
            Err(error) => {
                let call = format!("execve(\"{}\")", self.program.path().display());
                self.log.system(Level::Alert, &call, &error, " while executing new binary process");
                self.keep_name();
            }
        }
    }

    /// The successor has come to nothing: the pid file names this process again.
    fn keep_name(&mut self) {
        let wanted = pid_file(&self.current.config);
        if let (Some(old), Some(file)) = (&self.pid_file, &wanted)
            && old != file
            && let Err(error) = old.rename_to(file)
        {
            return self.log.line(Level::Alert, None, error);
        }
        self.pid_file = wanted;
    }
}

impl Worker {
    /// Whether it should have come to serve by now.
    fn is_late(&self, now: Duration) -> bool {
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
fn signal(process: Pid, what: Signal) {
    let what = match what {
        Signal::SIGQUIT => rustix::process::Signal::QUIT,
        Signal::SIGTERM => rustix::process::Signal::TERM,
        _ => rustix::process::Signal::KILL,
    };
    // Nothing can be wrong but that it is gone.
    let _ = kill_process(process, what);
}
