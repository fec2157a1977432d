//! Certificates and their keys: read, checked against each other, chosen for a client.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::own::Own;
use super::{Error, Settings};
use crate::system_error::text_of;

/// The most that is read of a certificate or key file: far more than any chain has, and a bound on what a directive
/// that names a device or a mailbox can do.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What a `server {}` can show, best first.
#[derive(Debug)]
pub(super) struct Certificates(Vec<(Arc<CertifiedKey>, Own)>);

impl Certificates {
    /// Reads every pair; at least one. Where a client can check several kinds of key, ECDSA is preferred, for its
    /// signature costs least, then Ed25519, then RSA; among one kind the first counts.
    pub(super) fn load(settings: &Settings, provider: &CryptoProvider) -> Result<Self, Error> {
        let mut certificates = Vec::with_capacity(settings.certificates.len());
        for (certificate, key) in &settings.certificates {
            let mut certified = load_pair(certificate, key, provider)?;
            certified.key = settings.preferences.limit(certified.key);
            let own = Own::of(&certified.cert);
            certificates.push((Arc::new(certified), own));
        }
        if certificates.is_empty() {
            return Err(Error::NoCertificate);
        }
        certificates.sort_by_key(|(certified, _)| match certified.key.algorithm() {
            SignatureAlgorithm::ECDSA => 0,
            SignatureAlgorithm::ED25519 => 1,
            _ => 2,
        });
        Ok(Self(certificates))
    }

    /// Whether there is but one to show.
    pub(super) const fn are_one(&self) -> bool {
        self.0.len() == 1
    }

    /// What there is to tell of one of them.
    pub(super) fn own(&self, at: usize) -> Option<&Own> {
        self.0.get(at).map(|(_, own)| own)
    }

    /// All of them, each with those behind it.
    pub(super) fn chains(&self) -> impl Iterator<Item = &[CertificateDer<'static>]> {
        self.0.iter().map(|(certified, _)| certified.cert.as_slice())
    }

    fn choose(&self, hello: &ClientHello<'_>) -> usize {
        let schemes = hello.signature_schemes();
        let fits = |(certified, _): &(Arc<CertifiedKey>, Own)| certified.key.choose_scheme(schemes).is_some();
        // Showing one that the client cannot check ends in the alert `handshake_failure`, as it should; showing none
        // would say `access_denied`.
        self.0.iter().position(fits).unwrap_or(0)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(self.choose(&hello)).map(|(certified, _)| certified.clone())
    }
}

/// Chooses for one connection, and remembers what. rustls itself does not tell.
#[derive(Debug)]
pub(super) struct Choice {
    certificates: Arc<Certificates>,
    chosen: AtomicUsize,
}

impl Choice {
    pub(super) fn new(certificates: Arc<Certificates>) -> Self {
        Self { certificates, chosen: AtomicUsize::new(usize::MAX) }
    }

    /// What there is to tell of the one that was chosen, once one was.
    pub(super) fn own(&self) -> Option<&Own> {
        self.certificates.own(self.chosen.load(Ordering::Relaxed))
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A client that is asked to begin anew (RFC 8446 section 4.1.4) has the second choice made.
        self.chosen.store(self.certificates.choose(&hello), Ordering::Relaxed);
        self.certificates.resolve(hello)
    }
}

pub(super) fn load_pair(
    certificate_path: &Path,
    key_path: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let chain = read(certificate_path)
        .and_then(|text| chain_in(&text))
        .map_err(|reason| Error::Certificate { path: certificate_path.into(), reason })?;
    let key = read(key_path)
        .and_then(|text| key_in(&text))
        .and_then(|key| provider.key_provider.load_private_key(key).map_err(|error| error.to_string()))
        .map_err(|reason| Error::Key { path: key_path.into(), reason })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        // A kind of key whose public half this library does not compute: the handshake will tell.
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(Error::Mismatch { certificate: certificate_path.into(), key: key_path.into() })
        }
        Err(error) => Err(Error::Certificate { path: certificate_path.into(), reason: error.to_string() }),
    }
}

/// The file's octets, wiped when dropped: it may be a key.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    use io::Read;
    let mut octets = Zeroizing::new(Vec::new());
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut octets))
        .map_err(|error| reason_of(&error))?;
    match octets.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("it is larger than {FILE_BYTES_MAX} bytes")),
        false => Ok(octets),
    }
}

fn reason_of(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => format!("({code}: {})", text_of(code)),
        None => error.to_string(),
    }
}

pub(super) fn chain_in(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("not PEM: {error}"))?;
    match chain.is_empty() {
        true => Err("no certificate in PEM form is in it".into()),
        false => Ok(chain),
    }
}

fn key_in(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        _ if is_encrypted(text) => "it is protected by a pass phrase".into(),
        pem::Error::NoItemsFound => "no private key in PEM form is in it".into(),
        other => format!("not PEM: {other}"),
    })
}

fn is_encrypted(text: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| text.windows(mark.len()).any(|window| window == *mark))
}
