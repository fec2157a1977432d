//! What each of a session's three wires is doing, and which actions make sense on it.

use gatepost_core::Wire;

/// The life of one wire as a driver would see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Line {
    /// Not there, or not any more.
    #[default]
    Down,
    /// Asked for, and not yet answered.
    Dialing,
    /// Octets may go both ways.
    Open,
    /// A handshake was asked for and has not been answered.
    Securing,
    /// The other side has said its last word, and may be spoken to.
    Ended,
}

impl Line {
    /// Whether octets can be sent.
    pub(crate) const fn takes_octets(self) -> bool {
        matches!(self, Self::Open | Self::Ended)
    }

    /// Whether octets may come from the other side.
    pub(crate) const fn may_speak(self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether the end of them may come.
    pub(crate) const fn may_end(self) -> bool {
        matches!(self, Self::Open | Self::Securing)
    }
}

/// All three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wires {
    client: Line,
    auth: Line,
    backend: Line,
}

impl Wires {
    pub(crate) const fn line(&self, wire: Wire) -> Line {
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
