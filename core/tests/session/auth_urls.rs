//! `auth_http` with several URLs, and under TLS (divergences D1 and D2).

use std::time::Duration;

use gatepost_core::limits::AUTH_WAIT_TIMEOUTS_MAX;
use gatepost_core::{
    Action, AuthServer, AuthUrl, End, Event, Group, Guest, Handshake, Judgement, NoServer, Policy, Protocol,
    Scheme, Server, Target, Wire,
};

use crate::failover::{Scene, refused};
use crate::stage::{address, client, facts, peer, policy};

const FIRST: &str = "127.0.0.1:9000";
const SECOND: &str = "127.0.0.2:9000";
const THIRD: &str = "127.0.0.3:9000";

fn at(place: &str) -> Target {
    Target::Address(address(place))
}

fn secure(name: Option<&str>, target: Target) -> AuthUrl {
    AuthUrl { scheme: Scheme::Https { name: name.map(Into::into) }, ..AuthUrl::new(target, "auth.test") }
}

fn asking(urls: Vec<AuthUrl>) -> Policy {
    let mut policy = policy(Protocol::Imap);
    policy.auth = Some(AuthServer::at(urls));
    policy
}

/// A session whose client has just said who it is.
fn begun(urls: Vec<AuthUrl>) -> Scene {
    let mut scene = Scene::new(asking(urls));
    scene.log_in(Protocol::Imap);
    scene
}

/// The three servers, each with a URL of its own.
fn three() -> Vec<AuthUrl> {
    let url =
        |place: &str, host: &str, uri: &str| AuthUrl { uri: uri.into(), ..AuthUrl::new(at(place), host) };
    vec![url(FIRST, "one", "/1"), url(SECOND, "two", "/2"), url(THIRD, "three", "/3")]
}

const UNAVAILABLE: &str = "a NO [UNAVAILABLE] internal server error\r\n";

#[test]
fn the_next_url_is_asked_whatever_is_wrong_with_the_one_before() {
    let opened = || Event::Opened(Wire::Auth, peer(FIRST));
    let said = |octets: &'static [u8]| vec![opened(), Event::Received(Wire::Auth, octets)];
    let ways = [
        vec![Event::Ended(Wire::Auth, refused())],
        vec![opened(), Event::Ended(Wire::Auth, End::Finished)],
        said(b"HTTP/1.0 503 Sorry\r\n\r\n"),
        said(b"HTTP/1.0 200\rOK\r\n"),
        said(b"what?\r\n"),
        said(vec![b'a'; 17 * 1024].leak()),
    ];
    for way in ways {
        let told = format!("{:?}", way.last());
        let mut scene = begun(three());
        way.into_iter().for_each(|event| scene.tell(event));
        let tail = scene.did.len() - 2;
        let next = [Action::Close(Wire::Auth), Action::Open(Wire::Auth, at(SECOND))];
        assert_eq!(scene.did[tail..], next, "{told}");
        assert!(scene.log()[0].starts_with("[error] "), "{told}");
        scene.tell(Event::Opened(Wire::Auth, peer(SECOND)));
        let request = scene.said_to(Wire::Auth);
        assert!(request.starts_with("GET /2 HTTP/1.0\r\nHost: two\r\nAuth-Method: plain\r\n"), "{request}");
        scene.tell(Event::Received(Wire::Auth, b"Auth-Status: no\r\n\r\n"));
        assert!(scene.said_to(Wire::Client).starts_with("a NO [AUTHENTICATIONFAILED] no\r\n"));
    }
}

#[test]
fn nobody_else_is_asked_behind_the_first_octet_of_an_answer() {
    let group = Target::Group(Group { name: "auths".into(), servers: 2, guest: Guest::default() });
    for urls in [three(), vec![AuthUrl::new(group, "auths")]] {
        let is_choice = urls[0].target.is_choice();
        for end in
            [Some(Event::Ended(Wire::Auth, End::Finished)), Some(Event::Ended(Wire::Auth, refused())), None]
        {
            let mut scene = begun(urls.clone());
            if is_choice {
                scene.chosen(Wire::Auth, FIRST);
            }
            scene.tell(Event::Opened(Wire::Auth, peer(FIRST)));
            scene.tell(Event::Received(Wire::Auth, b"H"));
            match end {
                Some(end) => scene.tell(end),
                None => scene.wait(),
            }
            assert!(!scene.tries_another(Wire::Auth), "{:?}", scene.did);
            assert!(!scene.did.iter().any(|action| matches!(action, Action::Open(..))), "{:?}", scene.did);
            assert!(scene.did.contains(&Action::Close(Wire::Auth)), "{:?}", scene.did);
            let judged = scene.did.contains(&Action::Judge(Wire::Auth, Judgement::Failed));
            assert_eq!(judged, is_choice, "{:?}", scene.did);
            assert_eq!(scene.log().len(), 1, "{:?}", scene.log());
            assert!(scene.said_to(Wire::Client).starts_with(UNAVAILABLE), "{:?}", scene.did);
        }
    }
}

