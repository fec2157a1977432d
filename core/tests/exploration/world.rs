//! One state: the session, the wires as a driver would see them, and what has to be remembered to tell whether the claims hold.

use std::hash::{DefaultHasher, Hash, Hasher};

use gatepost_core::report::Notice;
use gatepost_core::{
    Action, Answer, BackendTls, End, Event, Instant, NoServer, Place, Protocol, ResolveError, Server,
    StartTls, SystemError, Target, TlsFacts, WaitingFor, Wire,
};

use crate::alphabet::{self, BLAME, MALLORYS, Means, SECRETS, Word};
use crate::claim::{Broken, Claim};
use crate::setting::{Decides, Door, NOW, PLACES, Setting, address, peer};
use crate::subject::Subject;
use crate::wires::{Line, Wires};

/// More deadlines than come one after the other in any session that nobody speaks to.
const DEADLINES_MAX: usize = 16;

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Opened(Wire),
    Says(Wire, Word),
    Secured(Wire),
    Finished(Wire),
    Broken(Wire),
    Insecure(Wire),
    /// The next of the places is the one.
    Chosen(Wire),
    /// The next of the places has a name that leads nowhere.
    Unresolved(Wire),
    Exhausted(Wire),
    Named,
    NamedOddly,
    Nameless,
    AddressIs(&'static str),
    Deadline,
    Drain,
}

impl Happening {
    /// Whose doing it is.
    pub(crate) const fn cause(self) -> &'static str {
        match self {
            Self::Opened(wire)
            | Self::Says(wire, _)
            | Self::Secured(wire)
            | Self::Finished(wire)
            | Self::Broken(wire)
            | Self::Insecure(wire)
            | Self::Chosen(wire)
            | Self::Unresolved(wire)
            | Self::Exhausted(wire) => match wire {
                Wire::Client => "client",
                Wire::Auth => "auth server",
                Wire::Backend => "backend",
            },
            Self::Named | Self::NamedOddly | Self::Nameless | Self::AddressIs(_) => "DNS",
            Self::Deadline => "deadline",
            Self::Drain => "shutdown",
        }
    }
}

/// A state.
#[derive(Clone, Debug, Hash)]
#[expect(
    clippy::derived_hash_with_manual_eq,
    reason = "states are the same that hash alike, as for the checker"
)]
pub(crate) struct World<S> {
    session: S,
    /// A session that has said nothing in clear but STARTTLS, and is told everything that came under TLS.
    twin: Option<S>,
    now: Instant,
    wires: Wires,
    client_words: u8,
    auth_words: u8,
    backend_words: u8,
    pub(crate) seen: Seen,
    pub(crate) broken: Broken,
}

/// What has been, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    client_tls: bool,
    backend_tls: bool,
    /// Whether the auth server said OK to the login under way.
    granted: bool,
    /// Whether somebody who may has said that a login is wrong.
    said_no: bool,
    /// Whether the wait under way is one to ask again after.
    asking_again: bool,
    /// Whether the backend that is connected has heard of the login, and whether one has that was before it.
    told: bool,
    told_before: bool,
    places: u8,
    /// What of the client's words is kept for the backend, where that is known.
    ahead: Option<Vec<u8>>,
    over: bool,
    pub(crate) relayed: bool,
    pub(crate) refused: bool,
    pub(crate) troubled: bool,
    pub(crate) waited: bool,
    pub(crate) another: bool,
    pub(crate) secured: bool,
}

