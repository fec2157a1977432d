//! Which mechanisms are taken, listed or not (divergences D22).

use gatepost_core::{Action, Actions, Event, Mechanism, Mechanisms, Policy, Protocol, Wire};

use crate::failover::Scene;
use crate::stage::{Door, NOW, client, policy, session};

fn listing(protocol: Protocol, mechanism: Mechanism, auth_strict: bool) -> Policy {
    let mut policy = policy(protocol);
    policy.mechanisms = Mechanisms::none().with(mechanism);
    (policy.auth_strict, policy.unauthenticated) = (auth_strict, false);
    policy
}

/// Whether the auth server is asked about a client that says this.
fn is_taken(policy: &Policy, words: &str) -> bool {
    let mut scene = Scene::new(policy.clone());
    scene.tell(Event::Received(Wire::Client, words.as_bytes()));
    scene.did.iter().any(|action| matches!(action, Action::Open(Wire::Auth, _)))
}

#[test]
fn plain_and_login_are_taken_unlisted_unless_the_list_is_meant_literally() {
    for (protocol, by_plain, by_login) in [
        (
            Protocol::Imap,
            "a AUTHENTICATE PLAIN AGZyZWQAaHVudGVyMg==\r\n",
            "a AUTHENTICATE LOGIN\r\nZnJlZA==\r\naHVudGVyMg==\r\n",
        ),
        (Protocol::Pop3, "AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n", "AUTH LOGIN\r\nZnJlZA==\r\naHVudGVyMg==\r\n"),
        (Protocol::Smtp, "AUTH PLAIN AGZyZWQAaHVudGVyMg==\r\n", "AUTH LOGIN\r\nZnJlZA==\r\naHVudGVyMg==\r\n"),
    ] {
        let taken = |mechanism, auth_strict| {
            let policy = listing(protocol, mechanism, auth_strict);
            (is_taken(&policy, by_plain), is_taken(&policy, by_login))
        };
        for listed in [Mechanism::Plain, Mechanism::Login, Mechanism::CramMd5] {
            assert_eq!(taken(listed, false), (true, true), "{protocol:?} lists {listed:?}");
        }
        assert_eq!(taken(Mechanism::CramMd5, true), (false, false), "{protocol:?}");
        // `pop3_auth` has no word for LOGIN.
        let is_pop3 = protocol == Protocol::Pop3;
        assert_eq!(taken(Mechanism::Plain, true), (true, is_pop3), "{protocol:?}");
        assert_eq!(taken(Mechanism::Login, true), (false, !is_pop3), "{protocol:?}");
    }
}

#[test]
fn the_protocols_own_way_to_give_a_password_counts_as_plain() {
    for (protocol, words) in
        [(Protocol::Imap, "a LOGIN fred hunter2\r\n"), (Protocol::Pop3, "USER fred\r\nPASS hunter2\r\n")]
    {
        for (mechanism, auth_strict, taken) in [
            (Mechanism::CramMd5, false, true),
            (Mechanism::CramMd5, true, false),
            (Mechanism::Plain, true, true),
        ] {
            let policy = listing(protocol, mechanism, auth_strict);
            assert_eq!(is_taken(&policy, words), taken, "{protocol:?} {mechanism:?} {auth_strict}");
        }
    }
}

#[test]
fn how_a_client_logs_in_is_known_by_auth_methods_word() {
    for (words, method) in [
        ("a LOGIN fred hunter2\r\n", "plain"),
        ("a AUTHENTICATE PLAIN AGZyZWQAaHVudGVyMg==\r\n", "plain"),
        ("a NOOP\r\n", ""),
    ] {
        let mut session = session(policy(Protocol::Imap), Door::Plain);
        for event in [Event::Opened(Wire::Client, client()), Event::Received(Wire::Client, words.as_bytes())]
        {
            session.handle(NOW, event, &mut Actions::new());
        }
        assert_eq!(session.facts().method.unwrap_or_default(), method, "{words:?}");
    }
}

#[test]
fn nobody_may_act_as_another_by_plain_and_each_protocol_says_so() {
    // fred for wilma, with hunter2.
    for (protocol, words, reply) in [
        (
            Protocol::Imap,
            "a AUTHENTICATE PLAIN d2lsbWEAZnJlZABodW50ZXIy\r\n",
            "a NO [AUTHORIZATIONFAILED] cannot act as another user\r\n",
        ),
        (Protocol::Pop3, "AUTH PLAIN d2lsbWEAZnJlZABodW50ZXIy\r\n", "-ERR cannot act as another user\r\n"),
        (
            Protocol::Smtp,
            "AUTH PLAIN d2lsbWEAZnJlZABodW50ZXIy\r\n",
            "535 5.7.0 Cannot act as another user\r\n",
        ),
    ] {
        let mut scene = Scene::new(policy(protocol));
        scene.tell(Event::Received(Wire::Client, words.as_bytes()));
        assert_eq!(scene.said_to(Wire::Client), reply);
    }
}
