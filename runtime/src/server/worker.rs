//! One thread: its sockets, its sessions, its end.

use std::any::Any;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::{pending, poll_fn};
use std::io::{self, PipeWriter};
use std::os::fd::BorrowedFd;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use gatepost_core::report::Level;
use gatepost_core::{Address, Client, Peer, Seed};
use pin_project_lite::pin_project;
use rustix::thread::sched_setaffinity;
use tokio::runtime::{Builder, LocalOptions};
use tokio::select;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::accept::{Accepted, Acceptor};
use super::lot::{Lot, Park};
use super::room::Place;
use super::{Alarm, Door, Shared, Stage, names};
use crate::drain::Drain;
use crate::driver::{Arrival, Parked, drive, prepare_thread};
use crate::net::{Kernel, Socket};
use crate::observe::SessionLog;
use crate::pool::Pool;
use crate::resolve::Resolver;

/// How long sessions may take to say goodbye when the process stops.
const GOODBYE: Duration = Duration::from_secs(2);

/// No `worker_shutdown_timeout` is longer than this, lest a moment beyond the end of time be computed.
const PATIENCE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a thread is made of.
#[derive(Debug)]
pub(super) struct Worker {
    sockets: Vec<(usize, Address, socket2::Socket)>,
    shared: Arc<Shared>,
    stage: watch::Receiver<Stage>,
    /// Kept until the thread ends.
    held: Arc<PipeWriter>,
    alarm: Alarm,
}

impl Worker {
    /// Serves these sockets, each with its door and its address. `held` is let go at the end, and `alarm` raised if that is a panic.
    pub(super) fn new(
        sockets: Vec<(usize, Address, socket2::Socket)>,
        shared: Arc<Shared>,
        stage: watch::Receiver<Stage>,
        held: Arc<PipeWriter>,
        alarm: Alarm,
    ) -> Self {
        Self { sockets, shared, stage, held, alarm }
    }

    /// Starts a thread that serves until it is told to end and its sessions have ended. Returns once it accepts.
    ///
    /// # Errors
    ///
    /// The thread or its runtime could not be made: processes or descriptors are short.
    pub(super) fn start(self, index: usize) -> io::Result<thread::JoinHandle<()>> {
        let (ready, made) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name(format!("worker {index}")).spawn(move || {
            let available = self.shared.settle(index);
            // Threads that check passwords or ask the system's resolver are this one's children. To be pinned beside it, they would take
            // its processor from it, while others idle.
            let unpin = move || {
                if let Some(available) = &available {
                    // If it may not, it is slower, and nothing else.
                    let _ = sched_setaffinity(None, available);
                }
            };
            let mut builder = Builder::new_current_thread();
            let runtime =
                builder.enable_io().enable_time().on_thread_start(unpin).build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    prepare_thread();
                    runtime.block_on(self.serve(index, ready));
                    // The system's resolver may still be waited for, by nobody any more.
                    runtime.shutdown_background();
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        match made.recv() {
            Ok(Ok(())) => Ok(thread),
            Ok(Err(error)) => Err(error),
            Err(mpsc::RecvError) => Err(io::Error::other("a thread ended before it served")),
        }
    }

    async fn serve(self, index: usize, ready: mpsc::SyncSender<io::Result<()>>) {
        let Self { sockets, shared, stage, held: _held, alarm: _alarm } = self;
        let mut acceptor = match Acceptor::new(sockets, shared.clone()) {
            Ok(acceptor) => Some(acceptor),
            Err(error) => return drop(ready.send(Err(error))),
        };
        // One of the threads looks up names for all of them.
        let chores = if index == 0 { names::renew(&shared) } else { Ok(JoinSet::new()) };
        let begun = chores.and_then(|mut chores| Ok((Sessions::new(shared, &mut chores)?, chores)));
        let (mut sessions, mut chores) = match begun {
            Ok(begun) => begun,
            Err(error) => return drop(ready.send(Err(error))),
        };
        // Whoever started this thread may be gone, which the stage will tell.
        let _ = ready.send(Ok(()));
        let (mut quitting, mut stopping) = (stage.clone(), stage);
        let (mut patience, mut cut) = (None, None);
        while acceptor.is_some() || !sessions.are_over() {
            select! {
                biased;
                () = reached(&mut stopping, Stage::Stopping), if cut.is_none() => {
                    acceptor = None;
                    chores.abort_all();
                    cut = Some(sessions.say_goodbye());
                }
                () = moment(patience), if cut.is_none() => cut = Some(sessions.say_goodbye()),
                () = reached(&mut quitting, Stage::Quitting), if acceptor.is_some() => {
                    if let Some(acceptor) = acceptor.take() {
                        acceptor.finish(|accepted| sessions.begin(accepted));
                    }
                    chores.abort_all();
                    sessions.close_pools();
                    patience = sessions.shared.shutdown_timeout.map(|timeout| Instant::now() + timeout.min(PATIENCE_MAX));
                }
                () = moment(cut) => return,
                Some(ended) = sessions.running.join_next() => sessions.note(ended),
                parked = poll_fn(|cx| sessions.parked.poll_next(cx)) => sessions.resume(parked),
                // A bug of ours: what this thread does beside its sessions is not done any more, and the process ends.
                Some(ended) = chores.join_next() => if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
                    resume_unwind(panic);
                },
                accepted = next(&mut acceptor) => sessions.begin(accepted),
            }
        }
    }
}

/// Ready when `stage` is at least `wanted`, or nobody is left to say so.
async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    let _ = stage.wait_for(|now| *now >= wanted).await;
}

