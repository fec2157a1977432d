//! `listen`: config.md 6.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use super::address::{Fault, Host, addresses_of, port, split, unix_path};
use super::scope::Said;
use super::value::{argument, digits};
use crate::config::diagnostic::{Complaint, Complaints};
use crate::config::lex::Word;
use crate::config::source::Span;
use crate::config::surroundings::Surroundings;
use crate::config::tree::{Directive, Mark};
use crate::config::{Listener, unspecified};

/// nginx's listen queue on Linux.
const BACKLOG: i32 = 511;

/// One `listen`, understood.
#[derive(Debug)]
pub(super) struct Listen {
    /// Where to listen; more than one for a name or a range of ports, never none.
    pub(super) listeners: Vec<Listener>,
    /// The parameter `ssl`.
    pub(super) ssl: Option<Said>,
    /// The parameter that asks for a socket of its own, where that of a wildcard would do.
    pub(super) own_socket: Option<Span>,
}

/// Understands a `listen`, names resolved.
pub(super) fn listen(directive: &Directive, surroundings: &dyn Surroundings) -> Result<Listen, Complaint> {
    let word = argument(directive, 0)?;
    let addresses = addresses(directive, word, surroundings)?;
    let mut listen = Listen { listeners: Vec::new(), ssl: None, own_socket: None };
    let (mut backlog, mut ipv6_only, mut proxy_protocol) = (BACKLOG, true, false);
    for parameter in directive.args.iter().skip(1) {
        let text = parameter.shown();
        match text.split_once('=').map_or((text.as_str(), None), |(name, value)| (name, Some(value))) {
            ("ssl", None) => listen.ssl = Some(Said { end: directive.end, words: parameter.span }),
            ("bind", None) => listen.own_socket = Some(parameter.span),
            ("proxy_protocol", None) => proxy_protocol = true,
            ("backlog", Some(value)) => {
                listen.own_socket = Some(parameter.span);
                let number = digits(value.as_bytes()).and_then(|number| i32::try_from(number).ok());
                let message = format!("invalid backlog \"{text}\"");
                backlog = number
                    .filter(|&number| number > 0)
                    .ok_or_else(|| Complaint::of(directive, message).under(parameter.span))?;
            }
            ("ipv6only", Some(value @ ("on" | "off"))) => {
                listen.own_socket = Some(parameter.span);
                ipv6_only = value == "on";
            }
            ("ipv6only", Some(value)) if value.starts_with('o') => {
                let message = format!("invalid ipv6only flags \"{value}\"");
                return Err(Complaint::of(directive, message).under(parameter.span));
            }
            ("so_keepalive", Some("off")) => {}
            ("multipath", None) | ("rcvbuf" | "sndbuf" | "so_keepalive", Some(_)) => {
                let message = format!("the parameter \"{text}\" of \"listen\" is not supported yet");
                return Err(Complaint::of(directive, message).under(parameter.span));
            }
            _ => {
                let message = format!("invalid parameter \"{text}\"");
                return Err(Complaint::of(directive, message).under(parameter.span));
            }
        }
    }
    listen.listeners = addresses
        .into_iter()
        .map(|address| Listener {
            address,
            text: address.to_string().into(),
            tls_first: listen.ssl.is_some(),
            proxy_protocol,
            backlog,
            ipv6_only,
        })
        .collect();
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
        let dual = listener.address == unspecified(listener.address) && !listener.ipv6_only;
        Self { at, end: directive.end, own_socket: listen.own_socket, dual }
    }
}

/// Complains of every socket that could not be bound beside that of a wildcard: Linux lets only one listen. An address
/// that does not ask for a socket of its own shares the wildcard's (config.md 6), so there is nothing wrong with it.
pub(super) fn check_wildcards(places: &BTreeMap<SocketAddr, Place>, complaints: &mut Complaints) {
    for (&address, place) in places {
        let wildcard = unspecified(address);
        if let (Some(parameter), Some(first)) = (place.own_socket, places.get(&wildcard))
            && address != wildcard
        {
            let message = format!("\"{address}\" cannot have a socket of its own beside \"{wildcard}\"");
            let complaint = Complaint::at(place.end, message).under(parameter).first(first.at);
            complaints.push(complaint.label("without this it is served by that one's socket"));
        }
        let dual = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), address.port());
        if let Some(first) = places.get(&dual).filter(|first| first.dual && address.is_ipv4()) {
            let message =
                format!("\"{address}\" cannot have a socket beside \"{dual}\", which takes IPv4 too");
            let complaint = Complaint::at(place.end, message).under(place.at).first(first.at);
            complaints.push(complaint.label("that one says `ipv6only=off`"));
        }
    }
}

