use super::*;
use crate::upstream::{Member, Rule, Settings, Upstream, Upstreams};
use gatepost_core::{Group, Guest, Server};

const OTHER: &str = "192.0.2.3:143";
const THIRD: &str = "192.0.2.4:143";

fn upstreams(addresses: &[&str]) -> Arc<Upstreams> {
    let member = |address: &&str| Member::new(Server { address: inet(address), name: None });
    let settings = Settings { rule: Rule::RoundRobin, members: addresses.iter().map(member).collect() };
    Arc::new(Upstreams::from([("backends".into(), Arc::new(Upstream::new(&settings)))]))
}

/// A session that `proxy_pass`es to a group without an auth server.
fn begin(net: &TestNet, upstreams: &Arc<Upstreams>) -> Scene {
    let mut policy = policy(Protocol::Imap);
    let servers = upstreams["backends"].servers();
    policy.auth = None;
    policy.backend.pass =
        Some(Target::Group(Group { name: "backends".into(), servers, guest: Guest::default() }));
    Scene::begin_as(net, policy, |arrival| arrival.upstreams = upstreams.clone())
}

/// Lets whoever connects log in, and says what was heard.
async fn serve(mut stream: DuplexStream) -> (String, DuplexStream) {
    exchange(&mut stream, "* OK hello\r\n", "a LOGIN {3}\r\n").await;
    exchange(&mut stream, "+ go\r\n", "joe {7}\r\n").await;
    exchange(&mut stream, "+ go\r\n", "hunter2\r\n").await;
    stream.write_all(b"a OK in\r\n").await.expect("said");
    ("joe".to_owned(), stream)
}

async fn log_in(scene: &mut Scene) {
    hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
    scene.client.write_all(b"a LOGIN joe hunter2\r\n").await.expect("said");
}

#[test]
fn a_login_goes_on_at_the_next_server_and_never_back() {
    tell(async {
        let (net, upstreams) = (TestNet::new(4096), upstreams(&[BACKEND, OTHER, THIRD]));
        // The first refuses, the second hangs up without a greeting.
        let (mut second, mut third) = (net.listen(OTHER), net.listen(THIRD));
        let mut scene = begin(&net, &upstreams);
        log_in(&mut scene).await;
        drop(second.recv().await.expect("a visitor"));
        let (_, mut backend) = serve(third.recv().await.expect("a visitor")).await;
        exchange(&mut scene.client, "b NOOP\r\n", "a OK in\r\n").await;
        hear(&mut backend, "b NOOP\r\n").await;
        drop(backend);
        let log = scene.ended().await;
        let lines: Vec<_> = log.iter().map(String::as_str).collect();
        let [_, refused, closed, logged_in, done] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(refused.starts_with("error ") && refused.ends_with(BACKEND), "{refused}");
        let closed_line = "error upstream prematurely closed connection while reading response from upstream";
        assert!(closed.starts_with(closed_line) && closed.ends_with(OTHER), "{closed}");
        assert!(logged_in.starts_with("info client logged in") && logged_in.ends_with(THIRD), "{logged_in}");
        assert!(done.ends_with(THIRD), "{done}");
        assert!(second.try_recv().is_err(), "nobody comes back");

        // The next session is not sent where this one could not go.
        let mut scene = begin(&net, &upstreams);
        log_in(&mut scene).await;
        let _backend = serve(third.recv().await.expect("a visitor")).await;
        hear(&mut scene.client, "a OK in\r\n").await;
        assert!(scene.log.lines().iter().all(|line| line.starts_with("info ")), "{:?}", scene.log.lines());
    });
}

#[test]
fn a_server_that_swallows_packets_costs_ten_seconds_once() {
    tell(async {
        let (net, upstreams) = (TestNet::new(4096), upstreams(&[BACKEND, OTHER]));
        net.silent.borrow_mut().insert(BACKEND.into());
        let mut other = net.listen(OTHER);
        for spent in [10, 0] {
            let begun = Instant::now();
            let mut scene = begin(&net, &upstreams);
            log_in(&mut scene).await;
            let _backend = serve(other.recv().await.expect("a visitor")).await;
            hear(&mut scene.client, "a OK in\r\n").await;
            assert_eq!(begun.elapsed().as_secs(), spent);
        }
    });
}

#[test]
fn a_group_with_nobody_left_is_our_trouble() {
    tell(async {
        let (net, upstreams) = (TestNet::new(4096), upstreams(&[BACKEND, OTHER]));
        let mut scene = begin(&net, &upstreams);
        log_in(&mut scene).await;
        let farewell = "a NO [UNAVAILABLE] internal server error\r\n* BYE Internal server error\r\n";
        assert_eq!(hear_out(&mut scene.client).await, farewell);
        let log = scene.ended().await;
        assert_eq!(log.len(), 4, "{log:?}");
        let last =
            "error no live upstreams in \"backends\" while connecting to upstream, client: 198.51.100.7";
        assert!(log[3].starts_with(last), "{log:?}");
    });
}

