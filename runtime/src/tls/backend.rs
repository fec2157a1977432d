//! TLS towards backends and auth servers, where we are the client.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Error;
use super::authorities::{Authorities, refusal, valid_by_itself};
use super::certificates::load_pair;
use super::signatures::Signatures;
use super::source::Source;

/// How a `server {}` is a client of TLS: `proxy_ssl_*`, and `auth_http_ssl_*` likewise. Two that are equal can share one
/// configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientSettings {
    /// `proxy_ssl_verify`: whether the other side's certificate has to lead to a trusted authority and be for its name.
    /// Without it anybody on the way can read along.
    pub verify: bool,
    /// `proxy_ssl_trusted_certificate`: the authorities that are trusted; without it those that the system trusts.
    pub trusted: Option<PathBuf>,
    /// `proxy_ssl_certificate` and `proxy_ssl_certificate_key`: what is shown to a server that asks for it.
    pub certificate: Option<(Source, Source)>,
    /// The protocol offered in ALPN (RFC 7301).
    pub alpn: &'static str,
    /// `proxy_ssl_server_name`: whether the server is told which name is wanted (SNI).
    pub server_name: bool,
}

/// The configuration of the production process: aws-lc, the system's clock. Where neither `trusted` nor the system has
/// any authority, each handshake fails rather than this.
///
/// # Errors
///
/// Files that cannot be read, are not what they should be, or do not fit each other. See [`Error`].
pub fn client_config(settings: &ClientSettings) -> Result<Arc<ClientConfig>, Error> {
    client_config_with(settings, Arc::new(aws_lc_rs::default_provider()), Arc::new(DefaultTimeProvider))
}

/// The same with a foreign source of chance and time, for a simulation.
///
/// # Errors
///
/// As [`client_config`].
pub fn client_config_with(
    settings: &ClientSettings,
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ClientConfig>, Error> {
    let builder = ClientConfig::builder_with_details(provider.clone(), time)
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let authorities = match (settings.verify, &settings.trusted) {
        (true, Some(path)) => Some(Authorities::load([path.as_path()])?),
        (true, None) => Some(Authorities::of_the_system()),
        (false, _) => None,
    };
    let examine = Examine { authorities, signatures: Signatures(provider.clone()) };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(examine));
    let mut config = match &settings.certificate {
        Some(pair) => {
            let certified = load_pair(pair, &[], &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![settings.alpn.into()];
    config.cert_decompressors = Vec::new();
    config.enable_sni = settings.server_name;
    Ok(Arc::new(config))
}

/// Who takes any certificate, for tests.
#[cfg(test)]
pub(super) fn credulous() -> Arc<dyn ServerCertVerifier> {
    let signatures = Signatures(Arc::new(aws_lc_rs::default_provider()));
    Arc::new(Examine { authorities: None, signatures })
}

/// Looks at the certificate of a server, which has to have its key whatever it is.
#[derive(Debug)]
struct Examine {
    /// Who may vouch for it; without them any certificate will do (`proxy_ssl_verify off`).
    authorities: Option<Authorities>,
    signatures: Signatures,
}

impl ServerCertVerifier for Examine {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(authorities) = &self.authorities {
            let end_entity = EndEntityCert::try_from(leaf).map_err(refusal)?;
            match authorities.list(leaf) {
                true => valid_now(leaf, now),
                false => {
                    let wanted = (KeyUsage::server_auth(), usize::MAX);
                    authorities.vouch_for(&end_entity, intermediates, wanted, &self.signatures, None, now)
                }
            }
            .and_then(|()| end_entity.verify_is_valid_for_subject_name(name))
            .map_err(refusal)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.signatures.tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

fn valid_now(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), webpki::Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| webpki::Error::BadDer)?;
    valid_by_itself(&parsed, now)
}
