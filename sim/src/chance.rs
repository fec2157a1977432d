//! Chance that can be told again: every party draws from a stream of its own, and all streams come from one seed.

use std::sync::{Arc, Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A party's dice. Clones throw the same ones.
#[derive(Clone, Debug)]
pub struct Chance(Arc<Mutex<ChaCha20Rng>>);

impl Chance {
    /// The dice of `party` in the world of `seed`. Two parties' throws have nothing to do with each other, so that one
    /// more throw here changes nothing there. Names are told apart by their first 16 octets and `number`.
    #[must_use]
    pub fn of(seed: u64, party: &str, number: u64) -> Self {
        let mut key = [0; 32];
        let parts = seed.to_le_bytes().into_iter().chain(number.to_le_bytes()).chain(party.bytes());
        key.iter_mut().zip(parts).for_each(|(octet, part)| *octet = part);
        Self(Arc::new(Mutex::new(ChaCha20Rng::from_seed(key))))
    }

    /// Fills `octets`.
    pub fn fill(&self, octets: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(octets);
    }

    /// As many octets as asked for.
    #[must_use]
    pub fn octets<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        self.fill(&mut octets);
        octets
    }

    /// A number below `bound`, or 0 if that is 0. Not quite even for bounds near 2^64, which is good enough here.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        u64::from_le_bytes(self.octets()).checked_rem(bound).unwrap_or(0)
    }

    /// True once in `times`, on average.
    #[must_use]
    pub fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of `choices`; `default` if there are none.
    #[must_use]
    pub fn one_of<T: Copy>(&self, choices: &[T], default: T) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices.get(index).copied().unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_the_same_for_the_same_name_only() {
        let draw = |seed, party, number| Chance::of(seed, party, number).octets::<16>();
        assert_eq!(draw(1, "client", 0), draw(1, "client", 0));
        assert_ne!(draw(1, "client", 0), draw(2, "client", 0));
        assert_ne!(draw(1, "client", 0), draw(1, "client", 1));
        assert_ne!(draw(1, "client", 0), draw(1, "server", 0));
    }
}
