use super::*;
use crate::limit_conn::{Settings, ZONE_BYTES_MIN, Zones};
use gatepost_core::{ConnLimit, LimitKey, Rate};

fn zones() -> Arc<Zones> {
    let settings = |key| Settings { key, bytes: ZONE_BYTES_MIN };
    let zones = [("user".into(), settings(LimitKey::Login)), ("addr".into(), settings(LimitKey::Address))];
    Arc::new(Zones::new(&zones.into(), &Zones::default()).expect("zones"))
}

/// One session of a user, and two of an address.
fn limited() -> Policy {
    let mut policy = policy(Protocol::Imap);
    let limit =
        |zone: &str, key, connections, early| ConnLimit { zone: zone.into(), key, connections, early };
    policy.conn_limits.limits =
        vec![limit("user", LimitKey::Login, 1, false), limit("addr", LimitKey::Address, 2, true)];
    policy
}

fn begin(net: &TestNet, zones: &Arc<Zones>) -> Scene {
    Scene::begin_as(net, limited(), |arrival| arrival.zones = zones.clone())
}

/// Logs in, as far as the auth server's word.
async fn log_in(scene: &mut Scene, auth: &mut mpsc::UnboundedReceiver<DuplexStream>) {
    hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
    scene.client.write_all(b"a LOGIN joe hunter2\r\n").await.expect("said");
    let mut stream = auth.recv().await.expect("a visitor");
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await.expect("a question"));
    }
    stream.write_all(GRANTED.as_bytes()).await.expect("said");
}

/// Lets whoever connects log in.
async fn serve(stream: &mut DuplexStream) {
    exchange(stream, "* OK hello\r\n", "a LOGIN {3}\r\n").await;
    exchange(stream, "+ go\r\n", "joe {7}\r\n").await;
    exchange(stream, "+ go\r\n", "hunter2\r\n").await;
    stream.write_all(b"a OK in\r\n").await.expect("said");
}

const REFUSED: &str = "a NO [UNAVAILABLE] Too many connections\r\n* BYE Closing connection\r\n";

#[test]
fn a_place_is_kept_until_the_client_is_gone_and_then_free() {
    tell(async {
        let (net, zones) = (TestNet::new(4096), zones());
        let (mut auth, mut backends) = (net.listen(AUTH), net.listen(BACKEND));
        let mut first = begin(&net, &zones);
        log_in(&mut first, &mut auth).await;
        let mut backend = backends.recv().await.expect("a visitor");
        serve(&mut backend).await;
        hear(&mut first.client, "a OK in\r\n").await;

        let mut second = begin(&net, &zones);
        log_in(&mut second, &mut auth).await;
        assert_eq!(hear_out(&mut second.client).await, REFUSED);
        let log = second.ended().await;
        let line = "error limiting connections by zone \"user\" while in http auth state, client: 198.51.100.7, server: 0.0.0.0:143, login: \"joe\"";
        assert_eq!(log.last().map(String::as_str), Some(line));
        assert!(backends.try_recv().is_err(), "the backend was not asked");

        // The backend goes first: the client is still there, and counts.
        drop(backend);
        assert_eq!(hear_out(&mut first.client).await, "");
        let mut third = begin(&net, &zones);
        log_in(&mut third, &mut auth).await;
        assert_eq!(hear_out(&mut third.client).await, REFUSED);
        third.ended().await;
        first.ended().await;

        let mut fourth = begin(&net, &zones);
        log_in(&mut fourth, &mut auth).await;
        serve(&mut backends.recv().await.expect("a visitor")).await;
        hear(&mut fourth.client, "a OK in\r\n").await;
    });
}

#[test]
fn however_a_session_ends_its_places_are_free() {
    tell(async {
        let (net, zones) = (TestNet::new(4096), zones());
        let (mut auth, mut backends) = (net.listen(AUTH), net.listen(BACKEND));
        // Each of them would be in the way of the next.
        for ending in 0..6 {
            let mut scene = begin(&net, &zones);
            log_in(&mut scene, &mut auth).await;
            let mut backend = backends.recv().await.unwrap_or_else(|| panic!("a visitor after {ending}"));
            match ending {
                // The backend hangs up before it has said anything.
                0 => drop(backend),
                // It says no.
                1 => {
                    backend.write_all(b"* BYE not now\r\n").await.expect("said");
                    assert!(hear_out(&mut scene.client).await.starts_with("a NO [UNAVAILABLE]"));
                }
                // It says nothing.
                2 => assert!(hear_out(&mut scene.client).await.starts_with("a NO [UNAVAILABLE]")),
                // The process ends.
                3 => {
                    scene.drain.ask();
                    assert!(hear_out(&mut scene.client).await.ends_with("* BYE Server shutting down\r\n"));
                }
                // The session is cut, as by a panic.
                4 => {
                    scene.session.abort();
                    assert!(scene.session.await.is_err());
                    continue;
                }
                // The relay is cut.
                _ => {
                    serve(&mut backend).await;
                    hear(&mut scene.client, "a OK in\r\n").await;
                    scene.session.abort();
                    assert!(scene.session.await.is_err());
                    continue;
                }
            }
            scene.ended().await;
        }
        let mut last = begin(&net, &zones);
        log_in(&mut last, &mut auth).await;
        backends.recv().await.expect("a visitor: every place was given up");
    });
}

