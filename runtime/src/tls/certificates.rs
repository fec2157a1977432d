//! Certificates and their keys: read, checked against each other, chosen for a client.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{InconsistentKeys, SignatureAlgorithm};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use super::encrypted::{Locked, pass_phrases};
use super::error::Reason;
use super::own::Own;
use super::source::Source;
use super::{Error, Settings};

/// What a `server {}` can show, best first.
#[derive(Debug)]
pub(super) struct Certificates(Vec<Shown>);

/// One of them.
#[derive(Debug)]
struct Shown {
    certified: Arc<CertifiedKey>,
    own: Own,
    /// Whether it is for a name that the first pair of all is for, so that it may be shown to whoever asks for no name
    /// that is known.
    by_default: bool,
}

impl Certificates {
    /// Reads every pair; at least one. Where a client can check several kinds of key, ECDSA is preferred, for its
    /// signature costs least, then Ed25519, then RSA; among one kind the first counts.
    pub(super) fn load(settings: &Settings, provider: &CryptoProvider) -> Result<Self, Error> {
        let pass_phrases = match &settings.pass_phrases {
            Some(path) => pass_phrases(path)
                .map_err(|error| Error::Open { path: path.clone(), reason: error.by_nginx() })?,
            None => Vec::new(),
        };
        let mut all = Vec::with_capacity(settings.certificates.len());
        let mut first_names = None;
        for pair in &settings.certificates {
            let mut certified = load_pair(pair, &pass_phrases, provider)?;
            certified.key = settings.preferences.limit(certified.key);
            let names = names_of(&certified);
            let first_names = first_names.get_or_insert_with(|| names.clone());
            let by_default = names == *first_names || names.intersection(first_names).next().is_some();
            let own = Own::of(&certified.cert);
            all.push(Shown { certified: Arc::new(certified), own, by_default });
        }
        if all.is_empty() {
            return Err(Error::NoCertificate);
        }
        all.sort_by_key(|shown| match shown.certified.key.algorithm() {
            SignatureAlgorithm::ECDSA => 0,
            SignatureAlgorithm::ED25519 => 1,
            _ => 2,
        });
        Ok(Self(all))
    }

    /// Whether there is but one to show.
    pub(super) const fn are_one(&self) -> bool {
        self.0.len() == 1
    }

    /// What there is to tell of one of them.
    pub(super) fn own(&self, at: usize) -> Option<&Own> {
        self.0.get(at).map(|shown| &shown.own)
    }

    /// All of them, each with those behind it.
    pub(super) fn chains(&self) -> impl Iterator<Item = &[CertificateDer<'static>]> {
        self.0.iter().map(|shown| shown.certified.cert.as_slice())
    }

    /// The best that the client can check, of those for the name that it asks for, or else of those by default.
    fn choose(&self, hello: &ClientHello<'_>) -> usize {
        if self.are_one() {
            return 0;
        }
        let schemes = hello.signature_schemes();
        let fits = |shown: &Shown| shown.certified.key.choose_scheme(schemes).is_some();
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let is_for = |shown: &Shown| name.as_ref().is_some_and(|name| is_for(&shown.certified, name));
        let choices: [&dyn Fn(&Shown) -> bool; 3] =
            [&|shown| fits(shown) && is_for(shown), &|shown| fits(shown) && shown.by_default, &fits];
        // Showing one that the client cannot check ends in the alert `handshake_failure`, as it should; showing none
        // would say `access_denied`.
        choices.into_iter().find_map(|choice| self.0.iter().position(choice)).unwrap_or(0)
    }
}

/// The names of hosts in a certificate, as they stand there.
fn names_of(certified: &CertifiedKey) -> BTreeSet<String> {
    let leaf = certified.cert.first().and_then(|leaf| EndEntityCert::try_from(leaf).ok());
    leaf.map(|leaf| leaf.valid_dns_names().map(str::to_ascii_lowercase).collect()).unwrap_or_default()
}

