//! Whether a server has failed, and when it is tried again.

use std::time::Duration;

use gatepost_core::{Instant, Judgement};

/// What sessions have found a server to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// It has done its work since it failed last.
    Sound,
    /// It has failed so many times, and for the first time then.
    Failing(u32, Instant),
    /// It is left alone until then. Whoever comes first afterwards tries it.
    Down(Instant),
    /// One session tries it; nobody else does.
    OnTrial,
}

impl Health {
    /// Whether another session may be sent there.
    pub(super) fn admits(self, now: Instant) -> bool {
        match self {
            Self::Sound | Self::Failing(..) => true,
            Self::Down(_) if cfg!(planted = "marks-never-recover") => false,
            Self::Down(until) => now >= until,
            Self::OnTrial => false,
        }
    }

    /// A session is sent there.
    pub(super) fn taken(self) -> Self {
        match self {
            Self::Down(_) => Self::OnTrial,
            other => other,
        }
    }

    /// The session that tried it has left without having found out.
    pub(super) fn left(self) -> Self {
        match self {
            // The next one tries.
            Self::OnTrial => Self::Down(Instant::from_unix_millis(0)),
            other => other,
        }
    }

    /// A session has found out.
    pub(super) fn judged(
        self,
        judgement: Judgement,
        now: Instant,
        fails_max: u32,
        timeout: Duration,
    ) -> Self {
        let down = Self::Down(now.after(timeout));
        match (judgement, self) {
            // Also of one that is down: this is newer.
            (Judgement::Sound, _) => Self::Sound,
            (Judgement::Failed, Self::OnTrial) => down,
            // A session that had been sent there before the others found out.
            (Judgement::Failed, Self::Down(until)) if now < until => Self::Down(until),
            (Judgement::Failed, Self::Down(_)) => down,
            (Judgement::Failed, Self::Failing(fails, since)) if since.until(now) <= timeout => {
                match fails.saturating_add(1) {
                    fails if fails_max > 0 && fails >= fails_max => down,
                    fails => Self::Failing(fails, since),
                }
            }
            (Judgement::Failed, Self::Sound | Self::Failing(..)) if fails_max == 1 => down,
            (Judgement::Failed, Self::Sound | Self::Failing(..)) => Self::Failing(1, now),
        }
    }
}
