//! What a session can ask for.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::{Drain, Vec};
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::report::{Context, Report};
use crate::secret::{Payload, Secret};
use crate::wire::{Address, Wire};

/// Something the driver must do, in the order given.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect this wire; answered by `Opened` or `Ended`.
    Open(Wire, Target),
    /// Write these octets.
    Send(Wire, Payload),
    /// Write what was sent so far, then let TLS take over this wire; answered by `Secured` or `Ended`. Of the octets
    /// read before, none may reach the session after it, and the TLS layer only those that stand in the handshake.
    Secure(Wire, Handshake),
    /// Ask the DNS; answered by `Resolved`. A second question takes the place of the first.
    Resolve(Question),
    /// Write what was sent so far, then hang up. Nothing is heard from this wire any more.
    Close(Wire),
    /// Join client and backend: octets both ways until both ends are done. This ends the session.
    Relay(Leftovers),
    /// Tell the operator.
    Report(Report),
}

/// Whom to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Exactly this address.
    Address(Address),
    /// The addresses of one name, to be tried in this order until one accepts. Never empty.
    AnyOf(Arc<[SocketAddr]>),
}

/// Which side of a TLS handshake to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// The server's, with the listener's certificates.
    Accept {
        /// What the client sent behind its PROXY header: the beginning of the handshake. Nothing behind STARTTLS.
        already_read: Bytes,
    },
    /// The client's, with the policy's trust anchors and certificates.
    Connect {
        /// The name the other side's certificate has to be for; none means its address.
        name: Option<Box<str>>,
    },
}

/// What to ask the DNS for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The name of an address (PTR).
    NameOf(IpAddr),
    /// The addresses of a name, of one family: what another one has, or lacks, confirms nobody. It is a host name: letters, digits,
    /// `-` and `.`.
    AddressesOf(Arc<str>, Family),
}

/// A kind of address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 (A).
    V4,
    /// IPv6 (AAAA).
    V6,
}

impl From<IpAddr> for Family {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// What the relay starts with.
#[derive(Debug, PartialEq, Eq)]
pub struct Leftovers {
    /// Octets the client sent behind its login; they go to the backend before anything newer.
    pub to_backend: Secret,
    /// Octets the backend sent behind its last reply; they go to the client before anything newer.
    pub to_client: Bytes,
    /// For the log lines of the relay.
    pub context: Context,
}

/// The actions of one or more events, in order. Owned by the caller, so that it is allocated once.
#[derive(Default, PartialEq, Eq)]
pub struct Actions(Vec<Action>);

impl Actions {
    /// No actions yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands out what is to be done, in order, and forgets it.
    pub fn drain(&mut self) -> Drain<'_, Action> {
        self.0.drain(..)
    }

    /// What is to be done, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Action> {
        self.0.iter()
    }

    pub(crate) fn open(&mut self, wire: Wire, target: Target) {
        self.0.push(Action::Open(wire, target));
    }

    pub(crate) fn send(&mut self, wire: Wire, octets: impl Into<Payload>) {
        let payload = octets.into();
        if !payload.is_empty() {
            self.0.push(Action::Send(wire, payload));
        }
    }

    pub(crate) fn secure(&mut self, wire: Wire, handshake: Handshake) {
        self.0.push(Action::Secure(wire, handshake));
    }

    pub(crate) fn resolve(&mut self, question: Question) {
        self.0.push(Action::Resolve(question));
    }

    pub(crate) fn close(&mut self, wire: Wire) {
        self.0.push(Action::Close(wire));
    }

    pub(crate) fn relay(&mut self, leftovers: Leftovers) {
        self.0.push(Action::Relay(leftovers));
    }

    pub(crate) fn report(&mut self, report: Report) {
        self.0.push(Action::Report(report));
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl<'a> IntoIterator for &'a Actions {
    type Item = &'a Action;
    type IntoIter = core::slice::Iter<'a, Action>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
