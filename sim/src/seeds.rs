//! Which seeds a test plays: `GATEPOST_SEED=0x2a` plays one, `GATEPOST_SEEDS=1000` as many.

use std::ops::Range;

/// The seeds that the environment asks for, or so many as an ordinary run plays.
///
/// # Panics
///
/// The environment holds something else than a number, decimal or hexadecimal behind `0x`.
#[must_use]
pub fn asked_for(ordinary: u64) -> Range<u64> {
    match (variable("GATEPOST_SEED"), variable("GATEPOST_SEEDS")) {
        (Some(seed), _) => seed..seed.saturating_add(1),
        (None, many) => 0..many.unwrap_or(ordinary),
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
