//! Who hears what sessions report.

use gatepost_core::Report;

/// Hears every report of one session, in order. Production writes log lines, a simulation keeps them.
pub trait Observer {
    /// Something happened.
    fn report(&self, report: &Report);
}