/// Ready at that moment, if there is one.
async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// The next connection, if any are wanted.
async fn next(acceptor: &mut Option<Acceptor>) -> Accepted {
    match acceptor {
        Some(acceptor) => acceptor.next().await,
        None => pending().await,
    }
}

/// A pool for each door that wants one, the same for those that speak to auth servers alike; and a chore that tends each.
fn pools(doors: &[Door], chores: &mut JoinSet<()>) -> Vec<Option<Pool<Socket>>> {
    let mut made = BTreeMap::new();
    let mut pool = |door: &Door| {
        let kept = door.kept()?;
        let pool = made.entry(kept).or_insert_with(|| {
            let pool = Pool::of_sockets(kept.most, Socket::is_silent);
            chores.spawn_local(pool.clone().tend());
            pool
        });
        Some(pool.clone())
    };
    doors.iter().map(&mut pool).collect()
}

pin_project! {
    /// A session, and the place that it has until it is over. An `async` block would have room for the session twice.
    struct Seated<T> {
        #[pin]
        session: T,
        place: Option<Place>,
    }
}

impl<P, F: Future<Output = Option<P>>> Future for Seated<F> {
    type Output = Option<Seated<P>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let parked = ready!(this.session.poll(cx));
        Poll::Ready(parked.map(|session| Seated { session, place: this.place.take() }))
    }
}

impl Park for Seated<Parked<Socket, SessionLog>> {
    fn sockets(&mut self) -> io::Result<[BorrowedFd<'_>; 2]> {
        let [client, backend] = self.session.sockets().ok_or(io::ErrorKind::NotConnected)?;
        Ok([client.descriptor()?, backend.descriptor()?])
    }

    fn due(&self) -> Instant {
        self.session.due()
    }
}

/// A thread's sessions.
struct Sessions {
    running: JoinSet<Option<Seated<Parked<Socket, SessionLog>>>>,
    /// Those in which nobody says anything.
    parked: Lot<Seated<Parked<Socket, SessionLog>>>,
    /// The network as the sessions of each door see it.
    nets: Vec<Kernel>,
    /// The connections to auth servers that the sessions of each door may use, and leave.
    pools: Vec<Option<Pool<Socket>>>,
    drain: Drain,
    shared: Arc<Shared>,
}

