//! What plays the proxy's part, and the stage it stands on.

pub mod binary;
mod clients;
pub mod configuration;
pub mod core;
mod delivery;
mod name_server;
pub mod nginx;
mod sockets;
mod tls;

use std::fmt;
use std::time::Duration;

use gatepost_core::Wire;

use crate::divergence::Version;
use crate::octets::Shown;
use crate::transcript::{BackendTls, Lookup, Open, Runner, TlsTry, Transcript, Variables};

/// A proxy that transcripts are played against.
pub trait Subject: Send + Sync {
    /// As whom it plays.
    fn runner(&self) -> Runner;

    /// Its version, for differences that belong to some versions only.
    fn version(&self) -> Version;

    /// A stage for one run of `transcript`.
    ///
    /// # Errors
    ///
    /// Why it cannot be set: a directive nobody knows, a program that does not start.
    fn stage(&self, transcript: &Transcript) -> Result<Box<dyn Stage>, String>;
}

/// How an act went; the error is what a failure should say.
pub type Acted = Result<(), String>;

/// Client, auth server and backend around one proxy: what they do, and what they notice.
pub trait Stage {
    /// Whether observations come in the proxy's own order, and attempts to connect are noticed before they are
    /// accepted or refused. Sockets promise neither.
    fn exact(&self) -> bool;

    /// The addresses and ports of this run.
    fn variables(&self) -> Variables;

    /// A new client connects.
    ///
    /// # Errors
    ///
    /// As for all acts: what went wrong.
    fn open(&mut self, open: &Open) -> Acted;

    /// The client sends.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn client_sends(&mut self, octets: &[u8]) -> Acted;

    /// The party at the other end of `wire` pauses where its octets are cut, for as long as it takes the proxy to read what
    /// it has sent.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn pause(&mut self, wire: Wire) -> Acted;

    /// The client half-closes (`Ending::Fin`) or resets.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn client_ends(&mut self, how: Ending) -> Acted;

    /// The client shakes hands, and it ends as `attempt` expects.
    ///
    /// # Errors
    ///
    /// How it ended instead.
    fn shake_hands(&mut self, attempt: &TlsTry) -> Acted;

    /// The proxy has asked the backend for TLS, and the handshake ends as `attempt` says.
    ///
    /// # Errors
    ///
    /// If the proxy has not, or wants another name.
    fn shake_backends_hand(&mut self, attempt: &BackendTls) -> Acted;

    /// The proxy has asked the DNS what `lookup` says, and gets its answer.
    ///
    /// # Errors
    ///
    /// What it has asked instead.
    fn look_up(&mut self, lookup: &Lookup) -> Acted;

    /// From now on `server` can be reached, or cannot.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn reachable(&mut self, server: Server, yes: bool) -> Acted;

    /// `server` accepts the connection that was noticed.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn accept(&mut self, server: Server) -> Acted;

    /// `server` refuses the connection.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn refuse(&mut self, server: Server) -> Acted;

    /// `server` sends.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn server_sends(&mut self, server: Server, octets: &[u8]) -> Acted;

    /// `server` half-closes (`Ending::Fin`), or closes both ways.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn server_ends(&mut self, server: Server, how: Ending) -> Acted;

    /// Time passes. `quiet`: nothing may happen meanwhile, so a clock that is not exact may stop a little earlier
    /// and catch up the next time.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn pass(&mut self, span: Duration, quiet: bool) -> Acted;

    /// The operator asks the process to end.
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn drain(&mut self) -> Acted;

    /// What the proxy does next, waited for as long as is sensible.
    ///
    /// # Errors
    ///
    /// If the proxy did what no proxy may do.
    fn next(&mut self) -> Result<Option<Seen>, String>;

    /// What the proxy has done by now, if anything.
    ///
    /// # Errors
    ///
    /// If the proxy did what no proxy may do.
    fn next_at_once(&mut self) -> Result<Option<Seen>, String>;

    /// The lines of the proxy's log so far.
    fn log(&mut self) -> Vec<String>;
}

/// One of the two servers the proxy connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Server {
    /// The auth server.
    Auth,
    /// The mail server behind the proxy.
    Backend,
}

impl From<Server> for Wire {
    fn from(server: Server) -> Self {
        match server {
            Server::Auth => Self::Auth,
            Server::Backend => Self::Backend,
        }
    }
}

/// Something the proxy did, as the party at the other end of `wire` noticed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who noticed.
    pub wire: Wire,
    /// What.
    pub deed: Deed,
}

/// What a party can notice of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It connects.
    Opens,
    /// It sends.
    Sends(Vec<u8>),
    /// It ends the connection.
    Ends(Ending),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With FIN, and `close_notify` under TLS.
    Fin,
    /// With a reset, or without the `close_notify` that belonged there.
    Reset,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = match self.wire {
            Wire::Client => "client",
            Wire::Auth => "auth server",
            Wire::Backend => "backend",
        };
        match &self.deed {
            Deed::Opens => write!(f, "proxy -> {wire}: connects"),
            Deed::Sends(octets) => write!(f, "proxy -> {wire}: {}", Shown(octets)),
            Deed::Ends(Ending::Fin) => write!(f, "proxy -> {wire}: FIN"),
            Deed::Ends(Ending::Reset) => write!(f, "proxy -> {wire}: reset"),
        }
    }
}
