//! TLS towards backends: `proxy_ssl` and its kin (divergences D6).

use std::sync::Arc;

use gatepost_core::{BackendTls, Protocol};
use rustls::pki_types::ServerName;

use super::Ground;
use super::scope::{Named, Pem, Said, named, pem};
use super::server::{Block, effective};
use super::value::{argument, flag, invalid, no_such, text};
use crate::config::diagnostic::Complaint;
use crate::config::schema::ProxySslWord;
use crate::config::tree::{Directive, Mark};
use crate::tls::ClientSettings;

/// What one block says of it.
#[derive(Debug, Default)]
pub(super) struct ProxySsl {
    pub(super) mode: Option<BackendTls>,
    pub(super) name: Option<Box<str>>,
    verify: Option<bool>,
    server_name: Option<bool>,
    trusted: Option<Named>,
    certificate: Option<Pem>,
    key: Option<Pem>,
    /// Where the last of it was said, but for `proxy_ssl off`, which asks for nothing.
    said: Option<Said>,
}

impl ProxySsl {
    /// Takes in one of the directives.
    pub(super) fn take(
        &mut self,
        word: ProxySslWord,
        directive: &Directive,
        ground: &Ground<'_>,
    ) -> Result<(), Complaint> {
        match word {
            ProxySslWord::Mode => self.mode = Some(mode(directive)?),
            ProxySslWord::Verify => self.verify = Some(flag(directive)?),
            ProxySslWord::TrustedCertificate => self.trusted = Some(named(directive, ground)?),
            ProxySslWord::Name => self.name = Some(name(directive)?),
            ProxySslWord::ServerName => self.server_name = Some(flag(directive)?),
            ProxySslWord::Certificate => self.certificate = Some(pem(directive, ground)?),
            ProxySslWord::CertificateKey => self.key = Some(pem(directive, ground)?),
        }
        if word != ProxySslWord::Mode || self.mode != Some(BackendTls::Off) {
            self.said = Some(Said::of(directive));
        }
        Ok(())
    }
}

/// Reads what a server needs to speak TLS to its backends, if it may come to that: an auth server can ask for it for
/// one user only, so whoever says anything about it is prepared.
///
/// # Errors
///
/// A certificate without a key or a key without a certificate, or they are not what they should be.
pub(super) fn load(
    block: &Block,
    mail: &ProxySsl,
    protocol: Protocol,
    ground: &Ground<'_>,
) -> Result<Option<Arc<rustls::ClientConfig>>, Complaint> {
    let own = &block.scope.proxy_ssl;
    let Some(said) = effective(own.said, mail.said) else { return Ok(None) };
    let noticed = |said: Said, message: String| {
        Complaint::at(Mark { line: said.end.line, step: block.mark.step }, message).under(said.words)
    };
    let trusted = effective(own.trusted.as_ref(), mail.trusted.as_ref());
    let certificate = effective(own.certificate.as_ref(), mail.certificate.as_ref());
    let key = effective(own.key.as_ref(), mail.key.as_ref());
    let pair = match (certificate, key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate.source.clone(), key.source.clone())),
        (Some(certificate), None) => {
            let message = format!(
                "no \"proxy_ssl_certificate_key\" is defined for certificate \"{}\"",
                certificate.shown
            );
            return Err(noticed(certificate.said, message));
        }
        (None, Some(key)) => {
            let message = format!("no \"proxy_ssl_certificate\" is defined for key \"{}\"", key.shown);
            return Err(noticed(key.said, message));
        }
    };
    let settings = ClientSettings {
        verify: effective(own.verify, mail.verify).unwrap_or(true),
        trusted: trusted.map(|file| file.path.clone()),
        certificate: pair,
        protocol,
        server_name: effective(own.server_name, mail.server_name).unwrap_or(true),
    };
    ground.surroundings.backend_tls(&settings).map(Some).map_err(|error| {
        let message = error.to_string();
        let pair = [certificate, key].into_iter().flatten().map(|pem| (pem.source.to_string(), pem.said));
        let files = trusted.into_iter().map(|file| (file.quoted(), file.said));
        let culprit = pair.chain(files).find(|(quoted, _)| message.contains(quoted));
        let complaint = noticed(culprit.map_or(said, |(_, said)| said), message);
        match error.hint() {
            Some(hint) => complaint.hint(hint),
            None => complaint,
        }
    })
}

fn mode(directive: &Directive) -> Result<BackendTls, Complaint> {
    let word = argument(directive, 0)?;
    match word.text.to_ascii_lowercase().as_slice() {
        b"off" => Ok(BackendTls::Off),
        b"on" => Ok(BackendTls::On),
        b"starttls" => Ok(BackendTls::StartTls),
        _ => Err(no_such(directive, word).label("`off`, `on` or `starttls`")),
    }
}

/// The name a backend's certificate is to be for. It takes no variables: there are none in mail.
fn name(directive: &Directive) -> Result<Box<str>, Complaint> {
    let word = argument(directive, 0)?;
    let name = text(directive, word)?;
    match ServerName::try_from(&*name) {
        Ok(_) => Ok(name),
        Err(_) => Err(invalid(directive, word).label("a host name or an address")),
    }
}
