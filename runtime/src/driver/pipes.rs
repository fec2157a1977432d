//! A session's three wires, and its actions on them.

use std::sync::Arc;
use std::task::{Context, Poll};

use gatepost_core::{
    Action, Address, Answer, End, Event, Handshake, Instant, Leftovers, Lingering, NoPlace, Payload, Peer,
    Policy, Rest, Scheme, Secret, Server, Target, Wire,
};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::admission::Admission;
use super::choice::{Choice, Chosen};
use super::desk::{Desk, Said};
use super::question::Asked;
use super::relaying::{Closing, Held, Relaying};
use crate::drain::Drain;
use crate::limit_rate::Pace;
use crate::net::Net;
use crate::observe::Observer;
use crate::pipe::{Heard, Parts, Pipe};
use crate::pool::{Key, Pool};
use crate::relay::{Calm, Relay, Start};
use crate::system_error::connect_error;
use crate::tls::Acceptor;
use crate::upstream::{Die, Upstreams};

/// What ended the loop's wait.
pub(super) enum Step {
    /// The session's deadline has come.
    Deadline,
    /// The process wants to end.
    Drain,
    /// The session has been counted, or not.
    Admitted(Result<(), NoPlace>),
    /// The DNS has answered.
    Resolved(Answer),
    /// A server was chosen for a wire, or none was to be found.
    Chosen(Wire, Chosen),
    /// A users file has answered in place of the auth server.
    Answered(Secret),
    /// A wire has something to tell.
    Heard(Wire, Heard),
}

impl Step {
    /// What a users file says, it says on the auth server's wire. Why it could not say anything is for the log.
    pub(super) fn of_desk(said: Said, observer: &impl Observer) -> Self {
        match said {
            Said::Opened(peer) => Self::Heard(Wire::Auth, Heard::Opened(peer)),
            Said::Answer(answered) => {
                if let Some(trouble) = answered.trouble {
                    observer.alert(&trouble);
                }
                Self::Answered(answered.octets)
            }
        }
    }

    /// Hands it over as the session knows it. Octets are wiped afterwards: they may be a password.
    pub(super) fn tell(self, tell: impl FnOnce(Event<'_>)) {
        match self {
            Self::Deadline => tell(Event::Deadline),
            Self::Drain => tell(Event::Drain),
            Self::Admitted(outcome) => tell(Event::Admitted(outcome)),
            Self::Resolved(answer) => tell(Event::Resolved(answer)),
            Self::Chosen(wire, chosen) => tell(Event::Chosen(wire, chosen)),
            Self::Answered(answer) => tell(Event::Received(Wire::Auth, answer.expose())),
            Self::Heard(wire, Heard::Opened(peer)) => tell(Event::Opened(wire, peer)),
            Self::Heard(wire, Heard::Reused(peer)) => tell(Event::Reused(wire, peer)),
            Self::Heard(wire, Heard::Received(filled)) => {
                filled.show_and_wipe(|octets| tell(Event::Received(wire, octets)));
            }
            Self::Heard(wire, Heard::Secured(facts)) => tell(Event::Secured(wire, facts)),
            Self::Heard(wire, Heard::Ended(end)) => tell(Event::Ended(wire, end)),
        }
    }
}

/// What the two wires that we open have each of its own.
pub(super) struct ByWire<T> {
    pub(super) auth: T,
    pub(super) backend: T,
}

impl<T> ByWire<T> {
    /// There is none for the client.
    const fn of(&self, wire: Wire) -> &T {
        match wire {
            Wire::Auth => &self.auth,
            Wire::Backend | Wire::Client => &self.backend,
        }
    }
}

/// What a session needs of what it shares with others.
pub(super) struct Shared<N: Net> {
    pub(super) tls: Option<Acceptor>,
    pub(super) client_tls: ByWire<Option<Arc<ClientConfig>>>,
    /// The groups that targets may name.
    pub(super) upstreams: ByWire<Arc<Upstreams>>,
    pub(super) pool: Option<Pool<N::Stream>>,
    pub(super) admission: Admission,
    pub(super) desk: Desk,
}

/// The three wires, and the questions that others answer.
pub(super) struct Pipes<N: Net> {
    client: Pipe<N::Stream>,
    /// The others' need no room until they are connected.
    auth: Option<Box<Pipe<N::Stream>>>,
    backend: Option<Box<Pipe<N::Stream>>>,
    question: Asked,
    pub(super) admission: Admission,
    desk: Desk,
    auth_choice: Choice,
    backend_choice: Choice,
    net: N,
    tls: Option<Acceptor>,
    client_tls: ByWire<Option<Arc<ClientConfig>>>,
    /// The groups that targets may name.
    upstreams: ByWire<Arc<Upstreams>>,
    die: Die,
    pool: Option<Pool<N::Stream>>,
    auth_way: Option<Box<AuthWay>>,
}

/// How the auth server is connected to.
#[derive(Default)]
struct AuthWay {
    /// The scheme of its requests, if a connection that was kept will do.
    scheme: Option<Scheme>,
    /// The server that was connected to last.
    server: Option<Server>,
}

impl<N: Net> Pipes<N> {
    /// The client's is up, the others are down.
    pub(super) fn new(
        net: N,
        client: N::Stream,
        pace: Option<Box<Pace>>,
        shared: Shared<N>,
        die: Die,
    ) -> Self {
        let Shared { tls, client_tls, upstreams, pool, admission, desk } = shared;
        Self {
            client: Pipe::accepted(client, pace),
            auth: None,
            backend: None,
            question: Asked::default(),
            admission,
            desk,
            auth_choice: Choice::default(),
            backend_choice: Choice::default(),
            net,
            tls,
            client_tls,
            upstreams,
            die,
            pool,
            auth_way: None,
        }
    }

