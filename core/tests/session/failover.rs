//! Another server takes the place of one that fails, until one has been told what only one may hear.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Action, Actions, Address, AuthServer, BackendTls, End, Event, Group, Guest, Handshake, Instant,
    Judgement, NoServer, Place, Policy, Protocol, ProxyHeader, ResolveError, Server, Session, SystemError,
    Target, Wire,
};

use crate::stage::{Door, NOW, PROTOCOLS, address, client, facts, peer, policy, session};

/// A session, and what it did last.
pub(crate) struct Scene {
    session: Session,
    pub(crate) now: Instant,
    pub(crate) did: Vec<Action>,
}

impl Scene {
    pub(crate) fn new(policy: Policy) -> Self {
        Self::of(session(policy, Door::Plain))
    }

    pub(crate) fn of(session: Session) -> Self {
        let mut scene = Self { session, now: NOW, did: Vec::new() };
        scene.tell(Event::Opened(Wire::Client, client()));
        scene
    }

    pub(crate) fn tell(&mut self, event: Event<'_>) {
        let mut out = Actions::new();
        self.session.handle(self.now, event, &mut out);
        self.did = out.drain().collect();
    }

    /// Lets the deadline come.
    pub(crate) fn wait(&mut self) {
        self.now = self.session.deadline().expect("a deadline").at;
        self.tell(Event::Deadline);
    }

    pub(crate) fn session_deadline(&self) -> Option<Instant> {
        self.session.deadline().map(|deadline| deadline.at)
    }

    pub(crate) fn log_in(&mut self, protocol: Protocol) {
        let words = match protocol {
            Protocol::Imap => "a LOGIN fred hunter2\r\n",
            Protocol::Pop3 => "USER fred\r\nPASS hunter2\r\n",
            Protocol::Smtp => "AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n",
        };
        self.tell(Event::Received(Wire::Client, words.as_bytes()));
    }

    /// The auth server says yes.
    pub(crate) fn granted(&mut self, answer: &str) {
        self.tell(Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
        self.tell(Event::Received(Wire::Auth, answer.as_bytes()));
    }

    pub(crate) fn chosen(&mut self, wire: Wire, at: &str) {
        self.tell(Event::Chosen(wire, Ok(Server { address: address(at), name: None })));
    }

    /// The next server is chosen and connected.
    pub(crate) fn opened(&mut self, at: &str) {
        self.chosen(Wire::Backend, at);
        self.tell(Event::Opened(Wire::Backend, peer(at)));
    }

    pub(crate) fn tries_another(&self, wire: Wire) -> bool {
        let judged = self.did.contains(&Action::Judge(wire, Judgement::Failed));
        judged && self.did.last() == Some(&Action::OpenNext(wire))
    }

    fn judges(&self) -> bool {
        self.did.iter().any(|action| matches!(action, Action::Judge(..)))
    }

    pub(crate) fn said_to(&self, wire: Wire) -> String {
        let said = self.did.iter().filter_map(|action| match action {
            Action::Send(to, payload) if *to == wire => {
                Some(String::from_utf8_lossy(payload.expose()).into_owned())
            }
            _ => None,
        });
        said.collect()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        let lines = self.did.iter().filter_map(|action| match action {
            Action::Report(report) => Some(format!("[{}] {report}", report.level().name())),
            _ => None,
        });
        lines.collect()
    }
}

fn group() -> Target {
    Target::Group(Group { name: "backends".into(), servers: 3, guest: Guest::default() })
}

fn passing(protocol: Protocol) -> Policy {
    let mut policy = policy(protocol);
    policy.backend.pass = Some(group());
    policy
}

const OK: &str = "Auth-Status: OK\r\n\r\n";

pub(crate) fn refused() -> End {
    End::Broken(SystemError { call: "recv()", code: 111, text: "Connection refused".into() })
}

#[test]
fn another_server_is_tried_whatever_went_wrong_before_the_login() {
    for protocol in PROTOCOLS {
        let mut scene = Scene::new(passing(protocol));
        scene.log_in(protocol);
        scene.granted(OK);
        scene.chosen(Wire::Backend, "198.51.100.2:143");
        scene.tell(Event::Ended(Wire::Backend, refused()));
        assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
        assert!(
            scene.log()[0].contains("(111: Connection refused) while connecting to upstream"),
            "{:?}",
            scene.log()
        );
        assert!(scene.log()[0].ends_with("upstream: 198.51.100.2:143"), "{:?}", scene.log());

        scene.opened("198.51.100.3:143");
        scene.tell(Event::Ended(Wire::Backend, End::Finished));
        assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
        assert!(scene.log()[0].ends_with("upstream: 198.51.100.3:143"), "{:?}", scene.log());

        scene.opened("198.51.100.4:143");
        scene.tell(Event::Received(Wire::Backend, b"* BYE not now\r\n"));
        assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);

        scene.opened("198.51.100.5:143");
        scene.tell(Event::Received(Wire::Backend, &[b'x'; 4096]));
        assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);

