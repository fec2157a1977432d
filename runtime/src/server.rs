//! The process that serves: it opens listeners and logs, starts its threads, and brings them to an end.
//!
//! Each thread has its own runtime, its own sockets and its own sessions; nothing is handed from one to another. Of every
//! port each thread has a socket of its own, in a `SO_REUSEPORT` group. `benches/accept.rs` says why: on one shared
//! socket every connection wakes every idle thread (with 8 threads, 2.5 times the scheduling for each connection and a
//! tenth more CPU), and the thread that is quickest keeps more than its share of what stays open (of 100 sessions on two
//! threads 1.6 times a fair share, against 1.08). The price: connections that wait in a socket's queue are lost if that
//! socket is closed, so a later generation takes over all of them, and a thread may serve several: see [`Sockets`].
//!
//! An address beside the wildcard of its port has no socket, as in nginx: Linux would not bind it. The wildcard's accepts
//! for it, and the local address of the connection tells which `server {}` is meant.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, PipeReader};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use gatepost_core::report::Level;
use gatepost_core::{Peers, Policy, Protocol, Scheme, Target};
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::sync::watch;

use crate::config::{Affinity, Config, Listener, Pid, unspecified};
use crate::limit_conn::{self, Zones};
use crate::net::{Socket, wall_clock};
use crate::observe::{AccessLog, DebugLines, Log, LogFiles};
use crate::pid_file;
use crate::resolve;
use crate::tls;
use crate::upstream::Upstreams;
use crate::users::Users;

mod accept;
mod listen;
mod lot;
mod names;
mod room;
mod socket_file;
mod sockets;
mod tune;
mod worker;

pub use listen::BindError;
pub(crate) use listen::has_multipath;
use listen::{Bound, Names};
use room::Room;
use socket_file::Made;
use sockets::Held;
pub(crate) use sockets::Origin;
pub use sockets::Sockets;
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
    /// A `limit_conn_zone` cannot be had.
    #[error(transparent)]
    Zone(#[from] limit_conn::Error),
    /// A thread or its runtime could not be made.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// A thread panicked outside of a session; the others have been stopped.
    #[error("{0} of the threads panicked")]
    Panicked(usize),
}

