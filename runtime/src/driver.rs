//! The loop that carries a session: what happens on its wires becomes events, its actions happen on its wires.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use gatepost_core::{Action, Actions, Client, Leftovers, Policy, Seed, Session, Wire};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, debug_span, trace};

use crate::drain::Drain;
use crate::limit_conn::Zones;
use crate::limit_rate::Pace;
use crate::net::Net;
use crate::observe::{Observer, Tally};
use crate::pipe::Heard;
use crate::pool::Pool;
use crate::scratch;
use crate::tls;
use crate::upstream::{Die, Upstreams};
use crate::users::Users;

mod addresses;
mod admission;
mod choice;
mod desk;
mod pipes;
mod question;
mod relaying;

use admission::Admission;
use desk::Desk;
use pipes::{ByWire, Pipes, Shared, Step};
pub use relaying::Parked;
use relaying::{Begun, Closing};

/// A client that has just been accepted, and all that its session will be.
#[derive(Debug)]
pub struct Arrival<S> {
    /// The accepted stream.
    pub stream: S,
    /// Who came in, and through which door.
    pub client: Client,
    /// What its `server {}` asks for.
    pub policy: Arc<Policy>,
    /// The certificates of its `server {}`; without them a session that asks for TLS hears that it failed.
    pub tls: Option<tls::Acceptor>,
    /// How to be a client of backends that speak TLS; without it a session that asks for that hears that it failed.
    pub backend_tls: Option<Arc<rustls::ClientConfig>>,
    /// The same of auth servers.
    pub auth_tls: Option<Arc<rustls::ClientConfig>>,
    /// The groups of backends that its targets may name.
    pub upstreams: Arc<Upstreams>,
    /// The groups of auth servers.
    pub auth_upstreams: Arc<Upstreams>,
    /// The users file that answers in place of the auth server, if one does.
    pub users: Option<Arc<Users>>,
    /// The connections to auth servers that wait for a question; without it none is kept.
    pub auth_pool: Option<Pool<S>>,
    /// Where it is counted.
    pub zones: Arc<Zones>,
    /// Where its chance comes from.
    pub seed: Seed,
    /// The connection's number, as `*N` of the log.
    pub number: u64,
}

/// Makes what all sessions of this thread share; the first of them would do it otherwise, and seem to take more than the others.
pub fn prepare_thread() {
    scratch::prepare();
}

/// Carries one client from its first octet to the end of its relay. Ready once every stream is closed; to drop the
/// future earlier cuts the session. Where the streams are sockets of the kernel's it is ready, with the rest of the session, when
/// nobody has said anything for a while, too.
///
/// It needs a tokio runtime with time, and nothing of the network beside `net`.
pub fn drive<N: Net, O: Observer + 'static>(
    net: N,
    arrival: Arrival<N::Stream>,
    observer: O,
    drain: Drain,
) -> impl Future<Output = Option<Parked<N::Stream, O>>> {
    let span = debug_span!(
        "session",
        id = arrival.number,
        client = %arrival.client.peer.remote,
        listener = %arrival.client.listener,
        protocol = arrival.policy.protocol.name(),
    );
    // Boxed, so that its memory is gone when the relay begins, which is small and may last for days.
    let login = Box::pin(log_in(net, arrival, observer, drain));
    async move {
        // Boxed likewise: until then a session need not have room for it.
        let (relaying, relay) = login.await?;
        Box::pin(relaying.run(relay)).await
    }
    .instrument(span)
}

/// Carries a session until it is over or its relay begins.
///
/// No `async fn`, which has room for all that it was called with until it is done: clients that are in no hurry are many.
fn log_in<N: Net, O: Observer>(
    net: N,
    arrival: Arrival<N::Stream>,
    observer: O,
    drain: Drain,
) -> impl Future<Output = Option<Begun<N::Stream, O>>> {
    let (mut login, opened) = LogIn::new(net, arrival, observer);
    async move {
        let mut alarm = pin!(sleep(Duration::ZERO));
        let mut armed = None;
        let mut asked = pin!(drain.asked());
        let mut drained = false;
        // Whether since the task was woken the alarm, and the word to end, were found not to be due: they are not asked again then.
        let (mut alarm_waits, mut word_waits) = (false, false);
        let mut leftovers = login.begin(opened);
        loop {
            if let Some(leftovers) = leftovers {
                return login.into_relaying(leftovers, drain.clone());
            }
            let Some(deadline) = login.session.deadline() else {
                // Boxed: until a session ends nobody needs room for its ending.
                Box::pin(login.finish()).await;
                return None;
            };
            if armed != Some(deadline.at) {
                (armed, alarm_waits) = (Some(deadline.at), false);
                alarm.as_mut().reset(Instant::now() + login.pipes.now().until(deadline.at));
            }
            leftovers = poll_fn(|cx| {
                let step = if !alarm_waits && alarm.as_mut().poll(cx).is_ready() {
                    armed = None;
                    Step::Deadline
                } else if !word_waits && !drained && asked.as_mut().poll(cx).is_ready() {
                    drained = true;
                    Step::Drain
                } else {
                    let step = login.poll_step(cx);
                    (alarm_waits, word_waits) = (step.is_ready(), step.is_ready());
                    ready!(step)
                };
                Poll::Ready(login.take(step))
            })
            .await;
        }
    }
}

