//! TLS where we are the client: what `proxy_ssl_*` says of backends (divergences D6) and `auth_http_ssl_*` of auth servers (D1), in
//! the same words.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::Ground;
use super::scope::{Named, Pem, Said, named, pem};
use super::server::{Block, effective};
use super::value::{argument, flag, invalid, text};
use crate::config::diagnostic::Complaint;
use crate::config::schema::ClientSslWord;
use crate::config::tree::{Directive, Mark};
use crate::tls::ClientSettings;

/// What one block says of it.
#[derive(Debug, Default)]
pub(super) struct ClientSsl {
    pub(super) name: Option<Box<str>>,
    verify: Option<bool>,
    server_name: Option<bool>,
    trusted: Option<Named>,
    certificate: Option<Pem>,
    key: Option<Pem>,
    /// Where the last of it was said.
    pub(super) said: Option<Said>,
}

/// Whom it is about.
#[derive(Clone, Copy)]
pub(super) struct Whom {
    /// What the names of its directives begin with.
    pub(super) prefix: &'static str,
    /// What is offered in ALPN.
    pub(super) alpn: &'static str,
}

impl ClientSsl {
    /// Takes in one of the directives.
    pub(super) fn take(
        &mut self,
        word: ClientSslWord,
        directive: &Directive,
        ground: &Ground<'_>,
    ) -> Result<(), Complaint> {
        match word {
            ClientSslWord::Verify => self.verify = Some(flag(directive)?),
            ClientSslWord::TrustedCertificate => self.trusted = Some(named(directive, ground)?),
            ClientSslWord::Name => self.name = Some(name(directive)?),
            ClientSslWord::ServerName => self.server_name = Some(flag(directive)?),
            ClientSslWord::Certificate => self.certificate = Some(pem(directive, ground)?),
            ClientSslWord::CertificateKey => self.key = Some(pem(directive, ground)?),
        }
        self.said = Some(Said::of(directive));
        Ok(())
    }

    /// Reads what a server needs for it, of which `own` is what the server says itself and `mail` what it inherits.
    ///
    /// # Errors
    ///
    /// A certificate without a key or a key without a certificate, or they are not what they should be.
    pub(super) fn load(
        own: &Self,
        mail: &Self,
        whom: Whom,
        block: &Block,
        ground: &Ground<'_>,
    ) -> Result<Arc<ClientConfig>, Complaint> {
        let Whom { prefix, alpn } = whom;
        let noticed = |said: Option<Said>, message: String| match said {
            Some(said) => {
                Complaint::at(Mark { line: said.end.line, step: block.mark.step }, message).under(said.words)
            }
            None => Complaint::at(block.mark, message).under(block.name),
        };
        let trusted = effective(own.trusted.as_ref(), mail.trusted.as_ref());
        let certificate = effective(own.certificate.as_ref(), mail.certificate.as_ref());
        let key = effective(own.key.as_ref(), mail.key.as_ref());
        let pair = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.source.clone(), key.source.clone())),
            (Some(certificate), None) => {
                let message = format!(
                    "no \"{prefix}_certificate_key\" is defined for certificate \"{}\"",
                    certificate.shown
                );
                return Err(noticed(Some(certificate.said), message));
            }
            (None, Some(key)) => {
                let message = format!("no \"{prefix}_certificate\" is defined for key \"{}\"", key.shown);
                return Err(noticed(Some(key.said), message));
            }
        };
        let settings = ClientSettings {
            verify: effective(own.verify, mail.verify).unwrap_or(true),
            trusted: trusted.map(|file| file.path.clone()),
            certificate: pair,
            alpn,
            server_name: effective(own.server_name, mail.server_name).unwrap_or(true),
        };
        ground.surroundings.client_tls(&settings).map_err(|error| {
            let message = error.to_string();
            let pair = [certificate, key].into_iter().flatten().map(|pem| (pem.source.to_string(), pem.said));
            let files = trusted.into_iter().map(|file| (file.quoted(), file.said));
            let culprit = pair.chain(files).find(|(quoted, _)| message.contains(quoted));
            let said = culprit.map(|(_, said)| said).or_else(|| effective(own.said, mail.said));
            let complaint = noticed(said, message);
            match error.hint() {
                Some(hint) => complaint.hint(hint),
                None => complaint,
            }
        })
    }
}

/// The name that a certificate is to be for. It takes no variables: there are none in mail.
fn name(directive: &Directive) -> Result<Box<str>, Complaint> {
    let word = argument(directive, 0)?;
    let name = text(directive, word)?;
    match ServerName::try_from(&*name) {
        Ok(_) => Ok(name),
        Err(_) => Err(invalid(directive, word).label("a host name or an address")),
    }
}
