//! What a session holds of what it is sent has an end, though what is sent has none (limits.rs).

use gatepost_core::limits::{
    AHEAD_BYTES_MAX, BACKEND_BUFFERS_MAX, READ_BYTES_MAX, SASL_LINE_BYTES_MAX, TAG_BYTES_MAX,
};
use gatepost_core::{
    Action, Actions, AuthServer, AuthUrl, BackendTls, ConnLimit, ConnLimits, Event, LimitKey, Protocol,
    Scheme, Session, Target, WaitingFor, Wire,
};

use crate::stage::{Door, NOW, PROTOCOLS, address, client, facts, peer, policy, session};

/// Whose turn it is while a client speaks ahead of its own.
#[derive(Clone, Copy, Debug)]
enum Busy {
    AuthServer,
    Penalty,
    Admission,
    Backend,
}

#[test]
fn a_client_that_speaks_ahead_of_its_turn_is_read_until_a_page_is_there_and_then_no_further() {
    for protocol in PROTOCOLS {
        for busy in [Busy::AuthServer, Busy::Penalty, Busy::Admission, Busy::Backend] {
            let mut session = busy_with(busy, protocol);
            tell(&mut session, Event::Received(Wire::Client, &[b'x'; AHEAD_BYTES_MAX - 1]));
            assert!(session.wants(Wire::Client), "{protocol:?} {busy:?}: there is room for one more");
            tell(&mut session, Event::Received(Wire::Client, b"x"));
            assert!(!session.wants(Wire::Client), "{protocol:?} {busy:?}: read on and on");
        }
    }
}

#[test]
fn only_whose_turn_it_is_is_read_besides_the_client() {
    for protocol in PROTOCOLS {
        for (busy, auth, backend) in [
            (Busy::AuthServer, true, false),
            (Busy::Penalty, false, false),
            (Busy::Admission, false, false),
            (Busy::Backend, false, true),
        ] {
            let session = busy_with(busy, protocol);
            assert_eq!(
                (session.wants(Wire::Auth), session.wants(Wire::Backend)),
                (auth, backend),
                "{protocol:?} {busy:?}"
            );
        }
    }
}

#[test]
fn nobody_is_read_while_tls_is_agreed_on() {
    for protocol in PROTOCOLS {
        let command: &[u8] = match protocol {
            Protocol::Imap => b"a STARTTLS\r\n",
            Protocol::Pop3 => b"STLS\r\n",
            Protocol::Smtp => b"STARTTLS\r\n",
        };
        for door in [Door::Plain, Door::Tls] {
            let mut session = session(policy(protocol), door);
            tell(&mut session, Event::Opened(Wire::Client, client()));
            if door == Door::Plain {
                assert!(session.wants(Wire::Client));
                tell(&mut session, Event::Received(Wire::Client, command));
            }
            assert!(!session.wants(Wire::Client), "{protocol:?} {door:?}");
            tell(&mut session, Event::Secured(Wire::Client, facts()));
            assert!(session.wants(Wire::Client), "{protocol:?} {door:?}");
        }
    }
}

#[test]
fn a_server_is_not_read_while_tls_is_agreed_on_with_it() {
    for protocol in PROTOCOLS {
        let mut policy = policy(protocol);
        let url = AuthUrl::new(Target::Address(address("127.0.0.1:9000")), "auth.test");
        policy.auth = Some(AuthServer::at(vec![AuthUrl { scheme: Scheme::Https { name: None }, ..url }]));
        policy.unauthenticated = false;
        policy.backend.tls = BackendTls::On;
        policy.backend.tls_configured = true;
        let mut session = session(policy, Door::Plain);
        tell(&mut session, Event::Opened(Wire::Client, client()));
        tell(&mut session, Event::Received(Wire::Client, login(protocol)));
        for (wire, at) in [(Wire::Auth, "127.0.0.1:9000"), (Wire::Backend, "198.51.100.2:143")] {
            tell(&mut session, Event::Opened(wire, peer(at)));
            assert!(!session.wants(wire), "{protocol:?} {wire:?}");
            tell(&mut session, Event::Secured(wire, facts()));
            assert!(session.wants(wire), "{protocol:?} {wire:?}");
            tell(&mut session, Event::Received(Wire::Auth, GRANTED));
        }
    }
}

