//! How far each wire is, as the driver would know.

use gatepost_core::Wire;

/// How far a wire is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    #[default]
    Down,
    /// A server is to be chosen; so many have been.
    Choosing(u8),
    /// It is being connected; so many others were before.
    Dialing(u8),
    Open,
    Securing,
    /// The other side has said its last word, and listens.
    Finished,
}

impl Line {
    /// Whether octets may be sent.
    pub(crate) const fn takes_octets(self) -> bool {
        matches!(self, Self::Open | Self::Finished)
    }
}

/// The three of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wires {
    client: Line,
    auth: Line,
    backend: Line,
}

impl Wires {
    pub(crate) const fn line(self, wire: Wire) -> Line {
        match wire {
            Wire::Client => self.client,
            Wire::Auth => self.auth,
            Wire::Backend => self.backend,
        }
    }

    pub(crate) const fn set(&mut self, wire: Wire, line: Line) {
        match wire {
            Wire::Client => self.client = line,
            Wire::Auth => self.auth = line,
            Wire::Backend => self.backend = line,
        }
    }
}
