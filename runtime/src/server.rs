//! The process that serves: it opens listeners and logs, starts its threads, and brings them to an end.
//!
//! Each thread has its own runtime, its own sockets and its own sessions; nothing is handed from one to another. Of every
//! port each thread has a socket of its own, in a `SO_REUSEPORT` group. `benches/accept.rs` says why: on one shared
//! socket every connection wakes every idle thread (with 8 threads, 2.5 times the scheduling for each connection and a
//! tenth more CPU), and the thread that is quickest keeps more than its share of what stays open (of 100 sessions on two
//! threads 1.6 times a fair share, against 1.08). The price: connections that wait in a socket's queue are lost if that
//! socket is closed, so a later generation takes over all of them, and a thread may serve several.
//!
//! An address beside the wildcard of its port has no socket, as in nginx: Linux would not bind it. The wildcard's accepts
//! for it, and the local address of the connection tells which `server {}` is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use gatepost_core::Policy;
use gatepost_core::report::Level;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use crate::config::{Config, Pid, unspecified};
use crate::net::wall_clock;
use crate::observe::{DebugLines, Log, LogFiles};
use crate::pid_file::{self, PidFile};
use crate::resolve;
use crate::tls;
use crate::upstream::Upstreams;

mod accept;
mod listen;
mod signals;
mod worker;

pub use listen::BindError;
use listen::Bound;
use signals::Signals;
use worker::Worker;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A log could not be opened. The text says which.
    #[error(transparent)]
    Log(io::Error),
    /// The pid file could not be opened or written.
    #[error(transparent)]
    PidFile(#[from] pid_file::Error),
    /// A thread, its runtime or the signal handlers could not be set up.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// A thread panicked outside of a session; the others have let their sessions end.
    #[error("{0} of the threads panicked")]
    Panicked(usize),
}

/// Serves `config` until a signal ends it: TERM and INT say goodbye to every session and cut what is not gone within
/// a moment, QUIT stops accepting and lets sessions end by themselves. USR1 opens the logs anew.
///
/// No thread and no runtime exists before listeners are bound and logs are open.
///
/// # Errors
///
/// What keeps it from starting, and a thread that panicked. See [`Error`].
pub fn run(config: &Config) -> Result<(), Error> {
    let server = Server::bind(config)?;
    server.install_debug_lines();
    let shared = server.shared.clone();
    // Before anybody is served: a signal that comes meanwhile must not cut sessions.
    let signals = Signals::take().map_err(Error::Start)?;
    let pid_file = pid_file(config);
    if let Some(file) = pid_file {
        file.write(rustix::process::getpid())?;
    }
    let ended = serve(server, signals);
    if let Some(Err(error)) = pid_file.map(PidFile::remove) {
        shared.log.line(Level::Alert, None, error);
    }
    ended
}

fn serve(server: Server, signals: Signals) -> Result<(), Error> {
    let shared = server.shared.clone();
    let running = server.start()?;
    shared.log.line(Level::Notice, None, format_args!("start {} threads", running.threads.len()));
    signals.follow(&running.control, &shared.log, &shared.files);
    let ended = running.join();
    shared.log.line(Level::Notice, None, "exit");
    ended
}

/// Where the number of this process is to be written, if anywhere.
fn pid_file(config: &Config) -> Option<&PidFile> {
    match &config.pid {
        Pid::File(file) => Some(file),
        Pid::Unsaid | Pid::Off => None,
    }
}

/// Opens the logs and the pid file of `config` and tries its listeners, and lets go of them again: what `-t` does beyond reading.
///
/// # Errors
///
/// The first of them that cannot be opened; a port that somebody holds does not count.
pub fn try_out(config: &Config) -> Result<(), Error> {
    let mut files = LogFiles::new(wall_clock, TimeZone::UTC);
    files.log(&config.logs).map_err(Error::Log)?;
    let wildcards = wildcards(config);
    for server in &config.servers {
        files.log(&server.logs).map_err(Error::Log)?;
        let mut bound = server.listeners.iter().filter(|listener| !is_behind(&wildcards, listener.address));
        bound.try_for_each(listen::try_out)?;
    }
    if let Some(file) = pid_file(config) {
        file.try_open()?;
    }
    Ok(())
}

