use super::*;
use crate::tls::{Acceptor, Settings, cipher_name, server_config};
use gatepost_core::ProxyHeader;
use rcgen::{PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use rustls::AlertDescription;
use rustls::crypto::aws_lc_rs;
use rustls::version::TLS12;
use tokio_rustls::client::TlsStream;

pub(super) fn certificates() -> (Fixture, Acceptor) {
    let mut fixture = Fixture::new();
    let settings = Settings::new(Protocol::Imap, vec![fixture.pair(&PKCS_ED25519)]);
    (fixture, server_config(&settings).expect("a configuration"))
}

pub(super) async fn secure(fixture: &Fixture, stream: DuplexStream) -> io::Result<TlsStream<DuplexStream>> {
    let name = NAME.try_into().expect("a name");
    TlsConnector::from(Arc::new(fixture.client(&[&TLS13]))).connect(name, stream).await
}

#[test]
fn starttls_is_answered_in_clear_and_the_session_goes_on_under_tls() {
    tell(async {
        for room in [64, 4096] {
            let (fixture, tls) = certificates();
            let net = TestNet::new(room);
            let policy = Policy { starttls: StartTls::Only, ..policy(Protocol::Imap) };
            let mut scene = Scene::begin(&net, policy, Some(tls), false);
            hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
            exchange(&mut scene.client, "a STARTTLS\r\n", "a OK completed\r\n").await;
            let mut client = secure(&fixture, scene.client).await.expect("TLS");
            exchange(&mut client, "b NOOP\r\n", "b OK completed\r\n").await;
            exchange(&mut client, "c LOGOUT\r\n", "* BYE").await;
            // Ends with close_notify: a bare FIN would be an error here.
            assert!(hear_out(&mut client).await.ends_with("c OK completed\r\n"));
            drop(client);
            scene.session.await.expect("no panic");
        }
    });
}

/// Of several certificates it is the one that this client was shown.
#[test]
fn a_backend_is_told_which_certificate_the_client_was_shown() {
    tell(async {
        let mut fixture = Fixture::new();
        let pairs = [&PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256].map(|algorithm| fixture.pair(algorithm));
        let tls = server_config(&Settings::new(Protocol::Imap, pairs.into())).expect("a configuration");
        for (kind, told) in [
            ("-RSA-", &b"\x24\x00\x0aRSA-SHA256\x25\x00\x07RSA2048"[..]),
            ("-ECDSA-", b"\x24\x00\x11ecdsa-with-SHA256\x25\x00\x05EC256"),
        ] {
            let net = TestNet::new(4096);
            let auth = answer_once(net.listen(AUTH), GRANTED);
            let mut backends = net.listen(BACKEND);
            let mut policy = policy(Protocol::Imap);
            policy.backend.proxy_header = ProxyHeader::V2;
            let scene = Scene::begin(&net, policy, Some(tls.clone()), true);
            let mut provider = aws_lc_rs::default_provider();
            provider.cipher_suites.retain(|suite| cipher_name(suite.suite()).contains(kind));
            let client = Arc::new(fixture.client_with(provider, &[&TLS12]));
            let name = NAME.try_into().expect("a name");
            let mut client = TlsConnector::from(client).connect(name, scene.client).await.expect("TLS");
            hear(&mut client, "* OK IMAP4 ready\r\n").await;
            exchange(&mut client, "a LOGIN joe hunter2\r\n", "").await;
            let mut backend = backends.recv().await.expect("a visitor");
            auth.await.expect("no panic");
            let mut header = vec![0; 16];
            backend.read_exact(&mut header).await.expect("a header");
            let mut fields = vec![0; u16::from_be_bytes([header[14], header[15]]).into()];
            backend.read_exact(&mut fields).await.expect("fields");
            assert!(fields.windows(told.len()).any(|window| window == told), "{fields:?}");
        }
    });
}

#[test]
fn tls_first_greets_under_tls() {
    tell(async {
        let (fixture, tls) = certificates();
        let scene = Scene::begin(&TestNet::new(4096), policy(Protocol::Imap), Some(tls), true);
        let mut client = secure(&fixture, scene.client).await.expect("TLS");
        hear(&mut client, "* OK IMAP4 ready\r\n").await;
        drop(client);
        scene.session.await.expect("no panic");
    });
}

#[test]
fn a_handshake_may_begin_in_the_segment_of_the_proxy_header() {
    tell(async {
        let (fixture, tls) = certificates();
        let scene = Scene::begin_as(&TestNet::new(4096), policy(Protocol::Imap), |arrival| {
            arrival.tls = Some(tls);
            (arrival.client.tls_first, arrival.client.proxy_protocol) = (true, true);
        });
        // What is written together arrives together: the header, and as much of the handshake as there is room for.
        let name = NAME.try_into().expect("a name");
        let mut hello =
            rustls::ClientConnection::new(Arc::new(fixture.client(&[&TLS13])), name).expect("a client");
        let mut octets = b"PROXY TCP4 192.0.2.200 203.0.113.1 1024 143\r\n".to_vec();
        hello.write_tls(&mut octets).expect("memory");
        let mut stream = scene.client;
        stream.write_all(&octets).await.expect("said");
        let mut greeting = Vec::new();
        while greeting.len() < "* OK IMAP4 ready\r\n".len() {
            let mut heard = [0; 4096];
            let count = stream.read(&mut heard).await.expect("octets");
            assert_ne!(count, 0, "the session ended");
            let mut heard = &heard[..count];
            while !heard.is_empty() {
                hello.read_tls(&mut heard).expect("memory");
                let state = hello.process_new_packets().expect("TLS");
                let mut plain = vec![0; state.plaintext_bytes_to_read()];
                io::Read::read_exact(&mut hello.reader(), &mut plain).expect("octets");
                greeting.extend(plain);
            }
            let mut answer = Vec::new();
            while hello.wants_write() {
                hello.write_tls(&mut answer).expect("memory");
            }
            stream.write_all(&answer).await.expect("said");
        }
        assert_eq!(greeting, b"* OK IMAP4 ready\r\n");
        drop(stream);
        scene.session.await.expect("no panic");
    });
}

#[test]
fn an_alert_reaches_the_client_and_the_reason_the_log() {
    tell(async {
        let (fixture, tls) = certificates();
        let scene = Scene::begin(&TestNet::new(4096), policy(Protocol::Imap), Some(tls), true);
        let mut config = fixture.client(&[&TLS13]);
        config.alpn_protocols = vec!["h2".into()];
        let name = NAME.try_into().expect("a name");
        let error =
            TlsConnector::from(Arc::new(config)).connect(name, scene.client).await.expect_err("no TLS");
        let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(alert, Some(&rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)));
        scene.session.await.expect("no panic");
        let log = scene.log.lines().join("\n");
        assert!(log.contains("info SSL_do_handshake() failed (SSL: "), "{log}");
        assert!(log.contains(" while SSL handshaking, client: 198.51.100.7, server: 0.0.0.0:143"), "{log}");
    });
}

#[test]
fn a_handshake_cut_short_is_told() {
    tell(async {
        let (_fixture, tls) = certificates();
        let mut scene = Scene::begin(&TestNet::new(4096), policy(Protocol::Imap), Some(tls), true);
        scene.client.write_all(b"\x16\x03\x01").await.expect("said");
        let log = scene.ended().await.join("\n");
        assert!(log.contains("peer closed connection in SSL handshake while SSL handshaking"), "{log}");
    });
}

#[test]
fn a_session_without_certificates_ends_rather_than_speak_in_clear() {
    tell(async {
        let mut scene = Scene::begin(&TestNet::new(4096), policy(Protocol::Imap), None, true);
        assert_eq!(hear_out(&mut scene.client).await, "");
        let log = scene.ended().await.join("\n");
        assert!(log.contains("no certificate is loaded"), "{log}");
    });
}