#[test]
fn what_an_answer_says_is_final() {
    for answer in [
        "HTTP/1.0 401 No\r\n\r\n",
        "Auth-Status: no\r\n\r\n",
        "Auth-Status: OK\r\n\r\n",
        "Auth-Status: OK\r\nAuth-User: a\0b\r\n\r\n",
    ] {
        let mut scene = begun(three());
        scene.granted(answer);
        assert!(!scene.did.iter().any(|action| matches!(action, Action::Open(Wire::Auth, _))), "{answer:?}");
    }
}

#[test]
fn all_urls_share_one_budget_and_the_last_leaves_our_trouble() {
    let mut scene = begun(three());
    let begun = scene.now;
    for (next, seconds) in [(SECOND, 20), (THIRD, 40)] {
        scene.wait();
        assert_eq!(scene.did.last(), Some(&Action::Open(Wire::Auth, at(next))));
        assert_eq!(begun.until(scene.now).as_secs(), seconds);
    }
    scene.wait();
    assert_eq!(begun.until(scene.now).as_secs(), 60);
    assert!(scene.said_to(Wire::Client).starts_with(UNAVAILABLE), "{:?}", scene.did);

    let mut scene = self::begun(three());
    scene.tell(Event::Ended(Wire::Auth, refused()));
    scene.tell(Event::Ended(Wire::Auth, refused()));
    scene.tell(Event::Ended(Wire::Auth, refused()));
    assert!(scene.said_to(Wire::Client).starts_with(UNAVAILABLE), "{:?}", scene.did);
}

#[test]
fn a_group_is_left_for_the_next_url_when_nobody_is_left_in_it() {
    let group = Target::Group(Group { name: "auths".into(), servers: 2, guest: Guest::default() });
    let mut scene = begun(vec![AuthUrl::new(group, "auths"), AuthUrl::new(at(THIRD), "three")]);
    scene.chosen(Wire::Auth, FIRST);
    scene.tell(Event::Ended(Wire::Auth, refused()));
    assert!(scene.tries_another(Wire::Auth), "{:?}", scene.did);
    scene.tell(Event::Chosen(Wire::Auth, Err(NoServer::Exhausted)));
    assert!(scene.log()[0].contains("no live upstreams in \"auths\""), "{:?}", scene.log());
    assert_eq!(scene.did.last(), Some(&Action::Open(Wire::Auth, at(THIRD))));
    // Of what was left of the minute nothing is kept for servers that will not be asked.
    let begun = scene.now;
    scene.wait();
    assert_eq!(begun.until(scene.now).as_secs(), 60);
}

#[test]
fn waiting_begins_again_with_the_first_url() {
    let mut scene = begun(three());
    scene.tell(Event::Ended(Wire::Auth, refused()));
    scene.granted("Auth-Status: WAIT\r\nAuth-Wait: 2\r\n\r\n");
    scene.wait();
    assert_eq!(scene.did.last(), Some(&Action::Open(Wire::Auth, at(FIRST))));
}

#[test]
fn nothing_is_said_under_https_before_tls_is_up() {
    let mut scene = begun(vec![secure(Some("auth.test"), at(FIRST))]);
    scene.tell(Event::Opened(Wire::Auth, peer(FIRST)));
    let name = Some("auth.test".into());
    assert_eq!(scene.did, [Action::Secure(Wire::Auth, Handshake::Connect { name })]);
    // An answer in clear is nobody's.
    scene.tell(Event::Received(Wire::Auth, b"Auth-Server: 192.0.2.66\r\nAuth-Port: 143\r\n\r\n"));
    assert_eq!(scene.did, []);
    scene.tell(Event::Secured(Wire::Auth, facts()));
    assert!(scene.said_to(Wire::Auth).contains("Auth-Pass: hunter2\r\n"), "{:?}", scene.did);
    scene.tell(Event::Secured(Wire::Auth, facts()));
    assert_eq!(scene.did, [], "it is said once");
}

