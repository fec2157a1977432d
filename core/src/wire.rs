//! The three connections a session knows of, and who is at their far ends.

use alloc::sync::Arc;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

/// One of the three byte streams of a session. Nothing else of the world is visible to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wire {
    /// The mail client that connected to us.
    Client,
    /// The HTTP server that says who the client is (`auth_http`).
    Auth,
    /// The mail server the session ends up on.
    Backend,
}

/// Where one end of a stream is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// TCP over IPv4 or IPv6.
    Inet(SocketAddr),
    /// A UNIX socket; the path is empty for an unnamed one, as clients' are.
    Unix(Arc<str>),
}

impl Address {
    /// The address and its port; none for a UNIX socket.
    #[must_use]
    pub const fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The IP address; none for a UNIX socket.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// The address without a port, as `Client-IP` and the `client:` of a log line want it:
    /// `192.0.2.7`, `2001:db8::7`, or `unix:` whatever the path.
    #[must_use]
    pub const fn host(&self) -> Host<'_> {
        Host(self)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

/// nginx's spelling: `192.0.2.7:143`, `[2001:db8::7]:143`, `unix:/path`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Prints an [`Address`] without its port. See [`Address::host`].
#[derive(Clone, Copy, Debug)]
pub struct Host<'a>(&'a Address);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Address::Inet(address) => address.ip().fmt(f),
            Address::Unix(_) => f.write_str("unix:"),
        }
    }
}

/// Where a server is, as far as it is known before anybody connects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// There.
    At(Address),
    /// Wherever the DNS says that this host is, at this port.
    Named(Arc<str>, u16),
}

impl From<Address> for Place {
    fn from(address: Address) -> Self {
        Self::At(address)
    }
}

/// One of the servers that a target leaves to choose from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Where it is.
    pub address: Address,
    /// The host name that it was named by, which its certificate may be for.
    pub name: Option<Arc<str>>,
}

/// Both ends of an open stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The other side.
    pub remote: Address,
    /// Our side.
    pub local: Address,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn an_address_is_written_as_nginx_writes_it_with_and_without_its_port() {
        let inet = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
        for (address, whole, host) in [
            (inet("192.0.2.7:143"), "192.0.2.7:143", "192.0.2.7"),
            (inet("[2001:db8::7]:143"), "[2001:db8::7]:143", "2001:db8::7"),
            (Address::Unix("/run/imap".into()), "unix:/run/imap", "unix:"),
        ] {
            assert_eq!((format!("{address}"), format!("{}", address.host())), (whole.into(), host.into()));
        }
    }

    #[test]
    fn a_unix_socket_has_neither_address_nor_port() {
        let at = SocketAddr::from(([192, 0, 2, 7], 143));
        assert_eq!((Address::from(at).inet(), Address::from(at).ip()), (Some(at), Some(at.ip())));
        let unix = Address::Unix("/run/imap".into());
        assert_eq!((unix.inet(), unix.ip()), (None, None));
    }
}
