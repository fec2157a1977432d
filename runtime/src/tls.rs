//! TLS towards clients, and in `backend` towards backends: what a `server {}` asks for, as rustls wants it.

use std::path::PathBuf;
use std::sync::Arc;

use gatepost_core::Protocol;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::{TLS12, TLS13};

mod backend;
mod certificates;
mod names;

pub use backend::{ClientSettings, client_config, client_config_with};
use certificates::Certificates;
pub(crate) use names::backend_facts;
pub use names::{cipher_name, facts, protocol_name};

/// What a `server {}` asks of TLS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its protocol, which is also its name in ALPN (RFC 7301): a client that offers names and not this one is turned
    /// away with `no_application_protocol`.
    pub protocol: Protocol,
    /// `ssl_certificate` and `ssl_certificate_key`, in order: of each kind of key the first that the client can check
    /// is shown.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// `ssl_protocols`.
    pub versions: Versions,
}

/// `ssl_protocols`, as far as there is any choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// `TLSv1.2`, RFC 5246.
    pub tls12: bool,
    /// `TLSv1.3`, RFC 8446.
    pub tls13: bool,
}

impl Default for Versions {
    fn default() -> Self {
        Self { tls12: true, tls13: true }
    }
}

/// Why there is no TLS, in nginx's words as far as it has words for it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `ssl_certificate` cannot be used.
    #[error("cannot load certificate {path:?}: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `ssl_certificate_key` cannot be used.
    #[error("cannot load certificate key {path:?}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of authorities cannot be used.
    #[error("SSL_CTX_load_verify_locations({path:?}) failed: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not belong together.
    #[error(
        "SSL_CTX_use_PrivateKey({key:?}) failed (SSL: key values mismatch): it is not the key of {certificate:?}"
    )]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// There is nothing to show to a client.
    #[error("no \"ssl_certificate\" is defined")]
    NoCertificate,
    /// Neither TLS 1.2 nor TLS 1.3 is wanted.
    #[error("\"ssl_protocols\" leaves neither TLSv1.2 nor TLSv1.3")]
    NoVersion,
    /// The TLS library refuses.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// The configuration of the production process: aws-lc, the system's clock, sessions resumed by tickets whose keys
/// change by themselves.
///
/// # Errors
///
/// Files that cannot be read, are not what they should be, or do not fit each other. See [`Error`].
pub fn server_config(settings: &Settings) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = build(settings, provider, Arc::new(DefaultTimeProvider))?;
    // Tickets keep the state at the client: a cache of ours would cost memory for each session that was ever open.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// The same with a foreign source of chance and time, for a simulation. It has no ticket keys of its own making,
/// which would not be the same twice; sessions are resumed from rustls's bounded cache.
///
/// # Errors
///
/// As [`server_config`].
pub fn server_config_with(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    build(settings, provider, time).map(Arc::new)
}

fn build(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, Error> {
    let versions = match settings.versions {
        Versions { tls12: true, tls13: true } => &[&TLS13, &TLS12][..],
        Versions { tls12: false, tls13: true } => &[&TLS13],
        Versions { tls12: true, tls13: false } => &[&TLS12],
        Versions { tls12: false, tls13: false } => return Err(Error::NoVersion),
    };
    let certificates = Certificates::load(&settings.certificates, &provider)?;
    let mut config = ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![settings.protocol.name().into()];
    Ok(config)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
