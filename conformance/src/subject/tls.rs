//! The client's side of TLS, and the certificate it trusts.

use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::configuration::SERVER_NAME;
use crate::transcript::{TlsResult, TlsTry};

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

/// Shakes hands as `attempt` says. Where the handshake fails, and was expected to, the bare stream comes back.
///
/// # Errors
///
/// How the handshake ended, if not as expected.
pub(super) async fn shake_hands(
    stream: TcpStream,
    attempt: &TlsTry,
    certificate: &Certificate,
) -> Result<Result<TlsStream<TcpStream>, TcpStream>, String> {
    let config = client_config(attempt, certificate).map_err(|error| error.to_string())?;
    let name = attempt.sni.clone().unwrap_or_else(|| SERVER_NAME.to_owned());
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream).into_fallible().await;
    let expected = &attempt.expect;
    match shaken {
        Ok(stream) => {
            let agreed = stream.get_ref().1.alpn_protocol().map(String::from_utf8_lossy);
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

fn client_config(attempt: &TlsTry, certificate: &Certificate) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der())?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
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
