//! Whatever happens, in whatever order: every event in every phase returns, and leaves a session as a session should be.

use std::time::Duration;

use gatepost_core::{
    Action, Actions, Answer, AuthUrl, ConnLimit, End, Event, LimitKey, NoPlace, NoServer, Policy, Protocol,
    ResolveError, Server, Session, SystemError, Target, Wire,
};
use proptest::prelude::*;

use crate::stage::{Door, NOW, PROTOCOLS, address, client, facts, peer, policy, session};

/// How many octets a client is sent at most for each one that came from anywhere: an error for an empty line is 28, a capability list for
/// the four octets of the shortest command that asks for one about 200.
const REPLY_OCTETS_PER_OCTET_MAX: usize = 64;

/// What comes on top: the greeting, a farewell, and what is said of a login.
const REPLY_OCTETS_BESIDES_MAX: usize = 2048;

/// One event, owned.
#[derive(Clone, Debug)]
enum Happening {
    Opened(Wire),
    Reused(Wire),
    Received(Wire, Vec<u8>),
    Secured(Wire),
    Ended(Wire, End),
    Chosen(Wire, Result<Server, NoServer>),
    Admitted(Result<(), NoPlace>),
    Resolved(Answer),
    Deadline,
    Drain,
}

impl Happening {
    fn event(&self) -> Event<'_> {
        match self {
            Self::Opened(Wire::Client) => Event::Opened(Wire::Client, client()),
            Self::Opened(wire) => Event::Opened(*wire, peer("198.51.100.2:143")),
            Self::Reused(wire) => Event::Reused(*wire, peer("198.51.100.2:143")),
            Self::Received(wire, octets) => Event::Received(*wire, octets),
            Self::Secured(wire) => Event::Secured(*wire, facts()),
            Self::Ended(wire, end) => Event::Ended(*wire, end.clone()),
            Self::Chosen(wire, chosen) => Event::Chosen(*wire, chosen.clone()),
            Self::Admitted(outcome) => Event::Admitted(outcome.clone()),
            Self::Resolved(answer) => Event::Resolved(answer.clone()),
            Self::Deadline => Event::Deadline,
            Self::Drain => Event::Drain,
        }
    }

    fn octets(&self) -> usize {
        match self {
            Self::Received(_, octets) => octets.len(),
            _ => 0,
        }
    }
}