/// Open listeners and logs, and what is to be served there. Nothing is accepted yet.
#[derive(Debug)]
pub struct Server {
    /// Sockets, each with its door.
    bound: Vec<(usize, Bound)>,
    threads: NonZeroUsize,
    shared: Arc<Shared>,
}

/// What all threads look at. A reload makes a new one.
#[derive(Debug)]
struct Shared {
    /// What stands behind each listener, in the order of the configuration.
    doors: Vec<Door>,
    /// Doors without a socket, by their addresses: see [`Shared::door_at`].
    behind_wildcards: BTreeMap<(IpAddr, u16), usize>,
    /// The main `error_log`.
    log: Arc<Log>,
    /// The files of every log.
    files: LogFiles,
    /// The number of the connection that came last.
    numbers: AtomicU64,
    /// Sessions that panicked.
    panics: AtomicU64,
}

impl Shared {
    /// The door that was meant by whoever came to `local`, having been accepted by the wildcard socket of `door`.
    fn door_at(&self, local: SocketAddr, door: usize) -> usize {
        self.behind_wildcards.get(&(local.ip(), local.port())).copied().unwrap_or(door)
    }
}

/// The wildcards that `config` listens on.
fn wildcards(config: &Config) -> BTreeSet<SocketAddr> {
    let all = config.servers.iter().flat_map(|server| &server.listeners).map(|listener| listener.address);
    all.filter(|address| address.ip().is_unspecified()).collect()
}

/// Whether one of `wildcards` accepts for this address.
fn is_behind(wildcards: &BTreeSet<SocketAddr>, address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && wildcards.contains(&unspecified(address))
}

/// What a client finds behind a listener.
#[derive(Debug)]
struct Door {
    text: Arc<str>,
    proxy_protocol: bool,
    tls_first: bool,
    policy: Arc<Policy>,
    tls: Option<tls::Acceptor>,
    backend_tls: Option<Arc<rustls::ClientConfig>>,
    upstreams: Arc<Upstreams>,
    auth_upstreams: Arc<Upstreams>,
    resolver: Option<resolve::Settings>,
    log: Arc<Log>,
}

impl Server {
    /// Opens every log and binds every listener of `config`.
    ///
    /// # Errors
    ///
    /// The first log or listener that cannot be opened, in nginx's words.
    pub fn bind(config: &Config) -> Result<Self, Error> {
        let mut files = LogFiles::new(wall_clock, TimeZone::system());
        let log = files.log(&config.logs).map_err(Error::Log)?;
        let (mut bound, mut doors, mut behind_wildcards) = (Vec::new(), Vec::new(), BTreeMap::new());
        let wildcards = wildcards(config);
        for server in &config.servers {
            let server_log = files.log(&server.logs).map_err(Error::Log)?;
            for listener in &server.listeners {
                let address = listener.address;
                if is_behind(&wildcards, address) {
                    behind_wildcards.insert((address.ip(), address.port()), doors.len());
                } else {
                    bound.push((doors.len(), Bound::open(listener, config.worker_processes)?));
                }
                doors.push(Door {
                    text: listener.text.clone(),
                    proxy_protocol: listener.proxy_protocol,
                    tls_first: listener.tls_first,
                    policy: server.policy.clone(),
                    tls: server.tls.clone(),
                    backend_tls: server.backend_tls.clone(),
                    upstreams: server.upstreams.clone(),
                    auth_upstreams: server.auth_upstreams.clone(),
                    resolver: server.resolver.clone(),
                    log: server_log.clone(),
                });
            }
        }
        let shared = Arc::new(Shared {
            doors,
            behind_wildcards,
            log,
            files,
            numbers: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        });
        Ok(Self { bound, threads: config.worker_processes, shared })
    }

