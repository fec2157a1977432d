//! A session with nobody around it: what a driver would do, done by hand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::limits::READ_BYTES_MAX;
use gatepost_core::report::Activity;
use gatepost_core::{
    Action, Actions, Address, Claim, Client, End, Event, Handshake, Instant, Leftovers, NoServer, Peer,
    Policy, Question, Rest, Seed, Session, SystemError, Target, TlsFacts, Wire,
};

use super::facts::{self, answer, is_asked};
use super::limits::Places;
use crate::octets::Shown;
use crate::subject::{Acted, Deed, Ending, Seen, Server, Stage};
use crate::transcript::{BackendTls, Lookup, Open, TlsResult, TlsTry, Variables};

/// Where the client comes from unless a transcript says otherwise.
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 40000);

/// The listener. The port says nothing about the protocol.
const LISTENER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 143);

/// The auth server.
pub(super) const AUTH_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);

/// The backend that scripted answers name.
const BACKEND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)), 1143);

/// When transcripts begin, in milliseconds since the Unix epoch.
const DAWN: u64 = 1_800_000_000_000;

/// A deadline that never moves would hold the clock for ever.
const DEADLINES_MAX: usize = 1000;

/// One run against the core.
pub(super) struct CoreStage {
    policy: Arc<Policy>,
    proxy_protocol: bool,
    tls_first: bool,
    now: Instant,
    client: SocketAddr,
    session: Option<Session>,
    relaying: bool,
    /// The connections that are open, and what has arrived on them but was not read yet.
    inbox: BTreeMap<Wire, Inbox>,
    /// The connections there ever were, or were asked for.
    known: BTreeSet<Wire>,
    /// The client has reset, and sees nothing any more.
    client_is_gone: bool,
    /// The servers of the group that have not had their turn, all of them at one address.
    untried: usize,
    /// The session waits to be told which it is.
    choosing: Option<Wire>,
    /// The server the session waits to be connected to.
    opening: Option<Wire>,
    /// A connection to the auth server waits for the next question, or first for the rest of an answer.
    kept: Option<Rest>,
    /// The session waits to be told that it is there.
    reusing: Option<Wire>,
    /// The session waits for the client's handshake, which began with these octets.
    securing: Option<Vec<u8>>,
    /// The session waits for the backend's handshake, and wants this name.
    securing_backend: Option<Option<Box<str>>>,
    /// The session waits to be told whether it has these places.
    claims: Option<Vec<Claim>>,
    places: Places,
    /// The session has asked the DNS.
    asked: Option<Question>,
    seen: VecDeque<Seen>,
    log: Vec<String>,
}

#[derive(Default)]
struct Inbox {
    octets: Vec<u8>,
    end: Option<End>,
}

impl CoreStage {
    pub(super) fn new(policy: Arc<Policy>, proxy_protocol: bool, tls_first: bool) -> Self {
        Self {
            policy,
            proxy_protocol,
            tls_first,
            now: Instant::from_unix_millis(DAWN),
            client: CLIENT,
            session: None,
            relaying: false,
            inbox: BTreeMap::new(),
            known: BTreeSet::new(),
            client_is_gone: false,
            untried: 0,
            choosing: None,
            opening: None,
            kept: None,
            reusing: None,
            securing: None,
            securing_backend: None,
            claims: None,
            places: Places::default(),
            asked: None,
            seen: VecDeque::new(),
            log: Vec::new(),
        }
    }

    /// Tells the session of an event, does what it asks, then lets it read what it wants of what has arrived.
    fn tell(&mut self, event: Event<'_>) -> Acted {
        self.tell_only(event)?;
        while let Some((wire, octets, end)) = self.next_arrival() {
            match (octets.as_slice(), end) {
                ([], Some(end)) => self.tell_only(Event::Ended(wire, end))?,
                (octets, _) => self.tell_only(Event::Received(wire, octets))?,
            }
        }
        Ok(())
    }

