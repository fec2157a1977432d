//! [`Session`]: one client from its first octet to the relay.

use alloc::sync::Arc;
use core::fmt;

use crate::action::Actions;
use crate::event::Event;
use crate::policy::Policy;
use crate::time::{Deadline, Instant};
use crate::wire::{Peer, Wire};

/// Who came in, and through which door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Both ends of the connection.
    pub peer: Peer,
    /// The listener's address as a log line shows it: `0.0.0.0:143`, `[::]:993`, `unix:/path`.
    pub listener: Arc<str>,
    /// Whether TLS comes before the greeting (`listen … ssl`).
    pub tls_first: bool,
}

/// Where a session's chance comes from: 16 octets that nobody can guess, a fresh seed each session. The same seed
/// gives the same salts.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(pub [u8; 16]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[seed]")
    }
}

/// One client's way from its first octet to the relay.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// A session that has not begun; its first event is `Opened(Wire::Client, client.peer)`.
    #[must_use]
    pub fn new(_policy: Arc<Policy>, _client: Client, _seed: Seed, _now: Instant) -> Self {
        Self {}
    }

    /// Advances the session; appends to `out` what the driver must do, in that order.
    pub fn handle(&mut self, _now: Instant, _event: Event<'_>, _out: &mut Actions) {}

    /// When to call with `Event::Deadline`, and why; `None` once the session is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// Whether this wire may be read now.
    #[must_use]
    pub fn wants(&self, _wire: Wire) -> bool {
        false
    }
}