fn addresses(
    directive: &Directive,
    word: &Word,
    surroundings: &dyn Surroundings,
) -> Result<Vec<SocketAddr>, Complaint> {
    let text = word.shown();
    if let Some(path) = text.strip_prefix("unix:") {
        unix_path(path).map_err(|fault| complaint(directive, word, fault))?;
        let message = format!("the UNIX socket \"{text}\" in \"listen\" is not supported yet");
        return Err(Complaint::of(directive, message).under(word.span));
    }
    let (hosts, ports) = parse(&text, surroundings).map_err(|fault| complaint(directive, word, fault))?;
    Ok(ports.flat_map(|port| hosts.iter().map(move |&host| SocketAddr::new(host, port))).collect())
}

fn complaint(directive: &Directive, word: &Word, fault: Fault) -> Complaint {
    let text = word.shown();
    let message = format!("{fault} in \"{text}\" of the \"listen\" directive");
    let complaint = Complaint::of(directive, message).under(word.span).hint(fault.hint(&text));
    match fault {
        // nginx would listen on any port that happens to be free (divergences D42).
        Fault::HostNotFound if !text.contains([':', '.']) => {
            complaint.hint("this is taken for a host's name; a port is a number from 1 to 65535")
        }
        Fault::NoPort => complaint.hint("nginx mail has no default port: write it behind a colon"),
        _ => complaint,
    }
}

fn parse(text: &str, surroundings: &dyn Surroundings) -> Result<(Vec<IpAddr>, RangeInclusive<u16>), Fault> {
    if is_ports(text) {
        return Ok((vec![Ipv4Addr::UNSPECIFIED.into()], ports(text)?));
    }
    if text.contains(['/', '?']) {
        return Err(Fault::InvalidHost);
    }
    let (host, port) = split(text)?;
    let ports = port.map(ports).transpose()?;
    let hosts = match host {
        Host::Any("") => return Err(Fault::NoHost),
        Host::Any(_) => vec![Ipv4Addr::UNSPECIFIED.into()],
        Host::Ip(ip) => vec![ip],
        Host::Name(name) => addresses_of(name, surroundings),
    };
    match ports {
        _ if hosts.is_empty() => Err(Fault::HostNotFound),
        None => Err(Fault::NoPort),
        Some(ports) => Ok((hosts, ports)),
    }
}

/// Whether this is a port or a range of ports rather than a host.
fn is_ports(text: &str) -> bool {
    text.splitn(2, '-').all(|port| digits(port.as_bytes()).is_some())
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, Fault> {
    let Some((first, last)) = text.split_once('-') else {
        return port(text).map(|port| port..=port);
    };
    let (last, first) = (port(last)?, port(first)?);
    match first <= last {
        true => Ok(first..=last),
        false => Err(Fault::InvalidPortRange),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::surroundings::Memory;

    fn parsed(text: &str) -> Result<Vec<String>, Fault> {
        let loopback = ["::1".parse().unwrap(), "127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let machine = Memory::new().host("localhost", &loopback);
        let (hosts, ports) = parse(text, &machine)?;
        let all = ports.flat_map(|port| hosts.iter().map(move |&host| SocketAddr::new(host, port)));
        Ok(all.map(|address| address.to_string()).collect())
    }

    #[test]
    fn every_form_of_an_address_is_understood() {
        for (text, addresses) in [
            ("143", &["0.0.0.0:143"][..]),
            ("*:143", &["0.0.0.0:143"]),
            ("127.0.0.1:143", &["127.0.0.1:143"]),
            ("[::1]:143", &["[::1]:143"]),
            ("[::]:143", &["[::]:143"]),
            ("localhost:143", &["[::1]:143", "127.0.0.1:143"]),
            ("10.0.0.1:5000-5002", &["10.0.0.1:5000", "10.0.0.1:5001", "10.0.0.1:5002"]),
            ("5000-5001", &["0.0.0.0:5000", "0.0.0.0:5001"]),
        ] {
            let parsed = parsed(text).unwrap();
            assert_eq!(parsed.iter().map(String::as_str).collect::<Vec<_>>(), addresses, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_in_nginx_s_words() {
        for (text, fault) in [
            ("0", Fault::InvalidPort),
            ("65536", Fault::InvalidPort),
            ("127.0.0.1:", Fault::InvalidPort),
            ("127.0.0.1:imap", Fault::InvalidPort),
            ("2001:db8::1", Fault::InvalidPort),
            ("10.0.0.1:5000-4000", Fault::InvalidPortRange),
            ("10.0.0.1:5000-", Fault::InvalidPort),
            ("5000-4000", Fault::InvalidPortRange),
            ("5000-imap", Fault::HostNotFound),
            (":143", Fault::NoHost),
            ("", Fault::NoHost),
            ("[::1", Fault::InvalidHost),
            ("127.0.0.1/8", Fault::InvalidHost),
            ("[::zz]:143", Fault::InvalidIpv6),
            ("nowhere:143", Fault::HostNotFound),
            ("127.0.0.1", Fault::NoPort),
            ("localhost", Fault::NoPort),
        ] {
            assert_eq!(parsed(text), Err(fault), "{text:?}");
        }
    }
}