    /// Where its sockets listen, in the order of the configuration; port 0 has become the one that was chosen. Addresses
    /// for which a wildcard's socket accepts are not among them.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|(_, bound)| bound.address).collect()
    }

    /// Starts the threads; ready when each of them accepts.
    ///
    /// # Errors
    ///
    /// A thread or its runtime could not be made; those that were are stopped again.
    pub fn start(self) -> Result<Running, Error> {
        let (stage, seen) = watch::channel(Stage::Serving);
        let mut running = Running { threads: Vec::new(), control: Control(Arc::new(stage)) };
        let mut shares: Vec<Vec<_>> = (0..self.threads.get()).map(|_| Vec::new()).collect();
        for (door, bound) in self.bound {
            for (socket, share) in bound.sockets.into_iter().zip(&mut shares) {
                share.push((door, bound.address, socket));
            }
        }
        for (index, sockets) in shares.into_iter().enumerate() {
            let worker = Worker::new(sockets, self.shared.clone(), seen.clone());
            match worker.start(index) {
                Ok(thread) => running.threads.push(thread),
                Err(error) => {
                    running.control.stop();
                    running.join()?;
                    return Err(Error::Start(error));
                }
            }
        }
        Ok(running)
    }

    /// Serves until somebody holding [`Running::control`] ends it; for this call, nobody.
    ///
    /// # Errors
    ///
    /// As [`Server::start`] and [`Running::join`].
    pub fn run(self) -> Result<(), Error> {
        self.start()?.join()
    }

    /// Shows the driver's traces in the logs that say `debug`. Once in a process; later calls change nothing.
    fn install_debug_lines(&self) {
        use tracing_subscriber::layer::SubscriberExt;
        let by_listener: BTreeMap<_, _> =
            self.shared.doors.iter().map(|door| (door.text.to_string(), door.log.clone())).collect();
        let lines = DebugLines::new(by_listener, self.shared.log.clone());
        if lines.is_wanted() {
            let subscriber = tracing_subscriber::registry().with(lines);
            // Whoever came first wins.
            let _ = tracing::subscriber::set_global_default(subscriber);
        }
    }
}

/// How far a process is on its way to the end. It only goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    /// Nothing more is accepted.
    Quitting,
    /// Nor is anything carried on.
    Stopping,
}

/// Ends a running server, from any thread.
#[derive(Clone, Debug)]
pub struct Control(Arc<watch::Sender<Stage>>);

impl Control {
    /// Stops accepting; sessions end by themselves.
    pub fn quit(&self) {
        self.reach(Stage::Quitting);
    }

    /// Says goodbye to every session and cuts what is not gone within a moment.
    pub fn stop(&self) {
        self.reach(Stage::Stopping);
    }

    fn reach(&self, stage: Stage) {
        self.0.send_if_modified(|now| {
            let further = stage > *now;
            *now = stage.max(*now);
            further
        });
    }

    /// Waits until every thread has ended.
    async fn ended(&self) {
        self.0.closed().await;
    }
}

/// Threads that serve. Where neither this nor a [`Control`] is left, they stop.
#[derive(Debug)]
pub struct Running {
    threads: Vec<thread::JoinHandle<()>>,
    control: Control,
}

impl Running {
    /// What ends it.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits for the end of every thread.
    ///
    /// # Errors
    ///
    /// A thread panicked outside of a session, where it is not caught. The others then let their sessions end, for a
    /// process that no longer accepts as it should had better be started anew.
    pub fn join(self) -> Result<(), Error> {
        let mut panicked = 0;
        for thread in self.threads {
            if thread.join().is_err() {
                panicked += 1;
                self.control.quit();
            }
        }
        match panicked {
            0 => Ok(()),
            _ => Err(Error::Panicked(panicked)),
        }
    }
}

#[cfg(test)]
mod tests;