thread_local! {
    /// What the session that is told something wants done: one list for all of a thread's, empty in between.
    static OUT: Cell<Actions> = const { Cell::new(Actions::new()) };
}

/// A session that is logging in, and its wires.
struct LogIn<N: Net, O> {
    session: Session,
    pipes: Pipes<N>,
    policy: Arc<Policy>,
    observer: O,
    /// What is told of it at its end, if anybody wants to hear that.
    books: Option<Box<Books>>,
}

struct Books {
    tally: Tally,
    begun: Instant,
}

impl<N: Net, O: Observer> LogIn<N, O> {
    /// The session of `arrival`, and what it is to be told first.
    fn new(net: N, arrival: Arrival<N::Stream>, observer: O) -> (Self, Box<Heard>) {
        let Arrival {
            stream,
            client,
            policy,
            tls,
            backend_tls,
            auth_tls,
            upstreams,
            auth_upstreams,
            auth_pool,
            zones,
            users,
            seed,
            number: _,
        } = arrival;
        let opened = Box::new(Heard::Opened(client.peer.clone()));
        let die = Die::new(seed.clone());
        let session = Session::new(policy.clone(), client, seed, net.now());
        let upstreams = ByWire { auth: auth_upstreams, backend: upstreams };
        let client_tls = ByWire { auth: auth_tls, backend: backend_tls };
        let (admission, desk) = (Admission::new(zones), Desk::new(users));
        let pace = Pace::new(policy.rate);
        let shared = Shared { tls, client_tls, upstreams, pool: auth_pool, admission, desk };
        let pipes = Pipes::new(net, stream, pace, shared, die);
        let books = || Box::new(Books { tally: Tally::default(), begun: Instant::now() });
        let books = observer.awaits_ending().then(books);
        (Self { session, pipes, policy, observer, books }, opened)
    }

    /// Tells the session that its client is here.
    #[expect(
        clippy::boxed_local,
        reason = "the box goes here; unpacked in the future it would stay for as long as that"
    )]
    fn begin(&mut self, opened: Box<Heard>) -> Option<Leftovers> {
        self.take(Step::Heard(Wire::Client, *opened))
    }

    /// Ready with what has happened on the wires, and beside them.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        self.pipes.poll_step(cx, |wire| self.session.wants(wire), &self.observer)
    }

    /// Tells the session what has happened and does what it says. Hands back what its relay is to begin with, if that is what it says.
    fn take(&mut self, step: Step) -> Option<Leftovers> {
        if let (Some(books), Step::Heard(wire, Heard::Received(filled))) = (&mut self.books, &step) {
            books.tally.read(*wire, filled.len());
        }
        let mut out = OUT.take();
        step.tell(|event| {
            trace!(?event);
            self.session.handle(self.pipes.now(), event, &mut out);
        });
        let mut leftovers = None;
        for action in out.drain() {
            trace!(?action);
            if let (Some(books), Action::Send(wire, octets)) = (&mut self.books, &action) {
                books.tally.sent(*wire, octets.expose().len());
            }
            self.pipes.perform(action, &self.observer, &mut leftovers);
        }
        OUT.set(out);
        leftovers
    }

    /// What is told of the session once it is over, if anybody wants to hear it.
    fn closing(&self) -> Option<Box<Closing>> {
        let Books { tally, begun } = **self.books.as_ref()?;
        Some(Box::new(Closing { facts: self.session.facts(), tally, begun }))
    }

    fn into_relaying(self, leftovers: Leftovers, drain: Drain) -> Option<Begun<N::Stream, O>> {
        let closing = self.closing();
        self.pipes.into_relaying(leftovers, closing, self.policy, self.observer, drain)
    }

    /// The session is over: says so, sends what is queued and closes what is open.
    async fn finish(self) {
        if let Some(closing) = self.closing() {
            closing.tell(&self.observer);
        }
        let Self { session, mut pipes, .. } = self;
        let lingering = session.lingering();
        drop(session);
        // Where only the backend knows who may, strangers must not have a user's places for longer than it takes to refuse them.
        pipes.admission.forget_login();
        pipes.finish(lingering).await;
    }
}

#[cfg(test)]
mod tests;