        scene.opened("198.51.100.6:143");
        scene.wait();
        assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
        assert!(
            scene.log()[0].contains("upstream timed out (110: Connection timed out)"),
            "{:?}",
            scene.log()
        );

        scene.tell(Event::Chosen(Wire::Backend, Err(NoServer::Exhausted)));
        assert!(scene.log()[0].contains("no live upstreams in \"backends\" while connecting to upstream"));
        assert!(!scene.said_to(Wire::Client).contains("AUTHENTICATIONFAILED"));
        assert!(scene.did.contains(&Action::Close(Wire::Client)));
        assert_eq!(scene.session.deadline(), None);
    }
}

#[test]
fn a_handshake_that_fails_is_a_server_that_fails() {
    for starttls in [false, true] {
        let mut policy = passing(Protocol::Imap);
        policy.backend.tls = if starttls { BackendTls::StartTls } else { BackendTls::On };
        policy.backend.tls_configured = true;
        let mut scene = Scene::new(policy);
        scene.log_in(Protocol::Imap);
        scene.granted(OK);
        let handshake = |scene: &mut Scene| {
            scene.opened("198.51.100.2:143");
            if starttls {
                scene.tell(Event::Received(Wire::Backend, b"* OK hello\r\n"));
                assert_eq!(scene.said_to(Wire::Backend), "a STARTTLS\r\n");
                assert!(!scene.did.iter().any(|action| matches!(action, Action::Judge(..))));
                scene.tell(Event::Received(Wire::Backend, b"a OK go on\r\n"));
            }
            assert!(matches!(scene.did.last(), Some(Action::Secure(Wire::Backend, _))), "{:?}", scene.did);
        };
        handshake(&mut scene);
        scene.tell(Event::Ended(Wire::Backend, End::Insecure("expired".into())));
        assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
        // The next one is spoken to from the beginning.
        handshake(&mut scene);
        scene.tell(Event::Secured(Wire::Backend, facts()));
        if !starttls {
            scene.tell(Event::Received(Wire::Backend, b"* OK hello\r\n"));
        }
        assert!(scene.did.contains(&Action::Judge(Wire::Backend, Judgement::Sound)), "{:?}", scene.did);
        assert_eq!(scene.said_to(Wire::Backend), "a LOGIN {4}\r\n");
    }
}

