//! What a session can ask for.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::{Drain, Vec};
use core::fmt;
use core::net::IpAddr;

use bytes::Bytes;

use crate::auth::rest::Rest;
use crate::policy::Scheme;
use crate::report::{Context, Report};
use crate::secret::{Payload, Secret};
use crate::wire::{Address, Place, Wire};

/// Something the driver must do, in the order given.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect this wire; answered by `Opened` or `Ended`, where the target leaves a choice by `Chosen` first.
    Open(Wire, Target),
    /// Cut this wire, and connect it to another server of the target that was opened last: one that it has not been
    /// connected to since. Answered as `Open` is.
    OpenNext(Wire),
    /// The same as `Open`, but a connection that was kept of such a server will do, if its requests were made by the same scheme:
    /// answered by `Reused` then.
    OpenOrReuse(Wire, Target, Scheme),
    /// Cut this wire, and connect it anew to the server that it was connected to last; not by a connection that was kept.
    /// Answered by `Opened` or `Ended`.
    Reopen(Wire),
    /// Hang up, or keep the connection for another session, once the rest of the answer has gone by. Nothing is heard from
    /// this wire any more.
    Keep(Wire, Rest),
    /// Know this of the server that was chosen last for this wire, for the sake of those who choose after us.
    Judge(Wire, Judgement),
    /// Write these octets.
    Send(Wire, Payload),
    /// Write what was sent so far, then let TLS take over this wire; answered by `Secured` or `Ended`. Of the octets
    /// read before, none may reach the session after it, and the TLS layer only those that stand in the handshake.
    Secure(Wire, Handshake),
    /// Take a place in each of these zones, all or none; answered by `Admitted`. Places are kept until the client's connection has ended,
    /// but those that are not early are given up as soon as the session is over without a relay.
    Admit(Vec<Claim>),
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Exactly this address.
    Address(Address),
    /// These places, to be tried in this order. Never empty.
    AnyOf(Arc<[Place]>),
    /// A server of this group, chosen by the group's own rule.
    Group(Group),
}

/// An `upstream {}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    /// Its name.
    pub name: Arc<str>,
    /// How many servers it has: so many may have to be tried within one limit of time.
    pub servers: usize,
    /// On whose behalf a server is chosen.
    pub guest: Guest,
}

/// What of a client the choice of a server may depend on. Nothing is known of it in a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guest {
    /// Its address; none if it came by a UNIX socket.
    pub address: Option<IpAddr>,
    /// As whom it logs in.
    pub login: Arc<[u8]>,
}

impl Target {
    /// Whether it leaves a choice.
    #[must_use]
    pub const fn is_choice(&self) -> bool {
        matches!(self, Self::AnyOf(_) | Self::Group(_))
    }

    /// How many servers it stands for, as far as that is known.
    #[must_use]
    pub fn servers(&self) -> usize {
        match self {
            Self::Address(_) => 1,
            Self::AnyOf(places) => places.len(),
            Self::Group(group) => group.servers,
        }
    }

    /// The same, on behalf of this client.
    pub(crate) fn on_behalf_of(&self, address: Option<IpAddr>, login: &Arc<[u8]>) -> Self {
        match self {
            Self::Group(Group { name, servers, guest: _ }) => {
                let guest = Guest { address, login: login.clone() };
                Self::Group(Group { name: name.clone(), servers: *servers, guest })
            }
            other => other.clone(),
        }
    }
}

/// What a server has proved to be, as far as one session can tell. That it refuses somebody's credentials says nothing
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It answers as its protocol wants, whatever the answer.
    Sound,
    /// It cannot be reached, or does not answer as its protocol wants.
    Failed,
}

/// A place that a session asks for in a zone of `limit_conn_zone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The zone's name.
    pub zone: Arc<str>,
    /// What the session is counted by there: at least one octet, at most
    /// [`LIMIT_KEY_BYTES_MAX`](crate::limits::LIMIT_KEY_BYTES_MAX). It may be anything that an auth server says.
    pub key: Secret,
    /// How many sessions of that key there may be, this one included.
    pub connections: u16,
    /// Whether it is the connection that is counted, from before its greeting, or else a login.
    pub early: bool,
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

    pub(crate) fn open_next(&mut self, wire: Wire) {
        self.0.push(Action::OpenNext(wire));
    }

    pub(crate) fn open_or_reuse(&mut self, wire: Wire, target: Target, scheme: Scheme) {
        self.0.push(Action::OpenOrReuse(wire, target, scheme));
    }

    pub(crate) fn reopen(&mut self, wire: Wire) {
        self.0.push(Action::Reopen(wire));
    }

    pub(crate) fn keep(&mut self, wire: Wire, rest: Rest) {
        self.0.push(Action::Keep(wire, rest));
    }

    pub(crate) fn judge(&mut self, wire: Wire, judgement: Judgement) {
        self.0.push(Action::Judge(wire, judgement));
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

    pub(crate) fn admit(&mut self, claims: Vec<Claim>) {
        self.0.push(Action::Admit(claims));
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_target_counts_the_servers_that_a_limit_of_time_is_shared_among() {
        let place = |path: &str| Place::At(Address::Unix(path.into()));
        let group = Group { name: "stores".into(), servers: 3, guest: Guest::default() };
        for (target, servers, is_choice) in [
            (Target::Address(Address::Unix("/a".into())), 1, false),
            (Target::AnyOf([place("/a"), place("/b")].into()), 2, true),
            (Target::Group(group), 3, true),
        ] {
            assert_eq!((target.servers(), target.is_choice()), (servers, is_choice), "{target:?}");
        }
    }

    #[test]
    fn nothing_is_sent_where_there_is_nothing_to_say() {
        let mut out = Actions::new();
        out.send(Wire::Client, "");
        assert!(out.is_empty());
        out.send(Wire::Client, "+OK\r\n");
        assert!(!out.is_empty());
        assert_eq!(format!("{out:?}"), r#"[Send(Client, b"+OK\r\n")]"#);
        assert_eq!((&out).into_iter().count(), 1);
    }
}
