//! The logs as one session writes them.

use std::cell::Cell;
use std::sync::Arc;

use gatepost_core::Report;
use gatepost_core::report::Level;

use super::access::{AccessLog, Record};
use super::ending::Ending;
use super::outcome::Outcome;
use super::{Log, Observer};

/// Writes what a session reports, and at its end a line for all of it where that is wanted.
#[derive(Clone, Debug)]
pub struct SessionLog {
    log: Arc<Log>,
    access: Arc<[AccessLog]>,
    outcome: Cell<Outcome>,
    number: u64,
    in_full: bool,
}

impl SessionLog {
    /// For the connection with this number.
    #[must_use]
    pub fn new(log: Arc<Log>, access: Arc<[AccessLog]>, number: u64) -> Self {
        Self { log, access, outcome: Cell::default(), number, in_full: false }
    }

    /// The same, where everything is written whatever the level, or is not.
    #[must_use]
    pub fn in_full(self, in_full: bool) -> Self {
        Self { in_full, ..self }
    }
}

impl Observer for SessionLog {
    fn report(&self, report: &Report) {
        match self.in_full {
            true => self.log.line_in_full(report.level(), Some(self.number), report),
            false => self.log.line(report.level(), Some(self.number), report),
        }
        self.outcome.set(self.outcome.get().after(&report.notice));
    }

    fn alert(&self, trouble: &str) {
        self.log.line(Level::Alert, Some(self.number), trouble);
    }

    fn awaits_ending(&self) -> bool {
        !self.access.is_empty()
    }

    fn ended(&self, ending: &Ending) {
        let (time, outcome, number) = (self.log.now(), self.outcome.get(), self.number);
        for log in &*self.access {
            log.put(&Record { ending, outcome, number, time: &time });
        }
    }
}
