//! The playground's directory: a certificate made a moment ago, the configuration, the log.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// A directory of the playground's own, for its owner only; gone when dropped.
#[derive(Debug)]
pub(super) struct Home(PathBuf);

impl Home {
    /// Makes the directory, and in it a key and a self-signed certificate for `localhost` and 127.0.0.1.
    pub(super) fn make() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("gatepost-playground-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let home = Self(path);
        let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).map_err(io::Error::other)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Gatepost playground");
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        home.write("cert.pem", &certificate.pem())?;
        home.write("key.pem", &key.serialize_pem())?;
        Ok(home)
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file that nobody else may read.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.file(name))?;
        file.write_all(text.as_bytes())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Nothing more can be done about it, and the system cleans its directory for temporary files by itself.
        let _ = fs::remove_dir_all(&self.0);
    }
}
