//! What a session can be told.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::wire::{Peer, Server, Wire};

/// Something happened. `Debug` shows lengths instead of octets: they may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Of the servers that a target leaves to choose from this one is being connected to now, or there is none. Comes behind
    /// [`Action::Open`](crate::Action::Open) and [`Action::OpenNext`](crate::Action::OpenNext), before `Opened` or `Ended`.
    Chosen(Wire, Result<Server, NoServer>),
    /// The stream is connected. For [`Wire::Client`] this is the first event of all; for the other two it
    /// answers [`Action::Open`](crate::Action::Open) and tells which address was reached.
    Opened(Wire, Peer),
    /// A connection that was kept is there, under TLS if it was made so; answers
    /// [`Action::OpenOrReuse`](crate::Action::OpenOrReuse).
    Reused(Wire, Peer),
    /// Octets, at least one. Best at most [`READ_BYTES_MAX`](crate::limits::READ_BYTES_MAX) at a time.
    Received(Wire, &'a [u8]),
    /// TLS is up on this wire; answers [`Action::Secure`](crate::Action::Secure).
    Secured(Wire, TlsFacts),
    /// Nothing more will come from this wire.
    Ended(Wire, End),
    /// Whether there was a place in every zone; answers [`Action::Admit`](crate::Action::Admit). Where there was none in one of them,
    /// none is kept in the others.
    Admitted(Result<(), NoPlace>),
    /// What the DNS says; answers [`Action::Resolve`](crate::Action::Resolve).
    Resolved(Answer),
    /// The moment of [`Session::deadline`](crate::Session::deadline) has come.
    Deadline,
    /// The process is about to end: say goodbye now.
    Drain,
}

/// Why there is no server to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoServer {
    /// Each was tried, or is down or full.
    Exhausted,
    /// The one whose turn it is cannot be found. Others may be left.
    Unresolved {
        /// Its name.
        name: Arc<str>,
        /// Why not.
        error: ResolveError,
    },
}

/// Why there is no place for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// As many as there may be of its key are in this zone.
    Full(Arc<str>),
    /// This zone has no memory for another key.
    NoMemory(Arc<str>),
}

/// What the DNS says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name of an address: the first if there are several, as it came.
    Name(Result<Vec<u8>, ResolveError>),
    /// The addresses of a name.
    Addresses(Result<Vec<IpAddr>, ResolveError>),
}

/// Why the DNS does not say, in nginx's numbers and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// FORMERR.
    #[error("(1: Format error)")]
    Format,
    /// SERVFAIL, or an answer that makes no sense.
    #[error("(2: Server failure)")]
    Server,
    /// NXDOMAIN, or no record of the kind.
    #[error("(3: Host not found)")]
    NotFound,
    /// NOTIMP.
    #[error("(4: Unimplemented)")]
    Unimplemented,
    /// REFUSED.
    #[error("(5: Operation refused)")]
    Refused,
    /// No answer in time.
    #[error("(110: Operation timed out)")]
    TimedOut,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The other side has said its last word (FIN, `close_notify`). It may still listen.
    Finished,
    /// The stream is gone both ways, or never came to be: refused, reset, unreachable.
    Broken(SystemError),
    /// The TLS handshake or the TLS record layer failed; the text is the TLS library's reason.
    Insecure(Arc<str>),
}

/// An operating system's error, in the words of nginx's log: `recv() failed (104: Connection reset by peer)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed ({code}: {text})")]
pub struct SystemError {
    /// The call that failed, with parentheses: `connect()`, `recv()`, `send()`.
    pub call: &'static str,
    /// `errno`.
    pub code: i32,
    /// The system's text for it.
    pub text: String,
}

/// What is known of a TLS connection once it is up, in OpenSSL's spelling (`Auth-SSL-*`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES128-GCM-SHA256`, …
    pub cipher: &'static str,
    /// The name the client asked for (SNI), if it did.
    pub server_name: Option<Arc<str>>,
    /// The protocol agreed on (ALPN), if there was one to agree on.
    pub alpn: Option<Arc<str>>,
    /// Whether the session was resumed, so that what is known of the client is known from before.
    pub resumed: bool,
    /// The signature algorithm of our certificate, as OpenSSL's short name (`RSA-SHA256`), where it is to be told of.
    pub server_signature: Option<&'static str>,
    /// The kind and size of our key: `RSA2048`, `EC256`.
    pub server_key: Option<Arc<str>>,
    /// The client's certificate, if it was asked for and showed one.
    pub certificate: Option<Arc<Certificate>>,
}

impl TlsFacts {
    /// A full handshake without SNI, ALPN or client certificate.
    #[must_use]
    pub const fn new(protocol: &'static str, cipher: &'static str) -> Self {
        Self {
            protocol,
            cipher,
            server_name: None,
            alpn: None,
            resumed: false,
            server_signature: None,
            server_key: None,
            certificate: None,
        }
    }
}

/// A client's certificate, as the auth server is told of it. None of the texts holds CR, LF or NUL but [`Certificate::pem`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Certificate {
    /// Whether it leads to a trusted authority.
    pub verdict: Result<(), VerifyError>,
    /// The subject, RFC 2253, most specific first: `CN=client one,O=Org\, Inc,C=DE`.
    pub subject: String,
    /// The issuer, likewise.
    pub issuer: String,
    /// The subject's common name, UTF-8, if it has one.
    pub common_name: Option<String>,
    /// The serial number in upper-case hexadecimal digits, an even number of them.
    pub serial: String,
    /// SHA-1 of the DER in lower-case hexadecimal digits.
    pub fingerprint_sha1: String,
    /// SHA-256 of the DER in lower-case hexadecimal digits.
    pub fingerprint_sha256: String,
    /// The certificate itself, with its BEGIN and END lines, each ended by LF.
    pub pem: String,
}

/// Why a certificate does not verify, as OpenSSL would put it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("({code}:{text})")]
pub struct VerifyError {
    /// OpenSSL's number for it: 18 is `self-signed certificate`.
    pub code: i32,
    /// OpenSSL's text for it.
    pub text: String,
}

impl VerifyError {
    /// Whether only the chain is at fault: self-signed, from nobody known, or too long. `ssl_verify_client optional_no_ca` lets
    /// that pass.
    #[must_use]
    pub const fn is_about_the_chain(&self) -> bool {
        matches!(self.code, 18..=22)
    }
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen(wire, Ok(server)) => write!(f, "Chosen({wire:?}, {})", server.address),
            Self::Chosen(wire, Err(none)) => write!(f, "Chosen({wire:?}, {none:?})"),
            Self::Opened(wire, peer) => write!(f, "Opened({wire:?}, {} from {})", peer.remote, peer.local),
            Self::Reused(wire, peer) => write!(f, "Reused({wire:?}, {} from {})", peer.remote, peer.local),
            Self::Received(wire, octets) => write!(f, "Received({wire:?}, {} octets)", octets.len()),
            Self::Secured(wire, facts) => write!(f, "Secured({wire:?}, {} {})", facts.protocol, facts.cipher),
            Self::Ended(wire, end) => write!(f, "Ended({wire:?}, {end:?})"),
            Self::Admitted(outcome) => write!(f, "Admitted({outcome:?})"),
            Self::Resolved(answer) => write!(f, "Resolved({answer:?})"),
            Self::Deadline => f.write_str("Deadline"),
            Self::Drain => f.write_str("Drain"),
        }
    }
}
