//! What the master sleeps on.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::workers::START_MAX;
use super::{Master, Stage};
use crate::net::even_clock;

/// How long ticket keys that are of no use may stay nevertheless.
const AGEING: Duration = Duration::from_secs(60 * 60);

impl Master {
    /// Sleeps until a signal comes, a worker says something, or it is time for something.
    pub(super) fn wait(&self) {
        let mut watched = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let starting = self.workers.iter().filter(|worker| !worker.serves);
        watched.extend(starting.map(|worker| PollFd::new(&worker.channel, PollFlags::IN)));
        let now = even_clock();
        let timeout = self.alarms(now).min().map(|at| at.saturating_sub(now) + Duration::from_millis(1));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // Whatever it says, everything is looked at afterwards.
        let _ = poll(&mut watched, timeout.as_ref());
    }

    /// The moments at which something may have to be done without anything having happened.
    fn alarms(&self, now: Duration) -> impl Iterator<Item = Duration> {
        let starting = self.workers.iter().filter(|worker| !worker.serves);
        let late = starting.map(|worker| worker.born + START_MAX);
        let delay = self.backoff.delay(now).filter(|_| self.stage == Stage::Serving && self.accepting);
        let keys = self.ticket_keys.is_some().then_some(now + AGEING);
        late.chain(delay.map(|delay| now + delay)).chain(self.patience).chain(keys)
    }
}
