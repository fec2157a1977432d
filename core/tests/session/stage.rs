//! A stand-in for the driver and the world behind it: an auth server that knows `fred`, and backends that let anybody in.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use gatepost_core::{
    Action, Actions, Address, AuthServer, Certificate, Client, End, Event, Instant, Mechanism, Mechanisms,
    Peer, Policy, Protocol, Seed, Server, Session, StartTls, Target, TlsFacts, VerifyClient, WaitingFor,
    Wire,
};

pub(crate) const NOW: Instant = Instant::from_unix_millis(1_767_225_600_000);
pub(crate) const PROTOCOLS: [Protocol; 3] = [Protocol::Imap, Protocol::Pop3, Protocol::Smtp];

pub(crate) fn address(text: &str) -> Address {
    text.parse::<SocketAddr>().unwrap().into()
}

pub(crate) fn peer(remote: &str) -> Peer {
    Peer { remote: address(remote), local: address("198.51.100.1:143") }
}

pub(crate) fn client() -> Peer {
    peer("192.0.2.7:40000")
}

pub(crate) fn facts() -> TlsFacts {
    let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    facts.certificate = Some(Arc::new(Certificate {
        verdict: Ok(()),
        subject: "CN=fred".into(),
        issuer: "CN=ca".into(),
        common_name: Some("fred".into()),
        serial: "01".into(),
        fingerprint_sha1: "aa".into(),
        fingerprint_sha256: "bb".into(),
        pem: String::new(),
    }));
    facts
}

/// What comes before a greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Plain,
    ProxyHeader,
    Tls,
}

/// Everything on: every mechanism, STARTTLS, and mail without a login.
pub(crate) fn policy(protocol: Protocol) -> Policy {
    let auth = AuthServer::new(Target::Address(address("127.0.0.1:9000")), "127.0.0.1");
    let mechanisms = [
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::CramMd5,
        Mechanism::External,
        Mechanism::XOauth2,
        Mechanism::OauthBearer,
        Mechanism::Apop,
    ];
    let mut policy = Policy::new(protocol, "mx.test", auth);
    policy.starttls = StartTls::On;
    policy.mechanisms = mechanisms.into_iter().fold(policy.mechanisms, Mechanisms::with);
    policy.unauthenticated = protocol == Protocol::Smtp;
    policy.verify_client = VerifyClient::Optional;
    policy
}

pub(crate) fn session(policy: Policy, door: Door) -> Session {
    let (proxy_protocol, tls_first) = (door == Door::ProxyHeader, door == Door::Tls);
    let client = Client { peer: client(), listener: "198.51.100.1:143".into(), proxy_protocol, tls_first };
    Session::new(Arc::new(policy), client, Seed([7; 16]), NOW)
}

/// What the world will tell the session next.
enum Pending {
    Admitted,
    Chosen(Wire),
    Opened(Wire),
    Received(Wire, Vec<u8>),
    Secured(Wire),
    Ended(Wire),
}

/// A session on its stage, and all that was overheard.
pub(crate) struct Stage {
    protocol: Protocol,
    session: Session,
    now: Instant,
    /// Octets by wire, in order; neighbours on one wire are one entry. Closing a wire is an entry too.
    pub(crate) heard: Vec<(Wire, Vec<u8>)>,
    /// Every report, as its log line.
    pub(crate) log: Vec<String>,
    /// `Debug` of every event and action, and of the session after each event, if asked for.
    pub(crate) trace: Option<Vec<String>>,
    pending: VecDeque<Pending>,
    /// What the proxy has said to the backend, line by line.
    told: Vec<Vec<u8>>,
    relaying: bool,
    /// The auth server's and the backend's answers come in pieces of this many octets.
    piece: usize,
}

impl Stage {
    pub(crate) fn new(policy: Policy, door: Door, piece: usize) -> Self {
        Self::opened(policy, door, piece, None)
    }

    pub(crate) fn traced(policy: Policy, door: Door) -> Self {
        Self::opened(policy, door, usize::MAX, Some(Vec::new()))
    }

    fn opened(policy: Policy, door: Door, piece: usize, trace: Option<Vec<String>>) -> Self {
        let mut stage = Self {
            protocol: policy.protocol,
            session: session(policy, door),
            now: NOW,
            heard: Vec::new(),
            log: Vec::new(),
            trace,
            pending: VecDeque::new(),
            told: Vec::new(),
            relaying: false,
            piece,
        };
        stage.tell(Event::Opened(Wire::Client, client()));
        stage.run();
        stage
    }

    /// The client says something; the world answers at once, and penalties are over at once.
    pub(crate) fn client_says(&mut self, octets: &[u8]) {
        if self.relaying {
            return self.hear(Wire::Backend, octets);
        }
        self.tell(Event::Received(Wire::Client, octets));
        self.run();
        while let Some(deadline) = self.session.deadline().filter(|at| at.waiting_for == WaitingFor::Penalty)
        {
            self.now = deadline.at;
            self.tell(Event::Deadline);
            self.run();
        }
    }

