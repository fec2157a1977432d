//! A certificate for the loopback interface, made for one test.

use std::io;
use std::path::PathBuf;

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
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        Ok(Self {
            certificate: scratch.write("certificate.pem", made.cert.pem())?,
            key: scratch.write("key.pem", made.signing_key.serialize_pem())?,
        })
    }
}
