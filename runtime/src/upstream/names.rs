//! A name in a group that is looked up again and again (`server … resolve`), and stands for as many servers as it has addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gatepost_core::Server;

use super::Member;
use crate::resolve;

/// For how many servers a name counts at least where time is shared out before anybody is asked: there may be more by then, and the
/// silence of the first has to leave time for another.
const SERVERS_MIN: usize = 2;

/// A name, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The host.
    pub host: Arc<str>,
    /// The port that its servers listen on.
    pub port: u16,
    /// What holds for each of them. Where this one itself is counts for nothing.
    pub model: Member,
    /// How many of the group's own members stand before it.
    pub before: usize,
    /// What it stood for when the configuration was read; nobody, if it was not found.
    pub addresses: Vec<IpAddr>,
    /// Who is asked.
    pub resolver: resolve::Settings,
    /// `resolver_timeout`: for how long.
    pub timeout: Duration,
}

impl Name {
    /// Those that it stands for if these are its addresses, in an order that does not depend on the answer's.
    pub(super) fn members(&self, addresses: &[IpAddr]) -> Vec<Member> {
        let mut addresses = addresses.to_vec();
        addresses.sort_unstable();
        addresses.dedup();
        let member = |ip| {
            let address = SocketAddr::new(ip, self.port).into();
            Member { server: Server { address, name: Some(self.host.clone()) }, ..self.model.clone() }
        };
        addresses.into_iter().map(member).collect()
    }

    /// For how many servers it counts.
    pub(super) fn servers(&self) -> usize {
        self.addresses.len().max(SERVERS_MIN)
    }
}
