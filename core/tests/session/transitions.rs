//! The map: every phase knocked on with every event, a line each. A new edge is a diff of the snapshot.

use std::fmt::Write;

use gatepost_core::{
    Action, Actions, Answer, ConnLimit, ConnLimits, End, Event, LimitKey, NoPlace, Policy, Protocol,
    ResolveError, Session, SystemError, Wire,
};

use crate::stage::{Door, NOW, PROTOCOLS, client, facts, peer, policy, session};

/// How a session gets into a phase: events one by one.
type Way = fn(Protocol) -> Vec<Event<'static>>;

const PHASES: [(&str, Way); 10] = [
    ("arrive", |_| vec![Event::Opened(Wire::Client, client())]),
    ("greet", |_| vec![Event::Opened(Wire::Client, client())]),
    ("converse", |_| vec![Event::Opened(Wire::Client, client())]),
    ("sasl", |protocol| told(protocol, "AUTHENTICATE PLAIN", "AUTH PLAIN")),
    ("refused", |protocol| {
        let message = "XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==";
        let mut way = told(protocol, &format!("AUTHENTICATE {message}"), &format!("AUTH {message}"));
        way.insert(1, Event::Secured(Wire::Client, facts()));
        way.push(Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
        way.push(Event::Received(Wire::Auth, b"Auth-Status: no\r\n\r\n"));
        way
    }),
    ("upgrade", |protocol| {
        told(protocol, "STARTTLS", if protocol == Protocol::Pop3 { "STLS" } else { "STARTTLS" })
    }),
    ("authorize", authorizing),
    ("penalty", |protocol| {
        let mut way = authorizing(protocol);
        way.push(Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
        way.push(Event::Received(Wire::Auth, b"Auth-Status: no\r\nAuth-Wait: 3\r\n\r\n"));
        way
    }),
    ("admit", granted),
    ("login", granted),
];

fn told(protocol: Protocol, imap: &str, others: &str) -> Vec<Event<'static>> {
    let line = match protocol {
        Protocol::Imap => format!("a {imap}\r\n"),
        Protocol::Pop3 | Protocol::Smtp => format!("{others}\r\n"),
    };
    vec![Event::Opened(Wire::Client, client()), Event::Received(Wire::Client, line.leak().as_bytes())]
}

fn authorizing(protocol: Protocol) -> Vec<Event<'static>> {
    let message = "PLAIN AGZyZWQAaHVudGVyMg==";
    told(protocol, &format!("AUTHENTICATE {message}"), &format!("AUTH {message}"))
}

fn granted(protocol: Protocol) -> Vec<Event<'static>> {
    let mut way = authorizing(protocol);
    way.push(Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
    way.push(Event::Received(Wire::Auth, b"Auth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n"));
    way
}

/// Each kind of event, on each wire where that makes a difference.
fn events() -> Vec<Event<'static>> {
    let reset =
        || End::Broken(SystemError { call: "recv()", code: 104, text: "Connection reset by peer".into() });
    let mut events = vec![
        Event::Opened(Wire::Client, client()),
        Event::Received(Wire::Client, b"x NOOP\r\n"),
        Event::Secured(Wire::Client, facts()),
        Event::Ended(Wire::Client, End::Finished),
        Event::Ended(Wire::Client, reset()),
        Event::Ended(Wire::Client, End::Insecure("bad record".into())),
        Event::Resolved(Answer::Name(Ok(b"client.test".to_vec()))),
        Event::Admitted(Ok(())),
        Event::Admitted(Err(NoPlace::Full("user".into()))),
        Event::Deadline,
        Event::Drain,
    ];
    for wire in [Wire::Auth, Wire::Backend] {
        events.push(Event::Opened(wire, peer("198.51.100.2:143")));
        events.push(Event::Received(wire, b"HTTP/1.0 503 x\r\n\r\n"));
        events.push(Event::Secured(wire, facts()));
        events.push(Event::Ended(wire, End::Finished));
        events.push(Event::Ended(wire, reset()));
    }
    events
}

