//! [`Session`]: one client from its first octet to the relay.

use alloc::sync::Arc;
use core::fmt;
use core::mem;

use crate::action::Actions;
use crate::dialect::Dialect;
#[cfg(feature = "imap")]
use crate::dialect::imap::Imap;
#[cfg(feature = "pop3")]
use crate::dialect::pop3::Pop3;
#[cfg(feature = "smtp")]
use crate::dialect::smtp::Smtp;
use crate::event::Event;
use crate::facts::Facts;
use crate::phase::{Connection, Context, Phase};
use crate::policy::{Lingering, Policy, Protocol};
use crate::time::{Deadline, Instant};
use crate::wire::{Peer, Wire};

/// Who came in, and through which door.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Both ends of the connection.
    pub peer: Peer,
    /// The listener's address as a log line shows it: `0.0.0.0:143`, `[::]:993`, `unix:/path`.
    pub listener: Arc<str>,
    /// Whether a PROXY header comes before everything else (`listen … proxy_protocol`).
    pub proxy_protocol: bool,
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

/// One client's way from its first octet to the relay: what happens goes in, what to do comes out.
///
/// The session is over once [`Session::deadline`] is `None`: it has hung up, or asked for the relay. Nothing it is told can
/// fail: bad input is a transition like any other.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone))]
pub struct Session {
    policy: Arc<Policy>,
    connection: Connection,
    /// Nothing where the policy's protocol is not built.
    speaking: Option<Speaking>,
}

/// All that its actions depend on from here on, but for its policy, which never changes.
#[cfg(feature = "fuzzing")]
impl core::hash::Hash for Session {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        let Self { policy, connection, speaking } = self;
        connection.hash_under(policy, state);
        speaking.hash(state);
    }
}

/// One of the protocols that are built.
#[derive(Debug)]
#[cfg_attr(feature = "fuzzing", derive(Clone, Hash))]
enum Speaking {
    #[cfg(feature = "imap")]
    Imap(Phase<Imap>),
    #[cfg(feature = "pop3")]
    Pop3(Phase<Pop3>),
    #[cfg(feature = "smtp")]
    Smtp(Phase<Smtp>),
}

/// `$then` of the phase that `$speaking` is in, or `$otherwise` where its protocol is not built.
macro_rules! whichever {
    ($speaking:expr, $phase:ident => $then:expr, $otherwise:expr) => {
        match $speaking {
            #[cfg(feature = "imap")]
            Some(Speaking::Imap($phase)) => $then,
            #[cfg(feature = "pop3")]
            Some(Speaking::Pop3($phase)) => $then,
            #[cfg(feature = "smtp")]
            Some(Speaking::Smtp($phase)) => $then,
            None => $otherwise,
        }
    };
}

impl Session {
    /// A session that has not begun; its first event is `Opened(Wire::Client, client.peer)`, within `timeout` of `now`. One of a protocol
    /// that is not built ([`Protocol::is_built`]) is over before it begins.
    #[must_use]
    pub fn new(policy: Arc<Policy>, client: Client, seed: Seed, now: Instant) -> Self {
        let mut connection = Connection::new(client, &seed);
        let cx = Context { policy: &policy, now, connection: &mut connection };
        let speaking = match policy.protocol {
            #[cfg(feature = "imap")]
            Protocol::Imap => Some(Speaking::Imap(Phase::first(&cx))),
            #[cfg(feature = "pop3")]
            Protocol::Pop3 => Some(Speaking::Pop3(Phase::first(&cx))),
            #[cfg(feature = "smtp")]
            Protocol::Smtp => Some(Speaking::Smtp(Phase::first(&cx))),
            #[cfg(not(all(feature = "imap", feature = "pop3", feature = "smtp")))]
            _ => None,
        };
        Self { policy, connection, speaking }
    }

    /// Advances the session; appends to `out` what the driver must do, in that order.
    pub fn handle(&mut self, now: Instant, event: Event<'_>, out: &mut Actions) {
        let mut cx = Context { policy: &self.policy, now, connection: &mut self.connection };
        whichever!(&mut self.speaking, phase => advance(phase, event, &mut cx, out), out.close(Wire::Client));
    }

    /// When to call with `Event::Deadline`, and why; `None` once the session is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        whichever!(&self.speaking, phase => phase.deadline(), None)
    }

    /// What is known of it. Still there once it is over.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.connection.facts(&self.policy)
    }

    /// How to close the client's connection once the session is over: as its policy says, but that whoever was turned away before its
    /// greeting is not lingered for.
    #[must_use]
    pub fn lingering(&self) -> Lingering {
        self.connection.lingering(&self.policy)
    }

    /// The name of the phase that it is in.
    #[cfg(feature = "fuzzing")]
    #[must_use]
    pub fn phase(&self) -> &'static str {
        whichever!(&self.speaking, phase => phase.name(), "Closed")
    }

    /// Whether this wire may be read now. What is read all the same is taken in, but not bounded.
    #[must_use]
    pub fn wants(&self, wire: Wire) -> bool {
        whichever!(&self.speaking, phase => phase.wants(wire), false)
    }
}

fn advance<D: Dialect>(phase: &mut Phase<D>, event: Event<'_>, cx: &mut Context<'_>, out: &mut Actions) {
    *phase = mem::take(phase).on(event, cx, out);
}
