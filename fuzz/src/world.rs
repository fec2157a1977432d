//! A session with everything around it that a driver would have, made up and always the same.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use gatepost_core::limits::LIMIT_KEY_BYTES_MAX;
use gatepost_core::{
    Action, Actions, Answer, AuthServer, AuthUrl, Claim, Client, ConnLimit, Event, Instant, LimitKey,
    Mechanism, Mechanisms, NoPlace, NoServer, Peer, Peers, Place, Policy, Protocol, Question, ResolveError,
    Seed, Server, Session, StartTls, Target, Wire,
};

use crate::extras::Extras;
use crate::wires::{Line, Wires};

/// The password that only the auth server and the backend may see.
pub(crate) const BACKEND_PASSWORD: &str = "slate-and-chisel";

/// Octets sent to the client for each one that came from anywhere, at most: a capability list for the shortest command
/// that asks for one, or an error for an empty line. Greeting, farewell and what answers the login come on top.
const REPLY_OCTETS_PER_OCTET_MAX: usize = 64;
const REPLY_OCTETS_BESIDES_MAX: usize = 16 * 1024;

/// How a session under test is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) protocol: Protocol,
    pub(crate) starttls: StartTls,
    /// Whether `smtp_auth` has the word `none`.
    pub(crate) unauthenticated: bool,
    /// Whether clients come through a balancer (`listen … proxy_protocol`), which is believed.
    pub(crate) proxy_protocol: bool,
    /// Whether connections to the auth server are kept.
    pub(crate) keepalive: bool,
    /// What else a policy may ask for.
    pub(crate) extras: Extras,
}

impl Setting {
    /// The simplest there is.
    pub(crate) const fn plain(protocol: Protocol) -> Self {
        let (unauthenticated, proxy_protocol, keepalive) = (false, false, false);
        let extras = Extras::of(0, 0);
        Self { protocol, starttls: StartTls::Off, unauthenticated, proxy_protocol, keepalive, extras }
    }
}

/// A session and its surroundings.
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) setting: Setting,
    /// Whether a backend was told more than what any may hear.
    told: bool,
    pub(crate) now: Instant,
    pub(crate) wires: Wires,
    pub(crate) story: Story,
    out: Actions,
    /// The places that the session asks for.
    claims: Option<Vec<Claim>>,
    /// What the session asks the DNS, where nothing has a name.
    asked: Option<Question>,
    /// The backends that are left to choose from, in their order.
    places: VecDeque<Place>,
    /// The session waits for one of them.
    choosing: bool,
    /// A connection to the auth server that was kept will do.
    pub(crate) reusable: bool,
    heard_octets: usize,
    /// What the backend said, which may go on to the client as it is.
    backend_said: Vec<u8>,
}

/// What came out of a session: everything that somebody outside can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Story {
    pub(crate) to_client: Vec<u8>,
    /// An auth request each, the last one perhaps not complete.
    pub(crate) to_auth: Vec<Vec<u8>>,
    pub(crate) to_backend: Vec<u8>,
    pub(crate) backends: Vec<Target>,
    pub(crate) reports: Vec<String>,
    /// What the relay begins with, to the backend and to the client.
    pub(crate) relay: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) hung_up: bool,
}

impl Story {
    /// The same, with what is told of a PROXY header that is none cut off: it is shown as far as it came.
    pub(crate) fn without_first_words(mut self) -> Self {
        for report in &mut self.reports {
            if let Some((beginning, _)) = report.split_once("broken header: ") {
                *report = beginning.to_owned();
            }
        }
        self
    }
}

impl World {
    /// A session whose client has just connected.
    pub(crate) fn new(setting: Setting) -> Self {
        let now = Instant::from_unix_millis(1_800_000_000_000);
        let peer = Peer { remote: address(7, 50_000).into(), local: address(1, 143).into() };
        let client = Client {
            peer: peer.clone(),
            listener: Arc::from("127.0.0.1:143"),
            proxy_protocol: setting.proxy_protocol,
            tls_first: setting.extras.tls_first,
        };
        let mut world = Self {
            session: Session::new(Arc::new(policy(setting)), client, Seed([7; 16]), now),
            setting,
            told: false,
            now,
            wires: Wires::default(),
            story: Story::default(),
            out: Actions::new(),
            claims: None,
            asked: None,
            places: VecDeque::new(),
            choosing: false,
            reusable: false,
            heard_octets: 0,
            backend_said: Vec::new(),
        };
        world.wires.set(Wire::Client, Line::Open);
        world.tell(Event::Opened(Wire::Client, peer));
        world
    }

    /// Whether the session still has something to do.
    pub(crate) fn lives(&self) -> bool {
        self.session.deadline().is_some()
    }

    /// Whether octets from `wire` would be read now.
    pub(crate) fn hears(&self, wire: Wire) -> bool {
        self.lives() && self.wires.line(wire).may_speak() && self.session.wants(wire)
    }

    /// Lets the moment of the session's deadline come.
    pub(crate) fn wait(&mut self) {
        if let Some(deadline) = self.session.deadline() {
            self.now = self.now.max(deadline.at);
            self.tell(Event::Deadline);
        }
    }