#[test]
fn a_client_that_is_turned_away_under_its_own_address_takes_the_server_from_nobody() {
    for (protocol, refusals) in [
        (Protocol::Imap, &["* BYE you are banned\r\n", "* bye\r\n"][..]),
        (Protocol::Pop3, &["-ERR you are banned\r\n", "-ERR\r\n"]),
        (Protocol::Smtp, &["554 5.7.1 banned\r\n", "421-not\r\n421 now\r\n", "550\r\n"]),
    ] {
        for (header, words) in [ProxyHeader::Off, ProxyHeader::V1, ProxyHeader::V2]
            .iter()
            .flat_map(|&header| refusals.iter().map(move |&words| (header, words)))
        {
            let mut policy = passing(protocol);
            policy.backend.proxy_header = header;
            let mut scene = Scene::new(policy);
            scene.log_in(protocol);
            scene.granted(OK);
            scene.opened("198.51.100.2:143");
            scene.tell(Event::Received(Wire::Backend, words.as_bytes()));
            assert_eq!(scene.did.last(), Some(&Action::OpenNext(Wire::Backend)), "{words:?}");
            assert_eq!(scene.judges(), header == ProxyHeader::Off, "{header:?} {words:?}");
            assert!(
                scene.log()[0].starts_with("[error] upstream sent invalid response"),
                "{:?}",
                scene.log()
            );
        }
    }
}

#[test]
fn what_is_no_refusal_is_a_failure_whoever_the_client_is() {
    for (protocol, all) in [
        (Protocol::Imap, ["* BYEBYE\r\n", "BYE\r\n", "* NO\r\n", "554 no\r\n"]),
        (Protocol::Pop3, ["-ERROR\r\n", "ERR\r\n", "- ERR\r\n", "554 no\r\n"]),
        (Protocol::Smtp, ["250 hello\r\n", "4x4 no\r\n", "5540 no\r\n", "-ERR no\r\n"]),
    ] {
        for words in all {
            let mut policy = passing(protocol);
            policy.backend.proxy_header = ProxyHeader::V1;
            let mut scene = Scene::new(policy);
            scene.log_in(protocol);
            scene.granted(OK);
            scene.opened("198.51.100.2:143");
            scene.tell(Event::Received(Wire::Backend, words.as_bytes()));
            assert!(scene.tries_another(Wire::Backend), "{words:?}: {:?}", scene.did);
            // Nor is silence one, or hanging up without a word.
            scene.opened("198.51.100.3:143");
            scene.tell(Event::Ended(Wire::Backend, End::Finished));
            assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
            scene.opened("198.51.100.4:143");
            scene.wait();
            assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
        }
    }
}

#[test]
fn what_our_own_configuration_lacks_is_no_servers_fault() {
    for protocol in PROTOCOLS {
        for wish in ["on", "starttls"] {
            let mut scene = Scene::new(passing(protocol));
            scene.log_in(protocol);
            scene.granted(&format!("Auth-Status: OK\r\nAuth-Server-TLS: {wish}\r\n\r\n"));
            let opens = |action: &Action| matches!(action, Action::Open(Wire::Backend, _));
            assert!(!scene.did.iter().any(opens), "{:?}", scene.did);
            let line = "[error] TLS to backends is not configured: \"proxy_ssl\" is missing while in http auth state";
            assert!(scene.log()[0].starts_with(line), "{:?}", scene.log());
            assert!(scene.did.contains(&Action::Close(Wire::Client)));
            assert!(!scene.said_to(Wire::Client).contains("AUTHENTICATIONFAILED"));
        }
    }
}

