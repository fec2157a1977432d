//! What is known of a session at its end.

use std::time::Duration;

use gatepost_core::{Facts, Wire};

/// A session that is over.
#[derive(Clone, Debug)]
pub struct Ending {
    /// What the session knew.
    pub facts: Facts,
    /// Octets that went over its wires.
    pub tally: Tally,
    /// From its first moment to its last.
    pub lasted: Duration,
}

/// Octets that went over the wires of a session, in clear or as they were under TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Read from the client.
    pub from_client: u64,
    /// Given to the client's connection.
    pub to_client: u64,
    /// Read from backends.
    pub from_backend: u64,
    /// Given to backends' connections.
    pub to_backend: u64,
}

impl Tally {
    /// So many more were read.
    pub(crate) const fn read(&mut self, wire: Wire, octets: usize) {
        match wire {
            Wire::Client => self.from_client += octets as u64,
            Wire::Backend => self.from_backend += octets as u64,
            Wire::Auth => {}
        }
    }

    /// So many more were given to be sent.
    pub(crate) const fn sent(&mut self, wire: Wire, octets: usize) {
        match wire {
            Wire::Client => self.to_client += octets as u64,
            Wire::Backend => self.to_backend += octets as u64,
            Wire::Auth => {}
        }
    }

    /// A relay carried so many more from the client to the backend, and back.
    pub(crate) const fn relayed(&mut self, from_client: u64, from_backend: u64) {
        self.from_client += from_client;
        self.to_backend += from_client;
        self.from_backend += from_backend;
        self.to_client += from_backend;
    }
}