    /// Tells the session something and does what it asks, checking that it may.
    pub(crate) fn tell(&mut self, event: Event<'_>) {
        if let Event::Received(wire, octets) = event {
            self.heard_octets += octets.len();
            if wire == Wire::Backend {
                self.backend_said.extend(octets);
            }
        }
        if let Event::Ended(wire, _) = &event {
            self.wires.set(*wire, if *wire == Wire::Client { Line::Ended } else { Line::Down });
        }
        self.session.handle(self.now, event, &mut self.out);
        let mut out = std::mem::take(&mut self.out);
        for action in out.drain() {
            let shown = format!("{action:?}");
            assert!(!shown.contains(BACKEND_PASSWORD), "a trace shows a secret: {shown}");
            assert!(self.story.relay.is_none(), "an action behind the relay: {shown}");
            self.perform(action);
        }
        self.out = out;
        if self.story.relay.is_some() {
            assert!(!self.lives(), "the relay has begun and the session still waits for something");
        }
        let bound = self.heard_octets * REPLY_OCTETS_PER_OCTET_MAX + REPLY_OCTETS_BESIDES_MAX;
        let said = self.story.to_client.len();
        assert!(said <= bound, "{said} octets of replies to {} octets", self.heard_octets);
        if std::mem::take(&mut self.choosing) {
            let chosen = match self.places.pop_front() {
                Some(Place::At(address)) => Ok(Server { address, name: None }),
                Some(Place::Named(name, _)) => {
                    Err(NoServer::Unresolved { name, error: ResolveError::NotFound })
                }
                None => Err(NoServer::Exhausted),
            };
            if chosen.is_ok() {
                self.wires.set(Wire::Backend, Line::Dialing);
            }
            self.tell(Event::Chosen(Wire::Backend, chosen));
        }
        if let Some(claims) = self.claims.take() {
            // Whoever has a name that begins with y or z has no place.
            let of = |octet| claims.iter().find(|claim| claim.key.expose().first() == Some(&octet));
            let full = of(b'y').map(|claim| NoPlace::Full(claim.zone.clone()));
            let short = of(b'z').map(|claim| NoPlace::NoMemory(claim.zone.clone()));
            self.tell(Event::Admitted(full.or(short).map_or(Ok(()), Err)));
        }
        if let Some(question) = self.asked.take() {
            self.tell(Event::Resolved(match (question, self.setting.extras.named) {
                (Question::NameOf(_), true) => Answer::Name(Ok(b"Client.Test.".to_vec())),
                (Question::NameOf(_), false) => Answer::Name(Err(ResolveError::NotFound)),
                (Question::AddressesOf(..), _) if self.setting.extras.nearly => {
                    Answer::Addresses(Ok(vec![Ipv4Addr::new(127, 0, 0, 8).into()]))
                }
                (Question::AddressesOf(..), _) => {
                    Answer::Addresses(Ok(vec![Ipv4Addr::new(127, 0, 0, 7).into()]))
                }
            }));
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::OpenOrReuse(wire, target, _) => {
                assert_eq!(wire, Wire::Auth, "no other wire is kept");
                self.perform(Action::Open(wire, target));
                self.reusable = true;
            }
            Action::Reopen(wire) => {
                assert_eq!(wire, Wire::Auth, "no other wire is kept");
                let line = self.wires.line(wire);
                assert!(matches!(line, Line::Open | Line::Down), "{wire:?} is given up while {line:?}");
                assert!(!self.reusable, "a new connection is no older than the question");
                self.wires.set(wire, Line::Dialing);
                self.story.to_auth.push(Vec::new());
            }
            Action::Keep(wire, _) => {
                assert_eq!(wire, Wire::Auth, "no other wire is kept");
                assert_eq!(self.wires.line(wire), Line::Open, "a connection is kept that is none");
                self.wires.set(wire, Line::Down);
            }
            Action::Open(wire, target) => {
                self.reusable &= wire != Wire::Auth;
                assert_eq!(self.wires.line(wire), Line::Down, "{wire:?} is opened twice");
                assert_ne!(wire, Wire::Client, "the client is not dialed");
                match &target {
                    Target::AnyOf(places) => self.places = places.iter().cloned().collect(),
                    Target::Address(_) | Target::Group(_) => self.places.clear(),
                }
                match target.is_choice() {
                    true => self.choosing = true,
                    false => self.wires.set(wire, Line::Dialing),
                }
                match wire {
                    Wire::Auth => self.story.to_auth.push(Vec::new()),
                    _ => self.story.backends.push(target),
                }
            }
            Action::OpenNext(wire) => {
                assert_eq!(wire, Wire::Backend, "there is one auth server");
                assert!(!self.told, "a second backend hears of the login");
                self.story.to_backend.clear();
                self.wires.set(wire, Line::Down);
                self.choosing = true;
            }
            Action::Judge(wire, _) => assert_eq!(wire, Wire::Backend, "there is one auth server"),
            Action::Send(wire, payload) => {
                let line = self.wires.line(wire);
                assert!(line.takes_octets(), "octets for {wire:?}, which is {line:?}");
                self.told |= wire == Wire::Backend && !self.setting.extras.is_preliminary(payload.expose());
                self.send(wire, payload.expose());
            }
            Action::Secure(wire, _) => {
                assert_eq!(self.wires.line(wire), Line::Open, "a handshake on {wire:?}");
                self.wires.set(wire, Line::Securing);
            }
            Action::Admit(claims) => {
                let mut keys = claims.iter().map(|claim| claim.key.len());
                assert!(keys.all(|octets| (1..=LIMIT_KEY_BYTES_MAX).contains(&octets)), "an impossible key");
                assert!(self.story.backends.is_empty(), "a session is counted behind its backend");
                self.claims = Some(claims);
            }
            Action::Resolve(question) => self.asked = Some(question),
            Action::Close(wire) => {
                self.choosing &= wire != Wire::Backend;
                self.wires.set(wire, Line::Down);
                self.story.hung_up |= wire == Wire::Client;
            }
            Action::Relay(leftovers) => {
                assert!(self.wires.line(Wire::Client).takes_octets(), "a relay without a client");
                assert_eq!(self.wires.line(Wire::Backend), Line::Open, "a relay without a backend");
                let to_backend = leftovers.to_backend.expose().to_vec();
                self.story.relay = Some((to_backend, leftovers.to_client.to_vec()));
            }
            Action::Report(report) => {
                let line = report.to_string();
                let controls = line.bytes().any(|octet| octet.is_ascii_control());
                assert!(!controls, "a log line with control characters: {line:?}");
                assert!(!line.contains(BACKEND_PASSWORD), "a log line with a password: {line:?}");
                self.story.reports.push(line);
            }
        }
    }

