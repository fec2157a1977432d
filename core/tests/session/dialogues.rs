//! What a backend says is taken for what it means, and for no more: no guess leads on to the password.

use gatepost_core::{BackendTls, Event, Policy, Protocol, Wire};

use crate::failover::Scene;
use crate::stage::{facts, policy};

const GRANTED: &str =
    "Auth-Status: OK\r\nAuth-Server: 198.51.100.2\r\nAuth-Port: 143\r\nAuth-Pass: hunter2\r\n\r\n";

/// A session whose backend has just been connected to.
fn connected(policy: Policy) -> Scene {
    let protocol = policy.protocol;
    let mut scene = Scene::new(policy);
    scene.log_in(protocol);
    scene.granted(GRANTED);
    scene.tell(Event::Opened(Wire::Backend, crate::stage::peer("198.51.100.2:143")));
    scene
}

fn says(scene: &mut Scene, words: &str) -> String {
    scene.tell(Event::Received(Wire::Backend, words.as_bytes()));
    scene.said_to(Wire::Backend)
}

#[test]
fn an_imap_backend_that_does_not_want_the_name_is_not_told_the_password() {
    for refusal in ["a NO go away\r\n", "a BAD what\r\n", "a OK fred\r\n", "b + go on\r\n", "go on\r\n"] {
        let mut scene = connected(policy(Protocol::Imap));
        assert_eq!(says(&mut scene, "* OK hello\r\n"), "a LOGIN {4}\r\n");
        assert_eq!(says(&mut scene, "+ go on\r\n"), "fred {7}\r\n");
        assert_eq!(says(&mut scene, refusal), "", "{refusal:?}");
        assert_eq!(scene.session_deadline(), None, "{refusal:?}");
    }
}

#[test]
fn only_the_answer_to_capability_ends_the_wait_for_it() {
    for (answer, login) in [
        ("a OK that is all\r\n", "a LOGIN {4+}\r\nfred {7+}\r\nhunter2\r\n"),
        ("a NO not at all\r\n", "a LOGIN {4+}\r\nfred {7+}\r\nhunter2\r\n"),
        ("b OK whose?\r\n", ""),
        ("aa OK whose?\r\n", ""),
        ("+ go on\r\n", ""),
    ] {
        let mut policy = policy(Protocol::Imap);
        policy.backend.pipelining = true;
        policy.backend.tls = BackendTls::StartTls;
        policy.backend.tls_configured = true;
        let mut scene = connected(policy);
        assert_eq!(says(&mut scene, "* OK hello\r\n"), "a STARTTLS\r\n");
        says(&mut scene, "a OK go on\r\n");
        scene.tell(Event::Secured(Wire::Backend, facts()));
        assert_eq!(scene.said_to(Wire::Backend), "a CAPABILITY\r\n");
        assert_eq!(says(&mut scene, "* CAPABILITY IMAP4rev1 LITERAL+\r\n"), "");
        assert_eq!(says(&mut scene, answer), login, "{answer:?}");
        assert_eq!(scene.session_deadline().is_none(), login.is_empty(), "{answer:?}");
    }
}

/// RFC 5321 section 4.2.
#[test]
fn a_reply_without_a_code_is_none_whether_or_not_it_seems_to_go_on() {
    for reply in ["22x-hello\r\n", "abc-\r\n", "2 0-hello\r\n", "22x hello\r\n", "220+hello\r\n", "22\r\n"] {
        let mut scene = connected(policy(Protocol::Smtp));
        assert_eq!(says(&mut scene, reply), "", "{reply:?}");
        assert_eq!(scene.session_deadline(), None, "{reply:?} is waited on");
    }
}
