//! The loop that carries a session: what happens on its wires becomes events, its actions happen on its wires.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{Action, Actions, Client, Policy, Seed, Session, Wire};
use tokio::select;
use tokio::time::{Instant, sleep};
use tracing::{Instrument, debug_span, trace};

use crate::drain::Drain;
use crate::limit_conn::Zones;
use crate::limit_rate::Pace;
use crate::net::Net;
use crate::observe::{Observer, Tally};
use crate::pipe::Heard;
use crate::pool::Pool;
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
use relaying::{Closing, Relaying};

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

/// Carries one client from its first octet to the end of its relay. Ready once every stream is closed; to drop the
/// future earlier cuts the session.
///
/// It needs a tokio runtime with time, and nothing of the network beside `net`.
pub fn drive<N: Net>(
    net: N,
    arrival: Arrival<N::Stream>,
    observer: impl Observer + 'static,
    drain: Drain,
) -> impl Future<Output = ()> {
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
        let relaying = login.await;
        if let Some(relaying) = relaying {
            relaying.run().await;
        }
    }
    .instrument(span)
}

/// Carries a session until it is over or its relay begins.
async fn log_in<N: Net, O: Observer>(
    net: N,
    arrival: Arrival<N::Stream>,
    observer: O,
    drain: Drain,
) -> Option<Box<Relaying<N::Stream, O>>> {
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
    let asked_for = policy.clone();
    let opened = Heard::Opened(client.peer.clone());
    let die = Die::new(seed.clone());
    let mut session = Session::new(policy, client, seed, net.now());
    let upstreams = ByWire { auth: auth_upstreams, backend: upstreams };
    let client_tls = ByWire { auth: auth_tls, backend: backend_tls };
    let (admission, desk) = (Admission::new(zones), Desk::new(users));
    let pace = Pace::new(asked_for.rate);
    let shared = Shared { tls, client_tls, upstreams, pool: auth_pool, admission, desk };
    let mut pipes = Pipes::new(net.clone(), stream, pace, shared, die);
    let mut out = Actions::new();
    let (begun, mut tally) = (Instant::now(), Tally::default());

    let mut alarm = pin!(sleep(Duration::ZERO));
    let mut armed = None;
    let mut asked = pin!(drain.asked());
    let mut drained = false;
    let mut step = Step::Heard(Wire::Client, opened);
    loop {
        if let Step::Heard(wire, Heard::Received(filled)) = &step {
            tally.read(*wire, filled.len());
        }
        step.tell(|event| {
            trace!(?event);
            session.handle(net.now(), event, &mut out);
        });
        let mut leftovers = None;
        for action in out.drain() {
            trace!(?action);
            if let Action::Send(wire, octets) = &action {
                tally.sent(*wire, octets.expose().len());
            }
            pipes.perform(action, &observer, &mut leftovers);
        }
        let closing =
            || observer.awaits_ending().then(|| Box::new(Closing { facts: session.facts(), tally, begun }));
        if let Some(leftovers) = leftovers {
            let closing = closing();
            return pipes.into_relaying(leftovers, closing, asked_for, observer, drain.clone());
        }
        let Some(deadline) = session.deadline() else {
            if let Some(closing) = closing() {
                closing.tell(&observer);
            }
            let lingering = session.lingering();
            drop(session);
            // Where only the backend knows who may, strangers must not have a user's places for longer than it takes to refuse them.
            pipes.admission.forget_login();
            // Boxed: until a session ends nobody needs room for its ending.
            Box::pin(pipes.finish(lingering)).await;
            return None;
        };
        if armed != Some(deadline.at) {
            armed = Some(deadline.at);
            alarm.as_mut().reset(Instant::now() + net.now().until(deadline.at));
        }
        let wants = |wire| session.wants(wire);
        step = select! {
            biased;
            () = &mut alarm => {
                armed = None;
                Step::Deadline
            }
            () = &mut asked, if !drained => {
                drained = true;
                Step::Drain
            }
            outcome = pipes.admission.answer() => Step::Admitted(outcome),
            answer = pipes.question.answer() => Step::Resolved(answer),
            said = pipes.desk.next() => Step::of_desk(said, &observer),
            chosen = pipes.backend_choice.next() => pipes.follow(Wire::Backend, chosen),
            chosen = pipes.auth_choice.next() => pipes.follow(Wire::Auth, chosen),
            heard = pipes.backend.next(wants(Wire::Backend)) => Step::Heard(Wire::Backend, heard),
            heard = pipes.auth.next(wants(Wire::Auth)) => Step::Heard(Wire::Auth, heard),
            heard = pipes.client.next(wants(Wire::Client)) => Step::Heard(Wire::Client, heard),
        };
    }
}

#[cfg(test)]
mod tests;