    /// Does what the session asks, without waiting for anything: what takes time goes on in [`Pipe::poll_next`]. A relay is
    /// put into `leftovers` for the caller, who has to have done everything else by then.
    pub(super) fn perform(
        &mut self,
        action: Action,
        observer: &impl Observer,
        leftovers: &mut Option<Leftovers>,
    ) {
        match action {
            Action::Open(Wire::Auth, _) if self.desk.is_there() => self.desk.open(),
            Action::Send(Wire::Auth, octets) if self.desk.is_there() => self.desk.hear(&octets),
            Action::Close(Wire::Auth) if self.desk.is_there() => self.desk.close(),
            Action::Open(wire, target) => self.open(wire, target, None),
            Action::OpenOrReuse(wire, target, scheme) => self.open(wire, target, Some(scheme)),
            Action::Reopen(wire) => {
                if let Some(server) = self.auth_way.as_ref().and_then(|way| way.server.clone()) {
                    self.dial_anew(wire, server.address);
                }
            }
            Action::Keep(wire, rest) => {
                self.keep(wire, rest);
                self.forget_choice(wire);
            }
            Action::OpenNext(wire) => {
                #[cfg(planted = "anothers-answer")]
                self.keep_unanswered(wire);
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
                let tls = self.client_tls.of(wire).clone();
                self.wire(wire).connect_tls(tls, name.as_deref());
            }
            Action::Admit(claims) => self.admission.ask(&claims),
            Action::Resolve(question) => self.question.ask(self.net.resolve(question)),
            Action::Close(wire) => {
                #[cfg(planted = "anothers-answer")]
                self.keep_unanswered(wire);
                self.wire(wire).close();
                self.forget_choice(wire);
            }
            Action::Relay(begin) => *leftovers = Some(begin),
            Action::Report(report) => observer.report(&report),
        }
    }

    /// The present moment, as the network tells it.
    pub(super) fn now(&self) -> Instant {
        self.net.now()
    }

    /// What becomes of a choice that was made: the wire is connected there.
    fn follow(&mut self, wire: Wire, chosen: Chosen) -> Step {
        if let Ok(server) = &chosen {
            self.connect(wire, server.clone());
        }
        Step::Chosen(wire, chosen)
    }

    /// Connects to `target`, or begins to choose from it. By `scheme` a connection that was kept may be known for one that will do.
    fn open(&mut self, wire: Wire, target: Target, scheme: Option<Scheme>) {
        if wire == Wire::Auth {
            self.auth_way = Some(Box::new(AuthWay { scheme, server: None }));
        }
        match target {
            Target::Address(address) => self.connect(wire, Server { address, name: None }),
            target => {
                let (choice, upstreams, net, die) = self.choice(wire);
                choice.begin(&target, upstreams, net, die);
            }
        }
    }

    /// Connects to `server`, by a connection that was kept if there is one.
    fn connect(&mut self, wire: Wire, server: Server) {
        let kept = match (wire, &self.pool, self.auth_way.as_ref().and_then(|way| way.scheme.as_ref())) {
            (Wire::Auth, Some(pool), Some(scheme)) => pool.take(&Key::new(&server, scheme)),
            _ => None,
        };
        let address = server.address.clone();
        if wire == Wire::Auth {
            self.auth_way.get_or_insert_default().server = Some(server);
        }
        match kept {
            Some((stream, peer)) => self.wire(wire).reuse(stream, peer),
            None => self.dial_anew(wire, address),
        }
    }

    /// Leaves the connection to other sessions, or hangs up.
    fn keep(&mut self, wire: Wire, rest: Rest) {
        let Some(AuthWay { scheme: Some(scheme), server: Some(server) }) = self.auth_way.as_deref() else {
            return self.wire(wire).close();
        };
        let key = Key::new(server, scheme);
        if let (Some(connection), Some(pool)) = (self.wire(wire).give_up(), &self.pool) {
            pool.put(key, connection, rest);
        }
    }

    /// Leaves a connection to others though the answer to its question is still to come.
    #[cfg(planted = "anothers-answer")]
    fn keep_unanswered(&mut self, wire: Wire) {
        if wire == Wire::Auth {
            self.keep(wire, Rest::none());
        }
    }

