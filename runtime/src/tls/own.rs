//! What backends are told of the certificate that a client was shown (PROXY protocol version 2, TLVs 0x24 and 0x25), in
//! OpenSSL's spelling.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// A certificate of ours, as far as it is told of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// The algorithm it is signed with, `RSA-SHA256`; none for one that OpenSSL has no name for.
    pub(super) signature: Option<&'static str>,
    /// Kind and bits of its key, `RSA2048`, `EC256`; none for other kinds.
    pub(super) key: Option<Arc<str>>,
}

impl Own {
    /// Of the first in a chain.
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Self {
        let parsed = chain.first().map(|leaf| X509Certificate::from_der(leaf));
        match parsed {
            Some(Ok((_, parsed))) => Self { signature: signature(&parsed), key: key(&parsed) },
            _ => Self::default(),
        }
    }
}

/// OpenSSL's short name of the algorithm.
fn signature(parsed: &X509Certificate<'_>) -> Option<&'static str> {
    Some(match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.4" => "RSA-MD5",
        "1.2.840.113549.1.1.5" => "RSA-SHA1",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.113549.1.1.11" => "RSA-SHA256",
        "1.2.840.113549.1.1.12" => "RSA-SHA384",
        "1.2.840.113549.1.1.13" => "RSA-SHA512",
        "1.2.840.113549.1.1.14" => "RSA-SHA224",
        "1.2.840.10045.4.1" => "ecdsa-with-SHA1",
        "1.2.840.10045.4.3.1" => "ecdsa-with-SHA224",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        "1.3.101.113" => "ED448",
        _ => return None,
    })
}

fn key(parsed: &X509Certificate<'_>) -> Option<Arc<str>> {
    let public = parsed.public_key();
    match public.parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let zeros = rsa.modulus.iter().take_while(|octet| **octet == 0).count();
            let modulus = rsa.modulus.get(zeros..)?;
            let bits = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
            Some(format!("RSA{bits}").into())
        }
        PublicKey::EC(_) => {
            let curve = public.algorithm.parameters.as_ref()?.as_oid().ok()?;
            Some(match curve.to_id_string().as_str() {
                "1.2.840.10045.3.1.7" => "EC256".into(),
                "1.3.132.0.34" => "EC384".into(),
                "1.3.132.0.35" => "EC521".into(),
                _ => return None,
            })
        }
        _ => None,
    }
}
