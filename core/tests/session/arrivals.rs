//! What comes before a greeting: who leaves there, and whom there is no name for.

use std::sync::Arc;
use std::time::Duration;

use gatepost_core::{
    Address, Answer, Client, End, Event, Peer, Policy, Protocol, ResolveError, Seed, Session, Wire,
};

use crate::failover::Scene;
use crate::stage::{Door, NOW, PROTOCOLS, client, facts, policy, session};

/// SMTP where the client's name is asked for.
fn naming() -> Policy {
    let mut policy = policy(Protocol::Smtp);
    policy.resolver_timeout = Some(Duration::from_secs(30));
    policy
}

#[test]
fn whoever_leaves_before_a_proxy_header_has_not_left_in_a_handshake() {
    for protocol in PROTOCOLS {
        for (door, lines) in [(Door::ProxyHeader, 0), (Door::Tls, 1)] {
            let mut scene = Scene::of(session(policy(protocol), door));
            scene.tell(Event::Ended(Wire::Client, End::Finished));
            assert_eq!(scene.log().len(), lines, "{protocol:?} {door:?}: {:?}", scene.log());
            assert_eq!(scene.session_deadline(), None);
        }
    }
}

#[test]
fn what_is_wrong_in_tls_is_a_handshakes_fault_only_during_one() {
    for protocol in PROTOCOLS {
        let mut scene = Scene::of(session(policy(protocol), Door::Tls));
        scene.tell(Event::Ended(Wire::Client, End::Insecure("no shared cipher".into())));
        assert!(scene.log()[0].contains("SSL_do_handshake() failed"), "{:?}", scene.log());
        let mut scene = Scene::of(session(policy(protocol), Door::Tls));
        scene.tell(Event::Secured(Wire::Client, facts()));
        scene.tell(Event::Ended(Wire::Client, End::Insecure("bad record mac".into())));
        assert!(!scene.log()[0].contains("SSL_do_handshake() failed"), "{:?}", scene.log());
    }
}

#[test]
fn whoever_left_while_its_name_was_asked_for_is_not_kept_waiting_for_a_greeting() {
    let mut policy = naming();
    policy.greeting_delay = Duration::from_secs(5);
    let mut scene = Scene::new(policy.clone());
    scene.tell(Event::Resolved(Answer::Name(Err(ResolveError::NotFound))));
    assert_eq!(scene.session_deadline(), Some(NOW.after(Duration::from_secs(5))), "who stays, waits");
    let mut scene = Scene::new(policy);
    scene.tell(Event::Ended(Wire::Client, End::Finished));
    scene.tell(Event::Resolved(Answer::Name(Err(ResolveError::NotFound))));
    assert_eq!(scene.session_deadline(), None);
}

/// backend.md 4.4: somebody else's trouble, as far as the name goes, not the client's.
#[test]
fn a_client_without_an_address_has_no_name_for_the_time_being() {
    let remote = Peer { remote: Address::Unix("".into()), ..client() };
    for (peer, policy, host) in
        [(remote.clone(), naming(), "[TEMPUNAVAIL]"), (remote, policy(Protocol::Smtp), "[UNAVAILABLE]")]
    {
        let client =
            Client { peer, listener: "unix:/run/smtp".into(), proxy_protocol: false, tls_first: false };
        let mut scene = Scene::of(Session::new(Arc::new(policy), client, Seed([7; 16]), NOW));
        assert!(scene.said_to(Wire::Client).starts_with("220 "), "greeted at once: {:?}", scene.did);
        scene.log_in(Protocol::Smtp);
        scene.tell(Event::Opened(Wire::Auth, crate::stage::peer("127.0.0.1:9000")));
        let request = scene.said_to(Wire::Auth);
        assert!(request.contains(&format!("\r\nClient-Host: {host}\r\n")), "{request}");
    }
}