    fn tell_only(&mut self, event: Event<'_>) -> Acted {
        let told = format!("{event:?}");
        let Some(session) = &mut self.session else { return Err(format!("{told}: nobody is there")) };
        let mut actions = Actions::new();
        session.handle(self.now, event, &mut actions);
        for action in actions.drain() {
            self.perform(action).map_err(|error| format!("{told}: {error}"))?;
        }
        if let Some(wire) = self.choosing.take() {
            return self.choose(wire);
        }
        if let Some(wire) = self.reusing.take() {
            let local = Address::Inet(LISTENER);
            return self.tell_only(Event::Reused(wire, Peer { remote: AUTH_SERVER.into(), local }));
        }
        if let Some(claims) = self.claims.take() {
            let outcome = self.places.admit(&claims);
            return self.tell_only(Event::Admitted(outcome));
        }
        let over = self.relaying || !self.inbox.contains_key(&Wire::Client);
        if over
            && !self.relaying
            && let Some(wire) = self.inbox.keys().next().or(self.opening.as_ref())
        {
            return Err(format!("{told}: the session is over, and the proxy leaves {wire:?} open"));
        }
        let deadline = self.session.as_ref().and_then(Session::deadline);
        match (over, deadline) {
            (false, None) => Err(format!("{told}: the session lives on without a deadline")),
            (true, Some(deadline)) => Err(format!("{told}: the session is over but waits: {deadline:?}")),
            _ => Ok(()),
        }
    }

    /// Whichever server of a group it is, it is at the one address there is.
    fn choose(&mut self, wire: Wire) -> Acted {
        let Some(left) = self.untried.checked_sub(1) else {
            return self.tell_only(Event::Chosen(wire, Err(NoServer::Exhausted)));
        };
        self.untried = left;
        let latest = self.now.after(self.policy.backend.resolve_timeout);
        let deadline = self.session.as_ref().and_then(Session::deadline);
        if wire == Wire::Backend && deadline.is_none_or(|deadline| deadline.at > latest) {
            return Err(format!("the choice of a backend may take longer than names may: {deadline:?}"));
        }
        self.opening = Some(wire);
        self.sees(wire, Deed::Opens);
        let address = if wire == Wire::Auth { AUTH_SERVER } else { BACKEND };
        self.tell_only(Event::Chosen(wire, Ok(gatepost_core::Server { address: address.into(), name: None })))
    }

    /// What the session may be told of next, in the order the driver looks: octets, or the end behind the last of
    /// them.
    fn next_arrival(&mut self) -> Option<(Wire, Vec<u8>, Option<End>)> {
        let session = self.session.as_ref()?;
        for wire in [Wire::Backend, Wire::Auth, Wire::Client] {
            let Some(inbox) = self.inbox.get_mut(&wire) else { continue };
            if !session.wants(wire) {
                continue;
            }
            if !inbox.octets.is_empty() {
                let count = inbox.octets.len().min(READ_BYTES_MAX);
                return Some((wire, inbox.octets.drain(..count).collect(), None));
            }
            if let Some(end) = inbox.end.take() {
                return Some((wire, Vec::new(), Some(end)));
            }
        }
        None
    }

