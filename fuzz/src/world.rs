//! A session with everything around it that a driver would have, made up and always the same.

mod answers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use gatepost_core::limits::LIMIT_KEY_BYTES_MAX;
use gatepost_core::{
    Action, Actions, Claim, Client, Event, Instant, Place, Question, Seed, Session, Target, Wire,
};

use crate::setting::{Setting, policy};
use crate::wires::{Line, Wires};

/// The password that only the auth server and the backend may see.
pub(crate) const BACKEND_PASSWORD: &str = "slate-and-chisel";

/// Octets sent to the client for each one that came from anywhere, at most: a capability list for the shortest command
/// that asks for one, or an error for an empty line. Greeting, farewell and what answers the login come on top.
const REPLY_OCTETS_PER_OCTET_MAX: usize = 64;
const REPLY_OCTETS_BESIDES_MAX: usize = 16 * 1024;

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
    /// The auth servers and the backends that are left to choose from, in their order.
    places: BTreeMap<Wire, VecDeque<Place>>,
    /// The session waits for one of them.
    choosing: Option<Wire>,
    /// Whether a place was asked for that was not there.
    turned_away: bool,
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
        let peer = setting.rarities.client();
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
            places: BTreeMap::new(),
            choosing: None,
            turned_away: false,
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
        let trace = format!("{event:?}");
        assert!(!trace.contains(BACKEND_PASSWORD), "a trace shows a secret: {trace}");
        self.session.handle(self.now, event, &mut self.out);
        let mut out = std::mem::take(&mut self.out);
        for action in &out {
            let shown = format!("{action:?}");
            assert!(!shown.contains(BACKEND_PASSWORD), "a trace shows a secret: {shown}");
        }
        for action in out.drain() {
            assert!(self.story.relay.is_none(), "an action behind the relay: {action:?}");
            self.perform(action);
        }
        self.out = out;
        assert_eq!(self.lives(), self.session.phase() != "Closed", "a phase that waits for nothing");
        if !self.lives() {
            self.check_facts();
        }
        let bound = self.heard_octets * REPLY_OCTETS_PER_OCTET_MAX + REPLY_OCTETS_BESIDES_MAX;
        let said = self.story.to_client.len();
        assert!(said <= bound, "{said} octets of replies to {} octets", self.heard_octets);
        self.answer();
    }

    /// What is told of a session that is over is what was seen of it.
    fn check_facts(&self) {
        let facts = self.session.facts();
        let shown = format!("{facts:?}");
        assert!(!shown.contains(BACKEND_PASSWORD), "a session's facts show a secret: {shown}");
        if self.story.relay.is_some() {
            assert!(facts.upstream.is_some() && facts.attempts > 0, "a relay from nowhere: {shown}");
        }
        if let Some(limit) = facts.limit {
            assert_eq!(limit.name().starts_with("REJECTED"), self.turned_away, "{shown}");
        }
        // Only of those who were turned away at the door nothing more is read.
        assert!(self.session.lingering().close || self.story.to_auth.is_empty(), "{shown}");
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
                let places = match &target {
                    Target::AnyOf(places) => places.iter().cloned().collect(),
                    Target::Group(group) => self.setting.rarities.members(wire, group.servers),
                    Target::Address(_) => VecDeque::new(),
                };
                self.places.insert(wire, places);
                match target.is_choice() {
                    true => self.choosing = Some(wire),
                    false => self.wires.set(wire, Line::Dialing),
                }
                match wire {
                    Wire::Auth => self.story.to_auth.push(Vec::new()),
                    _ => self.story.backends.push(target),
                }
            }
            Action::OpenNext(wire) => {
                assert_ne!(wire, Wire::Client, "the client is not dialed");
                if wire == Wire::Auth {
                    self.story.to_auth.push(Vec::new());
                } else {
                    assert!(!self.told, "a second backend hears of the login");
                    self.story.to_backend.clear();
                }
                self.wires.set(wire, Line::Down);
                self.choosing = Some(wire);
            }
            Action::Judge(wire, _) => assert_ne!(wire, Wire::Client, "the client is not judged"),
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
                self.choosing = self.choosing.filter(|&chosen| chosen != wire);
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
                let line = format!("[{}] {report}", report.level().name());
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
