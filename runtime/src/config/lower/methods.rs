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
    /// Where it was said, if mail is taken without a login.
    pub(super) none: Option<Said>,
    /// The mechanisms that are not offered in clear, as they were written.
    demanding: Vec<(Demand, Mechanism, String, Said)>,
    /// The mechanisms whose proof no backend takes for a password, as they were written.
    digests: Vec<(Mechanism, String, Said)>,
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
                if self.none.replace(Said { end: directive.end, words: word.span }).is_some() {
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
        if let Mechanism::External | Mechanism::CramMd5 | Mechanism::Apop = mechanism {
            let said = Said { end: directive.end, words: word.span };
            self.digests.push((mechanism, word.shown(), said));
        }
        let demand = match mechanism {
            Mechanism::External => Demand::Certificate,
            Mechanism::XOauth2 | Mechanism::OauthBearer => Demand::Tls,
            Mechanism::Plain | Mechanism::Login | Mechanism::CramMd5 | Mechanism::Apop => return Ok(()),
        };
        let said = Said { end: directive.end, words: word.span };
        self.demanding.push((demand, mechanism, word.shown(), said));
        Ok(())
    }

    /// Those that only an auth server can check.
    pub(super) fn digests(&self) -> &[(Mechanism, String, Said)] {
        &self.digests
    }

    /// Those by which no password is given: the others of [`Self::digests`], and tokens.
    pub(super) fn beyond_passwords(&self) -> impl Iterator<Item = (Mechanism, &str, Said)> {
        let digests = self.digests.iter().map(|(mechanism, word, said)| (*mechanism, word.as_str(), *said));
        let tokens = self.demanding.iter().filter(|(demand, ..)| *demand == Demand::Tls);
        digests.chain(tokens.map(|(_, mechanism, word, said)| (*mechanism, word.as_str(), *said)))
    }

    /// Warns of what none of `users`, the servers that these methods are for, can ever offer.
    fn remark(&self, users: &[&Block], mail: &Scope, complaints: &mut Complaints) {
        if users.is_empty() {
            return;
        }
        for (demand, _, shown, said) in &self.demanding {
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
    for protocol in Protocol::ALL {
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
    let servers: Vec<_> = blocks.iter().zip(protocols.iter().copied()).collect();
    remark_on_plaintext_auth(mail, &servers, complaints);
    remark_on_oauth(mail, &servers, complaints);
    remark_on_pipelining(mail, &servers, complaints);
}

/// A server and its protocol, if that is known.
type Judged<'a> = (&'a Block, Option<Protocol>);

/// Warns of `plaintext_auth off` where there is no other way to log in, for nobody who comes over a network.
fn remark_on_plaintext_auth(mail: &Scope, servers: &[Judged<'_>], complaints: &mut Complaints) {
    let off = |scope: &Scope| scope.plaintext_auth.filter(|(on, _)| !on).map(|(_, said)| said);
    let is_own = |scope: &Scope| scope.plaintext_auth.is_some();
    let offers_tls = |block: &Block, _| Demand::Tls.is_met(block, mail);
    let message = "\"plaintext_auth off\" without TLS lets nobody log in but from this machine";
    remark_unless(mail, servers, (off, is_own), offers_tls, message, complaints);
}

/// Warns of `proxy_oauth on` where no client has a token, or no backend is logged in at.
fn remark_on_oauth(mail: &Scope, servers: &[Judged<'_>], complaints: &mut Complaints) {
    let on = |scope: &Scope| scope.oauth.filter(|(on, _)| *on).map(|(_, said)| said);
    let is_own = |scope: &Scope| scope.oauth.is_some();
    let logs_in = |block: &Block, protocol| {
        protocol != Protocol::Smtp || effective(block.scope.smtp_auth, mail.smtp_auth) == Some(true)
    };
    let message = "\"proxy_oauth\" has no effect on SMTP without \"proxy_smtp_auth\"";
    remark_unless(mail, servers, (on, is_own), logs_in, message, complaints);
    let takes_tokens = |block: &Block, protocol| {
        let methods = effective(block.scope.methods.get(&protocol), mail.methods.get(&protocol));
        methods.is_some_and(|methods| {
            [Mechanism::XOauth2, Mechanism::OauthBearer].iter().any(|&each| methods.mechanisms.has(each))
        })
    };
    let message = "\"proxy_oauth\" has no effect without the method \"xoauth2\" or \"oauthbearer\"";
    remark_unless(mail, servers, (on, is_own), takes_tokens, message, complaints);
}

/// Warns of `proxy_pipelining on` where every step of a login has to be waited for: with POP3, whose servers are not asked what they
/// offer, and with SMTP but for the mail of those who need not log in.
fn remark_on_pipelining(mail: &Scope, servers: &[Judged<'_>], complaints: &mut Complaints) {
    let on = |scope: &Scope| scope.pipelining.filter(|(on, _)| *on).map(|(_, said)| said);
    let is_own = |scope: &Scope| scope.pipelining.is_some();
    let has_steps = |block: &Block, protocol| match protocol {
        Protocol::Imap => true,
        Protocol::Pop3 => false,
        Protocol::Smtp => {
            let methods = effective(block.scope.methods.get(&protocol), mail.methods.get(&protocol));
            methods.is_some_and(|methods| methods.none.is_some())
        }
    };
    let message = "\"proxy_pipelining\" has no effect but on IMAP, and on SMTP with the method \"none\"";
    remark_unless(mail, servers, (on, is_own), has_steps, message, complaints);
}

/// Warns, with `message`, of a directive that makes sense for none of the servers it is for. `said` tells where a block says it, and
/// whether the block has a word of its own about the matter.
fn remark_unless(
    mail: &Scope,
    servers: &[Judged<'_>],
    (said, is_own): (impl Fn(&Scope) -> Option<Said>, impl Fn(&Scope) -> bool),
    makes_sense: impl Fn(&Block, Protocol) -> bool,
    message: &str,
    complaints: &mut Complaints,
) {
    // A server whose protocol is not known has been complained about.
    let makes_sense =
        |&&(block, protocol): &&Judged<'_>| protocol.is_none_or(|protocol| makes_sense(block, protocol));
    let (own, heirs): (Vec<&Judged<'_>>, Vec<_>) =
        servers.iter().partition(|(block, _)| is_own(&block.scope));
    let own = own.into_iter().map(|server| (said(&server.0.scope), vec![server]));
    for (said, users) in [(said(mail), heirs)].into_iter().chain(own) {
        if let (Some(said), false, false) = (said, users.is_empty(), users.iter().any(makes_sense)) {
            complaints.push(Complaint::at(said.end, message).under(said.words).warning());
        }
    }
}

/// The warning about a word that is there twice.
pub(super) fn duplicate_word(directive: &Directive, word: &Word) -> Complaint {
    Complaint::of(directive, format!("duplicate value \"{}\"", word.shown())).under(word.span).warning()
}