impl<S: Subject> World<S> {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            session: S::begin(setting),
            twin: None,
            now: NOW,
            wires: Wires::default(),
            client_words: setting.client_words,
            auth_words: 0,
            backend_words: setting.backend_words,
            seen: Seen::default(),
            broken: Broken::default(),
        }
    }

    /// Where the session is: in a phase, in the relay, or over.
    pub(crate) fn place(&self) -> &'static str {
        match (self.seen.relayed, self.seen.over) {
            (true, _) => "Relay",
            (false, true) => "[*]",
            (false, false) => self.session.phase(),
        }
    }

    /// Everything that may happen next.
    pub(crate) fn happenings(&self, setting: Setting, all: &mut Vec<Happening>) {
        if self.broken != Broken::default() {
            return;
        }
        let Some(deadline) = self.session.deadline() else { return };
        all.extend([Happening::Deadline, Happening::Drain]);
        self.clients(setting, deadline.waiting_for, all);
        if deadline.waiting_for == WaitingFor::Name {
            all.extend([Happening::Named, Happening::NamedOddly, Happening::Nameless]);
            all.extend(["192.0.2.7", "192.0.2.8", "203.0.113.9"].map(Happening::AddressIs));
        }
        for wire in [Wire::Auth, Wire::Backend] {
            match self.wires.line(wire) {
                Line::Choosing(others) if usize::from(others) < PLACES.len() => {
                    all.extend([
                        Happening::Chosen(wire),
                        Happening::Unresolved(wire),
                        Happening::Exhausted(wire),
                    ]);
                }
                Line::Choosing(_) => all.push(Happening::Exhausted(wire)),
                Line::Dialing(_) => all.extend([Happening::Opened(wire), Happening::Broken(wire)]),
                Line::Securing => all.extend([Happening::Secured(wire), Happening::Insecure(wire)]),
                Line::Open => all.extend([Happening::Finished(wire), Happening::Broken(wire)]),
                Line::Down | Line::Finished => {}
            }
        }
        if self.wires.line(Wire::Auth) == Line::Open && self.session.wants(Wire::Auth) && self.auth_words > 0
        {
            all.extend(alphabet::AUTH.map(|word| Happening::Says(Wire::Auth, word)));
        }
        if self.wires.line(Wire::Backend) == Line::Open
            && self.session.wants(Wire::Backend)
            && self.backend_words > 0
        {
            let in_clear = setting.backend_tls != BackendTls::Off && !self.seen.backend_tls;
            let words = alphabet::backend(setting.protocol, in_clear).iter();
            all.extend(words.map(|&word| Happening::Says(Wire::Backend, word)));
        }
    }

    fn clients(&self, setting: Setting, waiting_for: WaitingFor, all: &mut Vec<Happening>) {
        match self.wires.line(Wire::Client) {
            Line::Down if self.now == NOW && !self.seen.over => all.push(Happening::Opened(Wire::Client)),
            Line::Securing => all.extend([
                Happening::Secured(Wire::Client),
                Happening::Insecure(Wire::Client),
                Happening::Finished(Wire::Client),
            ]),
            Line::Open => {
                all.extend([Happening::Finished(Wire::Client), Happening::Broken(Wire::Client)]);
                if !self.session.wants(Wire::Client) || self.client_words == 0 {
                    return;
                }
                let words = match waiting_for {
                    WaitingFor::ProxyHeader => &alphabet::PROXY_HEADERS[..],
                    _ => {
                        let in_clear = setting.starttls != StartTls::Off && !self.seen.client_tls;
                        alphabet::client(setting.protocol, in_clear)
                    }
                };
                all.extend(words.iter().map(|&word| Happening::Says(Wire::Client, word)));
            }
            _ => {}
        }
    }

    /// Lets it happen.
    pub(crate) fn let_happen(&mut self, setting: Setting, what: Happening) {
        let broken = || End::Broken(SystemError { call: "recv()", code: 104, text: "reset".into() });
        let insecure = || End::Insecure("bad record".into());
        let facts = || TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
        let event = match what {
            Happening::Opened(Wire::Client) => {
                self.wires.set(Wire::Client, Line::Open);
                Event::Opened(Wire::Client, setting.client().peer)
            }
            Happening::Opened(wire) => {
                self.wires.set(wire, Line::Open);
                Event::Opened(wire, peer(PLACES[0]))
            }
            Happening::Says(wire, word) => {
                match wire {
                    Wire::Client => self.client_words -= 1,
                    Wire::Auth => self.auth_words -= 1,
                    Wire::Backend => self.backend_words -= 1,
                }
                Event::Received(wire, word.octets.as_bytes())
            }
            Happening::Secured(wire) => {
                self.wires.set(wire, Line::Open);
                Event::Secured(wire, facts())
            }
            Happening::Finished(Wire::Client) => {
                self.wires.set(Wire::Client, Line::Finished);
                Event::Ended(Wire::Client, End::Finished)
            }
            Happening::Finished(wire) => {
                self.wires.set(wire, Line::Finished);
                Event::Ended(wire, End::Finished)
            }
            Happening::Broken(wire) => {
                self.wires.set(wire, Line::Finished);
                Event::Ended(wire, broken())
            }
            Happening::Insecure(wire) => {
                self.wires.set(wire, Line::Finished);
                Event::Ended(wire, insecure())
            }
            Happening::Chosen(wire) => {
                let Line::Choosing(others) = self.wires.line(wire) else { return };
                self.wires.set(wire, Line::Dialing(others + 1));
                self.seen.places = others + 1;
                let address = address(PLACES[usize::from(others)]);
                Event::Chosen(wire, Ok(Server { address, name: None }))
            }
            Happening::Unresolved(wire) => {
                let Line::Choosing(others) = self.wires.line(wire) else { return };
                self.wires.set(wire, Line::Dialing(others + 1));
                let none = NoServer::Unresolved { name: "here.test".into(), error: ResolveError::NotFound };
                Event::Chosen(wire, Err(none))
            }
            Happening::Exhausted(wire) => Event::Chosen(wire, Err(NoServer::Exhausted)),
            Happening::Named => Event::Resolved(Answer::Name(Ok(b"Client.Test.".to_vec()))),
            Happening::NamedOddly => Event::Resolved(Answer::Name(Ok(b"client test".to_vec()))),
            Happening::Nameless => Event::Resolved(Answer::Name(Err(ResolveError::NotFound))),
            Happening::AddressIs(address) => {
                Event::Resolved(Answer::Addresses(Ok(vec![address.parse().unwrap()])))
            }
            Happening::Deadline => {
                self.now = self.now.max(self.session.deadline().map_or(self.now, |deadline| deadline.at));
                Event::Deadline
            }
            Happening::Drain => Event::Drain,
        };
        self.tell(setting, what, event);
    }

    fn tell(&mut self, setting: Setting, what: Happening, event: Event<'_>) {
        let before = self.session.deadline().map(|deadline| deadline.waiting_for);
        if let Happening::Says(wire, word) = what {
            match (wire, word.means) {
                (Wire::Auth, Means::Yes) => self.seen.granted = true,
                (Wire::Backend, Means::No) => self.seen.said_no |= setting.decides == Decides::Backend,
                (Wire::Auth, Means::No) => (self.seen.said_no, self.seen.asking_again) = (true, false),
                (Wire::Auth, Means::AskAgain) => self.seen.asking_again = true,
                _ => {}
            }
        }
        let secured = matches!(what, Happening::Secured(Wire::Client));
        self.seen.client_tls |= secured;
        self.seen.secured |= secured;
        self.seen.backend_tls |= matches!(what, Happening::Secured(Wire::Backend));

        let actions = self.session.handle(self.now, event.clone());
        if secured && setting.door != Door::Tls {
            self.twin = Some(self.about_to_be_secured(setting));
        }
        if let Some(twin) = &mut self.twin {
            let twins = twin.handle(self.now, event);
            let alike = actions.iter().map(overheard).eq(twins.iter().map(overheard));
            self.broken.unless(alike, Claim::NothingInClearCounts);
        }
        self.broken.unless(!self.seen.over || actions.is_empty(), Claim::OneEnding);
        self.endings(&actions);
        self.keeps(before, what, &actions);
        let relays = actions.iter().any(|action| matches!(action, Action::Relay(_)));
        for action in &actions {
            self.perform(setting, what, action, relays);
        }
        self.outlook();
    }

    /// One that came this far without a word in clear but the one for TLS.
    fn about_to_be_secured(&self, setting: Setting) -> S {
        let mut twin = S::begin(setting);
        twin.handle(NOW, Event::Opened(Wire::Client, setting.client().peer));
        if setting.door == Door::ProxyHeader {
            twin.handle(NOW, Event::Received(Wire::Client, alphabet::PROXY_HEADERS[1].octets.as_bytes()));
        }
        if setting.protocol == Protocol::Smtp && setting.door == Door::ProxyHeader {
            twin.handle(NOW, Event::Resolved(Answer::Name(Err(ResolveError::NotFound))));
        }
        twin.handle(NOW, Event::Received(Wire::Client, alphabet::starttls(setting.protocol).as_bytes()));
        twin
    }

    /// How a session may end.
    fn endings(&mut self, actions: &[Action]) {
        let ends = |action: &&Action| matches!(action, Action::Close(Wire::Client) | Action::Relay(_));
        let (endings, over) = (actions.iter().filter(ends).count(), self.session.deadline().is_none());
        let reports = actions.iter().filter(|action| tells_the_end(action)).count();
        let once = if over && !self.seen.over { endings == 1 } else { endings == 0 };
        let last = endings == 0 || actions.last().is_some_and(|last| ends(&last));
        let told = if endings == 0 { reports == 0 } else { reports <= 1 };
        self.broken.unless(once && last && told, Claim::OneEnding);
        self.seen.over |= endings > 0;
    }

    /// Keeps account of what the client has said ahead of its turn.
    fn keeps(&mut self, before: Option<WaitingFor>, what: Happening, actions: &[Action]) {
        use WaitingFor::{Auth, Backend, Penalty};
        let is_busy = |waiting| matches!(waiting, Some(Auth | Backend | Penalty));
        let after = self.session.deadline().map(|deadline| deadline.waiting_for);
        match what {
            Happening::Says(Wire::Client, word) if is_busy(before) => {
                if let Some(ahead) = &mut self.seen.ahead {
                    ahead.extend_from_slice(word.octets.as_bytes());
                }
            }
            Happening::Says(Wire::Client, word) if is_busy(after) => {
                self.seen.ahead = Some(word.behind.as_bytes().to_vec());
            }
            // What was kept has been used, and perhaps not all of it.
            _ if before == Some(Penalty) && after != Some(Penalty) && !self.seen.asking_again => {
                self.seen.ahead = None;
            }
            _ => {}
        }
        for action in actions {
            if let (Action::Relay(leftovers), Happening::Says(_, word)) = (action, what) {
                let ahead = self.seen.ahead.as_deref().unwrap_or(leftovers.to_backend.expose());
                let whole = leftovers.to_backend.expose() == ahead && leftovers.to_client == word.behind;
                self.broken.unless(whole, Claim::NothingIsLost);
            }
        }
    }

    fn perform(&mut self, setting: Setting, what: Happening, action: &Action, relays: bool) {
        let in_clear = setting.starttls == StartTls::Only && !self.seen.client_tls;
        match action {
            Action::Open(wire, target) => {
                self.broken.unless(self.wires.line(*wire) == Line::Down, Claim::WiresAreKept);
                self.broken.unless(!in_clear, Claim::NoPasswordInClear);
                self.wires.set(*wire, if target.is_choice() { Line::Choosing(0) } else { Line::Dialing(1) });
                self.open(setting, *wire, target);
            }
            // No setting asks for connections that are kept.
            Action::OpenOrReuse(..) | Action::Reopen(_) | Action::Keep(..) => {
                self.broken.unless(false, Claim::WiresAreKept);
            }
            Action::OpenNext(wire) => {
                let others = match self.wires.line(*wire) {
                    Line::Dialing(others) => others,
                    _ => self.seen.places,
                };
                self.wires.set(*wire, Line::Choosing(others));
                self.seen.another |= *wire == Wire::Backend && others > 0;
                self.seen.backend_tls &= *wire != Wire::Backend;
                self.seen.told_before |= self.seen.told;
                self.seen.told = false;
            }
            Action::Send(wire, payload) => {
                self.broken.unless(self.wires.line(*wire).takes_octets(), Claim::WiresAreKept);
                let words = String::from_utf8_lossy(payload.expose());
                self.hears(setting, *wire, &words);
                if *wire == Wire::Client {
                    self.is_told(what, &words, relays);
                }
            }
            Action::Secure(wire, _) => {
                self.broken.unless(self.wires.line(*wire) == Line::Open, Claim::WiresAreKept);
                self.wires.set(*wire, Line::Securing);
            }
            Action::Close(wire) => self.wires.set(*wire, Line::Down),
            Action::Relay(leftovers) => {
                let joined = self.wires.line(Wire::Client).takes_octets()
                    && self.wires.line(Wire::Backend) == Line::Open;
                self.broken.unless(joined, Claim::WiresAreKept);
                self.wires = Wires::default();
                self.seen.relayed = true;
                let leftovers = [leftovers.to_backend.expose(), &leftovers.to_client].concat();
                self.hears(setting, Wire::Backend, &String::from_utf8_lossy(&leftovers));
            }
            Action::Report(report) => {
                let line = report.to_string();
                self.broken.unless(!holds(&line, &SECRETS), Claim::NoPasswordIsTold);
            }
            // In no setting are sessions counted.
            Action::Admit(_) => self.broken.unless(false, Claim::WiresAreKept),
            Action::Resolve(_) | Action::Judge(..) => {}
        }
    }

    fn open(&mut self, setting: Setting, wire: Wire, target: &Target) {
        match wire {
            Wire::Auth => {
                self.auth_words = setting.auth_words;
                (self.seen.granted, self.seen.said_no) = (false, false);
                self.seen.waited |= self.seen.asking_again;
            }
            _ => {
                let granted = self.seen.granted || setting.decides == Decides::Backend;
                self.broken.unless(granted, Claim::NoCredentialBeforeOk);
                let inet = match target {
                    Target::AnyOf(places) => places.iter().all(|place| matches!(place, Place::At(_))),
                    Target::Address(_) | Target::Group(_) => true,
                };
                assert!(inet, "nobody here has a name");
            }
        }
    }

    /// Somebody is sent octets.
    fn hears(&mut self, setting: Setting, wire: Wire, words: &str) {
        let under_tls = self.seen.client_tls || setting.starttls == StartTls::Off;
        if under_tls {
            self.broken.unless(!holds(words, &MALLORYS), Claim::NothingInClearCounts);
        }
        if wire != Wire::Backend {
            return;
        }
        let granted = self.seen.granted || setting.decides == Decides::Backend;
        self.broken.unless(granted, Claim::NoCredentialBeforeOk);
        let manners = ["STARTTLS", "STLS", "EHLO ", "HELO "];
        if !manners.iter().any(|manner| words.contains(manner)) {
            self.seen.told = true;
            let tls = self.seen.backend_tls || setting.backend_tls == BackendTls::Off;
            self.broken.unless(tls, Claim::NoCredentialWithoutTls);
            self.broken.unless(!self.seen.told_before, Claim::OneBackendHears);
        }
    }

    /// The client is sent octets.
    fn is_told(&mut self, what: Happening, words: &str, relays: bool) {
        let blamed = holds(words, &BLAME);
        let own_doing = matches!(what, Happening::Says(Wire::Client, _));
        let fair = self.seen.said_no || own_doing || relays;
        self.broken.unless(!blamed || fair, Claim::TroubleIsNoWrongPassword);
        self.seen.refused |= blamed && !own_doing;
        self.seen.troubled |=
            ["[UNAVAILABLE]", "-ERR internal", "451 "].iter().any(|word| words.contains(word));
    }

    /// What is ahead of this state.
    fn outlook(&mut self) {
        match self.session.deadline() {
            None => {
                self.broken.unless(self.seen.over, Claim::DeadlineWhileAlive);
                let down = [Wire::Client, Wire::Auth, Wire::Backend]
                    .iter()
                    .all(|&wire| matches!(self.wires.line(wire), Line::Down));
                self.broken.unless(down, Claim::WiresAreKept);
            }
            Some(deadline) => {
                let ahead = deadline.at >= self.now && !self.seen.over;
                self.broken.unless(ahead, Claim::DeadlineWhileAlive);
            }
        }
        let mut alone = self.session.clone();
        let mut left = DEADLINES_MAX;
        while let Some(deadline) = alone.deadline().filter(|_| left > 0) {
            alone.handle(deadline.at.max(self.now), Event::Deadline);
            left -= 1;
        }
        self.broken.unless(left > 0, Claim::LeftAloneItEnds);
    }
}

