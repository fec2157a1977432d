//! A login in one step (`proxy_pipelining`): everything a backend has to hear goes in one piece, to one backend.

use gatepost_core::{Action, End, Event, Judgement, Payload, Policy, Protocol, Wire};

use crate::failover::Scene;
use crate::stage::policy;

const LOGIN: &str = "a LOGIN {4+}\r\nfred {7+}\r\nhunter2\r\n";

fn pipelining() -> Policy {
    let mut policy = policy(Protocol::Imap);
    policy.backend.pipelining = true;
    policy
}

/// A session whose auth server has named two backends, of which the first is connected.
fn before_the_greeting() -> Scene {
    let mut scene = Scene::new(pipelining());
    scene.log_in(Protocol::Imap);
    scene.granted("Auth-Status: OK\r\nAuth-Server: 198.51.100.2, 198.51.100.3\r\nAuth-Port: 143\r\n\r\n");
    scene.opened("198.51.100.2:143");
    scene
}

/// What was done while a backend said `words` in pieces of so many octets.
fn hears(scene: &mut Scene, words: &str, octets: usize) -> Vec<Action> {
    let mut did = Vec::new();
    for piece in words.as_bytes().chunks(octets) {
        scene.tell(Event::Received(Wire::Backend, piece));
        did.append(&mut scene.did);
    }
    did
}

fn said(did: &[Action]) -> Vec<(Wire, &Payload)> {
    let said = did.iter().filter_map(|action| match action {
        Action::Send(wire, payload) => Some((*wire, payload)),
        _ => None,
    });
    said.collect()
}

#[test]
fn the_whole_login_is_one_secret_payload_however_offer_and_answer_are_cut() {
    for octets in 1..40 {
        let mut scene = before_the_greeting();
        let did = hears(&mut scene, "* OK [CAPABILITY IMAP4rev1 LITERAL+] hello\r\n", octets);
        let [(Wire::Backend, Payload::Secret(login))] = said(&did)[..] else { panic!("{did:?}") };
        assert_eq!(login.expose(), LOGIN.as_bytes());
        assert!(did.contains(&Action::Judge(Wire::Backend, Judgement::Sound)), "{did:?}");
        let did = hears(&mut scene, "* NOTICE hello\r\n+ go\r\n+ go\r\n* 1 EXISTS\r\na OK in\r\n", octets);
        let [(Wire::Client, words)] = said(&did)[..] else { panic!("{did:?}") };
        assert_eq!(words.expose(), b"* NOTICE hello\r\n* 1 EXISTS\r\na OK in\r\n");
        assert!(matches!(did.last(), Some(Action::Relay(_))), "{did:?}");
    }
}

#[test]
fn nobody_else_is_told_once_one_was_told_in_one_step() {
    let mut scene = before_the_greeting();
    scene.tell(Event::Ended(Wire::Backend, End::Finished));
    assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
    scene.opened("198.51.100.3:143");
    scene.tell(Event::Received(Wire::Backend, b"* OK [CAPABILITY LITERAL+] hello\r\n"));
    assert_eq!(scene.said_to(Wire::Backend), LOGIN);
    scene.tell(Event::Ended(Wire::Backend, End::Finished));
    assert!(!scene.did.contains(&Action::OpenNext(Wire::Backend)), "{:?}", scene.did);
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"), "{:?}", scene.did);
}

#[test]
fn what_one_backend_offered_is_not_held_against_the_next() {
    let mut scene = before_the_greeting();
    scene.tell(Event::Received(Wire::Backend, b"* BYE [CAPABILITY LITERAL+] gone\r\n"));
    assert!(scene.tries_another(Wire::Backend), "{:?}", scene.did);
    scene.opened("198.51.100.3:143");
    scene.tell(Event::Received(Wire::Backend, b"* OK hello\r\n"));
    assert_eq!(scene.said_to(Wire::Backend), "a LOGIN {4}\r\n");
}