fn is_for(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let leaf = certified.cert.first().and_then(|leaf| EndEntityCert::try_from(leaf).ok());
    leaf.is_some_and(|leaf| leaf.verify_is_valid_for_subject_name(name).is_ok())
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(self.choose(&hello)).map(|shown| shown.certified.clone())
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

/// Reads a certificate, with those behind it, and its key, which one of the `pass_phrases` may have to unlock.
pub(super) fn load_pair(
    (certificate, key): &(Source, Source),
    pass_phrases: &[Zeroizing<Vec<u8>>],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let chain = certificate
        .read()
        .and_then(|text| chain_in(&text))
        .map_err(|reason| Error::Certificate { place: certificate.clone(), reason })?;
    let signing = key
        .read()
        .and_then(|text| key_in(&text, pass_phrases, provider))
        .map_err(|reason| Error::Key { place: key.clone(), reason })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        // A kind of key whose public half this library does not compute: the handshake will tell.
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(Error::Mismatch { certificate: certificate.clone(), key: key.clone() })
        }
        Err(error) => {
            Err(Error::Certificate { place: certificate.clone(), reason: Reason::new(error.to_string()) })
        }
    }
}

fn chain_in(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Reason> {
    let failed = |why: &str| Reason::new(format!("PEM_read_bio_X509_AUX() failed (SSL: {why})"));
    match certificates_in(text) {
        Ok(chain) if chain.is_empty() => {
            let reason = failed("error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE");
            Err(match has_key(text) {
                true => reason.hint("it holds a key: are certificate and key interchanged?"),
                false => reason.hint("it has no `-----BEGIN CERTIFICATE-----`"),
            })
        }
        Ok(chain) => Ok(chain),
        Err(error) => Err(failed(&error)),
    }
}

/// Every certificate in PEM form; none is no error here.
pub(super) fn certificates_in(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    all.map_err(|error| format!("not PEM: {error}"))
}

fn key_in(
    text: &[u8],
    pass_phrases: &[Zeroizing<Vec<u8>>],
    provider: &CryptoProvider,
) -> Result<Arc<dyn SigningKey>, Reason> {
    let failed = |why: &str| Reason::new(format!("PEM_read_bio_PrivateKey() failed{why}"));
    // A key that is not locked is in no other memory than what is wiped.
    if let Some(locked) = has_lock(text).then(|| Locked::first_in(text)).flatten() {
        let mut unlocked = pass_phrases.iter().filter_map(|pass_phrase| locked.unlocked(pass_phrase));
        return unlocked.find_map(|key| provider.key_provider.load_private_key(key).ok()).ok_or_else(|| {
            match pass_phrases {
                [] => failed(": it is protected by a pass phrase")
                    .hint("name a file that holds the pass phrase by `ssl_password_file`"),
                _ => failed(" (SSL: error:1C800064:Provider routines::bad decrypt)")
                    .hint("no pass phrase in `ssl_password_file` is the right one"),
            }
        });
    }
    let key = PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        _ if has_lock(text) => failed(": it is protected by a pass phrase, and broken"),
        pem::Error::NoItemsFound => {
            let why =
                "error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM";
            failed(&format!(" (SSL: {why})")).hint("it has no `-----BEGIN PRIVATE KEY-----`")
        }
        other => failed(&format!(": not PEM: {other}")),
    })?;
    provider.key_provider.load_private_key(key).map_err(|error| failed(&format!(": {error}")))
}

fn has_key(text: &[u8]) -> bool {
    contains(text, b" PRIVATE KEY-----") || contains(text, b"BEGIN PRIVATE KEY-----")
}

fn has_lock(text: &[u8]) -> bool {
    contains(text, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(text, b"Proc-Type: 4,ENCRYPTED")
}

fn contains(text: &[u8], mark: &[u8]) -> bool {
    text.windows(mark.len()).any(|window| window == mark)
}
