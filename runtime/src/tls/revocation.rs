//! Lists of revoked certificates (`ssl_crl`): RFC 5280 section 5. As with OpenSSL's `X509_V_FLAG_CRL_CHECK_ALL`, each
//! certificate of a chain has to be on a list's side: without a list of its issuer's none is believed.

use std::path::Path;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use webpki::{
    CertRevocationList, Error as Fault, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::Error;
use super::error::Reason;
use super::source::read;

/// Who is revoked.
#[derive(Debug)]
pub(super) struct Revocations(Vec<CertRevocationList<'static>>);

impl Revocations {
    /// The lists in a file; at least one.
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let unusable = |reason| Error::Crl { path: path.into(), reason };
        let text = read(path).map_err(|error| unusable(error.within_openssl(path)))?;
        let lists = CertificateRevocationListDer::pem_slice_iter(&text).map(|list| {
            let list = list.map_err(|error| format!("not PEM: {error}"))?;
            OwnedCertRevocationList::from_der(&list).map(Into::into).map_err(|error| error.to_string())
        });
        let lists = lists.collect::<Result<Vec<_>, String>>();
        match lists {
            Ok(lists) if lists.is_empty() => {
                let why = "(SSL: error:05800088:x509 certificate routines::no certificate or crl found)";
                Err(unusable(Reason::new(why).hint("it has no `-----BEGIN X509 CRL-----`")))
            }
            Ok(lists) => Ok(Self(lists)),
            Err(error) => Err(unusable(Reason::new(format!("(SSL: {error})")))),
        }
    }

    /// Calls `judge` with what webpki wants to know.
    pub(super) fn with<T>(
        &self,
        judge: impl FnOnce(Option<webpki::RevocationOptions<'_>>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let lists: Vec<_> = self.0.iter().collect();
        let options = RevocationOptionsBuilder::new(&lists).map_err(|_| Fault::UnknownRevocationStatus)?;
        judge(Some(
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build(),
        ))
    }

    /// Whether a certificate is revoked for which webpki has no chain to look at, for it is trusted by itself.
    pub(super) fn look_up(&self, issuer: &[u8], serial: &[u8]) -> Result<(), Fault> {
        let mut lists = self.0.iter().filter(|list| list.issuer() == issuer).peekable();
        if lists.peek().is_none() {
            return Err(Fault::UnknownRevocationStatus);
        }
        for list in lists {
            if list.find_serial(serial)?.is_some() {
                return Err(Fault::CertRevoked);
            }
        }
        Ok(())
    }
}
