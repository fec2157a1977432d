//! Which certificates a server shows: config.md 4 and 8.

use std::collections::BTreeSet;

use gatepost_core::{Protocol, StartTls, VerifyClient};

use super::Ground;
use super::scope::{Pem, Said, Scope};
use super::server::{Block, effective};
use super::ssl::Ssl;
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::tree::Mark;
use crate::tls::{Acceptor, Settings, Source, Versions};

/// nginx's default of `ssl_verify_depth`.
const VERIFY_DEPTH: usize = 1;

/// What makes a server speak TLS, and where that was said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// Nothing.
    No,
    /// `listen … ssl`
    Listen(Said),
    /// `ssl on`
    Ssl(Said),
    /// `starttls on` or `starttls only`
    Starttls(Said),
}

impl Wanted {
    /// The directive as nginx's messages name it, and where it stands.
    pub(super) const fn named(self) -> Option<(&'static str, Said)> {
        match self {
            Self::No => None,
            Self::Listen(said) => Some(("\"listen ... ssl\"", said)),
            Self::Ssl(said) => Some(("\"ssl\"", said)),
            Self::Starttls(said) => Some(("\"starttls\"", said)),
        }
    }
}

/// Whether a server speaks TLS.
pub(super) fn wanted(block: &Block, mail: &Scope) -> Wanted {
    if let Some(said) = block.listens.iter().filter_map(|listen| listen.ssl).next_back() {
        return Wanted::Listen(said);
    }
    if let Some((true, said)) = effective(block.scope.ssl, mail.ssl) {
        return Wanted::Ssl(said);
    }
    match effective(block.scope.starttls, mail.starttls) {
        Some((StartTls::On | StartTls::Only, said)) => Wanted::Starttls(said),
        _ => Wanted::No,
    }
}

/// Reads the certificates of a server that wants TLS.
///
/// # Errors
///
/// There is none, a key is missing, or they are not what they should be.
pub(super) fn load(
    block: &Block,
    mail: &Scope,
    blocks: &[Block],
    protocol: Protocol,
    (directive, said): (&str, Said),
    ground: &Ground<'_>,
    complaints: &mut Complaints,
) -> Result<Acceptor, Complaint> {
    // All of it is noticed when the whole of `mail {}` has been read.
    let noticed = |said: Said, message: String| {
        Complaint::at(Mark { line: said.end.line, step: block.mark.step }, message).under(said.words)
    };
    let own = |own: &[Pem], inherited: &[Pem]| if own.is_empty() { inherited.to_vec() } else { own.to_vec() };
    let certificates = own(&block.scope.certificates, &mail.certificates);
    let keys = own(&block.scope.keys, &mail.keys);
    let pairs = match (certificates.last(), keys.is_empty()) {
        (None, _) => {
            let message = format!("no \"ssl_certificate\" is defined for the {directive} directive");
            let (certificate, key) = only_pair(mail, blocks).ok_or_else(|| noticed(said, message.clone()))?;
            let message = format!("{message}, using {certificate}");
            complaints.push(noticed(said, message).warning());
            vec![(certificate, key)]
        }
        (Some(_), true) => {
            let message = format!("no \"ssl_certificate_key\" is defined for the {directive} directive");
            return Err(noticed(said, message));
        }
        (Some(last), false) if keys.len() < certificates.len() => {
            let message = format!(
                "no \"ssl_certificate_key\" is defined for certificate \"{}\" and the {directive} directive",
                last.shown
            );
            return Err(noticed(said, message).under(last.said.words));
        }
        _ => certificates.iter().zip(&keys).map(|(certificate, key)| pair(certificate, key)).collect(),
    };
    let (mut versions, versions_said) =
        effective(block.scope.versions, mail.versions).unwrap_or((Versions::default(), said));
    if !versions.tls12 && !versions.tls13 {
        versions = Versions::default();
        let message = r#""ssl_protocols" leaves no protocol that is supported, "TLSv1.2 TLSv1.3" is used"#;
        complaints.push(noticed(versions_said, message.to_owned()).warning());
    }
    let authority = effective(block.scope.client_certificate.as_ref(), mail.client_certificate.as_ref());
    let trusted = effective(block.scope.trusted_certificate.as_ref(), mail.trusted_certificate.as_ref());
    let (verify_client, verify_said) =
        effective(block.scope.verify_client, mail.verify_client).unwrap_or((VerifyClient::Off, said));
    let needs_authority = matches!(verify_client, VerifyClient::On | VerifyClient::Optional);
    if needs_authority && authority.is_none() && trusted.is_none() {
        let message = "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client".to_owned();
        return Err(noticed(verify_said, message));
    }
    let pass_phrases = effective(block.scope.pass_phrases.as_ref(), mail.pass_phrases.as_ref());
    let crl = effective(block.scope.crl.as_ref(), mail.crl.as_ref());
    let mut settings = Settings {
        pass_phrases: pass_phrases.map(|file| file.path.clone()),
        versions,
        crl: crl.map(|file| file.path.clone()),
        compress: effective(block.scope.compress, mail.compress).unwrap_or(false),
        verify_client,
        client_ca: authority.map(|file| file.path.clone()).into_iter().collect(),
        trusted: trusted.map(|file| file.path.clone()),
        depth: effective(block.scope.verify_depth, mail.verify_depth).unwrap_or(VERIFY_DEPTH),
        ..Settings::new(protocol, pairs)
    };
    let (own_tuning, mail_tuning) = (&block.scope.tuning, &mail.tuning);
    Ssl::put_into(own_tuning, mail_tuning, &mut settings)
        .map_err(|(said, fault)| noticed(said, fault.message).hint(fault.hint))?;
    if !settings.versions.tls12 && !settings.versions.tls13 {
        let message = r#""ssl_protocols" leaves no protocol that is supported"#.to_owned();
        return Err(noticed(versions_said, message).hint("add `TLSv1.2 TLSv1.3`"));
    }
    ground.surroundings.tls(&settings).map_err(|error| {
        let message = error.to_string();
        let sources = certificates.iter().chain(&keys).map(|pem| (pem.source.to_string(), pem.said));
        let files = [authority, trusted, crl, pass_phrases].into_iter().flatten();
        let files = files.chain(Ssl::files(own_tuning, mail_tuning)).map(|file| (file.quoted(), file.said));
        let culprit = sources.chain(files).find(|(quoted, _)| message.contains(quoted));
        let complaint = noticed(culprit.map_or(said, |(_, said)| said), message);
        match error.hint() {
            Some(hint) => complaint.hint(hint),
            None => complaint,
        }
    })
}

fn pair(certificate: &Pem, key: &Pem) -> (Source, Source) {
    (certificate.source.clone(), key.source.clone())
}

/// The certificate and key of the whole configuration, if there is but one pair (divergences R9).
fn only_pair(mail: &Scope, blocks: &[Block]) -> Option<(Source, Source)> {
    let scopes = std::iter::once(mail).chain(blocks.iter().map(|block| &block.scope));
    let pairs = scopes.flat_map(|scope| scope.certificates.iter().zip(&scope.keys));
    let mut pairs: BTreeSet<_> = pairs.map(|(certificate, key)| pair(certificate, key)).collect();
    match pairs.len() {
        1 => pairs.pop_first(),
        _ => None,
    }
}
