//! Authorities (`ssl_client_certificate`, `ssl_trusted_certificate`, `proxy_ssl_trusted_certificate`, the system's): for
//! whom they vouch, and until when. webpki builds the chain; of the authority at its end it looks at name and key only,
//! so the rest is looked at here, as OpenSSL does: RFC 5280 sections 4.2.1.3, 4.2.1.9 and 6.1.4.

use std::path::Path;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, RevocationOptions, VerifiedPath};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::Error;
use super::certificates::certificates_in;
use super::error::Reason;
use super::revocation::Revocations;
use super::signatures::Signatures;
use super::source::read;

/// Whom we trust.
#[derive(Debug)]
pub(super) struct Authorities {
    /// Those that may vouch for others.
    anchors: Vec<TrustAnchor<'static>>,
    /// What else is said in the certificate of each.
    terms: Vec<Terms>,
    /// All that are listed, as they were in their files; none of the system's.
    certificates: Vec<CertificateDer<'static>>,
}

/// Within which bounds an authority may vouch.
#[derive(Clone, Debug)]
struct Terms {
    /// Seconds since the epoch.
    not_before: i64,
    not_after: i64,
    /// How many authorities may stand between it and whom it vouches for; those with its own name are not counted.
    path_len: Option<u32>,
    /// By which it would be revoked: its issuer and its number, in DER; none in a certificate of version 1.
    named: Option<(Vec<u8>, Vec<u8>)>,
}

impl Authorities {
    /// Those in `files`, of which none may be unusable: whoever lists one means it.
    pub(super) fn load<'a>(files: impl IntoIterator<Item = &'a Path>) -> Result<Self, Error> {
        let mut all = Self { anchors: Vec::new(), terms: Vec::new(), certificates: Vec::new() };
        for path in files {
            let unusable = |reason| Error::Authorities { path: path.into(), reason };
            let text = read(path).map_err(|error| unusable(error.within_openssl(path)))?;
            let certificates =
                certificates_in(&text).map_err(|error| unusable(Reason::new(format!("(SSL: {error})"))))?;
            if certificates.is_empty() {
                let why = "(SSL: error:05800088:x509 certificate routines::no certificate or crl found)";
                let hint = "it has no `-----BEGIN CERTIFICATE-----`";
                return Err(unusable(Reason::new(why).hint(hint)));
            }
            for certificate in certificates {
                all.add(&certificate)
                    .map_err(|error| unusable(Reason::new(format!("(SSL: {})", refusal(error)))))?;
                all.certificates.push(certificate);
            }
        }
        Ok(all)
    }

    /// Those that the system trusts, as far as they can be read: a store usually has some that are too old.
    pub(super) fn of_the_system() -> Self {
        let mut all = Self { anchors: Vec::new(), terms: Vec::new(), certificates: Vec::new() };
        for certificate in rustls_native_certs::load_native_certs().certs {
            // Nobody is met whose own certificate is there, so these need not be kept.
            let _unusable = all.add(&certificate);
        }
        all
    }

    /// One that is no authority's vouches for itself, but whoever has its key for nobody else.
    fn add(&mut self, certificate: &CertificateDer<'static>) -> Result<(), webpki::Error> {
        let anchor = webpki::anchor_from_trusted_cert(certificate)?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| webpki::Error::BadDer)?;
        if may_sign(&parsed) {
            self.anchors.push(anchor.to_owned());
            let named = EndEntityCert::try_from(certificate).ok();
            let named = named.map(|named| (named.issuer().to_vec(), named.serial().to_vec()));
            self.terms.push(Terms { named, ..Terms::of(&parsed) });
        }
        Ok(())
    }

    /// The names of all that are listed, in DER.
    pub(super) fn names(&self) -> impl Iterator<Item = Vec<u8>> {
        let parsed = self.certificates.iter().map(|certificate| X509Certificate::from_der(certificate));
        parsed.filter_map(Result::ok).map(|(_, parsed)| parsed.subject().as_raw().to_vec())
    }

    /// Whether this very certificate is listed. What people make for themselves often claims to be an authority's, which
    /// webpki takes from nobody that is met.
    pub(super) fn list(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|listed| listed == certificate)
    }

    /// Whether somebody listed vouches for `leaf`, by at most `depth` of the `intermediates`.
    pub(super) fn vouch_for(
        &self,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        (usage, depth): (KeyUsage, usize),
        signatures: &Signatures,
        revocations: Option<&Revocations>,
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        let within = |path: &VerifiedPath<'_>| {
            let terms = self.within(path, depth, now)?;
            match (revocations, &terms.named) {
                (Some(revocations), Some((issuer, serial))) => revocations.look_up(issuer, serial),
                _ => Ok(()),
            }
        };
        let (algorithms, anchors) = (signatures.algorithms(), &self.anchors);
        let verify = |revocation: Option<RevocationOptions<'_>>| {
            leaf.verify_for_usage(algorithms, anchors, intermediates, now, usage, revocation, Some(&within))
                .map(drop)
        };
        match revocations {
            Some(revocations) => revocations.with(verify),
            None => verify(None),
        }
    }

    /// What webpki has left to look at in a chain that is sound otherwise.
    fn within(&self, path: &VerifiedPath<'_>, depth: usize, now: UnixTime) -> Result<&Terms, webpki::Error> {
        if path.intermediate_certificates().count() > depth {
            return Err(webpki::Error::MaximumPathDepthExceeded);
        }
        // Two may have the same name and key, and another term: which of them stands here is known by its place.
        let at = self.anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()));
        let terms = at.and_then(|at| self.terms.get(at)).ok_or(webpki::Error::UnknownIssuer)?;
        let others = path.intermediate_certificates().filter(|each| each.subject() != each.issuer()).count();
        if terms.path_len.is_some_and(|most| others > most as usize) {
            return Err(webpki::Error::PathLenConstraintViolated);
        }
        valid(terms.not_before, terms.not_after, now).map(|()| terms)
    }
}