/// Comes without an auth server behind Gatepost, and gives a password that the backend may like or not.
async fn attempt(scene: &mut Scene) {
    hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
    scene.client.write_all(b"a LOGIN joe hunter2\r\n").await.expect("said");
}

#[test]
fn a_stranger_has_a_users_place_no_longer_than_the_backend_takes_to_refuse_it() {
    tell(async {
        let (net, zones) = (TestNet::new(4096), zones());
        let mut backends = net.listen(BACKEND);
        let begin = || {
            let mut policy = limited();
            policy.auth = None;
            policy.backend.pass = Some(Target::Address(inet(BACKEND)));
            policy.backend.pass_error_message = true;
            Scene::begin_as(&net, policy, |arrival| arrival.zones = zones.clone())
        };
        let mut stranger = begin();
        attempt(&mut stranger).await;
        let mut backend = backends.recv().await.expect("a visitor");
        let mut user = begin();
        attempt(&mut user).await;
        assert_eq!(hear_out(&mut user.client).await, REFUSED, "the backend has not said yet whose it is");
        user.ended().await;

        exchange(&mut backend, "* OK hello\r\n", "a LOGIN {3}\r\n").await;
        exchange(&mut backend, "+ go\r\n", "joe {7}\r\n").await;
        exchange(&mut backend, "+ go\r\n", "hunter2\r\n").await;
        backend.write_all(b"a NO wrong\r\n").await.expect("said");
        assert!(hear_out(&mut stranger.client).await.starts_with("a NO wrong\r\n"));
        // The stranger lingers, and its address counts; the user's place is free.
        let mut user = begin();
        attempt(&mut user).await;
        let visitor = tokio::time::timeout(Duration::from_secs(1), backends.recv()).await;
        serve(&mut visitor.expect("the place is free at once").expect("a visitor")).await;
        hear(&mut user.client, "a OK in\r\n").await;
        assert_eq!(hear_out(&mut begin().client).await, "* BYE Too many connections\r\n");
        assert!(!stranger.session.is_finished());
        stranger.ended().await;
    });
}

#[test]
fn a_client_that_comes_too_often_is_not_greeted() {
    tell(async {
        let (net, zones) = (TestNet::new(4096), zones());
        let mut first = begin(&net, &zones);
        hear(&mut first.client, "* OK IMAP4 ready\r\n").await;
        let mut second = begin(&net, &zones);
        hear(&mut second.client, "* OK IMAP4 ready\r\n").await;
        let mut third = begin(&net, &zones);
        assert_eq!(hear_out(&mut third.client).await, "* BYE Too many connections\r\n");
        // It stays, but nobody waits for it.
        let begun = Instant::now();
        third.session.await.expect("no panic");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        first.ended().await;
        let mut fourth = begin(&net, &zones);
        hear(&mut fourth.client, "* OK IMAP4 ready\r\n").await;
    });
}

/// Half a second of it fills a stream of `TestNet`.
const RATE: u64 = 8192;

/// A relay that is held to `RATE`, and its backend.
async fn slow(net: &TestNet, change: impl FnOnce(&mut Policy)) -> (Scene, DuplexStream) {
    let (mut auth, mut backends) = (net.listen(AUTH), net.listen(BACKEND));
    let mut policy = policy(Protocol::Imap);
    policy.rate = Rate { bytes_per_second: RATE, after_bytes: 0 };
    change(&mut policy);
    let mut scene = Scene::begin(net, policy, None, false);
    log_in(&mut scene, &mut auth).await;
    let mut backend = backends.recv().await.expect("a visitor");
    serve(&mut backend).await;
    hear(&mut scene.client, "a OK in\r\n").await;
    (scene, backend)
}

/// How long it takes until so many octets have come.
async fn wait_for(client: &mut DuplexStream, octets: u64) -> Duration {
    let begun = Instant::now();
    let mut heard = vec![0; usize::try_from(octets).expect("a number")];
    client.read_exact(&mut heard).await.expect("octets");
    begun.elapsed()
}

