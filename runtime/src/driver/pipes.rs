//! A session's three wires, and its actions on them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Action, Answer, End, Event, Handshake, Leftovers, Lingering, Payload, Peer, Policy, Target, Wire,
};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};

use super::question::Asked;
use super::relaying::{Closing, Relaying};
use crate::drain::Drain;
use crate::net::Net;
use crate::observe::Observer;
use crate::pipe::{Heard, Pipe};
use crate::relay::{Relay, Start};
use crate::system_error::connect_error;
use crate::tls::Acceptor;

/// What ended the loop's wait.
pub(super) enum Step {
    /// The session's deadline has come.
    Deadline,
    /// The process wants to end.
    Drain,
    /// The DNS has answered.
    Resolved(Answer),
    /// A wire has something to tell.
    Heard(Wire, Heard),
}

impl Step {
    /// Hands it over as the session knows it. Octets are wiped afterwards: they may be a password.
    pub(super) fn tell(self, tell: impl FnOnce(Event<'_>)) {
        match self {
            Self::Deadline => tell(Event::Deadline),
            Self::Drain => tell(Event::Drain),
            Self::Resolved(answer) => tell(Event::Resolved(answer)),
            Self::Heard(wire, Heard::Opened(peer)) => tell(Event::Opened(wire, peer)),
            Self::Heard(wire, Heard::Received(filled)) => {
                filled.show_and_wipe(|octets| tell(Event::Received(wire, octets)));
            }
            Self::Heard(wire, Heard::Secured(facts)) => tell(Event::Secured(wire, facts)),
            Self::Heard(wire, Heard::Ended(end)) => tell(Event::Ended(wire, end)),
        }
    }
}

/// The three wires, and the question to the DNS.
pub(super) struct Pipes<N: Net> {
    pub(super) client: Pipe<N::Stream>,
    pub(super) auth: Pipe<N::Stream>,
    pub(super) backend: Pipe<N::Stream>,
    pub(super) question: Asked,
    net: N,
    tls: Option<Acceptor>,
    backend_tls: Option<Arc<ClientConfig>>,
}

impl<N: Net> Pipes<N> {
    /// The client's is up, the others are down.
    pub(super) fn new(
        net: N,
        client: N::Stream,
        tls: Option<Acceptor>,
        backend_tls: Option<Arc<ClientConfig>>,
    ) -> Self {
        Self {
            client: Pipe::accepted(client),
            auth: Pipe::down(),
            backend: Pipe::down(),
            question: Asked::default(),
            net,
            tls,
            backend_tls,
        }
    }

    /// Does what the session asks, without waiting for anything: what takes time goes on in [`Pipe::next`]. A relay is
    /// put into `leftovers` for the caller, who has to have done everything else by then. `time_left` is what the
    /// session has until its deadline.
    pub(super) fn perform(
        &mut self,
        action: Action,
        time_left: Duration,
        observer: &impl Observer,
        leftovers: &mut Option<Leftovers>,
    ) {
        match action {
            Action::Open(wire, target) => {
                let dial = Box::pin(dial(self.net.clone(), target, time_left));
                self.wire(wire).dial(dial);
            }
            Action::Send(wire, octets) => self.wire(wire).send(octets),
            Action::Secure(wire, Handshake::Accept { already_read }) => {
                let tls = self.tls.clone();
                self.wire(wire).accept_tls(tls, already_read);
            }
            Action::Secure(wire, Handshake::Connect { name }) => {
                let tls = self.backend_tls.clone();
                self.wire(wire).connect_tls(tls, name.as_deref());
            }
            Action::Resolve(question) => self.question.ask(self.net.resolve(question)),
            Action::Close(wire) => self.wire(wire).close(),
            Action::Relay(begin) => *leftovers = Some(begin),
            Action::Report(report) => observer.report(&report),
        }
    }

    fn wire(&mut self, wire: Wire) -> &mut Pipe<N::Stream> {
        match wire {
            Wire::Client => &mut self.client,
            Wire::Auth => &mut self.auth,
            Wire::Backend => &mut self.backend,
        }
    }

    /// Sends what is queued on every wire and closes them all, within a bounded time.
    pub(super) async fn finish(self, lingering: Lingering) {
        tokio::join!(
            biased;
            self.backend.finish(lingering),
            self.auth.finish(lingering),
            self.client.finish(lingering)
        );
    }

    /// The relay that `leftovers` ask for; none if one of its two wires is not up, which the next read would have told
    /// the session.
    pub(super) fn into_relaying<O: Observer>(
        self,
        leftovers: Leftovers,
        mut closing: Option<Box<Closing>>,
        policy: Arc<Policy>,
        observer: O,
        drain: Drain,
    ) -> Option<Box<Relaying<N::Stream, O>>> {
        let (Some(client), Some(backend)) = (self.client.into_parts(), self.backend.into_parts()) else {
            if let Some(closing) = closing {
                closing.tell(&observer);
            }
            return None;
        };
        let (client, mut to_client, client_ended) = client;
        let (backend, mut to_backend, backend_ended) = backend;
        if let Some(closing) = &mut closing {
            closing.tally.sent(Wire::Client, leftovers.to_client.len());
            closing.tally.sent(Wire::Backend, leftovers.to_backend.expose().len());
        }
        to_client.push(Payload::Public(leftovers.to_client));
        to_backend.push(Payload::Secret(leftovers.to_backend));
        let start = Start { to_backend, to_client, client_ended, backend_ended };
        let context = leftovers.context;
        Some(Box::new(Relaying {
            client,
            backend,
            relay: Relay::new(start),
            context,
            closing,
            policy,
            observer,
            drain,
        }))
    }
}

/// Connects to `target`, trying its addresses in order. Each has an equal share of the time that is left, so that one
/// that swallows packets leaves some for the next; the last is bounded by the session's deadline alone.
async fn dial<N: Net>(net: N, target: Target, time_left: Duration) -> Result<(N::Stream, Peer), End> {
    let addresses = match target {
        Target::Address(address) => vec![address],
        Target::AnyOf(addresses) => addresses.iter().copied().map(Into::into).collect(),
    };
    let begun = Instant::now();
    let mut failure = End::Insecure("no address to connect to".into());
    for (tried, address) in addresses.iter().enumerate() {
        let connect = net.connect(address);
        let connected = match u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX) {
            1 => connect.await,
            untried => {
                let share = time_left.saturating_sub(begun.elapsed()) / untried;
                timeout(share, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        };
        match connected {
            Ok(connected) => return Ok(connected),
            Err(error) => failure = End::Broken(connect_error(address, &error)),
        }
    }
    Err(failure)
}
