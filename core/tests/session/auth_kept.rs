//! Connections to auth servers that are used more than once (decision 27).

use std::time::Duration;

use gatepost_core::{
    Action, AuthServer, AuthUrl, End, Event, Group, Guest, Judgement, NoServer, Protocol, Scheme, Target,
    Wire,
};

use crate::failover::{Scene, refused};
use crate::stage::{address, facts, peer, policy};

const AUTH: &str = "127.0.0.1:9000";

/// A session whose client has just said who it is.
fn begun(url: AuthUrl) -> Scene {
    let mut policy = policy(Protocol::Imap);
    policy.auth = Some(AuthServer { keepalive: 1, ..AuthServer::at(vec![url]) });
    let mut scene = Scene::new(policy);
    scene.log_in(Protocol::Imap);
    scene
}

fn clear() -> AuthUrl {
    AuthUrl::new(Target::Address(address(AUTH)), "auth.test")
}

fn secure() -> AuthUrl {
    AuthUrl { scheme: Scheme::Https { name: None }, ..clear() }
}

fn group() -> AuthUrl {
    let group = Group { name: "auths".into(), servers: 2, guest: Guest::default() };
    AuthUrl { target: Target::Group(group), ..clear() }
}

/// The connection is one that was kept, and the question was asked.
fn reused(url: AuthUrl) -> Scene {
    let mut scene = begun(url);
    scene.tell(Event::Reused(Wire::Auth, peer(AUTH)));
    assert_eq!(scene.said_to(Wire::Auth).matches("Auth-Pass: hunter2\r\n").count(), 1, "{:?}", scene.did);
    scene
}

const NO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nAuth-Status: no\r\n\r\nbo";

#[test]
fn a_request_says_that_its_connection_may_be_kept() {
    let mut scene = begun(clear());
    let target = Target::Address(address(AUTH));
    assert_eq!(scene.did.last(), Some(&Action::OpenOrReuse(Wire::Auth, target, Scheme::Http)));
    scene.tell(Event::Opened(Wire::Auth, peer(AUTH)));
    let request = scene.said_to(Wire::Auth);
    let start = "GET / HTTP/1.1\r\nHost: auth.test\r\nConnection: keep-alive\r\nAuth-Method: plain\r\n";
    assert!(request.starts_with(start), "{request}");
}

#[test]
fn an_answer_counts_at_once_and_its_rest_is_left_to_others() {
    for mut scene in [reused(clear()), reused(secure()), reused(group())] {
        scene.tell(Event::Received(Wire::Auth, NO));
        let kept = scene.did.iter().find_map(|action| match action {
            Action::Keep(Wire::Auth, rest) => Some(rest.clone()),
            _ => None,
        });
        let mut rest = kept.expect("a connection that is kept");
        assert!(!rest.is_over() && rest.receive(b"dy").is_ok() && rest.is_over());
        assert!(!scene.did.contains(&Action::Close(Wire::Auth)), "{:?}", scene.did);
        assert!(scene.said_to(Wire::Client).starts_with("a NO [AUTHENTICATIONFAILED] no\r\n"));
    }
}

#[test]
fn an_answer_without_an_end_of_its_own_takes_the_connection_with_it() {
    for answer in [
        "HTTP/1.1 200 OK\r\nAuth-Status: no\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nAuth-Status: no\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: no\r\n\r\nHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-Status: no\r\nConnection: close\r\n\r\n",
    ] {
        let mut scene = reused(clear());
        scene.tell(Event::Received(Wire::Auth, answer.as_bytes()));
        assert!(scene.did.contains(&Action::Close(Wire::Auth)), "{answer}");
        assert!(!scene.did.iter().any(|action| matches!(action, Action::Keep(..))), "{answer}");
    }
}

#[test]
fn an_answer_that_makes_no_sense_takes_the_connection_with_it() {
    for answer in [
        "HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nAuth-User: a\0b\r\nAuth-Status: OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX Y: z\r\n",
        // What some server has sent too much of the answer before.
        "\r\n",
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "Auth-Server: 192.0.2.66\r\nAuth-Port: 143\r\n\r\n",
    ] {
        let mut scene = reused(clear());
        scene.tell(Event::Received(Wire::Auth, answer.as_bytes()));
        assert!(scene.did.contains(&Action::Close(Wire::Auth)), "{answer}");
        assert!(!scene.did.iter().any(|action| matches!(action, Action::Keep(..))), "{answer}");
        assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"), "{answer}");
    }
}

#[test]
fn a_kept_connection_that_is_gone_is_replaced_once_and_nobody_is_blamed() {
    for end in [End::Finished, refused(), End::Insecure("close_notify".into())] {
        for url in [clear(), secure(), group()] {
            let is_secure = url.scheme != Scheme::Http;
            let is_choice = url.target.is_choice();
            let mut scene = begun(url);
            if is_choice {
                scene.chosen(Wire::Auth, AUTH);
            }
            let until = scene.session_deadline();
            scene.tell(Event::Reused(Wire::Auth, peer(AUTH)));
            scene.tell(Event::Ended(Wire::Auth, end.clone()));
            assert_eq!(scene.did, [Action::Reopen(Wire::Auth)]);
            assert_eq!(scene.session_deadline(), until, "there is no more time than before");
            scene.tell(Event::Opened(Wire::Auth, peer(AUTH)));
            if is_secure {
                assert!(matches!(scene.did[..], [Action::Secure(Wire::Auth, _)]), "{:?}", scene.did);
                scene.tell(Event::Secured(Wire::Auth, facts()));
            }
            assert!(scene.said_to(Wire::Auth).contains("Auth-Login-Attempt: 1\r\n"), "{:?}", scene.did);
            // A second time it is the server's fault.
            scene.tell(Event::Ended(Wire::Auth, end.clone()));
            assert!(!scene.did.contains(&Action::Reopen(Wire::Auth)), "{:?}", scene.did);
            assert_eq!(scene.log().len(), 1, "{:?}", scene.log());
            match is_choice {
                true => assert!(scene.tries_another(Wire::Auth), "{:?}", scene.did),
                false => assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]")),
            }
        }
    }
}

