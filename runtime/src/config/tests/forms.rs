//! The forms that people give their configurations: each is a file of the corpus, where the fuzzer begins with them too.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepost_core::SystemError;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::ResolvesServerCertUsingSni;

use super::{Loaded, Memory, Options, first_lines, load, machine};
use crate::config::Surroundings;
use crate::tls;

const FORMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/fuzz/config");

/// A machine with one file on it, on which every certificate is fit for use.
struct Furnished(Memory);

impl Surroundings for Furnished {
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

    fn tls(&self, _settings: &tls::Settings) -> Result<tls::Acceptor, tls::Error> {
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        Ok(Arc::new(config).into())
    }
}

/// The forms, by the names of their files.
fn forms() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(FORMS).expect("the corpus");
    let mut forms: Vec<_> = entries
        .map(|entry| entry.expect("a file").path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            name.starts_with("form-").then(|| (name, std::fs::read_to_string(path).expect("text")))
        })
        .collect();
    forms.sort();
    forms
}

/// What there is to say about a form that is taken.
fn told(text: &str) -> Result<Vec<String>, String> {
    let machine = Furnished(machine().file("/etc/nginx/nginx.conf", text));
    match load(Path::new("nginx.conf"), &Options::new(Path::new("/etc/nginx"), &machine)) {
        Ok(Loaded { config, warnings, .. }) if !config.servers.is_empty() => Ok(first_lines(&warnings)),
        Ok(_) => Err("nothing is served".to_owned()),
        Err(told) => Err(first_lines(&told).join("\n")),
    }
}

#[test]
fn what_people_write_is_taken() {
    let forms = forms();
    assert!(forms.len() >= 20, "{}", forms.len());
    for (name, text) in forms {
        if let Err(message) = told(&text) {
            panic!("{name}: {message}");
        }
    }
}

/// The paragraph about what is found in public configurations, word for word: none of it is lost from the corpus.
#[test]
fn the_forms_have_what_is_found_in_public() {
    let all: String = forms().into_iter().map(|(_, text)| text).collect();
    for found in [
        "proxy on;",
        "proxy_pass_error_message on;",
        "smtp_auth none;",
        "builtin:1000 shared:",
        "ssl_dhparam",
        "ssl_prefer_server_ciphers",
        "ssl_session_tickets off;",
        "ssl_ecdh_curve",
        "pcre_jit",
        "load_module",
        "listen [::]:143 ipv6only=off;",
        "listen localhost:",
        "auth_http localhost",
        "auth_http 127.0.0.1;",
        "auth_http auth.example.com;",
        "auth_http_header X-Auth-Key \"",
        "\"server\" {",
    ] {
        assert!(all.contains(found), "{found}");
    }
}