impl Sessions {
    /// None yet. What goes on beside them is added to the `chores`.
    ///
    /// # Errors
    ///
    /// Those of [`Resolver::new`] and [`Lot::new`].
    fn new(shared: Arc<Shared>, chores: &mut JoinSet<()>) -> io::Result<Self> {
        let (net, mut resolvers) = (Kernel::new(), BTreeMap::new());
        let mut nets = Vec::with_capacity(shared.doors.len());
        for door in &shared.doors {
            let net = net.clone().with_keepalive(door.policy.backend.keepalive);
            nets.push(match &door.resolver {
                None => net,
                Some(settings) => {
                    let resolver = match resolvers.entry(settings) {
                        Entry::Occupied(made) => made.into_mut(),
                        Entry::Vacant(place) => place.insert(Resolver::new(settings)?),
                    };
                    net.with_resolver(resolver.clone())
                }
            });
        }
        drop(resolvers);
        let pools = pools(&shared.doors, chores);
        Ok(Self {
            running: JoinSet::new(),
            parked: Lot::new()?,
            nets,
            pools,
            drain: Drain::default(),
            shared,
        })
    }

    /// Hangs up on auth servers that nobody asks anything just now.
    fn close_pools(&self) {
        self.pools.iter().flatten().for_each(Pool::close);
    }

    /// Whether none is left.
    fn are_over(&self) -> bool {
        self.running.is_empty() && self.parked.is_empty()
    }

    /// Ends all of them, each as it may; tells how long that may take.
    fn say_goodbye(&mut self) -> Instant {
        self.drain.ask();
        self.parked.take_all().into_iter().for_each(|parked| self.resume(parked));
        Instant::now() + GOODBYE
    }

    /// Begins a session with whoever came in, if there is room for one more.
    fn begin(&mut self, accepted: Accepted) {
        let Accepted { door, stream, remote, local } = accepted;
        let pool = self.pools.get(door).cloned().flatten();
        let (Some(door), Some(net)) = (self.shared.doors.get(door), self.nets.get(door)) else { return };
        let place = match self.shared.room.take() {
            Ok(place) => place,
            Err(full) => {
                door.turn_away(&stream);
                return door.log.line(full.level(), None, full);
            }
        };
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let mut seed = Seed([0; 16]);
        if aws_lc_rs::rand::fill(&mut seed.0).is_err() {
            return door.log.line(Level::Alert, Some(number), "no randomness: client turned away");
        }
        let client = Client {
            peer: Peer { remote, local },
            listener: door.text.clone(),
            proxy_protocol: door.proxy_protocol,
            tls_first: door.tls_first,
        };
        let in_full = self.shared.debugged.iter().any(|peers| peers.includes(&client.peer.remote));
        let arrival = Arrival {
            stream,
            client,
            policy: door.policy.clone(),
            tls: door.tls.clone(),
            backend_tls: door.backend_tls.clone(),
            auth_tls: door.auth_tls.clone(),
            upstreams: door.upstreams.clone(),
            auth_upstreams: door.auth_upstreams.clone(),
            users: door.users.clone(),
            auth_pool: pool,
            zones: self.shared.zones.clone(),
            seed,
            number,
        };
        let observer = SessionLog::new(door.log.clone(), door.access_logs.clone(), number).in_full(in_full);
        let session = drive(net.clone(), arrival, observer, self.drain.clone());
        self.running.spawn_local(Seated { session, place: Some(place) });
    }

    /// Goes on with one that was parked.
    fn resume(&mut self, Seated { session, place }: Seated<Parked<Socket, SessionLog>>) {
        self.running.spawn_local(Seated { session: session.resume(), place });
    }

    /// A session has ended, or is to be parked: where that cannot be it goes on, and so it does to hear that its time is over. One that
    /// panicked is a bug of ours and costs its client the connection, but nobody else.
    fn note(&mut self, ended: Result<Option<Seated<Parked<Socket, SessionLog>>>, JoinError>) {
        let panic = match ended.map_err(JoinError::try_into_panic) {
            Ok(None) | Err(Err(_)) => return,
            Ok(Some(parked)) if self.drain.is_asked() => return self.resume(parked),
            Ok(Some(parked)) => {
                return self.parked.park(parked).unwrap_or_else(|refused| self.resume(refused));
            }
            Err(Ok(panic)) => panic,
        };
        let text = last_words(&*panic);
        let count = self.shared.panics.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.log.line(
            Level::Alert,
            None,
            format_args!("a session panicked, {count} have so far: {text}"),
        );
    }
}

/// What a panic said.
pub(super) fn last_words(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        (None, None) => "without a word",
    }
}
