use gatepost_core::{Access, Lingering, Peers, Verdict};

use super::super::relaying::Relaying;
use super::*;

#[test]
fn the_last_word_of_a_session_is_heard() {
    tell(async {
        let net = TestNet::new(4096);
        let mut scene = Scene::begin(&net, policy(Protocol::Pop3), None, false);
        hear(&mut scene.client, "+OK POP3 ready\r\n").await;
        exchange(&mut scene.client, "QUIT\r\n", "+OK").await;
        hear_out(&mut scene.client).await;
        assert_eq!(scene.ended().await.len(), 1, "an ordinary end is no news");
    });
}

#[test]
fn a_client_may_leave_at_any_moment() {
    tell(async {
        for (room, words) in [(1, ""), (4096, ""), (4096, "a LOG"), (4096, "a LOGIN joe hunter2\r\n")] {
            let net = TestNet::new(room);
            let _auth = net.listen(AUTH);
            let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
            scene.client.write_all(words.as_bytes()).await.expect("said");
            scene.ended().await;
        }
    });
}

/// A client that neither reads nor leaves is let go in the end, sooner if it says nothing.
#[test]
fn a_client_is_taken_leave_of_for_as_long_as_the_configuration_says() {
    let seconds = Duration::from_secs;
    let lingering =
        |close, time, silence| Lingering { close, time: seconds(time), silence: seconds(silence) };
    for (lingering, talks_every, gone_after) in [
        (Lingering::default(), None, 5),
        (Lingering::default(), Some(2), 30),
        (lingering(true, 7, 3), None, 3),
        (lingering(true, 7, 3), Some(2), 7),
        (lingering(true, 0, 3), Some(2), 0),
        (lingering(false, 30, 5), Some(2), 0),
    ] {
        tell(async {
            let net = TestNet::new(4096);
            let policy = Policy { lingering, ..policy(Protocol::Pop3) };
            let Scene { mut client, session, .. } = Scene::begin(&net, policy, None, false);
            hear(&mut client, "+OK POP3 ready\r\n").await;
            exchange(&mut client, "QUIT\r\n", "+OK\r\n").await;
            let begun = Instant::now();
            let talk = async {
                while let Some(pause) = talks_every {
                    let _ = client.write_all(b"NOOP\r\n").await;
                    sleep(seconds(pause)).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                ended = session => ended.expect("no panic"),
                () = talk => {}
            }
            assert_eq!(begun.elapsed().as_secs(), gone_after, "{lingering:?}, {talks_every:?}");
        });
    }
}

#[test]
fn a_client_that_was_told_nothing_is_let_go_at_once() {
    tell(async {
        let net = TestNet::new(4096);
        let nobody = Access(vec![(Verdict::Deny, Peers::All)]);
        for (access, words) in [(Access::default(), "HELO there\r\n"), (nobody, "")] {
            let policy = Policy { access, ..policy(Protocol::Imap) };
            let Scene { mut client, session, log, .. } = Scene::begin_as(&net, policy, |arrival| {
                arrival.client.tls_first = words.is_empty();
                arrival.client.proxy_protocol = !words.is_empty();
            });
            let begun = Instant::now();
            client.write_all(words.as_bytes()).await.expect("said");
            session.await.expect("no panic");
            assert_eq!(begun.elapsed(), Duration::ZERO, "{:?}", log.lines());
            assert_eq!(hear_out(&mut client).await, "");
        }
    });
}

#[test]
fn a_client_that_is_denied_is_told_so_and_let_go_at_once() {
    tell(async {
        let net = TestNet::new(4096);
        let policy = Policy { access: Access(vec![(Verdict::Deny, Peers::All)]), ..policy(Protocol::Imap) };
        let Scene { mut client, session, .. } = Scene::begin(&net, policy, None, false);
        let begun = Instant::now();
        // It neither leaves nor is silent.
        client.write_all(b"a NOOP\r\n").await.expect("said");
        session.await.expect("no panic");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(hear_out(&mut client).await, "* BYE Access denied\r\n");
    });
}

#[test]
fn an_auth_server_that_refuses_is_our_trouble_and_told() {
    tell(async {
        let net = TestNet::new(4096);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
        scene.client.write_all(b"a LOGIN joe hunter2\r\n").await.expect("said");
        let heard = hear_out(&mut scene.client).await;
        assert!(heard.contains("internal server error"), "{heard}");
        let log = scene.ended().await.join("\n");
        assert!(
            log.contains("error recv() failed (111: Connection refused) while in http auth state"),
            "{log}"
        );
        assert!(!log.contains("hunter2"), "{log}");
    });
}

#[test]
fn addresses_that_swallow_packets_leave_time_for_the_one_that_answers() {
    tell(async {
        let net = TestNet::new(4096);
        let swallowing = ["192.0.2.3:80", "192.0.2.4:80"];
        net.silent.borrow_mut().extend(swallowing.map(String::from));
        let asked = answer_once(net.listen(AUTH), "HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n");
        let mut policy = policy(Protocol::Imap);
        let addresses = [swallowing[0], swallowing[1], AUTH].map(|each| Place::At(inet(each)));
        let auth = AuthServer::new(Target::AnyOf(addresses.into()), "auth.example");
        let timeout = auth.timeout;
        policy.auth = Some(auth);
        let mut scene = Scene::begin(&net, policy, None, false);
        hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
        let begun = Instant::now();
        exchange(&mut scene.client, "a LOGIN joe hunter2\r\n", "a NO [AUTHENTICATIONFAILED] no\r\n").await;
        asked.await.expect("the third address is asked");
        // A third each.
        let spent = begun.elapsed();
        assert!(spent.abs_diff(timeout * 2 / 3) < Duration::from_millis(20), "{spent:?} of {timeout:?}");
        scene.ended().await;
    });
}

#[test]
fn a_silent_client_is_told_and_let_go_after_its_time() {
    tell(async {
        let net = TestNet::new(4096);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        let begun = Instant::now();
        let heard = hear_out(&mut scene.client).await;
        assert!(heard.contains("* BYE"), "{heard}");
        assert_eq!(begun.elapsed().as_secs(), 60);
        let log = scene.ended().await.join("\n");
        assert!(log.contains("client timed out (110: Connection timed out)"), "{log}");
    });
}

#[test]
fn a_client_that_reads_nothing_cannot_make_us_wait_or_hoard() {
    tell(async {
        let net = TestNet::new(16);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        let begun = Instant::now();
        // Each NOOP asks for an answer that is not read: soon no more are taken.
        let asked = tokio::time::timeout(Duration::from_secs(3600), async {
            let mut asked = 0;
            while scene.client.write_all(b"a NOOP\r\n").await.is_ok() {
                asked += 1;
            }
            asked
        });
        let asked = asked.await.expect("the session ends by itself");
        assert!(asked < 10, "{asked} commands were taken");
        // Its time, and what a farewell may take.
        assert!(begun.elapsed().as_secs() <= 60 + 10, "{:?}", begun.elapsed());
        scene.ended().await;
    });
}

#[test]
fn a_drain_says_goodbye_before_login() {
    tell(async {
        let net = TestNet::new(4096);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
        scene.drain.ask();
        let heard = hear_out(&mut scene.client).await;
        assert!(heard.starts_with("* BYE"), "{heard}");
        scene.ended().await;
    });
}

#[test]
fn a_drain_cuts_a_relay_without_a_word() {
    tell(async {
        let net = TestNet::new(4096);
        let _auth = answer_once(net.listen(AUTH), GRANTED);
        let mut backends = net.listen(BACKEND);
        let mut scene = Scene::begin(&net, policy(Protocol::Pop3), None, false);
        hear(&mut scene.client, "+OK POP3 ready\r\n").await;
        exchange(&mut scene.client, "USER joe\r\n", "+OK\r\n").await;
        scene.client.write_all(b"PASS hunter2\r\n").await.expect("said");
        let mut backend = backends.recv().await.expect("a visitor");
        exchange(&mut backend, "+OK\r\n", "USER joe\r\n").await;
        exchange(&mut backend, "+OK\r\n", "PASS hunter2\r\n").await;
        backend.write_all(b"+OK 3 messages\r\n").await.expect("said");
        hear(&mut scene.client, "+OK 3 messages\r\n").await;
        scene.drain.ask();
        assert_eq!(hear_out(&mut scene.client).await, "");
        assert_eq!(hear_out(&mut backend).await, "");
        let log = scene.ended().await;
        assert!(
            log.last().is_some_and(|line| line.starts_with("info shutdown timeout while proxying")),
            "{log:?}"
        );
    });
}

/// Somebody who has just come in, over a stream that is no socket.
fn newcomer() -> Arrival<DuplexStream> {
    Arrival {
        stream: duplex(64).0,
        client: Client {
            peer: Peer { remote: inet(CLIENT), local: inet(CLIENT) },
            listener: "0.0.0.0:143".into(),
            tls_first: false,
            proxy_protocol: false,
        },
        policy: Arc::new(policy(Protocol::Imap)),
        tls: None,
        backend_tls: None,
        auth_tls: None,
        upstreams: Arc::default(),
        auth_upstreams: Arc::default(),
        users: None,
        auth_pool: None,
        zones: Arc::default(),
        seed: Seed([0; 16]),
        number: 1,
    }
}

#[test]
fn a_relay_at_rest_is_small() {
    tell(async {
        let session = drive(TestNet::new(4096), newcomer(), Kept::default(), Drain::default());
        let relaying = size_of::<Relaying<crate::net::Socket, crate::observe::SessionLog>>();
        // The one for as long as it is a task, the other for as long as it is parked.
        let task = size_of_val(&session);
        assert!(task <= 64 && relaying <= 320, "{task} octets, and {relaying} for the relay");
    });
}

/// Whoever comes in and says nothing costs this, and thousands may.
#[test]
fn a_session_before_its_login_is_small() {
    tell(async {
        let session = log_in(TestNet::new(4096), newcomer(), Kept::default(), Drain::default());
        let octets = size_of_val(&session);
        assert!(octets <= 4608, "{octets} octets");
    });
}
