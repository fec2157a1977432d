use super::*;
use crate::tls::{ClientSettings, Settings, client_config, server_config};
use gatepost_core::BackendTls;
use rcgen::PKCS_ED25519;
use rustls::AlertDescription;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A backend's certificate, and a session's trust in it.
struct Trust {
    _fixture: Fixture,
    acceptor: TlsAcceptor,
    settings: ClientSettings,
}

impl Trust {
    /// In a certificate for `name`.
    fn in_one_for(name: &str) -> Self {
        let mut fixture = Fixture::new();
        let pair = fixture.pair_for(name, &PKCS_ED25519);
        let settings = ClientSettings {
            verify: true,
            trusted: Some(pair.0.clone()),
            certificate: None,
            alpn: "imap",
            server_name: true,
        };
        let server = Settings::new(Protocol::Imap, vec![pair]);
        let acceptor = TlsAcceptor::from(server_config(&server).expect("a configuration").config().clone());
        Self { _fixture: fixture, acceptor, settings }
    }
}

/// A session that logs in, and its backend's side of the connection.
async fn log_in(net: &TestNet, trust: &Trust, tls: BackendTls, name: Option<&str>) -> (Scene, DuplexStream) {
    let auth = answer_once(net.listen(AUTH), GRANTED);
    let mut backends = net.listen(BACKEND);
    let mut policy = policy(Protocol::Imap);
    (policy.backend.tls, policy.backend.tls_name) = (tls, name.map(Into::into));
    policy.backend.tls_configured = true;
    let config = client_config(&trust.settings).expect("a configuration");
    let mut scene = Scene::begin_as(net, policy, |arrival| arrival.backend_tls = Some(config));
    hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
    scene.client.write_all(b"a LOGIN joe hunter2\r\n").await.expect("said");
    let backend = backends.recv().await.expect("a visitor");
    auth.await.expect("no panic");
    (scene, backend)
}

/// The rest of the login under TLS, and a word each way through the relay.
async fn is_relayed(scene: &mut Scene, backend: &mut TlsStream<DuplexStream>, greeting: &str) {
    exchange(backend, greeting, "a LOGIN {3}\r\n").await;
    exchange(backend, "+ go\r\n", "joe {7}\r\n").await;
    exchange(backend, "+ go\r\n", "hunter2\r\n").await;
    backend.write_all(b"a OK in\r\n").await.expect("said");
    backend.flush().await.expect("said");
    hear(&mut scene.client, "a OK in\r\n").await;
    scene.client.write_all(b"b NOOP\r\n").await.expect("said");
    hear(backend, "b NOOP\r\n").await;
    exchange(backend, "b OK done\r\n", "").await;
    hear(&mut scene.client, "b OK done\r\n").await;
}

#[test]
fn a_backend_may_speak_tls_from_the_first_octet() {
    tell(async {
        for room in [64, 4096] {
            let (net, trust) = (TestNet::new(room), Trust::in_one_for(NAME));
            let (mut scene, backend) = log_in(&net, &trust, BackendTls::On, Some(NAME)).await;
            let mut backend = trust.acceptor.accept(backend).await.expect("TLS");
            let connection = backend.get_ref().1;
            assert_eq!(
                (connection.server_name(), connection.alpn_protocol()),
                (Some(NAME), Some(&b"imap"[..]))
            );
            is_relayed(&mut scene, &mut backend, "* OK ready\r\n").await;
            // The client's end is passed on under TLS: a bare FIN would be an error here.
            drop(scene.client);
            assert_eq!(hear_out(&mut backend).await, "");
            drop(backend);
            scene.session.await.expect("no panic");
        }
    });
}

#[test]
fn a_backend_without_a_name_is_checked_by_its_address() {
    tell(async {
        let (net, trust) = (TestNet::new(4096), Trust::in_one_for("192.0.2.2"));
        let (mut scene, backend) = log_in(&net, &trust, BackendTls::On, None).await;
        let mut backend = trust.acceptor.accept(backend).await.expect("TLS");
        is_relayed(&mut scene, &mut backend, "* OK ready\r\n").await;
    });
}