    fn perform(&mut self, action: Action) -> Acted {
        match action {
            Action::OpenOrReuse(wire, target, _) => {
                if !self.kept.take().is_some_and(|rest| rest.is_over()) {
                    return self.perform(Action::Open(wire, target));
                }
                self.known.insert(wire);
                self.inbox.insert(wire, Inbox::default());
                self.reusing = Some(wire);
            }
            Action::Keep(wire, rest) => {
                self.kept = Some(rest);
                if let Some(Inbox { octets, end }) = self.inbox.remove(&wire) {
                    self.goes_by(&octets, end.as_ref());
                }
            }
            Action::Reopen(wire) => {
                self.inbox.remove(&wire);
                self.opening = Some(wire);
                self.sees(wire, Deed::Opens);
            }
            Action::Open(wire, target) if target.is_choice() => {
                self.known.insert(wire);
                self.untried = target.servers();
                self.choosing = Some(wire);
            }
            Action::OpenNext(wire) => {
                if self.inbox.remove(&wire).is_some() {
                    self.sees(wire, Deed::Ends(Ending::Fin));
                }
                self.opening.take_if(|opening| *opening == wire);
                self.securing_backend = None;
                self.choosing = Some(wire);
            }
            Action::Judge(..) => {}
            Action::Open(wire, target) => {
                let address = match wire {
                    Wire::Auth => AUTH_SERVER,
                    _ => BACKEND,
                };
                if target != Target::Address(Address::Inet(address)) {
                    return Err(format!("the proxy wants to connect to {target:?}, not to {address}"));
                }
                self.known.insert(wire);
                if let Some(other) = self.opening.replace(wire) {
                    return Err(format!("the proxy connects to {wire:?} while it connects to {other:?}"));
                }
                self.sees(wire, Deed::Opens);
            }
            Action::Send(wire, payload) if self.inbox.contains_key(&wire) => {
                self.sees(wire, Deed::Sends(payload.expose().to_vec()));
            }
            Action::Secure(Wire::Client, Handshake::Accept { already_read })
                if self.inbox.contains_key(&Wire::Client) =>
            {
                self.securing = Some(already_read.to_vec());
            }
            Action::Secure(Wire::Backend, Handshake::Connect { name })
                if self.inbox.contains_key(&Wire::Backend) =>
            {
                self.securing_backend = Some(name);
            }
            Action::Admit(claims) => self.claims = Some(claims),
            Action::Resolve(question) => self.asked = Some(question),
            Action::Close(wire) => {
                if !self.known.contains(&wire) {
                    return Err(format!("the proxy closes {wire:?}, which was never open"));
                }
                self.inbox.remove(&wire);
                self.opening.take_if(|opening| *opening == wire);
                self.choosing.take_if(|choosing| *choosing == wire);
                match wire {
                    Wire::Client => (self.securing, self.asked) = (None, None),
                    Wire::Backend => self.securing_backend = None,
                    Wire::Auth => {}
                }
                self.sees(wire, Deed::Ends(Ending::Fin));
            }
            Action::Relay(leftovers) => {
                let context = &leftovers.context;
                if context.activity != Some(Activity::Proxying) || context.upstream.is_none() {
                    return Err(format!(
                        "the log would not say that the session is relayed, and to whom: {context}"
                    ));
                }
                self.relay(leftovers);
            }
            Action::Report(report) => self.log.push(format!("[{}] {report}", report.level().name())),
            Action::Send(..) | Action::Secure(..) => {
                return Err(format!("the proxy uses a connection that is not open: {action:?}"));
            }
        }
        Ok(())
    }

    /// From here on the session is out of the way, and the stage passes on what each side sends.
    fn relay(&mut self, leftovers: Leftovers) {
        self.relaying = true;
        let held = |inbox: Option<&mut Inbox>| inbox.map(std::mem::take).unwrap_or_default();
        let from_client = held(self.inbox.get_mut(&Wire::Client));
        let from_backend = held(self.inbox.get_mut(&Wire::Backend));
        let to_client = leftovers.to_client.iter().copied().chain(from_backend.octets).collect();
        let to_backend = leftovers.to_backend.expose().iter().copied().chain(from_client.octets).collect();
        self.passes_on(Wire::Client, to_client, from_backend.end);
        self.passes_on(Wire::Backend, to_backend, from_client.end);
    }

    fn passes_on(&mut self, wire: Wire, octets: Vec<u8>, end: Option<End>) {
        if !octets.is_empty() {
            self.sees(wire, Deed::Sends(octets));
        }
        if end.is_some() {
            self.sees(wire, Deed::Ends(Ending::Fin));
        }
    }

    fn sees(&mut self, wire: Wire, deed: Deed) {
        if wire == Wire::Client && self.client_is_gone {
            return;
        }
        self.seen.push_back(Seen { wire, deed });
    }

