//! One state: the session, the wires as a driver would see them, and what has to be remembered to tell whether the claims hold.

#[path = "world/happening.rs"]
mod happening;
#[path = "world/judge.rs"]
mod judge;
#[path = "world/seen.rs"]
mod seen;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};

use gatepost_core::{
    Action, Answer, BackendTls, End, Event, Instant, NoPlace, NoServer, ResolveError, Server, StartTls,
    SystemError, TlsFacts, WaitingFor, Wire,
};

pub(crate) use self::happening::Happening;
pub(crate) use self::seen::Seen;
use crate::alphabet::{self, Means};
use crate::claim::{Broken, Claim};
use crate::rebased::Rebased;
use crate::setting::{Decides, Door, NOW, PLACES, Setting, ZONE, address, peer};
use crate::sight::{Sight, Sights};
use crate::subject::Subject;
use crate::wires::{Line, Wires};

/// More deadlines than come one after the other in any session that nobody speaks to.
const DEADLINES_MAX: usize = 16;

/// A state.
#[derive(Clone, Debug)]
pub(crate) struct World<S> {
    session: S,
    /// A session that has said nothing in clear but STARTTLS, and is told everything that came under TLS.
    twin: Option<S>,
    /// What was before the greeting, but for what the client said ahead of it.
    prologue: Vec<Happening>,
    now: Instant,
    wires: Wires,
    client_words: u8,
    auth_words: u8,
    backend_words: u8,
    seen: Seen,
    /// What was seen in the step that led here.
    pub(crate) sights: Sights,
    pub(crate) broken: Broken,
}