#[test]
fn a_socket_file_that_no_certificate_could_be_for_is_passed_by_unjudged() {
    let unix = Address::Unix("/run/imap".into());
    let line = "[error] TLS to a backend on a UNIX socket is not configured: \"proxy_ssl_name\" is missing";
    for (name, tls) in
        [(None, BackendTls::On), (None, BackendTls::StartTls), (Some("mx.test"), BackendTls::On)]
    {
        let mut policy = passing(Protocol::Imap);
        (policy.backend.tls, policy.backend.tls_configured) = (tls, true);
        policy.backend.tls_name = name.map(Into::into);
        let mut scene = Scene::new(policy.clone());
        scene.log_in(Protocol::Imap);
        scene.granted(OK);
        scene.tell(Event::Chosen(Wire::Backend, Ok(Server { address: unix.clone(), name: None })));
        assert_eq!(scene.did.last() == Some(&Action::OpenNext(Wire::Backend)), name.is_none());
        assert_eq!(scene.log().iter().any(|said| said.starts_with(line)), name.is_none());
        assert!(!scene.judges(), "{:?}", scene.did);
        // The only one there is is not connected to.
        policy.backend.pass = Some(Target::Address(unix.clone()));
        let mut scene = Scene::new(policy);
        scene.log_in(Protocol::Imap);
        scene.granted(OK);
        let opened = scene.did.contains(&Action::Open(Wire::Backend, Target::Address(unix.clone())));
        assert_eq!(opened, name.is_some(), "{:?}", scene.did);
        assert_eq!(scene.log().iter().any(|said| said.starts_with(line)), name.is_none());
    }
}

#[test]
fn whoever_was_told_of_the_login_is_the_only_one() {
    for protocol in PROTOCOLS {
        for pass_error_message in [false, true] {
            let mut policy = passing(protocol);
            policy.backend.pass_error_message = pass_error_message;
            let mut scene = Scene::new(policy);
            scene.log_in(protocol);
            scene.granted(OK);
            scene.opened("198.51.100.2:143");
            let greeting: &[u8] = match protocol {
                Protocol::Imap => b"* OK\r\n",
                Protocol::Pop3 => b"+OK\r\n",
                Protocol::Smtp => b"220 x\r\n",
            };
            scene.tell(Event::Received(Wire::Backend, greeting));
            assert_eq!(scene.did.first(), Some(&Action::Judge(Wire::Backend, Judgement::Sound)));
            let reply: &[u8] = match protocol {
                Protocol::Imap => b"a NO wrong\r\n",
                Protocol::Pop3 => b"-ERR wrong\r\n",
                Protocol::Smtp => b"535 wrong\r\n",
            };
            scene.tell(Event::Received(Wire::Backend, reply));
            assert!(
                !scene.did.iter().any(|action| matches!(action, Action::OpenNext(_) | Action::Judge(..)))
            );
            assert_eq!(scene.said_to(Wire::Client).contains("wrong"), pass_error_message);
            assert!(scene.did.contains(&Action::Close(Wire::Backend)));
        }
    }
}

#[test]
fn all_tries_together_take_no_longer_than_timeout() {
    let mut policy = passing(Protocol::Imap);
    policy.timeout = Duration::from_secs(35);
    let mut scene = Scene::new(policy);
    scene.log_in(Protocol::Imap);
    scene.granted(OK);
    let begun = scene.now;
    for seconds in [10, 20, 30] {
        scene.chosen(Wire::Backend, "198.51.100.2:143");
        scene.wait();
        assert_eq!(begun.until(scene.now).as_secs(), seconds);
        assert!(scene.tries_another(Wire::Backend));
    }
    scene.chosen(Wire::Backend, "198.51.100.2:143");
    scene.wait();
    assert_eq!(begun.until(scene.now).as_secs(), 35);
    assert!(scene.did.contains(&Action::Judge(Wire::Backend, Judgement::Failed)));
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"), "{:?}", scene.did);
}