    fn run(&mut self) {
        while let Some(pending) = self.pending.pop_front() {
            match pending {
                Pending::Chosen(wire) => {
                    let server = Server { address: address("127.0.0.1:9000"), name: None };
                    self.tell(Event::Chosen(wire, Ok(server)));
                }
                Pending::Admitted => self.tell(Event::Admitted(Ok(()))),
                Pending::Opened(wire) => self.tell(Event::Opened(wire, peer("127.0.0.1:9000"))),
                Pending::Received(_, octets) if self.relaying => self.hear(Wire::Client, &octets),
                Pending::Received(wire, octets) => self.tell(Event::Received(wire, &octets)),
                Pending::Secured(wire) => self.tell(Event::Secured(wire, facts())),
                Pending::Ended(wire) => self.tell(Event::Ended(wire, End::Finished)),
            }
        }
    }

    fn tell(&mut self, event: Event<'_>) {
        let told = self.trace.is_some().then(|| format!("{event:?}"));
        let mut out = Actions::new();
        self.session.handle(self.now, event, &mut out);
        if let Some(trace) = &mut self.trace {
            trace.extend(told);
            trace.push(format!("{:?}", self.session));
            trace.extend(out.iter().map(|action| format!("{action:?}")));
        }
        for action in out.drain() {
            self.perform(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Judge(..) => {}
            Action::OpenNext(wire) | Action::Reopen(wire) => panic!("the server of {wire:?} was good"),
            Action::Open(wire, target) | Action::OpenOrReuse(wire, target, _) => {
                if target.is_choice() {
                    self.pending.push_back(Pending::Chosen(wire));
                }
                self.pending.push_back(Pending::Opened(wire));
                if wire == Wire::Backend {
                    self.told.clear();
                    self.answer(Wire::Backend, self.greeting());
                }
            }
            Action::Send(wire, payload) => {
                self.hear(wire, payload.expose());
                match wire {
                    Wire::Client => {}
                    Wire::Auth => self.judge(&String::from_utf8_lossy(payload.expose())),
                    Wire::Backend => {
                        self.told.push(payload.expose().to_vec());
                        let reply = self.reply();
                        self.answer(Wire::Backend, &reply);
                    }
                }
            }
            Action::Admit(_) => self.pending.push_back(Pending::Admitted),
            Action::Resolve(question) => panic!("{question:?} without a resolver"),
            Action::Secure(wire, _) => self.pending.push_back(Pending::Secured(wire)),
            Action::Close(wire) | Action::Keep(wire, _) => self.heard.push((wire, b"<closed>".to_vec())),
            Action::Relay(leftovers) => {
                self.relaying = true;
                self.hear(Wire::Client, &leftovers.to_client);
                self.hear(Wire::Backend, leftovers.to_backend.expose());
            }
            Action::Report(report) => self.log.push(format!("[{}] {report}", report.level().name())),
        }
    }

    fn hear(&mut self, wire: Wire, octets: &[u8]) {
        match self.heard.last_mut() {
            _ if octets.is_empty() => {}
            Some((last, heard)) if *last == wire => heard.extend_from_slice(octets),
            _ => self.heard.push((wire, octets.to_vec())),
        }
    }

    /// The auth server, which takes any password of fred's.
    fn judge(&mut self, request: &str) {
        let known = request.contains("Auth-User: fred\r\n") || request.contains("Auth-Method: none\r\n");
        let answer = match known {
            true => {
                "Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\nAuth-Pass: hunter2\r\n"
            }
            false => "Auth-Status: Who are you?\r\nAuth-Wait: 3\r\n",
        };
        self.answer(Wire::Auth, format!("HTTP/1.0 200 OK\r\n{answer}\r\n").as_bytes());
        self.pending.push_back(Pending::Ended(Wire::Auth));
    }

    fn greeting(&self) -> &'static [u8] {
        match self.protocol {
            Protocol::Imap => b"* OK [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n",
            Protocol::Pop3 => b"+OK hello\r\n",
            Protocol::Smtp => b"220-hello\r\n220 there\n",
        }
    }

    /// The backend's reply to what it was told last.
    fn reply(&self) -> Vec<u8> {
        let tag = self.told.first().map(|line| String::from_utf8_lossy(line)).unwrap_or_default();
        let tag = tag.split(' ').next().unwrap_or_default();
        let in_one_step = self.told.first().is_some_and(|line| line.ends_with(b"+}\r\nhunter2\r\n"));
        match (self.protocol, self.told.len()) {
            (Protocol::Imap, 1) if !in_one_step => b"+\r\n".to_vec(),
            (Protocol::Imap, 2) => b"* OK still here\r\n+ go on\r\n".to_vec(),
            (Protocol::Imap, _) => {
                format!("* CAPABILITY IMAP4rev1\r\n{tag} ok [READ-WRITE] in\r\n* 1 EXISTS\r\n").into_bytes()
            }
            (Protocol::Pop3, _) => b"+OK\r\n".to_vec(),
            (Protocol::Smtp, _) => b"250-one\r\n250 two\r\n".to_vec(),
        }
    }

    fn answer(&mut self, wire: Wire, octets: &[u8]) {
        let pieces = octets.chunks(self.piece).map(|piece| Pending::Received(wire, piece.to_vec()));
        self.pending.extend(pieces);
    }
}