impl<S: Hash> PartialEq for World<S> {
    fn eq(&self, other: &Self) -> bool {
        let digest = |world: &Self| {
            let mut hasher = DefaultHasher::new();
            world.hash(&mut hasher);
            hasher.finish()
        };
        digest(self) == digest(other)
    }
}

fn holds(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// Whether an action is a report of why the session ends.
fn tells_the_end(action: &Action) -> bool {
    let Action::Report(report) = action else { return false };
    matches!(
        report.notice,
        Notice::LoggedIn
            | Notice::ClientTimedOut
            | Notice::ClientClosed
            | Notice::ClientFailed(_)
            | Notice::ShutDown
            | Notice::TooManyInvalidCommands
            | Notice::TooManyCommands
            | Notice::ForeignProtocol(_)
            | Notice::DataBehindStartTls
            | Notice::RejectedBeforeGreeting { .. }
            | Notice::ProxyHeaderBroken(_)
            | Notice::AccessForbidden
            | Notice::HandshakeFailed { .. }
            | Notice::HandshakeClosed
            | Notice::TlsFailed { .. }
    )
}

/// An action as others see it, but for the count of logins, which is kept over STARTTLS as those of errors and commands are.
fn overheard(action: &Action) -> String {
    match action {
        Action::Send(wire, payload) => {
            let words = String::from_utf8_lossy(payload.expose());
            let lines = words.split_inclusive('\n').filter(|line| !line.starts_with("Auth-Login-Attempt: "));
            format!("{wire:?} {}", lines.collect::<String>())
        }
        Action::Report(report) => report.to_string(),
        other => format!("{other:?}"),
    }
}