    /// Octets, or an end, arrive on `wire`.
    fn arrives(&mut self, wire: Wire, octets: &[u8], end: Option<End>) -> Acted {
        if self.relaying {
            let other = if wire == Wire::Client { Wire::Backend } else { Wire::Client };
            self.passes_on(other, octets.to_vec(), end);
            return Ok(());
        }
        let Some(inbox) = self.inbox.get_mut(&wire) else {
            if wire == Wire::Auth {
                self.goes_by(octets, end.as_ref());
            }
            // Whoever has hung up does not hear what was still on its way.
            return if self.known.contains(&wire) { Ok(()) } else { Err(format!("{wire:?} was never open")) };
        };
        inbox.octets.extend_from_slice(octets);
        inbox.end = end;
        match self.next_arrival() {
            None => Ok(()),
            Some((wire, octets, None)) => self.tell(Event::Received(wire, &octets)),
            Some((wire, _, Some(end))) => self.tell(Event::Ended(wire, end)),
        }
    }

    /// What comes on a connection that is kept is the rest of an answer, or else the connection is of no more use.
    fn goes_by(&mut self, octets: &[u8], end: Option<&End>) {
        self.kept = self.kept.take().filter(|_| end.is_none()).and_then(|mut rest| {
            rest.receive(octets).ok()?;
            Some(rest)
        });
    }

    fn opening(&mut self, server: Server) -> Acted {
        match self.opening.take() {
            Some(wire) if wire == server.into() => Ok(()),
            other => Err(format!("the proxy is not connecting to the {server:?} but to {other:?}")),
        }
    }
}

fn broken(call: &'static str, code: i32, text: &str) -> End {
    End::Broken(SystemError { call, code, text: text.to_owned() })
}

impl Stage for CoreStage {
    fn exact(&self) -> bool {
        !self.relaying
    }

    fn variables(&self) -> Variables {
        let text = |name: &str, value: String| (name.to_owned(), value.into_bytes());
        let mut variables = facts::variables();
        variables.extend([
            text("client.ip", self.client.ip().to_string()),
            text("client.port", self.client.port().to_string()),
            text("listen.ip", LISTENER.ip().to_string()),
            text("listen.port", LISTENER.port().to_string()),
            text("backend.ip", BACKEND.ip().to_string()),
            text("backend.port", BACKEND.port().to_string()),
            text("auth.port", AUTH_SERVER.port().to_string()),
        ]);
        variables
    }

    fn open(&mut self, open: &Open) -> Acted {
        self.places.next(open.besides);
        self.client = match &open.from {
            Some(from) => from.parse().map_err(|error| format!("{from:?}: {error}"))?,
            None => CLIENT,
        };
        let peer = Peer { remote: self.client.into(), local: LISTENER.into() };
        let client = Client {
            peer: peer.clone(),
            listener: LISTENER.to_string().into(),
            proxy_protocol: self.proxy_protocol,
            tls_first: self.tls_first,
        };
        self.session = Some(Session::new(Arc::clone(&self.policy), client, Seed([7; 16]), self.now));
        (self.relaying, self.opening, self.choosing, self.client_is_gone) = (false, None, None, false);
        (self.securing, self.securing_backend, self.asked) = (None, None, None);
        self.known = BTreeSet::from([Wire::Client]);
        self.inbox = BTreeMap::from([(Wire::Client, Inbox::default())]);
        self.seen.clear();
        self.tell(Event::Opened(Wire::Client, peer))
    }

    fn client_sends(&mut self, octets: &[u8]) -> Acted {
        self.arrives(Wire::Client, octets, None)
    }

    fn pause(&mut self, _wire: Wire) -> Acted {
        Ok(()) // each event is heard as it comes
    }

    fn client_ends(&mut self, how: Ending) -> Acted {
        match how {
            Ending::Fin => self.arrives(Wire::Client, &[], Some(End::Finished)),
            Ending::Reset => {
                // A reset overtakes what was not read.
                self.client_is_gone = true;
                if let Some(inbox) = self.inbox.get_mut(&Wire::Client) {
                    inbox.octets.clear();
                }
                self.arrives(Wire::Client, &[], Some(broken("recv()", 104, "Connection reset by peer")))
            }
        }
    }

