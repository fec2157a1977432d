//! The certificates that clients show, made for one run: one that the proxy trusts, and those it does not.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::tls::Identity;
use crate::transcript::{ClientCertificate, Transcript, Variables};

/// Who signs the certificates that are trusted, by common name.
const AUTHORITY: &str = "ca";

/// The serial number of every client's certificate.
const SERIAL: [u8; 2] = [0x0A, 0x1B];

/// An authority's certificate, and clients' certificates by what is wrong with them.
pub(super) struct Clients {
    authority: Certificate,
    /// OpenSSL's number for what is wrong; 0 is nothing.
    identities: Vec<(i32, Identity)>,
}

impl Clients {
    /// Those that `transcript` needs: none where no client is asked for one.
    pub(super) fn of(transcript: &Transcript) -> Result<Option<Self>, String> {
        let asked = transcript.config.directives.iter().any(|text| text.starts_with("ssl_verify_client"));
        asked.then(Self::new).transpose().map_err(|error: rcgen::Error| error.to_string())
    }

    fn new() -> Result<Self, rcgen::Error> {
        let (own, issuer) = authority(AUTHORITY)?;
        let (_, stranger) = authority("another ca")?;
        let mut expired = client();
        expired.not_after = date_time_ymd(2001, 1, 1);
        let identities = vec![
            (0, signed(&client(), Some(&issuer))?),
            (10, signed(&expired, Some(&issuer))?),
            (18, signed(&client(), None)?),
            (21, signed(&client(), Some(&stranger))?),
        ];
        Ok(Self { authority: own, identities })
    }

    /// The authority, for `ssl_client_certificate`.
    pub(super) fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// The certificate and key of a client.
    ///
    /// # Errors
    ///
    /// If none is made that is wrong in that way.
    pub(super) fn identity(&self, wanted: &ClientCertificate) -> Result<&Identity, String> {
        let code = match wanted {
            ClientCertificate::Verified => 0,
            ClientCertificate::Unverified(code, _) => *code,
        };
        let found = self.identities.iter().find(|(own, _)| *own == code);
        found.map(|(_, identity)| identity).ok_or_else(|| format!("no certificate is made to fail by {code}"))
    }

    /// What a transcript may say of the certificate that is trusted.
    pub(super) fn variables(&self) -> Variables {
        let trusted = self.identities.first().and_then(|(_, identity)| identity.chain.first());
        trusted.map(variables).unwrap_or_default()
    }
}

/// `certificate.sha1`, `certificate.sha256`, and `certificate.pem` as `Auth-SSL-Cert` has it.
fn variables(certificate: &CertificateDer<'_>) -> Variables {
    let hex = |algorithm: &'static Algorithm| {
        let mut text = String::new();
        for octet in digest(algorithm, certificate).as_ref() {
            let _ = write!(text, "{octet:02x}");
        }
        text
    };
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certificate);
    let lines = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("%0A");
    let pem = format!("-----BEGIN%20CERTIFICATE-----%0A{lines}%0A-----END%20CERTIFICATE-----%0A");
    [
        ("certificate.sha1", hex(&SHA1_FOR_LEGACY_USE_ONLY)),
        ("certificate.sha256", hex(&SHA256)),
        ("certificate.pem", pem),
    ]
    .map(|(name, value)| (name.to_owned(), value.into_bytes()))
    .into()
}

fn authority(name: &str) -> Result<(Certificate, Issuer<'static, KeyPair>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = named(&[(DnType::CommonName, name)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok((params.self_signed(&key)?, Issuer::new(params, key)))
}

/// `CN=client one,O=Org`, which is read from the end.
fn client() -> CertificateParams {
    let mut params = named(&[(DnType::OrganizationName, "Org"), (DnType::CommonName, "client one")]);
    params.serial_number = Some(SERIAL.to_vec().into());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn named(parts: &[(DnType, &str)]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in parts {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params
}

fn signed(
    params: &CertificateParams,
    issuer: Option<&Issuer<'static, KeyPair>>,
) -> Result<Identity, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer)?,
        None => params.self_signed(&key)?,
    };
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Ok(Identity { chain: vec![certificate.der().clone()], key: private })
}
