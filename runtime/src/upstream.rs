//! Groups of servers (`upstream {}`): whose turn it is, who is full, who is out of order (divergences R5).
//!
//! ```text
//!   driver --pick--> Upstream: a lock --> Peers: who is fit --> round_robin, least_conn, hash, random: who of them
//!          <-Lease--                        health: who has failed, and when to try again
//!   renewal --renew-->                       names: who they are, where the DNS decides
//! ```
//!
//! All threads share one state a group and protocol, so that one server's failure is known to all and limits are those of the process.
//! It is held for one choice, some hundred nanoseconds for a handful of servers (some microseconds by `hash`), once a login.
//! Time and chance are told it, and there is no order in it that is not the configuration's.

mod hash;
mod health;
mod least_conn;
mod names;
mod peers;
mod random;
mod renewal;
mod round_robin;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatepost_core::{Guest, Instant, Judgement, Protocol, Server};

pub use self::names::Name;
use self::peers::{Peers, Place};
pub use self::random::Die;
pub(crate) use self::renewal::Renewal;

/// What the name of a group begins with here whose servers are spoken to under TLS: a group of auth servers may be asked in clear by
/// one URL, under TLS by another.
pub(crate) const UNDER_TLS: &str = "https://";

/// The groups that a `server {}` knows, by their names.
pub type Upstreams = BTreeMap<Arc<str>, Arc<Upstream>>;

/// The port that a protocol's servers listen on where nobody says otherwise.
pub(crate) const fn port_of(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Imap => 143,
        Protocol::Pop3 => 110,
        Protocol::Smtp => 25,
    }
}

/// What an `upstream {}` says, for one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a server is chosen.
    pub rule: Rule,
    /// From whom; in the order of the configuration, addresses of one name one after another.
    pub members: Vec<Member>,
}

/// How a server is chosen of those that are fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// In turn, as often as their weights say, and spread as evenly as they allow.
    #[default]
    RoundRobin,
    /// `least_conn`: the one with the fewest sessions for its weight.
    LeastConn,
    /// `ip_hash`: always the same for clients of one network: the first three octets of an IPv4 address, all of an IPv6 one.
    IpHash,
    /// `random`, by weight; `two`: of two drawn the one with fewer sessions for its weight.
    Random {
        /// Whether two are drawn.
        two: bool,
    },
    /// `hash`: always the same for the same key.
    Hash {
        /// What is hashed.
        key: Key,
        /// Whether the choice depends on the set of servers alone, and of a server that goes only its own keys move.
        consistent: bool,
    },
}

/// What of a client is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `$remote_addr`.
    Address,
    /// `$remote_user`: the name it logs in by, as the backend will hear it.
    Login,
}

/// One server of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub server: Server,
    /// `weight`, at least 1.
    pub weight: u32,
    /// `max_conns`: how many sessions it may have; 0 for any number.
    pub max_conns: u32,
    /// `max_fails`: how many failures within `fail_timeout` are too many; 0 for any number.
    pub max_fails: u32,
    /// `fail_timeout`: also for how long it is then left alone.
    pub fail_timeout: Duration,
    /// `backup`: it is asked only if none of the others is fit.
    pub backup: bool,
    /// `down`: it is never asked.
    pub down: bool,
}

impl Member {
    /// A server with nginx's defaults.
    #[must_use]
    pub const fn new(server: Server) -> Self {
        Self {
            server,
            weight: 1,
            max_conns: 0,
            max_fails: 1,
            fail_timeout: Duration::from_secs(10),
            backup: false,
            down: false,
        }
    }
}

/// A group at work.
#[derive(Debug)]
pub struct Upstream {
    peers: Mutex<Peers>,
    servers: usize,
    names: Vec<Name>,
}

impl Upstream {
    /// A group that has not been asked for anybody.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self::with_names(settings, Vec::new())
    }

    /// The same with names that somebody looks up again and again: until then they are what they were.
    #[must_use]
    pub fn with_names(settings: &Settings, names: Vec<Name>) -> Self {
        let servers = settings.members.len() + names.iter().map(Name::servers).sum::<usize>();
        Self { servers, peers: Mutex::new(Peers::new(settings, &names)), names }
    }

    /// Its names, in the order of the configuration.
    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// Lets the name at this place stand for these addresses; tells whether that changes anything. Sessions stay where they are, and
    /// what is known of a server that stays is kept.
    pub(crate) fn renew(&self, name: usize, addresses: &[IpAddr]) -> bool {
        self.names.get(name).is_some_and(|known| self.peers().renew(name, known.members(addresses)))
    }

    /// For how many servers it counts: a name that is looked up again for what it stood for at first, and for two at least.
    #[must_use]
    pub const fn servers(&self) -> usize {
        self.servers
    }

    /// Chooses a server for `guest` that is none of the `tried`, to which it is added. None if no other is fit.
    pub fn pick(
        self: &Arc<Self>,
        guest: &Guest,
        tried: &mut Tried,
        now: Instant,
        die: &mut Die,
    ) -> Option<Lease> {
        let place = self.peers().pick(guest, &tried.0, now, die)?;
        tried.0.push(place.id);
        Some(Lease { upstream: self.clone(), place })
    }

    fn peers(&self) -> MutexGuard<'_, Peers> {
        // Nothing in there can panic half-way, and a session that panicked elsewhere must not end them all.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom one session was sent to already.
#[derive(Debug, Default)]
pub struct Tried(Vec<u64>);

/// A session's place at a server; given back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    upstream: Arc<Upstream>,
    place: Place,
}

impl Lease {
    /// The server.
    #[must_use]
    pub const fn server(&self) -> &Server {
        &self.place.server
    }

    /// Tells the group what the session found the server to be.
    pub fn judge(&mut self, judgement: Judgement, now: Instant) {
        self.place.on_trial = false;
        self.upstream.peers().judge(self.place.id, judgement, now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.upstream.peers().release(self.place.id, self.place.on_trial);
    }
}

/// A client's address as it is hashed; one without is nobody's.
fn network_of(address: Option<IpAddr>) -> Vec<u8> {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => {
            address.octets().split_last().map(|(_, net)| net.to_vec()).unwrap_or_default()
        }
        Some(IpAddr::V6(address)) => address.octets().to_vec(),
        None => vec![0; 3],
    }
}