/// RFC 4954 section 4 and limits.rs: a tag, the command's word, and as much as a response may be.
#[test]
fn a_command_that_carries_a_response_is_heard_up_to_its_bound() {
    let behind_the_longest_tag = format!("{}  AUTHENTICATE PLAIN ", "t".repeat(TAG_BYTES_MAX));
    for (protocol, front, word) in [
        (Protocol::Imap, "a AUTHENTICATE PLAIN ", "AUTHENTICATE"),
        (Protocol::Imap, &behind_the_longest_tag, "AUTHENTICATE"),
        (Protocol::Pop3, "AUTH PLAIN ", "AUTH"),
        (Protocol::Smtp, "AUTH PLAIN ", "AUTH"),
    ] {
        let mut session = greeted(protocol);
        tell(&mut session, Event::Received(Wire::Client, front.as_bytes()));
        let most = TAG_BYTES_MAX + word.len() + SASL_LINE_BYTES_MAX;
        assert_eq!(answered_after(&mut session, most - front.len()), Some(true), "{protocol:?}");
    }
}

/// RFC 7628 section 3.2.3: it should be empty, or one octet in base64, and is a line like any other.
#[test]
fn the_answer_to_a_refusal_is_heard_up_to_the_bound_of_a_line() {
    for (protocol, command) in [
        (Protocol::Imap, "a AUTHENTICATE XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
        (Protocol::Pop3, "AUTH XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
        (Protocol::Smtp, "AUTH XOAUTH2 dXNlcj1mcmVkAWF1dGg9QmVhcmVyIGh1bnRlcjIBAQ==\r\n"),
    ] {
        let mut session = session(policy(protocol), Door::Tls);
        tell(&mut session, Event::Opened(Wire::Client, client()));
        tell(&mut session, Event::Secured(Wire::Client, facts()));
        tell(&mut session, Event::Received(Wire::Client, command.as_bytes()));
        tell(&mut session, Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
        tell(&mut session, Event::Received(Wire::Auth, b"Auth-Status: no\r\n\r\n"));
        assert_eq!(answered_after(&mut session, SASL_LINE_BYTES_MAX + 2), Some(true), "{protocol:?}");
    }
}

/// Its lines are as long as may be, and none of them leads on: twice what it says is there for the moment in which the room for it grows.
/// Were the room doubled, it would be three times as much (seed 199 of the simulation). POP3's replies have one line.
#[test]
fn a_backend_that_never_ends_its_reply_is_given_up_with_no_more_held_than_twice_what_it_may_say() {
    for (protocol, greeting, line) in
        [(Protocol::Imap, "* OK hello\r\n", "* and on"), (Protocol::Smtp, "", "220-and on")]
    {
        for piece in [10, 1000, READ_BYTES_MAX] {
            let buffer_bytes = policy(protocol).backend.buffer_bytes;
            let may_say = buffer_bytes * BACKEND_BUFFERS_MAX;
            let reply = format!("{line:<width$}\r\n", width = buffer_bytes - 2).into_bytes();
            let endless: Vec<u8> = reply.iter().copied().cycle().take(may_say + buffer_bytes).collect();
            let mut session = busy_with(Busy::Backend, protocol);
            tell(&mut session, Event::Received(Wire::Backend, greeting.as_bytes()));
            let mut heard = 0;
            let counted = allocation_counter::measure(|| {
                for octets in endless.chunks(piece) {
                    if session.deadline().is_none() {
                        break;
                    }
                    heard += octets.len();
                    tell(&mut session, Event::Received(Wire::Backend, octets));
                }
            });
            assert!(session.deadline().is_none(), "{protocol:?}: {heard} octets were heard, and it goes on");
            assert!(heard > may_say - buffer_bytes, "{protocol:?}: {heard} octets were enough");
            assert!(heard <= may_say + buffer_bytes, "{protocol:?}: {heard} octets were heard");
            let most = u64::try_from(2 * (may_say + buffer_bytes) + READ_BYTES_MAX).unwrap();
            assert!(counted.bytes_max <= most, "{protocol:?}: {} octets held of {heard}", counted.bytes_max);
        }
    }
}

#[test]
fn a_line_that_never_ends_is_heard_up_to_the_buffer() {
    for protocol in PROTOCOLS {
        let mut session = busy_with(Busy::Backend, protocol);
        let mut heard = 0;
        while session.deadline().is_some() {
            tell(&mut session, Event::Received(Wire::Backend, b"*"));
            heard += 1;
        }
        assert_eq!(heard, policy(protocol).backend.buffer_bytes, "{protocol:?}");
    }
}

/// Whether a client that says so many octets, and no line end, hears something with the last of them; nothing if it does before.
fn answered_after(session: &mut Session, octets: usize) -> Option<bool> {
    let before = tell(session, Event::Received(Wire::Client, &vec![b'x'; octets - 1]));
    before.is_empty().then(|| !tell(session, Event::Received(Wire::Client, b"x")).is_empty())
}

fn greeted(protocol: Protocol) -> Session {
    let mut session = session(policy(protocol), Door::Plain);
    tell(&mut session, Event::Opened(Wire::Client, client()));
    session
}

/// A session whose client has logged in, with somebody busy for it.
fn busy_with(busy: Busy, protocol: Protocol) -> Session {
    let mut policy = policy(protocol);
    policy.unauthenticated = false;
    policy.backend.tls = BackendTls::Off;
    if let Busy::Admission = busy {
        let limit = ConnLimit { zone: "user".into(), key: LimitKey::Login, connections: 1, early: false };
        policy.conn_limits = ConnLimits { limits: vec![limit], ..ConnLimits::default() };
    }
    let mut session = session(policy, Door::Plain);
    tell(&mut session, Event::Opened(Wire::Client, client()));
    tell(&mut session, Event::Received(Wire::Client, login(protocol)));
    tell(&mut session, Event::Opened(Wire::Auth, peer("127.0.0.1:9000")));
    let answer: &[u8] = match busy {
        Busy::AuthServer => return session,
        Busy::Penalty => b"Auth-Status: no\r\nAuth-Wait: 3\r\n\r\n",
        Busy::Admission | Busy::Backend => GRANTED,
    };
    let did = tell(&mut session, Event::Received(Wire::Auth, answer));
    let waiting_for = session.deadline().map(|deadline| deadline.waiting_for);
    match busy {
        Busy::AuthServer => {}
        Busy::Penalty => assert_eq!(waiting_for, Some(WaitingFor::Penalty)),
        Busy::Admission => assert!(did.iter().any(|action| matches!(action, Action::Admit(_)))),
        Busy::Backend => {
            assert_eq!(waiting_for, Some(WaitingFor::Backend));
            tell(&mut session, Event::Opened(Wire::Backend, peer("198.51.100.2:143")));
        }
    }
    session
}

const GRANTED: &[u8] =
    b"Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\nAuth-Pass: hunter2\r\n\r\n";

fn login(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Imap => b"a LOGIN fred hunter2\r\n",
        Protocol::Pop3 => b"USER fred\r\nPASS hunter2\r\n",
        Protocol::Smtp => b"AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n",
    }
}

fn tell(session: &mut Session, event: Event<'_>) -> Vec<Action> {
    let mut out = Actions::new();
    session.handle(NOW, event, &mut out);
    out.drain().collect()
}
