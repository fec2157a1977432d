//! Who hears what sessions report.

use gatepost_core::Report;

mod access;
mod datagram;
mod ending;
mod log;
mod outcome;
mod outlet;
mod rate;
mod session;
mod trace;

pub use access::AccessLog;
pub use ending::{Ending, Tally};
pub use log::{Clock, Log, LogFiles};
pub use session::SessionLog;
pub use trace::DebugLines;

/// Hears every report of one session, in order. Production writes log lines, a simulation keeps them.
pub trait Observer {
    /// Something happened.
    fn report(&self, report: &Report);

    /// Something is wrong with this process rather than with the session, which only suffers from it.
    fn alert(&self, trouble: &str) {
        let _ = trouble;
    }

    /// Whether it wants to be told how the session ended. What that takes is kept only for those who do.
    fn awaits_ending(&self) -> bool {
        false
    }

    /// The session is over; nothing is reported after this.
    fn ended(&self, ending: &Ending) {
        let _ = ending;
    }
}
