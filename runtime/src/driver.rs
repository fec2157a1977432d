//! The loop that carries a session: what happens on its wires becomes events, its actions happen on its wires.

use std::sync::Arc;

use gatepost_core::{Client, Policy, Seed};

use crate::drain::Drain;
use crate::net::Net;
use crate::observe::Observer;

/// A client that has just been accepted, and all that its session will be.
#[derive(Debug)]
pub struct Arrival<S> {
    /// The accepted stream.
    pub stream: S,
    /// Who came in, and through which door.
    pub client: Client,
    /// What its `server {}` asks for.
    pub policy: Arc<Policy>,
    /// The certificates of its `server {}`; without them a session that asks for TLS hears that it failed.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Where its chance comes from.
    pub seed: Seed,
    /// The connection's number, as `*N` of the log.
    pub number: u64,
}

/// Carries one client from its first octet to the end of its relay. Ready once every stream is closed; to drop the
/// future earlier cuts the session.
///
/// It needs a tokio runtime with time, and nothing of the network beside `net`.
pub fn drive<N: Net>(
    net: N,
    arrival: Arrival<N::Stream>,
    observer: impl Observer + 'static,
    drain: Drain,
) -> impl Future<Output = ()> {
    async move {
        let _ = (net, arrival, observer, drain);
    }
}
