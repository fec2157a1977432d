//! `listen`: config.md 6.

mod parameters;
mod place;

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use gatepost_core::Address;

use super::scope::Said;
use super::value::argument;
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::source::Span;
use crate::config::surroundings::Surroundings;
use crate::config::tree::{Directive, Mark};
use crate::config::{Listener, unspecified};

/// One `listen`, understood.
#[derive(Debug)]
pub(super) struct Listen {
    /// Where to listen; more than one for a name or a range of ports, never none.
    pub(super) listeners: Vec<Listener>,
    /// The parameter `ssl`.
    pub(super) ssl: Option<Said>,
    /// The parameter that asks for a socket of its own, where that of a wildcard would do.
    pub(super) own_socket: Option<Span>,
    /// Whether it has `so_keepalive=`.
    pub(super) says_keepalive: bool,
    /// Where it is written.
    pub(super) said: Said,
}

/// Understands a `listen`, names resolved.
pub(super) fn listen(
    directive: &Directive,
    surroundings: &dyn Surroundings,
    complaints: &mut Complaints,
) -> Result<Listen, Complaint> {
    let listeners = place::listeners(directive, argument(directive, 0)?, surroundings)?;
    let said = Said::of(directive);
    let mut listen = Listen { listeners, ssl: None, own_socket: None, says_keepalive: false, said };
    for word in directive.args.iter().skip(1) {
        parameters::take(&mut listen, directive, word, surroundings, complaints)?;
    }
    Ok(listen)
}

/// What is known of an address that somebody listens on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where it is written.
    pub(super) at: Span,
    /// The end of that directive.
    end: Mark,
    own_socket: Option<Span>,
    /// It takes IPv4 as well as IPv6.
    dual: bool,
}

impl Place {
    /// Of `listener`, which `listen` says.
    pub(super) fn new(directive: &Directive, at: Span, listen: &Listen, listener: &Listener) -> Self {
        let is_wildcard = |address: SocketAddr| address == unspecified(address);
        let dual = listener.address.inet().is_some_and(is_wildcard) && !listener.ipv6_only;
        Self { at, end: directive.end, own_socket: listen.own_socket, dual }
    }
}

/// Complains of every socket that could not be bound beside that of a wildcard: Linux lets only one listen. An address
/// that does not ask for a socket of its own shares the wildcard's (config.md 6), so there is nothing wrong with it.
pub(super) fn check_wildcards(places: &BTreeMap<Address, Place>, complaints: &mut Complaints) {
    for (address, place) in places.iter().filter_map(|(address, place)| Some((address.inet()?, place))) {
        let wildcard = unspecified(address);
        if let (Some(parameter), Some(first)) = (place.own_socket, places.get(&wildcard.into()))
            && address != wildcard
        {
            let message = format!("\"{address}\" cannot have a socket of its own beside \"{wildcard}\"");
            let complaint = Complaint::at(place.end, message).under(parameter).first(first.at);
            complaints.push(complaint.label("without this it is served by that one's socket"));
        }
        let dual = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
        if let Some(first) = places.get(&dual.into()).filter(|first| first.dual && address.is_ipv4()) {
            let message =
                format!("\"{address}\" cannot have a socket beside \"{dual}\", which takes IPv4 too");
            let complaint = Complaint::at(place.end, message).under(place.at).first(first.at);
            complaints.push(complaint.label("that one says `ipv6only=off`"));
        }
    }
}
