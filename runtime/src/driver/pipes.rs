//! A session's three wires, and its actions on them.

use std::sync::Arc;

use gatepost_core::{
    Action, Address, Answer, End, Event, Handshake, Leftovers, Lingering, Payload, Peer, Policy, Target, Wire,
};
use rustls::ClientConfig;

use super::choice::{Choice, Chosen};
use super::question::Asked;
use super::relaying::{Closing, Relaying};
use crate::drain::Drain;
use crate::net::Net;
use crate::observe::Observer;
use crate::pipe::{Heard, Pipe};
use crate::relay::{Relay, Start};
use crate::system_error::connect_error;
use crate::tls::Acceptor;
use crate::upstream::{Die, Upstreams};

/// What ended the loop's wait.
pub(super) enum Step {
    /// The session's deadline has come.
    Deadline,
    /// The process wants to end.
    Drain,
    /// The DNS has answered.
    Resolved(Answer),
    /// A server was chosen for a wire, or none was to be found.
    Chosen(Wire, Chosen),
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
            Self::Chosen(wire, chosen) => tell(Event::Chosen(wire, chosen)),
            Self::Heard(wire, Heard::Opened(peer)) => tell(Event::Opened(wire, peer)),
            Self::Heard(wire, Heard::Received(filled)) => {
                filled.show_and_wipe(|octets| tell(Event::Received(wire, octets)));
            }
            Self::Heard(wire, Heard::Secured(facts)) => tell(Event::Secured(wire, facts)),
            Self::Heard(wire, Heard::Ended(end)) => tell(Event::Ended(wire, end)),
        }
    }
}

/// The groups that the targets of a wire may name.
pub(super) struct ByWire {
    pub(super) auth: Arc<Upstreams>,
    pub(super) backend: Arc<Upstreams>,
}

/// The three wires, and the question to the DNS.
pub(super) struct Pipes<N: Net> {
    pub(super) client: Pipe<N::Stream>,
    pub(super) auth: Pipe<N::Stream>,
    pub(super) backend: Pipe<N::Stream>,
    pub(super) question: Asked,
    pub(super) auth_choice: Choice,
    pub(super) backend_choice: Choice,
    net: N,
    tls: Option<Acceptor>,
    backend_tls: Option<Arc<ClientConfig>>,
    upstreams: ByWire,
    die: Die,
}

impl<N: Net> Pipes<N> {
    /// The client's is up, the others are down.
    pub(super) fn new(
        net: N,
        client: N::Stream,
        tls: Option<Acceptor>,
        backend_tls: Option<Arc<ClientConfig>>,
        upstreams: ByWire,
        die: Die,
    ) -> Self {
        Self {
            client: Pipe::accepted(client),
            auth: Pipe::down(),
            backend: Pipe::down(),
            question: Asked::default(),
            auth_choice: Choice::default(),
            backend_choice: Choice::default(),
            net,
            tls,
            backend_tls,
            upstreams,
            die,
        }
    }

    /// Does what the session asks, without waiting for anything: what takes time goes on in [`Pipe::next`]. A relay is
    /// put into `leftovers` for the caller, who has to have done everything else by then.
    pub(super) fn perform(
        &mut self,
        action: Action,
        observer: &impl Observer,
        leftovers: &mut Option<Leftovers>,
    ) {
        match action {
            Action::Open(wire, Target::Address(address)) => self.dial(wire, address),
            Action::Open(wire, target) => {
                let (choice, upstreams, net, die) = self.choice(wire);
                choice.begin(&target, upstreams, net, die);
            }
            Action::OpenNext(wire) => {
                *self.wire(wire) = Pipe::down();
                let (choice, _, net, die) = self.choice(wire);
                choice.go_on(net, die);
            }
            Action::Judge(wire, judgement) => {
                let now = self.net.now();
                self.choice(wire).0.judge(judgement, now);
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
            Action::Close(wire) => {
                self.wire(wire).close();
                match wire {
                    Wire::Client => {}
                    Wire::Auth => self.auth_choice = Choice::default(),
                    Wire::Backend => self.backend_choice = Choice::default(),
                }
            }
            Action::Relay(begin) => *leftovers = Some(begin),
            Action::Report(report) => observer.report(&report),
        }
    }

    /// What becomes of a choice that was made: the wire is connected there.
    pub(super) fn follow(&mut self, wire: Wire, chosen: Chosen) -> Step {
        if let Ok(server) = &chosen {
            self.dial(wire, server.address.clone());
        }
        Step::Chosen(wire, chosen)
    }

    fn dial(&mut self, wire: Wire, address: Address) {
        #[cfg(planted = "backend-of-another-session")]
        let address = another_sessions(wire, address);
        let dial = Box::pin(dial(self.net.clone(), address));
        self.wire(wire).dial(dial);
    }

    /// The choice of a server for this wire, and what it takes to make one. There is none for the client.
    fn choice(&mut self, wire: Wire) -> (&mut Choice, &Upstreams, &N, &mut Die) {
        let (choice, upstreams) = match wire {
            Wire::Auth => (&mut self.auth_choice, &self.upstreams.auth),
            Wire::Backend | Wire::Client => (&mut self.backend_choice, &self.upstreams.backend),
        };
        (choice, upstreams, &self.net, &mut self.die)
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
        if !cfg!(planted = "leftovers-lost") {
            to_backend.push(Payload::Secret(leftovers.to_backend));
        }
        let start = Start { to_backend, to_client, client_ended, backend_ended };
        let context = leftovers.context;
        Some(Box::new(Relaying {
            _lease: self.backend_choice.into_lease(),
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

#[cfg(planted = "backend-of-another-session")]
fn another_sessions(wire: Wire, address: Address) -> Address {
    thread_local! {
        static BEFORE: std::cell::RefCell<Option<Address>> = const { std::cell::RefCell::new(None) };
    }
    match wire {
        Wire::Backend => BEFORE.replace(Some(address.clone())).unwrap_or(address),
        Wire::Auth | Wire::Client => address,
    }
}

async fn dial<N: Net>(net: N, address: Address) -> Result<(N::Stream, Peer), End> {
    net.connect(&address).await.map_err(|error| End::Broken(connect_error(&address, &error)))
}
