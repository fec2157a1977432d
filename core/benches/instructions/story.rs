//! Sessions of which everything that is heard is known beforehand.

use std::net::SocketAddr;
use std::sync::Arc;

use gatepost_core::{
    Action, Actions, Address, AuthServer, Client, Event, Instant, Mechanism, Peer, Policy, Protocol, Seed,
    Session, StartTls, Target, TlsFacts, Wire,
};

const NOW: Instant = Instant::from_unix_millis(1_767_225_600_000);

/// What the auth server says to each of them.
const GRANTED: &[u8] =
    b"HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n";

/// A policy, and what happens.
pub(crate) struct Story {
    policy: Arc<Policy>,
    happens: Vec<Happening>,
}

enum Happening {
    Opened(Wire),
    Received(Wire, &'static [u8]),
    Secured(Wire),
}

use Happening::{Opened, Received, Secured};
use Wire::{Auth, Backend};

impl Story {
    fn new(policy: Policy, client: Vec<Happening>, backend: Vec<Happening>) -> Self {
        let granted = [Opened(Auth), Received(Auth, GRANTED), Opened(Backend)];
        let happens = [Opened(Wire::Client)].into_iter().chain(client).chain(granted).chain(backend);
        Self { policy: Arc::new(policy), happens: happens.collect() }
    }

    pub(crate) fn imap() -> Self {
        let backend =
            ["* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n", "+ go\r\n", "+ go\r\n", "a OK in\r\n"];
        Self::new(policy(Protocol::Imap), client(&["a LOGIN fred hunter2\r\n"]), says(Backend, &backend))
    }

    pub(crate) fn imap_in_one_step() -> Self {
        let mut policy = policy(Protocol::Imap);
        policy.backend.pipelining = true;
        let backend = ["* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n", "a OK in\r\n"];
        Self::new(policy, client(&["a LOGIN fred hunter2\r\n"]), says(Backend, &backend))
    }

    pub(crate) fn imap_under_starttls() -> Self {
        let mut words = client(&["a CAPABILITY\r\n", "b STARTTLS\r\n"]);
        words.push(Secured(Wire::Client));
        words.extend(client(&["c CAPABILITY\r\n", "d AUTHENTICATE PLAIN AGZyZWQAaHVudGVyMg==\r\n"]));
        let backend = ["* OK ready\r\n", "+ go\r\n", "+ go\r\n", "d OK in\r\n"];
        Self::new(policy(Protocol::Imap), words, says(Backend, &backend))
    }

    pub(crate) fn pop3() -> Self {
        let backend = ["+OK ready\r\n", "+OK\r\n", "+OK in\r\n"];
        let words = ["CAPA\r\n", "USER fred\r\n", "PASS hunter2\r\n"];
        Self::new(policy(Protocol::Pop3), client(&words), says(Backend, &backend))
    }

    pub(crate) fn smtp() -> Self {
        let backend = ["220 ready\r\n", "250-b\r\n250 XCLIENT\r\n", "220 ready\r\n", "250-b\r\n250 SIZE\r\n"];
        let words = ["EHLO c.example\r\n", "AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n"];
        Self::new(policy(Protocol::Smtp), client(&words), says(Backend, &backend))
    }

    pub(crate) fn smtp_without_login() -> Self {
        let mut policy = policy(Protocol::Smtp);
        policy.unauthenticated = true;
        let backend = [
            "220 ready\r\n",
            "250-b\r\n250 XCLIENT\r\n",
            "220 ready\r\n",
            "250-b\r\n250 SIZE\r\n",
            "250 sender\r\n",
            "250 recipient\r\n",
        ];
        let words = ["EHLO c.example\r\n", "MAIL FROM:<a@example.org>\r\n", "RCPT TO:<b@example.org>\r\n"];
        Self::new(policy, client(&words), says(Backend, &backend))
    }

    /// Tells a session all of it, as a driver would.
    ///
    /// # Panics
    ///
    /// If it does not end in a relay, or goes on behind one.
    pub(crate) fn play(self) -> usize {
        let client = Client {
            peer: peer(Wire::Client),
            listener: "198.51.100.1:143".into(),
            proxy_protocol: false,
            tls_first: false,
        };
        let mut session = Session::new(self.policy, client, Seed([7; 16]), NOW);
        let mut out = Actions::new();
        let mut last = None;
        let mut actions = 0;
        for happening in self.happens {
            let event = match happening {
                Opened(wire) => Event::Opened(wire, peer(wire)),
                Received(wire, octets) => Event::Received(wire, octets),
                Secured(wire) => Event::Secured(wire, TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384")),
            };
            session.handle(NOW, event, &mut out);
            for action in out.drain() {
                actions += 1;
                last = Some(action);
            }
        }
        assert!(matches!(last, Some(Action::Relay(_))), "it ends otherwise: {last:?}");
        actions
    }
}

fn client(words: &[&'static str]) -> Vec<Happening> {
    says(Wire::Client, words)
}

fn says(wire: Wire, words: &[&'static str]) -> Vec<Happening> {
    words.iter().map(|words| Received(wire, words.as_bytes())).collect()
}

fn address(last: u8, port: u16) -> Address {
    SocketAddr::from(([198, 51, 100, last], port)).into()
}

fn peer(wire: Wire) -> Peer {
    let (remote, local) = match wire {
        Wire::Client => (address(7, 40_000), address(1, 143)),
        Auth => (address(3, 9000), address(1, 50_001)),
        Backend => (address(2, 143), address(1, 50_002)),
    };
    Peer { remote, local }
}

fn policy(protocol: Protocol) -> Policy {
    let auth = AuthServer::new(Target::Address(address(3, 9000)), "auth.example.org");
    let mut policy = Policy::new(protocol, "mail.example.org", auth);
    policy.starttls = StartTls::On;
    policy.mechanisms = policy.mechanisms.with(Mechanism::Login);
    policy
}
