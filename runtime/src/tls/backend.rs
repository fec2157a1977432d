//! TLS towards backends, where we are the client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost_core::Protocol;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider, aws_lc_rs};
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::Error;
use super::certificates::{chain_in, load_pair, read};

/// How a `server {}` is a client of TLS: `proxy_ssl_*`. Two that are equal can share one configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientSettings {
    /// `proxy_ssl_verify`: whether the backend's certificate has to lead to a trusted authority and be for its name.
    /// Without it anybody on the way can read along.
    pub verify: bool,
    /// `proxy_ssl_trusted_certificate`: the authorities that are trusted; without it those that the system trusts.
    pub trusted: Option<PathBuf>,
    /// `proxy_ssl_certificate` and `proxy_ssl_certificate_key`: what is shown to a backend that asks for it.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The protocol offered in ALPN (RFC 7301).
    pub protocol: Protocol,
    /// `proxy_ssl_server_name`: whether the backend is told which name is wanted (SNI).
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
    let builder = match (settings.verify, &settings.trusted) {
        (true, Some(path)) => builder.with_root_certificates(authorities_in(path)?),
        (true, None) => builder.with_root_certificates(authorities_of_the_system()),
        (false, _) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider.clone())))
        }
    };
    let mut config = match &settings.certificate {
        Some((certificate, key)) => {
            let certified = load_pair(certificate, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![settings.protocol.name().into()];
    config.enable_sni = settings.server_name;
    Ok(Arc::new(config))
}

/// The authorities in a file, of which none may be unusable: whoever lists one means it.
pub(super) fn authorities_in(path: &Path) -> Result<RootCertStore, Error> {
    let unusable = |reason| Error::Authorities { path: path.into(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in read(path).and_then(|text| chain_in(&text)).map_err(unusable)? {
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    Ok(roots)
}

/// The authorities that the system trusts, as far as they can be read: a store usually has some that are too old.
fn authorities_of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// `proxy_ssl_verify off`: any certificate will do, but the other side has to have its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
