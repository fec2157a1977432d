//! The processes: a master that has every right and talks to nobody, and a worker that talks to everybody and has no right.
//!
//! ```text
//!                                .--> worker 7   limits, user, sandbox; then threads: serves what is new
//! operator --- signals ---> master
//!                                '--> worker 4   of the configuration before: lets its sessions end
//! ```
//!
//! The master reads the configuration and the keys it names, opens listeners and logs, writes the pid file, and forks. It
//! has one thread and no runtime, ever. A worker is a copy of it that gives up its rights, starts its threads, and serves
//! until it is told to end.
//!
//! Why a fork and not the program started anew with its sockets passed on: everything a worker needs is in the master's
//! memory already, in the form in which it is used. Keys that only root can read are read once, by root, and neither go
//! through a pipe nor to a disk. A worker that died is replaced by one with the very same configuration, whatever has
//! become of the files meanwhile. What would speak against it, locks and random states copied half-way, takes other
//! threads, of which there are none (`raw.rs` makes sure); the random generator notices a fork by itself.
//!
//! On HUP everything is read again. A configuration that is refused, cannot be opened, or whose worker does not come to
//! serve, changes nothing. Only once the new worker accepts is the old one told to stop accepting: there is always somebody
//! at the door. Which sockets are behind it is told in `server/sockets.rs`.

use std::io;

use gatepost_core::report::Level;
use rustix::process::{getpid, getppid};

use crate::config::{Config, Diagnostic, Loaded, Pid, Severity};
use crate::limit_conn::Zones;
use crate::observe::Log;
use crate::pid_file::{self, PidFile};
use crate::server::{self, Server, Shared};

mod channel;
mod daemon;
mod handover;
mod master;
mod notify;
mod privileges;
mod raw;
mod sandbox;
mod signals;
mod single;
mod worker;

use self::daemon::Waiting;
pub use self::handover::Inherited;
use self::signals::Signals;

/// Reads the configuration anew, for a reload.
pub type Reader<'a> = dyn Fn() -> Result<Loaded, Vec<Diagnostic>> + 'a;

/// Why the process ends although nobody told it to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Listeners, logs or threads.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The pid file could not be opened or written.
    #[error(transparent)]
    PidFile(#[from] pid_file::Error),
    /// The system would not do something.
    #[error("{call} failed: {source}")]
    System {
        /// What it would not do.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The first worker ended before it served. It has said why.
    #[error("the worker process could not start")]
    Worker,
    /// The process in the background ended before it served. It has said why.
    #[error("the process in the background could not start")]
    Background,
}

fn failed(call: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::System { call, source }
}

/// Serves `config`, as a master with a worker or as one process, in the background or where it was started, until a
/// signal ends it. `inherited` is what this process was started with, and `read` reads the configuration anew.
///
/// To be called in a process that has one thread.
///
/// # Errors
///
/// See [`Error`]. Whoever started a process for the background has the error of that process, too.
pub fn run(config: Config, inherited: Inherited, read: &Reader<'_>) -> Result<(), Error> {
    let Inherited { sockets, from_predecessor } = inherited;
    let server = Server::bind_beside(&config, &sockets, &Zones::default())?;
    let made = server.sockets().files_beside(&sockets);
    // Those that are not listened on any more are closed, as on a reload.
    drop(sockets);
    let ended = serve(config, server, from_predecessor, read);
    if ended.is_err() {
        // The next to be started is not to find them in its way.
        made.remove();
    }
    ended
}

/// The rest of [`run`], once everything is open.
fn serve(config: Config, server: Server, from_predecessor: bool, read: &Reader<'_>) -> Result<(), Error> {
    let pid_file = pid_file(&config);
    if let Some(file) = &pid_file {
        let predecessor = from_predecessor.then(getppid).flatten();
        file.must_be_free(getpid(), predecessor)?;
    }
    // A binary that replaces another is in the background, or not, as that was.
    let waiting = match config.process.daemon && !from_predecessor {
        true => match daemon::detach(server.shared().log()).map_err(failed("daemon()"))? {
            daemon::Side::Foreground(outcome) => return outcome,
            daemon::Side::Background(waiting) => Some(waiting),
        },
        false => None,
    };
    // Before anybody is served: a signal that comes meanwhile must not cut sessions.
    let signals = Signals::take().map_err(failed("signalfd()"))?;
    if let Some(file) = &pid_file {
        file.write(getpid())?;
    }
    let log = server.shared().log().clone();
    log.line(Level::Notice, None, format_args!("gatepost/{}", env!("CARGO_PKG_VERSION")));
    let start = Start { config, server, signals, waiting, pid_file, predecessor: from_predecessor };
    match start.config.process.master {
        true => master::run(start, read),
        false => single::run(start, read),
    }
}

/// What there is once everything is open.
struct Start {
    config: Config,
    server: Server,
    signals: Signals,
    /// Whoever waits for this process to serve.
    waiting: Option<Waiting>,
    pid_file: Option<PidFile>,
    /// Whether this process replaces another that still runs.
    predecessor: bool,
}

/// The file for the number of this process, if there is to be one. In the foreground it has to be asked for.
fn pid_file(config: &Config) -> Option<PidFile> {
    match &config.pid {
        Pid::File(file) => Some(file.clone()),
        Pid::Unsaid if config.process.daemon => Some(PidFile::new(pid_file::DEFAULT)),
        Pid::Unsaid | Pid::Off => None,
    }
}

/// Removes the pid file at the end, if it is still that of this process.
fn remove(pid_file: Option<&PidFile>, log: &Log) {
    if let Some(Err(error)) = pid_file.map(|file| file.remove_of(getpid())) {
        log.line(Level::Alert, None, error);
    }
}

/// Opens the logs anew, and says which could not be.
fn reopen(shared: &Shared) {
    for error in shared.files().reopen() {
        shared.log().line(Level::Emerg, None, error);
    }
}

/// Says in the log what there is to say about a configuration: nginx's line of it.
fn tell(told: &[Diagnostic], log: &Log) {
    for each in told {
        let level = match each.severity {
            Severity::Warn => Level::Warn,
            Severity::Emerg => Level::Emerg,
        };
        log.line(level, None, each.message());
    }
}