/// Opens the logs and the pid file of `config` and tries its listeners, and lets go of them again: what `-t` does beyond reading.
///
/// # Errors
///
/// The first of them that cannot be opened; a port that somebody holds does not count.
pub fn try_out(config: &Config) -> Result<(), Error> {
    let mut files = LogFiles::new(wall_clock, TimeZone::UTC);
    files.log(&config.logs).map_err(Error::Log)?;
    Zones::new(&config.zones, &Zones::default())?;
    let wildcards = wildcards(config);
    let mut names = Names::default();
    for server in &config.servers {
        files.log(&server.logs).map_err(Error::Log)?;
        files.access_logs(&server.access_logs).map_err(Error::Log)?;
        for listener in &server.listeners {
            let tried = match behind(&wildcards, listener) {
                Some(_) => Ok(()),
                None => listen::try_out(listener),
            };
            names.note(listener, tried)?;
        }
    }
    names.missing()?;
    if let Pid::File(file) = &config.pid {
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
pub(crate) struct Shared {
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
    /// Places for clients.
    room: Arc<Room>,
    /// Where they are counted by who they are.
    zones: Arc<Zones>,
    /// `worker_shutdown_timeout`.
    shutdown_timeout: Option<Duration>,
    /// `worker_cpu_affinity`.
    affinity: Affinity,
    /// `debug_connection`.
    debugged: Vec<Peers>,
}

impl Shared {
    /// The main `error_log`.
    pub(crate) fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// How many descriptors it takes to serve as many clients as `worker_connections` says.
    pub(crate) fn descriptors_wanted(&self) -> usize {
        self.room.descriptors_wanted()
    }

    /// Where sessions are counted.
    pub(crate) const fn zones(&self) -> &Arc<Zones> {
        &self.zones
    }

    /// The files of every log.
    pub(crate) const fn files(&self) -> &LogFiles {
        &self.files
    }

    /// The door that was meant by whoever came to `local`, having been accepted by the wildcard socket of `door`.
    fn door_at(&self, local: SocketAddr, door: usize) -> usize {
        self.behind_wildcards.get(&(local.ip(), local.port())).copied().unwrap_or(door)
    }
}

/// The wildcards that `config` listens on.
fn wildcards(config: &Config) -> BTreeSet<SocketAddr> {
    let all = config.servers.iter().flat_map(|server| &server.listeners);
    let all = all.filter_map(|listener| listener.address.inet());
    all.filter(|address| address.ip().is_unspecified()).collect()
}

/// The listener's address, if one of `wildcards` accepts for it.
fn behind(wildcards: &BTreeSet<SocketAddr>, listener: &Listener) -> Option<SocketAddr> {
    let address = listener.address.inet()?;
    let is_behind = !address.ip().is_unspecified() && wildcards.contains(&unspecified(address));
    is_behind.then_some(address)
}

/// How many connections to auth servers may wait in each thread for the next question: in each pool so many for each server.
fn waiting_for_auth(doors: &[Door]) -> usize {
    let mut pools = BTreeMap::<Kept, Vec<(&Target, &Scheme)>>::new();
    for (kept, auth) in doors.iter().filter_map(|door| door.kept().zip(door.policy.auth.as_ref())) {
        let counted = pools.entry(kept).or_default();
        for url in &auth.urls {
            if !counted.contains(&(&url.target, &url.scheme)) {
                counted.push((&url.target, &url.scheme));
            }
        }
    }
    let most = |(kept, targets): (Kept, Vec<(&Target, &Scheme)>)| {
        let servers = targets.iter().map(|(target, _)| target.servers()).sum::<usize>();
        kept.most.saturating_mul(servers)
    };
    pools.into_iter().map(most).fold(0, usize::saturating_add)
}

/// What the doors that share a pool have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// `auth_http_keepalive`; at least 1.
    most: usize,
    /// Where the settings are by which they speak TLS. Doors of one configuration that say the same have the same.
    tls: Option<*const rustls::ClientConfig>,
}

/// What a client finds behind a listener.
#[derive(Debug)]
struct Door {
    text: Arc<str>,
    proxy_protocol: bool,
    tls_first: bool,
    /// Whether a silent client is asked if it is still there.
    keepalive: bool,
    policy: Arc<Policy>,
    tls: Option<tls::Acceptor>,
    backend_tls: Option<Arc<rustls::ClientConfig>>,
    auth_tls: Option<Arc<rustls::ClientConfig>>,
    upstreams: Arc<Upstreams>,
    auth_upstreams: Arc<Upstreams>,
    users: Option<Arc<Users>>,
    resolver: Option<resolve::Settings>,
    log: Arc<Log>,
    access_logs: Arc<[AccessLog]>,
}

impl Door {
    /// What its pool is for, if it wants one.
    fn kept(&self) -> Option<Kept> {
        let most = self.policy.auth.as_ref()?.keepalive;
        let tls = self.auth_tls.as_ref().map(Arc::as_ptr);
        (most > 0).then_some(Kept { most, tls })
    }

    /// Says in the clear that there is no room, where that can be understood; it is a farewell like any other (decision
    /// 4), but there is nobody who would see it off: what the socket does not take at once is not said.
    fn turn_away(&self, stream: &Socket) {
        let host = &self.policy.server_name;
        let text = match self.policy.protocol {
            _ if self.tls_first || self.proxy_protocol => return,
            Protocol::Imap => "* BYE Too many connections\r\n".to_owned(),
            Protocol::Pop3 => "-ERR too many connections\r\n".to_owned(),
            Protocol::Smtp => format!("421 4.3.2 {host} Too many connections\r\n"),
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let _ = stream.descriptor().map(|stream| rustix::net::send(stream, text.as_bytes(), flags));
    }
}

impl Shared {
    /// Lets the calling thread run where `worker_cpu_affinity` says, if it says so. Returns where it could run before that.
    fn settle(&self, index: usize) -> Option<CpuSet> {
        let available = sched_getaffinity(None);
        let settled = available.and_then(|available| {
            self.affinity.of_thread(index, &available).map_or(Ok(()), |cpus| sched_setaffinity(None, &cpus))
        });
        if let Err(error) = settled {
            self.log.system(Level::Alert, "sched_setaffinity()", &error.into(), "");
        }
        available.ok()
    }
}

impl Server {
    /// Opens every log and binds every listener of `config`.
    ///
    /// # Errors
    ///
    /// The first log or listener that cannot be opened, in nginx's words.
    pub fn bind(config: &Config) -> Result<Self, Error> {
        Self::bind_beside(config, &Sockets::default(), &Zones::default())
    }

    /// The same beside a server that holds `held`: an address that both listen on keeps its sockets, with the connections
    /// that wait there. What both count in `zones` is counted together.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`]. Nothing that is held has changed then, and no file of a socket is left behind.
    pub fn bind_beside(config: &Config, held: &Sockets, zones: &Zones) -> Result<Self, Error> {
        let zones = Arc::new(Zones::new(&config.zones, zones)?);
        let mut files = LogFiles::new(wall_clock, config.process.time_zone());
        let log = files.log(&config.logs).map_err(Error::Log)?;
        let (mut bound, mut doors, mut behind_wildcards) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (wildcards, mut names) = (wildcards(config), Names::default());
        let mut made = Vec::new();
        for server in &config.servers {
            let server_log = files.log(&server.logs).map_err(Error::Log)?;
            let access_logs = files.access_logs(&server.access_logs).map_err(Error::Log)?;
            for listener in &server.listeners {
                let opened = match behind(&wildcards, listener) {
                    Some(address) => {
                        behind_wildcards.insert((address.ip(), address.port()), doors.len());
                        Ok(None)
                    }
                    None => {
                        let held = held.at(&listener.address);
                        let sockets = held.map_or(&[][..], |held| &held.sockets);
                        let opened = Bound::open(listener, config.worker_processes, sockets);
                        opened.map(|mut opened| {
                            made.push(Made::from(opened.file.clone()));
                            opened.file = opened.file.or_else(|| held?.file.clone());
                            Some(opened)
                        })
                    }
                };
                let opened = names.note(listener, opened)?.flatten();
                for ignored in opened.iter().flat_map(|opened: &Bound| &opened.ignored) {
                    log.line(Level::Alert, None, ignored);
                }
                bound.extend(opened.map(|opened| (doors.len(), opened)));
                doors.push(Door {
                    text: listener.text.clone(),
                    proxy_protocol: listener.proxy_protocol,
                    tls_first: listener.tls_first,
                    keepalive: listener.keepalive.is_some(),
                    policy: server.policy.clone(),
                    tls: server.tls.clone(),
                    backend_tls: server.backend_tls.clone(),
                    auth_tls: server.auth_tls.clone(),
                    upstreams: server.upstreams.clone(),
                    auth_upstreams: server.auth_upstreams.clone(),
                    users: server.users.clone(),
                    resolver: server.resolver.clone(),
                    log: server_log.clone(),
                    access_logs: access_logs.clone(),
                });
            }
        }
        for (name, error) in names.missing()? {
            log.line(Level::Warn, None, format_args!("{error}, \"{name}\" is served at its other addresses"));
        }
        bound.iter_mut().try_for_each(|(_, bound): &mut (_, Bound)| bound.join())?;
        made.into_iter().for_each(|made| drop(made.keep()));
        let process = &config.process;
        let sockets: usize = bound.iter().map(|(_, bound): &(_, Bound)| bound.sockets.len()).sum();
        let room =
            Room::new(process.connections, config.worker_processes.get(), sockets + zones.descriptors());
        let room = Arc::new(room.beside(waiting_for_auth(&doors)));
        let shared = Arc::new(Shared {
            doors,
            behind_wildcards,
            log,
            files,
            numbers: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            room,
            zones,
            shutdown_timeout: process.shutdown_timeout,
            affinity: process.affinity.clone(),
            debugged: process.debugged.clone(),
        });
        Ok(Self { bound, threads: config.worker_processes, shared })
    }

    /// Where its TCP sockets listen, in the order of the configuration; port 0 has become the one that was chosen. Addresses
    /// for which a wildcard's socket accepts are not among them.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().filter_map(|(_, bound)| bound.address.inet()).collect()
    }

    /// Its sockets, to be handed on to its successor.
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        let held = |bound: &Bound| Held { sockets: bound.sockets.clone(), file: bound.file.clone() };
        self.bound.iter().map(|(_, bound)| (bound.address.clone(), held(bound))).collect()
    }

    /// Closes its sockets, as far as nobody else has them.
    pub(crate) fn close(&mut self) {
        self.bound.clear();
    }

    /// What its threads will look at.
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Starts the threads; ready when each of them accepts.
    ///
    /// # Errors
    ///
    /// A thread or its runtime could not be made; those that were are stopped again.
    pub fn start(self) -> Result<Running, Error> {
        if let Some(limit) = getrlimit(Resource::Nofile).current {
            self.shared.room.set_descriptors(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let (stage, seen) = watch::channel(Stage::Serving);
        let (alive, held) = io::pipe().map_err(Error::Start)?;
        let held = Arc::new(held);
        let control = Control(Arc::new(stage));
        let mut running = Running { threads: Vec::new(), control, alive, shared: self.shared.clone() };
        let mut shares: Vec<Vec<_>> = (0..self.threads.get()).map(|_| Vec::new()).collect();
        for (door, bound) in self.bound {
            let address = bound.address.clone();
            for (share, sockets) in shares.iter_mut().zip(bound.shares(self.threads).map_err(Error::Start)?) {
                share.extend(sockets.into_iter().map(|socket| (door, address.clone(), socket)));
            }
        }
        for (index, sockets) in shares.into_iter().enumerate() {
            let alarm = Alarm::of(&running.control);
            let worker = Worker::new(sockets, self.shared.clone(), seen.clone(), held.clone(), alarm);
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
    pub(crate) fn install_debug_lines(&self) {
        use tracing_subscriber::layer::SubscriberExt;
        let by_listener: BTreeMap<_, _> =
            self.shared.doors.iter().map(|door| (door.text.to_string(), door.log.clone())).collect();
        let lines = DebugLines::new(by_listener, self.shared.log.clone());
        let lines = lines.in_full_for(self.shared.debugged.clone());
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
    /// Nor could it be: a thread has panicked.
    Failed,
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
}

/// Threads that serve. Where neither this nor a [`Control`] is left, they stop.
#[derive(Debug)]
pub struct Running {
    threads: Vec<thread::JoinHandle<()>>,
    control: Control,
    /// The threads hold the other end: it ends with the last of them.
    alive: PipeReader,
    shared: Arc<Shared>,
}

impl Running {
    /// What ends it.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// What can be waited on for the end of every thread.
    pub(crate) const fn alive(&self) -> &PipeReader {
        &self.alive
    }

    /// Whether every thread has ended, or is about to.
    pub(crate) fn has_ended(&self) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.alive, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
    }

    /// Whether it has ended because a thread panicked.
    pub(crate) fn has_failed(&self) -> bool {
        *self.control.0.borrow() == Stage::Failed && self.has_ended()
    }

    /// What its threads look at.
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// Waits for the end of every thread. What those that panicked have said is in the log then.
    ///
    /// # Errors
    ///
    /// A thread panicked outside of a session, where it is not caught. The others have stopped then, for a process that no longer
    /// accepts as it should had better be started anew.
    pub fn join(self) -> Result<(), Error> {
        let panics = self.threads.into_iter().filter_map(|thread| thread.join().err());
        let tell = |panic: &Box<dyn Any + Send>| {
            let words = worker::last_words(&**panic);
            self.shared.log.line(Level::Alert, None, format_args!("a thread panicked: {words}"));
        };
        match panics.inspect(tell).count() {
            0 => Ok(()),
            panicked => Err(Error::Panicked(panicked)),
        }
    }
}

/// Stops every thread when the one that holds it panics. Its sockets would have nobody who accepts from them, and clients that the kernel
/// sends there would wait in vain for as long as the others have sessions.
#[derive(Debug)]
struct Alarm(Weak<watch::Sender<Stage>>);

impl Alarm {
    /// Keeps nothing from ending that `control` is the last to hold up.
    fn of(control: &Control) -> Self {
        Self(Arc::downgrade(&control.0))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(stage) = self.0.upgrade().filter(|_| thread::panicking()) {
            Control(stage).reach(Stage::Failed);
        }
    }
}

#[cfg(test)]
mod tests;
