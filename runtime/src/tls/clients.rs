//! Client certificates (`ssl_verify_client`): asked for in the handshake, judged after it. Whatever a certificate leads
//! to is said in the mail protocol, not by an alert; but its key has to be there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost_core::{Certificate, VerifyError};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authorities::{Authorities, valid_by_itself};
use super::revocation::Revocations;
use super::signatures::Signatures;
use super::{Error, Settings, description};

/// Finds out who vouches for a client.
#[derive(Debug)]
pub(super) struct Judge {
    authorities: Authorities,
    /// `ssl_verify_depth`: how many certificates may stand between the client's and the authority's.
    depth: usize,
    /// `ssl_crl`.
    revocations: Option<Revocations>,
    signatures: Signatures,
    time: Arc<dyn TimeProvider>,
}

impl Judge {
    /// By the authorities and lists that the settings name.
    pub(super) fn load(
        settings: &Settings,
        signatures: Signatures,
        time: Arc<dyn TimeProvider>,
    ) -> Result<Self, Error> {
        let files = settings.client_ca.iter().chain(&settings.trusted).map(PathBuf::as_path);
        let authorities = Authorities::load(files)?;
        let revocations = settings.crl.as_deref().map(Revocations::load).transpose()?;
        Ok(Self { authorities, depth: settings.depth, revocations, signatures, time })
    }

    /// What there is to tell of the certificate that a client has shown, with its intermediates behind it.
    pub(super) fn certificate(&self, chain: &[CertificateDer<'_>]) -> Option<Certificate> {
        let leaf = chain.first()?;
        Some(match X509Certificate::from_der(leaf) {
            Ok((_, parsed)) => description::of(leaf, &parsed, self.verdict(chain, &parsed)),
            Err(_) => description::unreadable(leaf, error(1)),
        })
    }

    fn verdict(&self, chain: &[CertificateDer<'_>], parsed: &X509Certificate<'_>) -> Result<(), VerifyError> {
        let [leaf, intermediates @ ..] = chain else { return Err(error(1)) };
        let now = self.time.current_time().ok_or(error(1))?;
        if self.authorities.list(leaf) {
            self.look_up(leaf).map_err(|reason| error(code_of(&reason)))?;
            return alone(parsed, now);
        }
        let verified = EndEntityCert::try_from(leaf).and_then(|end_entity| {
            let wanted = (KeyUsage::client_auth(), self.depth);
            self.authorities.vouch_for(
                &end_entity,
                intermediates,
                wanted,
                &self.signatures,
                self.revocations.as_ref(),
                now,
            )
        });
        let error = match (verified, is_self_signed(parsed), intermediates) {
            (Ok(()), _, _) => return Ok(()),
            (Err(_), true, _) => error(18),
            (Err(webpki::Error::UnknownIssuer), _, []) => error(21),
            (Err(webpki::Error::UnknownIssuer), _, _) if ends_in_itself(intermediates) => error(19),
            (Err(reason), _, _) => error(code_of(&reason)),
        };
        // What is wrong with the certificate itself weighs more: `optional_no_ca` lets the other pass.
        match error.is_about_the_chain() {
            true => alone(parsed, now).and(Err(error)),
            false => Err(error),
        }
    }
}

impl Judge {
    /// Whether a certificate that is listed itself is revoked.
    fn look_up(&self, leaf: &CertificateDer<'_>) -> Result<(), webpki::Error> {
        let Some(revocations) = &self.revocations else { return Ok(()) };
        let leaf = EndEntityCert::try_from(leaf)?;
        revocations.look_up(leaf.issuer(), leaf.serial())
    }
}

/// Whether a certificate is a client's and valid now, whoever has signed it.
fn alone(parsed: &X509Certificate<'_>, now: UnixTime) -> Result<(), VerifyError> {
    let usage = parsed.extended_key_usage().map_err(|_| error(1))?;
    valid_by_itself(parsed, now).map_err(|reason| error(code_of(&reason)))?;
    match usage.is_none_or(|usage| usage.value.client_auth || usage.value.any) {
        true => Ok(()),
        false => Err(error(26)),
    }
}

fn is_self_signed(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject().as_raw() == certificate.issuer().as_raw()
}

fn ends_in_itself(chain: &[CertificateDer<'_>]) -> bool {
    let parsed = chain.last().map(|last| X509Certificate::from_der(last));
    matches!(parsed, Some(Ok((_, parsed))) if is_self_signed(&parsed))
}

/// OpenSSL's number (`X509_V_ERR_…`) for a reason that is not about who has signed.
fn code_of(reason: &webpki::Error) -> i32 {
    match reason {
        webpki::Error::UnknownRevocationStatus => 3,
        webpki::Error::InvalidSignatureForPublicKey => 7,
        webpki::Error::InvalidCrlSignatureForPublicKey | webpki::Error::IssuerNotCrlSigner => 8,
        webpki::Error::CertNotValidYet { .. } => 9,
        webpki::Error::CertExpired { .. } => 10,
        webpki::Error::CrlExpired { .. } => 12,
        webpki::Error::UnknownIssuer => 20,
        webpki::Error::MaximumPathDepthExceeded => 22,
        webpki::Error::CertRevoked => 23,
        webpki::Error::EndEntityUsedAsCa => 24,
        webpki::Error::PathLenConstraintViolated => 25,
        webpki::Error::CaUsedAsEndEntity | webpki::Error::RequiredEkuNotFoundContext(_) => 26,
        webpki::Error::NameConstraintViolation => 47,
        _ => 1,
    }
}

fn error(code: i32) -> VerifyError {
    let text = match code {
        3 => "unable to get certificate CRL",
        7 => "certificate signature failure",
        8 => "CRL signature failure",
        9 => "certificate is not yet valid",
        10 => "certificate has expired",
        12 => "CRL has expired",
        18 => "self-signed certificate",
        19 => "self-signed certificate in certificate chain",
        20 => "unable to get local issuer certificate",
        21 => "unable to verify the first certificate",
        22 => "certificate chain too long",
        23 => "certificate revoked",
        24 => "invalid CA certificate",
        25 => "path length constraint exceeded",
        26 => "unsuitable certificate purpose",
        47 => "permitted subtree violation",
        _ => "unspecified certificate verification error",
    };
    VerifyError { code, text: text.into() }
}

/// Asks for a certificate and takes any, or none; its key has to be the client's.
#[derive(Debug)]
pub(super) struct AskClient {
    hints: Vec<DistinguishedName>,
    signatures: Signatures,
}

impl AskClient {
    /// Tells clients the names of the authorities in `files`, so that they find the certificate that is meant.
    pub(super) fn new<'a>(
        files: impl Iterator<Item = &'a Path>,
        signatures: Signatures,
    ) -> Result<Self, Error> {
        let hints = Authorities::load(files)?.names().map(Into::into).collect();
        Ok(Self { hints, signatures })
    }
}

impl ClientCertVerifier for AskClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
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