#[test]
fn nobody_is_asked_again_behind_the_first_octet_of_an_answer() {
    let mut scene = reused(clear());
    scene.tell(Event::Received(Wire::Auth, b"H"));
    scene.tell(Event::Ended(Wire::Auth, End::Finished));
    assert!(!scene.did.contains(&Action::Reopen(Wire::Auth)), "{:?}", scene.did);
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"));
}

#[test]
fn the_next_server_may_be_asked_by_a_kept_connection_too() {
    let mut scene = begun(group());
    scene.chosen(Wire::Auth, AUTH);
    scene.tell(Event::Ended(Wire::Auth, refused()));
    assert!(scene.tries_another(Wire::Auth), "{:?}", scene.did);
    scene.chosen(Wire::Auth, "127.0.0.2:9000");
    scene.tell(Event::Reused(Wire::Auth, peer("127.0.0.2:9000")));
    scene.tell(Event::Received(Wire::Auth, NO));
    assert_eq!(scene.did.first(), Some(&Action::Judge(Wire::Auth, Judgement::Sound)));
    let mut scene = begun(group());
    scene.tell(Event::Chosen(Wire::Auth, Err(NoServer::Exhausted)));
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"));
}

#[test]
fn a_client_that_leaves_takes_the_connection_with_it() {
    let mut scene = reused(clear());
    scene.tell(Event::Ended(Wire::Client, refused()));
    assert!(scene.did.contains(&Action::Close(Wire::Auth)), "{:?}", scene.did);
    let mut scene = reused(clear());
    scene.tell(Event::Drain);
    assert!(scene.did.contains(&Action::Close(Wire::Auth)), "{:?}", scene.did);
    let mut scene = reused(clear());
    scene.wait();
    scene.wait();
    assert!(scene.did.contains(&Action::Close(Wire::Auth)), "{:?}", scene.did);
}

#[test]
fn a_kept_connection_that_is_silent_is_replaced_once_and_nobody_is_blamed() {
    for url in [clear(), group()] {
        let is_choice = url.target.is_choice();
        let mut scene = begun(url);
        if is_choice {
            scene.chosen(Wire::Auth, AUTH);
        }
        let (begun, until) = (scene.now, scene.session_deadline());
        scene.tell(Event::Reused(Wire::Auth, peer(AUTH)));
        scene.wait();
        assert_eq!(begun.until(scene.now).as_secs(), 5);
        assert_eq!(scene.did, [Action::Reopen(Wire::Auth)]);
        assert_eq!(scene.session_deadline(), until, "there is no more time than before");
        scene.tell(Event::Opened(Wire::Auth, peer(AUTH)));
        assert!(scene.said_to(Wire::Auth).contains("Auth-Login-Attempt: 1\r\n"), "{:?}", scene.did);
        // A second time it is the server's fault.
        scene.wait();
        assert!(!scene.did.contains(&Action::Reopen(Wire::Auth)), "{:?}", scene.did);
        assert!(scene.log()[0].contains("auth http server 127.0.0.1:9000 timed out"), "{:?}", scene.log());
        match is_choice {
            true => assert!(scene.tries_another(Wire::Auth), "{:?}", scene.did),
            false => assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]")),
        }
    }
}

#[test]
fn a_new_connection_has_as_much_of_a_short_budget_as_the_kept_one() {
    let mut policy = policy(Protocol::Imap);
    let auth = AuthServer { keepalive: 1, timeout: Duration::from_secs(4), ..AuthServer::at(vec![clear()]) };
    policy.auth = Some(auth);
    let mut scene = Scene::new(policy);
    scene.log_in(Protocol::Imap);
    let begun = scene.now;
    scene.tell(Event::Reused(Wire::Auth, peer(AUTH)));
    scene.wait();
    assert_eq!(scene.did, [Action::Reopen(Wire::Auth)]);
    assert_eq!(begun.until(scene.now).as_secs(), 2);
    scene.wait();
    assert_eq!(begun.until(scene.now).as_secs(), 4);
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"), "{:?}", scene.did);
}

#[test]
fn whoever_has_begun_to_answer_by_a_kept_connection_has_all_the_time_there_is() {
    let mut scene = begun(clear());
    let until = scene.session_deadline();
    scene.tell(Event::Reused(Wire::Auth, peer(AUTH)));
    scene.tell(Event::Received(Wire::Auth, b"H"));
    assert_eq!(scene.session_deadline(), until);
    scene.wait();
    assert!(!scene.did.contains(&Action::Reopen(Wire::Auth)), "{:?}", scene.did);
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"), "{:?}", scene.did);
}

#[test]
fn a_driver_that_is_late_finds_no_time_left_to_ask_anew() {
    let mut scene = reused(clear());
    scene.now = scene.now.after(AuthServer::at(vec![clear()]).timeout);
    scene.tell(Event::Deadline);
    assert!(!scene.did.contains(&Action::Reopen(Wire::Auth)), "{:?}", scene.did);
    assert!(scene.said_to(Wire::Client).starts_with("a NO [UNAVAILABLE]"), "{:?}", scene.did);
}