/// How many octets come within `span`.
async fn count(client: &mut DuplexStream, span: Duration) -> u64 {
    let (end, mut octets) = (Instant::now() + span, 0);
    let mut buffer = [0; 4096];
    while let Ok(read) = tokio::time::timeout_at(end, client.read(&mut buffer)).await {
        match read.expect("a stream") {
            0 => break,
            count => octets += count as u64,
        }
    }
    octets
}

#[test]
fn a_client_is_sent_octets_at_its_rate_and_the_backend_waits_for_it() {
    tell(async {
        let net = TestNet::new(4096);
        let (mut scene, mut backend) = slow(&net, |_| ()).await;
        let written = Rc::new(RefCell::new(0u64));
        let progress = written.clone();
        spawn_local(async move {
            while backend.write_all(&[b'x'; 1000]).await.is_ok() {
                *progress.borrow_mut() += 1000;
            }
        });
        // What the bucket has room for comes first.
        let first = wait_for(&mut scene.client, 3 * RATE).await;
        assert!((1.9..=2.6).contains(&first.as_secs_f32()), "{first:?}");
        let steady = wait_for(&mut scene.client, 10 * RATE).await;
        let off = steady.abs_diff(Duration::from_secs(10));
        assert!(off <= Duration::from_millis(100), "{steady:?} for what ten seconds let through");
        // Two streams of 4096 octets, and what was read from the one and does not yet fit into the other.
        let kept = *written.borrow() - 13 * RATE;
        assert!(kept <= 3 * 4096, "{kept} octets lie somewhere");
    });
}

#[test]
fn what_is_exempt_from_the_rate_comes_at_once() {
    tell(async {
        let net = TestNet::new(100_000);
        let (mut scene, mut backend) = slow(&net, |policy| policy.rate.after_bytes = 50_000).await;
        backend.write_all(&[b'x'; 90_000]).await.expect("said");
        let at_once = count(&mut scene.client, Duration::from_millis(1)).await;
        let said_before = "* OK IMAP4 ready\r\na OK in\r\n".len() as u64;
        assert_eq!(at_once, 50_000 + RATE - said_before);
        let rest = count(&mut scene.client, Duration::from_secs(10)).await;
        assert_eq!(at_once + rest, 90_000);
    });
}

#[test]
fn a_client_that_is_held_back_is_not_silent() {
    tell(async {
        let net = TestNet::new(100_000);
        let idle = Duration::from_millis(100);
        let (mut scene, mut backend) = slow(&net, |policy| policy.backend.idle_timeout = idle).await;
        backend.write_all(&[b'x'; 40_000]).await.expect("said");
        let begun = Instant::now();
        // The backend stays, and is silent; the pauses are five times as long as silence may be.
        assert_eq!(hear_out(&mut scene.client).await.len(), 40_000);
        let seconds = begun.elapsed().as_secs_f32();
        assert!((4.0..4.7).contains(&seconds), "{seconds}");
        let log = scene.ended().await;
        assert!(log.last().is_some_and(|line| line.contains("client timed out")), "silence is: {log:?}");
    });
}

#[test]
fn replies_before_a_login_are_held_to_the_rate_too() {
    tell(async {
        let net = TestNet::new(4096);
        let mut policy = policy(Protocol::Imap);
        policy.rate = Rate { bytes_per_second: 10, after_bytes: 0 };
        let mut scene = Scene::begin(&net, policy, None, false);
        let begun = Instant::now();
        hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
        // 18 octets, of which the bucket has room for ten.
        assert_eq!(begun.elapsed().as_millis() / 100, 10);
        scene.ended().await;
    });
}

#[test]
fn the_rate_is_that_of_what_is_said_under_tls() {
    tell(async {
        let net = TestNet::new(4096);
        let (fixture, acceptor) = tls::certificates();
        let mut policy = policy(Protocol::Imap);
        policy.rate = Rate { bytes_per_second: 1000, after_bytes: 0 };
        policy.capabilities = vec!["X".repeat(3000).into()];
        let scene = Scene::begin(&net, policy, Some(acceptor), true);
        let begun = Instant::now();
        let mut client = tls::secure(&fixture, scene.client).await.expect("TLS");
        assert!(begun.elapsed().is_zero(), "a handshake is not what is limited");
        client.write_all(b"a CAPABILITY\r\n").await.expect("said");
        let mut heard = vec![0; 3000];
        client.read_exact(&mut heard).await.expect("most of it");
        let seconds = begun.elapsed().as_secs_f32();
        assert!((2.0..2.6).contains(&seconds), "{seconds}");
    });
}