    fn shake_hands(&mut self, attempt: &TlsTry) -> Acted {
        let Some(mut begun) = self.securing.take() else {
            return Err("the proxy does not wait for a handshake".to_owned());
        };
        if let Some(inbox) = self.inbox.get_mut(&Wire::Client) {
            begun.append(&mut inbox.octets);
        }
        if begun != *attempt.begun {
            return Err(format!("the handshake begins with {} on the wire", Shown(&begun)));
        }
        match &attempt.expect {
            TlsResult::Ok | TlsResult::OkAlpn(_) => {
                self.tell(Event::Secured(Wire::Client, facts::facts(attempt)))
            }
            TlsResult::Alert(alert) => {
                self.tell(Event::Ended(Wire::Client, End::Insecure(alert.as_str().into())))
            }
            TlsResult::Fails => {
                self.tell(Event::Ended(Wire::Client, End::Insecure("the handshake failed".into())))
            }
        }
    }

    fn shake_backends_hand(&mut self, attempt: &BackendTls) -> Acted {
        let Some(name) = self.securing_backend.take() else {
            return Err("the proxy does not ask the backend for TLS".to_owned());
        };
        if name.as_deref() != attempt.name.as_deref() {
            return Err(format!("the proxy wants a certificate for {name:?}"));
        }
        match &attempt.fails {
            None => {
                let facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
                self.tell(Event::Secured(Wire::Backend, facts))
            }
            Some(reason) => self.tell(Event::Ended(Wire::Backend, End::Insecure(reason.as_str().into()))),
        }
    }

    fn look_up(&mut self, lookup: &Lookup) -> Acted {
        let asked = self.asked.take().ok_or("the proxy asks the DNS nothing")?;
        if !is_asked(&asked, &lookup.asks) {
            return Err(format!("the proxy asks the DNS for {asked:?}"));
        }
        match answer(&asked, &lookup.gets)? {
            Some(answer) => self.tell(Event::Resolved(answer)),
            None => Ok(()),
        }
    }

    fn reachable(&mut self, _server: Server, _yes: bool) -> Acted {
        Ok(()) // each attempt is accepted or refused by a step
    }

    fn accept(&mut self, server: Server) -> Acted {
        self.opening(server)?;
        let wire = Wire::from(server);
        self.inbox.insert(wire, Inbox::default());
        let remote = if server == Server::Auth { AUTH_SERVER } else { BACKEND };
        let local = SocketAddr::new(LISTENER.ip(), 50000);
        self.tell(Event::Opened(wire, Peer { remote: remote.into(), local: local.into() }))
    }

    fn refuse(&mut self, server: Server) -> Acted {
        self.opening(server)?;
        self.tell(Event::Ended(server.into(), broken("connect()", 111, "Connection refused")))
    }

    fn server_sends(&mut self, server: Server, octets: &[u8]) -> Acted {
        self.arrives(server.into(), octets, None)
    }

    fn server_ends(&mut self, server: Server, _how: Ending) -> Acted {
        match self.inbox.contains_key(&server.into()) {
            true => self.arrives(server.into(), &[], Some(End::Finished)),
            false => Ok(()), // the proxy was done with it first
        }
    }

    fn pass(&mut self, span: Duration, _quiet: bool) -> Acted {
        let until = self.now.after(span);
        for _ in 0..DEADLINES_MAX {
            let deadline = self.session.as_ref().and_then(Session::deadline);
            match deadline.filter(|deadline| deadline.at <= until && !self.relaying) {
                None => {
                    self.now = until;
                    return Ok(());
                }
                Some(deadline) => {
                    self.now = self.now.max(deadline.at);
                    self.tell(Event::Deadline)?;
                }
            }
        }
        Err(format!("{DEADLINES_MAX} deadlines passed and none of them moved on"))
    }

    fn drain(&mut self) -> Acted {
        self.tell(Event::Drain)
    }

    fn next(&mut self) -> Result<Option<Seen>, String> {
        Ok(self.seen.pop_front())
    }

    fn next_at_once(&mut self) -> Result<Option<Seen>, String> {
        Ok(self.seen.pop_front())
    }

    fn log(&mut self) -> Vec<String> {
        self.log.clone()
    }
}
