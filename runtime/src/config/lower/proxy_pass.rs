//! `proxy_pass`: the backend that does not depend on the auth server's answer, and who may do without an auth server
//! (divergences R6).

use std::sync::Arc;

use gatepost_core::{AuthServer, Group, Guest, Protocol, Server, Target};

use super::Ground;
use super::methods::Methods;
use super::scope::{Said, Scope};
use super::server::{Block, effective};
use super::upstream::outright;
use super::value::{argument, text};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::tree::{Directive, Mark};
use crate::upstream::{Member, Rule, Settings, Upstream, Upstreams};

/// What it says.
#[derive(Clone, Debug)]
pub(super) struct ProxyPass {
    name: Box<str>,
    said: Said,
}

impl ProxyPass {
    /// Takes it in; groups may be further down.
    pub(super) fn new(directive: &Directive) -> Result<Self, Complaint> {
        let word = argument(directive, 0)?;
        let name = text(directive, word)?;
        Ok(Self { name, said: Said { end: directive.end, words: word.span } })
    }

    /// What it comes to for a server of this protocol. A host name becomes a group of its addresses, which is added to the
    /// `upstreams` unless another server has done so.
    pub(super) fn target(
        &self,
        protocol: Protocol,
        upstreams: &mut Upstreams,
        step: &Block,
        ground: &Ground<'_>,
    ) -> Result<Target, Complaint> {
        let group = |(name, upstream): (&Arc<str>, &Arc<Upstream>)| {
            let (name, servers) = (name.clone(), upstream.servers());
            Target::Group(Group { name, servers, guest: Guest::default() })
        };
        if let Some(known) = upstreams.get_key_value(&*self.name) {
            return Ok(group(known));
        }
        let servers = outright(&self.name, protocol, ground).map_err(|fault| {
            let mark = Mark { line: self.said.end.line, step: step.mark.step };
            let message = format!("{fault} in upstream \"{}\"", self.name);
            Complaint::at(mark, message).under(self.said.words).hint(fault.hint(&self.name))
        })?;
        if let [Server { address, name: None }] = servers.as_slice() {
            return Ok(Target::Address(address.clone()));
        }
        let members = servers.into_iter().map(Member::new).collect();
        let upstream = Arc::new(Upstream::new(&Settings { rule: Rule::RoundRobin, members }));
        let name: Arc<str> = (*self.name).into();
        let target = group((&name, &upstream));
        upstreams.insert(name, upstream);
        Ok(target)
    }
}

/// Complains of what a server without an auth server cannot keep: proofs that only an auth server can check, and an SMTP
/// backend that is not asked to check any. Mail without a login is the backend's to refuse, which is said.
pub(super) fn check_alone(
    auth: Option<&AuthServer>,
    protocol: Protocol,
    block: &Block,
    mail: &Scope,
    complaints: &mut Complaints,
) {
    if auth.is_some() {
        return;
    }
    let methods = effective(block.scope.methods.get(&protocol), mail.methods.get(&protocol));
    for (_, word, said) in methods.into_iter().flat_map(Methods::digests) {
        let mark = Mark { line: said.end.line, step: block.mark.step };
        let complaint = Complaint::at(mark, format!("\"{word}\" requires \"auth_http\"")).under(said.words);
        complaints.push(complaint.label("the backend cannot be given what the client gives"));
    }
    if let Some(said) = methods.and_then(|methods| methods.none).filter(|_| protocol == Protocol::Smtp) {
        let message = r#"under "smtp_auth none" without "auth_http" it is for the backend alone to say who may send mail"#;
        let complaint = Complaint::at(said.end, message).under(said.words).warning();
        complaints.push(complaint.hint("it must not relay mail for whoever comes from this machine"));
    }
    if protocol == Protocol::Smtp && effective(block.scope.smtp_auth, mail.smtp_auth) == Some(false) {
        let message = r#""proxy_smtp_auth off" requires "auth_http""#;
        let complaint = Complaint::at(block.mark, message).under(block.name);
        complaints.push(complaint.hint("without either, anybody would be let in with any password"));
    }
}
