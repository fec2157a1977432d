//! Certificates made for one test: a server's for the loopback interface, and clients' with their authority.

use std::io;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

use super::Scratch;

/// A self-signed certificate for `localhost` and `127.0.0.1`, and its key, as PEM files. Clients trust it by naming
/// it as their authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one in `scratch`.
    ///
    /// # Errors
    ///
    /// The file system's, or the cryptographic library's.
    pub fn make(scratch: &Scratch) -> io::Result<Self> {
        Self::make_for(scratch, &["localhost", "127.0.0.1"])
    }

    /// As [`Certificate::make`], for these names and addresses.
    ///
    /// # Errors
    ///
    /// As [`Certificate::make`].
    pub fn make_for(scratch: &Scratch, names: &[&str]) -> io::Result<Self> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        Ok(Self {
            certificate: scratch.write("certificate.pem", made.cert.pem())?,
            key: scratch.write("key.pem", made.signing_key.serialize_pem())?,
        })
    }
}

/// Who signs the certificates of clients.
#[derive(Debug)]
pub struct ClientAuthority {
    /// Its certificate, as a PEM file, for `ssl_client_certificate`.
    pub certificate: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl ClientAuthority {
    /// Makes one whose common name is `name`, in `scratch`.
    ///
    /// # Errors
    ///
    /// The file system's, or the cryptographic library's.
    pub fn make(scratch: &Scratch, name: &str) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = called(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let made = params.self_signed(&key).map_err(io::Error::other)?;
        let certificate = scratch.write(&format!("{name}.pem"), made.pem())?;
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// Signs a client's certificate whose subject is the common name `name`. Tells the path of one PEM file, in `scratch`, with
    /// the certificate and its key.
    ///
    /// # Errors
    ///
    /// As [`ClientAuthority::make`].
    pub fn sign(&self, scratch: &Scratch, name: &str) -> io::Result<PathBuf> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = called(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let made = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        scratch.write(&format!("{name}.pem"), made.pem() + &key.serialize_pem())
    }
}

fn called(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