#[test]
fn a_certificate_is_for_the_name_that_a_server_was_chosen_by_unless_another_is_said() {
    for (said, wanted) in [(None, "a1.test"), (Some("auth.test"), "auth.test")] {
        let group =
            Target::Group(Group { name: "https://auths".into(), servers: 2, guest: Guest::default() });
        let mut scene = begun(vec![secure(said, group)]);
        let server = Server { address: address(FIRST), name: Some("a1.test".into()) };
        scene.tell(Event::Chosen(Wire::Auth, Ok(server)));
        scene.tell(Event::Opened(Wire::Auth, peer(FIRST)));
        let name = Some(wanted.into());
        assert_eq!(scene.did, [Action::Secure(Wire::Auth, Handshake::Connect { name })]);
        // The next one has none: it is checked by its address.
        scene.tell(Event::Ended(Wire::Auth, End::Insecure("expired".into())));
        assert!(scene.did.contains(&Action::Judge(Wire::Auth, Judgement::Failed)), "{:?}", scene.did);
        scene.chosen(Wire::Auth, SECOND);
        scene.tell(Event::Opened(Wire::Auth, peer(SECOND)));
        let name = said.map(Into::into);
        assert_eq!(scene.did, [Action::Secure(Wire::Auth, Handshake::Connect { name })]);
    }
}

#[test]
fn what_is_wrong_in_tls_is_told_and_the_next_url_asked() {
    let mut scene = begun(vec![secure(None, at(FIRST)), secure(None, at(SECOND))]);
    scene.tell(Event::Opened(Wire::Auth, peer(FIRST)));
    scene.tell(Event::Ended(Wire::Auth, End::Insecure("invalid peer certificate: Expired".into())));
    let line = "[error] auth http server 127.0.0.1:9000: SSL_do_handshake() failed (SSL: invalid peer \
                certificate: Expired) while in http auth state, client: ";
    assert!(scene.log()[0].starts_with(line), "{:?}", scene.log());
    scene.tell(Event::Opened(Wire::Auth, peer(SECOND)));
    scene.tell(Event::Secured(Wire::Auth, facts()));
    scene.tell(Event::Ended(Wire::Auth, End::Insecure("bad record".into())));
    let line = "[error] auth http server 127.0.0.2:9000: SSL_read() failed (SSL: bad record) while";
    assert!(scene.log()[0].starts_with(line), "{:?}", scene.log());
    assert!(scene.said_to(Wire::Client).starts_with(UNAVAILABLE), "{:?}", scene.did);
}

#[test]
fn nobody_is_asked_once_the_budget_is_spent() {
    let mut scene = begun(three());
    scene.now = scene.now.after(AuthServer::at(three()).timeout);
    scene.tell(Event::Ended(Wire::Auth, refused()));
    assert!(!scene.did.iter().any(|action| matches!(action, Action::Open(..))), "{:?}", scene.did);
    assert!(scene.said_to(Wire::Client).starts_with(UNAVAILABLE), "{:?}", scene.did);
}

#[test]
fn a_wait_as_long_as_all_waits_together_may_be_is_no_slip() {
    let longest = asking(three()).timeout.as_secs() * u64::from(AUTH_WAIT_TIMEOUTS_MAX);
    for (seconds, said) in [(longest, false), (longest + 1, true)] {
        let mut scene = begun(three());
        scene.granted(&format!("Auth-Status: no\r\nAuth-Wait: {seconds}\r\n\r\n"));
        let lines = scene.log().iter().filter(|line| line.contains("too long wait")).count();
        assert_eq!(lines == 1, said, "{seconds}: {:?}", scene.log());
        assert_eq!(scene.session_deadline(), Some(scene.now.after(Duration::from_secs(longest))));
    }
}

#[test]
fn a_server_of_a_group_is_chosen_for_whoever_the_question_is_about() {
    let group = Group { name: "auths".into(), servers: 2, guest: Guest::default() };
    let scene = begun(vec![AuthUrl::new(Target::Group(group.clone()), "auths")]);
    let guest = Guest { address: client().remote.ip(), login: b"fred"[..].into() };
    let target = Target::Group(Group { guest, ..group });
    assert_eq!(scene.did.last(), Some(&Action::Open(Wire::Auth, target)));
}
