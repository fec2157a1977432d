//! What may happen to a session, and whose doing it is.

use gatepost_core::Wire;

use crate::alphabet::Word;

/// Something that may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Opened(Wire),
    /// A connection that another session has left is there.
    Reused(Wire),
    Says(Wire, Word),
    Secured(Wire),
    Finished(Wire),
    Broken(Wire),
    Insecure(Wire),
    /// The next of the places is the one.
    Chosen(Wire),
    /// The next of the places has a name that leads nowhere.
    Unresolved(Wire),
    Exhausted(Wire),
    /// There is a place among those that are counted.
    Admitted,
    /// Others have every place.
    Full,
    /// There is no memory to count in.
    NoMemory,
    Named,
    NamedOddly,
    Nameless,
    AddressIs(&'static str),
    Deadline,
    Drain,
}

impl Happening {
    /// Whose doing it is.
    pub(crate) const fn cause(self) -> &'static str {
        match self {
            Self::Opened(wire)
            | Self::Reused(wire)
            | Self::Says(wire, _)
            | Self::Secured(wire)
            | Self::Finished(wire)
            | Self::Broken(wire)
            | Self::Insecure(wire)
            | Self::Chosen(wire)
            | Self::Unresolved(wire)
            | Self::Exhausted(wire) => match wire {
                Wire::Client => "client",
                Wire::Auth => "auth server",
                Wire::Backend => "backend",
            },
            Self::Admitted | Self::Full | Self::NoMemory => "limit_conn",
            Self::Named | Self::NamedOddly | Self::Nameless | Self::AddressIs(_) => "DNS",
            Self::Deadline => "deadline",
            Self::Drain => "shutdown",
        }
    }
}
