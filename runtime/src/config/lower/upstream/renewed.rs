//! Names of a group that are looked up again and again: `server … resolve`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Groups, Spot};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lower::address::{Fault, Host, port, split};
use crate::config::lower::resolver::Resolver;
use crate::config::lower::scope::{Said, Scope};
use crate::resolve::{self, is_name};
use crate::upstream::{Member, Name};

/// A name that is looked up again and again.
#[derive(Debug)]
pub(super) struct Renewed {
    pub(super) host: Arc<str>,
    pub(super) spot: Spot,
    pub(super) port: u16,
    pub(super) model: Member,
    /// How many members stand before it.
    pub(super) before: usize,
    pub(super) addresses: Vec<IpAddr>,
    /// The word that asks for it.
    pub(super) said: Said,
}

impl Renewed {
    /// The same at this port, if it has none of its own. Of its addresses only such are taken that this resolver is asked for.
    pub(super) fn at_work(&self, port: u16, resolver: &resolve::Settings, timeout: Duration) -> Name {
        let port = match self.spot {
            Spot::Whole => self.port,
            Spot::Portless => port,
        };
        let asked_for = |ip: &&IpAddr| if ip.is_ipv4() { resolver.ipv4 } else { resolver.ipv6 };
        Name {
            host: self.host.clone(),
            port,
            model: self.model.clone(),
            before: self.before,
            addresses: self.addresses.iter().filter(asked_for).copied().collect(),
            resolver: resolver.clone(),
            timeout,
        }
    }
}

/// The name and the port that are to be looked up in `text`; nothing if there is no name in it.
pub(super) fn named(text: &str) -> Result<Option<(&str, Spot, u16)>, Fault> {
    if text.starts_with("unix:") {
        return Ok(None);
    }
    let (host, port_text) = split(text)?;
    let Host::Name(host) = host else { return Ok(None) };
    if !is_name(host) {
        return Err(Fault::InvalidHost);
    }
    Ok(Some(match port_text {
        Some(text) => (host, Spot::Whole, port(text)?),
        None => (host, Spot::Portless, 0),
    }))
}

/// Complains of names that are to be looked up and nobody is there to ask.
pub(in crate::config::lower) fn check_resolvers(groups: &Groups, mail: &Scope, complaints: &mut Complaints) {
    for (name, group) in groups {
        let asks = matches!(group.resolver.as_ref().or(mail.resolver.as_ref()), Some(Resolver::Ask(_)));
        for renewed in group.names.iter().filter(|_| !asks) {
            let message = format!("no resolver defined to resolve names at run time in upstream \"{name}\"");
            let complaint = Complaint::at(renewed.said.end, message).under(renewed.said.words);
            complaints.push(complaint.hint("set `resolver` in `mail {}` or in the upstream"));
        }
    }
}
