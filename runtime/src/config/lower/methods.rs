//! `imap_auth`, `pop3_auth` and `smtp_auth`: how a client may log in.

use gatepost_core::{Mechanism, Mechanisms, Protocol, VerifyClient};

use super::certificates::{Wanted, wanted};
use super::scope::{Said, Scope};
use super::server::{Block, effective};
use super::value::no_such;
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::tree::Directive;

/// The methods of one protocol that one block names.
#[derive(Clone, Debug, Default)]
pub(super) struct Methods {
    /// The mechanisms.
    pub(super) mechanisms: Mechanisms,
    /// Whether mail is taken without a login.
    pub(super) none: bool,
    /// The mechanisms that are not offered in clear, as they were written.
    demanding: Vec<(Demand, String, Said)>,
}

/// What a mechanism needs to be offered at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// TLS: a token is as good as a password, and lives longer than a session (RFC 7628 section 4).
    Tls,
    /// A client certificate.
    Certificate,
}

impl Methods {
    /// Adds those of one directive.
    pub(super) fn take(
        &mut self,
        protocol: Protocol,
        directive: &Directive,
        complaints: &mut Complaints,
    ) -> Result<(), Complaint> {
        directive.args.iter().try_for_each(|word| self.add(protocol, directive, word, complaints))
    }

    fn add(
        &mut self,
        protocol: Protocol,
        directive: &Directive,
        word: &Word,
        complaints: &mut Complaints,
    ) -> Result<(), Complaint> {
        let mechanism = match (word.text.to_ascii_lowercase().as_slice(), protocol) {
            (b"plain", _) => Mechanism::Plain,
            (b"login", Protocol::Imap | Protocol::Smtp) => Mechanism::Login,
            (b"cram-md5", _) => Mechanism::CramMd5,
            (b"external", _) => Mechanism::External,
            (b"xoauth2", _) => Mechanism::XOauth2,
            (b"oauthbearer", _) => Mechanism::OauthBearer,
            (b"apop", Protocol::Pop3) => Mechanism::Apop,
            (b"none", Protocol::Smtp) => {
                if std::mem::replace(&mut self.none, true) {
                    complaints.push(duplicate_word(directive, word));
                }
                return Ok(());
            }
            (b"login", Protocol::Pop3) => return Err(no_such(directive, word).label("`plain` includes it")),
            _ => return Err(no_such(directive, word)),
        };
        if self.mechanisms.has(mechanism) {
            complaints.push(duplicate_word(directive, word));
            return Ok(());
        }
        self.mechanisms = self.mechanisms.with(mechanism);
        let demand = match mechanism {
            Mechanism::External => Demand::Certificate,
            Mechanism::XOauth2 | Mechanism::OauthBearer => Demand::Tls,
            Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5 | Mechanism::Apop => return Ok(()),
        };
        let said = Said { end: directive.end, words: word.span };
        self.demanding.push((demand, word.shown(), said));
        Ok(())
    }

    /// Warns of what none of `users`, the servers that these methods are for, can ever offer.
    fn remark(&self, users: &[&Block], mail: &Scope, complaints: &mut Complaints) {
        if users.is_empty() {
            return;
        }
        for (demand, shown, said) in &self.demanding {
            if !users.iter().any(|user| demand.is_met(user, mail)) {
                let lacking = match demand {
                    Demand::Tls => "TLS",
                    Demand::Certificate => "\"ssl_verify_client\"",
                };
                let message = format!("the method \"{shown}\" has no effect without {lacking}");
                complaints.push(Complaint::at(said.end, message).under(said.words).warning());
            }
        }
    }
}

impl Demand {
    fn is_met(self, server: &Block, mail: &Scope) -> bool {
        let has_tls = !matches!(wanted(server, mail), Wanted::No);
        match self {
            Self::Tls => has_tls,
            Self::Certificate => {
                let verify = effective(server.scope.verify_client, mail.verify_client);
                has_tls && verify.is_some_and(|(verify, _)| verify != VerifyClient::Off)
            }
        }
    }
}

/// Warns of methods that can never be offered: nginx would offer them, and secrets would go in clear.
pub(super) fn remark(
    mail: &Scope,
    blocks: &[Block],
    protocols: &[Option<Protocol>],
    complaints: &mut Complaints,
) {
    for protocol in [Protocol::Imap, Protocol::Pop3, Protocol::Smtp] {
        let servers = blocks.iter().zip(protocols).filter(|(_, own)| **own == Some(protocol));
        let (own, heirs): (Vec<_>, Vec<_>) =
            servers.map(|(block, _)| block).partition(|block| block.scope.methods.contains_key(&protocol));
        if let Some(methods) = mail.methods.get(&protocol) {
            methods.remark(&heirs, mail, complaints);
        }
        for block in own {
            if let Some(methods) = block.scope.methods.get(&protocol) {
                methods.remark(&[block], mail, complaints);
            }
        }
    }
    remark_on_plaintext_auth(mail, blocks, complaints);
}

/// Warns of `plaintext_auth off` where there is no other way to log in, for nobody who comes over a network.
fn remark_on_plaintext_auth(mail: &Scope, blocks: &[Block], complaints: &mut Complaints) {
    let (own, heirs): (Vec<_>, Vec<_>) =
        blocks.iter().partition(|block| block.scope.plaintext_auth.is_some());
    let own = own.into_iter().map(|block| (block.scope.plaintext_auth, vec![block]));
    for (plaintext, users) in [(mail.plaintext_auth, heirs)].into_iter().chain(own) {
        let offers_tls = users.iter().any(|user| Demand::Tls.is_met(user, mail));
        if let (Some((false, said)), false, false) = (plaintext, users.is_empty(), offers_tls) {
            let message = "\"plaintext_auth off\" without TLS lets nobody log in but from this machine";
            complaints.push(Complaint::at(said.end, message).under(said.words).warning());
        }
    }
}

/// The warning about a word that is there twice.
pub(super) fn duplicate_word(directive: &Directive, word: &Word) -> Complaint {
    Complaint::of(directive, format!("duplicate value \"{}\"", word.shown())).under(word.span).warning()
}
