//! How soon a worker that died is replaced.

use std::time::Duration;

/// Who has lived so long did not die of being started.
const STEADY: Duration = Duration::from_secs(10);

/// The first replacement comes at once; so long before the second in a row, and twice as long each time.
const FIRST: Duration = Duration::from_millis(100);

/// Never longer than this: whatever kept workers from living may be mended meanwhile.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts workers that died young, one after another.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    young: u32,
    until: Duration,
}

impl Backoff {
    /// A worker has died `now`, having `lived` so long.
    pub(super) fn note(&mut self, lived: Duration, now: Duration) {
        self.young = if lived < STEADY { self.young.saturating_add(1) } else { 0 };
        let delay = match self.young {
            0 | 1 => Duration::ZERO,
            more => FIRST.saturating_mul(1u32.checked_shl(more - 2).unwrap_or(u32::MAX)).min(LONGEST),
        };
        self.until = now.saturating_add(delay);
    }

    /// Whether the next may be started.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        now >= self.until
    }

    /// How long until then, if it is not at once.
    pub(super) fn delay(&self, now: Duration) -> Option<Duration> {
        self.until.checked_sub(now).filter(|delay| !delay.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_dies_young_again_and_again_is_replaced_less_and_less_often() {
        let (mut backoff, now) = (Backoff::default(), Duration::from_secs(1000));
        assert!(backoff.is_over(Duration::ZERO));
        let mut delays = Vec::new();
        for _ in 0..40 {
            backoff.note(Duration::from_millis(3), now);
            delays.push(backoff.delay(now).unwrap_or_default().as_millis());
        }
        assert_eq!(delays[..9], [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(delays[39], 10_000);
        assert!(!backoff.is_over(now + Duration::from_millis(9_999)));
        assert!(backoff.is_over(now + LONGEST));
        backoff.note(STEADY, now);
        assert_eq!(backoff.delay(now), None);
        assert!(backoff.is_over(now));
    }
}
