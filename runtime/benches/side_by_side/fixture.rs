//! Certificates for the proxies, and clients that trust them.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, version};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::Outcome;
use crate::door::{Door, Key};

/// Whom the certificates are for.
pub(crate) const SERVER_NAME: &str = "mail.example.org";

/// The files of a key, in a directory that the configuration names.
pub(crate) const fn files(key: Key) -> [&'static str; 2] {
    match key {
        Key::Ecdsa => ["ecdsa.pem", "ecdsa.key"],
        Key::Rsa => ["rsa.pem", "rsa.key"],
    }
}

/// Writes a certificate of each kind, made once.
pub(crate) fn write(directory: &Path) -> Outcome<()> {
    static MADE: OnceLock<Vec<(Key, String, String)>> = OnceLock::new();
    let made = match MADE.get() {
        Some(made) => made,
        None => {
            let made = [(Key::Ecdsa, &PKCS_ECDSA_P256_SHA256), (Key::Rsa, &PKCS_RSA_SHA256)]
                .into_iter()
                .map(|(kind, algorithm)| {
                    let key = KeyPair::generate_for(algorithm)?;
                    let certificate = CertificateParams::new([SERVER_NAME.to_owned()])?.self_signed(&key)?;
                    Ok((kind, certificate.pem(), key.serialize_pem()))
                })
                .collect::<Outcome<Vec<_>>>()?;
            MADE.get_or_init(|| made)
        }
    };
    for (kind, certificate, key) in made {
        let [certificate_file, key_file] = files(*kind);
        fs::write(directory.join(certificate_file), certificate)?;
        fs::write(directory.join(key_file), key)?;
    }
    Ok(())
}

/// Whether a client comes back with the ticket of its last visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resuming {
    Always,
    Never,
}

/// A client for a door.
pub(crate) fn client(door: Door, resuming: Resuming) -> Outcome<Arc<ClientConfig>> {
    let versions: &[_] = if door.only_tls12 { &[&version::TLS12] } else { &[&version::TLS13] };
    // The groups that OpenSSL knows, too: the same key exchange for both sides.
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.resumption = match resuming {
        Resuming::Always => Resumption::in_memory_sessions(1),
        Resuming::Never => Resumption::disabled(),
    };
    Ok(Arc::new(config))
}

/// The clients' work is not what is measured: they check no certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}
