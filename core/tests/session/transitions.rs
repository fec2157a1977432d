//! The map: every phase knocked on with every event, a line each. A new edge is a diff of the snapshot.

use std::fmt::Write;

use gatepost_core::{Action, Actions, End, Event, Policy, Protocol, Session, SystemError, Wire};

use crate::stage::{NOW, PROTOCOLS, client, facts, peer, policy, session};

/// How a session gets into a phase: events one by one.
type Way = fn(Protocol) -> Vec<Event<'static>>;

const PHASES: [(&str, Way); 8] = [
    ("arrive", |_| vec![Event::Opened(Wire::Client, client())]),
    ("greet", |_| vec![Event::Opened(Wire::Client, client())]),
    ("converse", |_| vec![Event::Opened(Wire::Client, client())]),
    ("sasl", |protocol| told(protocol, "AUTHENTICATE PLAIN", "AUTH PLAIN")),
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
    ("login", |protocol| {
        let mut way = authorizing(protocol);
        way.push(Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
        way.push(Event::Received(Wire::Auth, b"Auth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n"));
        way
    }),
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
        Event::Deadline,
        Event::Drain,
    ];
    for wire in [Wire::Auth, Wire::Backend] {
        events.push(Event::Opened(wire, peer("198.51.100.2:143")));
        events.push(Event::Received(wire, b"HTTP/1.0 503 x\r\n\r\n"));
        events.push(Event::Ended(wire, End::Finished));
        events.push(Event::Ended(wire, reset()));
    }
    events
}

fn arrive_at(phase: &str, way: Way, protocol: Protocol) -> Session {
    let delayed = Policy { greeting_delay: std::time::Duration::from_secs(5), ..policy(protocol) };
    let policy = if phase == "greet" { delayed } else { policy(protocol) };
    let mut session = session(policy, phase == "arrive");
    for event in way(protocol) {
        session.handle(NOW, event, &mut Actions::new());
    }
    session
}

fn name(session: &Session) -> String {
    let text = format!("{session:?}");
    let speaking = text.split("speaking: ").nth(1).unwrap_or_default();
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
