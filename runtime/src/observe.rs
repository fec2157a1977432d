//! Who hears what sessions report.

use gatepost_core::Report;

mod datagram;
mod log;
mod outlet;
mod rate;
mod trace;

pub use log::{Clock, Log, LogFiles, SessionLog};
pub use trace::DebugLines;

/// Hears every report of one session, in order. Production writes log lines, a simulation keeps them.
pub trait Observer {
    /// Something happened.
    fn report(&self, report: &Report);
}