#[test]
fn the_auth_servers_word_may_be_a_group_a_name_or_a_list() {
    let mut policy = policy(Protocol::Imap);
    policy.upstreams = Arc::new(BTreeMap::from([("backends".into(), 3)]));
    let open = |answer: &str| {
        let mut scene = Scene::new(policy.clone());
        scene.log_in(Protocol::Imap);
        scene.granted(&format!("Auth-Status: OK\r\nAuth-User: fred@example.com\r\n{answer}\r\n"));
        match scene.did.pop() {
            Some(Action::Open(Wire::Backend, target)) => (scene, target),
            other => panic!("{other:?}"),
        }
    };
    let (_, target) = open("Auth-Server: backends\r\n");
    let guest = Guest { address: Some([192, 0, 2, 7].into()), login: b"fred@example.com"[..].into() };
    assert_eq!(target, Target::Group(Group { name: "backends".into(), servers: 3, guest }));
    let (mut scene, target) = open("Auth-Server: here.example, 198.51.100.2\r\nAuth-Port: 143\r\n");
    let places = [Place::Named("here.example".into(), 143), Place::At(address("198.51.100.2:143"))];
    assert_eq!(target, Target::AnyOf(places.into()));
    let unresolved = NoServer::Unresolved { name: "here.example".into(), error: ResolveError::NotFound };
    scene.tell(Event::Chosen(Wire::Backend, Err(unresolved)));
    assert_eq!(scene.did.last(), Some(&Action::OpenNext(Wire::Backend)));
    let line = "[error] auth http server 127.0.0.1:9000 sent unresolvable server name:\"here.example\"";
    assert!(scene.log()[0].starts_with(line), "{:?}", scene.log());
}

#[test]
fn proxy_pass_counts_for_more_than_the_auth_servers_address() {
    let mut scene = Scene::new(passing(Protocol::Imap));
    scene.log_in(Protocol::Imap);
    scene.granted("Auth-Status: OK\r\nAuth-Server: 198.51.100.9\r\nAuth-Port: 143\r\n\r\n");
    assert!(scene.log()[0].starts_with("[info] auth server address ignored, \"proxy_pass\" is set"));
    assert!(matches!(scene.did.last(), Some(Action::Open(Wire::Backend, Target::Group(_)))));
}

#[test]
fn without_an_auth_server_the_backend_is_told_at_once() {
    let mut policy = passing(Protocol::Imap);
    policy.auth = None;
    let mut scene = Scene::new(policy);
    scene.log_in(Protocol::Imap);
    assert!(
        matches!(scene.did.as_slice(), [Action::Open(Wire::Backend, Target::Group(_))]),
        "{:?}",
        scene.did
    );
    scene.opened("198.51.100.2:143");
    scene.tell(Event::Received(Wire::Backend, b"* OK\r\n"));
    scene.tell(Event::Received(Wire::Backend, b"+\r\n"));
    assert_eq!(scene.said_to(Wire::Backend), "fred {7}\r\n");
    scene.tell(Event::Received(Wire::Backend, b"+\r\n"));
    assert_eq!(scene.said_to(Wire::Backend), "hunter2\r\n");
}

#[test]
fn another_auth_server_is_asked_where_one_fails() {
    let mut policy = policy(Protocol::Imap);
    let places = ["127.0.0.1:9000", "127.0.0.2:9000", "127.0.0.3:9000", "127.0.0.4:9000"];
    let target = Target::AnyOf(places.map(|place| Place::At(address(place))).into());
    policy.auth = Some(AuthServer::new(target, "auth.test"));
    let mut scene = Scene::new(policy);
    scene.log_in(Protocol::Imap);
    let begun = scene.now;
    scene.chosen(Wire::Auth, places[0]);
    scene.tell(Event::Ended(Wire::Auth, refused()));
    assert!(scene.tries_another(Wire::Auth), "{:?}", scene.did);
    scene.chosen(Wire::Auth, places[1]);
    // A status is an answer: it sends this login elsewhere and says nothing against the server.
    scene.granted("HTTP/1.0 503 x\r\n\r\n");
    assert!(scene.did.contains(&Action::Judge(Wire::Auth, Judgement::Sound)), "{:?}", scene.did);
    assert_eq!(scene.did.last(), Some(&Action::OpenNext(Wire::Auth)));
    scene.chosen(Wire::Auth, places[2]);
    scene.wait();
    assert!(scene.tries_another(Wire::Auth), "{:?}", scene.did);
    assert!(scene.log()[0].contains("auth http server 127.0.0.3:9000 timed out"), "{:?}", scene.log());
    // Two were left to share the minute.
    assert_eq!(begun.until(scene.now).as_secs(), 30);
    scene.chosen(Wire::Auth, places[3]);
    scene.tell(Event::Opened(Wire::Auth, peer(places[3])));
    assert!(scene.said_to(Wire::Auth).contains("Auth-Login-Attempt: 1\r\n"), "{:?}", scene.did);
    scene.tell(Event::Received(
        Wire::Auth,
        b"Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 1\r\n\r\n",
    ));
    assert_eq!(scene.did.first(), Some(&Action::Judge(Wire::Auth, Judgement::Sound)));
    assert!(
        matches!(scene.did.last(), Some(Action::Open(Wire::Backend, Target::Address(_)))),
        "{:?}",
        scene.did
    );
}

