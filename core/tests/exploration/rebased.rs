//! A hash for which it does not matter when something happens, but only how long before and after the rest.

use std::hash::Hasher;

use gatepost_core::Instant;

use crate::setting::NOW;

/// How much later than [`NOW`] a session may live to see, in milliseconds: a year.
const LATER_MILLIS: u64 = 365 * 24 * 3_600_000;

/// Hashes moments by their distance from `now`. They are told from all other numbers by their size, as there is no other
/// that is near [`NOW`]. A session does nothing with a moment but to count from it or compare it with another, as it draws no
/// salts here: two that differ by a span in all of theirs will do the same, the span apart.
pub(crate) struct Rebased<'a, H> {
    pub(crate) hasher: &'a mut H,
    pub(crate) now: Instant,
}

impl<H: Hasher> Hasher for Rebased<'_, H> {
    fn finish(&self) -> u64 {
        self.hasher.finish()
    }

    fn write(&mut self, octets: &[u8]) {
        self.hasher.write(octets);
    }

    fn write_u8(&mut self, number: u8) {
        self.hasher.write_u8(number);
    }

    fn write_u16(&mut self, number: u16) {
        self.hasher.write_u16(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.hasher.write_u32(number);
    }

    fn write_u64(&mut self, number: u64) {
        let begin = NOW.unix_millis();
        let is_moment = (begin..begin + LATER_MILLIS).contains(&number);
        // What is left is again a number that no other is near.
        let distance = number.wrapping_sub(self.now.unix_millis()).wrapping_add(begin);
        self.hasher.write_u64(if is_moment { distance } else { number });
    }

    fn write_usize(&mut self, number: usize) {
        self.hasher.write_usize(number);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{DefaultHasher, Hash};
    use std::time::Duration;

    use super::*;

    fn digest(now: Instant, value: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut Rebased { hasher: &mut hasher, now });
        hasher.finish()
    }

    #[test]
    fn only_the_distance_of_moments_counts() {
        let (later, span) = (NOW.after(Duration::from_secs(63)), Duration::from_secs(5));
        assert_eq!(digest(NOW, NOW.after(span)), digest(later, later.after(span)));
        assert_ne!(digest(NOW, NOW.after(span)), digest(later, NOW.after(span)));
        assert_eq!(digest(NOW, 60_u64), digest(later, 60_u64), "a number that is no moment");
        assert_ne!(digest(NOW, 60_u64), digest(NOW, NOW.after(Duration::from_millis(60))));
    }
}
