//! Host and port as `listen`, `auth_http` and `resolver` write them, and nginx's words for what is wrong with them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::surroundings::Surroundings;

/// What `sockaddr_un` has room for behind a path's terminating NUL.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// The part of an address before the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// Nothing, or `*`.
    Any(&'a str),
    /// An address; IPv6 was written in brackets.
    Ip(IpAddr),
    /// A name, to be resolved.
    Name(&'a str),
}

/// What is wrong with an address. Prints as nginx's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("invalid host")]
    InvalidHost,
    #[error("no host")]
    NoHost,
    #[error("host not found")]
    HostNotFound,
    #[error("invalid port")]
    InvalidPort,
    #[error("no port")]
    NoPort,
    #[error("invalid port range")]
    InvalidPortRange,
    #[error("invalid IPv6 address")]
    InvalidIpv6,
    #[error("no path in the unix domain socket")]
    NoPath,
    #[error("too long path in the unix domain socket")]
    PathTooLong,
}

impl Fault {
    /// What to do about it, where that is not obvious.
    pub(super) fn hint(self, text: &str) -> &'static str {
        match self {
            Self::InvalidPort if text.matches(':').count() > 1 && !text.starts_with('[') => {
                "an IPv6 address must be written in brackets, as in [::1]:143"
            }
            Self::InvalidPort => "a port is a number from 1 to 65535",
            Self::HostNotFound if text.contains('$') => "there are no variables in mail",
            Self::PathTooLong => "the path of a UNIX socket has at most 107 octets",
            Self::HostNotFound => "host names are resolved once, when the configuration is read",
            _ => "",
        }
    }
}

/// Splits `host:port`. The port is not looked at; without a colon there is none.
pub(super) fn split(text: &str) -> Result<(Host<'_>, Option<&str>), Fault> {
    if let Some(inner) = text.strip_prefix('[') {
        let (inner, rest) = inner.split_once(']').ok_or(Fault::InvalidHost)?;
        let port = match rest {
            "" => None,
            _ => Some(rest.strip_prefix(':').ok_or(Fault::InvalidHost)?),
        };
        if inner.is_empty() {
            return Err(Fault::NoHost);
        }
        let ip: Ipv6Addr = inner.parse().map_err(|_| Fault::InvalidIpv6)?;
        return Ok((Host::Ip(ip.into()), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let host = match (host, host.parse::<Ipv4Addr>()) {
        ("" | "*", _) => Host::Any(host),
        (_, Ok(ip)) => Host::Ip(ip.into()),
        (name, Err(_)) => Host::Name(name),
    };
    Ok((host, port))
}

/// A port, which cannot be 0.
pub(super) fn port(text: &str) -> Result<u16, Fault> {
    let number = super::value::digits(text.as_bytes()).and_then(|number| u16::try_from(number).ok());
    number.filter(|&port| port != 0).ok_or(Fault::InvalidPort)
}

/// The addresses of a name, in the resolver's order and none twice.
pub(super) fn addresses_of(name: &str, surroundings: &dyn Surroundings) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for address in surroundings.resolve(name) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// What `host` or `host:port` stands for: one socket for each address of the host, never none.
pub(super) fn sockets_of(
    text: &str,
    default_port: u16,
    surroundings: &dyn Surroundings,
) -> Result<Vec<SocketAddr>, Fault> {
    let (host, port_text) = split(text)?;
    let port = port_text.map_or(Ok(default_port), port)?;
    let hosts = match host {
        Host::Any("") => return Err(Fault::NoHost),
        Host::Any(_) => return Err(Fault::HostNotFound),
        Host::Ip(ip) => vec![ip],
        Host::Name(name) => addresses_of(name, surroundings),
    };
    match hosts.is_empty() {
        true => Err(Fault::HostNotFound),
        false => Ok(hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect()),
    }
}

/// A UNIX socket's path, the part behind `unix:`.
pub(super) fn unix_path(text: &str) -> Result<&str, Fault> {
    match text.len() {
        0 => Err(Fault::NoPath),
        length if length > UNIX_PATH_BYTES_MAX => Err(Fault::PathTooLong),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_come_apart() {
        let ip = |text: &str| Host::Ip(text.parse().unwrap());
        for (text, parts) in [
            ("*:143", Ok((Host::Any("*"), Some("143")))),
            (":143", Ok((Host::Any(""), Some("143")))),
            ("127.0.0.1:143", Ok((ip("127.0.0.1"), Some("143")))),
            ("127.0.0.1", Ok((ip("127.0.0.1"), None))),
            ("[::1]:143", Ok((ip("::1"), Some("143")))),
            ("[::1]", Ok((ip("::1"), None))),
            ("localhost:", Ok((Host::Name("localhost"), Some("")))),
            ("2001:db8::1", Ok((Host::Name("2001"), Some("db8::1")))),
            ("[]:143", Err(Fault::NoHost)),
            ("[::1", Err(Fault::InvalidHost)),
            ("[::1]143", Err(Fault::InvalidHost)),
            ("[localhost]:143", Err(Fault::InvalidIpv6)),
        ] {
            assert_eq!(split(text), parts, "{text:?}");
        }
    }

    #[test]
    fn ports_have_a_range() {
        assert_eq!((port("1"), port("65535")), (Ok(1), Ok(65535)));
        for text in ["", "0", "65536", "-1", "+1", "imap", "143 "] {
            assert_eq!(port(text), Err(Fault::InvalidPort), "{text:?}");
        }
    }
}
