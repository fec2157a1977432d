//! Auth servers under TLS.

use gatepost_core::{AuthUrl, Scheme};
use rcgen::PKCS_ED25519;
use rustls::{AlertDescription, ClientConfig, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::{ClientSettings, Settings, client_config, server_config};

const OTHER: &str = "192.0.2.5:443";

/// An auth server's certificate, and a session's trust in it.
pub(super) struct Trust {
    _fixture: Fixture,
    pub(super) acceptor: TlsAcceptor,
    pub(super) config: Arc<ClientConfig>,
}

impl Trust {
    /// In a certificate for `name`.
    pub(super) fn in_one_for(name: &str) -> Self {
        let mut fixture = Fixture::new();
        let pair = fixture.pair_for(name, &PKCS_ED25519);
        let config = client_config(&ClientSettings {
            verify: true,
            trusted: Some(pair.0.clone()),
            certificate: None,
            alpn: "http/1.1",
            server_name: true,
        });
        let server = server_config(&Settings::new(Protocol::Imap, vec![pair])).expect("a configuration");
        let mut server = ServerConfig::clone(server.config());
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(server));
        Self { _fixture: fixture, acceptor, config: config.expect("a configuration") }
    }
}

pub(super) fn https(name: Option<&str>, at: &str) -> AuthUrl {
    let scheme = Scheme::Https { name: name.map(Into::into) };
    AuthUrl { scheme, ..AuthUrl::new(Target::Address(inet(at)), "auth.example") }
}

/// A session whose client has just said who it is.
async fn asking(net: &TestNet, urls: Vec<AuthUrl>, config: Option<Arc<ClientConfig>>) -> Scene {
    let mut policy = policy(Protocol::Imap);
    policy.auth = Some(AuthServer::at(urls));
    let mut scene = Scene::begin_as(net, policy, |arrival| arrival.auth_tls = config);
    hear(&mut scene.client, "* OK IMAP4 ready\r\n").await;
    scene.client.write_all(b"a LOGIN joe hunter2\r\n").await.expect("said");
    scene
}

/// The beginning of a request, up to its empty line.
pub(super) async fn request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(stream.read_u8().await.expect("a question"));
    }
    String::from_utf8(asked).expect("text")
}

const REFUSED: &str = "HTTP/1.0 200 OK\r\nAuth-Status: no\r\n\r\n";
const TROUBLE: &str = "a NO [UNAVAILABLE] internal server error\r\n* BYE Internal server error\r\n";

#[test]
fn an_auth_server_may_be_asked_under_tls_however_little_fits_into_the_network() {
    tell(async {
        for room in [64, 4096] {
            for (name, certificate) in [(Some(NAME), NAME), (None, "192.0.2.1")] {
                let (net, trust) = (TestNet::new(room), Trust::in_one_for(certificate));
                let mut visitors = net.listen(AUTH);
                let mut scene = asking(&net, vec![https(name, AUTH)], Some(trust.config.clone())).await;
                let visitor = visitors.recv().await.expect("a visitor");
                let mut auth = trust.acceptor.accept(visitor).await.expect("TLS");
                let tls = auth.get_ref().1;
                assert_eq!((tls.server_name(), tls.alpn_protocol()), (name, Some(&b"http/1.1"[..])));
                let asked = request(&mut auth).await;
                assert!(asked.starts_with("GET / HTTP/1.0\r\nHost: auth.example\r\nAuth-Method: plain\r\n"));
                assert!(asked.contains("Auth-Pass: hunter2\r\n"));
                auth.write_all(REFUSED.as_bytes()).await.expect("said");
                auth.flush().await.expect("said");
                hear(&mut scene.client, "a NO [AUTHENTICATIONFAILED] no\r\n").await;
            }
        }
    });
}

#[test]
fn an_auth_server_with_a_wrong_name_is_told_nothing_and_another_is_asked() {
    tell(async {
        let (net, trust) = (TestNet::new(4096), Trust::in_one_for(NAME));
        let (mut first, second) = (net.listen(AUTH), net.listen(OTHER));
        let second = answer_once(second, REFUSED);
        let urls = vec![
            https(Some("other.example"), AUTH),
            AuthUrl::new(Target::Address(inet(OTHER)), "auth.example"),
        ];
        let mut scene = asking(&net, urls, Some(trust.config.clone())).await;
        let visitor = first.recv().await.expect("a visitor");
        let error = trust.acceptor.accept(visitor).await.expect_err("no TLS");
        let alert = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert_eq!(alert, Some(&rustls::Error::AlertReceived(AlertDescription::BadCertificate)));
        hear(&mut scene.client, "a NO [AUTHENTICATIONFAILED] no\r\n").await;
        second.await.expect("asked");
        let log = scene.ended().await;
        let line = "error auth http server 192.0.2.1:80: SSL_do_handshake() failed (SSL: invalid peer certificate: \
                    certificate not valid for name \\x22other.example\\x22";
        assert!(log[1].starts_with(line), "{log:?}");
        assert!(log[1].contains(" while in http auth state, client: 198.51.100.7, server: "), "{log:?}");
    });
}

#[test]
fn an_auth_server_that_does_not_speak_tls_is_not_listened_to() {
    tell(async {
        let (net, trust) = (TestNet::new(4096), Trust::in_one_for(NAME));
        let mut visitors = net.listen(AUTH);
        let mut scene = asking(&net, vec![https(Some(NAME), AUTH)], Some(trust.config.clone())).await;
        let mut auth = visitors.recv().await.expect("a visitor");
        auth.write_all(GRANTED.as_bytes()).await.expect("said");
        assert_eq!(hear_out(&mut scene.client).await, TROUBLE);
        let log = scene.ended().await;
        assert!(log[1].contains("SSL_do_handshake() failed (SSL: received corrupt message"), "{log:?}");
    });
}

#[test]
fn a_session_without_trust_anchors_asks_nobody_under_tls() {
    tell(async {
        let net = TestNet::new(4096);
        let mut visitors = net.listen(AUTH);
        let mut scene = asking(&net, vec![https(Some(NAME), AUTH)], None).await;
        assert_eq!(hear_out(&mut scene.client).await, TROUBLE);
        assert_eq!(hear_out(&mut visitors.recv().await.expect("a visitor")).await, "");
        let log = scene.ended().await;
        assert!(log[1].contains("SSL: TLS to it is not configured"), "{log:?}");
    });
}