#[test]
fn nothing_secret_is_said_to_a_backend_with_a_wrong_name() {
    tell(async {
        for name in [Some("other.example"), None] {
            let (net, trust) = (TestNet::new(4096), Trust::in_one_for(NAME));
            let (mut scene, backend) = log_in(&net, &trust, BackendTls::On, name).await;
            let error = trust.acceptor.accept(backend).await.expect_err("no TLS");
            let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
            assert_eq!(alert, Some(&rustls::Error::AlertReceived(AlertDescription::BadCertificate)));
            let farewell = "a NO [UNAVAILABLE] internal server error\r\n* BYE Internal server error\r\n";
            assert_eq!(hear_out(&mut scene.client).await, farewell);
            let log = scene.ended().await.join("\n");
            assert!(log.contains("certificate"), "{log}");
        }
    });
}

#[test]
fn starttls_is_said_to_a_backend_before_anything_secret() {
    tell(async {
        let (net, trust) = (TestNet::new(4096), Trust::in_one_for(NAME));
        let (mut scene, mut backend) = log_in(&net, &trust, BackendTls::StartTls, Some(NAME)).await;
        exchange(&mut backend, "* OK ready\r\n", "").await;
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n") {
            asked.push(backend.read_u8().await.expect("a command"));
        }
        let asked = String::from_utf8(asked).expect("text");
        let tag = asked.strip_suffix(" STARTTLS\r\n").expect("STARTTLS");
        backend.write_all(format!("{tag} OK begin\r\n").as_bytes()).await.expect("said");
        let mut backend = trust.acceptor.accept(backend).await.expect("TLS");
        is_relayed(&mut scene, &mut backend, "").await;
    });
}

#[test]
fn a_session_that_may_not_speak_tls_connects_to_nobody() {
    tell(async {
        let net = TestNet::new(4096);
        let auth = answer_once(
            net.listen(AUTH),
            "HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 192.0.2.2\r\nAuth-Port: 143\r\n\
             Auth-Server-TLS: on\r\n\r\n",
        );
        let mut backends = net.listen(BACKEND);
        let mut scene = Scene::begin(&net, policy(Protocol::Imap), None, false);
        hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
        scene.client.write_all(b"a LOGIN joe hunter2\r\n").await.expect("said");
        auth.await.expect("no panic");
        let farewell = "a NO [UNAVAILABLE] internal server error\r\n* BYE Internal server error\r\n";
        assert_eq!(hear_out(&mut scene.client).await, farewell);
        let log = scene.ended().await.join("\n");
        assert!(backends.try_recv().is_err(), "a visitor");
        assert!(log.contains("TLS to backends is not configured"), "{log}");
    });
}

#[test]
fn a_backend_whose_tls_breaks_is_told_as_the_backends_fault() {
    tell(async {
        let (net, trust) = (TestNet::new(4096), Trust::in_one_for(NAME));
        let (mut scene, backend) = log_in(&net, &trust, BackendTls::On, Some(NAME)).await;
        let mut backend = trust.acceptor.accept(backend).await.expect("TLS");
        is_relayed(&mut scene, &mut backend, "* OK ready\r\n").await;
        // A record that nobody can decrypt.
        let record = [&[23, 3, 3, 0, 32][..], &[0; 32]].concat();
        backend.get_mut().0.write_all(&record).await.expect("said");
        assert_eq!(hear_out(&mut scene.client).await, "");
        let log = scene.ended().await;
        let told = "error SSL_read() failed (SSL: cannot decrypt peer's message) \
                    while proxying and reading from upstream";
        assert!(log.iter().any(|line| line.starts_with(told)), "{log:?}");
    });
}
