//! The reader of configurations, on a machine that the octets make up.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost::config::{Diagnostic, Memory, Options, Severity, Surroundings, load};
use gatepost::tls;
use gatepost_core::SystemError;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::ResolvesServerCertUsingSni;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What parts the texts: no UTF-8 has this octet.
const BETWEEN: u8 = 0xFF;

/// Where the texts behind the first are, for `include` to find.
const INCLUDED: [&str; 4] = ["a.conf", "b.conf", "sub/c.conf", "d"];

const FOLDER: &str = "/etc/nginx";

/// How many complaints and how many warnings are told at most, with the line that says that there were more.
const TOLD_MAX: usize = 2 * 101;

/// How long a complaint is at most, printed: some words, each up to 4095 octets of four characters (`\x00`), and as much of a line
/// as fits on a screen.
const PRINTED_BYTES_MAX: usize = 64 * 1024;

/// Reads the octets as a configuration: the main file, then `-g`, then the files it may include, 0xFF between them.
///
/// # Panics
///
/// If it is taken with an error or refused without one, if more is said of it than anybody could read, or if it is not the same a
/// second time.
pub fn config(octets: &[u8]) {
    let machine = MadeUp::of(octets);
    let directives = octets.split(|&octet| octet == BETWEEN).nth(1).unwrap_or_default();
    let options = Options { directives, ..Options::new(Path::new(FOLDER), &machine) };
    let read = || load(Path::new("nginx.conf"), &options);
    let told = match read() {
        Ok(loaded) => {
            assert!(
                loaded.warnings.iter().all(|each| each.severity == Severity::Warn),
                "taken with an error"
            );
            loaded.warnings
        }
        Err(told) => {
            assert!(told.iter().any(|each| each.severity == Severity::Emerg), "refused without a reason");
            told
        }
    };
    assert!(told.len() <= TOLD_MAX, "{} complaints", told.len());
    for each in &told {
        let printed = each.to_string();
        assert!(printed.len() <= PRINTED_BYTES_MAX, "{} octets for one complaint", printed.len());
        assert!(
            !printed.contains(|c: char| c.is_control() && c != '\n'),
            "a control is printed: {printed:?}"
        );
    }
    let again: Vec<Diagnostic> = match read() {
        Ok(loaded) => loaded.warnings,
        Err(told) => told,
    };
    assert_eq!(told, again, "the same text, other words");
}

/// A machine with these files and a few hosts. Nothing on it comes from the real one.
struct MadeUp(Memory);

impl MadeUp {
    fn of(octets: &[u8]) -> Self {
        let mut texts = octets.split(|&octet| octet == BETWEEN);
        let file =
            |machine: Memory, name: &str, text: &[u8]| machine.file(Path::new(FOLDER).join(name), text);
        let machine = file(Memory::new(), "nginx.conf", texts.next().unwrap_or_default());
        let included = INCLUDED.iter().zip(texts.skip(1));
        let machine = included.fold(machine, |machine, (name, text)| file(machine, name, text));
        let both = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
        Self(machine.host("localhost", &both).host("auth.example.com", &[Ipv4Addr::new(192, 0, 2, 1).into()]))
    }
}

impl Surroundings for MadeUp {
    fn read(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>, SystemError> {
        self.0.read(path, bytes_max)
    }

    fn matching(&self, pattern: &str) -> Result<Vec<PathBuf>, &'static str> {
        self.0.matching(pattern)
    }

    fn resolve(&self, host: &str) -> Vec<std::net::IpAddr> {
        self.0.resolve(host)
    }

    fn host_name(&self) -> String {
        self.0.host_name()
    }

    fn cores(&self) -> NonZeroUsize {
        self.0.cores()
    }

    /// Every certificate is fit for use, but those that say otherwise by their names.
    fn tls(&self, settings: &tls::Settings) -> Result<tls::Acceptor, tls::Error> {
        let is_bad =
            |source: &tls::Source| matches!(source, tls::Source::File(path) if path.ends_with("bad.pem"));
        if settings.certificates.iter().any(|(certificate, _)| is_bad(certificate)) {
            return Err(tls::Error::NoCertificate);
        }
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        Ok(Arc::new(config).into())
    }

    fn client_tls(&self, _settings: &tls::ClientSettings) -> Result<Arc<ClientConfig>, tls::Error> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