#[test]
fn a_session_holds_its_place_until_its_relay_ends() {
    tell(async {
        let net = TestNet::new(4096);
        let member =
            |address| Member { max_conns: 1, ..Member::new(Server { address: inet(address), name: None }) };
        let settings = Settings { rule: Rule::RoundRobin, members: vec![member(BACKEND), member(OTHER)] };
        let upstreams = Arc::new(Upstreams::from([("backends".into(), Arc::new(Upstream::new(&settings)))]));
        let (mut first, mut second) = (net.listen(BACKEND), net.listen(OTHER));
        let (mut one, mut two) = (begin(&net, &upstreams), begin(&net, &upstreams));
        log_in(&mut one).await;
        let (_, backend) = serve(first.recv().await.expect("a visitor")).await;
        log_in(&mut two).await;
        let _other = serve(second.recv().await.expect("a visitor")).await;
        let mut three = begin(&net, &upstreams);
        log_in(&mut three).await;
        assert!(hear_out(&mut three.client).await.starts_with("a NO [UNAVAILABLE]"));
        drop(backend);
        hear(&mut one.client, "a OK in\r\n").await;
        one.ended().await;
        let mut four = begin(&net, &upstreams);
        log_in(&mut four).await;
        let _backend = serve(first.recv().await.expect("the place is free")).await;
        hear(&mut four.client, "a OK in\r\n").await;
    });
}

#[test]
fn a_backend_named_by_the_auth_server_is_looked_up() {
    tell(async {
        let mut net = TestNet::new(4096);
        net.host = Some(("mail.example", "192.0.2.2".parse().expect("an address")));
        let answer =
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: mail.example\r\nAuth-Port: 143\r\n\r\n";
        let auth = answer_once(net.listen(AUTH), answer);
        let mut backends = net.listen(BACKEND);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        log_in(&mut scene).await;
        let _backend = serve(backends.recv().await.expect("a visitor")).await;
        hear(&mut scene.client, "a OK in\r\n").await;
        auth.await.expect("asked");
        let lines = scene.log.lines();
        assert!(lines[1].ends_with("upstream: 192.0.2.2:143"), "{lines:?}");

        net.host = None;
        let auth = answer_once(net.listen(AUTH), answer);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        log_in(&mut scene).await;
        assert!(hear_out(&mut scene.client).await.starts_with("a NO [UNAVAILABLE]"));
        auth.await.expect("asked");
        let log = scene.ended().await.join("\n");
        assert!(log.contains("192.0.2.1:80 sent unresolvable server name:\"mail.example\""), "{log}");
    });
}

/// Three logins by two auth servers, of which the first answers `said` and hangs up; tells how often that one was asked, and the
/// log.
async fn three_logins(said: &str) -> (usize, Vec<String>) {
    let net = TestNet::new(4096);
    let groups = upstreams(&["192.0.2.5:80", AUTH]);
    let mut seen = net.listen("192.0.2.5:80");
    let (mut asked, mut lines) = (0, Vec::new());
    for _ in 0..3 {
        let auth = answer_once(net.listen(AUTH), "HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n");
        let group = Group { name: "backends".into(), servers: 2, guest: Guest::default() };
        let mut policy = policy(Protocol::Imap);
        policy.auth = Some(AuthServer::new(Target::Group(group), "auths"));
        let mut scene = Scene::begin_as(&net, policy, |arrival| arrival.auth_upstreams = groups.clone());
        log_in(&mut scene).await;
        if let Ok(Some(mut stream)) = tokio::time::timeout(Duration::from_secs(1), seen.recv()).await {
            asked += 1;
            stream.write_all(said.as_bytes()).await.expect("said");
        }
        assert!(hear_out(&mut scene.client).await.starts_with("a NO [AUTHENTICATIONFAILED] no\r\n"));
        auth.await.expect("asked");
        lines.extend(scene.ended().await);
    }
    (asked, lines)
}

#[test]
fn an_auth_server_of_a_group_that_fails_is_left_alone_too() {
    tell(async {
        let (asked, lines) = three_logins("").await;
        let line =
            "error auth http server 192.0.2.5:80 prematurely closed connection while in http auth state";
        assert_eq!(lines.iter().filter(|told| told.starts_with(line)).count(), 1, "{lines:?}");
        assert_eq!(asked, 1, "it is not asked again for ten seconds");
    });
}

#[test]
fn an_auth_server_of_a_group_that_stumbles_over_a_login_is_asked_about_others() {
    tell(async {
        let (asked, lines) = three_logins("HTTP/1.0 503 Sorry\r\n\r\n").await;
        let line = "error auth http server 192.0.2.5:80 returned status 503 while in http auth state";
        assert_eq!(lines.iter().filter(|told| told.starts_with(line)).count(), asked, "{lines:?}");
        assert!(asked > 1, "a status is an answer");
    });
}
