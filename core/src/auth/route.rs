//! Where the auth server sends a client: `Auth-Server` and `Auth-Port` (auth-http.md section 5, divergences D4, D5, R4 and R6).

use alloc::format;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::response::decimal;
use crate::action::Target;
use crate::limits::AUTH_SERVERS_MAX;
use crate::policy::Policy;
use crate::report::AuthFault;
use crate::wire::{Address, Place};

/// The longest host name (RFC 1035 section 2.3.4, as text and without the final dot).
const HOST_BYTES_MAX: usize = 253;

/// The longest part of one between two dots.
const LABEL_BYTES_MAX: usize = 63;

/// `Auth-Server` and `Auth-Port`, as they were sent.
#[derive(Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
pub(crate) struct Route {
    pub(super) server: Option<Vec<u8>>,
    pub(super) port: Option<Vec<u8>>,
}

impl Route {
    /// Whether a server was named.
    pub(crate) fn is_named(&self) -> bool {
        self.server.as_ref().is_some_and(|server| !server.is_empty())
    }

    /// The backend they stand for: an `upstream {}` by its name, or one server or several, separated by commas.
    pub(crate) fn target(&self, policy: &Policy) -> Result<Target, AuthFault> {
        let server = self.server.as_ref().filter(|server| !server.is_empty()).ok_or(AuthFault::NoServer)?;
        let invalid = || AuthFault::InvalidServer(server.clone());
        let text = core::str::from_utf8(server).map_err(|_| invalid())?;
        if let Some(group) = policy.upstream(text) {
            return Ok(group);
        }
        servers(text, self.port.as_deref().filter(|port| !port.is_empty()))
    }
}

impl Target {
    /// What an auth server means that names these servers in `Auth-Server`, separated by commas, and this in `Auth-Port`: for
    /// whoever has to know before it does. The names of groups are not known here.
    ///
    /// # Errors
    ///
    /// What a session would report: [`AuthFault::NoServer`] where only a port is missing.
    pub fn of_servers(servers: &str, port: Option<u16>) -> Result<Self, AuthFault> {
        let port = port.map(|port| format!("{port}"));
        self::servers(servers, port.as_deref().map(str::as_bytes))
    }
}

fn servers(text: &str, port: Option<&[u8]>) -> Result<Target, AuthFault> {
    if text.split(',').count() > AUTH_SERVERS_MAX {
        return Err(AuthFault::InvalidServer(text.into()));
    }
    let places = text.split(',').map(|one| place(one.trim_matches([' ', '\t']), port));
    let places = places.collect::<Result<Vec<_>, _>>().map_err(|fault| fault.of(text.as_bytes(), port))?;
    Ok(match places.as_slice() {
        [Place::At(address)] => Target::Address(address.clone()),
        _ => Target::AnyOf(places.into()),
    })
}

/// What is wrong with one server.
enum Fault {
    Server,
    Port,
    NoPort,
}

impl Fault {
    fn of(self, server: &[u8], port: Option<&[u8]>) -> AuthFault {
        match self {
            Self::Server => AuthFault::InvalidServer(server.to_vec()),
            Self::Port => AuthFault::InvalidPort(port.unwrap_or_default().to_vec()),
            Self::NoPort => AuthFault::NoServer,
        }
    }
}

/// A server and its port: the one behind it, or `Auth-Port`, not both. A UNIX socket has none.
fn place(text: &str, port: Option<&[u8]>) -> Result<Place, Fault> {
    if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
        return match path.bytes().any(|octet| octet.is_ascii_control()) {
            true => Err(Fault::Server),
            false => Ok(Place::At(Address::Unix(path.into()))),
        };
    }
    let ip = text.parse::<IpAddr>().ok().or_else(|| bracketed(text).map(IpAddr::V6));
    let Some(port) = port else {
        if let Some(both) = text.parse::<SocketAddr>().ok().filter(|both| both.port() > 0) {
            return Ok(Place::At(both.into()));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
        return match (ip.is_some() || is_host_name(text), number(port.as_bytes())) {
            (true, _) => Err(Fault::NoPort),
            (false, Some(port)) if is_host_name(host) => Ok(Place::Named(host.into(), port)),
            (false, _) => Err(Fault::Server),
        };
    };
    match (ip, number(port)) {
        (None, _) if !is_host_name(text) => Err(Fault::Server),
        (_, None) => Err(Fault::Port),
        (Some(ip), Some(port)) => Ok(Place::At(SocketAddr::new(ip, port).into())),
        (None, Some(port)) => Ok(Place::Named(text.into(), port)),
    }
}

fn number(port: &[u8]) -> Option<u16> {
    decimal(port).and_then(|number| u16::try_from(number).ok()).filter(|&number| number > 0)
}

