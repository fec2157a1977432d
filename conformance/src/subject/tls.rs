//! The client's and the backend's side of TLS, and the certificate that both the proxy and the backend have.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, server};

use super::configuration::SERVER_NAME;
use crate::transcript::{BackendTls, TlsResult, TlsTry};

/// A self-made certificate for `mx.test`, with its key.
pub(super) struct Certificate(CertifiedKey<KeyPair>);

impl Certificate {
    pub(super) fn new() -> Result<Self, String> {
        let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()]);
        made.map(Self).map_err(|error| error.to_string())
    }

    pub(super) fn pem(&self) -> String {
        self.0.cert.pem()
    }

    pub(super) fn key_pem(&self) -> String {
        self.0.signing_key.serialize_pem()
    }

    fn der(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }
}

/// Who a client is by its certificate.
pub(super) struct Identity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

/// A client that can shake hands.
pub(super) struct Client {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Client {
    /// One that trusts `certificate` and does as `attempt` says. It shows who it is, if it has an `identity`.
    ///
    /// # Errors
    ///
    /// The TLS library's.
    pub(super) fn new(
        attempt: &TlsTry,
        certificate: &Certificate,
        identity: Option<&Identity>,
    ) -> Result<Self, String> {
        let config = client_config(attempt, certificate, identity).map_err(|error| error.to_string())?;
        let name = attempt.sni.clone().unwrap_or_else(|| SERVER_NAME.to_owned());
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Begins a session that a later handshake resumes, on a connection of its own to a port that speaks TLS from the first octet.
    ///
    /// # Errors
    ///
    /// The system's, and the TLS library's.
    pub(super) async fn begin(&self, listener: SocketAddr) -> Result<(), String> {
        let told = |error: io::Error| format!("no session to be resumed: {error}");
        let stream = TcpStream::connect(listener).await.map_err(told)?;
        let mut stream = self.connector.connect(self.name.clone(), stream).await.map_err(told)?;
        // TLS 1.3 hands out tickets behind the handshake, in front of whatever the proxy says first.
        stream.read_u8().await.map(drop).map_err(told)
    }

    /// Shakes hands as `attempt` says. Where the handshake fails, and was expected to, the bare stream comes back.
    ///
    /// # Errors
    ///
    /// How the handshake ended, if not as expected.
    pub(super) async fn shake_hands(
        &self,
        stream: TcpStream,
        attempt: &TlsTry,
    ) -> Result<Result<TlsStream<TcpStream>, TcpStream>, String> {
        let shaken = self.connector.connect(self.name.clone(), stream).into_fallible().await;
        let expected = &attempt.expect;
        match shaken {
            Ok(stream) => {
                let connection = stream.get_ref().1;
                let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
                if resumed != attempt.resumed {
                    return Err(format!("whether the session was resumed: {resumed}"));
                }
                let agreed = connection.alpn_protocol().map(String::from_utf8_lossy);
                match (expected, agreed.as_deref()) {
                    (TlsResult::Ok, None) => Ok(Ok(stream)),
                    (TlsResult::OkAlpn(wanted), Some(agreed)) if wanted == agreed => Ok(Ok(stream)),
                    (_, agreed) => {
                        Err(format!("expected {expected:?}\n     got a handshake with ALPN {agreed:?}"))
                    }
                }
            }
            Err((error, stream)) => {
                let alert = error.get_ref().and_then(|inner| inner.downcast_ref()).and_then(alert_name);
                match (expected, alert) {
                    (TlsResult::Fails, _) => Ok(Err(stream)),
                    (TlsResult::Alert(wanted), Some(alert)) if *wanted == alert => Ok(Err(stream)),
                    _ => Err(format!("expected {expected:?}\n     got {error}")),
                }
            }
        }
    }
}

/// Lets the proxy shake hands with the backend, whose certificate is for `mx.test`. Where the handshake fails, and was expected
/// to, the bare stream comes back.
///
/// # Errors
///
/// How the handshake ended, or for whom the proxy asked, if not as expected.
pub(super) async fn serve(
    stream: TcpStream,
    attempt: &BackendTls,
    certificate: &Certificate,
) -> Result<Result<server::TlsStream<TcpStream>, TcpStream>, String> {
    let config = server_config(certificate).map_err(|error| error.to_string())?;
    let shaken = TlsAcceptor::from(Arc::new(config)).accept(stream).into_fallible().await;
    match (shaken, &attempt.fails) {
        (Ok(stream), None) => {
            let asked_for = stream.get_ref().1.server_name();
            match asked_for == attempt.name.as_deref() {
                true => Ok(Ok(stream)),
                false => Err(format!("the proxy asks for {asked_for:?}")),
            }
        }
        (Err((_, stream)), Some(_)) => Ok(Err(stream)),
        (Ok(_), Some(_)) => Err("expected a handshake that fails\n     got TLS".to_owned()),
        (Err((error, _)), None) => Err(format!("expected a handshake\n     got {error}")),
    }
}

fn server_config(certificate: &Certificate) -> Result<ServerConfig, rustls::Error> {
    let key = PrivateKeyDer::Pkcs8(certificate.0.signing_key.serialize_der().into());
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der()], key)
}

fn client_config(
    attempt: &TlsTry,
    certificate: &Certificate,
    identity: Option<&Identity>,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = attempt.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    config.enable_sni = attempt.sni.is_some();
    Ok(config)
}

/// The name of a received alert as RFC 8446 section 6 spells it: `no_application_protocol`.
fn alert_name(error: &rustls::Error) -> Option<String> {
    let rustls::Error::AlertReceived(alert) = error else { return None };
    let mut name = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;

    #[test]
    fn alerts_are_named_as_in_the_rfc() {
        let name = |alert| alert_name(&rustls::Error::AlertReceived(alert));
        assert_eq!(name(AlertDescription::NoApplicationProtocol).as_deref(), Some("no_application_protocol"));
        assert_eq!(name(AlertDescription::HandshakeFailure).as_deref(), Some("handshake_failure"));
        assert_eq!(alert_name(&rustls::Error::DecryptError), None);
    }
}
