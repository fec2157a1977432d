//! The doors of the proxy: which port speaks what, and how it is secured.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What is spoken behind a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Protocol {
    Imap,
    Pop3,
    /// With `AUTH PLAIN`.
    Smtp,
    /// With `smtp_auth none`: the recipient decides.
    SmtpNone,
}

/// How TLS begins, if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Security {
    Plain,
    Tls,
    StartTls,
}

/// What the server proves itself by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Key {
    Ecdsa,
    Rsa,
}

/// A `server {}` of the configuration, and how clients use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Door {
    /// The loopback address that the proxy listens at.
    pub(crate) host: Ipv4Addr,
    pub(crate) protocol: Protocol,
    pub(crate) security: Security,
    pub(crate) key: Key,
    /// Clients speak no TLS above 1.2.
    pub(crate) only_tls12: bool,
    /// Clients resume the session of a login before.
    pub(crate) resumes: bool,
}

impl Door {
    pub(crate) const fn plain(host: Ipv4Addr, protocol: Protocol) -> Self {
        Self { host, protocol, security: Security::Plain, key: Key::Ecdsa, only_tls12: false, resumes: false }
    }

    pub(crate) const fn tls(host: Ipv4Addr) -> Self {
        Self { security: Security::Tls, ..Self::plain(host, Protocol::Imap) }
    }

    /// The address and port a proxy listens at for such clients.
    pub(crate) fn address(self) -> SocketAddr {
        let port = match (self.protocol, self.security, self.key) {
            (Protocol::Imap, Security::Plain, _) => 20143,
            (Protocol::Imap, Security::StartTls, _) => 20144,
            (_, Security::Tls, Key::Ecdsa) => 20993,
            (_, Security::Tls, Key::Rsa) => 20994,
            (Protocol::Pop3, _, _) => 20110,
            (Protocol::Smtp, _, _) => 20025,
            (Protocol::SmtpNone, _, _) => 20026,
        };
        (self.host, port).into()
    }

    /// Every door there is, as `server {}` blocks of one configuration.
    pub(crate) const fn all(host: Ipv4Addr) -> [Self; 7] {
        [
            Self::plain(host, Protocol::Imap),
            Self::plain(host, Protocol::Pop3),
            Self::plain(host, Protocol::Smtp),
            Self::plain(host, Protocol::SmtpNone),
            Self { security: Security::StartTls, ..Self::tls(host) },
            Self::tls(host),
            Self { key: Key::Rsa, ..Self::tls(host) },
        ]
    }
}