    fn send(&mut self, wire: Wire, octets: &[u8]) {
        match wire {
            Wire::Client => {
                for line in octets.split_inclusive(|&octet| octet == b'\n') {
                    let passed_on = self.backend_said.windows(line.len()).any(|said| said == line);
                    assert!(
                        line.ends_with(b"\r\n") || passed_on,
                        "a reply that is neither a whole line nor the backend's: {line:?} of {octets:?}"
                    );
                }
                self.story.to_client.extend(octets);
            }
            Wire::Auth => {
                if let Some(request) = self.story.to_auth.last_mut() {
                    request.extend(octets);
                    check_request(request);
                }
            }
            Wire::Backend => {
                let has_auth_server = !self.setting.extras.pass_through;
                assert!(
                    !has_auth_server || !self.story.to_auth.is_empty(),
                    "a backend is told before the auth server"
                );
                self.story.to_backend.extend(octets);
            }
        }
    }
}

/// An auth request ends where it should and each of its lines is one header, whatever the client said.
fn check_request(request: &[u8]) {
    let Some(head) = request.strip_suffix(b"\r\n\r\n") else { return };
    let mut lines = head.split(|&octet| octet == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let first = lines.next().unwrap_or_default();
    assert!(matches!(first, b"GET /auth HTTP/1.0" | b"GET /auth HTTP/1.1"), "a request line: {first:?}");
    for line in lines {
        let name = line.split(|&octet| octet == b':').next().unwrap_or_default();
        let proper =
            !name.is_empty() && name.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
        assert!(proper, "a header without a name: {line:?}");
        assert!(!line.contains(&b'\r') && !line.contains(&0), "a control octet in a header: {line:?}");
    }
}

fn policy(setting: Setting) -> Policy {
    let target = Target::Address(address(2, 9000).into());
    let mut auth = AuthServer::at(vec![AuthUrl { uri: "/auth".into(), ..AuthUrl::new(target, "127.0.0.2") }]);
    auth.keepalive = usize::from(setting.keepalive);
    let mut policy = Policy::new(setting.protocol, "mx.test", auth);
    policy.starttls = setting.starttls;
    policy.backend.tls_configured = true;
    policy.unauthenticated = setting.unauthenticated;
    policy.real_ip_from = vec![Peers::All];
    policy.mechanisms = [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5, Mechanism::Apop]
        .into_iter()
        .filter(|&mechanism| mechanism != Mechanism::Apop || setting.protocol == Protocol::Pop3)
        .fold(Mechanisms::none(), Mechanisms::with);
    // Small, so that their edges are within a fuzzer's reach.
    policy.client_buffer_bytes = 256;
    policy.commands_max = 50;
    let limit = |zone: &str, key, early| ConnLimit { zone: zone.into(), key, connections: 1, early };
    policy.conn_limits.limits = vec![
        limit("address", LimitKey::Address, true),
        limit("user", LimitKey::Login, false),
        limit("plan", LimitKey::Header("x_plan".into()), false),
    ];
    policy.timeout = std::time::Duration::from_secs(5);
    setting.extras.apply(&mut policy);
    policy
}

/// An address of 127.0.0.0/8.
pub(crate) fn address(last: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), port).into()
}
