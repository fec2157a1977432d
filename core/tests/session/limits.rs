//! `limit_conn`: what a session asks to be counted by, and what its client hears when there is no place (auth-http.md 10.2).

use gatepost_core::report::Level;
use gatepost_core::{
    Access, Action, Actions, BackendTls, Claim, ConnLimit, ConnLimits, Event, LimitKey, LimitStatus, NoPlace,
    Peers, Policy, Protocol, Secret, Session, Target, Verdict, Wire,
};

use crate::stage::{Door, NOW, PROTOCOLS, Stage, address, client, facts, peer, policy, session};

const GRANTED: &str = "Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n";

/// A session, and what it did last.
struct Scene {
    session: Session,
    did: Vec<Action>,
}

impl Scene {
    fn new(policy: Policy, door: Door) -> Self {
        let mut scene = Self { session: session(policy, door), did: Vec::new() };
        scene.tell(Event::Opened(Wire::Client, client()));
        scene
    }

    /// One whose login the auth server grants with these headers besides.
    fn granted(policy: Policy, headers: &str) -> Self {
        let protocol = policy.protocol;
        let asks = policy.auth.is_some();
        let mut scene = Self::new(policy, Door::Plain);
        scene.tell(Event::Received(
            Wire::Client,
            match protocol {
                Protocol::Imap => b"a LOGIN fred hunter2\r\n",
                Protocol::Pop3 => b"USER fred\r\nPASS hunter2\r\n",
                Protocol::Smtp => b"AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n",
            },
        ));
        if asks {
            scene.tell(Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
            scene.tell(Event::Received(Wire::Auth, format!("{GRANTED}{headers}\r\n").as_bytes()));
        }
        scene
    }

    fn tell(&mut self, event: Event<'_>) {
        let mut out = Actions::new();
        self.session.handle(NOW, event, &mut out);
        self.did = out.drain().collect();
    }

    /// Zone, key and number of each place that it asks for.
    fn claims(&self) -> Vec<(String, String, u16)> {
        let claims = self.did.iter().filter_map(|action| match action {
            Action::Admit(claims) => Some(claims),
            _ => None,
        });
        let shown = |Claim { zone, key, connections, early: _ }: &Claim| {
            (zone.to_string(), String::from_utf8_lossy(key.expose()).into_owned(), *connections)
        };
        claims.flatten().map(shown).collect()
    }

    fn said(&self) -> String {
        let said = self.did.iter().filter_map(|action| match action {
            Action::Send(Wire::Client, payload) => {
                Some(String::from_utf8_lossy(payload.expose()).into_owned())
            }
            _ => None,
        });
        said.collect()
    }

    fn log(&self) -> Vec<String> {
        let lines = self.did.iter().filter_map(|action| match action {
            Action::Report(report) => Some(format!("[{}] {report}", report.level().name())),
            _ => None,
        });
        lines.collect()
    }

    fn connects(&self) -> bool {
        self.did.iter().any(|action| matches!(action, Action::Open(Wire::Backend, _)))
    }

    fn is_over(&self) -> bool {
        self.did.contains(&Action::Close(Wire::Client)) && self.session.deadline().is_none()
    }
}

fn limit(zone: &str, key: LimitKey, connections: u16) -> ConnLimit {
    ConnLimit { zone: zone.into(), key, connections, early: false }
}

fn limited(protocol: Protocol, limits: &[ConnLimit]) -> Policy {
    let mut policy = policy(protocol);
    policy.unauthenticated = false;
    policy.conn_limits = ConnLimits { limits: limits.to_vec(), ..ConnLimits::default() };
    policy
}

fn early() -> ConnLimit {
    ConnLimit { early: true, ..limit("addr", LimitKey::Address, 3) }
}

#[test]
fn a_session_is_counted_behind_its_login_and_before_its_backend() {
    let limits = [
        limit("addr", LimitKey::Address, 10),
        limit("user", LimitKey::Login, 2),
        limit("plan", LimitKey::Header("x_plan".into()), 7),
        limit("other", LimitKey::Header("x_other".into()), 1),
    ];
    for protocol in PROTOCOLS {
        let headers = "Auth-User: fred@example.com\r\nX-Plan: gold\r\n";
        let scene = Scene::granted(limited(protocol, &limits), headers);
        let claim = |zone: &str, key: &str, most| (zone.to_owned(), key.to_owned(), most);
        // What the auth server does not say is nothing to count by.
        let expected =
            [claim("addr", "192.0.2.7", 10), claim("user", "fred@example.com", 2), claim("plan", "gold", 7)];
        assert_eq!(scene.claims(), expected);
        assert!(!scene.connects(), "{:?}", scene.did);

        let mut scene = Scene::granted(limited(protocol, &limits), "X-Plan: gold\r\nX-PLAN:  silver \r\n");
        assert_eq!(scene.claims()[1..], [claim("user", "fred", 2), claim("plan", "gold, silver", 7)]);
        scene.tell(Event::Admitted(Ok(())));
        assert!(scene.connects(), "{:?}", scene.did);
        assert_eq!(scene.session.facts().limit, Some(LimitStatus::Passed));
    }
}

#[test]
fn without_anything_to_count_by_the_backend_is_next() {
    for protocol in PROTOCOLS {
        let scene = Scene::granted(limited(protocol, &[limit("x", LimitKey::Header("x".into()), 1)]), "");
        assert!(scene.claims().is_empty() && scene.connects(), "{:?}", scene.did);
        assert_eq!(scene.session.facts().limit, None);
    }
}

#[test]
fn where_the_backend_decides_logins_are_counted_before_it_does() {
    for protocol in PROTOCOLS {
        let mut policy = limited(protocol, &[limit("user", LimitKey::Login, 1)]);
        policy.auth = None;
        policy.backend.pass = Some(Target::Address(address("198.51.100.2:143")));
        policy.backend.tls = BackendTls::Off;
        let mut scene = Scene::granted(policy, "");
        assert_eq!(scene.claims(), [("user".to_owned(), "fred".to_owned(), 1)]);
        scene.tell(Event::Admitted(Ok(())));
        assert!(scene.connects(), "{:?}", scene.did);
    }
}

#[test]
fn a_login_without_a_place_is_refused_for_now_and_never_as_if_its_password_were_wrong() {
    for (protocol, reply) in [
        (Protocol::Imap, "a NO [UNAVAILABLE] Too many connections\r\n* BYE Closing connection\r\n"),
        (Protocol::Pop3, "-ERR [SYS/TEMP] Too many connections\r\n"),
        (Protocol::Smtp, "454 4.7.0 Too many connections\r\n421 4.7.0 mx.test Closing connection\r\n"),
    ] {
        let mut policy = limited(protocol, &[limit("user", LimitKey::Login, 1)]);
        policy.capabilities.push("RESP-CODES".into());
        let mut scene = Scene::granted(policy.clone(), "");
        scene.tell(Event::Admitted(Err(NoPlace::Full("user".into()))));
        assert_eq!(scene.said(), reply);
        assert!(scene.is_over(), "{:?}", scene.did);
        let line = "[error] limiting connections by zone \"user\" while in http auth state, client: 192.0.2.7, server: 198.51.100.1:143, login: \"fred\"";
        assert_eq!(scene.log(), [line]);
        assert_eq!(scene.session.facts().limit, Some(LimitStatus::Rejected));

        policy.conn_limits.log_level = Level::Notice;
        let mut scene = Scene::granted(policy, "");
        scene.tell(Event::Admitted(Err(NoPlace::Full("user".into()))));
        assert!(scene.log()[0].starts_with("[notice] limiting"), "{:?}", scene.log());
    }
}

#[test]
fn pop3_says_a_code_only_where_it_has_promised_codes() {
    let mut scene = Scene::granted(limited(Protocol::Pop3, &[limit("user", LimitKey::Login, 1)]), "");
    scene.tell(Event::Admitted(Err(NoPlace::Full("user".into()))));
    assert_eq!(scene.said(), "-ERR Too many connections\r\n");
}

#[test]
fn a_zone_without_memory_is_our_trouble() {
    for (protocol, reply) in [
        (Protocol::Imap, "a NO [UNAVAILABLE] internal server error\r\n"),
        (Protocol::Pop3, "-ERR internal server error\r\n"),
        (Protocol::Smtp, "451 4.3.2 Internal server error\r\n"),
    ] {
        let mut scene = Scene::granted(limited(protocol, &[limit("user", LimitKey::Login, 1)]), "");
        scene.tell(Event::Admitted(Err(NoPlace::NoMemory("user".into()))));
        assert!(scene.said().starts_with(reply), "{:?}", scene.said());
        assert!(scene.is_over());
        assert!(
            scene.log()[0].starts_with("[crit] no memory in limit_conn_zone \"user\" while"),
            "{:?}",
            scene.log()
        );
    }
}

#[test]
fn a_dry_run_lets_everybody_in_and_tells_who_would_not_have_been() {
    for protocol in PROTOCOLS {
        for (why, line) in [
            (NoPlace::Full("user".into()), "[error] limiting connections, dry run, by zone \"user\" while"),
            (
                NoPlace::NoMemory("user".into()),
                "[crit] no memory, dry run, in limit_conn_zone \"user\" while",
            ),
        ] {
            let mut policy = limited(protocol, &[limit("user", LimitKey::Login, 1)]);
            policy.conn_limits.dry_run = true;
            let mut scene = Scene::granted(policy, "");
            scene.tell(Event::Admitted(Err(why)));
            assert!(scene.connects() && scene.said().is_empty(), "{:?}", scene.did);
            assert!(scene.log()[0].starts_with(line), "{:?}", scene.log());
            assert_eq!(scene.session.facts().limit, Some(LimitStatus::RejectedDryRun));
        }
    }
}

#[test]
fn a_key_that_is_too_long_is_not_counted_and_shown_only_if_it_is_a_login() {
    let long = "x".repeat(256);
    let limits = [limit("user", LimitKey::Login, 1), limit("pass", LimitKey::Header("auth_pass".into()), 1)];
    let headers = format!("Auth-User: {long}\r\nAuth-Pass: {}\r\n", "hunter2".repeat(40));
    let scene = Scene::granted(limited(Protocol::Imap, &limits), &headers);
    assert!(scene.claims().is_empty() && scene.connects(), "{:?}", scene.did);
    let log = scene.log();
    let of_login =
        format!("[error] the value of the \"$remote_user\" key is more than 255 bytes: \"{long}\" while");
    assert!(log[0].starts_with(&of_login), "{log:?}");
    let of_header = "[error] the value of the \"$auth_http_auth_pass\" key is more than 255 bytes while";
    assert!(log[1].starts_with(of_header), "{log:?}");

    let longest = format!("Auth-User: {}\r\n", "x".repeat(255));
    assert_eq!(Scene::granted(limited(Protocol::Imap, &limits), &longest).claims().len(), 1);
}

#[test]
fn what_a_session_is_counted_by_shows_in_no_trace() {
    let claim = Claim { zone: "z".into(), key: Secret::from(&b"hunter2"[..]), connections: 1, early: false };
    assert!(!format!("{:?}", Action::Admit(vec![claim])).contains("hunter2"));
}

#[test]
fn a_client_without_a_place_hears_that_instead_of_a_greeting() {
    for (protocol, greeting) in [
        (Protocol::Imap, "* BYE Too many connections\r\n"),
        (Protocol::Pop3, "-ERR [SYS/TEMP] Too many connections\r\n"),
        (Protocol::Smtp, "421 4.7.0 Too many connections\r\n"),
    ] {
        let mut policy = limited(protocol, &[early()]);
        policy.capabilities.push("RESP-CODES".into());
        let mut scene = Scene::new(policy, Door::Plain);
        assert_eq!(scene.claims(), [("addr".to_owned(), "192.0.2.7".to_owned(), 3)]);
        assert_eq!(scene.said(), "");
        scene.tell(Event::Admitted(Err(NoPlace::Full("addr".into()))));
        assert_eq!(scene.said(), greeting);
        assert!(scene.is_over());
        let line = "[error] limiting connections by zone \"addr\" while sending client greeting line, client: 192.0.2.7, server: 198.51.100.1:143";
        assert_eq!(scene.log(), [line]);
    }
}

#[test]
fn whoever_is_turned_away_before_a_greeting_is_not_lingered_for() {
    for protocol in PROTOCOLS {
        for door in [Door::Plain, Door::Tls] {
            for why in [NoPlace::Full("addr".into()), NoPlace::NoMemory("addr".into())] {
                let mut scene = Scene::new(limited(protocol, &[early()]), door);
                assert!(scene.session.lingering().close);
                scene.tell(Event::Admitted(Err(why)));
                assert!(scene.is_over() && !scene.session.lingering().close);
            }
        }
        let mut denied = limited(protocol, &[]);
        denied.access = Access(vec![(Verdict::Deny, Peers::All)]);
        let scene = Scene::new(denied, Door::Plain);
        assert!(scene.is_over() && !scene.session.lingering().close);
        // Who was greeted may have said something already, and would lose our last words with a reset.
        let mut scene = Scene::granted(limited(protocol, &[limit("user", LimitKey::Login, 1)]), "");
        scene.tell(Event::Admitted(Err(NoPlace::Full("user".into()))));
        assert!(scene.is_over() && scene.session.lingering().close);
    }
}

#[test]
fn a_client_with_a_place_is_greeted_and_what_it_said_meanwhile_is_heard() {
    for protocol in PROTOCOLS {
        let mut scene = Scene::new(limited(protocol, &[early()]), Door::ProxyHeader);
        assert!(scene.claims().is_empty(), "before it is known who it is");
        let said = match protocol {
            Protocol::Imap => "a NOOP\r\n",
            Protocol::Pop3 | Protocol::Smtp => "NOOP\r\n",
        };
        let header = format!("PROXY TCP4 203.0.113.7 198.51.100.1 40001 143\r\n{said}");
        scene.tell(Event::Received(Wire::Client, header.as_bytes()));
        assert_eq!(scene.claims().len(), 1);
        assert!(!scene.session.wants(Wire::Client));
        scene.tell(Event::Admitted(Ok(())));
        assert_eq!(scene.said().lines().count(), 2, "greeting and reply: {:?}", scene.said());
        // Both limits are looked at, each in its time.
        assert_eq!(scene.session.facts().limit, Some(LimitStatus::Passed));
    }
}

#[test]
fn an_address_is_the_same_however_it_is_written() {
    for (header, counted) in [
        ("PROXY TCP4 203.0.113.7 198.51.100.1 40001 143\r\n", "203.0.113.7"),
        ("PROXY TCP6 ::ffff:203.0.113.7 2001:db8::1 40001 143\r\n", "203.0.113.7"),
        ("PROXY TCP6 2001:db8:0::7 2001:db8::1 40001 143\r\n", "2001:db8::7"),
    ] {
        let mut policy = limited(Protocol::Imap, &[early()]);
        policy.real_ip_from = vec![Peers::All];
        let mut scene = Scene::new(policy, Door::ProxyHeader);
        scene.tell(Event::Received(Wire::Client, header.as_bytes()));
        assert_eq!(scene.claims(), [("addr".to_owned(), counted.to_owned(), 3)], "{header}");
    }
}

#[test]
fn no_handshake_is_spent_on_a_client_without_a_place() {
    for protocol in PROTOCOLS {
        let mut scene = Scene::new(limited(protocol, &[early()]), Door::Tls);
        assert_eq!(scene.claims().len(), 1);
        scene.tell(Event::Admitted(Err(NoPlace::Full("addr".into()))));
        assert_eq!(scene.said(), "");
        assert!(scene.is_over());

        let mut scene = Scene::new(limited(protocol, &[early()]), Door::Tls);
        scene.tell(Event::Admitted(Ok(())));
        assert!(scene.did.iter().any(|action| matches!(action, Action::Secure(Wire::Client, _))));
        scene.tell(Event::Secured(Wire::Client, facts()));
        assert!(!scene.said().is_empty());
    }
}

#[test]
fn an_answer_that_nobody_asked_for_moves_nothing() {
    for protocol in PROTOCOLS {
        let mut scene = Scene::granted(limited(protocol, &[]), "");
        scene.tell(Event::Admitted(Err(NoPlace::Full("addr".into()))));
        assert!(scene.did.is_empty(), "{:?}", scene.did);
        let mut scene = Scene::new(limited(protocol, &[]), Door::Tls);
        scene.tell(Event::Admitted(Ok(())));
        assert!(scene.did.is_empty(), "{:?}", scene.did);
    }
}

#[test]
fn a_session_that_has_its_places_goes_on_as_any_other() {
    for protocol in PROTOCOLS {
        let limits = [early(), limit("user", LimitKey::Login, 1)];
        let mut stage = Stage::new(limited(protocol, &limits), Door::Plain, usize::MAX);
        stage.client_says(match protocol {
            Protocol::Imap => b"a LOGIN fred hunter2\r\n",
            Protocol::Pop3 => b"USER fred\r\nPASS hunter2\r\n",
            Protocol::Smtp => b"EHLO me\r\nAUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n",
        });
        assert!(stage.log.iter().any(|line| line.starts_with("[info] client logged in")), "{:?}", stage.log);
    }
}