    /// The server that was chosen for this wire is not needed any more.
    fn forget_choice(&mut self, wire: Wire) {
        match wire {
            Wire::Client => {}
            Wire::Auth => self.auth_choice = Choice::default(),
            Wire::Backend => self.backend_choice = Choice::default(),
        }
    }

    fn dial_anew(&mut self, wire: Wire, address: Address) {
        #[cfg(planted = "backend-of-another-session")]
        let address = another_sessions(wire, address);
        let dial = Box::pin(dial(self.net.clone(), wire, address));
        self.wire(wire).dial(dial);
    }

    /// The choice of a server for this wire, and what it takes to make one. There is none for the client.
    fn choice(&mut self, wire: Wire) -> (&mut Choice, &Upstreams, &N, &mut Die) {
        let choice = match wire {
            Wire::Auth => &mut self.auth_choice,
            Wire::Backend | Wire::Client => &mut self.backend_choice,
        };
        (choice, self.upstreams.of(wire), &self.net, &mut self.die)
    }

    fn wire(&mut self, wire: Wire) -> &mut Pipe<N::Stream> {
        match wire {
            Wire::Client => &mut self.client,
            Wire::Auth => self.auth.get_or_insert_with(|| Box::new(Pipe::down())),
            Wire::Backend => self.backend.get_or_insert_with(|| Box::new(Pipe::down())),
        }
    }

    /// Ready with what has happened, in this order where several things have; `wants` is the session's, and `observer` hears why a users
    /// file could not answer. Cancel-safe.
    pub(super) fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        wants: impl Fn(Wire) -> bool,
        observer: &impl Observer,
    ) -> Poll<Step> {
        if let Poll::Ready(outcome) = self.admission.poll_answer() {
            return Poll::Ready(Step::Admitted(outcome));
        }
        if let Poll::Ready(answer) = self.question.poll_answer(cx) {
            return Poll::Ready(Step::Resolved(answer));
        }
        if let Poll::Ready(said) = self.desk.poll_next(cx) {
            return Poll::Ready(Step::of_desk(said, observer));
        }
        if let Poll::Ready(chosen) = self.backend_choice.poll_next(cx) {
            return Poll::Ready(self.follow(Wire::Backend, chosen));
        }
        if let Poll::Ready(chosen) = self.auth_choice.poll_next(cx) {
            return Poll::Ready(self.follow(Wire::Auth, chosen));
        }
        let others = [(Wire::Backend, &mut self.backend), (Wire::Auth, &mut self.auth)];
        for (wire, pipe) in others {
            if let Some(pipe) = pipe
                && let Poll::Ready(heard) = pipe.poll_next(cx, wants(wire))
            {
                return Poll::Ready(Step::Heard(wire, heard));
            }
        }
        self.client.poll_next(cx, wants(Wire::Client)).map(|heard| Step::Heard(Wire::Client, heard))
    }

    /// Sends what is queued on every wire and closes them all, within a bounded time.
    pub(super) async fn finish(self, lingering: Lingering) {
        tokio::join!(
            biased;
            finished(self.backend, lingering),
            finished(self.auth, lingering),
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
    ) -> Option<(Box<Relaying<N::Stream, O>>, Relay)> {
        let (Some(client), Some(backend)) =
            (self.client.into_parts(), self.backend.and_then(|backend| backend.into_parts()))
        else {
            if let Some(closing) = closing {
                closing.tell(&observer);
            }
            return None;
        };
        let Parts { stream: client, unsent: mut to_client, ended: client_ended, pace } = client;
        let Parts { stream: backend, unsent: mut to_backend, ended: backend_ended, pace: _ } = backend;
        if let Some(closing) = &mut closing {
            closing.tally.sent(Wire::Client, leftovers.to_client.len());
            closing.tally.sent(Wire::Backend, leftovers.to_backend.expose().len());
        }
        to_client.push(Payload::Public(leftovers.to_client));
        if !cfg!(planted = "leftovers-lost") {
            to_backend.push(Payload::Secret(leftovers.to_backend));
        }
        let start = Start { to_backend, to_client, client_ended, backend_ended, pace };
        let context = leftovers.context;
        let relaying = Box::new(Relaying {
            held: Held::new(self.backend_choice.into_lease(), self.admission.into_places()),
            client,
            backend,
            calm: Calm::new(),
            context,
            closing,
            policy,
            observer,
            drain,
            span: None,
        });
        Some((relaying, Relay::new(start)))
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

async fn finished<S: AsyncRead + AsyncWrite + Unpin>(pipe: Option<Box<Pipe<S>>>, lingering: Lingering) {
    if let Some(pipe) = pipe {
        pipe.finish(lingering).await;
    }
}

async fn dial<N: Net>(net: N, wire: Wire, address: Address) -> Result<(N::Stream, Peer), End> {
    net.connect(wire, &address).await.map_err(|error| End::Broken(connect_error(&address, &error)))
}
