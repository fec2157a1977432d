//! Challenges for APOP and CRAM-MD5: `<random.seconds@server_name>`, a fresh one each time (auth-http.md 4.3, divergences D24).

#![expect(deprecated, reason = "core's SipHash-2-4 with a key of one's own has no other name without std")]

use alloc::format;
use core::fmt;
use core::hash::{Hasher, SipHasher};

use bytes::Bytes;

use crate::session::Seed;
use crate::time::Instant;

/// One challenge, angle brackets included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
pub(crate) struct Salt(Bytes);

impl Salt {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where challenges come from: SipHash-2-4 keyed with the session's seed, counting. Who does not know the seed cannot
/// tell the next from those before (Aumasson and Bernstein, 2012), and a simulation gets the same ones again.
#[derive(Clone)]
#[cfg_attr(feature = "fuzzing", derive(Hash))]
pub(crate) struct Salts {
    key: (u64, u64),
    drawn: u64,
}

impl Salts {
    pub(crate) fn new(seed: &Seed) -> Self {
        let number = u128::from_le_bytes(seed.0);
        let low = u64::try_from(number & u128::from(u64::MAX)).unwrap_or_default();
        let high = u64::try_from(number >> 64).unwrap_or_default();
        Self { key: (low, high), drawn: 0 }
    }

    pub(crate) fn draw(&mut self, now: Instant, server_name: &str) -> Salt {
        let mut hasher = SipHasher::new_with_keys(self.key.0, self.key.1);
        hasher.write_u64(self.drawn);
        self.drawn += 1;
        Salt(format!("<{}.{}@{server_name}>", hasher.finish(), now.unix_seconds()).into())
    }
}

impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salts({} drawn)", self.drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_are_fresh_and_the_same_for_the_same_seed() {
        let now = Instant::from_unix_millis(1_767_225_600_999);
        let mut salts = Salts::new(&Seed([7; 16]));
        let (first, second) = (salts.draw(now, "mx.test"), salts.draw(now, "mx.test"));
        assert_ne!(first, second);
        assert_eq!(first, Salts::new(&Seed([7; 16])).draw(now, "mx.test"));
        assert_ne!(first, Salts::new(&Seed([8; 16])).draw(now, "mx.test"));
        assert!(first.as_bytes().ends_with(b".1767225600@mx.test>"));
    }

    #[test]
    fn a_trace_shows_how_many_challenges_were_drawn_and_not_what_the_next_one_is_made_of() {
        let mut salts = Salts::new(&Seed([7; 16]));
        salts.draw(Instant::from_unix_millis(0), "mx.test");
        assert_eq!(format!("{salts:?}"), "Salts(1 drawn)");
    }
}
