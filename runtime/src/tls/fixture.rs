//! Certificates for tests: made when needed, gone afterwards.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The name that every certificate here is for.
pub(crate) const NAME: &str = "mail.example";

/// A folder of certificates and keys, and the trust in them.
pub(crate) struct Fixture {
    folder: PathBuf,
    roots: RootCertStore,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("gatepost-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        Self { folder, roots: RootCertStore::empty() }
    }

    /// A self-signed certificate and its key, in files.
    pub(crate) fn pair(&mut self, algorithm: &'static SignatureAlgorithm) -> (PathBuf, PathBuf) {
        self.pair_for(NAME, algorithm)
    }

    /// The same for another name, or for an address.
    pub(crate) fn pair_for(
        &mut self,
        name: &str,
        algorithm: &'static SignatureAlgorithm,
    ) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        self.roots.add(CertificateDer::from(certificate.der().to_vec())).expect("a root");
        let number = self.roots.len();
        (
            self.file(&format!("{number}.crt"), &certificate.pem()),
            self.file(&format!("{number}.key"), &key.serialize_pem()),
        )
    }

    /// Makes clients trust a certificate.
    pub(crate) fn trust(&mut self, pem: &str) {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        self.roots.add(certificate).expect("a root");
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// A client that trusts every certificate made so far.
    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.client_with(aws_lc_rs::default_provider(), versions)
    }

    pub(crate) fn client_with(
        &self,
        provider: CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
