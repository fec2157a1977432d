//! `rate=`: a bound on how many lines a log gets in a second (config.md 9).

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gatepost_core::report::Level;

/// A bucket that leaks so many lines a second. What matters more finds more room in it: at the log's own level there is room for one
/// second's lines, at each level above for as many more. Lines of level debug are for whoever asked for all of them.
#[derive(Debug)]
pub(super) struct Limit {
    lines_per_second: NonZeroU32,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    /// How full it is, in billionths of a line: with so many lines a second, so many of them leak in each nanosecond, and no
    /// moment is too short to count.
    fill: u128,
    filled: SystemTime,
    /// The last line found no room.
    is_limiting: bool,
}

/// What a line adds to a bucket.
const LINE: u128 = 1_000_000_000;

/// Whether a line may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Write,
    /// It may not, which is worth saying once.
    Refuse,
    /// It may not, as the one before.
    RefuseToo,
}

impl Limit {
    pub(super) const fn new(lines_per_second: NonZeroU32, now: SystemTime) -> Self {
        let bucket = Bucket { fill: 0, filled: now, is_limiting: false };
        Self { lines_per_second, bucket: Mutex::new(bucket) }
    }

    /// Decides about a line of `level` for a log whose least level is `least`.
    pub(super) fn judge(&self, level: Level, least: Level, now: SystemTime) -> Verdict {
        if level == Level::Debug {
            return Verdict::Write;
        }
        let rate = u128::from(self.lines_per_second.get());
        let steps = (level as u128).saturating_sub(least as u128) + 1;
        let room = rate * steps * LINE;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back is as good as one that stood still.
        let passed = now.duration_since(bucket.filled).unwrap_or(Duration::ZERO);
        let leaked = rate * passed.as_nanos();
        let fill = bucket.fill.saturating_sub(leaked) + LINE;
        bucket.filled = now;
        if fill <= room {
            (bucket.fill, bucket.is_limiting) = (fill, false);
            return Verdict::Write;
        }
        bucket.fill = fill - LINE;
        match std::mem::replace(&mut bucket.is_limiting, true) {
            false => Verdict::Refuse,
            true => Verdict::RefuseToo,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn limit(rate: u32) -> Limit {
        Limit::new(NonZeroU32::new(rate).expect("a rate"), at(0))
    }

    #[test]
    fn lines_beyond_the_rate_are_refused_and_that_is_said_once() {
        let limit = limit(2);
        let mut judge = |millis| limit.judge(Level::Info, Level::Info, at(millis));
        let verdicts = [0, 0, 0, 0, 499, 500, 500].map(&mut judge);
        use Verdict::{Refuse, RefuseToo, Write};
        assert_eq!(verdicts, [Write, Write, Refuse, RefuseToo, RefuseToo, Write, Refuse]);
        assert_eq!([60_000, 60_000, 60_000].map(judge), [Write, Write, Refuse]);
    }

    #[test]
    fn a_flood_gets_the_rate_however_small_its_steps() {
        for (rate, step_micros, lines, written) in
            [(1000, 500, 20_000, 11_000_usize), (900, 1_667, 20_000, 20_000)]
        {
            let limit = limit(rate);
            let moments = (0..lines).map(|line| UNIX_EPOCH + Duration::from_micros(line * step_micros));
            let judged = moments.map(|now| limit.judge(Level::Info, Level::Info, now));
            let through = judged.filter(|verdict| *verdict == Verdict::Write).count();
            assert!(through.abs_diff(written) <= 1, "rate={rate}: {through} of {lines}");
        }
    }

    #[test]
    fn what_matters_more_finds_more_room() {
        for (level, written) in
            [(Level::Info, 1), (Level::Notice, 2), (Level::Warn, 3), (Level::Error, 4), (Level::Emerg, 7)]
        {
            let limit = limit(1);
            let judged = (0..100).map(|_| limit.judge(level, Level::Info, at(0)));
            assert_eq!(judged.filter(|verdict| *verdict == Verdict::Write).count(), written, "{level:?}");
        }
    }

    #[test]
    fn debug_lines_are_not_counted_and_a_clock_set_back_does_no_harm() {
        let limit = limit(1);
        assert!((0..100).all(|_| limit.judge(Level::Debug, Level::Debug, at(0)) == Verdict::Write));
        assert_eq!(limit.judge(Level::Info, Level::Info, at(5000)), Verdict::Write);
        assert_eq!(limit.judge(Level::Info, Level::Info, at(0)), Verdict::Refuse);
    }
}
