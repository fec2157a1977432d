//! The address of a `listen`, in all its forms.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use gatepost_core::Address;

use crate::config::Listener;
use crate::config::diagnostic::Complaint;
use crate::config::lex::Word;
use crate::config::lower::address::{Fault, Host, addresses_of, port, split, unix_path};
use crate::config::lower::value::digits;
use crate::config::surroundings::Surroundings;
use crate::config::tree::Directive;

/// Where to listen: more than one address for a name or a range of ports, never none.
pub(super) fn listeners(
    directive: &Directive,
    word: &Word,
    surroundings: &dyn Surroundings,
) -> Result<Vec<Listener>, Complaint> {
    let text = word.shown();
    if let Some(path) = text.strip_prefix("unix:") {
        let path = unix_path(path).map_err(|fault| complaint(directive, word, fault))?;
        return Ok(vec![Listener::new(Address::Unix(path.into()))]);
    }
    let (hosts, ports) = parse(&text, surroundings).map_err(|fault| complaint(directive, word, fault))?;
    let several = (hosts.len() > 1).then(|| text.split_once(':').map_or(text.as_str(), |(name, _)| name));
    let one = |host, port| Listener {
        one_of: several.map(|name| Arc::from(format!("{name}:{port}"))),
        ..Listener::new(SocketAddr::new(host, port).into())
    };
    Ok(ports.flat_map(|port| hosts.iter().map(move |&host| one(host, port))).collect())
}

fn complaint(directive: &Directive, word: &Word, fault: Fault) -> Complaint {
    let text = word.shown();
    let message = format!("{fault} in \"{text}\" of the \"listen\" directive");
    let complaint = Complaint::of(directive, message).under(word.span).hint(fault.hint(&text));
    match fault {
        Fault::HostNotFound if !text.contains([':', '.']) => {
            complaint.hint("this is taken for a host's name; a port is a number from 1 to 65535")
        }
        // nginx would listen on any port that happens to be free (divergences D42).
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