/// What leads somewhere, said by whom it leads from.
const WORDS: [(Wire, &str); 24] = [
    (Wire::Client, "a LOGIN fred hunter2\r\n"),
    (Wire::Client, "a LOGIN {4}\r\n"),
    (Wire::Client, "fred {7+}\r\nhunter2\r\n"),
    (Wire::Client, "a STARTTLS\r\n"),
    (Wire::Client, "a AUTHENTICATE PLAIN\r\n"),
    (Wire::Client, "USER fred\r\n"),
    (Wire::Client, "PASS hunter2\r\n"),
    (Wire::Client, "STLS\r\n"),
    (Wire::Client, "EHLO c.test\r\n"),
    (Wire::Client, "AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n"),
    (Wire::Client, "AUTH XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
    (Wire::Client, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"),
    (Wire::Client, "STARTTLS\r\n"),
    (Wire::Client, "AGZyZWQAaHVudGVyMg==\r\n"),
    (Wire::Client, "PROXY TCP4 203.0.113.9 198.51.100.1 40001 143\r\n"),
    (Wire::Auth, "Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\n\r\n"),
    (Wire::Auth, "Auth-Status: OK\r\nAuth-Server: 198.51.100.2,198.51.100.3\r\nAuth-Port: 143\r\n\r\n"),
    (Wire::Auth, "Auth-Status: no\r\nAuth-Wait: 3\r\n\r\n"),
    (Wire::Auth, "Auth-Status: WAIT\r\nAuth-Wait: 9\r\n\r\n"),
    (Wire::Backend, "* OK hello\r\n+ \r\n+ \r\n"),
    (Wire::Backend, "a OK in\r\n"),
    (Wire::Backend, "+OK\r\n"),
    (Wire::Backend, "220 x\r\n250 x\r\n220 x\r\n"),
    (Wire::Backend, "235 in\r\n"),
];

fn wire() -> impl Strategy<Value = Wire> {
    proptest::sample::select(vec![Wire::Client, Wire::Auth, Wire::Backend])
}

fn end() -> impl Strategy<Value = End> {
    proptest::sample::select(vec![
        End::Finished,
        End::Broken(SystemError { call: "recv()", code: 104, text: "Connection reset by peer".into() }),
        End::Insecure("bad record".into()),
    ])
}

fn happening() -> impl Strategy<Value = Happening> {
    let server = Server { address: address("198.51.100.2:143"), name: Some("backend.test".into()) };
    let chosen = vec![
        Ok(server),
        Err(NoServer::Exhausted),
        Err(NoServer::Unresolved { name: "backend.test".into(), error: ResolveError::NotFound }),
    ];
    let answers = vec![
        Answer::Name(Ok(b"client.test".to_vec())),
        Answer::Name(Err(ResolveError::Server)),
        Answer::Addresses(Ok(vec!["192.0.2.7".parse().unwrap()])),
        Answer::Addresses(Err(ResolveError::NotFound)),
    ];
    let outcomes = vec![Ok(()), Ok(()), Err(NoPlace::Full("of".into())), Err(NoPlace::NoMemory("of".into()))];
    prop_oneof![
        4 => wire().prop_map(Happening::Opened),
        1 => wire().prop_map(Happening::Reused),
        3 => proptest::sample::select(outcomes).prop_map(Happening::Admitted),
        12 => proptest::sample::select(&WORDS[..])
            .prop_map(|(wire, words)| Happening::Received(wire, words.as_bytes().to_vec())),
        3 => (wire(), proptest::collection::vec(any::<u8>(), 1..40)).prop_map(|(wire, octets)| Happening::Received(wire, octets)),
        1 => (wire(), 4000usize..4096).prop_map(|(wire, octets)| Happening::Received(wire, vec![b'x'; octets])),
        3 => wire().prop_map(Happening::Secured),
        1 => (wire(), end()).prop_map(|(wire, end)| Happening::Ended(wire, end)),
        2 => (wire(), proptest::sample::select(chosen)).prop_map(|(wire, chosen)| Happening::Chosen(wire, chosen)),
        1 => proptest::sample::select(answers).prop_map(Happening::Resolved),
        2 => Just(Happening::Deadline),
        1 => Just(Happening::Drain),
    ]
}

fn setting() -> impl Strategy<Value = (Policy, Door)> {
    let protocols = proptest::sample::select(&PROTOCOLS[..]);
    let doors = proptest::sample::select(vec![Door::Plain, Door::ProxyHeader, Door::Tls]);
    (protocols, doors, any::<[bool; 6]>()).prop_map(
        |(protocol, door, [named, delayed, passes, choice, kept, counted])| {
            let mut policy = policy(protocol);
            policy.resolver_timeout = named.then_some(Duration::from_secs(30));
            policy.greeting_delay = Duration::from_secs(if delayed { 5 } else { 0 });
            let places = ["198.51.100.2:143", "198.51.100.3:143"].map(|place| address(place).into());
            let target = if choice {
                Target::AnyOf(places.into())
            } else {
                Target::Address(address("198.51.100.2:143"))
            };
            if passes {
                policy.auth = None;
                policy.backend.pass = Some(target);
            } else if let Some(auth) = &mut policy.auth {
                auth.urls = vec![AuthUrl::new(target, "127.0.0.1")];
                auth.keepalive = usize::from(kept);
            }
            if counted {
                let limit = |key, early| ConnLimit { zone: "of".into(), key, connections: 1, early };
                policy.conn_limits.limits =
                    vec![limit(LimitKey::Address, true), limit(LimitKey::Login, false)];
            }
            (policy, door)
        },
    )
}

/// How often a session ends with these actions.
fn endings(out: &Actions) -> usize {
    out.iter().filter(|action| matches!(action, Action::Close(Wire::Client) | Action::Relay(_))).count()
}

fn sent_to_client(out: &Actions) -> usize {
    let sent = out.iter().filter_map(|action| match action {
        Action::Send(Wire::Client, payload) => Some(payload.expose().len()),
        _ => None,
    });
    sent.sum()
}

fn wants_any(session: &Session) -> bool {
    [Wire::Client, Wire::Auth, Wire::Backend].into_iter().any(|wire| session.wants(wire))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_event_in_any_phase_leaves_a_session_that_lives_or_is_over(
        (policy, door) in setting(), happenings in proptest::collection::vec((happening(), 0u64..40), 0..40),
    ) {
        let mut session = session(policy, door);
        let (mut now, mut ended, mut heard, mut said) = (NOW, 0, 0, 0);
        let mut out = Actions::new();
        for (happening, seconds) in happenings {
            if let Happening::Deadline = happening {
                now = session.deadline().map_or(now, |deadline| now.max(deadline.at));
            } else {
                // Never beyond the deadline, which a driver does not miss.
                let by = session.deadline().map_or(now, |deadline| deadline.at);
                now = now.max(by.min(now.after(Duration::from_secs(seconds))));
            }
            let was_over = session.deadline().is_none();
            session.handle(now, happening.event(), &mut out);
            heard += happening.octets();
            said += sent_to_client(&out);
            ended += endings(&out);
            prop_assert!(!was_over || out.is_empty(), "{happening:?} moves a session that is over: {out:?}");
            prop_assert_eq!(session.deadline().is_none(), ended == 1, "{:?} after {:?}", out, happening);
            prop_assert!(ended <= 1, "it ends again: {:?}", out);
            prop_assert!(session.deadline().is_none_or(|deadline| deadline.at >= now), "its deadline is over");
            prop_assert!(session.deadline().is_some() || !wants_any(&session), "it is over and wants to read");
            let bound = heard * REPLY_OCTETS_PER_OCTET_MAX + REPLY_OCTETS_BESIDES_MAX;
            prop_assert!(said <= bound, "{} octets of replies to {}", said, heard);
            out.drain();
        }
    }

    #[test]
    fn the_same_events_give_the_same_actions(
        (policy, door) in setting(), happenings in proptest::collection::vec(happening(), 0..30),
    ) {
        let (mut one, mut other) = (session(policy.clone(), door), session(policy, door));
        for happening in happenings {
            let (mut ones, mut others) = (Actions::new(), Actions::new());
            one.handle(NOW, happening.event(), &mut ones);
            other.handle(NOW, happening.event(), &mut others);
            prop_assert!(ones == others, "{ones:?} is not {others:?}");
            prop_assert_eq!(one.deadline(), other.deadline());
        }
    }
}

#[test]
fn the_shortest_commands_are_answered_within_the_bound() {
    for (protocol, command) in
        [(Protocol::Imap, "a CAPABILITY\r\n"), (Protocol::Pop3, "CAPA\n"), (Protocol::Smtp, "\n")]
    {
        let mut session = session(policy(protocol), Door::Plain);
        session.handle(NOW, Event::Opened(Wire::Client, client()), &mut Actions::new());
        let mut out = Actions::new();
        session.handle(NOW, Event::Received(Wire::Client, command.as_bytes()), &mut out);
        let said = sent_to_client(&out);
        assert!(
            said > 0 && said <= command.len() * REPLY_OCTETS_PER_OCTET_MAX,
            "{said} octets to {command:?}"
        );
    }
}