fn bracketed(text: &str) -> Option<Ipv6Addr> {
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// Whether this can be looked up. What ends in a number is an address, or was meant for one.
fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let fits = (1..=LABEL_BYTES_MAX).contains(&label.len());
        fits && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= HOST_BYTES_MAX
        && text.split('.').all(is_label)
        && !last.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Protocol;
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use alloc::sync::Arc;

    fn target(server: &str, port: &str) -> Result<String, AuthFault> {
        let mut policy = Policy::new(Protocol::Imap, "mx.test", None);
        policy.upstreams = Arc::new(BTreeMap::from([("backend mail".into(), 3), ("mail".into(), 2)]));
        let route = Route { server: Some(server.into()), port: Some(port.into()) };
        Ok(match route.target(&policy)? {
            Target::Address(address) => format!("{address}"),
            Target::AnyOf(places) => format!("{places:?}"),
            Target::Group(group) => format!("{} of {}", group.name, group.servers),
        })
    }

    #[test]
    fn a_server_is_an_address_a_socket_a_host_a_group_or_a_list_of_them() {
        for (server, port, is) in [
            ("2001:db8::1", "143", "[2001:db8::1]:143"),
            ("[2001:db8::1]", "143", "[2001:db8::1]:143"),
            ("198.51.100.2:1143", "", "198.51.100.2:1143"),
            ("[2001:db8::1]:1143", "", "[2001:db8::1]:1143"),
            ("unix:/run/imap", "", "unix:/run/imap"),
            ("unix:/run/imap", "143", "unix:/run/imap"),
            ("mail", "", "mail of 2"),
            ("mail", "143", "mail of 2"),
            ("backend mail", "", "backend mail of 3"),
            ("here", "143", r#"[Named("here", 143)]"#),
            ("mail-1.ex_ample.com.", "143", r#"[Named("mail-1.ex_ample.com.", 143)]"#),
            ("mail.example.com:1143", "", r#"[Named("mail.example.com", 1143)]"#),
            ("192.0.2.1, 192.0.2.2", "143", "[At(Inet(192.0.2.1:143)), At(Inet(192.0.2.2:143))]"),
            ("192.0.2.1:1,here:2", "", r#"[At(Inet(192.0.2.1:1)), Named("here", 2)]"#),
        ] {
            assert_eq!(target(server, port).as_deref(), Ok(is), "{server} {port}");
        }
    }

    #[test]
    fn servers_that_are_named_beforehand_are_those_that_a_session_would_find() {
        for (servers, port) in [("192.0.2.1", 143), ("here", 143), ("192.0.2.1:1,here:2", 0), ("not here", 1)]
        {
            let route = Route {
                server: Some(servers.into()),
                port: (port > 0).then(|| format!("{port}").into_bytes()),
            };
            let found = route.target(&Policy::new(Protocol::Imap, "mx.test", None));
            assert_eq!(Target::of_servers(servers, (port > 0).then_some(port)), found, "{servers}");
        }
        assert_eq!(Target::of_servers("here", None), Err(AuthFault::NoServer));
    }

    #[test]
    fn what_is_no_server_is_said_to_be_none() {
        let invalid = |server: &str| AuthFault::InvalidServer(server.as_bytes().to_vec());
        let port = |port: &str| AuthFault::InvalidPort(port.as_bytes().to_vec());
        let many = ["192.0.2.1"; AUTH_SERVERS_MAX + 1].join(",");
        for (server, number, fault) in [
            ("", "143", AuthFault::NoServer),
            ("192.0.2.1", "", AuthFault::NoServer),
            ("here", "", AuthFault::NoServer),
            ("192.0.2.1:143,192.0.2.2", "", AuthFault::NoServer),
            ("192.0.2.1", "0", port("0")),
            ("192.0.2.1", "65536", port("65536")),
            ("192.0.2.1", "1a", port("1a")),
            ("192.0.2.1", "+1", port("+1")),
            ("here", "1a", port("1a")),
            ("192.0.2.256", "143", invalid("192.0.2.256")),
            ("192.0.2.1:143", "143", invalid("192.0.2.1:143")),
            ("192.0.2.1 ,", "143", invalid("192.0.2.1 ,")),
            ("not here", "143", invalid("not here")),
            ("a..b", "143", invalid("a..b")),
            ("here:0", "", invalid("here:0")),
            ("not here:143", "", invalid("not here:143")),
            ("192.0.2.256:143", "", invalid("192.0.2.256:143")),
            (&many, "143", invalid(&many)),
        ] {
            assert_eq!(target(server, number), Err(fault), "{server} {number}");
        }
    }
}