#[test]
fn a_certificate_is_for_the_name_that_a_server_was_chosen_by_unless_another_is_said() {
    for protocol in PROTOCOLS {
        for (chosen, said, name) in [
            (Some("one.test"), None, Some("one.test")),
            (Some("one.test"), Some("all.test"), Some("all.test")),
            (None, None, None),
        ] {
            let mut policy = passing(protocol);
            (policy.backend.tls, policy.backend.tls_configured) = (BackendTls::On, true);
            policy.backend.tls_name = said.map(Into::into);
            let mut scene = Scene::new(policy);
            scene.log_in(protocol);
            scene.granted(OK);
            let server = Server { address: address("198.51.100.2:143"), name: chosen.map(Into::into) };
            scene.tell(Event::Chosen(Wire::Backend, Ok(server)));
            scene.tell(Event::Opened(Wire::Backend, peer("198.51.100.2:143")));
            let handshake = Handshake::Connect { name: name.map(Into::into) };
            assert_eq!(
                scene.did.last(),
                Some(&Action::Secure(Wire::Backend, handshake)),
                "{chosen:?} {said:?}"
            );
        }
    }
}

#[test]
fn a_handshake_is_blamed_only_until_it_is_done() {
    for protocol in PROTOCOLS {
        let mut policy = policy(protocol);
        policy.unauthenticated = false;
        (policy.backend.tls, policy.backend.tls_configured) = (BackendTls::On, true);
        for (is_done, line) in
            [(false, "SSL_do_handshake() failed"), (true, "upstream prematurely closed connection")]
        {
            let mut scene = Scene::new(policy.clone());
            scene.log_in(protocol);
            scene.granted("Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\nAuth-Pass: hunter2\r\n\r\n");
            scene.tell(Event::Opened(Wire::Backend, peer("198.51.100.2:143")));
            if is_done {
                scene.tell(Event::Secured(Wire::Backend, facts()));
            }
            scene.tell(Event::Ended(Wire::Backend, End::Insecure("bad record mac".into())));
            assert!(scene.log()[0].starts_with(&format!("[error] {line}")), "{:?}", scene.log());
        }
    }
}

/// Nobody knows yet who it would have been, so nobody is judged; and once all the time there is has gone, nobody else is looked for.
#[test]
fn a_name_that_takes_too_long_is_passed_by_unjudged_while_there_is_time() {
    let mut policy = passing(Protocol::Imap);
    policy.backend.resolve_timeout = Duration::from_secs(5);
    let mut scene = Scene::new(policy.clone());
    scene.log_in(Protocol::Imap);
    scene.granted(OK);
    scene.wait();
    assert_eq!(scene.did.last(), Some(&Action::OpenNext(Wire::Backend)), "{:?}", scene.did);
    assert!(!scene.judges(), "{:?}", scene.did);
    scene.now = NOW.after(policy.timeout);
    scene.tell(Event::Deadline);
    assert!(!scene.judges() && !scene.did.contains(&Action::OpenNext(Wire::Backend)), "{:?}", scene.did);
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"), "{:?}", scene.did);
}
