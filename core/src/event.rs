//! What a session can be told.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::wire::{Peer, Wire};

/// Something happened. `Debug` shows lengths instead of octets: they may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The stream is connected. For [`Wire::Client`] this is the first event of all; for the other two it
    /// answers [`Action::Open`](crate::Action::Open) and tells which address was reached.
    Opened(Wire, Peer),
    /// Octets, at least one. Best at most [`READ_BYTES_MAX`](crate::limits::READ_BYTES_MAX) at a time.
    Received(Wire, &'a [u8]),
    /// TLS is up on this wire; answers [`Action::Secure`](crate::Action::Secure).
    Secured(Wire, TlsFacts),
    /// Nothing more will come from this wire.
    Ended(Wire, End),
    /// The moment of [`Session::deadline`](crate::Session::deadline) has come.
    Deadline,
    /// The process is about to end: say goodbye now.
    Drain,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// `TLS_AES_256_GCM_SHA384`, `ECDHE-RSA-AES128-GCM-SHA256`, …
    pub cipher: &'static str,
}

impl fmt::Debug for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(wire, peer) => write!(f, "Opened({wire:?}, {} from {})", peer.remote, peer.local),
            Self::Received(wire, octets) => write!(f, "Received({wire:?}, {} octets)", octets.len()),
            Self::Secured(wire, facts) => write!(f, "Secured({wire:?}, {} {})", facts.protocol, facts.cipher),
            Self::Ended(wire, end) => write!(f, "Ended({wire:?}, {end:?})"),
            Self::Deadline => f.write_str("Deadline"),
            Self::Drain => f.write_str("Drain"),
        }
    }
}