impl Terms {
    fn of(parsed: &X509Certificate<'_>) -> Self {
        let constraints = parsed.basic_constraints().ok().flatten();
        Self {
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            path_len: constraints.and_then(|constraints| constraints.value.path_len_constraint),
            named: None,
        }
    }
}

/// Whether a certificate's own term has begun and not ended; of use to whom no authority has to vouch for.
pub(super) fn valid_by_itself(parsed: &X509Certificate<'_>, now: UnixTime) -> Result<(), webpki::Error> {
    let Terms { not_before, not_after, .. } = Terms::of(parsed);
    valid(not_before, not_after, now)
}

fn valid(not_before: i64, not_after: i64, time: UnixTime) -> Result<(), webpki::Error> {
    let now = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let moment = |seconds: i64| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.try_into().unwrap_or(0)))
    };
    if now < not_before {
        return Err(webpki::Error::CertNotValidYet { time, not_before: moment(not_before) });
    }
    match now > not_after {
        true => Err(webpki::Error::CertExpired { time, not_after: moment(not_after) }),
        false => Ok(()),
    }
}

/// Whether a certificate may sign others: it says so, or it is from when that could not be said.
fn may_sign(parsed: &X509Certificate<'_>) -> bool {
    let (Ok(constraints), Ok(usage)) = (parsed.basic_constraints(), parsed.key_usage()) else { return false };
    let signs = usage.map(|usage| usage.value.key_cert_sign());
    match (constraints, signs) {
        (_, Some(false)) => false,
        (Some(constraints), _) => constraints.value.ca,
        (None, Some(true)) => true,
        (None, None) => parsed.version() == X509Version::V1 && parsed.subject() == parsed.issuer(),
    }
}

/// webpki's reason as rustls has it, so that it becomes the right alert and text.
pub(super) fn refusal(reason: webpki::Error) -> rustls::Error {
    use webpki::Error as E;
    let error = match reason {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        E::CertRevoked => CertificateError::Revoked,
        E::CertNotValidForName(webpki::InvalidNameContext { expected, presented }) => {
            CertificateError::NotValidForNameContext { expected, presented }
        }
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    error.into()
}
