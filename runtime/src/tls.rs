//! TLS towards clients, and in `backend` towards backends: what a `server {}` asks for, as rustls wants it.

use std::path::PathBuf;
use std::sync::Arc;

use gatepost_core::{Protocol, TlsFacts, VerifyClient};
use rustls::compress::default_cert_compressors;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};

mod authorities;
mod backend;
mod begun;
mod certificates;
pub(crate) mod ciphers;
mod clients;
mod description;
mod encrypted;
mod error;
pub(crate) mod groups;
mod names;
mod own;
mod preferences;
mod resumption;
mod revocation;
mod sessions;
mod signatures;
mod source;
mod tickets;

pub use backend::{ClientSettings, client_config, client_config_with};
use begun::Means;
use certificates::{Certificates, Choice};
use clients::{AskClient, Judge};
pub use error::{Error, Reason};
pub(crate) use names::backend_facts;
use names::facts;
pub use names::{cipher_name, protocol_name};
pub use preferences::Preferences;
pub use resumption::Resumption;
pub use sessions::Zone;
use signatures::Signatures;
pub use source::Source;
pub use tickets::{NoRandomness, TicketKeys, ticket_lifetime_max};

/// What a `server {}` asks of TLS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its protocol, which is also its name in ALPN (RFC 7301): a client that offers names and not this one is turned
    /// away with `no_application_protocol`.
    pub protocol: Protocol,
    /// `ssl_certificate` and `ssl_certificate_key`, in order: of each kind of key the first that the client can check
    /// is shown, of those for the name that it asks for (SNI), or else for the names of the first.
    pub certificates: Vec<(Source, Source)>,
    /// `ssl_password_file`: the pass phrases of the keys, a line each, tried in order.
    pub pass_phrases: Option<PathBuf>,
    /// `ssl_protocols`.
    pub versions: Versions,
    /// `ssl_verify_client`: whether clients are asked for a certificate.
    pub verify_client: VerifyClient,
    /// `ssl_client_certificate`: the authorities that may vouch for a client; it is told their names.
    pub client_ca: Vec<PathBuf>,
    /// `ssl_trusted_certificate`: further authorities, whose names it is not told.
    pub trusted: Option<PathBuf>,
    /// `ssl_crl`: lists of revoked certificates; with it, every certificate that is shown needs one of its issuer's.
    pub crl: Option<PathBuf>,
    /// `ssl_verify_depth`: how many certificates may stand between a client's and an authority's.
    pub depth: usize,
    /// `ssl_certificate_compression`: whether certificates are shown compressed (RFC 8879) to clients that can take them so.
    pub compress: bool,
    /// What a handshake may choose from.
    pub preferences: Preferences,
    /// How sessions are resumed.
    pub resumption: Resumption,
}

impl Settings {
    /// nginx's defaults: TLS 1.2 and 1.3, and no client is asked for a certificate.
    #[must_use]
    pub fn new<S: Into<Source>>(protocol: Protocol, certificates: Vec<(S, S)>) -> Self {
        let certificates =
            certificates.into_iter().map(|(certificate, key)| (certificate.into(), key.into()));
        Self {
            protocol,
            certificates: certificates.collect(),
            pass_phrases: None,
            versions: Versions::default(),
            verify_client: VerifyClient::Off,
            client_ca: Vec::new(),
            trusted: None,
            crl: None,
            compress: false,
            depth: 1,
            preferences: Preferences::default(),
            resumption: Resumption::default(),
        }
    }
}

/// The server's side of TLS: what rustls needs, what it shows, and who may vouch for clients. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    certificates: Option<Arc<Certificates>>,
    /// What was shown, if there is a choice and this is for one connection.
    choice: Option<Arc<Choice>>,
    judge: Option<Arc<Judge>>,
    /// What sessions are resumed from, once this is for one connection.
    means: Means,
}

impl Acceptor {
    /// What a handshake needs. Without [`for_one`](Self::for_one) it resumes no session, unless it is the caller's own.
    #[must_use]
    pub const fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// The same for one connection only, so that it can resume a session, and can tell which certificate was shown there.
    #[must_use]
    pub fn for_one(&self) -> Self {
        let choice = match &self.certificates {
            Some(certificates) if !certificates.are_one() => {
                Some(Arc::new(Choice::new(certificates.clone())))
            }
            _ => None,
        };
        if choice.is_none() && self.means.are_none() {
            return self.clone();
        }
        let mut config = ServerConfig::clone(&self.config);
        if let Some(choice) = &choice {
            config.cert_resolver = choice.clone();
        }
        self.means.put_into(&mut config);
        Self { config: Arc::new(config), choice, ..self.clone() }
    }

