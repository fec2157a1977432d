//! Where a running program's peers pause: anywhere, as a seed says. All places one by one, as with the core, would take too
//! long.

use std::fmt;
use std::ops::Range;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::cuts::Places;

/// How many times an ordinary run cuts a transcript.
const SEEDS: u64 = 1;

/// The most cuts of one run, as each costs its pause.
const CUTS_MAX: usize = 32;

/// What a run's cuts are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GATEPOST_SEED={:#x}", self.0)
    }
}

impl Seed {
    /// Those of this test process: `GATEPOST_SEED` names one, `GATEPOST_SEEDS` says how many otherwise.
    ///
    /// # Panics
    ///
    /// If either is not a number.
    pub(super) fn chosen() -> impl Iterator<Item = Self> {
        range(variable("GATEPOST_SEED"), variable("GATEPOST_SEEDS")).map(Self)
    }

    /// Some of `places`; another choice for each transcript and seed. None only if there are none.
    #[must_use]
    pub(super) fn draws(self, transcript: &str, places: &Places) -> Places {
        let places: Vec<_> = places.iter().copied().collect();
        let mut key = [0; 32];
        // Names longer than this share their dice with their likes.
        let parts = self.0.to_le_bytes().into_iter().chain(transcript.bytes());
        key.iter_mut().zip(parts).for_each(|(octet, part)| *octet = part);
        let mut dice = ChaCha20Rng::from_seed(key);
        let mut below = |bound: usize| {
            usize::try_from(dice.next_u64()).unwrap_or(usize::MAX).checked_rem(bound).unwrap_or(0)
        };
        let count = 1 + below(CUTS_MAX.min(places.len()));
        (0..count).filter_map(|_| places.get(below(places.len())).copied()).collect()
    }
}

fn range(one: Option<u64>, many: Option<u64>) -> Range<u64> {
    match one {
        Some(seed) => seed..seed.saturating_add(1),
        None => 0..many.unwrap_or(SEEDS),
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    #[expect(clippy::panic, reason = "called by tests, which fail by panicking")]
    Some(number.unwrap_or_else(|_| panic!("{name} is not a number, decimal or 0x…: {text}")))
}

#[cfg(test)]
mod tests {
    use gatepost_core::Wire;

    use super::*;
    use crate::player::cuts::Place;

    fn places(behind: impl Iterator<Item = usize>) -> Places {
        behind.map(|behind| Place { wire: Wire::Client, behind }).collect()
    }

    #[test]
    fn a_seed_cuts_a_transcript_the_same_way_again_and_others_otherwise() {
        let places = places(100..1100);
        let cuts = Seed(42).draws("imap-login", &places);
        assert_eq!(cuts, Seed(42).draws("imap-login", &places));
        assert_ne!(cuts, Seed(43).draws("imap-login", &places));
        assert_ne!(cuts, Seed(42).draws("pop3-login", &places));
    }

    #[test]
    fn cuts_are_few_and_where_they_may_be() {
        let many = places((100..1100).step_by(3));
        for seed in 0..200 {
            let cuts = Seed(seed).draws("imap-login", &many);
            assert!((1..=CUTS_MAX).contains(&cuts.len()), "{cuts:?}");
            assert!(cuts.is_subset(&many), "{cuts:?}");
        }
        assert_eq!(Seed(0).draws("imap-login", &places(7..8)), places(7..8));
        assert_eq!(Seed(0).draws("imap-login", &Places::new()), Places::new());
    }

    #[test]
    fn one_seed_goes_before_many() {
        assert_eq!(range(Some(42), Some(1000)), 42..43);
        assert_eq!(range(None, Some(1000)), 0..1000);
        assert_eq!(range(None, None), 0..SEEDS);
        assert_eq!(Seed(42).to_string(), "GATEPOST_SEED=0x2a");
    }
}