impl<S: Subject> World<S> {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            session: S::begin(setting),
            twin: None,
            prologue: Vec::new(),
            now: NOW,
            wires: Wires::default(),
            client_words: setting.client_words,
            auth_words: 0,
            backend_words: setting.backend_words,
            seen: Seen::default(),
            sights: Sights::default(),
            broken: Broken::default(),
        }
    }

    /// Where the session is: in a phase, in the relay, or over.
    pub(crate) fn place(&self) -> &'static str {
        match (self.sights.has(Sight::Relayed), self.seen.over) {
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
        if self.seen.counting {
            all.extend([Happening::Admitted, Happening::Full, Happening::NoMemory]);
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
                Line::Dialing(_) => {
                    all.extend([Happening::Opened(wire), Happening::Broken(wire)]);
                    if wire == Wire::Auth && self.seen.offered {
                        all.push(Happening::Reused(wire));
                    }
                }
                Line::Securing => all.extend([Happening::Secured(wire), Happening::Insecure(wire)]),
                Line::Open => all.extend([Happening::Finished(wire), Happening::Broken(wire)]),
                Line::Down | Line::Finished => {}
            }
        }
        if self.wires.line(Wire::Auth) == Line::Open && self.session.wants(Wire::Auth) && self.auth_words > 0
        {
            let words = alphabet::auth(setting.kept).iter();
            all.extend(words.map(|&word| Happening::Says(Wire::Auth, word)));
        }
        if self.wires.line(Wire::Backend) == Line::Open
            && self.session.wants(Wire::Backend)
            && self.backend_words > 0
        {
            let in_clear = setting.backend_tls != BackendTls::Off && !self.seen.backend_tls;
            let words = alphabet::backend(setting.protocol, in_clear).iter();
            let offers = setting.pipelining.then(|| alphabet::offers(setting.protocol, in_clear));
            let words = words.chain(offers.into_iter().flatten());
            all.extend(words.map(|&word| Happening::Says(Wire::Backend, word)));
        }
    }

    fn clients(&self, setting: Setting, waiting_for: WaitingFor, all: &mut Vec<Happening>) {
        match self.wires.line(Wire::Client) {
            Line::Down if !self.seen.over => all.push(Happening::Opened(Wire::Client)),
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
                let in_clear = setting.starttls != StartTls::Off && !self.seen.client_tls;
                let words = match waiting_for {
                    WaitingFor::ProxyHeader => &alphabet::PROXY_HEADERS[..],
                    WaitingFor::Client => alphabet::client(setting.protocol, in_clear),
                    _ => alphabet::ahead(setting.protocol, in_clear),
                };
                all.extend(words.iter().map(|&word| Happening::Says(Wire::Client, word)));
            }
            _ => {}
        }
    }

    /// Lets it happen.
    pub(crate) fn let_happen(&mut self, setting: Setting, what: Happening) {
        self.sights = Sights::default();
        self.takes_note_of(setting, what);
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
            Happening::Reused(wire) => {
                self.wires.set(wire, Line::Open);
                self.sights.see(Sight::Reused);
                self.seen.unanswered = true;
                // It was under TLS if this one would be.
                self.seen.auth_tls = true;
                Event::Reused(wire, peer(PLACES[0]))
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
            Happening::Admitted => Event::Admitted(Ok(())),
            Happening::Full => Event::Admitted(Err(NoPlace::Full(ZONE.into()))),
            Happening::NoMemory => Event::Admitted(Err(NoPlace::NoMemory(ZONE.into()))),
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
            let is_from_its_start = self.seen.answering || word.octets.starts_with("HTTP/");
            let is_answer = wire != Wire::Auth || !setting.kept || is_from_its_start;
            let means = if is_answer { word.means } else { Means::Nothing };
            match (wire, means) {
                (Wire::Auth, Means::Yes) => (self.seen.granted, self.seen.asking_again) = (true, false),
                (Wire::Backend, Means::No) => self.seen.said_no |= setting.decides == Decides::Backend,
                (Wire::Auth, Means::No) => (self.seen.said_no, self.seen.asking_again) = (true, false),
                (Wire::Auth, Means::AskAgain) => self.seen.asking_again = true,
                _ => {}
            }
        }
        let secured = matches!(what, Happening::Secured(Wire::Client));
        self.seen.client_tls |= secured;
        self.sights.see_if(secured, Sight::Secured);
        match what {
            Happening::Secured(Wire::Backend) => {
                (self.seen.backend_tls, self.seen.offered_steps) = (true, false);
            }
            Happening::Says(Wire::Backend, word) => {
                self.seen.offered_steps |= holds(word.octets, &["LITERAL", "PIPELINING"]);
            }
            _ => {}
        }
        self.seen.auth_tls |= matches!(what, Happening::Secured(Wire::Auth));
        if matches!(what, Happening::Admitted | Happening::Full | Happening::NoMemory) {
            (self.seen.counting, self.seen.placed) = (false, what == Happening::Admitted);
            self.sights.see_if(what == Happening::Full, Sight::TurnedAway);
        }

        let actions = self.session.handle(self.now, event.clone());
        let waiting_for = self.session.deadline().map(|deadline| deadline.waiting_for);
        self.seen.greeted |= waiting_for == Some(WaitingFor::Client);
        if let Happening::Says(Wire::Auth, _) = what {
            (self.seen.answering, self.seen.unanswered) = (true, false);
        }
        if secured && setting.door != Door::Tls {
            self.twin = Some(self.about_to_be_secured(setting));
        }
        if let Some(twin) = &mut self.twin {
            let twins = twin.handle(self.now, event);
            let alike = actions == twins || actions.iter().map(overheard).eq(twins.iter().map(overheard));
            self.broken.unless(alike, Claim::NothingInClearCounts);
            // From one state they go on as one.
            if digest(self.now, &self.session) == digest(self.now, twin) {
                self.twin = None;
            }
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

    /// Remembers what was before the greeting, as long as that may matter.
    fn takes_note_of(&mut self, setting: Setting, what: Happening) {
        use WaitingFor::{Admission, GreetingDelay, Name, ProxyHeader};
        let Some(deadline) = self.session.deadline() else { return };
        let is_early = match (deadline.waiting_for, what) {
            (ProxyHeader, _) => true,
            (Admission | Name | GreetingDelay, what) => !matches!(what, Happening::Says(..)),
            _ => false,
        };
        if is_early && setting.starttls != StartTls::Off && !self.seen.greeted {
            self.prologue.push(what);
        }
    }

    /// One that came this far without a word in clear but the one for TLS.
    fn about_to_be_secured(&self, setting: Setting) -> S {
        let mut world = Self::new(setting);
        for what in &self.prologue {
            world.let_happen(setting, *what);
        }
        world.let_happen(setting, Happening::Says(Wire::Client, alphabet::starttls(setting.protocol)));
        world.session
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
    }

    /// Whether this session ends by its deadlines if nothing else happens to it.
    pub(crate) fn ends_if_left_alone(&self) -> bool {
        let mut alone = self.session.clone();
        (0..DEADLINES_MAX).any(|_| match alone.deadline() {
            Some(deadline) => {
                alone.handle(deadline.at.max(self.now), Event::Deadline);
                false
            }
            None => true,
        })
    }
}

/// All that its future depends on, and what must be true of it. The dead are all the same. Left out is when things happened,
/// but not how long before and after others; what has been seen on the way; and what came before the greeting, of which
/// everything that a twin could tell is known to the session as well: who the client is.
impl<S: Subject> Hash for World<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self {
            session,
            twin,
            prologue: _,
            now,
            wires,
            client_words,
            auth_words,
            backend_words,
            seen,
            sights: _,
            broken,
        } = self;
        broken.hash(hasher);
        session.deadline().is_some().hash(hasher);
        if session.deadline().is_some() {
            let mut hasher = Rebased { hasher, now: *now };
            (session, twin, wires, client_words, auth_words, backend_words, seen).hash(&mut hasher);
        }
    }
}

/// States are the same that hash alike, as for the checker.
impl<S: Subject> PartialEq for World<S> {
    fn eq(&self, other: &Self) -> bool {
        let hash = |world| BuildHasherDefault::<DefaultHasher>::default().hash_one(world);
        hash(self) == hash(other)
    }
}

/// What goes on from `now` as another does with the same digest.
fn digest(now: Instant, value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut Rebased { hasher: &mut hasher, now });
    hasher.finish()
}

fn holds(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
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