    /// What is known of a connection whose handshake is done. The client's certificate is judged here, so that one which
    /// was shown long ago, in the session that is resumed, is judged again.
    #[must_use]
    pub fn facts(&self, connection: &ServerConnection) -> TlsFacts {
        let judge = |judge: &Arc<Judge>| judge.certificate(connection.peer_certificates()?);
        let own = match (&self.choice, &self.certificates) {
            (Some(choice), _) => choice.own(),
            (None, Some(only)) if only.are_one() => only.own(0),
            _ => None,
        };
        TlsFacts {
            certificate: self.judge.as_ref().and_then(judge).map(Into::into),
            server_signature: own.and_then(|own| own.signature),
            server_key: own.and_then(|own| own.key.clone()),
            ..facts(connection)
        }
    }
}

impl From<Arc<ServerConfig>> for Acceptor {
    /// With a configuration of the caller's own. No certificate is told of.
    fn from(config: Arc<ServerConfig>) -> Self {
        Self { config, certificates: None, choice: None, judge: None, means: Means::default() }
    }
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

/// The configuration of the production process: aws-lc, the system's clock and chance.
///
/// # Errors
///
/// Files that cannot be read, are not what they should be, or do not fit each other. See [`Error`].
pub fn server_config(settings: &Settings) -> Result<Acceptor, Error> {
    let time: Arc<dyn TimeProvider> = Arc::new(DefaultTimeProvider);
    let mut provider = aws_lc_rs::default_provider();
    if settings.preferences.groups.is_some() {
        provider.kx_groups = aws_lc_rs::ALL_KX_GROUPS.to_vec();
    }
    server_config_at(settings, provider, time)
}

fn server_config_at(
    settings: &Settings,
    provider: CryptoProvider,
    time: Arc<dyn TimeProvider>,
) -> Result<Acceptor, Error> {
    build(settings, provider, time.clone(), |config, context| {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = settings.resumption.tls13_tickets;
        settings.resumption.means(context, &time)
    })
}

/// The same with a foreign source of chance and time, for a simulation. It has no ticket keys of its own making,
/// which would not be the same twice; whatever the settings say, sessions are resumed from rustls's bounded cache.
///
/// # Errors
///
/// As [`server_config`].
pub fn server_config_with(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
) -> Result<Acceptor, Error> {
    build(settings, CryptoProvider::clone(&provider), time, |_, _| Ok(Means::default()))
}

fn build(
    settings: &Settings,
    mut provider: CryptoProvider,
    time: Arc<dyn TimeProvider>,
    resume: impl FnOnce(&mut ServerConfig, [u8; 32]) -> Result<Means, Error>,
) -> Result<Acceptor, Error> {
    let certificates = Arc::new(Certificates::load(settings, &provider)?);
    let signatures = Signatures(Arc::new(provider.clone()));
    settings.preferences.cut(&mut provider);
    let no_tls13 = settings.preferences.tls13_suites.as_ref().is_some_and(Vec::is_empty);
    let no_tls12 = settings.preferences.tls12_suites.as_ref().is_some_and(Vec::is_empty);
    let versions = match (settings.versions.tls13 && !no_tls13, settings.versions.tls12 && !no_tls12) {
        (true, true) => &[&TLS13, &TLS12][..],
        (true, false) => &[&TLS13],
        (false, true) => &[&TLS12],
        (false, false) if no_tls12 && settings.versions.tls12 => return Err(Error::NoCipher),
        (false, false) => return Err(Error::NoVersion),
    };
    let builder = ServerConfig::builder_with_details(Arc::new(provider), time.clone())
        .with_protocol_versions(versions)?;
    let (builder, judge) = match settings.verify_client {
        VerifyClient::Off => (builder.with_no_client_auth(), None),
        VerifyClient::On | VerifyClient::Optional | VerifyClient::OptionalNoCa => {
            let told = settings.client_ca.iter().map(PathBuf::as_path);
            let judge = Judge::load(settings, signatures.clone(), time)?;
            let ask = AskClient::new(told, signatures)?;
            (builder.with_client_cert_verifier(Arc::new(ask)), Some(Arc::new(judge)))
        }
    };
    let mut config = builder.with_cert_resolver(certificates.clone());
    config.alpn_protocols = vec![settings.protocol.name().into()];
    config.cert_compressors =
        if settings.compress { default_cert_compressors().to_vec() } else { Vec::new() };
    // Clients are not told that theirs may be: what they send is not worth the work.
    config.cert_decompressors = Vec::new();
    config.ignore_client_order = settings.preferences.server_order;
    let means = resume(&mut config, resumption::context(settings, &certificates)?)?;
    Ok(Acceptor { config: Arc::new(config), certificates: Some(certificates), choice: None, judge, means })
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