/// The phase that only SMTP has, and only where there is a resolver.
#[test]
fn the_map_of_names() {
    let policy =
        Policy { resolver_timeout: Some(std::time::Duration::from_secs(30)), ..policy(Protocol::Smtp) };
    let name = Answer::Name(Ok(b"Client.Test.".to_vec()));
    let mut map = String::new();
    for asked_back in [false, true] {
        for event in events().into_iter().chain([
            Event::Resolved(Answer::Name(Err(ResolveError::NotFound))),
            Event::Resolved(Answer::Name(Err(ResolveError::Server))),
            Event::Resolved(Answer::Name(Ok(b"a b".to_vec()))),
            Event::Resolved(Answer::Addresses(Ok(vec!["192.0.2.7".parse().unwrap()]))),
            Event::Resolved(Answer::Addresses(Ok(vec!["192.0.2.8".parse().unwrap()]))),
            Event::Resolved(Answer::Addresses(Err(ResolveError::NotFound))),
        ]) {
            let mut session = session(policy.clone(), Door::Plain);
            session.handle(NOW, Event::Opened(Wire::Client, client()), &mut Actions::new());
            if asked_back {
                session.handle(NOW, Event::Resolved(name.clone()), &mut Actions::new());
            }
            let mut out = Actions::new();
            session.handle(NOW, event.clone(), &mut out);
            let said: Vec<String> = out.iter().map(shown).collect();
            let phase = self::name(&session);
            writeln!(
                map,
                "identify{} + {event:?} -> {phase}: {}",
                if asked_back { " back" } else { "" },
                said.join(", ")
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(map);
}

fn arrive_at(phase: &str, way: Way, protocol: Protocol) -> Session {
    let delayed = Policy { greeting_delay: std::time::Duration::from_secs(5), ..policy(protocol) };
    let limit = ConnLimit { zone: "user".into(), key: LimitKey::Login, connections: 1, early: false };
    let counted = ConnLimits { limits: vec![limit], ..ConnLimits::default() };
    let policy = match phase {
        "greet" => delayed,
        "admit" => Policy { conn_limits: counted, ..policy(protocol) },
        _ => policy(protocol),
    };
    let mut session =
        session(policy, if matches!(phase, "arrive" | "refused") { Door::Tls } else { Door::Plain });
    for event in way(protocol) {
        session.handle(NOW, event, &mut Actions::new());
    }
    session
}

fn name(session: &Session) -> String {
    let text = format!("{session:?}");
    let speaking = text.split("speaking: Some(").nth(1).unwrap_or_default();
    speaking.split('(').nth(1).unwrap_or_default().trim_end_matches([')', ' ', '}']).to_lowercase()
}

#[test]
fn the_map() {
    let mut map = String::new();
    for protocol in PROTOCOLS {
        for (phase, way) in PHASES {
            for event in events() {
                let mut session = arrive_at(phase, way, protocol);
                assert_eq!(name(&session), phase, "{protocol:?}");
                let mut out = Actions::new();
                session.handle(NOW, event.clone(), &mut out);
                let said: Vec<String> = out.iter().map(shown).collect();
                writeln!(
                    map,
                    "{} {phase} + {event:?} -> {}: {}",
                    protocol.name(),
                    name(&session),
                    said.join(", ")
                )
                .unwrap();
                assert_eq!(
                    session.deadline().is_none(),
                    name(&session) == "closed",
                    "a living phase has a deadline"
                );
            }
        }
    }
    insta::assert_snapshot!(map);
}

/// An action; a report without the circumstances, which do not change.
fn shown(action: &Action) -> String {
    match action {
        Action::Report(report) => {
            let line = report.to_string();
            format!("[{}] {}", report.level().name(), line.split(", client: ").next().unwrap_or_default())
        }
        Action::Relay(_) => "Relay".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn nothing_moves_a_session_that_is_over() {
    for protocol in PROTOCOLS {
        for event in events() {
            let mut session = arrive_at("converse", PHASES[2].1, protocol);
            session.handle(NOW, Event::Drain, &mut Actions::new());
            let mut out = Actions::new();
            session.handle(NOW, event, &mut out);
            assert!(out.is_empty() && session.deadline().is_none());
        }
    }
}
